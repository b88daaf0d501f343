package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/labctl/labctl/internal/snapshots"
)

func (a *app) newSnapshotRestoreCmd() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:   "restore NAME",
		Short: "take all machines back to a snapshot; what was written since is lost",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, name := cmd.Context(), args[0]
			a.safe = "the machines may be in different states now; run the same command again to bring all of them back"
			return a.onSnapshots(ctx, "restore", name, func(w *snapshotSession) error { return w.restore(ctx, name, yes) })
		},
		ValidArgsFunction: a.completeSnapshots,
	}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "don't ask")
	return cmd
}

func (w *snapshotSession) restore(ctx context.Context, name string, yes bool) error {
	found, err := w.set.Find(ctx, name)
	if err == nil && !found.Complete() {
		err = fmt.Errorf("snapshot %q: %w: %s", name, snapshots.ErrIncomplete, found.Problem)
	}
	if err != nil {
		return w.named(name, err)
	}
	if !yes {
		w.ui.Info(fmt.Sprintf("restore%s takes these machines back to snapshot %q of %s; all that they wrote since is lost:", w.mode(), name, found.Taken.UTC().Format("2006-01-02 15:04:05Z")))
		for _, m := range w.set.Machines {
			w.ui.Info("  machine " + w.folder.VMName(m.Node))
		}
		if err := w.ask(ctx, "go on?"); err != nil {
			return err
		}
	}
	ran, err := w.running(ctx)
	if err == nil {
		ran, err = w.toStart(ran, "snapshot restore "+name)
	}
	if err != nil {
		return err
	}
	// Snapshots have no faults in them. What a fault did to this computer is no part of them.
	if err := w.bench().Leave(ctx); err != nil {
		return hinted(exitUnable, fmt.Errorf("undoing what a fault has done to this computer: %w", err), w.next("fix"))
	}
	if err := w.stop(ctx, 0); err != nil { // what a guest would still write is lost anyway
		return err
	}
	w.ui.Start("snapshot", "snapshot "+name)
	err = w.set.Restore(ctx, found)
	if err == nil {
		err = w.bench().Journal.Clear()
	}
	if err != nil {
		w.ui.Fail("snapshot", "not all machines were restored")
		return hinted(exitUnable, err, "machines of different times make no lab, so do it again: "+w.next("snapshot restore "+name))
	}
	w.ui.Done("snapshot", "restored")
	next := "start"
	if ran {
		if err := w.startAgain(ctx, true); err != nil {
			return err
		}
		next = "verify"
	}
	w.ui.Print(fmt.Sprintf("lab %q is as it was saved in snapshot %q%s%s\nnext        %s\n", w.lab.Name, name, w.mode(), down(ran), w.next(next)))
	return nil
}
