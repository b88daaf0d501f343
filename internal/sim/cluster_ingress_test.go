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
	l.fails(0, `sudo kubectl create ingress hello --rule="x.example/=hello-svc:80"`, 1, "does not know the rule")
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
