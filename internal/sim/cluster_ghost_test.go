package sim

import (
	"strings"
	"testing"
)

// A node that nobody runs is shown, and changes nothing but that; a machine may join by its name, and gets its pod CIDR.
func TestNodeThatNobodyRuns(t *testing.T) {
	l := newLab(t)
	l.cluster(2, correct)
	apply := func(name, cidr string) string {
		return `sudo kubectl apply -f - <<'EOF'
{"apiVersion":"v1","kind":"Node","metadata":{"name":"` + name + `"},"spec":{"podCIDR":"` + cidr + `"}}
EOF`
	}
	l.run(0, apply("w2", "10.42.1.0/24"))
	l.demo()
	if err := has(l.run(0, "sudo kubectl get node w2 -o wide --no-headers"), "w2 NotReady <none>"); err != nil {
		t.Error(err)
	}
	if got := l.run(0, "sudo kubectl get nodes -o custom-columns=CIDR:.spec.podCIDR"); got != "CIDR\n10.42.0.0/24\n10.42.1.0/24\n10.42.1.0/24\n" {
		t.Errorf("pod CIDRs:\n%s", got)
	}
	if got := l.run(0, "sudo kubectl get pods -A -o wide"); strings.Contains(got, " w2 ") {
		t.Errorf("pods without a toleration are bound to it:\n%s", got)
	}
	if got := l.run(0, "ip route; bridge fdb show dev flannel.1; ip neigh show dev flannel.1"); strings.Count(got, "flannel.1 onlink") != 1 || strings.Count(got, "PERMANENT") != 1 || strings.Contains(got, "invalid") {
		t.Errorf("cp1 has more peers than w1:\n%s", got)
	}
	for range 4 {
		l.run(0, "curl -sS -m 2 -o /dev/null http://"+l.clusterIP("demo", "web-svc")+"/")
	}
	l.fails(0, apply("w1", "10.42.9.0/24"), 1, "node updates may not change podCIDR")
	l.fails(0, apply("x", "10.99.0.0/24"), 1, "SIMULATED")
	l.run(0, "sudo kubectl delete node w2")
	l.run(0, apply("w2", "10.42.7.0/24"))
	l.machine(2)
	l.up(2)
	l.k3s(2, correct(2))
	l.ready(2)
	if got := l.run(2, "cat /run/flannel/subnet.env"); !strings.Contains(got, "FLANNEL_SUBNET=10.42.7.1/24\n") {
		t.Errorf("w2 has:\n%s", got)
	}
	l.run(0, "sudo kubectl rollout status ds/probe -n demo && sudo kubectl exec -n demo "+l.pod("app=probe", 2)+" -- true")
}
