package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/labctl/labctl/vbox"
)

func (a *app) newSnapshotDeleteCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "delete NAME",
		Short: "delete a snapshot, while the machines are off; they stay as they are",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, name := cmd.Context(), args[0]
			return a.onSnapshots(ctx, "delete", name, func(w *snapshotSession) error { return w.delete(ctx, name) })
		},
		ValidArgsFunction: a.completeSnapshots,
	}
}

func (w *snapshotSession) delete(ctx context.Context, name string) error {
	found, err := w.set.Find(ctx, name)
	if err != nil {
		return w.named(name, err)
	}
	ran, err := w.running(ctx)
	if err != nil {
		return err
	}
	if ran {
		return hinted(exitUnable, errors.New("the lab's machines run: a snapshot is deleted while they are off"), w.next("down"))
	}
	w.ui.Start("snapshot", "snapshot "+name)
	if err := w.set.Delete(ctx, found); err != nil {
		w.ui.Fail("snapshot", "deleting it failed")
		if errors.Is(err, vbox.ErrInvalidState) {
			return hinted(exitUnable, err, "delete those that were saved on top of it first: "+w.next("snapshot list"))
		}
		return err
	}
	w.ui.Done("snapshot", "deleted")
	w.ui.Print(fmt.Sprintf("snapshot %q of lab %q is deleted%s; the machines are as they were\nnext        %s\n", name, w.lab.Name, w.mode(), w.next("snapshot list")))
	return nil
}
