//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// image is a disk in VirtualBox's registry.
type image struct {
	UUID, Parent, Path, Format string
	MiB                        string
}

// images lists the registered disks by UUID.
func (f *front) images(ctx context.Context) (map[string]image, error) {
	out, err := f.ask(ctx, "list", "hdds")
	if err != nil {
		return nil, err
	}
	return parseImages(out), nil
}

func parseImages(text string) map[string]image {
	all := map[string]image{}
	var i image
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
		value = strings.TrimSpace(value)
		switch key {
		case "UUID":
			i = image{UUID: value}
		case "Parent UUID":
			i.Parent = strings.TrimPrefix(value, "base")
		case "Location":
			i.Path = value
		case "Storage format":
			i.Format = strings.ToLower(value)
		case "Capacity":
			i.MiB, _, _ = strings.Cut(value, " ")
		}
		if i.UUID != "" {
			all[i.UUID] = i
		}
	}
	return all
}

// drives returns what QEMU can use in place of the media.
func (f *front) drives(ctx context.Context, media []medium) ([]drive, error) {
	images, err := f.images(ctx)
	if err != nil {
		return nil, err
	}
	var drives []drive
	for _, m := range media {
		if m.DVD {
			if _, err := os.Stat(m.Path); err != nil {
				return nil, refuse(fmt.Sprintf("Could not open the medium '%s'.\nVD: error VERR_FILE_NOT_FOUND opening image file '%s' (VERR_FILE_NOT_FOUND)", m.Path, m.Path),
					failure, "MediumWrap, interface IMedium", "")
			}
			drives = append(drives, drive{m.Port, m.Path, "raw", true})
			continue
		}
		if i := images[m.UUID]; i.UUID != "" && i.Parent == "" {
			if i.Format != "vdi" {
				return nil, fmt.Errorf("disk %q: format %q is not provided", i.Path, i.Format)
			}
			drives = append(drives, drive{m.Port, i.Path, "vdi", false})
			continue
		}
		file, err := f.mirror(ctx, images, m.UUID)
		if err != nil {
			return nil, fmt.Errorf("disk %q: %w", m.Path, err)
		}
		drives = append(drives, drive{m.Port, file, "qcow2", false})
	}
	return drives, nil
}

func (f *front) mirrorPath(uuid string) string { return filepath.Join(f.dir, "disks", uuid+".qcow2") }

// mirror returns the qcow2 file that stands for a disk and is made when it is first needed: of a base a copy, because QEMU
// saves the state of no machine that has a VDI; of another one a file over its parent's mirror.
func (f *front) mirror(ctx context.Context, images map[string]image, uuid string) (string, error) {
	i, ok := images[uuid]
	if !ok {
		return "", fmt.Errorf("no disk %s is registered", uuid)
	}
	if _, err := os.Stat(i.Path); err != nil {
		return "", err // as VirtualBox, even if the mirror is there
	}
	file := f.mirrorPath(uuid)
	_, err := os.Stat(file)
	made := err == nil
	if i.Parent != "" { // also if it is there: VirtualBox opens the whole chain
		parent, err := f.mirror(ctx, images, i.Parent)
		if made || err != nil {
			return file, err
		}
		return file, f.makeMirror(ctx, i, "create", "-q", "-f", "qcow2", "-b", parent, "-F", "qcow2", file+".part", i.MiB+"M")
	}
	if made {
		return file, nil
	}
	if i.Format != "vdi" {
		return "", fmt.Errorf("format %q of %q is not provided", i.Format, i.Path)
	}
	return file, f.makeMirror(ctx, i, "convert", "-f", "vdi", "-O", "qcow2", i.Path, file+".part")
}

func (f *front) makeMirror(ctx context.Context, i image, args ...string) error {
	file := f.mirrorPath(i.UUID)
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(file+".path", []byte(i.Path), 0o600); err != nil {
		return err
	}
	if err := qemuImg(ctx, args...); err != nil {
		return err
	}
	return os.Rename(file+".part", file)
}

func qemuImg(ctx context.Context, args ...string) error {
	out, err := exec.CommandContext(ctx, "qemu-img", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("qemu-img %s: %w: %s", strings.Join(args, " "), err, bytes.TrimSpace(out))
	}
	return nil
}

// sweep removes the mirrors of disks, and the folders of machines, that are gone. A disk that was only closed keeps its
// file, and so its mirror.
func (f *front) sweep(ctx context.Context) error {
	images, err := f.images(ctx)
	if err != nil {
		return err
	}
	mirrors, err := filepath.Glob(f.mirrorPath("*"))
	if err != nil {
		return err
	}
	for _, file := range mirrors {
		uuid := strings.TrimSuffix(filepath.Base(file), ".qcow2")
		path, err := os.ReadFile(file + ".path")
		if _, registered := images[uuid]; registered || err == nil && vdiUUID(string(path)) == uuid {
			continue
		}
		for _, name := range []string{file, file + ".path"} {
			if err := os.Remove(name); err != nil && !os.IsNotExist(err) {
				return err
			}
		}
	}
	vms, err := f.ask(ctx, "list", "vms")
	if err != nil {
		return err
	}
	for _, m := range f.known() {
		if !strings.Contains(vms, m.uuid) && m.pid() == 0 {
			if err := os.RemoveAll(m.dir); err != nil {
				return err
			}
		}
	}
	return nil
}

// vdiUUID reads a VDI's own UUID; empty if there is no such file.
func vdiUUID(path string) string {
	const at = 0x188
	file, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer file.Close()
	var u [16]byte
	if _, err := file.ReadAt(u[:], at); err != nil {
		return ""
	}
	return fmt.Sprintf("%08x-%04x-%04x-%x-%x", binary.LittleEndian.Uint32(u[0:]), binary.LittleEndian.Uint16(u[4:]),
		binary.LittleEndian.Uint16(u[6:]), u[8:10], u[10:])
}
