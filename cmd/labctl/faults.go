package main

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"strings"
	"time"

	"github.com/labctl/labctl/internal/fault"
)

// bench is the session's lab as package fault sees it. The caller holds the lab's lock.
func (s *session) bench() *fault.Bench {
	b := &fault.Bench{
		Lab:     s.lab,
		Journal: fault.Journal{Path: s.folder.Faults()},
		Connect: func(ctx context.Context, node string) (fault.Runner, io.Closer, error) {
			c, err := s.login(ctx, node)
			if err != nil {
				return nil, nil, err
			}
			return c, c, nil
		},
		Machines: cables{s},
		Host:     hostRoutes{s},
		Now:      s.now,
		Step:     func(text string) { s.ui.Step("break", text) },
	}
	if s.simulate {
		b.Pause = 50 * time.Millisecond
	}
	return b
}

// cables are those of the lab's machines.
type cables struct{ session *session }

// SetLink plugs the cable of a NIC of a node's machine in or out.
func (c cables) SetLink(ctx context.Context, node string, slot int, on bool) error {
	hypervisor, err := c.session.hypervisor(ctx)
	if err != nil {
		return err
	}
	if err := hypervisor.SetLink(ctx, c.session.folder.VMName(node), slot, on); err != nil {
		return fmt.Errorf("cable of NIC %d of machine %q: %w", slot, node, err)
	}
	return nil
}

// hostRoutes are the routes of the machine that runs labctl, or of the simulated host.
type hostRoutes struct{ session *session }

// SetRoute adds or removes a route. On the real host that takes root: without, the error has the command to run.
func (h hostRoutes) SetRoute(ctx context.Context, r fault.Route) error {
	if w := h.session.world; w != nil {
		if r.Present {
			return w.AddHostRoute(r.To, r.Via)
		}
		return w.RemoveHostRoute(r.To, r.Via)
	}
	if runtime.GOOS != "linux" {
		return fmt.Errorf("labctl changes routes on Linux only; do here what there is `%s`", r.Command())
	}
	have, err := hostCommand(ctx, "ip", "route", "show", r.To.String(), "via", r.Via.String())
	if err != nil {
		return fmt.Errorf("looking at this computer's routes: %w", err)
	}
	if (len(have) > 0) == r.Present {
		return nil
	}
	words := strings.Fields(strings.TrimPrefix(r.Command(), "sudo "))
	if _, err := hostCommand(ctx, words[0], words[1:]...); err != nil {
		return fmt.Errorf("changing this computer's routes needs root: run `%s`: %w", r.Command(), err)
	}
	return nil
}
