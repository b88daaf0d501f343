//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

const progress = "0%...10%...20%...30%...40%...50%...60%...70%...80%...90%...100%"

var adapterName = regexp.MustCompile(`^vboxnet\d+$`)

// hostOnlyIf makes and removes adapters. Listing them and giving them addresses is real.
func (f *front) hostOnlyIf(ctx context.Context, args []string) (int, error) {
	switch {
	case len(args) == 2 && args[1] == "create":
		return 0, f.createHostOnly(ctx)
	case len(args) == 3 && args[1] == "remove" && adapterName.MatchString(args[2]):
		if _, err := net.InterfaceByName(args[2]); err == nil {
			return 0, f.removeHostOnly(ctx, args[2])
		}
	}
	return f.pass(ctx, args)
}

func (f *front) createHostOnly(ctx context.Context) error {
	const most = 128 // as VirtualBox
	for n := range most {
		name := fmt.Sprintf("vboxnet%d", n)
		if _, err := net.InterfaceByName(name); err == nil {
			continue
		}
		if err := ip(ctx, "link", "add", name, "address", fmt.Sprintf("0a:00:27:00:00:%02x", n), "type", "bridge"); err != nil {
			return err
		}
		fmt.Fprintln(f.stderr, progress)
		fmt.Fprintf(f.stdout, "Interface '%s' was successfully created\n", name)
		return nil
	}
	return errors.New("all names of host-only adapters are taken")
}

func (f *front) removeHostOnly(ctx context.Context, name string) error {
	if err := ip(ctx, "link", "delete", name); err != nil {
		return err
	}
	// VirtualBox forgets the adapter's address with it.
	for _, key := range []string{"IPAddress", "IPNetMask", "IPV6Address", "IPV6NetMask"} {
		if _, err := f.ask(ctx, "setextradata", "global", "HostOnly/"+name+"/"+key); err != nil {
			return err
		}
	}
	fmt.Fprintln(f.stderr, progress)
	return nil
}

// address gives an adapter the address that VirtualBox lists for it, as VirtualBox does when a machine starts: one that was made and
// never configured has none until then.
func (f *front) address(ctx context.Context, name string) error {
	out, err := f.ask(ctx, "list", "hostonlyifs")
	if err != nil {
		return err
	}
	want, err := listedAddress(out, name)
	if err != nil {
		return err
	}
	return ip(ctx, "address", "replace", want, "dev", name)
}

// listedAddress finds an adapter's address in list hostonlyifs: 192.168.56.1/24.
func listedAddress(text, name string) (string, error) {
	var at, address string
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
		switch value = strings.TrimSpace(value); key {
		case "Name":
			at = value
		case "IPAddress":
			address = value
		case "NetworkMask":
			mask := net.ParseIP(value).To4()
			if at != name || mask == nil || net.ParseIP(address) == nil {
				continue
			}
			ones, _ := net.IPMask(mask).Size()
			return fmt.Sprintf("%s/%d", address, ones), nil
		}
	}
	return "", fmt.Errorf("VirtualBox lists no address of %q", name)
}

func ip(ctx context.Context, args ...string) error {
	out, err := exec.CommandContext(ctx, "ip", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, bytes.TrimSpace(out))
	}
	return nil
}

// plug makes a tap on the bridge. It lives as long as somebody holds it open: QEMU, in the end.
func plug(ctx context.Context, tap, bridge string) (*os.File, error) {
	// Not os.OpenFile: it would set the file up for polling, before the tap is one.
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("/dev/net/tun: %w", err)
	}
	file := os.NewFile(uintptr(fd), "/dev/net/tun")
	request, err := unix.NewIfreq(tap)
	if err == nil {
		request.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI)
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.TUNSETIFF, uintptr(unsafe.Pointer(request)))
		if errno != 0 {
			err = errno
		}
	}
	if err == nil {
		err = ip(ctx, "link", "set", tap, "master", bridge, "up")
	}
	if err == nil {
		err = ip(ctx, "link", "set", bridge, "up")
	}
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("tap %q on %q: %w", tap, bridge, err)
	}
	return file, nil
}
