package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
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

func (a *app) newSnapshotSaveCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "save NAME",
		Short: "stop the machines, take a snapshot of each, start them again if they ran",
		Args:  cobra.ExactArgs(1),
		RunE:  func(cmd *cobra.Command, args []string) error { return a.runSnapshotSave(cmd.Context(), args[0]) },
	}
}

func (a *app) newSnapshotListCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "list the lab's snapshots",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return a.runSnapshotList(cmd.Context()) },
	}
}

func (a *app) newSnapshotRestoreCmd() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:   "restore NAME",
		Short: "take all machines back to a snapshot; what was written since is lost",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.runSnapshotRestore(cmd.Context(), args[0], yes)
		},
		ValidArgsFunction: a.completeSnapshots,
	}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "don't ask")
	return cmd
}

func (a *app) newSnapshotDeleteCmd() *cobra.Command {
	return &cobra.Command{
		Use:               "delete NAME",
		Short:             "delete a snapshot; the machines stay as they are",
		Args:              cobra.ExactArgs(1),
		RunE:              func(cmd *cobra.Command, args []string) error { return a.runSnapshotDelete(cmd.Context(), args[0]) },
		ValidArgsFunction: a.completeSnapshots,
	}
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

// next is a command of labctl's to run next.
func (s *session) next(words string) string { return "labctl" + s.simulateFlag() + " " + words }

// named gives the errors about a snapshot's name the command to run next.
func (w *snapshotSession) named(name string, err error) error {
	switch {
	case errors.Is(err, snapshots.ErrNotFound):
		return hinted(exitUnable, err, w.next("snapshot list"))
	case errors.Is(err, snapshots.ErrExists):
		return hinted(exitUnable, err, w.next("snapshot delete "+name)+", or take another name")
	case errors.Is(err, snapshots.ErrForeign):
		return hinted(exitUnable, err, "take another name; "+w.next("snapshot list")+" shows the lab's own")
	case errors.Is(err, snapshots.ErrIncomplete):
		return hinted(exitUnable, err, w.next("snapshot save "+name)+" takes it anew, "+w.next("snapshot delete "+name)+" removes what there is")
	}
	return err
}

func (a *app) runSnapshotSave(ctx context.Context, name string) (err error) {
	if err := errors.Join(a.wantOutput("text"), usageOf(snapshots.CheckName(name))); err != nil {
		return err
	}
	w, err := a.openSnapshots(ctx)
	if err != nil {
		return err
	}
	defer w.close()
	unlock, err := w.lock("snapshot save")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	if err := w.set.CanSave(ctx, name); err != nil {
		return w.named(name, err)
	}
	if err := w.withoutFaults(); err != nil {
		return err
	}
	ran, err := w.states(ctx)
	if err != nil {
		return err
	}
	if err := w.stop(ctx, stopGrace); err != nil {
		return err
	}
	w.ui.Start("snapshot", "snapshot "+name)
	if err := w.set.Save(ctx, name, w.now()); err != nil {
		w.ui.Fail("snapshot", "it is incomplete")
		return hinted(exitUnable, err, w.next("snapshot save "+name)+" takes it anew; "+w.next("start")+" starts the machines")
	}
	w.ui.Done("snapshot", "saved")
	if ran {
		if err := w.startAgain(ctx, false); err != nil {
			return err
		}
	}
	w.ui.Print(fmt.Sprintf("snapshot %q of lab %q is saved%s%s\n", name, w.lab.Name, w.mode(), down(ran)) +
		fmt.Sprintf("next        %s takes the lab back to it\n", w.next("snapshot restore "+name)))
	return nil
}

func down(ran bool) string {
	if ran {
		return ""
	}
	return "; its machines are off, as they were"
}

// usageOf is usage, but for no error.
func usageOf(err error) error {
	if err == nil {
		return nil
	}
	return usage(err)
}

// withoutFaults refuses to keep a state that labctl could not mend any more: what undoes a fault stands in the lab's folder, and is gone
// once it was fixed.
func (s *session) withoutFaults() error {
	faults, err := s.bench().Journal.Entries()
	if err != nil {
		return err
	}
	if len(faults) > 0 {
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
			return false, hinted(exitUnable, fmt.Errorf("machine %q is %s: it must run or be off", now.Name, now.State), w.next("start")+", or "+w.next("down"))
		}
	}
	return ran, nil
}

// stop stops all machines, side by side.
func (w *snapshotSession) stop(ctx context.Context, grace time.Duration) error {
	errs := make([]error, len(w.set.Machines))
	var wg sync.WaitGroup
	for i, m := range w.set.Machines {
		wg.Go(func() {
			w.ui.Start(m.Node, "machine "+m.Node)
			if errs[i] = w.hypervisor.StopMachine(ctx, m.UUID, grace, func(t string) { w.ui.Step(m.Node, t) }); errs[i] != nil {
				w.ui.Fail(m.Node, "stopping it failed")
				return
			}
			w.ui.Done(m.Node, "stopped")
		})
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

type snapshotSummary struct {
	Schema    string         `json:"schema"`
	Lab       string         `json:"lab"`
	Simulated bool           `json:"simulated"`
	Snapshots []snapshotLine `json:"snapshots"`
}

type snapshotLine struct {
	Name     string    `json:"name"`
	Taken    time.Time `json:"taken"`
	Complete bool      `json:"complete"`
	Problem  string    `json:"problem,omitempty"` // why it is not complete
	Current  bool      `json:"current"`           // the machines go on from it
}

func (a *app) runSnapshotList(ctx context.Context) error {
	if err := a.wantOutput("text", "json"); err != nil {
		return err
	}
	w, err := a.openSnapshots(ctx)
	if err != nil {
		return err
	}
	defer w.close()
	all, err := w.set.List(ctx)
	if err != nil {
		return err
	}
	sum := snapshotSummary{Schema: schema, Lab: w.lab.Name, Simulated: a.simulate, Snapshots: []snapshotLine{}}
	for _, s := range all {
		sum.Snapshots = append(sum.Snapshots, snapshotLine{Name: s.Name, Taken: s.Taken, Complete: s.Complete(), Problem: s.Problem, Current: s.Current})
	}
	if a.output == "json" {
		return a.printJSON(sum)
	}
	if len(all) == 0 {
		a.ui.Print(fmt.Sprintf("lab %q has no snapshots%s\nnext        %s\n", w.lab.Name, a.mode(), w.next("snapshot save NAME")))
		return nil
	}
	var t strings.Builder
	fmt.Fprintf(&t, "snapshots of lab %q%s\n%-40s %-20s %s\n", w.lab.Name, a.mode(), "NAME", "TAKEN", "STATE")
	for _, s := range all {
		state := "complete"
		switch {
		case !s.Complete():
			state = "incomplete: " + s.Problem
		case s.Current:
			state = "complete; the lab goes on from it"
		}
		fmt.Fprintf(&t, "%-40s %-20s %s\n", s.Name, s.Taken.UTC().Format("2006-01-02 15:04:05Z"), state)
	}
	a.ui.Print(t.String())
	return nil
}

func (a *app) runSnapshotRestore(ctx context.Context, name string, yes bool) (err error) {
	a.safe = "the machines may be in different states now; run the same command again to bring all of them back"
	if err := errors.Join(a.wantOutput("text"), usageOf(snapshots.CheckName(name))); err != nil {
		return err
	}
	w, err := a.openSnapshots(ctx)
	if err != nil {
		return err
	}
	defer w.close()
	unlock, err := w.lock("snapshot restore")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	found, err := w.set.Find(ctx, name)
	if err == nil && !found.Complete() {
		err = fmt.Errorf("snapshot %q: %w: %s", name, snapshots.ErrIncomplete, found.Problem)
	}
	if err != nil {
		return w.named(name, err)
	}
	if !yes {
		a.ui.Info(fmt.Sprintf("restore%s takes these machines back to snapshot %q of %s; all that they wrote since is lost:", a.mode(), name, found.Taken.UTC().Format("2006-01-02 15:04:05Z")))
		for _, m := range w.set.Machines {
			a.ui.Info("  machine " + w.vmName(m.Node))
		}
		if err := w.ask(ctx, "go on?"); err != nil {
			return err
		}
	}
	ran, err := w.running(ctx)
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
		return hinted(exitUnable, err, w.next("snapshot restore "+name)+" again: machines of different times make no lab")
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

func (a *app) runSnapshotDelete(ctx context.Context, name string) (err error) {
	if err := errors.Join(a.wantOutput("text"), usageOf(snapshots.CheckName(name))); err != nil {
		return err
	}
	w, err := a.openSnapshots(ctx)
	if err != nil {
		return err
	}
	defer w.close()
	unlock, err := w.lock("snapshot delete")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
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
