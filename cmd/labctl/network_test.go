package main

import (
	"crypto/ed25519"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/labctl/labctl/internal/sim"
)

// fewestTroubles is how many kinds of trouble with the network must at least have been met.
const fewestTroubles = 8

const twoNodes = "nodes:\n  - {name: cp1, role: server, address: 192.168.56.10}\n  - {name: w1, role: agent, address: 192.168.56.11}\n"

// trouble is one way in which a network, or what is behind it, lets labctl down.
type trouble struct {
	name string
	on   string                                             // what is saved under this name is there before
	args []string                                           // of the command that meets it
	rule func(e sim.Event, step string, nth int) sim.Ruling // one at a time
	exit int
	says []string // on standard error, whatever the exit status
	most int      // times that rule may be asked; 0 is any number
}

func troubles(s *stage) []trouble {
	upTo := []string{"up", "--to", "machines"}
	// first lets a step go wrong the first times that labctl comes to it; times 0 is always.
	first := func(times int, step string, after bool, r sim.Ruling) func(sim.Event, string, int) sim.Ruling {
		return func(e sim.Event, at string, nth int) sim.Ruling {
			if at == step && e.After == after && (times == 0 || nth < times) {
				return r
			}
			return sim.Ruling{}
		}
	}
	const sshd = "dial a node's sshd"
	// unavailable is an API server that is starting, or without its database.
	unavailable := func(times int) func(sim.Event, string, int) sim.Ruling {
		asked := 0 // of all commands of kubectl together
		return func(e sim.Event, step string, _ int) sim.Ruling {
			if !strings.HasPrefix(step, "server: sudo kubectl") || e.After || times > 0 && asked >= times {
				return sim.Ruling{}
			}
			if asked++; asked%2 == 0 {
				return sim.Ruling{Do: sim.Fail, Exit: 1, Stderr: "The connection to the server 127.0.0.1:6443 was refused - did you specify the right host or port?\n"}
			}
			return sim.Ruling{Do: sim.Fail, Exit: 1, Stderr: "Error from server (ServiceUnavailable): the server is currently unable to handle the request\n"}
		}
	}
	return []trouble{
		{name: "sshd refuses for a while", on: "empty", args: upTo, rule: first(6, sshd, false, sim.Ruling{Do: sim.Refuse}), says: []string{"connection refused"}},
		{name: "sshd refuses for ever", on: "empty", args: append(upTo, "--timeout", "2s"), rule: first(0, sshd, false, sim.Ruling{Do: sim.Refuse}),
			exit: exitTimeout, says: []string{"not within 2s", "connection refused"}},
		{name: "sshd accepts and says nothing, for ever", on: "empty", args: append(upTo, "--timeout", "2s"), rule: first(0, sshd, false, sim.Ruling{Do: sim.Hang}),
			exit: exitTimeout, says: []string{"not within 2s", "no SSH handshake"}},
		{name: "the image's server refuses once", on: "empty", args: upTo, rule: first(1, "dial images.simulated:80", false, sim.Ruling{Do: sim.Refuse}),
			says: []string{"downloading the image: ", "connection refused; trying again (2 of 4)"}},
		{name: "the server of k3s refuses once", on: "machines", args: []string{"up"}, rule: first(1, "dial k3s.simulated:80", false, sim.Ruling{Do: sim.Refuse}),
			says: []string{"fetching the checksums of k3s", "connection refused; trying again (2 of 4)"}},
		{name: "connection reset in the middle of pushing k3s", on: "machines", args: []string{"up"},
			rule: first(1, "server: push k3s", false, sim.Ruling{Do: sim.Cut, Bytes: 1000}), says: []string{"connecting again", "connection lost"}},
		{name: "connection reset after k3s was pushed", on: "machines", args: []string{"up"},
			rule: first(1, "agent: push k3s", true, sim.Ruling{Do: sim.Cut}), says: []string{"connecting again"}},
		{name: "connection reset whenever k3s is pushed", on: "machines", args: []string{"up", "--timeout", "3s"},
			rule: first(0, "server: push k3s", false, sim.Ruling{Do: sim.Cut, Bytes: 1000}), exit: exitTimeout, says: []string{"not within 3s", "connection lost"}},
		{name: "connection reset while the demo is applied", on: "machines", args: []string{"up"},
			rule: first(1, "server: sudo kubectl apply -f", true, sim.Ruling{Do: sim.Cut}), says: []string{"connecting again"}},
		{name: "a command on a node never ends", on: "machines", args: []string{"up", "--timeout", "3s"},
			rule: first(0, "server: start k3s", false, sim.Ruling{Do: sim.Hang}), exit: exitTimeout, says: []string{"not within 3s", "starting k3s"}},
		{name: "a node reboots during the installation", on: "machines", args: []string{"up"}, says: []string{"connecting again"},
			rule: func(e sim.Event, step string, nth int) sim.Ruling {
				if step != "agent: start k3s" || e.After || nth > 0 {
					return sim.Ruling{}
				}
				s.vboxmanage("controlvm", "lab-w1", "poweroff")
				s.vboxmanage("startvm", "lab-w1", "--type", "headless")
				return sim.Ruling{Do: sim.Cut}
			}},
		{name: "the API server answers errors for a while", on: "machines", args: []string{"up"}, rule: unavailable(8), says: []string{"unable to handle the request"}},
		{name: "the API server answers errors for ever", on: "machines", args: []string{"up", "--timeout", "4s"}, rule: unavailable(0),
			exit: exitTimeout, says: []string{"not within 4s", "127.0.0.1:6443 was refused"}},
		{name: "another host key on cp1's address", on: "changed", args: []string{"up"}, exit: exitUnable,
			says: []string{"another key is known", "it shows SHA256:", "replaced behind labctl's back"}, most: 1,
			rule: func(e sim.Event, _ string, _ int) sim.Ruling { return sim.Ruling{} }},
	}
}

// TestNetworkMisbehaves lets labctl meet each trouble. It succeeds, or ends at its limit and names the cause, and then the next up works.
func TestNetworkMisbehaves(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	file := filepath.Join(s.dir, "two.yaml")
	if err := os.WriteFile(file, []byte(twoNodes), 0o600); err != nil {
		t.Fatal(err)
	}
	s.save("empty")
	s.must("--lab", file, "up", "--to", "machines")
	s.save("machines")
	pinned := s.changeHostKey("lab-cp1", nil)
	s.save("changed")

	rows := troubles(s)
	if len(rows) < fewestTroubles {
		t.Errorf("only %d kinds of trouble", len(rows))
	}
	var table strings.Builder
	fmt.Fprintf(&table, "the network misbehaves: %d kinds\n\n%-48s %s\n", len(rows), "trouble", "outcome of up")
	for _, row := range rows {
		s.restore(row.on)
		var mu sync.Mutex
		times, dials := map[string]int{}, 0
		s.direct(func(e sim.Event) sim.Ruling {
			mu.Lock()
			defer mu.Unlock()
			if e.Kind == sim.DialEvent && e.Where == "192.168.56.10:22" {
				dials++
			}
			step := stepOf(e)
			key := step + fmt.Sprint(e.After)
			nth := times[key]
			times[key]++
			return row.rule(e, step, nth)
		})
		status, _, errs := s.run(append([]string{"--lab", file}, row.args...)...)
		s.direct(nil)
		outcome := "succeeds"
		switch {
		case status != row.exit:
			t.Errorf("%s: status %d, not %d\n%s", row.name, status, row.exit, errs)
			outcome = "FAILED"
		case status != exitOK:
			outcome = fmt.Sprintf("exit %d: %s; the next one succeeds", status, row.says[0])
		}
		for _, want := range row.says {
			if !strings.Contains(errs, want) {
				t.Errorf("%s: it does not say %q:\n%s", row.name, want, errs)
			}
		}
		if row.most > 0 && dials > row.most {
			t.Errorf("%s: it was tried %d times", row.name, dials)
		}
		if row.on == "changed" {
			s.changeHostKey("lab-cp1", pinned)
		}
		next, _, _ := strings.Cut(strings.Join(row.args, " "), " --timeout")
		if status, _, errs := s.run(append([]string{"--lab", file}, strings.Fields(next)...)...); status != exitOK {
			t.Errorf("%s: the next %s: status %d\n%s", row.name, next, status, errs)
		}
		fmt.Fprintf(&table, "%-48s %s\n", row.name, outcome)
	}
	writeTable(t, "network", table.String())
}

// changeHostKey gives a guest another SSH host key, a new one if key is nil, and returns the old one.
func (s *stage) changeHostKey(machine string, key []byte) (old []byte) {
	s.t.Helper()
	disk := ""
	for line := range strings.Lines(s.vboxmanage("showvminfo", machine, "--machinereadable")) {
		if uuid, ok := strings.CutPrefix(strings.TrimSpace(line), `"SATA-ImageUUID-0-0"="`); ok {
			disk = strings.TrimSuffix(uuid, `"`)
		}
	}
	file := filepath.Join(s.world(), "guests", disk, "root", "etc", "ssh", "ssh_host_ed25519_key")
	old, err := os.ReadFile(file)
	if err != nil {
		s.t.Fatal(err)
	}
	if key == nil {
		block, err := ssh.MarshalPrivateKey(ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)), "")
		if err != nil {
			s.t.Fatal(err)
		}
		key = pem.EncodeToMemory(block)
	}
	if err := os.WriteFile(file, key, 0o600); err != nil {
		s.t.Fatal(err)
	}
	return old
}
