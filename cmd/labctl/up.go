package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/labctl/labctl/provision"
	"github.com/labctl/labctl/provision/engine"
	"github.com/labctl/labctl/vbox"
)

type upOptions struct {
	stage   string
	yes     bool
	timeout time.Duration
}

const timeoutUsage = "limit of each single wait (default: 10m for boot and k3s, 15m for the demo)"

func (a *app) newUpCmd() *cobra.Command {
	var o upOptions
	cmd := &cobra.Command{
		Use:   "up",
		Short: "build the lab, or bring it to what its configuration says",
		Long: `up takes the lab all the way: image, host-only network, machines, k3s, demo. It may be repeated at any time, also
after it was interrupted or killed: what is there is left alone, what is missing is made, what differs is changed.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runUp(cmd.Context(), o) },
	}
	cmd.Flags().StringVar(&o.stage, "to", string(provision.StageDemo), "stop early: image, machines, cluster or demo")
	cmd.Flags().BoolVarP(&o.yes, "yes", "y", false, "don't ask before a machine is deleted or replaced")
	cmd.Flags().DurationVar(&o.timeout, "timeout", 0, timeoutUsage)
	return cmd
}

func (a *app) runUp(ctx context.Context, o upOptions) (err error) {
	if err := a.wantOutput("text", "json"); err != nil {
		return err
	}
	stage, err := provision.ParseStage(o.stage)
	if err != nil {
		return usage(err)
	}
	if o.timeout < 0 {
		return usage(fmt.Errorf("--timeout %s: must not be negative", o.timeout))
	}
	if err := a.runnable(); err != nil {
		return err
	}
	a.safe = "what was made so far is kept; run the same command again to go on"
	s, err := a.open()
	if err != nil {
		return err
	}
	defer s.close()
	hypervisor, err := s.hypervisor(ctx)
	if err != nil { // before anything is made
		return err
	}
	if err := s.preflight(ctx, hypervisor); err != nil {
		return err
	}
	unlock, err := s.lock("up")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	if err := s.reserve(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.folder.Release()) }() // by then it is stored, or nothing came of it
	if err := s.folder.Make(s.lab); err != nil {
		return fmt.Errorf("making the lab's folder %q: %w", s.folder.Path, err)
	}
	b, err := s.builder(ctx, false, timeoutsFor(o.timeout))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close()) }()

	begun := a.now()
	changes, err := b.plan(ctx, stage)
	if err != nil {
		return err
	}
	if err := b.confirm(ctx, hypervisor, losses(changes), o.yes); err != nil {
		return err
	}
	doomed := map[string]bool{}
	for _, c := range losses(changes) {
		doomed[c.Name] = true
	}
	b.provider.Doom(doomed)
	if err := s.folder.Store(s.lab); err != nil {
		return fmt.Errorf("storing the lab's configuration: %w", err)
	}
	if len(changes) > 0 {
		program, err := b.program(ctx)
		if err != nil {
			return err
		}
		if _, err := b.stack.Up(ctx, program, provision.Upto(s.lab, stage)); err != nil {
			return timedOut(b.cause(err))
		}
	}
	if err := b.settled(ctx, stage); err != nil {
		return timedOut(err)
	}
	if err := s.folder.SetInterrupted(""); err != nil {
		return err
	}
	return b.summary(stage, changes, a.now().Sub(begun))
}

// plan looks at what is there and returns what up would change.
func (b *builder) plan(ctx context.Context, stage provision.Stage) ([]engine.Change, error) {
	if err := b.refresh(ctx); err != nil {
		return nil, err
	}
	program, err := b.program(ctx)
	if err != nil {
		return nil, err
	}
	if err := b.leftOver(stage); err != nil {
		return nil, err
	}
	all, err := b.stack.Plan(ctx, program, provision.Upto(b.lab, stage))
	if err != nil {
		return nil, b.cause(err)
	}
	return changed(all), nil
}

// leftOver refuses to go to a stage while the machine of a node that is no longer in the lab is there: going all the way would
// delete it, and a stage deletes nothing.
func (b *builder) leftOver(stage provision.Stage) error {
	if provision.Upto(b.lab, stage) == nil {
		return nil
	}
	for _, r := range b.stack.Resources() {
		if _, ok := b.lab.Node(r.Name); r.Type == "Machine" && !ok {
			return hinted(exitUsage, fmt.Errorf("the lab has a machine of node %q, which the configuration no longer has, and up --to deletes nothing", r.Name),
				"put the node back, or go all the way, which asks before it deletes the machine: "+b.next("up"))
		}
	}
	return nil
}

// refresh looks at what is there. Machines that don't answer take their time.
func (b *builder) refresh(ctx context.Context) error {
	const id = "refresh"
	b.ui.Start(id, "looking at what is there")
	if _, err := b.stack.Refresh(ctx); err != nil {
		b.ui.Fail(id, "")
		return fmt.Errorf("looking at what is there: %w", b.cause(err))
	}
	b.ui.Done(id, "")
	return nil
}

// confirm asks before something of the user's is lost: machines, with what is on their disks and in their snapshots.
func (b *builder) confirm(ctx context.Context, hypervisor *vbox.Client, lost []engine.Change, yes bool) error {
	var lines []string
	for _, c := range lost {
		m := vbox.MachineRef{Name: c.Name}
		for _, r := range b.stack.Resources() {
			if r.Type == "Machine" && r.Name == c.Name {
				m.UUID = r.ID
			}
		}
		if err := b.noMediumBelow(ctx, hypervisor, "up", b.folder.Machine(c.Name).Path, []vbox.MachineRef{m}); err != nil {
			return err
		}
		gone, err := withDisk(ctx, hypervisor, m)
		if err != nil {
			return err
		}
		lines = append(lines, "  "+describe(c)+gone)
	}
	if len(lost) == 0 || yes {
		return nil
	}
	b.ui.Info(fmt.Sprintf("up has to delete or replace%s:", b.mode()))
	for _, line := range lines {
		b.ui.Info(line)
	}
	return b.ask(ctx, "go on?")
}

// settled waits until what the changes have shaken, a rebooted machine above all, is back at work. It is asked without changes
// too: the run before may have been interrupted right here.
func (b *builder) settled(ctx context.Context, stage provision.Stage) error {
	if stage == provision.StageImage {
		return nil
	}
	const id = "settle"
	b.ui.Start(id, string(stage))
	demo := stage == provision.StageDemo
	err := b.provider.Settled(ctx, demo || stage == provision.StageCluster, demo, func(text string) { b.ui.Step(id, text) })
	if err != nil {
		b.ui.Fail(id, "it did not settle")
		return err
	}
	b.ui.Done(id, "settled")
	return nil
}
