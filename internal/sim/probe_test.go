package sim

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestWithoutNodeIP(t *testing.T) {
	l := newLab(t)
	l.cluster(3, func(n int) string {
		s := "token: secret\n"
		if n > 0 {
			s += "server: https://192.168.56.10:6443\n"
		}
		return s
	})
	l.demo()
	nodes := l.run(0, "sudo kubectl get nodes -o wide")
	if got := strings.Count(nodes, " 10.0.2.15 "); got != 3 || strings.Count(nodes, " Ready ") != 3 {
		t.Errorf("want three Ready nodes with 10.0.2.15:\n%s", nodes)
	}
	if got := strings.Count(l.run(0, "sudo kubectl get nodes -o json"), `"flannel.alpha.coreos.com/public-ip": "10.0.2.15"`); got != 3 {
		t.Errorf("%d of 3 nodes have the public-ip 10.0.2.15", got)
	}
	if got := l.run(1, "ip -d link show flannel.1"); !strings.Contains(got, "local 10.0.2.15 dev enp0s3") {
		t.Errorf("flannel.1:\n%s", got)
	}
	if got := l.run(1, "ip route"); !strings.Contains(got, "10.42.0.0/24 via 10.42.0.0 dev flannel.1 onlink") {
		t.Errorf("the routes look right all the same:\n%s", got)
	}
	// Pods answer on their own node only.
	answers := l.tries(0, "http://"+l.clusterIP("default", "hello-svc")+"/")
	if !answers["28"] || !answers["0"] {
		t.Errorf("curl's exit statuses over a dead overlay: %v, want 0 and 28", answers)
	}
	l.fails(0, "sudo kubectl exec -n demo "+l.pod("app=probe", 1)+" -- hostname", 1, "error: unable to upgrade connection: pod does not exist")
}

// tries asks a URL from the nth node often enough to meet every endpoint, and collects curl's exit statuses.
func (l *lab) tries(n int, url string) map[string]bool {
	l.t.Helper()
	found := map[string]bool{}
	for range 6 {
		r, err := l.exec(n, "curl -sS -m 5 -o /dev/null -w '%{http_code} %{time_total}' "+url, "")
		if err != nil {
			l.t.Fatal(err)
		}
		found[fmt.Sprint(r.exit)] = true
		if r.exit == 28 && !strings.HasPrefix(r.out, "000 5.0") {
			l.t.Errorf("a curl that timed out says %q", r.out)
		}
	}
	return found
}

func TestNodePortFromTheHost(t *testing.T) {
	l := newLab(t)
	l.cluster(3, correct)
	l.demo()
	for n := range 3 {
		pods := map[string]bool{}
		for range 6 {
			body, err := l.get(t.Context(), fmt.Sprintf("http://%s:31885/?nonce=abc", nodeAddress(n)))
			if err != nil || !strings.Contains(body, "GET /?nonce=abc HTTP/1.1") {
				t.Fatalf("NodePort on %s: %q, %v", nodeName(n), body, err)
			}
			line, _, _ := strings.Cut(body, "\n")
			pods[line] = true
		}
		if len(pods) != 6 {
			t.Errorf("NodePort on %s met %d of 6 pods: %v", nodeName(n), len(pods), pods)
		}
	}
	if body, err := l.get(t.Context(), "http://192.168.56.11/"); err != nil || !strings.Contains(body, "404") {
		t.Errorf("traefik on a node's port 80: %q, %v", body, err)
	}
	ip := l.clusterIP("default", "hello-svc")
	if _, err := l.get(t.Context(), "http://"+ip+"/"); !errors.Is(err, syscall.ENETUNREACH) {
		t.Errorf("the ClusterIP from the host: %v, want unreachable", err)
	}
	dst := netip.MustParsePrefix("10.43.0.0/16")
	gateway := netip.MustParseAddr("192.168.56.11")
	if err := l.world.AddHostRoute(dst, gateway); err != nil {
		t.Fatal(err)
	}
	routes, err := l.world.HostRoutes(t.Context())
	want := `[{"dst":"10.43.0.0/16","gateway":"192.168.56.11","dev":"vboxnet0","flags":[]},{"dst":"192.168.56.0/24","dev":"vboxnet0","protocol":"kernel","scope":"link","prefsrc":"192.168.56.1","flags":[]}]`
	if err != nil || string(routes) != want {
		t.Errorf("the host's routes: %s, %v", routes, err)
	}
	if body, err := l.get(t.Context(), "http://"+ip+"/?nonce=abc"); err != nil || !strings.Contains(body, "nonce=abc") {
		t.Errorf("the ClusterIP with a route on the host: %q, %v", body, err)
	}
	if err := l.world.RemoveHostRoute(dst, gateway); err != nil {
		t.Fatal(err)
	}
	if _, err := l.get(t.Context(), "http://"+ip+"/"); !errors.Is(err, syscall.ENETUNREACH) {
		t.Errorf("the ClusterIP without the route again: %v", err)
	}
}

// A NodePort whose pod is on another node hangs if that node's tunnel is down, until the caller gives up.
func TestLostPackets(t *testing.T) {
	for name, command := range map[string]string{
		"device down":   "sudo ip link set flannel.1 down",
		"device gone":   "sudo ip link del flannel.1",
		"route deleted": "sudo ip route del 10.42.0.0/24",
		"machine-id":    "", // see below
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			if name == "machine-id" {
				// Both machines get one id before k3s starts: the first announces the MAC that both devices have.
				for n := range 2 {
					l.machine(n)
					l.up(n)
					l.run(n, "sudo sh -c 'printf %032d 0 >/etc/machine-id; systemctl restart systemd-udevd'")
					l.k3s(n, correct(n))
				}
				l.ready(0)
				l.ready(1)
				l.demo()
			} else {
				l.cluster(2, correct)
				l.demo()
				l.run(1, command)
			}
			lost := 0
			for range 6 {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				_, err := l.get(ctx, "http://192.168.56.10:31885/")
				cancel()
				if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) {
					lost++
				} else if err != nil {
					t.Errorf("NodePort: %v", err)
				}
			}
			if lost != 3 {
				t.Errorf("%d of 6 connections timed out, want the 3 to the other node's pods", lost)
			}
		})
	}
}

func TestIPVS(t *testing.T) {
	l := newLab(t)
	for n := range 2 {
		l.machine(n)
		l.up(n)
		l.run(n, "sudo modprobe -a ip_vs ip_vs_rr ip_vs_wrr ip_vs_sh")
		settings := correct(n) + "kube-proxy-arg: [proxy-mode=ipvs]\n"
		if n == 0 {
			settings += "disable: [servicelb]\n"
		}
		l.k3s(n, settings)
	}
	l.ready(0)
	l.ready(1)
	l.demo()
	ip := l.clusterIP("default", "hello-svc")
	for n := range 2 {
		line := l.run(n, "ip -br a show kube-ipvs0")
		if !strings.HasPrefix(line, "kube-ipvs0       DOWN ") || !strings.Contains(line, ip+"/32") || strings.Contains(line, "192.168.56") {
			t.Errorf("kube-ipvs0 of %s: %s", nodeName(n), line)
		}
	}
	if got := l.run(0, "sudo kubectl get svc -n kube-system traefik"); !strings.Contains(got, "<pending>") {
		t.Errorf("traefik without ServiceLB:\n%s", got)
	}
	if _, err := l.get(t.Context(), "http://192.168.56.11:31885/"); err != nil {
		t.Error(err)
	}
}

// The scheduler of a node's virtual servers is what its k3s was last started with, and in iptables mode of no interest.
func TestIPVSScheduler(t *testing.T) {
	l := newLab(t)
	more := ""
	settings := func(n int) string {
		l.run(n, "sudo modprobe ip_vs")
		if n == 0 { // ServiceLB would publish the nodes' addresses, and w1 take the server's for its own
			return correct(n) + more + "disable: [servicelb]\n"
		}
		return correct(n) + more
	}
	more = "kube-proxy-arg: [proxy-mode=ipvs]\n"
	l.cluster(2, settings)
	l.demo()
	shown := func(n int) string {
		var all []string
		for _, command := range []string{"sudo ipvsadm -Ln", "cat /proc/net/ip_vs"} {
			for line := range strings.Lines(l.run(n, command)) {
				words := strings.Fields(line)
				if (words[0] == "TCP" || words[0] == "UDP") && !slices.Contains(all, words[2]) {
					all = append(all, words[2])
				}
			}
		}
		return strings.Join(all, " ")
	}
	for _, step := range []struct{ settings, want string }{
		{"kube-proxy-arg: [proxy-mode=ipvs]\n", "rr"},
		{"kube-proxy-arg: [proxy-mode=ipvs, ipvs-scheduler=lc]\n", "lc"},
		{"kube-proxy-arg: [proxy-mode=ipvs, ipvs-scheduler=lc, ipvs-scheduler=wlc]\n", "wlc"}, // the last one counts
		{"kube-proxy-arg: [ipvs-scheduler=random]\n", "wlc"},                                  // nothing changes what IPVS mode has left
		{"kube-proxy-arg: [proxy-mode=ipvs, ipvs-scheduler=]\n", "rr"},
	} {
		more = step.settings
		l.k3s(1, settings(1))
		l.eventually(func() error {
			if got := shown(1); got != step.want {
				return fmt.Errorf("%q: the virtual servers of w1 have %q, not %q", step.settings, got, step.want)
			}
			return nil
		})
		if got := shown(0); got != "rr" {
			t.Errorf("%q on w1: the virtual servers of cp1 have %q", step.settings, got)
		}
	}
	if got := l.run(1, "lsmod"); !strings.Contains(got, "ip_vs_lc ") {
		t.Errorf("lc's module was not loaded:\n%s", got)
	}
}
