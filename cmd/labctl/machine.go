package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/labctl/labctl/internal/config"
	"github.com/labctl/labctl/vbox"
)

// stopGrace is how long a guest may take to shut down before its plug is pulled.
const stopGrace = 2 * time.Minute

// stopMachine shows how a node's machine shuts down, and switches it off after the grace.
func (s *session) stopMachine(ctx context.Context, hypervisor *vbox.Client, node, uuid string, grace time.Duration) error {
	s.ui.Start(node, "machine "+node)
	if err := hypervisor.StopMachine(ctx, uuid, grace, func(t string) { s.ui.Step(node, t) }); err != nil {
		s.ui.Fail(node, "stopping it failed")
		return fmt.Errorf("stopping machine %q: %w", node, err)
	}
	s.ui.Done(node, "stopped")
	return nil
}

// eachMachine calls do side by side for every machine of the lab that exists and is ours. It returns all errors.
func (s *session) eachMachine(ctx context.Context, hypervisor *vbox.Client, do func(config.Node, vbox.Machine) error) error {
	errs := make([]error, len(s.lab.Nodes))
	var wg sync.WaitGroup
	for i, n := range s.lab.Nodes {
		wg.Go(func() { errs[i] = s.oneMachine(ctx, hypervisor, n, do) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (s *session) oneMachine(ctx context.Context, hypervisor *vbox.Client, n config.Node, do func(config.Node, vbox.Machine) error) error {
	name := s.folder.VMName(n.Name)
	m, err := hypervisor.Machine(ctx, name)
	if errors.Is(err, vbox.ErrNotFound) {
		return hinted(exitUnable, fmt.Errorf("machine %q does not exist", name), s.next("up"))
	}
	if err != nil {
		return err
	}
	if err := s.ours(ctx, hypervisor, m); err != nil {
		return err
	}
	return do(n, m)
}

// ours refuses a machine that doesn't bear this lab's mark.
func (s *session) ours(ctx context.Context, hypervisor *vbox.Client, m vbox.Machine) error {
	ours, err := s.folder.Owns(ctx, hypervisor, m.UUID)
	if err != nil {
		return err
	}
	if !ours {
		return hinted(exitUnable, fmt.Errorf("machine %q was not made by this lab: it is left alone, and the lab lacks its own of that name", m.Name),
			"rename that machine in VirtualBox, then "+s.next("up")+"; or remove what the lab has: "+s.next("destroy"))
	}
	return nil
}
