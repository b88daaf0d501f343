package sim

import (
	"fmt"
	"strings"
	"testing"
)

// An Ingress leads what is asked of Traefik to the pods of a Service, by HTTP and by HTTPS; without one Traefik knows nothing.
func TestIngress(t *testing.T) {
	l := newLab(t)
	l.cluster(1, correct)
	l.demo()
	get := func(port int, scheme string) string {
		return l.run(0, fmt.Sprintf(`curl -sSk %s://%s:$(sudo kubectl -n kube-system get svc traefik -o jsonpath='{.spec.ports[%d].nodePort}')/`, scheme, nodeAddress(0), port))
	}
	l.eventually(func() error {
		if got := get(0, "http"); !strings.Contains(got, "404 page not found") {
			return fmt.Errorf("without an ingress: %s", got)
		}
		return nil
	})
	l.fails(0, `sudo kubectl create ingress hello --rule="/x=hello-svc:80"`, 1, "does not know the rule")
	l.run(0, `sudo kubectl create ingress hello --rule="/*=hello-svc:80"`)
	l.fails(0, `sudo kubectl create ingress hello --rule="/*=hello-svc:80"`, 1, "already exists")
	if got := get(0, "http"); !strings.HasPrefix(got, "Hostname: hello-") {
		t.Errorf("with an ingress: %s", got)
	}
	if got := get(1, "https"); !strings.HasPrefix(got, "Hostname: hello-") {
		t.Errorf("with an ingress, by HTTPS: %s", got)
	}
	l.run(0, `sudo kubectl delete ingress hello; sudo kubectl create ingress lost --rule="/*=nobody:80"`)
	if got := get(0, "http"); !strings.Contains(got, "404 page not found") {
		t.Errorf("of a service that is not there: %s", got)
	}
	if got := l.run(0, `sudo kubectl -n demo describe deploy web`); !strings.Contains(got, "Replicas:               2 desired | 2 updated | 2 total | ") {
		t.Error(got)
	}
}

// Traefik tells Ingresses apart by their host names, and serves those of its class, at their entry points, with a backend that is there.
func TestIngressRules(t *testing.T) {
	l := newLab(t)
	l.cluster(1, correct)
	l.demo()
	traefik := l.clusterIP("kube-system", "traefik")
	const manifest = `apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: hello}
spec:
  ingressClassName: traefik
  rules: [{host: hello.lab.test, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: hello-svc, port: {number: 80}}}}]}}]
`
	const notFound = "404 page not found"
	expect := func(when string, answers map[string]string) {
		t.Helper()
		for call, want := range answers {
			l.eventually(func() error {
				if got := l.run(0, fmt.Sprintf("curl -sSk -m 5 %s/", strings.ReplaceAll(call, "TRAEFIK", traefik))); !strings.Contains(got, want) {
					return fmt.Errorf("%s: %s: %s, want %s", when, call, got, want)
				}
				return nil
			})
		}
	}
	const named, secured, unnamed = "-H 'Host: hello.lab.test' http://TRAEFIK", "-H 'Host: HELLO.lab.test:443' https://TRAEFIK", "http://TRAEFIK"
	if got := l.run(0, "sudo kubectl apply -f -", manifest) + l.run(0, "sudo kubectl apply -f -", manifest); got != "ingress.networking.k8s.io/hello created\ningress.networking.k8s.io/hello unchanged\n" {
		t.Errorf("apply: %s", got)
	}
	expect("one with a host name", map[string]string{named: "Hostname: hello-", secured: "Hostname: hello-", unnamed: notFound, "-H 'Host: other.lab.test' http://TRAEFIK": notFound})
	l.run(0, `sudo kubectl -n demo create ingress web --rule="/*=web-svc:80"`)
	expect("beside one for any", map[string]string{named: "Hostname: hello-", unnamed: "Welcome to nginx!"})
	if got := l.run(0, "sudo kubectl get ingress -A --no-headers"); !strings.Contains(got, " traefik   hello.lab.test ") || !strings.Contains(got, " traefik   * ") {
		t.Errorf("the table: %s", got)
	}
	l.run(0, "sudo kubectl -n demo delete ingress web")
	for what, change := range map[string][2]string{
		"another class": {`patch ingress hello -p '{"spec":{"ingressClassName":"nginx"}}'`, `patch ingress hello -p '{"spec":{"ingressClassName":"traefik"}}'`},
		"another port": {`patch ingress hello --type=json -p '[{"op":"replace","path":"/spec/rules/0/http/paths/0/backend/service/port/number","value":8080}]'`,
			`patch ingress hello --type=json -p '[{"op":"replace","path":"/spec/rules/0/http/paths/0/backend/service/port/number","value":80}]'`},
		"another service": {`patch ingress hello --type=json -p '[{"op":"replace","path":"/spec/rules/0/http/paths/0/backend/service/name","value":"web-svc"}]'`,
			`patch ingress hello --type=json -p '[{"op":"replace","path":"/spec/rules/0/http/paths/0/backend/service/name","value":"hello-svc"}]'`},
	} {
		l.run(0, "sudo kubectl "+change[0])
		expect(what, map[string]string{named: notFound, secured: notFound})
		l.run(0, "sudo kubectl "+change[1])
		expect(what+", undone", map[string]string{named: "Hostname: hello-"})
	}
	l.run(0, "sudo kubectl annotate ingress hello "+entryPointsNote+"=websecure")
	expect("at one entry point", map[string]string{named: notFound, secured: "Hostname: hello-"})
	if got := l.run(0, "sudo kubectl apply -f -", manifest); got != "ingress.networking.k8s.io/hello unchanged\n" {
		t.Errorf("apply with an annotation of somebody else's: %s", got)
	}
	l.run(0, "sudo kubectl annotate ingress hello "+entryPointsNote+"-")
	expect("at all entry points", map[string]string{named: "Hostname: hello-"})
	l.fails(0, "curl -sS -H 'X-Other: 1' http://"+traefik+"/", 2, "does not know")
}
