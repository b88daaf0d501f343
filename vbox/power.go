package vbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// StartMachine starts a machine without a window, or goes on with one that was paused or saved. One that runs is no error.
// If VirtualBox cannot start it, the error carries the end of the machine's log.
func (c *Client) StartMachine(ctx context.Context, id string) error {
	return c.onMachine(ctx, id, func(m Machine) error { return c.start(ctx, m) })
}

// onMachine looks at a machine and calls do; again, as long as that meets errTransient.
func (c *Client) onMachine(ctx context.Context, id string, do func(Machine) error) error {
	return c.whole(ctx, func() error {
		m, err := c.Machine(ctx, id)
		if err != nil {
			return err
		}
		return do(m)
	})
}

func (c *Client) start(ctx context.Context, m Machine) error {
	if m.State == "paused" {
		_, err := c.run(ctx, resumeArgs(m.UUID))
		return err
	}
	if m.State == "running" || m.State == "starting" || m.State == "restoring" {
		return nil
	}
	begun := time.Now()
	out, err := c.run(ctx, startArgs(m.UUID))
	var e *Error
	if !errors.As(err, &e) {
		return err
	}
	// It has been seen to exit non-zero after it said so.
	if strings.Contains(out, "has been successfully started") {
		return nil
	}
	e.Log = logTail(filepath.Join(m.LogFolder, "VBox.log"), begun)
	return err
}

// logTail returns the last lines of a log that was written to since begun; empty if there is none.
func logTail(path string, begun time.Time) string {
	const lines, most = 12, 64 << 10 // a guest may make its log as long as it likes
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || info.ModTime().Before(begun.Add(-2*time.Second)) { // clocks of file systems may be coarse
		return ""
	}
	data, err := io.ReadAll(io.NewSectionReader(f, max(0, info.Size()-most), most))
	if err != nil {
		return ""
	}
	all := strings.Split(strings.TrimSpace(plainLines(string(data))), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// StopMachine asks the guest to shut down and, when it has not within the grace, switches it off; a grace of 0 or a paused
// machine is switched off at once. A saved state is discarded. One that is off is no error; ErrNotFound if it is gone.
func (c *Client) StopMachine(ctx context.Context, id string, grace time.Duration, step func(string)) error {
	return c.onMachine(ctx, id, func(m Machine) error { return c.stop(ctx, m, grace, step) })
}

func (c *Client) stop(ctx context.Context, m Machine, grace time.Duration, step func(string)) error {
	if grace > 0 && m.State == "running" {
		step("asking the guest to shut down")
		if _, err := c.run(ctx, powerButtonArgs(m.UUID)); err != nil && !errors.Is(err, ErrInvalidState) {
			return err
		}
		var err error
		if m, err = c.awaitOff(ctx, m.UUID, grace); err != nil {
			return err
		}
	}
	if m.running() {
		step("switching off")
		if _, err := c.run(ctx, powerOffArgs(m.UUID)); err != nil && !errors.Is(err, ErrInvalidState) {
			return err
		}
		var err error
		if m, err = c.awaitOff(ctx, m.UUID, c.timeout); err != nil {
			return err
		}
		if m.running() {
			return fmt.Errorf("it is still %q %s after it was switched off", m.State, c.timeout)
		}
	}
	if m.saved() {
		step("discarding saved state")
		_, err := c.run(ctx, discardStateArgs(m.UUID))
		return err
	}
	return nil
}

// SetLink plugs the cable of a NIC (slots count from 1) in or out, whether the machine runs or is off. A cable that is as
// wanted is no error; ErrNotFound if the machine is gone.
func (c *Client) SetLink(ctx context.Context, id string, slot int, on bool) error {
	return c.onMachine(ctx, id, func(m Machine) error { return c.setLink(ctx, m, slot, on) })
}

func (c *Client) setLink(ctx context.Context, m Machine, slot int, on bool) error {
	at := slices.IndexFunc(m.NICs, func(n NIC) bool { return n.Slot == slot })
	if at < 0 {
		return fmt.Errorf("it has no NIC %d", slot)
	}
	if m.NICs[at].Cable == on {
		return nil
	}
	change := cableArgs
	if m.running() {
		change = linkArgs
	}
	_, err := c.run(ctx, change(m.UUID, slot, on))
	return err
}

// awaitOff looks at the machine until it has no process any more or the limit is over, and returns it as it is then.
func (c *Client) awaitOff(ctx context.Context, id string, limit time.Duration) (Machine, error) {
	over, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		m, err := c.Machine(ctx, id)
		if err != nil || !m.running() || wait(over, c.poll) != nil {
			return m, errors.Join(err, ctx.Err())
		}
	}
}
