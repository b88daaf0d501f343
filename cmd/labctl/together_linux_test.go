package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/labctl/labctl/internal/sim"
)

// TestSecondOneIsTold holds an up at a step, and meanwhile runs every command that changes the lab: each is told who holds it and since
// when, and changes nothing. The up then ends as if nothing had been.
func TestSecondOneIsTold(t *testing.T) {
	t.Parallel()
	a := &actor{stage: newStage(t)}
	s := a.stage
	s.must("up", "--to", "image") // so that the lab is known
	reached, released := make(chan struct{}), make(chan struct{})
	var once sync.Once
	s.direct(func(e sim.Event) sim.Ruling {
		if stepOf(e) == "VBoxManage createvm" && !e.After {
			once.Do(func() { close(reached); <-released })
		}
		return sim.Ruling{}
	})
	p := a.program("up", "--to", "machines")
	if err := p.start(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-reached:
	case <-p.over:
		t.Fatalf("up ended: %v\n%s", p.err, p.stderr.String())
	}
	told := regexp.MustCompile(fmt.Sprintf(`another labctl is at work on this lab \(labctl up, process %d, since 20\d\d-\d\d-\d\d \d\d:\d\d:\d\d\)`, p.Process.Pid))
	for _, args := range [][]string{
		{"up"}, {"down"}, {"start"}, {"destroy", "--yes"}, {"break", "node-ip-missing"}, {"fix"},
	} {
		status, _, errs := s.run(args...)
		if status != exitUnable || !told.MatchString(errs) {
			t.Errorf("labctl %v beside up: status %d\n%s", args, status, errs)
		}
	}
	close(released)
	if err := p.awaitEnd(5 * time.Minute); err != nil || p.err != nil {
		t.Fatalf("up: %v\n%s", errors.Join(err, p.err), p.stderr.String())
	}
	if out := s.must("up", "--to", "machines"); !strings.Contains(out, "nothing to change") {
		t.Errorf("it was disturbed: %s", out)
	}
}

// TestTwoLabsAtOnce makes two labs at the same time, with another that is there already: they share what they can and have the rest for
// themselves. Each is destroyed without touching the other; a lab that wants another's addresses is refused before anything is made.
func TestTwoLabsAtOnce(t *testing.T) {
	t.Parallel()
	a := &actor{stage: newStage(t)}
	s := a.stage
	var programs []*program
	file := func(name string, host int) string {
		path := filepath.Join(s.dir, name+".yaml")
		lab := fmt.Sprintf("name: %s\nnodes:\n  - {name: cp1, role: server, address: 192.168.56.%d}\n", name, host)
		if err := os.WriteFile(path, []byte(lab), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	// Each comes to where it has looked for an adapter, or a port, and found the same as the other.
	s.direct(meeting("VBoxManage list hostonlyifs", "VBoxManage list vms"))
	one, two, same := file("one", 50), file("two", 60), file("same", 50)
	for _, lab := range []string{one, two} {
		p := a.program("--lab", lab, "up", "--to", "machines")
		if err := p.start(); err != nil {
			t.Fatal(err)
		}
		programs = append(programs, p)
	}
	for _, p := range programs {
		if err := p.awaitEnd(5 * time.Minute); err != nil || p.err != nil {
			t.Fatalf("up: %v\n%s", errors.Join(err, p.err), p.stderr.String())
		}
	}
	things, err := s.things()
	want := []string{
		"adapter vboxnet1 192.168.56.1/24", "machine one-cp1 nat(ssh) hostonly", "machine two-cp1 nat(ssh) hostonly",
		"medium a3/base-20GiB.vdi", "medium cp/disk.vdi", "medium cp/disk.vdi", "medium cp/seed.iso", "medium cp/seed.iso", "note labctl/network/vboxnet1",
	}
	if diff := cmp.Diff(want, things); diff != "" || err != nil {
		t.Errorf("%v; in VirtualBox (-want +got):\n%s", err, diff)
	}
	ports := map[string]bool{}
	for _, machine := range []string{"one-cp1", "two-cp1", "lab-w9"} {
		m := regexp.MustCompile(`Forwarding\(0\)="ssh,tcp,127\.0\.0\.1,(\d+),,22"`).FindStringSubmatch(s.vboxmanage("showvminfo", machine, "--machinereadable"))
		if m == nil || ports[m[1]] {
			t.Errorf("machine %s has no port of its own: %v", machine, m)
			continue
		}
		ports[m[1]] = true
	}
	status, _, errs := s.run("--lab", same, "up", "--to", "machines")
	if status != exitUsage || !strings.Contains(errs, `192.168.56.50`) || !strings.Contains(errs, `lab "one"`) {
		t.Errorf("a lab with another's address: status %d\n%s", status, errs)
	}
	if _, err := os.Stat(filepath.Join(filepath.Dir(s.folder()), "same")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it has a folder: %v", err)
	}
	s.must("--lab", one, "destroy", "--yes")
	if out := s.must("--lab", two, "up", "--to", "machines"); !strings.Contains(out, "nothing to change") {
		t.Errorf("lab two was disturbed: %s", out)
	}
	s.must("--lab", same, "up", "--to", "machines")
	s.must("--lab", same, "destroy", "--yes")
	s.must("--lab", two, "destroy", "--yes")
	if things, err := s.things(); len(things) > 0 || err != nil {
		t.Errorf("left: %q, %v", things, err)
	}
}

// TestSameAddressesAtOnce: of two labs that want the same addresses and are made at the same time the second is refused before anything is
// made of it, also while the first has not stored its configuration.
func TestSameAddressesAtOnce(t *testing.T) {
	t.Parallel()
	a := &actor{stage: newStage(t)}
	s := a.stage
	file := func(name string) string {
		path := filepath.Join(s.dir, name+".yaml")
		if err := os.WriteFile(path, []byte("name: "+name+"\n"+oneNode), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	one, two := file("one"), file("two")
	reached, released := make(chan struct{}), make(chan struct{})
	var held atomic.Bool
	s.direct(func(sim.Event) sim.Ruling {
		if exists(filepath.Join(filepath.Dir(s.folder()), "one", "lock.holder")) && held.CompareAndSwap(false, true) {
			close(reached)
			<-released
		}
		return sim.Ruling{}
	})
	p := a.program("--lab", one, "up", "--to", "machines")
	if err := p.start(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-reached:
	case <-p.over:
		t.Fatalf("up ended: %v\n%s", p.err, p.stderr.String())
	}
	if exists(filepath.Join(filepath.Dir(s.folder()), "one", "lab.yaml")) {
		t.Fatal("its configuration is stored already: this test shows nothing")
	}
	status, _, errs := s.run("--lab", two, "up", "--to", "machines")
	if status != exitUsage || !strings.Contains(errs, `192.168.56.10`) || !strings.Contains(errs, `lab "one"`) {
		t.Errorf("a lab with another's address: status %d\n%s", status, errs)
	}
	close(released)
	if err := p.awaitEnd(5 * time.Minute); err != nil || p.err != nil {
		t.Fatalf("up: %v\n%s", errors.Join(err, p.err), p.stderr.String())
	}
	s.must("--lab", one, "destroy", "--yes")
	s.must("--lab", two, "up", "--to", "image") // the address is free again
}

// meeting lets two runs wait for each other after the first of each of these steps, for a while: where one keeps the other out, they don't
// meet there.
func meeting(steps ...string) func(sim.Event) sim.Ruling {
	var mu sync.Mutex
	came := map[string]chan struct{}{}
	return func(e sim.Event) sim.Ruling {
		step := stepOf(e)
		if !e.After || !slices.Contains(steps, step) {
			return sim.Ruling{}
		}
		mu.Lock()
		first, ok := came[step]
		if !ok {
			first = make(chan struct{})
			came[step] = first
			mu.Unlock()
			select {
			case <-first:
			case <-time.After(2 * time.Second):
			}
			return sim.Ruling{}
		}
		select {
		case <-first:
		default:
			close(first)
		}
		mu.Unlock()
		return sim.Ruling{}
	}
}

// TestDamagedFolder damages a lab's folder in each way in which folders are: up tells what it is and the way out, invents nothing and
// touches nothing foreign, and destroy finds what is the lab's by its mark.
func TestDamagedFolder(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	lab := filepath.Join(s.dir, "lab.yaml")
	if err := os.WriteFile(lab, []byte(oneNode), 0o600); err != nil {
		t.Fatal(err)
	}
	s.must("--lab", lab, "up", "--to", "machines")
	s.save("built")
	in := func(name ...string) string { return filepath.Join(append([]string{s.folder()}, name...)...) }
	truncate := func(name ...string) func() error {
		return func() error {
			b, err := os.ReadFile(in(name...))
			if err != nil {
				return err
			}
			return os.WriteFile(in(name...), b[:len(b)/2], 0o600)
		}
	}
	remove := func(name ...string) func() error { return func() error { return os.Remove(in(name...)) } }
	state := []string{"pulumi", "state", ".pulumi", "stacks", "labctl", "lab.json"}
	for _, row := range []struct {
		name   string
		damage func() error
		exit   int      // of up
		says   []string // of up
	}{
		{"the state is cut off", truncate(state...), exitUnable, []string{"reading the lab's state", " destroy"}},
		{"the state is lost", remove(state...), exitOK, nil},
		{"the lab's id is lost", remove("id"), exitUnable, []string{"damaged", "id\" is missing", " destroy"}},
		{"the lab's id is cut off", truncate("id"), exitUnable, []string{"damaged", "holds no id", " destroy"}},
		{"the passphrase is lost", remove("passphrase"), exitUnable, []string{"damaged", "passphrase", " destroy"}},
		{"the SSH key is lost", remove("id_ed25519"), exitUnable, []string{"damaged", "id_ed25519", " destroy"}},
		{"the token is empty", func() error { return os.Truncate(in("token"), 0) }, exitUnable, []string{"damaged", "token", " destroy"}},
		{"the passphrase is cut off", truncate("passphrase"), exitUnable, []string{"damaged", "passphrase", " destroy"}},
		{"a host key is cut off", truncate("hostkeys", "cp1"), exitUnable, []string{"damaged", "hostkeys/cp1", " destroy"}},
		{"a host key's public half is empty", func() error { return os.Truncate(in("hostkeys", "cp1.pub"), 0) }, exitOK, nil},
		{"the stored configuration is cut off", truncate("lab.yaml"), exitOK, nil},
		{"the stored configuration is lost", remove("lab.yaml"), exitOK, nil},
		{"the folder is lost", func() error { return os.RemoveAll(s.folder()) }, exitUnable, []string{"has lost its folder", "lab-cp1", "destroy"}},
		{"the folder was moved", func() error {
			return s.moveMachine(filepath.Join(s.root, "elsewhere"))
		}, exitUnable, []string{"was copied or moved", "elsewhere", "XDG_DATA_HOME"}},
	} {
		s.restore("built")
		if err := row.damage(); err != nil {
			t.Fatal(err)
		}
		status, _, errs := s.run("--lab", lab, "up", "--to", "machines")
		if status != row.exit {
			t.Errorf("%s: up: status %d\n%s", row.name, status, errs)
		}
		for _, want := range row.says {
			if !strings.Contains(errs, want) {
				t.Errorf("%s: up does not say %q:\n%s", row.name, want, errs)
			}
		}
		if status, _, errs := s.run("--lab", lab, "destroy", "--yes"); status != exitOK {
			t.Errorf("%s: destroy: status %d\n%s", row.name, status, errs)
		}
		if things, err := s.things(); len(things) > 0 || err != nil {
			t.Errorf("%s: destroy leaves %q, %v", row.name, things, err)
		}
		if status, _, errs := s.run("--lab", lab, "up", "--to", "machines"); status != exitOK {
			t.Errorf("%s: up after destroy: status %d\n%s", row.name, status, errs)
		}
	}
}

// moveMachine makes a machine's settings file be in another folder than the lab's, as it is where the lab's folder was copied.
func (s *stage) moveMachine(to string) error {
	path := filepath.Join(s.world(), "virtualbox.json")
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	from := filepath.Join(s.folder(), "machines", "cp1", "labctl")
	if err := errors.Join(os.MkdirAll(to, 0o700), os.Rename(from, filepath.Join(to, "labctl"))); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(strings.ReplaceAll(string(b), from+string(os.PathSeparator), filepath.Join(to, "labctl")+string(os.PathSeparator))), 0o600)
}

// TestCopiedFolder: a copy of a lab's folder under another lab's name has that one's keys and id. It is refused, and destroy removes the
// copy and nothing else.
func TestCopiedFolder(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	lab, other := filepath.Join(s.dir, "lab.yaml"), filepath.Join(s.dir, "other.yaml")
	err := errors.Join(os.WriteFile(lab, []byte(oneNode), 0o600),
		os.WriteFile(other, []byte("name: other\nnodes:\n  - {name: cp1, role: server, address: 192.168.56.60}\n"), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	s.must("--lab", lab, "up", "--to", "machines")
	before, err := s.things()
	if err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(filepath.Dir(s.folder()), "other")
	s.copy(s.folder(), copied)
	for _, args := range [][]string{{"up"}, {"verify"}, {"down"}} {
		status, _, errs := s.run(append([]string{"--lab", other}, args...)...)
		if status != exitUnable || !strings.Contains(errs, "copy of another lab's") || !strings.Contains(errs, "labctl: hint: remove the copy") {
			t.Errorf("labctl %v: status %d\n%s", args, status, errs)
		}
	}
	s.must("--lab", other, "destroy", "--yes")
	if _, err := os.Stat(copied); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the copy is there: %v", err)
	}
	after, err := s.things()
	if diff := cmp.Diff(before, after); diff != "" || err != nil {
		t.Errorf("%v; in VirtualBox (-before +after):\n%s", err, diff)
	}
	if out := s.must("--lab", lab, "up", "--to", "machines"); !strings.Contains(out, "nothing to change") {
		t.Errorf("the lab was disturbed: %s", out)
	}
	s.must("--lab", other, "up", "--to", "machines")
}
