package vbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

// cleanLimit bounds each call that cleans up when the context is over: somebody waits for the end.
const cleanLimit = 15 * time.Second

// ConvertDisk copies a disk image into a VDI of the given size, in MiB, at target: raw images, qcow2 (also the .img files that clouds
// publish), VMDK, VDI, OVA and whatever else VirtualBox reads. What is at source counts, not its name; it is only read.
//
// Refused are images that need other files, compressed files, installation discs, and an image that is larger than sizeMiB.
//
// The copy is made beside target and renamed when it is complete, so a target that exists is complete: it is left as it is.
// Interrupted, it leaves nothing.
func (c *Client) ConvertDisk(ctx context.Context, source, target string, sizeMiB int, step func(string)) error {
	err := c.whole(ctx, func() error { return c.convertDisk(ctx, source, target, sizeMiB, step) })
	if err != nil {
		return fmt.Errorf("converting %q to %q: %w", source, target, err)
	}
	return nil
}

func (c *Client) convertDisk(ctx context.Context, source, target string, sizeMiB int, step func(string)) error {
	release, err := hold(ctx, c.serial)
	if err != nil {
		return err
	}
	defer release()
	if _, err := os.Stat(target); err == nil {
		return nil
	}
	// A target that was deleted behind VirtualBox's back is still registered, with a UUID that the new one will not have.
	if err := c.CloseMedium(ctx, target, false); err != nil {
		return err
	}
	// part becomes the target; scratch is a copy of the source where VirtualBox cannot read that as it is.
	part, scratch := target+".part.vdi", target+".part.vmdk"
	if err := errors.Join(c.discardDisk(ctx, part), c.discardScratch(ctx, scratch)); err != nil {
		return err
	}
	err = c.writePart(ctx, source, part, scratch, sizeMiB, step)
	// Also when ctx is over: a half-written image would be in the way. A finished target is not looked at again: nothing may
	// be left to do once it is there.
	clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanLimit)
	defer cancel()
	err = errors.Join(err, c.discardScratch(clean, scratch))
	if err == nil {
		err = onDisk(part)
	}
	if err == nil {
		err = os.Rename(part, target)
	}
	if err == nil {
		return nil
	}
	return errors.Join(err, c.discardDisk(clean, part))
}

// onDisk waits until the file's bytes are on the disk: after a power cut the name would be there before they are.
func onDisk(file string) error {
	f, err := os.OpenFile(file, os.O_RDWR, 0) // Windows syncs only what may be written to
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// discardScratch removes the copy of a source, also one that a killed run has left half-written and registered.
func (c *Client) discardScratch(ctx context.Context, scratch string) error {
	if _, err := os.Lstat(scratch); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err := c.CloseMedium(ctx, scratch, false); err != nil && !errors.Is(err, ErrBadMedium) {
		return err
	}
	return os.Remove(scratch)
}

// writePart makes the copy. On success nothing of it is left in the registry.
func (c *Client) writePart(ctx context.Context, source, part, scratch string, sizeMiB int, step func(string)) error {
	source, format, err := c.readable(ctx, source, scratch, step)
	if err != nil {
		return err
	}
	step("converting image")
	err = c.copyDisk(ctx, source, format, part)
	if errors.Is(err, ErrAlreadyExists) && source != scratch { // VirtualBox has a disk with this one's UUID, perhaps the original
		if err = c.copyWithUUID(ctx, source, scratch, step); err == nil {
			step("converting image")
			err = c.copyDisk(ctx, scratch, format, part)
		}
	}
	if err != nil {
		return err
	}
	m, err := c.Medium(ctx, part)
	if err != nil {
		return err
	}
	if m.CapacityMiB > sizeMiB {
		return fmt.Errorf("the image has %d MiB, more than the %d MiB that the disk should have", m.CapacityMiB, sizeMiB)
	}
	if m.CapacityMiB < sizeMiB {
		step("resizing disk")
		if _, err := c.run(ctx, resizeDiskArgs(part, sizeMiB)); err != nil {
			return err
		}
	}
	return c.CloseMedium(ctx, part, false)
}

// readable returns the source, or a copy of it at scratch, that VirtualBox reads.
func (c *Client) readable(ctx context.Context, source, scratch string, step func(string)) (string, diskFormat, error) {
	image, err := inspect(source)
	if err != nil {
		return "", "", err
	}
	if image.format == formatOVA {
		step("taking the disk out of the OVA")
		if err := extractDisk(ctx, source, scratch); err != nil {
			return "", "", err
		}
		source = scratch
		if image, err = inspect(source); err != nil {
			return "", "", err
		}
		if image.format != formatVMDK {
			return "", "", fmt.Errorf("%w: the disk in the OVA is no VMDK", ErrBadMedium)
		}
	}
	switch {
	case source == scratch: // it may be in VirtualBox already, from another import
		err = c.setUUID(ctx, scratch)
	case image.noUUID:
		source, err = scratch, c.copyWithUUID(ctx, source, scratch, step)
	}
	return source, image.format, err
}

// copyWithUUID makes a copy of an image with a UUID of its own. The source is not to be changed.
func (c *Client) copyWithUUID(ctx context.Context, source, scratch string, step func(string)) error {
	step("copying the image, to give it a UUID")
	if err := copyFile(ctx, source, scratch); err != nil {
		return err
	}
	return c.setUUID(ctx, scratch)
}

func (c *Client) setUUID(ctx context.Context, file string) error {
	if _, err := c.run(ctx, setDiskUUIDArgs(file)); err != nil {
		return fmt.Errorf("the image takes no UUID (another format does without: qemu-img convert -O qcow2 FILE NEWFILE.qcow2): %w", err)
	}
	return nil
}

func (c *Client) copyDisk(ctx context.Context, source string, format diskFormat, part string) error {
	if format == formatRaw {
		_, err := c.run(ctx, convertRawArgs(source, part))
		return err
	}
	_, err := c.run(ctx, cloneDiskArgs(source, part))
	// Cloning registers the source too.
	clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanLimit)
	defer cancel()
	closed := c.CloseMedium(clean, source, false)
	if errors.Is(closed, ErrBadMedium) {
		closed = nil // then it was not registered either
	}
	return errors.Join(err, closed)
}
