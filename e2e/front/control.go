//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// controlVM does to a running machine what the real program cannot.
func (f *front) controlVM(ctx context.Context, args []string) (int, error) {
	if len(args) < 3 {
		return f.pass(ctx, args)
	}
	m, state := f.held(args[1])
	if m == nil || state == saved {
		return f.pass(ctx, args) // which says that it is not running
	}
	verb, rest := args[2], args[3:]
	if card, ok := strings.CutPrefix(verb, "setlinkstate"); ok && len(rest) == 1 {
		return 0, f.setLink(ctx, m, card, rest[0])
	}
	if card, ok := strings.CutPrefix(verb, "natpf"); ok && len(rest) > 0 {
		return 0, f.setForward(ctx, m, card, rest)
	}
	if len(rest) > 0 {
		return 0, notProvided("controlvm "+strings.Join(args[2:], " "), m, state)
	}
	switch verb {
	case "poweroff":
		return 0, f.powerOff(ctx, m)
	case "savestate":
		return 0, f.saveState(ctx, m, state)
	case "acpipowerbutton":
		if state != running {
			return 0, invalidState("Invalid machine state: "+capital(state), "PowerButton")
		}
		return 0, m.ask("system_powerdown", nil)
	case "reset":
		if state != running {
			return 0, invalidState("Invalid machine state: "+capital(state), "Reset")
		}
		return 0, m.ask("system_reset", nil)
	case "pause":
		if state != running {
			return 0, invalidState("Already paused", "Pause")
		}
		return 0, m.ask("stop", nil)
	case "resume":
		if state != paused {
			return 0, invalidState(fmt.Sprintf("Cannot resume the machine as it is not paused (machine state: %s)", capital(state)), "Resume")
		}
		return 0, m.ask("cont", nil)
	}
	return 0, notProvided("controlvm "+verb, m, state)
}

// powerOff lets QEMU write what it holds in memory of the disks' structure; the guest is not asked. VirtualBox does the same.
func (f *front) powerOff(ctx context.Context, m *machine) error {
	if err := m.ask("quit", nil); err != nil || m.end(ctx, 20*time.Second) != nil {
		if err := m.kill(ctx); err != nil {
			return err
		}
	}
	fmt.Fprintln(f.stderr, progress)
	return m.forget("pid")
}

// saveState writes the machine's memory to a file and ends it.
func (f *front) saveState(ctx context.Context, m *machine, state string) error {
	q, err := m.dial()
	if err != nil {
		return err
	}
	defer q.close()
	if err := q.call("stop", nil, nil); err != nil {
		return err
	}
	if err := q.migrate(ctx, "exec:cat >saved.part"); err != nil {
		if state == running {
			_ = q.call("cont", nil, nil) // what failed is told; the machine goes on
		}
		return err
	}
	if err := q.call("quit", nil, nil); err != nil {
		return err
	}
	if err := m.end(ctx, 20*time.Second); err != nil {
		return err
	}
	if err := os.Rename(m.path("saved.part"), m.path("saved")); err != nil {
		return err
	}
	fmt.Fprintln(f.stderr, progress)
	return m.forget("pid")
}

// migrate sends the machine's state away and waits until it is gone.
func (q *qmp) migrate(ctx context.Context, to string) error {
	if err := q.call("migrate", map[string]string{"uri": to}, nil); err != nil {
		return err
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		if err := q.conn.SetDeadline(time.Now().Add(qmpTimeout)); err != nil {
			return err
		}
		var answer struct {
			Status string
			Desc   string `json:"error-desc"`
		}
		if err := q.call("query-migrate", nil, &answer); err != nil {
			return err
		}
		switch answer.Status {
		case "completed":
			return nil
		case "failed", "cancelled":
			return fmt.Errorf("saving the state %s: %s", answer.Status, answer.Desc)
		}
	}
}

// setLink plugs a cable, now and in the settings.
func (f *front) setLink(ctx context.Context, m *machine, card, link string) error {
	if !isNumber(card) || link != "on" && link != "off" {
		return fmt.Errorf("setlinkstate%s %s is not provided", card, link)
	}
	if _, err := f.ask(ctx, "modifyvm", m.uuid, "--cable-connected"+card, link); err != nil {
		return err
	}
	return m.ask("set_link", map[string]any{"name": "n" + card, "up": link == "on"})
}

// setForward makes or deletes a rule of the NAT engine, now and in the settings.
func (f *front) setForward(ctx context.Context, m *machine, card string, rest []string) error {
	slot, err := strconv.Atoi(card)
	if err != nil {
		return fmt.Errorf("natpf%s is not provided", card)
	}
	info, err := f.ask(ctx, "showvminfo", m.uuid, "--machinereadable")
	if err != nil {
		return err
	}
	s, err := readSettings(info)
	if err != nil {
		return err
	}
	// The real program judges the rule, its name and whether there is one.
	if _, err := f.ask(ctx, append([]string{"modifyvm", m.uuid, "--nat-pf" + card}, rest...)...); err != nil {
		return err
	}
	q, err := m.dial()
	if err != nil {
		return err
	}
	defer q.close()
	if rest[0] != "delete" {
		f := strings.Split(rest[0], ",")
		return q.human(fmt.Sprintf("hostfwd_add n%s %s", card, forward{f[0], f[1], f[2], f[3], f[4], f[5]}.qemu()))
	}
	for _, n := range s.NICs {
		for _, r := range n.Forwards {
			if n.Slot == slot && r.Name == rest[1] {
				// QEMU tells here that it was done: there is nothing to learn from its words.
				_ = q.human(fmt.Sprintf("hostfwd_remove n%s %s:%s:%s", card, r.Proto, r.HostIP, r.HostPort))
			}
		}
	}
	return nil
}

// discardState forgets a saved machine's memory.
func (f *front) discardState(ctx context.Context, args []string) (int, error) {
	if len(args) != 2 {
		return f.pass(ctx, args)
	}
	m, state := f.held(args[1])
	switch {
	case m == nil:
		return f.pass(ctx, args)
	case state == saved:
		return 0, m.forget("saved")
	}
	return 0, m.notDiscarded(state)
}
