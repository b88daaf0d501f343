package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/labctl/labctl/internal/config"
	"github.com/labctl/labctl/internal/labdir"
	"github.com/labctl/labctl/provision"
	"github.com/labctl/labctl/vbox"
)

func (a *app) newDownCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "down",
		Short: "shut the machines down; disks and settings stay",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return a.runDown(cmd.Context()) },
	}
}

func (a *app) runDown(ctx context.Context) (err error) {
	if err := a.wantOutput("text"); err != nil {
		return err
	}
	a.safe = "machines may still run; run labctl down again, or labctl start to have them all"
	s, err := a.openStored()
	if err != nil {
		return err
	}
	defer s.close()
	hypervisor, err := s.hypervisor(ctx)
	if err != nil {
		return err
	}
	unlock, err := s.lock("down")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	if err := s.folder.SetInterrupted(""); err != nil { // whatever was to start them again
		return err
	}
	if err := s.eachMachine(ctx, hypervisor, func(n config.Node, m vbox.Machine) error {
		return s.stopMachine(ctx, hypervisor, n.Name, m.UUID, stopGrace)
	}); err != nil {
		return err
	}
	s.ui.Print(fmt.Sprintf("lab %q is down%s\nnext        %s\n", s.lab.Name, s.mode(), s.next("start")))
	return nil
}

// stopMachine shows how a node's machine shuts down, and switches it off after the grace.
func (s *session) stopMachine(ctx context.Context, hypervisor *vbox.Client, node, uuid string, grace time.Duration) error {
	s.ui.Start(node, "machine "+node)
	if err := hypervisor.StopMachine(ctx, uuid, grace, func(t string) { s.ui.Step(node, t) }); err != nil {
		s.ui.Fail(node, "stopping it failed")
		return err
	}
	s.ui.Done(node, "stopped")
	return nil
}

func (a *app) newStartCmd() *cobra.Command {
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "start",
		Short: "start the machines again and wait until the cluster is back",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return a.runStart(cmd.Context(), timeout) },
	}
	cmd.Flags().DurationVar(&timeout, "timeout", 0, timeoutUsage)
	return cmd
}

// runStart starts the machines that exist and makes nothing: that is up's.
func (a *app) runStart(ctx context.Context, timeout time.Duration) (err error) {
	if err := a.wantOutput("text"); err != nil {
		return err
	}
	a.safe = "machines that were started stay up; run labctl start again to go on"
	s, err := a.openStored()
	if err != nil {
		return err
	}
	defer s.close()
	unlock, err := s.lock("start")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	b, err := s.builder(ctx, false, timeoutsFor(timeout))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	if err := b.start(ctx, false); err != nil {
		return err
	}
	s.ui.Print(fmt.Sprintf("lab %q is up again%s\nnext        %s\n", s.lab.Name, s.mode(), s.next("verify")))
	return nil
}

// start starts the lab's machines and waits until what the lab had come to is back. What a restored machine has come to
// can only be seen once it runs.
func (b *builder) start(ctx context.Context, restored bool) error {
	if err := b.refresh(ctx); err != nil {
		return err
	}
	stage, machines := b.reached()
	if len(machines) < len(b.lab.Nodes) {
		return hinted(exitUnable, fmt.Errorf("lab %q has %d machines, and %d of them exist", b.lab.Name, len(b.lab.Nodes), len(machines)),
			b.next("up"))
	}
	if _, err := b.stack.Up(ctx, provision.Program(b.lab, b.parts()), machines); err != nil {
		return timedOut(b.cause(err))
	}
	if restored {
		if err := b.refresh(ctx); err != nil {
			return err
		}
		stage, _ = b.reached()
	}
	if err := b.settled(ctx, stage); err != nil {
		return timedOut(err)
	}
	return b.folder.SetInterrupted("")
}

// reached says how far the lab has come, and which machines there are, by what the state knows.
func (b *builder) reached() (stage provision.Stage, machines []string) {
	stage = provision.StageMachines
	for _, r := range b.stack.Resources() {
		switch r.Type {
		case "Machine":
			machines = append(machines, provision.Target(r.Type, r.Name))
		case "Server":
			stage = provision.StageCluster
		case "Manifest":
			stage = provision.StageDemo
		}
	}
	return stage, machines
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
	name := s.vmName(n.Name)
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
	if err := do(n, m); err != nil {
		return fmt.Errorf("%s: %w", n.Name, err)
	}
	return nil
}

// ours refuses a machine that doesn't bear this lab's mark.
func (s *session) ours(ctx context.Context, hypervisor *vbox.Client, m vbox.Machine) error {
	owner, err := s.folder.Owner()
	if err != nil {
		return err
	}
	mark, _, err := hypervisor.ExtraData(ctx, m.UUID, labdir.OwnerKey)
	if err != nil {
		return err
	}
	if mark != owner {
		return hinted(exitUnable, fmt.Errorf("machine %q was not made by this lab: it is left alone, and the lab lacks its own of that name", m.Name),
			"rename that machine in VirtualBox, then "+s.next("up")+"; or remove what the lab has: "+s.next("destroy"))
	}
	return nil
}

// vmName is what VirtualBox calls a node's machine.
func (s *session) vmName(node string) string { return s.lab.Name + "-" + node }
