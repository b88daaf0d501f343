//go:build linux

package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

const qemuProgram = "qemu-system-x86_64"

// accel says how QEMU runs a processor: by KVM where that works, else by emulation. It is found out once.
func (f *front) accel(ctx context.Context) (string, error) {
	file := filepath.Join(f.dir, "accel")
	if known, err := os.ReadFile(file); err == nil {
		return string(known), nil
	}
	accel := "tcg,thread=multi"
	if probe(ctx, f.dir, "kvm", "host") == nil {
		accel = "kvm"
	}
	return accel, os.WriteFile(file, []byte(accel), 0o600)
}

// probe runs a boot sector of three instructions that ends QEMU with a status of its own. That /dev/kvm can be opened, or
// even makes a machine, does not say that the machine can run: where virtualisation is nested it may not.
func probe(ctx context.Context, dir, accel, cpu string) error {
	const want = 0x10<<1 | 1
	sector := make([]byte, 512)
	copy(sector, []byte{0xba, 0x01, 0x05, 0xb0, 0x10, 0xee, 0xf4}) // mov dx,0x501; mov al,0x10; out dx,al; hlt
	sector[510], sector[511] = 0x55, 0xaa
	disk, err := os.CreateTemp(dir, "probe-*.img")
	if err != nil {
		return err
	}
	defer os.Remove(disk.Name())
	_, err = disk.Write(sector)
	if err := errors.Join(err, disk.Close()); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, qemuProgram, "-accel", accel, "-cpu", cpu, "-M", "pc", "-m", "32", "-nodefaults", "-display", "none",
		"-device", "isa-debug-exit,iobase=0x501,iosize=1", "-drive", "if=ide,format=raw,file="+escape(disk.Name()))
	exit, err := status(cmd.Run())
	if err == nil && exit != want {
		err = errors.New(accel + " cannot run code")
	}
	return err
}
