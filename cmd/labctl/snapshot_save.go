package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/labctl/labctl/internal/fault"
	"github.com/labctl/labctl/internal/snapshots"
)

func (a *app) newSnapshotSaveCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "save NAME",
		Short: "stop the machines, take a snapshot of each, start them again if they ran",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, name := cmd.Context(), args[0]
			return a.onSnapshots(ctx, "save", name, func(w *snapshotSession) error { return w.save(ctx, name) })
		},
	}
}

func (w *snapshotSession) save(ctx context.Context, name string) error {
	command := "snapshot save " + name
	if err := w.set.CanSave(ctx, name); err != nil {
		if before, berr := w.folder.Interrupted(); errors.Is(err, snapshots.ErrExists) && berr == nil && before == command {
			return w.saved(ctx, name, true) // it had been taken, and the machines were not started yet
		}
		return w.named(name, err)
	}
	if err := w.withoutFaults(); err != nil {
		return err
	}
	ran, err := w.states(ctx)
	if err == nil {
		ran, err = w.toStart(ran, command)
	}
	if err != nil {
		return err
	}
	if err := w.stop(ctx, stopGrace); err != nil {
		return err
	}
	w.ui.Start("snapshot", "snapshot "+name)
	if err := w.set.Save(ctx, name, w.now()); err != nil {
		w.ui.Fail("snapshot", "it is incomplete")
		return hinted(exitUnable, err, "take it anew: "+w.next("snapshot save "+name)+"; or only start the machines: "+w.next("start"))
	}
	w.ui.Done("snapshot", "saved")
	return w.saved(ctx, name, ran)
}

// saved ends a save.
func (w *snapshotSession) saved(ctx context.Context, name string, ran bool) error {
	if ran {
		if err := w.startAgain(ctx, false); err != nil {
			return err
		}
	}
	w.ui.Print(fmt.Sprintf("snapshot %q of lab %q is saved%s%s\n", name, w.lab.Name, w.mode(), down(ran)) +
		fmt.Sprintf("the way back to it, at any time:\nnext        %s\n", w.next("snapshot restore "+name)))
	return nil
}

// withoutFaults refuses to keep a state that labctl could not mend any more: what undoes a fault stands in the lab's folder, and is gone
// once it was fixed.
func (s *session) withoutFaults() error {
	faults, err := s.bench().Journal.Entries()
	if err != nil {
		return err
	}
	if slices.ContainsFunc(faults, func(e fault.Entry) bool { return !e.Undone }) {
		return hinted(exitUnable, errors.New("a fault is in the lab: a snapshot would keep it for good"), s.next("fix"))
	}
	return nil
}

// states says whether any machine runs, and refuses those whose memory would be lost.
func (w *snapshotSession) states(ctx context.Context) (ran bool, err error) {
	for _, m := range w.set.Machines {
		now, err := w.hypervisor.Machine(ctx, m.UUID)
		if err != nil {
			return false, err
		}
		switch now.State {
		case "poweroff", "aborted":
		case "running":
			ran = true
		default:
			return false, hinted(exitUnable, fmt.Errorf("machine %q is %s: it must run or be off", now.Name, now.State), "start it: "+w.next("start")+"; or shut it down: "+w.next("down"))
		}
	}
	return ran, nil
}
