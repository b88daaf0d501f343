package vbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// ConvertDisk copies a disk image into a VDI of the given size, in MiB, at target: raw images, qcow2 (also the .img files
// that clouds publish), VMDK, VDI and whatever else VirtualBox reads. What is at source counts, not its name; it is only
// read. The copy is made beside target and renamed when it is complete, so a target that exists is complete: it is left
// as it is. An image that is larger than sizeMiB is refused. Interrupted, it leaves nothing.
func (c *Client) ConvertDisk(ctx context.Context, source, target string, sizeMiB int, step func(string)) error {
	if err := c.convertDisk(ctx, source, target, sizeMiB, step); err != nil {
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
	part := target + ".part.vdi"
	if err := c.discardDisk(ctx, part); err != nil {
		return err
	}
	err = c.writePart(ctx, source, part, sizeMiB, step)
	if err == nil {
		err = os.Rename(part, target)
	}
	if err == nil {
		return nil
	}
	// Also when ctx is over: a half-written image would be in the way.
	clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	return errors.Join(err, c.discardDisk(clean, part))
}

// writePart makes the copy. On success nothing of it is left in the registry.
func (c *Client) writePart(ctx context.Context, source, part string, sizeMiB int, step func(string)) error {
	step("converting image")
	if err := c.copyDisk(ctx, source, part); err != nil {
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

func (c *Client) copyDisk(ctx context.Context, source, part string) error {
	raw, err := isRaw(source)
	if err != nil {
		return err
	}
	if raw {
		_, err := c.run(ctx, convertRawArgs(source, part))
		return err
	}
	_, err = c.run(ctx, cloneDiskArgs(source, part))
	// Cloning registers the source too.
	clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	closed := c.CloseMedium(clean, source, false)
	if errors.Is(closed, ErrBadMedium) {
		closed = nil // then it was not registered either
	}
	return errors.Join(err, closed)
}

// isRaw says whether a file carries none of the signatures of the formats that VirtualBox clones.
func isRaw(path string) (bool, error) {
	f, err := os.Open(path)
	if err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return false, fmt.Errorf("%w: %w", ErrNotFound, err)
		}
		return false, err
	}
	defer f.Close()
	head := make([]byte, 512)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return false, err
	}
	return rawHead(head[:n]), nil
}

func rawHead(head []byte) bool {
	for _, format := range []struct {
		offset    int
		signature string
	}{
		{0, "QFI\xfb"},               // qcow2
		{0, "QED\x00"},               // QED
		{0, "KDMV"},                  // VMDK with its data in it
		{0, "# Disk DescriptorFile"}, // VMDK that names other files
		{0, "conectix"},              // VHD
		{0, "vhdxfile"},              // VHDX
		{64, "\x7f\x10\xda\xbe"},     // VDI
	} {
		end := format.offset + len(format.signature)
		if len(head) >= end && string(head[format.offset:end]) == format.signature {
			return false
		}
	}
	return true
}
