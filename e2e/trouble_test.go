//go:build linux && e2e

package e2e

import (
	"encoding/json"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
)

// TestInterrupted stops up while a machine boots, in both ways; the next up waits until it has booted. It is part of
// `make e2e-full`, as all in this file.
func TestInterrupted(t *testing.T) {
	l := troubled(t)
	l.chapter("Ctrl-C while the machine boots", func() {
		r := l.interrupt("waiting for sshd", syscall.SIGINT, "up", "--to", "machines")
		if r.exit != 130 || !strings.Contains(r.stderr, "labctl: hint: what was made so far is kept") {
			l.t.Errorf("exit status %d", r.exit)
		}
		if got := l.property("cp1", "VMState"); got != "running" {
			l.t.Errorf("the machine is %s", got)
		}
	})
	l.chapter("kill -9 while the machine boots", func() {
		l.interrupt("waiting for sshd", syscall.SIGKILL, "up", "--to", "machines")
	})
	l.chapter("the next up works", func() {
		l.must("up", "--to", "machines", patience)
		l.checkGuest(l.nodes[0])
	})
	l.chapter("destroy", func() { l.must("destroy", "--yes") })
}

// troubled makes a lab of one machine.
func troubled(t *testing.T) *lab {
	if os.Getenv("LABCTL_E2E_FULL") == "" {
		t.Skip("not run: LABCTL_E2E_FULL is not set")
	}
	return newLab(t, 1)
}

// TestTrouble is the life of a machine to which bad things happen; each ends with a clear word and an up that works.
func TestTrouble(t *testing.T) {
	l := troubled(t)
	var boot string

	l.chapter("up", func() {
		l.must("up", "--to", "machines", patience)
		boot = l.boots()["cp1"]
	})

	l.chapter("the host-only cable is pulled: labctl says so, and gets in through NAT", func() {
		l.vboxManage("controlvm", "lab-cp1", "setlinkstate2", "off")
		if got := l.ssh(); got != "nat" {
			l.t.Errorf("status says %q of SSH, want nat", got)
		}
		r := l.labctl("ssh", "cp1", "--", "cat", "/sys/class/net/enp0s8/carrier")
		if r.exit != 0 || r.stdout != "0\n" || !strings.Contains(r.stderr, "the host-only network is down for cp1") {
			l.t.Errorf("exit status %d, carrier %q", r.exit, r.stdout)
		}
		l.vboxManage("controlvm", "lab-cp1", "setlinkstate2", "on")
		l.await("the cable to work again", func() bool { return l.ssh() == "ok" })
	})

	l.chapter("its state is saved: up goes on with it", func() {
		l.vboxManage("controlvm", "lab-cp1", "savestate")
		l.must("up", "--to", "machines", patience, "--yes")
		if got := l.boots()["cp1"]; got != boot {
			l.t.Errorf("the machine was booted anew")
		}
	})

	l.chapter("its port is taken while it is down: up takes another", func() {
		rule := strings.Split(l.property("cp1", "Forwarding(0)"), ",")
		l.must("down")
		taken, err := net.Listen("tcp", net.JoinHostPort(rule[2], rule[3]))
		if err != nil {
			l.t.Fatal(err)
		}
		defer taken.Close()
		l.must("up", "--to", "machines", patience)
		if again := strings.Split(l.property("cp1", "Forwarding(0)"), ","); again[3] == rule[3] {
			l.t.Errorf("the rule is still %q", again)
		}
	})

	l.chapter("destroy", func() { l.must("destroy", "--yes") })
}

// ssh is what status says of the server's SSH.
func (l *lab) ssh() string {
	l.t.Helper()
	var status struct{ Nodes []struct{ SSH string } }
	if err := json.Unmarshal([]byte(l.must("status", "-o", "json").stdout), &status); err != nil || len(status.Nodes) != 1 {
		l.t.Fatalf("status: %v %+v", err, status)
	}
	return status.Nodes[0].SSH
}
