//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// startTimeout limits how long QEMU may take until the guest's processors run, reading a saved machine's memory included.
const startTimeout = time.Minute

func (f *front) startVM(ctx context.Context, args []string) (int, error) {
	names, ok := startNames(args[1:])
	if !ok {
		return f.pass(ctx, args) // for the real program's usage
	}
	for _, name := range names {
		if m, state := f.held(name); m != nil && state != saved {
			return 0, m.alreadyStarted()
		}
		info, err := f.ask(ctx, "showvminfo", name, "--machinereadable")
		var unknown *refusal
		if errors.As(err, &unknown) {
			return f.pass(ctx, args) // for the real program's words
		}
		if err != nil {
			return 0, err
		}
		s, err := readSettings(info)
		if err != nil {
			return 0, fmt.Errorf("starting %q: %w", name, err)
		}
		fmt.Fprintf(f.stdout, "Waiting for VM %q to power on...\n", s.Name)
		if err := f.start(ctx, s); err != nil {
			return 0, err
		}
		fmt.Fprintf(f.stdout, "VM %q has been successfully started.\n", s.Name)
	}
	return 0, nil
}

// startNames returns the machines to start; ok is false for a call that the front does not understand.
func startNames(args []string) (names []string, ok bool) {
	for i := 0; i < len(args); i++ {
		switch a := args[i]; {
		case a == "--type" || a == "-type":
			if i++; i == len(args) || args[i] != "headless" {
				return nil, false
			}
		case a == "--type=headless":
		case strings.HasPrefix(a, "-"):
			return nil, false
		default:
			names = append(names, a)
		}
	}
	return names, len(names) > 0
}

// start runs a machine that is off or saved.
func (f *front) start(ctx context.Context, s settings) (err error) {
	m := f.machine(s.UUID)
	if err := os.MkdirAll(m.dir, 0o700); err != nil {
		return err
	}
	m.name = s.Name
	if err := os.WriteFile(m.path("name"), []byte(s.Name), 0o600); err != nil {
		return err
	}
	log, err := openLog(s.LogFolder)
	if err != nil {
		return err
	}
	defer log.Close()
	defer func() {
		if err != nil {
			fmt.Fprintf(log, "front: %v\n", err)
		}
	}()
	drives, err := f.drives(ctx, s.Media)
	if err != nil {
		return err
	}
	accel, err := f.accel(ctx)
	if err != nil {
		return err
	}
	taps, err := f.plugAll(ctx, s)
	defer func() {
		for _, t := range taps.files {
			t.Close() // QEMU has its own
		}
	}()
	if err != nil {
		return err
	}
	for i := range s.NICs {
		s.NICs[i].Forwards = free(s.NICs[i].Forwards, log)
	}
	args := qemuArgs(s, m, drives, accel, taps.number)
	if _, err := os.Stat(m.path("saved")); err == nil {
		args = append(args, "-incoming", "exec:cat saved")
	}
	fmt.Fprintf(log, "front: %s %s\n", qemuProgram, strings.Join(args, " "))
	if err := m.forget("pid", "qmp"); err != nil {
		return err
	}
	cmd := exec.Command(qemuProgram, args...) // outlives this call: no context
	cmd.Dir = m.dir
	cmd.Stdout, cmd.Stderr = log, log
	cmd.ExtraFiles = taps.files
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // an interrupted VBoxManage takes no machine with it
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	if err := m.awaitRunning(ctx, s, ended); err != nil {
		fmt.Fprintf(log, "front: %v\n", err)
		if err := m.kill(ctx); err != nil {
			return err
		}
		return refuse(fmt.Sprintf("The virtual machine '%s' has terminated unexpectedly during startup with exit code 1 (0x1)", s.Name),
			failure, "MachineWrap, interface IMachine", "")
	}
	return m.forget("saved")
}

// awaitRunning returns when the guest's processors run.
func (m *machine) awaitRunning(ctx context.Context, s settings, ended <-chan error) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	plugged := false
	for {
		select {
		case err := <-ended:
			return fmt.Errorf("QEMU ended: %w", errors.Join(err, errors.New("see above")))
		case <-ctx.Done():
			return fmt.Errorf("QEMU does not run: %w", ctx.Err())
		case <-tick.C:
		}
		q, err := m.dial()
		if err != nil {
			continue // not listening yet
		}
		var answer struct{ Status string }
		err = q.call("query-status", nil, &answer)
		if err == nil && answer.Status != "inmigrate" && !plugged {
			plugged = true
			err = plugCables(q, s)
		}
		q.close()
		if err != nil {
			return err
		}
		if answer.Status == "running" {
			return nil
		}
	}
}

// plugCables takes out the cables that are not plugged in; then the machine, which waited for it, runs.
func plugCables(q *qmp, s settings) error {
	for _, n := range s.NICs {
		if err := q.call("set_link", map[string]any{"name": fmt.Sprintf("n%d", n.Slot), "up": n.Cable}, nil); err != nil {
			return err
		}
	}
	return q.call("cont", nil, nil)
}

// taps are the open ends of a machine's host-only adapters.
type taps struct {
	files  []*os.File
	number map[int]int // descriptor in QEMU by NIC slot
}

func (f *front) plugAll(ctx context.Context, s settings) (taps, error) {
	t := taps{number: map[int]int{}}
	for _, n := range s.NICs {
		if n.Kind != "hostonly" {
			continue
		}
		if _, err := net.InterfaceByName(n.Bridge); err != nil {
			return t, refuse(fmt.Sprintf("Nonexistent host networking interface, name '%s' (VERR_INTERNAL_ERROR)", n.Bridge),
				failure, "ConsoleWrap, interface IConsole", "")
		}
		if err := f.address(ctx, n.Bridge); err != nil {
			return t, err
		}
		file, err := plug(ctx, fmt.Sprintf("tap%s%d", s.UUID[:8], n.Slot), n.Bridge)
		if err != nil {
			return t, err
		}
		t.number[n.Slot] = 3 + len(t.files)
		t.files = append(t.files, file)
	}
	return t, nil
}

// free leaves out the rules whose port is taken. VirtualBox starts the machine all the same, and says so in its log alone.
func free(rules []forward, log *os.File) []forward {
	var kept []forward
	for _, r := range rules {
		if r.Proto == "tcp" {
			l, err := net.Listen("tcp", net.JoinHostPort(r.HostIP, r.HostPort))
			if err != nil {
				fmt.Fprintf(log, "NAT#0: Failed to redirect TCP %s:%s -> %s:%s (rule %s): %v\n", r.HostIP, r.HostPort, r.GuestIP, r.GuestPort, r.Name, err)
				continue
			}
			l.Close()
		}
		kept = append(kept, r)
	}
	return kept
}

// openLog begins a new VBox.log and keeps the last one, as VirtualBox does.
func openLog(folder string) (*os.File, error) {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, err
	}
	path := filepath.Join(folder, "VBox.log")
	if err := os.Rename(path, path+".1"); err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	return os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
}
