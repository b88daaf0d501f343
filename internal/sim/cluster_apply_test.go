package sim

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestManifests(t *testing.T) {
	l := newLab(t)
	l.cluster(3, correct)
	got := l.run(0, "sudo kubectl apply -f -", demo)
	want := "namespace/demo created\ndeployment.apps/web created\nservice/web-svc created\ndeployment.apps/hello created\nservice/hello-svc created\ndaemonset.apps/probe created\n"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("apply (-want +got):\n%s", diff)
	}
	if got := l.run(0, "sudo kubectl apply -f -", demo); strings.Count(got, " unchanged\n") != 6 {
		t.Errorf("apply again:\n%s", got)
	}
	l.demo()
	perNode := map[string]int{}
	for line := range strings.Lines(l.run(0, "sudo kubectl get pods -o wide --no-headers")) {
		f := strings.Fields(line)
		perNode[f[6]]++
		n := slices.Index([]string{"cp1", "w1", "w2"}, f[6])
		if !netip.MustParsePrefix(fmt.Sprintf("10.42.%d.0/24", n)).Contains(netip.MustParseAddr(f[5])) || f[1] != "1/1" || f[2] != "Running" {
			t.Errorf("pod: %s", line)
		}
	}
	if diff := cmp.Diff(map[string]int{"cp1": 2, "w1": 2, "w2": 2}, perNode); diff != "" {
		t.Errorf("hello's pods (-want +got):\n%s", diff)
	}
	for url, want := range map[string]string{"http://" + l.clusterIP("demo", "web-svc") + "/": "Welcome to nginx!", "http://" + l.clusterIP("default", "hello-svc") + "/?nonce=x": "GET /?nonce=x HTTP/1.1"} {
		for n := range 3 {
			if got := l.run(n, "curl -sS -m 5 "+url); !strings.Contains(got, want) {
				t.Errorf("%s from %s: %q", url, nodeName(n), got)
			}
			if got := l.run(0, "sudo kubectl exec -n demo "+l.pod("app=probe", n)+" -- wget -q -T 5 -O - "+url); !strings.Contains(got, want) {
				t.Errorf("%s from a pod on %s: %q", url, nodeName(n), got)
			}
		}
	}
	probe := l.pod("app=probe", 2)
	if got := l.run(0, "sudo kubectl exec -n demo "+probe+" -- hostname"); got != probe+"\n" {
		t.Errorf("hostname of %s: %q", probe, got)
	}
	if got := l.run(0, "sudo kubectl exec -n demo "+probe+" -- nslookup web-svc.demo.svc.cluster.local"); !strings.Contains(got, "Address: "+l.clusterIP("demo", "web-svc")) {
		t.Errorf("nslookup: %q", got)
	}
	l.fails(0, "sudo kubectl exec deploy/hello -- hostname", 1, "executable file not found in $PATH") // its image holds one program
	l.fails(0, "sudo kubectl exec -n demo "+probe+" -- wget -q -T 5 -O - http://nosuch.demo/", 1, "bad address")

	l.run(0, "sudo kubectl scale deployment/web -n demo --replicas=0")
	l.fails(0, "curl -sS http://"+l.clusterIP("demo", "web-svc")+"/", 7, "Connection refused")
	if got := l.run(0, "sudo kubectl delete --ignore-not-found -f -", demo); strings.Count(got, " deleted") < 3 {
		t.Errorf("delete:\n%s", got)
	}
	if got := l.run(0, "sudo kubectl get pods -A"); strings.Contains(got, "hello") || strings.Contains(got, "probe") {
		t.Errorf("pods after delete:\n%s", got)
	}
}

func TestApplyRefuses(t *testing.T) {
	l := newLab(t)
	l.cluster(1, correct)
	service := func(name, port string) string {
		return "apiVersion: v1\nkind: Service\nmetadata: {name: " + name + "}\nspec: {type: NodePort, selector: {a: b}, ports: [{port: 80, nodePort: " + port + "}]}\n"
	}
	l.run(0, "sudo kubectl apply -f -", service("one", "30001"))
	for name, tt := range map[string]struct{ manifest, want string }{
		"unknown kind":      {"apiVersion: v1\nkind: Gadget\nmetadata: {name: x}\n", `no matches for kind "Gadget" in version "v1"`},
		"not YAML":          {"a: [", "error parsing STDIN"},
		"nothing":           {"# nothing\n", "no objects passed to apply"},
		"no namespace":      {"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x, namespace: nosuch}\n", `namespaces "nosuch" not found`},
		"taken node port":   {service("two", "30001"), "provided port is already allocated"},
		"node port's range": {service("two", "80"), "provided port is not in the valid range"},
		"no containers":     {"apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x}\nspec: {selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {}}}\n", "spec.template.spec.containers: Required value"},
		"foreign selector":  {"apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x}\nspec: {selector: {matchLabels: {a: c}}, template: {metadata: {labels: {a: b}}}}\n", "`selector` does not match template `labels`"},
	} {
		r, err := l.exec(0, "sudo kubectl apply -f -", tt.manifest)
		if err != nil || r.exit != 1 || !strings.Contains(r.err, tt.want) {
			t.Errorf("%s: exit %d, %v, %q, want %q", name, r.exit, err, r.err, tt.want)
		}
	}
	image := strings.ReplaceAll(demo, "nginx:1.27-alpine", "nginx:nosuch")
	l.run(0, "sudo kubectl apply -f -", image)
	l.eventually(func() error {
		if got := l.run(0, "sudo kubectl get pods -n demo"); !strings.Contains(got, "ErrImagePull") && !strings.Contains(got, "ImagePullBackOff") {
			return errors.New(got)
		}
		return nil
	})
}
