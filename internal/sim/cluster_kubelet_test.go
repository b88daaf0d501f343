package sim

import (
	"fmt"
	"strings"
	"testing"
)

// The API server reaches a kubelet by the tunnel of its node's agent: the node's address need lead nowhere, but it must be one node's.
func TestKubeletByTunnel(t *testing.T) {
	l := newLab(t)
	without := func(nodes ...int) func(int) string {
		return func(n int) string {
			s := correct(n)
			for _, m := range nodes {
				if n == m {
					s = strings.Replace(s, "node-ip: ", "#node-ip: ", 1)
				}
			}
			return s
		}
	}
	l.cluster(3, without(1))
	l.demo()
	exec := func(n int) string { return "sudo kubectl exec -n demo " + l.pod("app=probe", n) + " -- hostname" }
	for n := range 3 {
		l.run(0, exec(n))
	}
	l.k3s(2, without(2)(2))
	l.ready(2)
	if got := strings.Count(l.run(0, "sudo kubectl get nodes -o wide"), " 10.0.2.15 "); got != 2 {
		t.Fatalf("%d nodes have 10.0.2.15", got)
	}
	l.fails(0, exec(1), 1, "error: unable to upgrade connection: pod does not exist")
	l.run(0, exec(2))
	l.k3s(2, correct(2))
	l.ready(2)
	l.run(0, exec(1))
	l.run(1, "sudo systemctl stop k3s-agent")
	l.fails(0, exec(1), 1, "while dialing 10.0.2.15:10250, code 502: 502 Bad Gateway")
	l.run(1, "sudo systemctl start k3s-agent")
	l.ready(1)
	// Without tunnels, the server finds itself at that address.
	l.k3s(0, correct(0)+"egress-selector-mode: disabled\n")
	l.ready(1)
	l.fails(0, exec(1), 1, "error: unable to upgrade connection: pod does not exist")
	l.run(0, exec(2))
}

// Once a node has an external address, ServiceLB publishes only those.
func TestExternalIP(t *testing.T) {
	l := newLab(t)
	l.cluster(2, correct)
	const service = "sudo kubectl -n kube-system get service traefik --no-headers"
	published := func(want string) {
		t.Helper()
		l.eventually(func() error { return has(l.run(0, service), " "+want+" ") })
	}
	published("192.168.56.10,192.168.56.11")
	l.k3s(1, correct(1)+"node-external-ip: 203.0.113.7\n")
	l.ready(1)
	published("203.0.113.7")
	if err := has(l.run(0, "sudo kubectl get node w1 -o wide --no-headers"), " 192.168.56.11 203.0.113.7 "); err != nil {
		t.Error(err)
	}
	if err := has(l.run(0, "sudo kubectl get node w1 -o jsonpath='{.status.addresses}'"), `{"address":"203.0.113.7","type":"ExternalIP"}`); err != nil {
		t.Error(err)
	}
	l.k3s(1, correct(1)+"node-external-ip: nonsense\n")
	l.eventually(func() error { return has(l.run(1, "systemctl is-active k3s-agent || true"), "failed") })
	l.k3s(1, correct(1))
	l.ready(1)
	published("192.168.56.10,192.168.56.11")
}

// has reports a text that lacks another one, however many blanks stand between its words.
func has(text, want string) error {
	if !strings.Contains(strings.Join(strings.Fields(text), " ")+" ", want) {
		return fmt.Errorf("no %q in %q", want, text)
	}
	return nil
}
