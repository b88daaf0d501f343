package sim

import (
	"path/filepath"
	"slices"
	"strings"
	"time"
)

func (c *call) list(args []string) error {
	if len(args) == 0 {
		return usageError(2, "Missing subcommand for \"list\" command.")
	}
	if len(args) > 1 {
		return unknownSubcommand(args[1])
	}
	switch args[0] {
	case "vms", "runningvms":
		for _, m := range c.state.Machines {
			if args[0] == "vms" || m.State == "running" || m.State == "paused" {
				c.printf("\"%s\" {%s}\n", m.Name, m.UUID)
			}
		}
	case "hdds":
		c.listMedia("disk", "")
	case "dvds":
		c.listMedia("dvd", "")
	case "hostonlyifs":
		c.listHostOnly()
	case "dhcpservers":
		c.listDHCP()
	case "natnets":
	case "systemproperties":
		c.printf("%-33s%s\n", "API version:", "7_2")
		c.printf("%-33s%s\n", "Default machine folder:", filepath.Join(c.dir, "VirtualBox VMs"))
		c.printf("%-33s%s\n", "Default hard disk format:", "VDI")
	default: // hostonlynets among them: they are macOS's
		return unknownSubcommand(args[0])
	}
	return nil
}

func (c *call) showVMInfo(args []string) error {
	words, options, err := parseOptions(2, args, map[string]arity{"--machinereadable": takes(0)})
	if err == nil {
		err = wantWords(words, 1)
	}
	if err != nil {
		return err
	}
	if len(options) == 0 {
		return usageError(2, "SIMULATED: showvminfo without --machinereadable is not modelled")
	}
	m, err := c.find(words[0], `"FindMachine(Bstr(VMNameOrUuid).raw(), machine.asOutParam())" at line 3248 of file VBoxManageInfo.cpp`)
	if err != nil {
		return err
	}
	c.showMachine(m)
	return nil
}

// infoTime is how VirtualBox prints the time of a change: UTC, nine digits of a second.
func infoTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000") + "000000" }

// showMachine prints every field that the recording has, in its order.
func (c *call) showMachine(m *machineState) {
	folder := m.folder()
	file := func(suffix string) string { return filepath.Join(folder, m.Name+suffix) }
	// fixed prints a block in which a key that modifyvm has set shows its value.
	fixed := func(block string) {
		for line := range strings.Lines(block) {
			key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
			if set, ok := m.Settings[key]; ok {
				if strings.HasPrefix(value, `"`) {
					set = `"` + set + `"`
				}
				line = key + "=" + set + "\n"
			}
			c.printf("%s", line)
		}
	}
	c.printf("name=%q\nencryption=\"disabled\"\ngroups=%q\nplatformArchitecture=\"x86\"\nostype=%q\nUUID=%q\n",
		m.Name, m.Groups, osTypes()[m.OSType], m.UUID)
	c.printf("CfgFile=%q\nSnapFldr=%q\nLogFldr=%q\nhardwareuuid=%q\nmemory=%d\n",
		m.ConfigFile, filepath.Join(folder, "Snapshots"), filepath.Join(folder, "Logs"), m.UUID, m.Memory)
	fixed(infoChipset)
	c.printf("cpus=%d\n", m.CPUs)
	fixed(infoProcessor)
	c.printf("NvramFile=%q\n", file(".nvram"))
	fixed(infoParavirt)
	c.printf("VMState=%q\nVMStateChangeTime=%q\n", m.State, infoTime(m.ChangedAt))
	fixed(infoTeleporter)
	c.showControllers(m)
	for i, nic := range m.NICs {
		c.showNIC(i+1, nic)
	}
	fixed("hidpointing=\"ps2mouse\"\nhidkeyboard=\"ps2kbd\"\nuart1=\"off\"\n")
	if uart := m.Settings["uart1"]; uart != "" && uart != "off" {
		fixed("uartmode1=\"disconnected\"\nuarttype1=\"16550A\"\n")
	}
	fixed(infoPorts)
	if m.State == "running" || m.State == "paused" {
		c.printf("SessionName=\"headless\"\nVideoMode=\"720,400,0\"@0,0 1\n")
	}
	fixed(infoRecording)
	c.printf("rec_screen_dest_filename=%q\n", file("-screen0.webm"))
	fixed(infoScreen)
	c.showSnapshots(m)
	c.printf("GuestMemoryBalloon=0\n")
}

func (c *call) showControllers(m *machineState) {
	for i, ctl := range m.Controllers {
		c.printf("storagecontrollername%d=%q\nstoragecontrollertype%d=\"IntelAhci\"\nstoragecontrollerinstance%d=\"0\"\n", i, ctl.Name, i, i)
		c.printf("storagecontrollermaxportcount%d=\"30\"\nstoragecontrollerportcount%d=\"%d\"\nstoragecontrollerbootable%d=%q\n",
			i, i, ctl.Ports, i, onOff(ctl.Bootable))
	}
	for _, ctl := range m.Controllers {
		for port := range ctl.Ports {
			at := slices.IndexFunc(ctl.Attached, func(a attachmentState) bool { return a.Port == port })
			if at < 0 {
				c.printf("\"%s-%d-0\"=\"none\"\n", ctl.Name, port)
				continue
			}
			c.showAttachment(ctl.Name, ctl.Attached[at])
		}
	}
}

func (c *call) showAttachment(ctl string, a attachmentState) {
	field := func(key, value string) { c.printf("\"%s-%s%d-%d\"=%q\n", ctl, key, a.Port, a.Device, value) }
	if a.Medium == "" {
		field("", "emptydrive")
		field("IsEjected-", "off")
		return
	}
	field("", a.Path)
	field("ImageUUID-", a.Medium)
	if a.Kind == "dvddrive" {
		field("tempeject-", "off")
		field("IsEjected-", "off")
	}
	field("hot-pluggable-", "off")
	field("nonrotational-", "off")
	field("discard-", "off")
}

func (c *call) showNIC(n int, nic nicState) {
	switch nic.Kind {
	case "none":
		c.printf("nic%d=\"none\"\n", n)
		return
	case "nat":
		c.printf("natnet%d=\"nat\"\n", n)
	case "hostonly":
		c.printf("hostonlyadapter%d=%q\n", n, nic.Network)
	}
	c.printf("macaddress%d=%q\ncableconnected%d=%q\nnic%d=%q\nnictype%d=%q\nnicspeed%d=\"0\"\n",
		n, strings.ToUpper(strings.ReplaceAll(nic.MAC, ":", "")), n, onOff(nic.Cable), n, nic.Kind, n, nic.Type, n)
	if nic.Kind != "nat" {
		return
	}
	reachable := 0
	if nic.LocalhostReachable {
		reachable = 1
	}
	c.printf("mtu=\"0\"\nsockSnd=\"64\"\nsockRcv=\"64\"\ntcpWndSnd=\"64\"\ntcpWndRcv=\"64\"\nlocalhostReachable=\"%d\"\nforwardBroadcast=\"0\"\nenableTFTP=\"0\"\n", reachable)
	for i, r := range nic.Rules {
		c.printf("Forwarding(%d)=\"%s,%s,%s,%d,%s,%d\"\n", i, r.Name, r.Proto, r.HostIP, r.HostPort, r.GuestIP, r.GuestPort)
	}
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}

// The parts of showvminfo --machinereadable that no call of labctl's depends on, with the values of a fresh machine.
const (
	infoChipset = `pagefusion="off"
vram=8
cpuexecutioncap=100
cpu-profile="host"
chipset="piix3"
firmware="BIOS"
`
	infoProcessor = `hpet="off"
pae="off"
longmode="on"
triplefaultreset="off"
apic="on"
x2apic="on"
nested-hw-virt="off"
hwvirtex="on"
nestedpaging="on"
largepages="off"
vtxvpid="on"
vtxux="on"
virtvmsavevmload="on"
cpuid-portability-level=0
bootmenu="messageandmenu"
boot1="floppy"
boot2="dvd"
boot3="disk"
boot4="none"
acpi="on"
ioapic="on"
biosapic="apic"
biossystemtimeoffset=0
`
	infoParavirt = `rtcuseutc="on"
iommu="none"
paravirtprovider="default"
effparavirtprovider="kvm"
`
	infoTeleporter = `graphicscontroller="vboxvga"
monitorcount=1
accelerate3d="off"
teleporterenabled="off"
teleporterport=0
teleporteraddress=""
teleporterpassword=""
tracing-enabled="off"
tracing-allow-vm-access="off"
tracing-config=""
autostart-enabled="off"
autostart-delay=0
defaultfrontend=""
vmprocpriority="default"
`
	infoPorts = `uart2="off"
uart3="off"
uart4="off"
lpt1="off"
lpt2="off"
audio="default"
audio_out="off"
audio_in="off"
clipboard="disabled"
clipboard_file_transfers="off"
draganddrop="disabled"
vrde="off"
usb="off"
ehci="off"
xhci="off"
`
	infoRecording = `recording_started="off"
recording_enabled="off"
recording_screens=1
 rec_screen0
rec_screen_enabled="on"
rec_screen_id=0
rec_screen_video_enabled="on"
rec_screen_audio_enabled="off"
rec_screen_dest="File"
`
	infoScreen = `rec_screen_opts="ac_profile=med"
rec_screen_video_res_xy="1024x768"
rec_screen_video_rate_kbps=512
rec_screen_video_fps=25
`
)
