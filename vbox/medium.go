package vbox

import (
	"context"
	"errors"
	"path/filepath"
	"strconv"
	"strings"
)

// Medium is a disk image or a DVD image that VirtualBox has in its registry.
type Medium struct {
	UUID   string
	Parent string // UUID of the disk that this one is linked to; empty for a base disk and a DVD
	// State is created, locked read, inaccessible, … Problem says why it is inaccessible, where VirtualBox says so.
	State, Problem string
	Path           string
	Format         string // VDI, QCOW, VMDK, RAW, …; in capitals
	CapacityMiB    int
	UsedBy         []string // names of machines; filled in by Medium alone
}

// Medium looks at the image at path. VirtualBox opens it for that, and so registers it: CloseMedium takes it out again.
// A DVD image is told by the ending .iso. ErrNotFound if there is no such file, ErrBadMedium if it is no image.
func (c *Client) Medium(ctx context.Context, path string) (Medium, error) {
	a := showDiskArgs(path)
	if isDVD(path) {
		a = showDVDArgs(path)
	}
	out, err := c.run(ctx, a)
	if err != nil {
		return Medium{}, err
	}
	media := parseMedia(out)
	if len(media) == 0 {
		return Medium{}, errors.New("VBoxManage showmediuminfo: the answer has no UUID")
	}
	return media[0], nil
}

// Media lists the registered disks, then the DVDs.
func (c *Client) Media(ctx context.Context) ([]Medium, error) {
	disks, err := c.run(ctx, listDisksArgs())
	if err != nil {
		return nil, err
	}
	dvds, err := c.run(ctx, listDVDsArgs())
	if err != nil {
		return nil, err
	}
	return append(parseMedia(disks), parseMedia(dvds)...), nil
}

// CloseMedium takes an image out of the registry and, if asked to, deletes its file (disks only). One that is not there
// is no error. ErrInUse if a machine or a linked disk still needs it.
func (c *Client) CloseMedium(ctx context.Context, path string, deleteFile bool) error {
	a := closeDiskArgs(path)
	switch {
	case isDVD(path):
		a = closeDVDArgs(path)
	case deleteFile:
		a = deleteDiskArgs(path)
	}
	_, err := c.run(ctx, a)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

func isDVD(path string) bool { return strings.EqualFold(filepath.Ext(path), ".iso") }

// parseMedia reads showmediuminfo, list hdds and list dvds.
func parseMedia(s string) []Medium {
	var media []Medium
	for _, b := range parseBlocks(s) {
		m := Medium{
			UUID:    b["UUID"],
			Parent:  b["Parent UUID"],
			State:   b["State"],
			Problem: b["Access Error"],
			Path:    b["Location"],
			Format:  strings.ToUpper(b["Storage format"]),
		}
		if m.UUID == "" {
			continue
		}
		if m.Parent == "base" {
			m.Parent = ""
		}
		capacity, _, _ := strings.Cut(b["Capacity"], " ")
		m.CapacityMiB, _ = strconv.Atoi(capacity) // an inaccessible medium has none
		m.UsedBy = parseUsedBy(s, b["In use by VMs"])
		media = append(media, m)
	}
	return media
}

// parseUsedBy reads `In use by VMs:  NAME (UUID: …)`, which goes on in indented lines.
func parseUsedBy(s, first string) []string {
	if first == "" {
		return nil
	}
	_, after, _ := strings.Cut(s, "In use by VMs:")
	var names []string
	for i, line := range strings.Split(after, "\n") {
		if i > 0 && !strings.HasPrefix(line, " ") {
			break
		}
		if at := strings.LastIndex(line, " (UUID: "); at >= 0 {
			names = append(names, strings.TrimSpace(line[:at]))
		}
	}
	return names
}
