package vbox

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// RemoveMachine switches a machine off and deletes it with its snapshots, its linked disk, its settings and its logs; the
// base image stays. One that is gone is no error. ErrForeign, and nothing is touched, without the mark ownerKey=owner.
// ErrForeignMedium, and nothing is touched either, while a medium that was not made for the machine would be lost with it: see Belongings.
// A removal that was killed is finished by the next one: the machine itself goes last. A machine whose settings file is
// gone has lost its mark; where id is its UUID, which nobody else can have guessed, it is taken off VirtualBox's list.
func (c *Client) RemoveMachine(ctx context.Context, id, ownerKey, owner string, step func(string)) error {
	return c.whole(ctx, func() error { return c.removeMachine(ctx, id, ownerKey, owner, step) })
}

func (c *Client) removeMachine(ctx context.Context, id, ownerKey, owner string, step func(string)) error {
	m, err := c.Machine(ctx, id)
	switch {
	case errors.Is(err, ErrNotFound):
		return nil
	case errors.Is(err, ErrInaccessible): // only a UUID leads here: it has no name any more
		step("taking machine without settings file off the list")
		_, err := c.run(ctx, forgetArgs(id))
		return err
	case err != nil:
		return err
	}
	mark, marked, err := c.ExtraData(ctx, m.UUID, ownerKey)
	if err != nil {
		return err
	}
	if !marked || mark != owner {
		return fmt.Errorf("it %w: its mark %s is %q, not %q", ErrForeign, ownerKey, mark, owner)
	}
	have, err := c.belongings(ctx, m, ownerKey)
	if err != nil {
		return err
	}
	if err := c.refuseForeign(ctx, have.Foreign); err != nil {
		return err
	}
	if err := c.stop(ctx, m, 0, step); err != nil {
		return err
	}
	if err := c.removeSnapshots(ctx, m.UUID, step); err != nil {
		return err
	}
	if err := c.removeMedia(ctx, m.UUID, ownerKey, step); err != nil {
		return err
	}
	step("deleting machine")
	_, err = c.run(ctx, unregisterArgs(m.UUID))
	if errors.Is(err, ErrNotFound) { // an earlier try did it, but failed afterwards
		return nil
	}
	return err
}

// removeSnapshots deletes them from the leaves to the root: one with several children cannot be deleted.
func (c *Client) removeSnapshots(ctx context.Context, id string, step func(string)) error {
	snapshots, err := c.Snapshots(ctx, id)
	if err != nil {
		return err
	}
	for i := len(snapshots) - 1; i >= 0; i-- {
		step("deleting snapshot " + snapshots[i].Name)
		_, err := c.run(ctx, deleteSnapshotArgs(id, snapshots[i].UUID))
		if err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
	}
	return nil
}

// removeMedia takes every medium out of the machine, deletes the linked disks and takes the rest out of the registry.
// Without this, `unregistervm --delete` deletes the base image with the last disk linked to it.
//
// What belongs to the machine is told by the notes on it and by the folder where snapshots put their disks, because a killed run may
// have detached it already, or not yet attached it.
func (c *Client) removeMedia(ctx context.Context, id, ownerKey string, step func(string)) error {
	m, err := c.Machine(ctx, id) // again: deleting snapshots has changed which disk is attached
	if err != nil {
		return err
	}
	for _, place := range slices.Sorted(maps.Keys(m.Media)) {
		step("detaching " + place)
		name, port, device := splitPlace(place)
		_, err := c.run(ctx, detachArgs(id, name, port, device))
		if err != nil && !errors.Is(err, ErrNotFound) { // an earlier try did it, but failed afterwards
			return err
		}
	}
	have, err := c.belongings(ctx, m, ownerKey)
	if err != nil {
		return err
	}
	step("deleting linked disk")
	for _, medium := range slices.Backward(have.Own) { // disks stand behind those that they are linked to
		linked := medium.Parent != ""
		if err := c.CloseMedium(ctx, medium.Path, linked); err != nil && (linked || !errors.Is(err, ErrInUse)) {
			return err
		}
	}
	if have.disk != "" { // the rest of a disk whose creation was killed is not listed
		return c.discardDisk(ctx, have.disk)
	}
	return nil
}

// splitPlace takes SATA-0-0 apart from its end: a controller's name may have dashes.
func splitPlace(place string) (controller, port, device string) {
	last := strings.LastIndexByte(place, '-')
	middle := strings.LastIndexByte(place[:last], '-')
	return place[:middle], place[middle+1 : last], place[last+1:]
}
