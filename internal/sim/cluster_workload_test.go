package sim

import (
	"fmt"
	"strings"
	"testing"
)

// A pod that must be spread waits rather than that its node has more than one pod above the emptiest, be that tainted.
func TestSpread(t *testing.T) {
	l := newLab(t)
	l.cluster(3, correct)
	l.demo()
	l.run(0, `sudo kubectl patch deployment hello -p '{"spec":{"template":{"spec":{"topologySpreadConstraints":[{"maxSkew":1,"topologyKey":"kubernetes.io/hostname",`+
		`"whenUnsatisfiable":"DoNotSchedule","labelSelector":{"matchLabels":{"app":"hello"}}}]}}}}'`)
	shows := func(when, want string) {
		t.Helper()
		l.eventually(func() error {
			text := l.run(0, "sudo kubectl get pods -l app=hello -o wide --no-headers")
			got := ""
			for n := range 3 {
				got += fmt.Sprintf("%s %d, ", nodeName(n), strings.Count(text, " "+nodeName(n)+" "))
			}
			if got += fmt.Sprintf("pending %d", strings.Count(text, " Pending ")); got != want {
				return fmt.Errorf("%s: %s, want %s", when, got, want)
			}
			return nil
		})
	}
	shows("healthy", "cp1 2, w1 2, w2 2, pending 0")
	l.run(0, "sudo kubectl taint node w1 a=b:NoExecute && sudo kubectl taint node w2 a=b:NoExecute")
	shows("with both workers tainted", "cp1 2, w1 0, w2 0, pending 4")
	if got := l.run(0, "sudo kubectl get pods -l app=hello -o json"); !strings.Contains(got, "1 node(s) didn't match pod topology spread constraints, 2 node(s) had untolerated taint(s).") {
		t.Errorf("no reason in:\n%s", got)
	}
	l.run(0, "sudo kubectl taint node w1 a-")
	shows("with one worker tainted", "cp1 2, w1 1, w2 0, pending 3")
	l.run(0, "sudo kubectl taint node w2 a-")
	shows("healthy again", "cp1 2, w1 2, w2 2, pending 0")
}

// What is deleted of k3s's own stays away until the server starts again.
func TestAddonsAreAppliedAtTheStart(t *testing.T) {
	l := newLab(t)
	l.cluster(2, correct)
	const get = "sudo kubectl -n kube-system get service kube-dns"
	l.run(0, "sudo kubectl -n kube-system delete service kube-dns")
	l.run(1, "sudo systemctl restart k3s-agent")
	l.ready(1)
	l.fails(0, get, 1, "not found")
	l.run(0, "sudo systemctl restart k3s")
	l.eventually(func() error { _, err := l.exec(0, get, ""); return err })
	if err := has(l.run(0, get), "ClusterIP 10.43.0.10 <none> 53/UDP,53/TCP,9153/TCP"); err != nil {
		t.Error(err)
	}
}

// An address outside of the networks for services is refused, until another network is one of them.
func TestServiceCIDR(t *testing.T) {
	l := newLab(t)
	l.cluster(1, correct)
	service := func(name, ip string) string {
		return `sudo kubectl apply -f - <<'EOF'
{"apiVersion":"v1","kind":"Service","metadata":{"name":"` + name + `"},"spec":{"clusterIP":"` + ip + `","ports":[{"port":80}]}}
EOF`
	}
	l.fails(0, service("x", "198.18.43.10"), 1, `The Service "x" is invalid: spec.clusterIPs: Invalid value: ["198.18.43.10"]: failed to allocate IP 198.18.43.10: the provided network does not match the current range`)
	l.fails(0, service("x", "10.43.0.10"), 1, "provided IP is already allocated")
	l.fails(0, service("x", "10.43.0"), 1, "must be a valid IP address")
	l.run(0, `sudo kubectl apply -f - <<'EOF'
{"apiVersion":"networking.k8s.io/v1","kind":"ServiceCIDR","metadata":{"name":"more"},"spec":{"cidrs":["198.18.43.0/24"]}}
EOF`)
	l.run(0, service("x", "198.18.43.10"))
	for _, want := range []string{"kubernetes 10.43.0.0/16 ", "more 198.18.43.0/24 "} {
		if err := has(l.run(0, "sudo kubectl get servicecidrs"), want); err != nil {
			t.Error(err)
		}
	}
}
