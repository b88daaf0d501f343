//go:build linux

package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// The states of a machine that the real VBoxManage cannot know of. It says "poweroff" for all of them.
const (
	starting = "starting"
	running  = "running"
	paused   = "paused"
	stopping = "stopping"
	saved    = "saved"
	aborted  = "aborted"
)

// machine is one that the front has started, now or earlier. Its folder holds:
//
//	name   its name; nobody can change it while the machine runs
//	pid    of QEMU, which removes the file when it ends in good order
//	qmp    QEMU's socket
//	saved  its memory, between savestate and startvm
type machine struct {
	uuid, name string
	dir        string
}

func (f *front) machine(uuid string) *machine {
	m := &machine{uuid: uuid, dir: filepath.Join(f.dir, "vm", uuid)}
	name, err := os.ReadFile(filepath.Join(m.dir, "name"))
	if err == nil {
		m.name = string(name)
	}
	return m
}

func (m *machine) path(name string) string { return filepath.Join(m.dir, name) }

// known lists the machines that the front has started.
func (f *front) known() []*machine {
	entries, err := os.ReadDir(filepath.Join(f.dir, "vm"))
	if err != nil {
		return nil
	}
	var all []*machine
	for _, e := range entries {
		all = append(all, f.machine(e.Name()))
	}
	return all
}

// held returns the machine of that name or UUID if it runs or is saved; nil if the real VBoxManage knows all about it.
func (f *front) held(nameOrUUID string) (*machine, string) {
	for _, m := range f.known() {
		if nameOrUUID != m.name && !strings.EqualFold(strings.Trim(nameOrUUID, "{}"), m.uuid) {
			continue
		}
		if s := m.state(); s != "" && s != aborted {
			return m, s
		}
	}
	return nil, ""
}

// pid returns QEMU's process, 0 if there is none.
func (m *machine) pid() int {
	text, err := os.ReadFile(m.path("pid"))
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0
	}
	// Another process may have the number by now; and one that ended but was not waited for has no command line.
	command, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil || !bytes.Contains(command, []byte(m.path("pid"))) {
		return 0
	}
	return pid
}

// state returns the machine's state, or "" where it is off and the real VBoxManage is right.
func (m *machine) state() string {
	if m.pid() == 0 {
		if _, err := os.Stat(m.path("saved")); err == nil {
			return saved
		}
		if _, err := os.Stat(m.path("pid")); err == nil {
			return aborted // QEMU ended without tidying up
		}
		return ""
	}
	var answer struct{ Status string }
	q, err := m.dial()
	if err != nil {
		return starting
	}
	defer q.close()
	if err := q.call("query-status", nil, &answer); err != nil {
		return stopping
	}
	switch answer.Status {
	case "running":
		return running
	case "prelaunch", "inmigrate":
		return starting
	case "shutdown":
		return stopping
	}
	return paused
}

// changed returns when the machine came into its state, as well as the front knows.
func (m *machine) changed(state string) time.Time {
	name := "pid"
	if state == saved {
		name = "saved"
	}
	info, err := os.Stat(m.path(name))
	if err != nil {
		return time.Now()
	}
	return info.ModTime()
}

// live says whether the machine has a process, which locks it.
func live(state string) bool { return state != "" && state != saved && state != aborted }

var (
	stateLine   = regexp.MustCompile(`(?m)^VMState="[^"]*"$`)
	changeLine  = regexp.MustCompile(`(?m)^VMStateChangeTime="[^"]*"$`)
	humanState  = regexp.MustCompile(`(?m)^(State: +).*$`)
	uuidLine    = regexp.MustCompile(`(?m)^UUID(?:="|: +)([0-9a-f-]{36})"?$`)
	machineLine = regexp.MustCompile(`^"(.*)" \{([0-9a-f-]{36})\}$`)
)

// showVMInfo is the real answer with the state that the front knows.
func (f *front) showVMInfo(ctx context.Context, args []string) (exit int, err error) {
	if len(f.known()) == 0 {
		return f.pass(ctx, args)
	}
	real := *f
	var out bytes.Buffer
	real.stdout = &out
	exit, err = real.pass(ctx, args)
	text := out.String()
	if match := uuidLine.FindStringSubmatch(text); err == nil && exit == 0 && match != nil {
		m := f.machine(match[1])
		if s := m.state(); s != "" {
			text = withState(text, s, m.changed(s))
		}
	}
	fmt.Fprint(f.stdout, text)
	return exit, err
}

func withState(text, state string, at time.Time) string {
	when := at.UTC().Format("2006-01-02T15:04:05.000000000")
	text = stateLine.ReplaceAllLiteralString(text, `VMState="`+state+`"`)
	text = changeLine.ReplaceAllLiteralString(text, `VMStateChangeTime="`+when+`"`)
	return humanState.ReplaceAllString(text, "${1}"+state+" (since "+when+")")
}

// list knows which machines run.
func (f *front) list(ctx context.Context, args []string) (int, error) {
	if len(args) == 2 && args[1] == "runningvms" {
		out, err := f.ask(ctx, "list", "vms")
		if err != nil {
			return 0, err
		}
		for line := range strings.Lines(out) {
			match := machineLine.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
			if match != nil && live(f.machine(match[2]).state()) {
				fmt.Fprint(f.stdout, line)
			}
		}
		return 0, nil
	}
	long := false
	for _, a := range args[1:] {
		long = long || a == "--long" || a == "-l"
	}
	for _, a := range args[1:] {
		if a == "runningvms" || long && a == "vms" {
			return 0, fmt.Errorf("list %s is not provided: it would tell wrong states", strings.Join(args[1:], " "))
		}
	}
	return f.pass(ctx, args)
}

// end waits until QEMU has ended.
func (m *machine) end(ctx context.Context, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for m.pid() != 0 {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("QEMU of %q did not end: %w", m.name, ctx.Err())
		}
	}
	return nil
}

// kill ends QEMU the hard way, but tidily.
func (m *machine) kill(ctx context.Context) error {
	if pid := m.pid(); pid != 0 {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			return err
		}
	}
	if err := m.end(ctx, 10*time.Second); err != nil {
		return err
	}
	return m.forget("pid")
}

// forget removes files of the machine's folder.
func (m *machine) forget(names ...string) error {
	for _, name := range names {
		if err := os.Remove(m.path(name)); err != nil && !os.IsNotExist(err) {
			return err
		}
	}
	return nil
}
