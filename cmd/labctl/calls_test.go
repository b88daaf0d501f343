package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/labctl/labctl/internal/sim"
)

// fewestCalls is how many calls of VBoxManage must at least have failed once.
const fewestCalls = 25

// passing are errors that pass: VirtualBox's server is starting, or busy with another program's call.
func passing() []string {
	const wrap = ", component SessionMachine, interface IMachine, callee nsISupports"
	var all []string
	for _, lines := range [][]string{
		{"The machine 'x' is already locked for a session (or being unlocked)", "Details: code VBOX_E_INVALID_OBJECT_STATE (0x80bb0007)" + wrap},
		{"The machine 'x' already has a lock request pending", "Details: code VBOX_E_INVALID_OBJECT_STATE (0x80bb0007)" + wrap},
		{"The object is not ready", "Details: code E_ACCESSDENIED (0x80070005)" + wrap},
		{"Code NS_ERROR_FAILURE (0x80004005) - Operation failed (extended info not available)"},
		{"Failed to create the VirtualBox object!", "Code CO_E_SERVER_EXEC_FAILURE (0x80080005) - Server execution failed (extended info not available)",
			"Most likely, the VirtualBox COM server is not running or failed to start."},
		{"Medium '/x.vdi' is locked for reading by another task", "Details: code VBOX_E_INVALID_OBJECT_STATE (0x80bb0007)" + wrap},
	} {
		text := ""
		for _, line := range lines {
			text += "VBoxManage: error: " + line + "\n"
		}
		all = append(all, text)
	}
	return all
}

// notRepeated are the calls that nothing repeats: what they may have done all the same would be done twice. The command fails, and the
// next one finds out what there is.
func notRepeated() []string {
	return []string{"hostonlyif create", "hostonlyif remove vboxnet1"}
}

const oneNode = "nodes:\n  - {name: cp1, role: server, address: 192.168.56.10}\n"

// TestEveryCallFails lets every kind of call that up and destroy make of VBoxManage fail once with an error that passes: before it has done
// anything, and after it has done all. labctl goes on by itself, or, where a call must not be repeated, says what VirtualBox said, and
// the same command succeeds when it is run again. Nothing is made twice, and nothing is left.
func TestEveryCallFails(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	file := filepath.Join(s.dir, "one.yaml")
	if err := os.WriteFile(file, []byte(oneNode), 0o600); err != nil {
		t.Fatal(err)
	}
	s.save("empty")
	up, destroy := []string{"--lab", file, "up", "--to", "machines"}, []string{"--lab", file, "destroy", "--yes"}
	upCalls := s.calls(up...)
	built, err := s.things()
	if err != nil {
		t.Fatal(err)
	}
	s.save("built")
	destroyCalls := s.calls(destroy...)
	left, err := s.things()
	if err != nil {
		t.Fatal(err)
	}
	if n := len(upCalls) + len(destroyCalls); n < fewestCalls {
		t.Errorf("only %d kinds of calls", n)
	}

	var table strings.Builder
	fmt.Fprintf(&table, "VBoxManage fails once: %d kinds of calls, before and after they have done their work\n\n%-8s %-66s %-26s %s\n",
		len(upCalls)+len(destroyCalls), "command", "call", "nothing was done", "all was done")
	number := 0
	for _, part := range []struct {
		name, on string
		args     []string
		steps    []string
		want     []string
	}{
		{"up", "empty", up, upCalls, built},
		{"destroy", "built", destroy, destroyCalls, left},
	} {
		for _, step := range part.steps {
			var outcomes []string
			for _, after := range []bool{false, true} {
				s.restore(part.on)
				failure := passing()[number%len(passing())]
				number++
				seen := s.failOnce(step, after, failure)
				status, _, errs := s.run(part.args...)
				s.direct(nil)
				what := fmt.Sprintf("%s: %s, after: %v, %q", part.name, step, after, failure)
				outcome := "goes on"
				alone := slices.Contains(notRepeated(), strings.TrimPrefix(step, "VBoxManage "))
				switch {
				case seen() == 0:
					t.Errorf("%s: it was not called", what)
				case status != exitOK && !alone:
					outcome = "FAILED"
					t.Errorf("%s: status %d\n%s", what, status, errs)
				case status != exitOK:
					outcome = fmt.Sprintf("exit %d, then succeeds", status)
					if first := firstLine(failure); !strings.Contains(errs, first) {
						t.Errorf("%s: it does not say what VirtualBox said:\n%s", what, errs)
					}
					s.must(part.args...)
				case alone && !after && seen() > 1:
					t.Errorf("%s: it was called %d times", what, seen())
				}
				outcomes = append(outcomes, outcome)
				got, err := s.things()
				if diff := cmp.Diff(part.want, got); diff != "" || err != nil {
					t.Errorf("%s: %v; in VirtualBox (-undisturbed +now):\n%s", what, err, diff)
				}
			}
			fmt.Fprintf(&table, "%-8s %-66s %-26s %s\n", part.name, step, outcomes[0], outcomes[1])
		}
	}
	writeTable(t, "calls", table.String())
}

// calls runs a command undisturbed and returns the kinds of calls that it makes of VBoxManage, in order.
func (s *stage) calls(args ...string) (steps []string) {
	s.t.Helper()
	var mu sync.Mutex
	s.direct(func(e sim.Event) sim.Ruling {
		mu.Lock()
		defer mu.Unlock()
		if step := stepOf(e); e.Kind == sim.CallEvent && !slices.Contains(steps, step) {
			steps = append(steps, step)
		}
		return sim.Ruling{}
	})
	s.must(args...)
	s.direct(nil)
	slices.Sort(steps) // some are made side by side
	return steps
}

// firstLine is the first line of what VBoxManage writes that says what is wrong.
func firstLine(stderr string) string {
	for line := range strings.Lines(stderr) {
		if text := strings.TrimSpace(strings.TrimPrefix(line, "VBoxManage: error: ")); !strings.HasPrefix(text, "Failed to ") {
			return text
		}
	}
	return stderr
}

// failOnce lets the first call of a kind fail; the function that it returns says how many of the kind were made.
func (s *stage) failOnce(step string, after bool, stderr string) (seen func() int) {
	var mu sync.Mutex
	n := 0
	s.direct(func(e sim.Event) sim.Ruling {
		if stepOf(e) != step || e.After != after {
			return sim.Ruling{}
		}
		mu.Lock()
		defer mu.Unlock()
		if n++; n > 1 {
			return sim.Ruling{}
		}
		return sim.Ruling{Do: sim.Fail, Exit: 1, Stderr: stderr}
	})
	return func() int {
		mu.Lock()
		defer mu.Unlock()
		return n
	}
}

// TestCallRefused: an error that does not pass ends the command with what VirtualBox said, and with the end of the machine's log where
// it could not be started; a call that never ends, at its limit. The next up works.
func TestCallRefused(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	file := filepath.Join(s.dir, "one.yaml")
	if err := os.WriteFile(file, []byte(oneNode), 0o600); err != nil {
		t.Fatal(err)
	}
	s.save("empty")
	const log = "00:00:01.5 VMSetError: VT-x is not available (VERR_VMX_NO_VMX)"
	for _, row := range []struct {
		step   string
		stderr string // empty: the call hangs
		exit   int
		says   []string
	}{
		{"VBoxManage createmedium", "VBoxManage: error: Failed to create medium\nVBoxManage: error: Could not create the medium storage unit: VERR_DISK_FULL\n" +
			"VBoxManage: error: Details: code VBOX_E_FILE_ERROR (0x80bb0004), component MediumWrap, interface IMedium\n",
			exitUnable, []string{"machine cp1: creating it: VBoxManage createmedium: exit status 1: Could not create the medium storage unit: VERR_DISK_FULL",
				"VBoxManage createmedium disk --filename " + filepath.Join(s.folder(), "machines", "cp1", "disk.vdi")}},
		{"VBoxManage startvm VM --type", "VBoxManage: error: VT-x is not available (VERR_VMX_NO_VMX)\n" +
			"VBoxManage: error: Details: code NS_ERROR_FAILURE (0x80004005), component ConsoleWrap, interface IConsole\n",
			exitUnable, []string{"VBoxManage startvm: exit status 1: VT-x is not available (VERR_VMX_NO_VMX)", log}},
		{"VBoxManage hostonlyif create", "VBoxManage: error: Failed to create the host-only adapter\n" +
			"VBoxManage: error: VBoxNetAdpCtl: Error while adding new interface: failed to open /dev/vboxnetctl: No such file or directory\n",
			exitUnable, []string{"failed to open /dev/vboxnetctl"}},
		{"VBoxManage list hostonlyifs", "", exitTimeout, []string{"VBoxManage list: no answer within 1s"}},
		{"VBoxManage createvm", "", exitTimeout, []string{"VBoxManage createvm: no answer within 1s"}},
		{"VBoxManage startvm VM --type", "", exitTimeout, []string{"VBoxManage startvm: no answer within 1s"}},
	} {
		what := fmt.Sprintf("%s, %q", row.step, row.stderr)
		s.restore("empty")
		s.direct(func(e sim.Event) sim.Ruling {
			if stepOf(e) != row.step || e.After {
				return sim.Ruling{}
			}
			if row.stderr == "" {
				return sim.Ruling{Do: sim.Hang}
			}
			folder := filepath.Join(s.folder(), "machines", "cp1", "labctl", "lab", "lab-cp1", "Logs")
			if err := os.MkdirAll(folder, 0o700); err != nil {
				t.Error(err)
			}
			if err := os.WriteFile(filepath.Join(folder, "VBox.log"), []byte(log+"\n"), 0o600); err != nil {
				t.Error(err)
			}
			return sim.Ruling{Do: sim.Fail, Exit: 1, Stderr: row.stderr}
		})
		limit := time.Duration(0)
		if row.stderr == "" {
			limit = time.Second
		}
		status, _, errs := s.runLimited(limit, "--verbose", "--lab", file, "up", "--to", "machines")
		s.direct(nil)
		if status != row.exit {
			t.Errorf("%s: status %d\n%s", what, status, errs)
		}
		for _, want := range row.says {
			if !strings.Contains(errs, want) {
				t.Errorf("%s: it does not say %q:\n%s", what, want, errs)
			}
		}
		if status, _, errs := s.run("--lab", file, "up", "--to", "machines"); status != exitOK {
			t.Errorf("%s: the next up: status %d\n%s", what, status, errs)
		}
	}
}
