package vbox

import (
	"context"
	"errors"
	"strings"
)

// Snapshot is a state of a machine that can be gone back to.
type Snapshot struct {
	Name, UUID, Description string
	// Current says that the machine's disk has grown from this one.
	Current bool
}

// Snapshots lists a machine's snapshots, each after the one that it was taken on top of.
func (c *Client) Snapshots(ctx context.Context, id string) ([]Snapshot, error) {
	out, err := c.run(ctx, listSnapshotsArgs(id))
	var e *Error
	if errors.As(err, &e) && strings.Contains(e.Stdout, "does not have any snapshots") { // that exits 1
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return parseSnapshots(out), nil
}

// parseSnapshots reads SnapshotName, SnapshotName-1, SnapshotName-1-1, … each followed by its UUID and description.
func parseSnapshots(s string) []Snapshot {
	var all []Snapshot
	for _, p := range parseProperties(s) {
		last := len(all) - 1
		switch key, _, _ := strings.Cut(p.key, "-"); {
		case key == "SnapshotName":
			all = append(all, Snapshot{Name: p.value})
		case key == "SnapshotUUID" && last >= 0:
			all[last].UUID = p.value
		case key == "SnapshotDescription" && last >= 0:
			all[last].Description = p.value
		case key == "CurrentSnapshotUUID":
			for i := range all {
				all[i].Current = all[i].UUID == p.value
			}
		}
	}
	return all
}

// TakeSnapshot takes a snapshot. ErrAlreadyExists if the machine has one of that name, which VirtualBox would allow.
func (c *Client) TakeSnapshot(ctx context.Context, id, name, description string) error {
	snapshots, err := c.Snapshots(ctx, id)
	if err != nil {
		return err
	}
	for _, s := range snapshots {
		if s.Name == name {
			return ErrAlreadyExists
		}
	}
	_, err = c.run(ctx, takeSnapshotArgs(id, name, description))
	return err
}

// RestoreSnapshot takes a stopped machine back to a snapshot. What it wrote since is lost. ErrNotFound, ErrInvalidState if it runs.
func (c *Client) RestoreSnapshot(ctx context.Context, id, name string) error {
	_, err := c.run(ctx, restoreSnapshotArgs(id, name))
	return err
}

// DeleteSnapshot deletes a snapshot; the machine's present state stays. ErrNotFound.
func (c *Client) DeleteSnapshot(ctx context.Context, id, name string) error {
	_, err := c.run(ctx, deleteSnapshotArgs(id, name))
	return err
}
