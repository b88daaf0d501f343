package provider

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/labctl/labctl/internal/config"
	"github.com/labctl/labctl/internal/labdir"
	"github.com/labctl/labctl/internal/ssh"
)

// waitBooted waits for SSH on the host-only address, then for cloud-init to finish.
func (p *Provider) waitBooted(ctx context.Context, node string, step func(string)) error {
	n, err := p.node(node)
	if err != nil {
		return err
	}
	err = wait(ctx, p.o.Timeouts.Boot, func(ctx context.Context) error {
		return p.conns.wait(ctx, n, step)
	})
	console := p.o.Folder.Machine(node)
	if errors.Is(err, ssh.ErrConfig) {
		return err // the machine was not asked: its console says nothing of it
	}
	if err != nil {
		if errors.Is(err, ssh.ErrHostKey) {
			// On a first boot: cloud-init did not take the seed, and sshd made a key of its own.
			err = errors.Join(err, p.spoilt(node))
		}
		return fmt.Errorf("%w; its console: %s%s", err, console.SerialLog(), consoleTail(console))
	}
	err = wait(ctx, p.o.Timeouts.Boot, func(ctx context.Context) error {
		return p.waitCloudInit(ctx, n, step)
	})
	if errors.Is(err, errCloudInit) {
		return errors.Join(err, p.spoilt(node))
	}
	if err != nil {
		return err
	}
	if err := console.SetSeeded(); err != nil {
		return err
	}
	return console.SetBooted(true)
}

// spoilt notes that a first boot has failed for good, so that the next up makes another attempt. A machine that has been in use is
// left as it is.
func (p *Provider) spoilt(node string) error {
	dir := p.o.Folder.Machine(node)
	if dir.Seeded() {
		return nil
	}
	return dir.SetSpoilt()
}

// errCloudInit says that cloud-init has ended with errors.
var errCloudInit = errors.New("cloud-init failed")

// cloudInitResult is cloud-init's own /run/cloud-init/result.json, which appears when its last stage has ended.
type cloudInitResult struct {
	V1 struct {
		Errors []string `json:"errors"`
	} `json:"v1"`
}

func (p *Provider) waitCloudInit(ctx context.Context, n config.Node, step func(string)) error {
	step("waiting for cloud-init")
	err := poll(ctx, func() error {
		c, err := p.conns.get(ctx, n)
		if err != nil {
			return err
		}
		out, err := c.Run(ctx, "cat /run/cloud-init/result.json 2>/dev/null || true", nil)
		if err != nil {
			p.conns.forget(n.Name) // the machine may be rebooting
			return err
		}
		if len(bytes.TrimSpace(out)) == 0 {
			return errors.New("cloud-init is still at work")
		}
		var r cloudInitResult
		if err := json.Unmarshal(out, &r); err != nil {
			return fmt.Errorf("/run/cloud-init/result.json: %w", err)
		}
		if len(r.V1.Errors) == 0 {
			return nil
		}
		log, err := c.Run(ctx, "sudo tail -n 15 /var/log/cloud-init-output.log", nil)
		if err != nil {
			log = []byte(err.Error())
		}
		return fmt.Errorf("%w: %s; the end of its log:\n%s; the machine's console: %s",
			errCloudInit, strings.Join(r.V1.Errors, "; "), bytes.TrimSpace(log), p.o.Folder.Machine(n.Name).SerialLog())
	}, step)
	if err != nil && !errors.Is(err, errCloudInit) {
		return fmt.Errorf("waiting for cloud-init: %w", err)
	}
	return err
}

// poll calls try until it succeeds, fails for good, or ctx ends; then its error is the deadline's joined with the last cause, of which
// step is told each time it changes.
func poll(ctx context.Context, try func() error, step func(string)) error {
	const interval = 500 * time.Millisecond
	t := time.NewTimer(0)
	defer t.Stop()
	var last error
	for first := true; ; first = false {
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), last)
		case <-t.C:
		}
		err := try()
		if err == nil || final(err) {
			return err
		}
		if ctx.Err() == nil {
			if last == nil || err.Error() != last.Error() {
				step(err.Error())
			}
			last = err
		}
		if first {
			t.Reset(interval / 10) // most things that are asked for are there already, or nearly
		} else {
			t.Reset(interval)
		}
	}
}

// cloudInitLine is what cloud-init writes to the console when something is wrong:
// [   21.3] cloud-init[301]: 2026-11-22 16:01:02,345 - util.py[WARNING]: Failed loading yaml blob. …
var cloudInitLine = regexp.MustCompile(`(?m)^.*\b\w+\.py\[(?:WARNING|ERROR|CRITICAL)\]: .*$`)

// consoleTail returns the last lines that a machine wrote to its console, for an error, and before them what cloud-init
// complained of: it is seldom the last.
func consoleTail(m *labdir.Machine) string {
	const most, complaints = 800, 4 // characters, lines
	text, err := m.Console()
	if err != nil || text == "" {
		return " (nothing was written to it)"
	}
	said := ""
	lines := cloudInitLine.FindAllString(text, -1)
	for _, line := range lines[:min(len(lines), complaints)] {
		said += ";\ncloud-init said: " + strings.ToValidUTF8(strings.TrimSpace(line), "")
	}
	if len(text) > most {
		text = text[len(text)-most:]
	}
	return said + ";\nit ends:\n" + strings.ToValidUTF8(strings.TrimSpace(text), "")
}
