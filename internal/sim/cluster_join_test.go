package sim

import (
	"errors"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestAgentWithAWrongToken(t *testing.T) {
	l := newLab(t)
	l.cluster(1, correct)
	full := strings.TrimSpace(l.run(0, "sudo cat /var/lib/rancher/k3s/server/node-token"))
	if !strings.HasPrefix(full, "K10") || !strings.HasSuffix(full, "::server:secret") {
		t.Fatalf("node-token: %q", full)
	}
	l.machine(1)
	l.up(1)
	for token, why := range map[string]string{
		"wrong": "401 Unauthorized", "K10" + strings.Repeat("0", 64) + "::server:secret": "token CA hash does not match", strings.TrimSuffix(full, "secret") + "wrong": "401 Unauthorized",
	} {
		l.k3s(1, nodeSettings(1, token))
		l.fails(1, "systemctl is-active k3s-agent", 3, "activating")
		if got := l.run(1, "journalctl -u k3s-agent -n 5 --no-pager -o cat"); !strings.Contains(got, why) {
			t.Errorf("token %q: the journal has no %q:\n%s", token, why, got)
		}
	}
	if got := l.run(0, "sudo kubectl get nodes"); strings.Contains(got, "w1") {
		t.Errorf("w1 joined:\n%s", got)
	}
	l.k3s(1, nodeSettings(1, full))
	l.ready(1)
	if got := l.run(1, "systemctl is-active k3s-agent"); got != "active\n" {
		t.Errorf("is-active: %q", got)
	}
}

func TestServiceNeedsItsFiles(t *testing.T) {
	const start = "sudo systemctl restart k3s"
	for name, tt := range map[string]struct{ settings, spoil, want string }{
		"no unit":         {correct(0), "sudo rm /etc/systemd/system/k3s.service", "not found"},
		"no binary":       {correct(0), "sudo rm /usr/local/bin/k3s", "No such file or directory"},
		"not executable":  {correct(0), "sudo chmod 644 /usr/local/bin/k3s", ""},
		"truncated":       {correct(0), "head -c 100 /usr/local/bin/k3s | sudo tee /usr/local/bin/k3s", ""},
		"not YAML":        {"node-ip: [", "true", "reading YAML"},
		"foreign address": {"node-ip: 192.168.56.77\n", "true", "failed to find interface with specified node ip"},
		"no such NIC":     {"flannel-iface: eth9\n", "true", "unable to find interface eth9"},
		"no module":       {"kube-proxy-arg: [proxy-mode=ipvs]\n", "true", "can't use the IPVS proxier"},
		"no scheduler":    {"kube-proxy-arg: [proxy-mode=ipvs, ipvs-scheduler=random]\n", "sudo modprobe ip_vs", "can't use the IPVS proxier: no such file"},
		"bad CIDR":        {"service-cidr: x\n", "true", "invalid CIDR address: x"},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			l.machine(0)
			l.up(0)
			l.k3s(0, correct(0))
			l.eventually(func() error { _, err := l.exec(0, "systemctl is-active k3s", ""); return err })
			l.run(0, "sudo tee /etc/rancher/k3s/config.yaml; "+tt.spoil, tt.settings)
			r, err := l.exec(0, start, "")
			if err != nil || r.exit == 0 {
				t.Errorf("%s succeeded: %v", start, err)
			}
			if name == "no unit" {
				return
			}
			l.fails(0, "systemctl is-active k3s", 3, "failed")
			if got := l.run(0, "journalctl -u k3s --no-pager"); !strings.Contains(got, tt.want) {
				t.Errorf("the journal has no %q:\n%s", tt.want, got)
			}
		})
	}
}

func TestMachineStops(t *testing.T) {
	l := newLab(t)
	l.cluster(3, correct)
	l.demo()
	ip := l.clusterIP("default", "hello-svc")
	l.vbox(func(s *vboxState) { s.machine("lab-w2").StopsAt = time.Now() })
	l.eventually(func() error {
		if got := l.run(0, "sudo kubectl get nodes"); !strings.Contains(got, "w2     NotReady") {
			return errors.New(got)
		}
		return nil
	})
	if _, err := l.dial(2, "192.168.56.12:22"); !errors.Is(err, syscall.EHOSTUNREACH) {
		t.Errorf("dialling a stopped machine: %v", err)
	}
	if got := l.run(0, "sudo kubectl get endpointslices -o json"); strings.Count(got, `"ready": false`) != 2 {
		t.Errorf("want two endpoints that are not ready:\n%s", got)
	}
	if answers := l.tries(1, "http://"+ip+"/"); !cmp.Equal(answers, map[string]bool{"0": true}) {
		t.Errorf("curl's exit statuses: %v", answers)
	}
	l.fails(0, "sudo kubectl exec -n demo "+l.pod("app=probe", 2)+" -- hostname", 1, "error dialing backend")

	// After a start all comes back by itself.
	l.vbox(func(s *vboxState) {
		m := s.machine("lab-w2")
		m.State, m.StopsAt, m.StartedAt = "running", time.Time{}, time.Now()
	})
	l.up(2)
	l.ready(2)
	l.eventually(func() error {
		_, err := l.get(t.Context(), "http://192.168.56.12:31885/")
		return err
	})
	l.run(2, "cat /run/flannel/subnet.env")
	if got := l.run(2, "sudo systemctl stop k3s-agent; systemctl is-enabled k3s-agent"); got != "enabled\n" {
		t.Errorf("is-enabled: %q", got)
	}
	if got := l.run(0, "sudo kubectl get nodes"); !strings.Contains(got, "w2     NotReady") {
		t.Errorf("after systemctl stop:\n%s", got)
	}
	if _, err := l.get(t.Context(), "http://192.168.56.12:31885/"); err != nil {
		t.Errorf("kube-proxy's rules outlive k3s: %v", err)
	}
}

func TestRecreatedWorker(t *testing.T) {
	l := newLab(t)
	l.cluster(2, correct)
	l.machine(1) // with a new disk
	l.up(1)
	l.k3s(1, correct(1))
	l.fails(1, "systemctl is-active k3s-agent", 3, "activating")
	if got := l.run(1, "journalctl -u k3s-agent -n 40 --no-pager -o cat"); !strings.Contains(got, "Node password rejected, duplicate hostname") {
		t.Errorf("journal:\n%s", got)
	}
	if got := l.run(0, "sudo kubectl get nodes"); !strings.Contains(got, "w1     NotReady") {
		t.Errorf("the old node:\n%s", got)
	}
	l.run(0, "sudo kubectl delete --ignore-not-found node/w1")
	l.fails(1, "systemctl is-active k3s-agent", 3, "activating")
	l.run(0, "sudo kubectl delete --ignore-not-found -n kube-system secret/w1.node-password.k3s")
	l.ready(1)
}

func TestRecreatedServerIsAnEmptyCluster(t *testing.T) {
	l := newLab(t)
	l.cluster(2, func(n int) string {
		if n == 0 {
			return correct(0)
		}
		return nodeSettings(n, strings.TrimSpace(l.run(0, "sudo cat /var/lib/rancher/k3s/server/node-token")))
	})
	l.demo()
	l.machine(0)
	l.up(0)
	l.k3s(0, correct(0))
	l.ready(0)
	if got := l.run(0, "sudo kubectl get nodes; sudo kubectl get ns"); strings.Contains(got, "w1") || strings.Contains(got, "demo") {
		t.Errorf("the new server remembers:\n%s", got)
	}
	l.run(1, "sudo systemctl restart --no-block k3s-agent")
	if got := l.run(1, "journalctl -u k3s-agent -n 5 --no-pager -o cat"); !strings.Contains(got, "token CA hash does not match") {
		t.Errorf("an agent of the old cluster:\n%s", got)
	}
}
