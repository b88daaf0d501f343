package doctor

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// VirtualBoxFacts is what package vbox found out.
type VirtualBoxFacts struct {
	Path       string // of VBoxManage
	FindErr    error  // why there is none
	Version    string // as VBoxManage prints it
	VersionErr error  // why it does not say
	Supported  error  // why this version does not do
}

// VirtualBox asks whether there is a VBoxManage that labctl can use.
func VirtualBox(f VirtualBoxFacts, goos string) Finding {
	const name = "VirtualBox"
	install := "https://www.virtualbox.org/wiki/Downloads"
	switch goos {
	case "linux":
		install = "install VirtualBox 7.0 or newer, for example: sudo apt install virtualbox"
	case "darwin":
		install = "brew install --cask virtualbox"
	case "windows":
		install = "winget install Oracle.VirtualBox"
	}
	blocker := func(err error, fix string) Finding {
		return Finding{Name: name, Status: Blocker, Detail: err.Error(), Fix: fix}
	}
	switch {
	case f.FindErr != nil:
		return blocker(f.FindErr, install)
	case f.VersionErr != nil:
		return blocker(fmt.Errorf("%s does not tell its version: %w", f.Path, f.VersionErr), f.Path+" --version")
	case f.Supported != nil:
		return blocker(f.Supported, install)
	}
	return Finding{Name: name, Status: OK, Detail: fmt.Sprintf("%s, version %s", f.Path, f.Version)}
}

// KernelModule asks whether VirtualBox's module is loaded on a Linux host: modules is /proc/modules.
func KernelModule(deviceExists bool, modules string) Finding {
	const name = "kernel module vboxdrv"
	_, loaded := moduleUse(modules, "vboxdrv")
	if deviceExists || loaded {
		return Finding{Name: name, Status: OK, Detail: "loaded"}
	}
	return Finding{Name: name, Status: Blocker, Detail: "not loaded: machines cannot start", Fix: "sudo modprobe vboxdrv || sudo /sbin/vboxconfig"}
}

// moduleUse returns how many use the module, by /proc/modules, and whether it is loaded.
func moduleUse(modules, name string) (count string, loaded bool) {
	for line := range strings.Lines(modules) {
		if fields := strings.Fields(line); len(fields) > 2 && fields[0] == name {
			return fields[2], true
		}
	}
	return "", false
}

// HostOnlyRange asks whether VirtualBox lets the host have this address, with its prefix, on a host-only network.
func HostOnlyRange(host netip.Prefix, allows func(netip.Prefix) bool) Finding {
	const name = "host-only range"
	if allows(host) {
		return Finding{Name: name, Status: OK, Detail: fmt.Sprintf("%s is allowed", host)}
	}
	// Where the file exists, VirtualBox's own range no longer counts: it is written down too, for others' networks.
	ranges := []string{"* 192.168.56.0/21", "* " + host.Masked().String()}
	return Finding{
		Name: name, Status: Blocker,
		Detail: fmt.Sprintf("%s is not allowed by /etc/vbox/networks.conf", host),
		Fix:    fmt.Sprintf(`sudo mkdir -p /etc/vbox && printf '%s\n%s\n' | sudo tee -a /etc/vbox/networks.conf`, ranges[0], ranges[1]),
	}
}

// CPUVirtualization asks a Linux host's /proc/cpuinfo for VT-x or AMD-V.
func CPUVirtualization(cpuinfo string) Finding {
	const name = "CPU virtualization"
	var flags []string
	for line := range strings.Lines(cpuinfo) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "flags" {
			flags = strings.Fields(value)
			break
		}
	}
	switch {
	case flags == nil:
		return unknown(name, fmt.Errorf("/proc/cpuinfo has no flags"))
	case slices.Contains(flags, "vmx"):
		return Finding{Name: name, Status: OK, Detail: "VT-x"}
	case slices.Contains(flags, "svm"):
		return Finding{Name: name, Status: OK, Detail: "AMD-V"}
	case slices.Contains(flags, "hypervisor"):
		return Finding{Name: name, Status: Blocker, Detail: "this host is a virtual machine without nested virtualization",
			Fix: "turn on nested virtualization for it where it runs (VirtualBox: VBoxManage modifyvm NAME --nested-hw-virt on)"}
	}
	return Finding{Name: name, Status: Blocker, Detail: "neither VT-x nor AMD-V", Fix: "turn it on in the firmware's setup: systemctl reboot --firmware-setup"}
}
