package sim

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The rules of a node that hears no more of the API server stay as they are, whatever becomes of the services; the others' follow.
func TestRulesOfANodeThatHearsNothing(t *testing.T) {
	for _, mode := range []string{"iptables", "ipvs"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			l.cluster(3, func(n int) string {
				s := correct(n) + "kube-proxy-arg: [proxy-mode=" + mode + "]\n"
				if n == 0 {
					s += "disable: [servicelb]\n"
				}
				if mode == "ipvs" {
					l.run(n, "sudo modprobe ip_vs")
				}
				return s
			})
			l.demo()
			ip := l.clusterIP("demo", "web-svc")
			target := regexp.MustCompile(`(?:--to-destination|->) (10\.42\.\d+\.\d+):80\b`)
			endpoints := func(n int) string {
				command := "sudo ipvsadm -Ln -t " + ip + ":80"
				if mode == "iptables" {
					command = "sudo iptables-save -t nat | grep demo/web-svc | grep to-destination"
				}
				r, err := l.exec(n, command, "")
				if err != nil {
					t.Fatal(err)
				}
				var all []string
				for _, m := range target.FindAllStringSubmatch(r.out, -1) {
					all = append(all, m[1])
				}
				slices.Sort(all)
				return strings.Join(all, " ")
			}
			same := func(when string, want func() string, nodes ...int) {
				t.Helper()
				for _, n := range nodes {
					l.eventually(func() error {
						if got, want := endpoints(n), want(); got != want {
							return fmt.Errorf("%s: %s has %q, want %q", when, nodeName(n), got, want)
						}
						return nil
					})
				}
			}
			ready := func() string {
				text := l.run(0, `sudo kubectl -n demo get pods -l app=web -o wide --no-headers | grep ' 1/1 ' | grep -v Pending || true`)
				all := regexp.MustCompile(`10\.42\.\d+\.\d+`).FindAllString(text, -1)
				slices.Sort(all)
				return strings.Join(all, " ")
			}
			both := endpoints(0)
			same("at first", ready, 0, 1, 2)
			is := func(s string) func() string { return func() string { return s } }
			if strings.Count(both, " ") != 1 {
				t.Fatalf("web has the endpoints %q, want two", both)
			}

			l.run(2, "sudo systemctl stop k3s-agent")
			l.run(0, "sudo kubectl -n demo scale deployment web --replicas=0")
			same("agent stopped", is(""), 0, 1)
			same("agent stopped", is(both), 2)
			l.world.mu.Lock()
			clear(l.world.heard) // as in another process
			l.world.mu.Unlock()
			same("seen by another process", is(both), 2)
			l.run(2, "sudo systemctl start k3s-agent")
			l.ready(2)
			same("agent started", is(""), 0, 1, 2)
			l.run(0, "sudo kubectl -n demo scale deployment web --replicas=2")
			same("two pods again", ready, 0, 1, 2)
			both = ready()

			l.run(0, "sudo systemctl stop k3s")
			same("server stopped", is(both), 0, 1, 2)
			l.run(0, "sudo systemctl start k3s")
			l.ready(0)

			l.vbox(func(s *vboxState) { s.machine("lab-w1").NICs[1].Cable = false })
			l.run(0, "sudo kubectl -n demo scale deployment web --replicas=0")
			same("cable out", is(""), 0, 2)
			l.vbox(func(s *vboxState) { s.machine("lab-w1").NICs[1].Cable = true })
			same("cable in", is(""), 1)
		})
	}
}
