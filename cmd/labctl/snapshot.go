package main

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/labctl/labctl/internal/config"
	"github.com/labctl/labctl/internal/snapshots"
	"github.com/labctl/labctl/vbox"
)

func (a *app) newSnapshotCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "snapshot",
		Short: "keep states of the whole lab, and go back to them",
		Long: `A snapshot is the state of the whole lab: of the disks and settings of all its machines, taken while they are off. So save
and restore stop the machines, and start them again if they ran. Each may be repeated at any time, also after it was interrupted or
killed: a snapshot that was not finished is listed as incomplete, and saving it again replaces it.

  labctl snapshot save clean       before you break something
  labctl snapshot restore clean    take it all back
  labctl snapshot list
  labctl snapshot delete clean

Snapshots that labctl did not make are never touched. Those that it made go with the lab when you destroy it.`,
		Args: cobra.NoArgs,
	}
	cmd.AddCommand(a.newSnapshotSaveCmd(), a.newSnapshotListCmd(), a.newSnapshotRestoreCmd(), a.newSnapshotDeleteCmd())
	return cmd
}

// snapshotSession is a lab whose snapshots are worked on.
type snapshotSession struct {
	*session
	hypervisor *vbox.Client
	set        *snapshots.Set
}

// openSnapshots opens the lab and its snapshots. Every machine must be there and be the lab's own.
func (a *app) openSnapshots(ctx context.Context) (*snapshotSession, error) {
	s, err := a.openStored()
	if err != nil {
		return nil, err
	}
	w, err := s.snapshots(ctx)
	if err != nil {
		s.close()
		return nil, err
	}
	return w, nil
}

func (s *session) snapshots(ctx context.Context) (*snapshotSession, error) {
	hypervisor, err := s.hypervisor(ctx)
	if err != nil {
		return nil, err
	}
	id, err := s.folder.ID()
	if err != nil {
		return nil, err
	}
	w := &snapshotSession{session: s, hypervisor: hypervisor}
	w.set = &snapshots.Set{Hypervisor: hypervisor, LabID: id, Step: func(node, text string) { s.ui.Step("snapshot", node+": "+text) }}
	for _, n := range s.lab.Nodes {
		err := s.oneMachine(ctx, hypervisor, n, func(n config.Node, m vbox.Machine) error {
			w.set.Machines = append(w.set.Machines, snapshots.Machine{Node: n.Name, UUID: m.UUID})
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return w, nil
}

// named gives the errors about a snapshot's name the command to run next.
func (w *snapshotSession) named(name string, err error) error {
	switch {
	case errors.Is(err, snapshots.ErrNotFound):
		return hinted(exitUnable, err, w.next("snapshot list"))
	case errors.Is(err, snapshots.ErrExists):
		return hinted(exitUnable, err, "take another name, or delete it: "+w.next("snapshot delete "+name))
	case errors.Is(err, snapshots.ErrForeign):
		return hinted(exitUnable, err, "take another name; the lab's own are listed by: "+w.next("snapshot list"))
	case errors.Is(err, snapshots.ErrIncomplete):
		return hinted(exitUnable, err, "take it anew: "+w.next("snapshot save "+name)+"; or remove what there is: "+w.next("snapshot delete "+name))
	}
	return err
}

// onSnapshots does something with one snapshot while it holds the lab.
func (a *app) onSnapshots(ctx context.Context, verb, name string, do func(*snapshotSession) error) (err error) {
	if err := errors.Join(a.wantOutput("text"), usageOf(snapshots.CheckName(name))); err != nil {
		return err
	}
	w, err := a.openSnapshots(ctx)
	if err != nil {
		return err
	}
	defer w.close()
	unlock, err := w.lock("snapshot " + verb)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	return do(w)
}

// usageOf is usage, but for no error.
func usageOf(err error) error {
	if err == nil {
		return nil
	}
	return usage(err)
}

// toStart says whether the machines are to be started again after a command: they run, or did so before one was killed that had stopped
// them for a while. It is noted before they are stopped.
func (w *snapshotSession) toStart(ran bool, command string) (bool, error) {
	before, err := w.folder.Interrupted()
	if err != nil {
		return false, err
	}
	if !ran && before == "" {
		return false, nil
	}
	return true, w.folder.SetInterrupted(command)
}

// running says whether any machine is at work; for a restore it does not matter in what way.
func (w *snapshotSession) running(ctx context.Context) (bool, error) {
	refs, err := w.hypervisor.RunningMachines(ctx)
	if err != nil {
		return false, err
	}
	for _, r := range refs {
		for _, m := range w.set.Machines {
			if r.UUID == m.UUID {
				return true, nil
			}
		}
	}
	return false, nil
}

// stop stops all machines, side by side.
func (w *snapshotSession) stop(ctx context.Context, grace time.Duration) error {
	errs := make([]error, len(w.set.Machines))
	var wg sync.WaitGroup
	for i, m := range w.set.Machines {
		wg.Go(func() { errs[i] = w.stopMachine(ctx, w.hypervisor, m.Node, m.UUID, grace) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// startAgain starts the machines as `labctl start` does. After a restore, what is on them may be older than what the state says.
func (w *snapshotSession) startAgain(ctx context.Context, restored bool) (err error) {
	b, err := w.builder(ctx, false, timeoutsFor(0))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	return b.start(ctx, restored)
}

func down(ran bool) string {
	if ran {
		return ""
	}
	return "; its machines are off, as they were"
}

// completeSnapshots offers the names of the lab's snapshots.
func (a *app) completeSnapshots(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	w, err := a.openSnapshots(cmd.Context())
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	defer w.close()
	all, err := w.set.List(cmd.Context())
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var names []string
	for _, s := range all {
		names = append(names, s.Name)
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
