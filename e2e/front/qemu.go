//go:build linux

package main

import (
	"fmt"
	"strconv"
	"strings"
)

// nicSlots are the PCI slots of VirtualBox's first four adapters: in the guest they are enp0s3, enp0s8, enp0s9, enp0s10.
var nicSlots = [...]int{3, 8, 9, 10}

// drive is a medium as QEMU gets it.
type drive struct {
	Port   int
	File   string
	Format string // raw, vdi or qcow2
	DVD    bool
}

// qemuArgs describes the machine in QEMU's words. taps are file descriptors by NIC slot. QEMU works in the machine's
// folder, m.
func qemuArgs(s settings, m *machine, drives []drive, accel string, taps map[int]int) []string {
	cpu := "host"
	if strings.HasPrefix(accel, "tcg") {
		// An emulated processor goes faster without what makes a real one fast: string moves are done byte by byte, five levels
		// of page tables are walked in software.
		cpu = "max,erms=off,fsrm=off,la57=off,smap=off,smep=off,avx=off,avx2=off"
	}
	args := []string{
		"-name", escape(s.Name), "-uuid", s.Hardware, "-pidfile", m.path("pid"), "-qmp", "unix:qmp,server=on,wait=off",
		"-nodefaults", "-display", "none", "-M", "pc", "-accel", accel, "-cpu", cpu,
		"-smp", strconv.Itoa(s.CPUs), "-m", strconv.Itoa(s.MemoryMiB), "-rtc", "base=utc",
		// Without these the guest calls its NICs ens3 and ens8, not enp0s3 and enp0s8 as on VirtualBox.
		"-global", "PIIX4_PM.acpi-pci-hotplug-with-bridge-support=off", "-global", "PIIX4_PM.acpi-root-pci-hotplug=off",
		"-device", "ich9-ahci,id=sata,addr=0xd",
	}
	for i, d := range drives {
		id := "d" + strconv.Itoa(d.Port)
		// What the guest flushes stays in the host's memory: it survives QEMU's death, and only that is tested.
		options, device := ",cache=unsafe", "ide-hd"
		if d.DVD {
			options, device = ",media=cdrom,readonly=on", "ide-cd"
		}
		args = append(args,
			"-drive", fmt.Sprintf("if=none,id=%s,format=%s,file=%s%s", id, d.Format, escape(d.File), options),
			"-device", fmt.Sprintf("%s,drive=%s,bus=sata.%d,bootindex=%d", device, id, d.Port, i))
	}
	for _, n := range s.NICs {
		id := "n" + strconv.Itoa(n.Slot)
		// VirtualBox's NAT: the guest is 10.0.2.15, the way out 10.0.2.2, DNS 10.0.2.3; no IPv6.
		net := "user,id=" + id + ",ipv6=off"
		for _, r := range n.Forwards {
			net += ",hostfwd=" + r.qemu()
		}
		if n.Kind == "hostonly" {
			net = fmt.Sprintf("tap,id=%s,fd=%d", id, taps[n.Slot])
		}
		// Without its ROM a card doesn't try to boot from the network.
		args = append(args, "-netdev", net, "-device", fmt.Sprintf("e1000,netdev=%s,mac=%s,addr=%#x,romfile=", id, n.MAC, nicSlots[n.Slot-1]))
	}
	if s.Serial != "" {
		args = append(args, "-chardev", "file,id=serial,path="+escape(s.Serial), "-serial", "chardev:serial")
	}
	for _, n := range s.NICs {
		if !n.Cable {
			return append(args, "-S") // the cables are unplugged before it runs
		}
	}
	return args
}

// qemu writes a NAT rule as hostfwd has it.
func (r forward) qemu() string {
	return r.Proto + ":" + r.HostIP + ":" + r.HostPort + "-" + r.GuestIP + ":" + r.GuestPort
}

// escape writes a value into a list of options.
func escape(s string) string { return strings.ReplaceAll(s, ",", ",,") }
