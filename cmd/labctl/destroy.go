package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/labctl/labctl/internal/labdir"
	"github.com/labctl/labctl/provision/provider"
	"github.com/labctl/labctl/vbox"
)

func (a *app) newDestroyCmd() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:   "destroy",
		Short: "remove the lab: its machines, its network if labctl made it, its folder",
		Long: `destroy removes all that labctl made for the lab and nothing else. The cached image stays, so that the next up
needs no download. It refuses, and changes nothing, while a file, a disk or a machine that labctl did not make would be lost with the lab.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runDestroy(cmd.Context(), yes) },
	}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "don't ask")
	return cmd
}

func (a *app) runDestroy(ctx context.Context, yes bool) (err error) {
	if err := a.wantOutput("text"); err != nil {
		return err
	}
	a.safe = "what is left still bears this lab's mark; run labctl destroy again to remove it"
	s, err := a.open()
	if err != nil {
		return err
	}
	defer s.close()
	s.asMade()
	hypervisor, err := s.hypervisor(ctx)
	if err != nil {
		return err
	}
	machines, err := s.marked(ctx, hypervisor)
	if err != nil {
		return err
	}
	_, err = os.Stat(s.folder.Path)
	hasFolder := err == nil
	if len(machines) == 0 && missing(err) {
		a.ui.Print(fmt.Sprintf("there is no lab %q%s: nothing to remove\n", s.lab.Name, a.mode()))
		return nil
	}
	elsewhere, err := s.elsewhere(ctx, hypervisor, machines)
	if err != nil {
		return err
	}
	unlock, err := s.lock("destroy")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	if err := s.onlyOurs(ctx, hypervisor, machines); err != nil {
		return err
	}
	if !yes {
		if err := s.confirmDestroy(ctx, hypervisor, machines, elsewhere, hasFolder); err != nil {
			return err
		}
	}
	if err := s.destroy(ctx, hypervisor, machines); err != nil {
		return err
	}
	a.ui.Print(fmt.Sprintf("lab %q is gone%s; the cached image stays\nnext        %s\n", s.lab.Name, a.mode(), a.next("up")))
	return nil
}

// asMade goes by the lab as it was made, where that is known: what was made is removed, not what the file says by now.
func (s *session) asMade() {
	stored, err := s.folder.Stored()
	switch {
	case err == nil:
		s.lab = stored
	case !errors.Is(err, labdir.ErrNoLab):
		s.ui.Info(fmt.Sprintf("the stored configuration can't be read, going by the one at hand: %v", err))
	}
}

// confirmDestroy lists what goes, and asks.
func (s *session) confirmDestroy(ctx context.Context, hypervisor *vbox.Client, machines []markedMachine, elsewhere []string, hasFolder bool) error {
	s.ui.Info(fmt.Sprintf("destroy removes%s:", s.mode()))
	for _, m := range machines {
		gone, err := withDisk(ctx, hypervisor, m.MachineRef)
		if err != nil {
			return err
		}
		s.ui.Info(fmt.Sprintf("  machine %s%s", m.Name, gone))
	}
	for _, folder := range elsewhere {
		s.ui.Info("  files   of these machines in " + folder)
	}
	if hasFolder {
		s.ui.Info("  folder  " + s.folder.Path)
	}
	return s.ask(ctx, "go on?")
}

// destroy removes the lab, its folder last: as long as that is there, another destroy finds all that is left. machines are those that
// were there before.
func (s *session) destroy(ctx context.Context, hypervisor *vbox.Client, machines []markedMachine) error {
	if err := s.bench().Leave(ctx); err != nil {
		s.ui.Info(fmt.Sprintf("what a fault has done to this computer stays: %v", err))
	}
	if err := s.destroyStack(ctx); err != nil {
		return err
	}
	left, err := s.removeMarked(ctx, hypervisor)
	if err != nil {
		return err
	}
	if err := s.removeNetworks(ctx, hypervisor, append(machines, left...)); err != nil {
		return err
	}
	if err := s.leaveImages(ctx, hypervisor); err != nil {
		return err
	}
	if err := s.onlyOurs(ctx, hypervisor, nil); err != nil { // somebody may have come meanwhile
		return err
	}
	if err := s.folder.Remove(); err != nil {
		return fmt.Errorf("removing the lab's folder: %w", err)
	}
	return nil
}

// removeMarked removes the machines that the state didn't know of, for whatever reason, and returns them.
func (s *session) removeMarked(ctx context.Context, hypervisor *vbox.Client) ([]markedMachine, error) {
	left, err := s.marked(ctx, hypervisor)
	if err != nil {
		return nil, err
	}
	for _, m := range left {
		s.ui.Start(m.Name, "machine "+m.Name)
		if err := hypervisor.RemoveMachine(ctx, m.UUID, labdir.OwnerKey, m.owner, func(t string) { s.ui.Step(m.Name, t) }); err != nil {
			s.ui.Fail(m.Name, "removing it failed")
			return nil, fmt.Errorf("removing machine %q: %w", m.Name, err)
		}
		s.ui.Done(m.Name, "removed")
	}
	return left, nil
}

// withDisk tells what goes with a machine.
func withDisk(ctx context.Context, hypervisor *vbox.Client, m vbox.MachineRef) (string, error) {
	kept, err := hypervisor.Snapshots(ctx, m.UUID)
	if err != nil && !errors.Is(err, vbox.ErrInaccessible) && !errors.Is(err, vbox.ErrNotFound) {
		return "", fmt.Errorf("listing the snapshots of machine %q: %w", m.Name, err)
	}
	switch len(kept) {
	case 0:
		return " and its disk", nil
	case 1:
		return " and its disk, with its snapshot", nil
	}
	return fmt.Sprintf(" and its disk, with its %d snapshots", len(kept)), nil
}

// destroyStack lets the engine remove what its state knows. A state that can't be read must not keep the lab alive: the
// machines are then found by their mark alone.
func (s *session) destroyStack(ctx context.Context) (err error) {
	if _, err := s.folder.Passphrase(); errors.Is(err, labdir.ErrNoLab) {
		return nil
	}
	if _, err := s.folder.Owner(); errors.Is(err, labdir.ErrNoLab) {
		s.ui.Info(fmt.Sprintf("%v: going by the machines' marks", err))
		return nil
	}
	b, err := s.builder(ctx, true, timeoutsFor(0))
	var exit *exitError
	if errors.As(err, &exit) || ctx.Err() != nil {
		return err
	}
	if err != nil {
		s.ui.Info(fmt.Sprintf("the lab's state can't be used (%v): going by the machines' marks", err))
		return nil
	}
	defer func() { err = errors.Join(err, b.close()) }()
	_, err = b.stack.Destroy(ctx)
	return b.cause(err)
}

// removeNetworks takes the lab, and whoever made its machines, out of the host-only networks that the state didn't know of.
func (s *session) removeNetworks(ctx context.Context, hypervisor *vbox.Client, machines []markedMachine) error {
	owners := map[string]bool{}
	for _, m := range machines {
		owners[m.owner] = true
	}
	if mine, err := s.folder.Owner(); err == nil {
		owners[mine] = true
	}
	p := provider.New(ctx, provider.Options{Lab: s.lab, Folder: s.folder, Hypervisor: hypervisor, Now: s.now})
	for owner := range owners {
		if err := p.RemoveNetworks(ctx, owner, func(string) {}); err != nil {
			return fmt.Errorf("removing the host-only network: %w", err)
		}
	}
	return nil
}

// leaveImages takes base disks that no machine is linked to any more off VirtualBox's list; the files stay in the cache.
func (s *session) leaveImages(ctx context.Context, hypervisor *vbox.Client) error {
	media, err := hypervisor.Media(ctx)
	if err != nil {
		return fmt.Errorf("listing disks: %w", err)
	}
	for _, m := range media {
		if !below(m.Path, s.cache.Dir) {
			continue
		}
		err := hypervisor.CloseMedium(ctx, m.Path, false)
		if err != nil && !errors.Is(err, vbox.ErrInUse) && !errors.Is(err, vbox.ErrInvalidState) && !errors.Is(err, vbox.ErrNotFound) {
			return fmt.Errorf("taking base disk %q off VirtualBox's list: %w", m.Path, err)
		}
	}
	return nil
}

// markedMachine is a machine that bears the mark of a lab of this name.
type markedMachine struct {
	vbox.MachineRef
	owner string
}

// marked lists the machines that belong to this lab, or, where the lab's folder is gone, to any lab that had its name.
func (s *session) marked(ctx context.Context, hypervisor *vbox.Client) ([]markedMachine, error) {
	mine, err := s.folder.Owner()
	if err != nil && !errors.Is(err, labdir.ErrNoLab) {
		return nil, err
	}
	orphan := err != nil
	refs, err := hypervisor.Machines(ctx)
	if err != nil {
		return nil, fmt.Errorf("listing machines: %w", err)
	}
	var found []markedMachine
	for _, ref := range refs {
		owner, ok, err := hypervisor.ExtraData(ctx, ref.UUID, labdir.OwnerKey)
		if errors.Is(err, vbox.ErrNotFound) {
			continue // deleted meanwhile
		}
		if err != nil {
			return nil, fmt.Errorf("reading the mark of machine %q: %w", ref.Name, err)
		}
		if ok && (owner == mine || orphan && labdir.OfLab(owner, s.lab.Name)) {
			found = append(found, markedMachine{ref, owner})
		}
	}
	return found, nil
}
