package sim

import (
	"fmt"
	"strings"
	"testing"
)

// A pod with hostNetwork has its node's address, host name and ports. A second one finds its port taken there, and no other node has it.
func TestHostNetwork(t *testing.T) {
	l := newLab(t)
	l.cluster(2, correct)
	const manifest = `apiVersion: apps/v1
kind: Deployment
metadata: {name: NAME}
spec:
  selector: {matchLabels: {app: NAME}}
  template:
    metadata: {labels: {app: NAME}}
    spec:
      hostNetwork: true
      nodeSelector: {kubernetes.io/hostname: w1}
      containers: [{name: whoami, image: "traefik/whoami:v1.11", args: ["--port", "8090"], ports: [{containerPort: 8090}]}]
`
	l.fails(0, "curl -sS http://"+nodeAddress(1)+":8090/", 7, "Connection refused")
	l.run(0, "sudo kubectl apply -f - && sudo kubectl rollout status deploy/one", strings.ReplaceAll(manifest, "NAME", "one"))
	if got := l.run(0, "sudo kubectl get pods -l app=one -o wide --no-headers"); !strings.Contains(got, " "+nodeAddress(1)+" ") || !strings.Contains(got, " w1 ") {
		t.Errorf("the pod: %s", got)
	}
	for n := range 2 {
		if got := l.run(n, "curl -sS http://"+nodeAddress(1)+":8090/"); !strings.HasPrefix(got, "Hostname: w1\n") {
			t.Errorf("from %s: %s", nodeName(n), got)
		}
		l.fails(n, "curl -sS http://"+nodeAddress(0)+":8090/", 7, "Connection refused")
	}
	if got := l.run(1, "ss -ltn"); !strings.Contains(got, " *:8090 ") {
		t.Errorf("ss on its node: %s", got)
	}
	if got := l.run(0, "ss -ltn"); strings.Contains(got, "8090") {
		t.Errorf("ss elsewhere: %s", got)
	}
	l.run(0, "sudo kubectl apply -f -", strings.ReplaceAll(manifest, "NAME", "two"))
	l.eventually(func() error {
		if got := l.run(0, "sudo kubectl get pods -l app=two -o json"); !strings.Contains(got, "1 node(s) didn't have free ports for the requested pod ports") {
			return fmt.Errorf("a second one: %s", got)
		}
		return nil
	})
	l.run(1, "sudo iptables -I INPUT -p tcp --dport 8090 -j DROP")
	l.fails(0, "curl -sS -m 5 http://"+nodeAddress(1)+":8090/", 28, "timed out")
	l.run(0, "sudo kubectl delete deploy one")
	l.eventually(func() error {
		if got := l.run(0, "sudo kubectl get pods -l app=two --no-headers"); !strings.Contains(got, " Running ") {
			return fmt.Errorf("the second one, when the port is free: %s", got)
		}
		return nil
	})
}

// A deployment that is made anew by Recreate has no pod until the new ones run.
func TestRecreate(t *testing.T) {
	l := newLab(t)
	l.cluster(1, correct)
	l.run(0, "sudo kubectl apply -f - && sudo kubectl rollout status deploy/x", `apiVersion: apps/v1
kind: Deployment
metadata: {name: x}
spec:
  replicas: 4
  strategy: {type: Recreate}
  selector: {matchLabels: {app: x}}
  template: {metadata: {labels: {app: x}}, spec: {containers: [{name: c, image: "nginx:1.27-alpine"}]}}
`)
	l.run(0, `sudo kubectl patch deploy x -p '{"spec":{"template":{"spec":{"containers":[{"name":"c","image":"nginx:nosuch"}]}}}}'`)
	l.eventually(func() error {
		if got := l.run(0, "sudo kubectl get pods -l app=x --no-headers"); strings.Count(got, "\n") != 4 || strings.Contains(got, " Running ") {
			return fmt.Errorf("the pods: %s", got)
		}
		return nil
	})
}
