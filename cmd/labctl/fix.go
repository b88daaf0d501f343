package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/labctl/labctl/internal/fault"
	"github.com/labctl/labctl/k3s"
)

func (a *app) newFixCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "fix [FAULT]",
		Short: "undo what break has broken, and say what it was",
		Long: `fix undoes the faults that break has injected, or the one that is named, and waits until the cluster is back. It may be
repeated at any time, also after break or fix itself was interrupted or killed.`,
		Args:              cobra.MaximumNArgs(1),
		RunE:              func(cmd *cobra.Command, args []string) error { return a.runFix(cmd.Context(), args) },
		ValidArgsFunction: completeFaults,
	}
}

func (a *app) runFix(ctx context.Context, ids []string) (err error) {
	if err := a.wantOutput("text"); err != nil {
		return err
	}
	for _, id := range ids {
		if _, err := fault.Get(id); err != nil {
			return usage(err)
		}
	}
	s, release, err := a.openLocked("fix")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, release()) }()
	b := s.bench()
	entries, err := b.Journal.Entries()
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(entries, func(e fault.Entry) bool { return e.Undone || len(ids) == 0 || slices.Contains(ids, e.ID) }) {
		s.ui.Print(fmt.Sprintf("nothing to fix: no such fault is in the lab%s\nnext        %s\n", s.mode(), s.next("verify")))
		return nil
	}
	const id = "fix"
	b.Step = func(text string) { s.ui.Step(id, text) }
	s.ui.Start(id, "faults")
	undone, err := b.Fix(ctx, ids...)
	if err != nil {
		s.ui.Fail(id, "undoing them failed")
		if errors.Is(err, fault.ErrJournal) {
			return err // again it would be the same
		}
		return s.fixHint(ctx, err)
	}
	if err := s.recovered(ctx, b.Step); err != nil {
		s.ui.Fail(id, "undone, but the cluster is not back")
		return s.fixHint(ctx, fmt.Errorf("undone is %s; waiting for the cluster to be back: %w", strings.Join(undone, ", "), err))
	}
	if err := b.Settle(); err != nil { // only now: until here another fix tells what it was
		s.ui.Fail(id, "noting it failed")
		return err
	}
	s.ui.Done(id, "undone")
	s.ui.Print(fixed(undone) + fmt.Sprintf("next        %s\n", s.next("verify")))
	return nil
}

// fixHint says what to do after fix failed.
func (s *session) fixHint(ctx context.Context, err error) error {
	if off := s.machinesOff(ctx); len(off) > 0 {
		return hinted(exitUnable, fmt.Errorf("machines that are off: %s: %w", strings.Join(off, ", "), err), s.next("start")+", then "+s.next("fix"))
	}
	return hinted(exitUnable, err, s.next("fix")+" again, once the cause is gone; "+s.next("up")+" mends most of what is left")
}

// machinesOff names the nodes whose machines VirtualBox says are not running; those it says nothing of are left out.
func (s *session) machinesOff(ctx context.Context) []string {
	hypervisor, err := s.hypervisor(ctx)
	if err != nil {
		return nil
	}
	var off []string
	for _, n := range s.lab.Nodes {
		if m, err := hypervisor.Machine(ctx, s.folder.VMName(n.Name)); err == nil && m.State != "running" {
			off = append(off, n.Name)
		}
	}
	return off
}

// fixed tells what was undone.
func fixed(ids []string) string {
	var t strings.Builder
	for _, id := range ids {
		f, err := fault.Get(id)
		if err != nil { // of another version of labctl
			fmt.Fprintf(&t, "fixed       %s\n", id)
			continue
		}
		fmt.Fprintf(&t, "fixed       %s: %s\n            %s\n", f.ID, f.Title, f.Explanation)
	}
	return t.String()
}

// recovered waits until the nodes are Ready and the demo is as up made it: pods that a fault has driven away are spread again.
func (s *session) recovered(ctx context.Context, step func(string)) error {
	ctx, cancel := context.WithTimeout(ctx, timeoutsFor(0).Demo)
	defer cancel()
	server, _, err := s.connect(ctx, s.lab.Server())
	if err != nil {
		return err
	}
	defer server.Close()
	for _, n := range s.lab.Nodes {
		if err := k3s.WaitReady(ctx, server, n.Name, "", step); err != nil {
			return err
		}
	}
	for _, m := range k3s.Manifests(s.lab) {
		if err := k3s.WaitSpread(ctx, server, m, len(s.lab.Nodes), step); err != nil {
			return err
		}
	}
	return nil
}
