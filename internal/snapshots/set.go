package snapshots

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/labctl/labctl/vbox"
)

// Hypervisor is what is needed of VirtualBox.
type Hypervisor interface {
	Snapshots(ctx context.Context, id string) ([]vbox.Snapshot, error)
	TakeSnapshot(ctx context.Context, id, name, description string) error
	RestoreSnapshot(ctx context.Context, id, snapshot string) error
	DeleteSnapshot(ctx context.Context, id, snapshot string) error
}

var _ Hypervisor = (*vbox.Client)(nil)

// Machine is one of the lab's machines.
type Machine struct{ Node, UUID string }

// Set is the snapshots of a lab. Its caller holds the lab's lock; the machines are off, but for List and Delete.
type Set struct {
	Hypervisor Hypervisor
	LabID      string
	Machines   []Machine
	Step       func(node, text string) // told what is under way
}

// List returns the lab's snapshots, the oldest first.
func (s *Set) List(ctx context.Context) ([]Snapshot, error) {
	ours, _, err := s.parts(ctx)
	if err != nil {
		return nil, err
	}
	return gather(ours, s.nodes()), nil
}

func (s *Set) nodes() []string {
	var nodes []string
	for _, m := range s.Machines {
		nodes = append(nodes, m.Node)
	}
	return nodes
}

// parts reads the snapshots of every machine: the lab's own, and those of somebody else.
func (s *Set) parts(ctx context.Context) (ours, foreign []part, err error) {
	for _, m := range s.Machines {
		all, err := s.Hypervisor.Snapshots(ctx, m.UUID)
		if err != nil {
			return nil, nil, fmt.Errorf("listing the snapshots of %q: %w", m.Node, err)
		}
		for _, v := range all {
			p := part{node: m.Node, uuid: m.UUID, Snapshot: v}
			var ok bool
			if p.owner, ok = parseLabel(v.Description); ok && p.owner.lab == s.LabID && strings.HasPrefix(v.Name, prefix) {
				ours = append(ours, p)
			} else {
				foreign = append(foreign, p)
			}
		}
	}
	return ours, foreign, nil
}

// CanSave says whether Save would begin: ErrExists, ErrForeign if somebody else's snapshot has the name.
func (s *Set) CanSave(ctx context.Context, name string) error {
	_, err := s.replaced(ctx, name)
	return err
}

// replaced returns what Save would replace: the parts of a save that was not finished.
func (s *Set) replaced(ctx context.Context, name string) ([]part, error) {
	if err := CheckName(name); err != nil {
		return nil, err
	}
	ours, foreign, err := s.parts(ctx)
	if err != nil {
		return nil, err
	}
	if err := refuseForeign(foreign, name); err != nil {
		return nil, err
	}
	for _, old := range gather(ours, s.nodes()) {
		switch {
		case old.Name == name && old.Complete():
			return nil, fmt.Errorf("snapshot %q: %w", name, ErrExists)
		case old.Name == name:
			return old.parts, nil
		}
	}
	return nil, nil
}

// refuseForeign is for a name that somebody else has taken.
func refuseForeign(foreign []part, name string) error {
	for _, p := range foreign {
		if p.Name == prefix+name {
			return fmt.Errorf("snapshot %q of %q: %w", p.Name, p.node, ErrForeign)
		}
	}
	return nil
}

// Save takes a snapshot of every machine. It replaces one of that name that is incomplete. ErrExists, ErrForeign.
func (s *Set) Save(ctx context.Context, name string, now time.Time) error {
	old, err := s.replaced(ctx, name)
	if err != nil {
		return err
	}
	if err := s.remove(ctx, old); err != nil {
		return err
	}
	l := label{lab: s.LabID, save: rand.Text(), taken: now, nodes: s.nodes()}
	for _, m := range s.Machines {
		s.Step(m.Node, "taking snapshot")
		if err := s.Hypervisor.TakeSnapshot(ctx, m.UUID, prefix+name, l.String()); err != nil {
			return fmt.Errorf("taking snapshot %q of machine %q: %w", name, m.Node, err)
		}
	}
	return nil
}

// Find returns a snapshot. ErrNotFound, ErrForeign if only somebody else has one of that name.
func (s *Set) Find(ctx context.Context, name string) (Snapshot, error) {
	ours, foreign, err := s.parts(ctx)
	if err != nil {
		return Snapshot{}, err
	}
	for _, found := range gather(ours, s.nodes()) {
		if found.Name == name {
			return found, nil
		}
	}
	if err := refuseForeign(foreign, name); err != nil {
		return Snapshot{}, err
	}
	for _, p := range foreign {
		if p.Name == name {
			return Snapshot{}, fmt.Errorf("snapshot %q of %q: %w", name, p.node, ErrForeign)
		}
	}
	return Snapshot{}, fmt.Errorf("snapshot %q: %w", name, ErrNotFound)
}

// Restore takes every machine back. What they wrote since is lost. ErrIncomplete, and nothing is touched.
func (s *Set) Restore(ctx context.Context, snapshot Snapshot) error {
	if !snapshot.Complete() {
		return fmt.Errorf("snapshot %q: %w: %s", snapshot.Name, ErrIncomplete, snapshot.Problem)
	}
	for _, p := range snapshot.parts {
		s.Step(p.node, "restoring snapshot")
		if err := s.Hypervisor.RestoreSnapshot(ctx, p.uuid, p.UUID); err != nil {
			return fmt.Errorf("restoring snapshot %q of machine %q: %w", snapshot.Name, p.node, err)
		}
	}
	return nil
}

// Delete deletes a snapshot, complete or not. The machines stay as they are.
func (s *Set) Delete(ctx context.Context, snapshot Snapshot) error {
	return s.remove(ctx, snapshot.parts)
}

// remove goes backwards: of two parts on one machine, the later one goes first.
func (s *Set) remove(ctx context.Context, parts []part) error {
	for _, p := range slices.Backward(parts) {
		s.Step(p.node, "deleting snapshot")
		if err := s.Hypervisor.DeleteSnapshot(ctx, p.uuid, p.UUID); err != nil {
			return fmt.Errorf("deleting snapshot %q of machine %q: %w", strings.TrimPrefix(p.Name, prefix), p.node, err)
		}
	}
	return nil
}
