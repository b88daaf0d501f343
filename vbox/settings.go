package vbox

import (
	"strconv"
	"strings"
)

// MachineSpec describes a machine as it should be: a disk linked to a base image, a seed on the DVD drive, NAT on the
// first adapter and the host-only network on the second, and a serial port that writes to a file.
type MachineSpec struct {
	Name       string
	Group      string // for example /labctl/lab
	BaseFolder string // VirtualBox makes GROUP/NAME/NAME.vbox below it
	OSType     string // for example Ubuntu_64; see VBoxManage list ostypes
	// The owner's mark is the note OwnerKey=Owner on the machine.
	OwnerKey, Owner     string
	CPUs, MemoryMiB     int
	NATMAC, HostOnlyMAC string // any of the usual spellings; empty: VirtualBox chooses
	HostOnlyNetwork     string // the adapter's name, or the network's on macOS
	SSHPort             int    // of 127.0.0.1, forwarded to port 22 of the guest; 0: none
	BaseDisk            string // a VDI; it is only read
	Disk                string // the linked disk, to be made
	Seed                string // an ISO image
	SerialLog           string
}

// setting is something that modifyvm sets: the flags for it, and what showvminfo then says.
type setting struct {
	have  map[string]string
	flags []string
}

const (
	natSlot      = 1
	hostOnlySlot = 2
	// sshRule is the name of the NAT rule for SSHPort.
	sshRule = "ssh"
)

// settings are what modifyvm sets of a machine, but for its NAT rule.
func settings(s MachineSpec, goos string) []setting {
	all := []setting{
		value("memory", "--memory", strconv.Itoa(s.MemoryMiB)),
		value("cpus", "--cpus", strconv.Itoa(s.CPUs)),
		value("ioapic", "--ioapic", "on"), // more than one CPU needs it
		value("rtcuseutc", "--rtc-use-utc", "on"),
		value("boot1", "--boot1", "disk"),
		value("boot2", "--boot2", "none"),
		value("boot3", "--boot3", "none"),
		value("boot4", "--boot4", "none"),
		{map[string]string{"audio": "null"}, []string{"--audio-driver", "null"}},
		value("graphicscontroller", "--graphicscontroller", "vmsvga"),
		value("vram", "--vram", "16"),
		// Cloud images log to the first serial port, and boot for minutes where there is none:
		// https://github.com/hashicorp/vagrant/issues/10578
		{map[string]string{"uart1": "0x03f8,4"}, []string{"--uart1", "0x3f8", "4"}},
		{map[string]string{"uartmode1": "file," + s.SerialLog}, []string{"--uart-mode1", "file", s.SerialLog}},
	}
	all = append(all, nicSettings(natSlot, s.NATMAC, setting{
		map[string]string{"nic1": "nat"}, []string{"--nic1", "nat"},
	})...)
	hostOnly := setting{
		map[string]string{"nic2": "hostonly", "hostonlyadapter2": s.HostOnlyNetwork},
		[]string{"--nic2", "hostonly", "--host-only-adapter2", s.HostOnlyNetwork},
	}
	if goos == "darwin" {
		hostOnly = setting{
			map[string]string{"nic2": "hostonlynetwork", "hostonly-network2": s.HostOnlyNetwork},
			[]string{"--nic2", "hostonlynet", "--host-only-net2", s.HostOnlyNetwork},
		}
	}
	return append(all, nicSettings(hostOnlySlot, s.HostOnlyMAC, hostOnly)...)
}

// nicSettings gives the kind of an adapter, then what can be set once there is one. 82540EM is what every guest has a
// driver for.
func nicSettings(slot int, mac string, kind setting) []setting {
	n := strconv.Itoa(slot)
	all := []setting{
		kind,
		value("nictype"+n, "--nic-type"+n, "82540EM"),
		value("cableconnected"+n, "--cable-connected"+n, "on"),
	}
	if mac = bareMAC(mac); mac != "" {
		all = append(all, value("macaddress"+n, "--mac-address"+n, mac))
	}
	return all
}

func value(key, flag, v string) setting { return setting{map[string]string{key: v}, []string{flag, v}} }

// bareMAC writes a MAC as VBoxManage does: 0800274D69BE.
func bareMAC(mac string) string {
	return strings.ToUpper(strings.NewReplacer(":", "", "-", "", ".", "").Replace(mac))
}

// changes returns the flags of those settings that the machine does not have.
func changes(have map[string]string, want []setting) []string {
	var flags []string
	for _, s := range want {
		for key, v := range s.have {
			if have[key] != v {
				flags = append(flags, s.flags...)
				break
			}
		}
	}
	return flags
}
