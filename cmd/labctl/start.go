package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/labctl/labctl/provision"
)

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
	s, release, err := a.openLocked("start")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, release()) }()
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
