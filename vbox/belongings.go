package vbox

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
)

// ErrForeignMedium says that a disk or a DVD image that was not made for a machine is in the machine's way.
var ErrForeignMedium = errors.New("was not made by labctl")

// Belongings are the registered media around a machine.
type Belongings struct {
	// Own are the disk and the seed that are noted on the machine, and the disks that its snapshots have put on top of that disk.
	Own []Medium
	// Foreign are those that would be lost with the machine all the same: others in the folder of its settings, and disks anywhere
	// that are linked to one of its own, which cannot go while they are there.
	Foreign []ForeignMedium

	disk string // as noted; empty if nothing is
}

// ForeignMedium is a medium that was not made for a machine.
type ForeignMedium struct {
	Medium
	LinkedTo string // the machine's own disk that it is linked to, if it is
}

// Belongings sorts the registered media around a machine that carries the mark ownerKey. ErrNotFound, ErrInaccessible.
func (c *Client) Belongings(ctx context.Context, id, ownerKey string) (Belongings, error) {
	m, err := c.Machine(ctx, id)
	if err != nil {
		return Belongings{}, err
	}
	return c.belongings(ctx, m, ownerKey)
}

func (c *Client) belongings(ctx context.Context, m Machine, ownerKey string) (Belongings, error) {
	var noted [3]string
	for i, key := range []string{diskKey(ownerKey), seedKey(ownerKey), baseKey(ownerKey)} {
		var err error
		if noted[i], _, err = c.ExtraData(ctx, m.UUID, key); err != nil {
			return Belongings{}, err
		}
	}
	disk, seed, base := noted[0], noted[1], noted[2]
	media, err := c.Media(ctx)
	if err != nil {
		return Belongings{}, err
	}
	byUUID := map[string]Medium{}
	for _, medium := range media {
		byUUID[medium.UUID] = medium
	}
	own := func(medium Medium) bool {
		for range media { // a chain cannot be longer than the list
			if c.samePath(medium.Path, disk) || c.samePath(medium.Path, seed) {
				return true
			}
			parent, linked := byUUID[medium.Parent]
			if !linked || !c.ofSnapshot(medium, m) {
				return false
			}
			if c.samePath(parent.Path, base) { // what a deleted snapshot has left of the machine's disk
				return true
			}
			medium = parent
		}
		return false
	}
	b := Belongings{disk: disk}
	for _, medium := range media {
		parent, linked := byUUID[medium.Parent]
		switch {
		case own(medium):
			b.Own = append(b.Own, medium)
		case linked && own(parent):
			b.Foreign = append(b.Foreign, ForeignMedium{Medium: medium, LinkedTo: parent.Path})
		case c.below(medium.Path, filepath.Dir(m.ConfigFile)):
			b.Foreign = append(b.Foreign, ForeignMedium{Medium: medium})
		}
	}
	return b, nil
}

// ofSnapshot tells whether a disk is where and called as those that VirtualBox makes for a machine's snapshots.
func (c *Client) ofSnapshot(medium Medium, m Machine) bool {
	folder, name := filepath.Dir(medium.Path), filepath.Base(medium.Path)
	return c.samePath(folder, m.properties["SnapFldr"]) && strings.HasPrefix(name, "{"+medium.UUID+"}")
}

// refuseForeign names media that would be lost, and who uses them.
func (c *Client) refuseForeign(ctx context.Context, media []ForeignMedium) error {
	var errs []error
	for _, f := range media {
		errs = append(errs, c.Refuse(ctx, f))
	}
	return errors.Join(errs...)
}

// Refuse is the error about a medium that is in the way: ErrForeignMedium, with who uses it.
func (c *Client) Refuse(ctx context.Context, f ForeignMedium) error {
	what := "disk"
	if isDVD(f.Path) {
		what = "DVD image"
	}
	users := ""
	if now, err := c.Medium(ctx, f.Path); err != nil {
		users = fmt.Sprintf(" (who uses it is not known: %v)", err)
	} else if len(now.UsedBy) > 0 {
		users = fmt.Sprintf(" (machine %s uses it)", strings.Join(now.UsedBy, ", "))
	}
	if f.LinkedTo != "" {
		return fmt.Errorf("%s %q%s %w and is linked to %q", what, f.Path, users, ErrForeignMedium, f.LinkedTo)
	}
	return fmt.Errorf("%s %q%s %w and would be lost", what, f.Path, users, ErrForeignMedium)
}
