package vbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// EnsureMachine makes the machine, or finishes one that was left half-made, and returns it. A machine that is as
// described already is only looked at; one that runs, or whose state is saved, had been finished and is left as it is.
//
// ErrForeign, and nothing is touched, if a machine of that name carries no mark or another one's; but one without a mark
// whose settings file is below BaseFolder is ours: the mark is the first thing that a new machine gets.
// step is told what is being done.
func (c *Client) EnsureMachine(ctx context.Context, s MachineSpec, step func(string)) (Machine, error) {
	var m Machine
	err := c.whole(ctx, func() (err error) {
		m, err = c.ensureMachine(ctx, s, step)
		return err
	})
	return m, err
}

func (c *Client) ensureMachine(ctx context.Context, s MachineSpec, step func(string)) (Machine, error) {
	m, err := c.ownMachine(ctx, s, step)
	if err != nil {
		return Machine{}, err
	}
	if m.running() || m.saved() {
		return m, nil
	}
	// The media are noted on the machine first, so that RemoveMachine finds what is not attached yet, or no more.
	if err := c.note(ctx, m.UUID, baseKey(s.OwnerKey), s.BaseDisk); err != nil {
		return Machine{}, err
	}
	if err := c.note(ctx, m.UUID, diskKey(s.OwnerKey), s.Disk); err != nil {
		return Machine{}, err
	}
	if err := c.note(ctx, m.UUID, seedKey(s.OwnerKey), s.Seed); err != nil {
		return Machine{}, err
	}
	if flags := changes(m.properties, settings(s, c.goos)); len(flags) > 0 {
		step("configuring machine")
		if _, err := c.run(ctx, modifyArgs(m.UUID, flags)); err != nil {
			return Machine{}, err
		}
	}
	if err := c.ensureForward(ctx, m, s.SSHPort); err != nil {
		return Machine{}, err
	}
	if !hasController(m) {
		step("adding storage controller")
		if _, err := c.run(ctx, addControllerArgs(m.UUID)); err != nil && !errors.Is(err, ErrAlreadyExists) {
			return Machine{}, err
		}
	}
	if err := c.ensureDisk(ctx, m, s, step); err != nil {
		return Machine{}, err
	}
	if !c.samePath(m.Media[controller+"-1-0"], s.Seed) {
		step("attaching seed")
		if _, err := c.run(ctx, attachDVDArgs(m.UUID, s.Seed)); err != nil {
			return Machine{}, err
		}
	}
	return c.Machine(ctx, m.UUID)
}

// ownMachine finds or creates the machine and makes sure that it carries the owner's mark.
func (c *Client) ownMachine(ctx context.Context, s MachineSpec, step func(string)) (Machine, error) {
	m, err := c.Machine(ctx, s.Name)
	switch {
	case errors.Is(err, ErrNotFound):
		step("creating machine")
		if err := c.createMachine(ctx, s); err != nil {
			return Machine{}, err
		}
		if m, err = c.Machine(ctx, s.Name); err != nil {
			return Machine{}, err
		}
	case err != nil:
		return Machine{}, err
	}
	owner, marked, err := c.ExtraData(ctx, m.UUID, s.OwnerKey)
	switch {
	case err != nil:
		return Machine{}, err
	case marked && owner == s.Owner:
		return m, nil
	case marked:
		return Machine{}, fmt.Errorf("a machine of this name exists and %w: its mark %s is %q, not %q", ErrForeign, s.OwnerKey, owner, s.Owner)
	case !c.below(m.ConfigFile, s.BaseFolder):
		return Machine{}, fmt.Errorf("a machine of this name exists and %w: it has no mark %s, and its settings are in %q",
			ErrForeign, s.OwnerKey, m.ConfigFile)
	}
	return m, c.SetExtraData(ctx, m.UUID, s.OwnerKey, s.Owner)
}

// createMachine registers a new machine. A settings file of that name that no machine uses was left by a killed run:
// it is inside BaseFolder, which is the caller's own, and is replaced.
func (c *Client) createMachine(ctx context.Context, s MachineSpec) error {
	_, err := c.alone(ctx, createMachineArgs(s))
	if !errors.Is(err, ErrAlreadyExists) {
		return err
	}
	file := filepath.Join(s.BaseFolder, filepath.FromSlash(s.Group), s.Name, s.Name+".vbox")
	if os.Remove(file) != nil {
		return err
	}
	_, err = c.alone(ctx, createMachineArgs(s))
	return err
}

// note attaches a note, unless it is there.
func (c *Client) note(ctx context.Context, id, key, value string) error {
	have, _, err := c.ExtraData(ctx, id, key)
	if err != nil || have == value {
		return err
	}
	return c.SetExtraData(ctx, id, key, value)
}

func diskKey(ownerKey string) string { return ownerKey + "/disk" }
func seedKey(ownerKey string) string { return ownerKey + "/seed" }
func baseKey(ownerKey string) string { return ownerKey + "/base" }

func hasController(m Machine) bool {
	for key, v := range m.properties {
		if v == controller && strings.HasPrefix(key, "storagecontrollername") {
			return true
		}
	}
	return false
}

// ensureForward makes the rule for SSH, replaces one of other ports, or takes it away where port is 0.
func (c *Client) ensureForward(ctx context.Context, m Machine, port int) error {
	want := Forward{Name: sshRule, Proto: "tcp", HostIP: "127.0.0.1", HostPort: port, GuestPort: 22}
	for _, f := range m.Forwards {
		if f.Name != sshRule {
			continue
		}
		if f == want {
			return nil
		}
		if _, err := c.run(ctx, deleteForwardArgs(m.UUID, natSlot, sshRule)); err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
	}
	if port == 0 {
		return nil
	}
	_, err := c.run(ctx, addForwardArgs(m.UUID, natSlot, want))
	return err
}

// ensureDisk attaches a disk linked to the base image. A disk that is attached must have grown from that image, maybe by
// way of snapshots. A file in the new disk's place that is attached nowhere never was in use: it is made anew.
func (c *Client) ensureDisk(ctx context.Context, m Machine, s MachineSpec, step func(string)) error {
	if attached := m.Media[controller+"-0-0"]; attached != "" {
		return c.checkLinked(ctx, attached, s.BaseDisk)
	}
	step("creating linked disk")
	if err := c.discardDisk(ctx, s.Disk); err != nil {
		return err
	}
	if _, err := c.alone(ctx, createLinkedDiskArgs(s.Disk, s.BaseDisk)); err != nil {
		return err
	}
	_, err := c.run(ctx, attachDiskArgs(m.UUID, s.Disk))
	return err
}

// discardDisk removes a disk, its file and its registration. One that is gone is no error; ErrInUse if it is attached.
func (c *Client) discardDisk(ctx context.Context, path string) error {
	err := c.CloseMedium(ctx, path, true)
	if err == nil || errors.Is(err, ErrBadMedium) {
		// VirtualBox does not delete what it cannot read: the rest of a creation that was killed.
		err = os.Remove(path)
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
	}
	return err
}

// checkLinked follows a disk's parents to the image that it grew from.
func (c *Client) checkLinked(ctx context.Context, disk, base string) error {
	out, err := c.run(ctx, listDisksArgs())
	if err != nil {
		return err
	}
	byUUID := map[string]Medium{}
	var at Medium
	for _, d := range parseMedia(out) {
		byUUID[d.UUID] = d
		if c.samePath(d.Path, disk) {
			at = d
		}
	}
	for range byUUID { // a chain cannot be longer than the list
		if at.Parent == "" {
			break
		}
		at = byUUID[at.Parent]
	}
	if !c.samePath(at.Path, base) {
		return fmt.Errorf("its disk %q is linked to %q, not to %q: remove the machine first", disk, at.Path, base)
	}
	return nil
}

// samePath compares two paths on VirtualBox's side.
func (c *Client) samePath(a, b string) bool {
	a, b = filepath.Clean(a), filepath.Clean(b)
	return a == b || c.goos == "windows" && strings.EqualFold(a, b)
}

// below says whether a file is inside a folder.
func (c *Client) below(file, folder string) bool {
	file, folder = filepath.Clean(file), filepath.Clean(folder)
	if c.goos == "windows" {
		file, folder = strings.ToLower(file), strings.ToLower(folder)
	}
	rel, err := filepath.Rel(folder, file)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))
}
