//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"regexp"
)

// snapshot keeps the mirrors in step with what the real program does to a stopped machine's disks. Taking a snapshot
// needs nothing: the new disk gets its mirror when it is first used.
func (f *front) snapshot(ctx context.Context, args []string) (int, error) {
	if len(args) < 3 || args[2] == "list" || args[2] == "showvminfo" {
		return f.pass(ctx, args)
	}
	if m, state := f.held(args[1]); m != nil {
		if args[2] == "restore" && live(state) {
			return 0, refuse(fmt.Sprintf("Cannot delete the current state of the running machine (machine state: %s)", capital(state)), vmState,
				"SessionMachine, interface IMachine", `"RestoreSnapshot(pSnapshot, pProgress.asOutParam())" at line 541 of file VBoxManageSnapshot.cpp`)
		}
		return 0, notProvided("snapshot "+args[2], m, state)
	}
	if args[2] == "delete" && len(args) == 4 {
		return f.deleteSnapshot(ctx, args)
	}
	exit, err := f.pass(ctx, args)
	if err == nil {
		err = f.sweep(ctx)
	}
	return exit, err
}

// diskOf finds a snapshot's disks in showvminfo: Port 0, Unit 0: UUID: …
var diskOf = regexp.MustCompile(`(?m)^ +Port \d+, Unit \d+: UUID: ([0-9a-f-]{36})$`)

// deleteSnapshot merges mirrors after VirtualBox has merged the images.
func (f *front) deleteSnapshot(ctx context.Context, args []string) (int, error) {
	before, err := f.images(ctx)
	if err != nil {
		return 0, err
	}
	var disks []image
	if shown, err := f.ask(ctx, "snapshot", args[1], "showvminfo", args[3]); err == nil {
		for _, match := range diskOf.FindAllStringSubmatch(shown, -1) {
			if i, ok := before[match[1]]; ok { // not a DVD
				disks = append(disks, i)
			}
		}
	}
	for _, i := range disks {
		if i.Parent == "" {
			return 0, fmt.Errorf("deleting a snapshot of the base disk %q is not provided", i.Path)
		}
	}
	exit, err := f.pass(ctx, args)
	if err != nil {
		return exit, err
	}
	after, err := f.images(ctx)
	if err != nil {
		return exit, err
	}
	for _, i := range disks {
		if err := f.merge(ctx, before, after, i); err != nil {
			return exit, fmt.Errorf("merging the mirror of %q: %w", i.Path, err)
		}
	}
	return exit, f.sweep(ctx)
}

// merge does to the mirrors of a deleted snapshot's disk and of the only disk that grew from it what VirtualBox did to the
// two images: one is left, and shows what the younger one did. Which one that is depends on their sizes.
func (f *front) merge(ctx context.Context, before, after map[string]image, older image) error {
	grown := children(before, older.UUID)
	if len(grown) != 1 {
		return nil // nothing was merged: its disk is gone, or the call was refused
	}
	younger := before[grown[0]]
	_, olderLeft := after[older.UUID]
	_, youngerLeft := after[younger.UUID]
	if olderLeft == youngerLeft {
		return nil
	}
	file := f.mirrorPath(younger.UUID)
	if _, err := os.Stat(file); os.IsNotExist(err) { // never used: it showed what the older one does
		if youngerLeft {
			return f.rename(ctx, after, older.UUID, younger.UUID)
		}
		return nil
	}
	parent, err := f.mirror(ctx, before, older.Parent)
	if err != nil {
		return err
	}
	// Copies into the younger one what it showed of the older one.
	if err := qemuImg(ctx, "rebase", "-f", "qcow2", "-b", parent, "-F", "qcow2", file); err != nil {
		return err
	}
	if olderLeft {
		return f.rename(ctx, after, younger.UUID, older.UUID)
	}
	return nil
}

// rename gives a mirror to another disk, and the mirrors over it their new parent.
func (f *front) rename(ctx context.Context, after map[string]image, from, to string) error {
	if _, err := os.Stat(f.mirrorPath(from)); os.IsNotExist(err) {
		return nil
	}
	if err := os.Rename(f.mirrorPath(from), f.mirrorPath(to)); err != nil {
		return err
	}
	if err := os.WriteFile(f.mirrorPath(to)+".path", []byte(after[to].Path), 0o600); err != nil {
		return err
	}
	for _, child := range children(after, to) {
		if _, err := os.Stat(f.mirrorPath(child)); err == nil {
			if err := qemuImg(ctx, "rebase", "-u", "-f", "qcow2", "-b", f.mirrorPath(to), "-F", "qcow2", f.mirrorPath(child)); err != nil {
				return err
			}
		}
	}
	return nil
}

func children(images map[string]image, uuid string) []string {
	var all []string
	for _, i := range images {
		if i.Parent == uuid {
			all = append(all, i.UUID)
		}
	}
	return all
}
