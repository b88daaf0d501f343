package sim

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// fake is a simulated VirtualBox of one test. In command lines, LAB stands for a folder of the test's own.
type fake struct {
	t        *testing.T
	dir, lab string
}

func newFake(t *testing.T) fake {
	f := fake{t, t.TempDir(), t.TempDir()}
	writeTestFile(t, filepath.Join(f.lab, "base.img"), make([]byte, 64*1024))
	writeTestFile(t, filepath.Join(f.lab, "seed.iso"), make([]byte, 64*1024))
	return f
}

func (f fake) path(name string) string { return filepath.Join(f.lab, name) }

func (f fake) run(line string) (stdout, stderr string, exit int) {
	var out, errs bytes.Buffer
	exit = VBoxManage(f.dir, strings.Fields(strings.ReplaceAll(line, "LAB", f.lab)), &out, &errs)
	return out.String(), errs.String(), exit
}

// do runs calls that must succeed, and returns the output of the last.
func (f fake) do(lines ...string) (stdout string) {
	f.t.Helper()
	for _, line := range lines {
		out, errs, exit := f.run(line)
		if exit != 0 {
			f.t.Fatalf("VBoxManage %s: exit status %d\n%s", line, exit, errs)
		}
		stdout = out
	}
	return stdout
}

// refuse runs a call that must fail with a text and leave everything as it was.
func (f fake) refuse(line, text string) {
	f.t.Helper()
	before, _ := os.ReadFile(stateFile(f.dir))
	out, errs, exit := f.run(line)
	after, _ := os.ReadFile(stateFile(f.dir))
	if exit == 0 || !strings.Contains(errs, text) {
		f.t.Errorf("VBoxManage %s: exit status %d, want a failure with %q, have\n%s%s", line, exit, text, out, errs)
	}
	if !bytes.Equal(before, after) {
		f.t.Errorf("VBoxManage %s failed and changed the state:\n%s", line, cmp.Diff(string(before), string(after)))
	}
}

// info is one value of showvminfo.
func (f fake) info(machine, key string) string {
	f.t.Helper()
	for line := range strings.Lines(f.do("showvminfo " + machine + " --machinereadable")) {
		if value, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), key+"="); ok {
			return strings.Trim(value, `"`)
		}
	}
	return ""
}

func (f fake) machine(name string) machineState {
	f.t.Helper()
	machines, err := readMachines(f.dir)
	if err != nil {
		f.t.Fatal(err)
	}
	at := slices.IndexFunc(machines, func(m machineState) bool { return m.Name == name })
	if at < 0 {
		f.t.Fatalf("no machine %q among %d", name, len(machines))
	}
	return machines[at]
}

// readMachines returns the registered machines in the order of their registration. It takes no lock.
func readMachines(dir string) ([]machineState, error) {
	s, err := readState(dir)
	return s.Machines, err
}

// readHostOnly returns the host-only adapters of the simulated host. It takes no lock.
func readHostOnly(dir string) ([]hostOnlyState, error) {
	s, err := readState(dir)
	return s.HostOnly, err
}

// linked makes a base image, if there is none, and a machine with a disk linked to it.
func (f fake) linked(name string) {
	f.t.Helper()
	if !exists(f.path("base.vdi")) {
		f.do("convertfromraw LAB/base.img LAB/base.vdi --format VDI")
	}
	f.do("createvm --name "+name+" --ostype Ubuntu_64 --register --basefolder LAB/vms --groups /labctl/lab",
		"storagectl "+name+" --name SATA --add sata --portcount 2 --bootable on",
		"createmedium disk --filename LAB/"+name+".vdi --diffparent LAB/base.vdi",
		"storageattach "+name+" --storagectl SATA --port 0 --device 0 --type hdd --medium LAB/"+name+".vdi")
}

// waitOff polls until the guest has obeyed its power button.
func (f fake) waitOff(name string) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), 10*time.Second)
	defer cancel()
	tick := time.NewTicker(acpiDelay / 10)
	defer tick.Stop()
	for f.info(name, "VMState") != "poweroff" {
		select {
		case <-ctx.Done():
			f.t.Fatalf("machine %q did not power off", name)
		case <-tick.C:
		}
	}
}

func TestReadMachines(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.linked("cp1")
	f.do("hostonlyif create",
		"modifyvm cp1 --memory 2048 --cpus 2 --nic1 nat --nic-type1 82540EM --cable-connected1 on --mac-address1 0800274D69BE --nat-pf1 ssh,tcp,127.0.0.1,2210,,22",
		"modifyvm cp1 --nic2 hostonly --host-only-adapter2 vboxnet0 --mac-address2 080027BAA0FB --uart1 0x3f8 4 --uart-mode1 file LAB/serial.log",
		"storageattach cp1 --storagectl SATA --port 1 --device 0 --type dvddrive --medium LAB/seed.iso")
	uuid := regexp.MustCompile(`[0-9a-f-]{36}`).FindString(f.do("showmediuminfo disk LAB/cp1.vdi"))
	begun := time.Now()
	f.do("startvm cp1 --type headless")

	m := f.machine("cp1")
	if !m.running(time.Now()) || m.StartedAt.Before(begun.Add(-time.Second)) || m.StartedAt.After(time.Now()) {
		t.Errorf("running %v since %s, started between %s and now", m.running(time.Now()), m.StartedAt, begun)
	}
	type values struct {
		Memory, CPUs           int
		NAT, HostOnly          nicState
		Disk, DiskUUID         string
		Seed, SerialLog, State string
	}
	got := values{Memory: m.Memory, CPUs: m.CPUs, NAT: m.NICs[0], HostOnly: m.NICs[1], State: m.status(time.Now())}
	got.Disk, got.DiskUUID, _ = m.disk()
	got.Seed, _ = m.seed()
	got.SerialLog, _ = m.serialLog()
	want := values{
		Memory: 2048, CPUs: 2, Disk: f.path("cp1.vdi"), DiskUUID: uuid, Seed: f.path("seed.iso"), SerialLog: f.path("serial.log"), State: "running",
		NAT: nicState{Kind: "nat", MAC: "08:00:27:4d:69:be", Cable: true, Type: "82540EM",
			Rules: []natRule{{Name: "ssh", Proto: "tcp", HostIP: "127.0.0.1", HostPort: 2210, GuestPort: 22}}},
		HostOnly: nicState{Kind: "hostonly", Network: "vboxnet0", MAC: "08:00:27:ba:a0:fb", Cable: true, Type: "82540EM"},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported()); diff != "" {
		t.Errorf("machine (-want +got):\n%s", diff)
	}
	adapters, err := readHostOnly(f.dir)
	if err != nil || len(adapters) != 1 || adapters[0].Address.String() != "192.168.56.1/24" || !adapters[0].Up {
		t.Errorf("adapters %+v, %v: want vboxnet0, up since a machine uses it, with 192.168.56.1/24", adapters, err)
	}
	f.do("controlvm cp1 setlinkstate2 off")
	if f.machine("cp1").NICs[1].Cable || f.info("cp1", "cableconnected2") != "off" {
		t.Error("the cable of adapter 2 is still plugged in")
	}
}

func TestStatesAllowWhatVirtualBoxAllows(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.linked("cp1")
	locked := "The machine 'cp1' is already locked for a session (or being unlocked)"

	if _, errs, exit := f.run("discardstate cp1"); exit != 0 || !strings.Contains(errs, "Saved or Aborted-Saved state (machine state: PoweredOff)") {
		t.Errorf("discarding the state of a stopped machine: exit status %d\n%s", exit, errs)
	}
	if out := f.do("startvm cp1 --type headless"); out != "Waiting for VM \"cp1\" to power on...\nVM \"cp1\" has been successfully started.\n" {
		t.Errorf("startvm printed %q", out)
	}
	if out := f.do("list runningvms"); !strings.HasPrefix(out, `"cp1" {`) {
		t.Errorf("running machines: %q", out)
	}
	f.refuse("modifyvm cp1 --memory 4096", locked)
	f.refuse("modifyvm cp1 --memory 4096", "Details: code VBOX_E_INVALID_OBJECT_STATE (0x80bb0007), component MachineWrap, interface IMachine, callee nsISupports")
	f.refuse("storagectl cp1 --name IDE --add sata", locked)
	f.refuse("snapshot cp1 restore clean", "Cannot delete the current state of the running machine (machine state: Running)")
	f.refuse("startvm cp1 --type headless", "The machine 'cp1' is already locked by a session (or being locked or unlocked)")
	f.refuse("unregistervm cp1 --delete", "Cannot unregister the machine 'cp1' while it is locked")
	f.refuse("storageattach cp1 --storagectl SATA --port 0 --device 0 --medium none", "does not support hot-plugging")
	f.refuse("closemedium disk LAB/cp1.vdi --delete", "VBOX_E_OBJECT_IN_USE")

	f.do("controlvm cp1 pause")
	if f.machine("cp1").running(time.Now()) {
		t.Error("a paused machine's guest runs")
	}
	f.refuse("controlvm cp1 acpipowerbutton", "Invalid machine state: Paused")
	f.do("controlvm cp1 resume", "controlvm cp1 savestate")
	f.refuse("modifyvm cp1 --memory 4096", "The machine is not mutable (state is Saved)")
	f.refuse("controlvm cp1 poweroff", "Machine 'cp1' is not currently running.")
	f.do("discardstate cp1", "modifyvm cp1 --memory 4096", "startvm cp1 --type headless", "controlvm cp1 acpipowerbutton")
	if state := f.info("cp1", "VMState"); state != "running" {
		t.Errorf("state %q right after the power button, want running", state)
	}
	f.waitOff("cp1")
	f.refuse("controlvm cp1 acpipowerbutton", "Machine 'cp1' is not currently running.")
	f.do("startvm cp1 --type headless", "controlvm cp1 poweroff", "modifyvm cp1 --memory 1024")
	if err := restartMachine(f.dir, f.machine("cp1").UUID, time.Now()); err != nil || f.machine("cp1").running(time.Now()) {
		t.Errorf("rebooting a guest that is off: %v", err)
	}
	f.do("startvm cp1 --type headless")
	if err := stopMachine(f.dir, f.machine("cp1").UUID, time.Now()); err != nil || f.info("cp1", "VMState") != "poweroff" {
		t.Errorf("a guest that shut itself down: %v", err)
	}
}

func TestStartNeedsNetworksAndFiles(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.linked("cp1")
	f.do("modifyvm cp1 --nic2 hostonly --host-only-adapter2 vboxnet0")
	_, errs, exit := f.run("startvm cp1 --type headless")
	if exit != 1 || !strings.Contains(errs, "Nonexistent host networking interface, name 'vboxnet0'") {
		t.Errorf("start without the adapter: exit status %d\n%s", exit, errs)
	}
	log, err := os.ReadFile(f.path("vms/labctl/lab/cp1/Logs/VBox.log"))
	if err != nil || !strings.Contains(string(log), "Nonexistent host networking interface") {
		t.Errorf("VBox.log: %q, %v", log, err)
	}
	f.do("modifyvm cp1 --nic2 none")
	if err := os.Remove(f.path("base.vdi")); err != nil {
		t.Fatal(err)
	}
	_, errs, exit = f.run("startvm cp1 --type headless")
	if exit != 1 || !strings.Contains(errs, "Could not open the medium '"+f.path("base.vdi")) {
		t.Errorf("start without the base image: exit status %d\n%s", exit, errs)
	}
	if state := f.info("cp1", "VMState"); state != "poweroff" {
		t.Errorf("state %q after two failed starts", state)
	}
	if out := f.do("showmediuminfo disk LAB/base.vdi"); !strings.Contains(out, "State:          inaccessible\nAccess Error:   Could not open") {
		t.Errorf("a medium whose file is gone:\n%s", out)
	}
}

// A disk serves one running machine, and a machine whose BIOS never tries its disk does not come up.
func TestDisksOfMachines(t *testing.T) {
	f := newFake(t)
	f.linked("one")
	f.do("createvm --name two --ostype Ubuntu_64 --register --basefolder LAB/vms", "storagectl two --name SATA --add sata",
		"storageattach two --storagectl SATA --port 0 --device 0 --type hdd --medium LAB/one.vdi", "startvm one --type headless")
	if out, errs, exit := f.run("startvm two --type headless"); exit == 0 || !strings.Contains(errs, "Locking of attached media failed") {
		t.Errorf("starting a machine with the disk of another one that runs: %d %s %s", exit, out, errs)
	}
	f.do("controlvm one poweroff", "startvm two --type headless")
	for order, boots := range map[string]bool{"": true, "--boot1 disk": true, "--boot1 none --boot3 none": false, "--boot1 net --boot3 disk": true, "--boot3 net --boot4 disk": true} {
		f.do("controlvm two poweroff", "modifyvm two --boot1 floppy --boot2 dvd --boot3 disk --boot4 none")
		if order != "" {
			f.do("modifyvm two " + order)
		}
		f.do("startvm two --type headless")
		if got := f.machine("two").bootsDisk(); got != boots {
			t.Errorf("%q boots from the disk: %v", order, got)
		}
	}
}

func TestUnknownArgumentsFail(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.linked("cp1")
	lines := []string{
		"", "frobnicate", "--version 2", "list", "list everything", "list vms --long",
		"createvm --name x", "createvm --register --ostype Ubuntu_64", "createvm --name x --register --ostype Ubuntu99",
		"createvm --name x --register --default", "createvm --name x --register --groups lab", "createvm --name a/b --register",
		"modifyvm", "modifyvm cp1 --nonsense 1", "modifyvm cp1 --memory", "modifyvm cp1 --memory much", "modifyvm cp1 --cpus 65",
		"modifyvm cp1 extra --memory 512", "modifyvm cp1 --ioapic maybe", "modifyvm cp1 --vram x", "modifyvm cp1 --nic9 nat",
		"modifyvm cp1 --nic1 hostonlynet", "modifyvm cp1 --nictype1 ne2000", "modifyvm cp1 --mac-address1 080027", "modifyvm cp1 --mac-address1 0900274D69BE",
		"modifyvm cp1 --cable-connected1 maybe", "modifyvm cp1 --nat-localhostreachable1 maybe", "modifyvm cp1 --host-only-net2 net",
		"modifyvm cp1 --nat-pf1 ssh,tcp,127.0.0.1,2210,22", "modifyvm cp1 --nat-pf1 ssh,icmp,127.0.0.1,2210,,22",
		"modifyvm cp1 --nat-pf1 ssh,tcp,127.0.0.1,99999,,22", "modifyvm cp1 --nat-pf1 ssh,tcp,localhost,2210,,22", "modifyvm cp1 --nat-pf1 delete",
		"modifyvm cp1 --uart1 COM1 4", "modifyvm cp1 --uart-mode1 server /tmp/x", "modifyvm cp1 --ostype Ubuntu99", "modifyvm nope --memory 512",
		"showvminfo cp1", "showvminfo cp1 --details", "showvminfo --machinereadable", "showvminfo nope --machinereadable",
		"unregistervm cp1 --delete-all", "unregistervm", "startvm cp1", "startvm cp1 --type gui", "startvm nope --type headless",
		"controlvm cp1", "controlvm nope poweroff", "discardstate nope", "discardstate",
		"setextradata cp1", "setextradata nope k v", "getextradata cp1", "getextradata nope k",
		"storagectl cp1 --name IDE --add ide", "storagectl cp1 --add sata", "storagectl cp1 --name X --add sata --portcount 31",
		"storagectl cp1 --name X --add sata --bootable maybe", "storagectl cp1 --name X --add sata --hostiocache on", "storagectl nope --name X --add sata",
		"storageattach cp1 --storagectl IDE --port 0 --type hdd --medium none", "storageattach cp1 --storagectl SATA --port 2 --medium none",
		"storageattach cp1 --storagectl SATA --port 1 --type floppy --medium LAB/seed.iso", "storageattach cp1 --storagectl SATA --port 1 --medium none",
		"storageattach cp1 --storagectl SATA --port 1 --type dvddrive --medium LAB/nope.iso", "storageattach cp1 --storagectl SATA --port 1 --type hdd --medium LAB/cp1.vdi",
		"storageattach cp1 --storagectl SATA --port 1 --type hdd --medium LAB/base.vdi", "storageattach nope --storagectl SATA --port 1 --medium none",
		"createmedium disk --filename LAB/x.vdi --size 100", "createmedium floppy --filename LAB/x", "createmedium disk --filename LAB/x.vdi --diffparent LAB/nope.vdi",
		"clonemedium disk LAB/cp1.vdi", "clonemedium disk LAB/nope LAB/x.vdi", "clonemedium disk LAB/cp1.vdi LAB/x.vdi --format VMDK",
		"clonemedium disk LAB/base.img LAB/x.vdi --format VDI", "clonemedium disk LAB/cp1.vdi LAB/base.vdi --format VDI",
		"clonemedium dvd LAB/seed.iso LAB/x.iso", "convertfromraw LAB/base.img", "convertfromraw LAB/base.img LAB/base.vdi", "convertfromraw LAB/base.img LAB/no/x.vdi",
		"convertfromraw LAB/base.img LAB/x.vmdk --format VMDK", "modifymedium disk LAB/base.vdi", "modifymedium disk LAB/base.vdi --resize -1",
		"modifymedium disk LAB/base.vdi --resize 0", "modifymedium disk LAB/nope --resize 100", "modifymedium disk LAB/base.vdi --compact",
		"closemedium disk LAB/nope", "closemedium hdd LAB/cp1.vdi", "closemedium dvd LAB/cp1.vdi", "showmediuminfo disk", "showmediuminfo disk LAB/nope",
		"internalcommands", "internalcommands sethduuid LAB/base.img", "internalcommands sethduuid LAB/nope", "internalcommands dumphdinfo LAB/base.vdi",
		"snapshot cp1", "snapshot nope list", "snapshot cp1 list", "snapshot cp1 edit x", "snapshot cp1 take", "snapshot cp1 take a --frozen",
		"snapshot cp1 restore x", "snapshot cp1 delete x", "snapshot cp1 restore",
		"hostonlyif", "hostonlyif create vboxnet7", "hostonlyif destroy", "hostonlyif remove vboxnet0", "hostonlyif ipconfig vboxnet0 --dhcp",
		"hostonlyif ipconfig vboxnet0 --ip 192.168.56", "hostonlyif ipconfig vboxnet0", "hostonlynet add", "list hostonlynets",
		"dhcpserver modify --enable", "dhcpserver modify --network x --disable", "dhcpserver remove --interface vboxnet7", "dhcpserver add --network x --enable",
	}
	for _, line := range lines {
		f.refuse(line, "")
	}
	for verb := range strings.FieldsSeq("reboot setlinkstate9 setlinkstate1 poweroff2 keyboardputscancode") {
		f.do("startvm cp1 --type headless")
		f.refuse("controlvm cp1 "+verb, "Invalid")
		f.do("controlvm cp1 poweroff")
	}
}

func TestBaseImageTrap(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.linked("a")
	f.linked("b")
	f.do("unregistervm a --delete")
	if exists(f.path("a.vdi")) || !exists(f.path("base.vdi")) || exists(f.path("vms/labctl/lab/a")) {
		t.Error("after the first machine: want its disk and folder gone and the base image there")
	}
	f.do("unregistervm b --delete")
	if exists(f.path("base.vdi")) {
		t.Error("the last machine with a linked disk left the base image, which the real one deletes")
	}
	f.linked("c")
	f.do("storageattach c --storagectl SATA --port 0 --device 0 --medium none", "closemedium disk LAB/c.vdi --delete", "unregistervm c --delete")
	if !exists(f.path("base.vdi")) || exists(f.path("c.vdi")) {
		t.Error("after detaching first: want the linked disk gone and the base image there")
	}
	f.linked("d")
	f.do("unregistervm d")
	if !exists(f.path("d.vdi")) || !exists(f.path("vms/labctl/lab/d/d.vbox")) || f.do("list hdds") != "" {
		t.Error("without --delete: want all files there and no medium registered")
	}
	f.refuse("createvm --name d --ostype Ubuntu_64 --register --basefolder LAB/vms --groups /labctl/lab", "already exists")
}

func TestHostOnlyAdapters(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	if out := f.do("list hostonlyifs"); out != "" {
		t.Errorf("adapters of a fresh VirtualBox: %q", out)
	}
	if out := f.do("hostonlyif create"); out != "Interface 'vboxnet0' was successfully created\n" {
		t.Errorf("hostonlyif create printed %q", out)
	}
	f.do("hostonlyif create", "hostonlyif ipconfig vboxnet1 --ip 192.168.60.1 --netmask 255.255.252.0")
	want := `Name:            vboxnet0
GUID:            786f6276-656e-4074-8000-0a0027000000
DHCP:            Disabled
IPAddress:       192.168.56.1
NetworkMask:     255.255.255.0
IPV6Address:     
IPV6NetworkMaskPrefixLength: 0
HardwareAddress: 0a:00:27:00:00:00
MediumType:      Ethernet
Wireless:        No
Status:          Down
VBoxNetworkName: HostInterfaceNetworking-vboxnet0

Name:            vboxnet1
GUID:            786f6276-656e-4174-8000-0a0027000001
DHCP:            Disabled
IPAddress:       192.168.60.1
NetworkMask:     255.255.252.0
IPV6Address:     
IPV6NetworkMaskPrefixLength: 0
HardwareAddress: 0a:00:27:00:00:01
MediumType:      Ethernet
Wireless:        No
Status:          Up
VBoxNetworkName: HostInterfaceNetworking-vboxnet1

`
	if diff := cmp.Diff(want, f.do("list hostonlyifs")); diff != "" {
		t.Errorf("list hostonlyifs (-want +got):\n%s", diff)
	}
	for _, address := range []string{"10.0.0.1", "192.168.64.1", "192.168.55.1", "192.168.56.1 --netmask 255.255.0.0"} {
		f.refuse("hostonlyif ipconfig vboxnet0 --ip "+address, "Code E_ACCESSDENIED (0x80070005) - Access denied (extended info not available)")
	}
	f.do("hostonlyif remove vboxnet0")
	if out := f.do("hostonlyif create"); !strings.Contains(out, "'vboxnet0'") {
		t.Errorf("a freed name is not used again: %q", out)
	}
	f.do("dhcpserver modify --interface vboxnet0 --disable")
	if out := f.do("list dhcpservers"); !strings.Contains(out, "Enabled:        No\n") {
		t.Errorf("a switched off DHCP server: %q", out)
	}
	f.do("dhcpserver remove --network HostInterfaceNetworking-vboxnet0")
	if out := f.do("list dhcpservers"); out != "" {
		t.Errorf("DHCP servers after removal: %q", out)
	}
}

func TestExtraData(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.linked("cp1")
	for _, target := range []string{"global", "cp1"} {
		f.do("setextradata "+target+" labctl/lab demo", "setextradata "+target+" labctl/net vboxnet0")
		if out := f.do("getextradata " + target + " enumerate"); out != "Key: labctl/lab, Value: demo\nKey: labctl/net, Value: vboxnet0\n" {
			t.Errorf("%s: %q", target, out)
		}
		f.do("setextradata " + target + " labctl/lab")
		if out := f.do("getextradata " + target + " labctl/lab"); out != "No value set!\n" {
			t.Errorf("%s: deleted value: %q", target, out)
		}
	}
}

// The guest's files go with its disk: a snapshot keeps them, a restore brings them back.
func TestSnapshotsKeepTheGuest(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.linked("cp1")
	write := func(text string) {
		t.Helper()
		_, uuid, _ := f.machine("cp1").disk()
		root := filepath.Join(guestDir(f.dir, uuid), "root")
		if err := os.MkdirAll(filepath.Join(root, "etc"), 0o755); err != nil {
			t.Fatal(err)
		}
		writeTestFile(t, filepath.Join(root, "etc", "state"), []byte(text))
		if err := os.Symlink("state", filepath.Join(root, "etc", "link")); err != nil && !errors.Is(err, fs.ErrExist) {
			t.Fatal(err)
		}
	}
	read := func() string {
		t.Helper()
		_, uuid, _ := f.machine("cp1").disk()
		data, err := os.ReadFile(filepath.Join(guestDir(f.dir, uuid), "root", "etc", "link"))
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(filepath.Join(guestDir(f.dir, uuid), "root", "etc", "state"))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("mode of a copied file: %v, %v", info.Mode(), err)
		}
		return string(data)
	}
	write("clean")
	f.do("snapshot cp1 take clean --description first")
	if got := read(); got != "clean" {
		t.Errorf("after taking the snapshot: %q", got)
	}
	write("broken")
	f.do("modifyvm cp1 --memory 4096", "snapshot cp1 take later")
	write("worse")
	f.do("snapshot cp1 restore clean")
	if got := read(); got != "clean" || f.machine("cp1").Memory != 1024 {
		t.Errorf("after restoring: %q with %d MiB", got, f.machine("cp1").Memory)
	}
	f.refuse("snapshot cp1 delete clean", "because it is the current snapshot and has one child snapshot")
	f.do("snapshot cp1 restore later")
	if got := read(); got != "broken" || f.machine("cp1").Memory != 4096 {
		t.Errorf("after restoring the later one: %q with %d MiB", got, f.machine("cp1").Memory)
	}
	f.do("snapshot cp1 restore clean", "snapshot cp1 delete later", "snapshot cp1 delete clean")
	if path, _, _ := f.machine("cp1").disk(); read() != "clean" || !strings.Contains(path, "/Snapshots/") {
		t.Errorf("after deleting all snapshots the machine has %q with %q", path, read())
	}
	if out := f.do("list hdds"); strings.Count(out, "UUID: ") != 4 || exists(f.path("cp1.vdi")) {
		t.Errorf("media after deleting all snapshots: want the base and the machine's disk, have\n%s", out)
	}
	guests, err := os.ReadDir(filepath.Join(f.dir, "guests"))
	if err != nil || len(guests) != 1 {
		t.Errorf("%d guests' folders are left, %v", len(guests), err)
	}
	f.do("startvm cp1 --type headless", "snapshot cp1 take online", "controlvm cp1 poweroff", "snapshot cp1 restore online")
	if state := f.info("cp1", "VMState"); state != "saved" {
		t.Errorf("state %q after restoring a snapshot of a running machine", state)
	}
	f.do("unregistervm cp1 --delete")
	if guests, err := os.ReadDir(filepath.Join(f.dir, "guests")); err != nil || len(guests) != 0 {
		t.Errorf("%d guests outlive their machine, %v", len(guests), err)
	}
}

// A call that was killed after it recorded its result has its files put right by the next one.
func TestKilledCallIsFinishedByTheNext(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.linked("cp1")
	s, err := readState(f.dir)
	if err != nil {
		t.Fatal(err)
	}
	s.write(f.path("promised"), []byte("text"))
	s.remove(f.path("seed.iso"))
	if err := writeState(f.dir, s); err != nil {
		t.Fatal(err)
	}
	writeTestFile(t, stateFile(f.dir)+".part~", []byte(`{"machines": [half a fi`))
	f.do("list vms")
	if !exists(f.path("promised")) || exists(f.path("seed.iso")) {
		t.Error("the promised changes were not made")
	}
	if s, err = readState(f.dir); err != nil || len(s.Pending) != 0 {
		t.Errorf("%d changes are still pending, %v", len(s.Pending), err)
	}
	// One that cannot be finished is told once and does not stand in the way of others.
	if _, errs, exit := f.run("createmedium disk --filename LAB/base.img/x.vdi --diffparent LAB/base.vdi"); exit != 1 || !strings.Contains(errs, "not a directory") {
		t.Errorf("a disk that cannot be written: exit status %d, %q", exit, errs)
	}
	f.do("closemedium disk LAB/base.img/x.vdi")
	writeTestFile(t, stateFile(f.dir), []byte("{"))
	if _, errs, exit := f.run("list vms"); exit != 1 || !strings.Contains(errs, "SIMULATED") {
		t.Errorf("a spoilt state file: exit status %d, %q", exit, errs)
	}
}

// TestVBoxManageProcess is not a test: it is VBoxManage in a process of its own, for the tests below.
func TestVBoxManageProcess(t *testing.T) {
	dir := os.Getenv("SIM_VBOXMANAGE_DIR")
	if dir == "" {
		return
	}
	os.Exit(VBoxManage(dir, flag.Args(), os.Stdout, os.Stderr))
}

func vboxProcess(ctx context.Context, t *testing.T, dir string, args ...string) *exec.Cmd {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, program, append([]string{"-test.run=^TestVBoxManageProcess$", "--"}, args...)...)
	cmd.Env = append(os.Environ(), "SIM_VBOXMANAGE_DIR="+dir, "GORACE=atexit_sleep_ms=0") // -race waits a second otherwise
	return cmd
}

func TestParallelProcesses(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	const processes, perProcess = 4, 5
	var wg sync.WaitGroup
	for p := range processes {
		wg.Go(func() {
			for i := range perProcess {
				name := fmt.Sprintf("m%d-%d", p, i)
				for _, args := range [][]string{
					{"createvm", "--name", name, "--ostype", "Ubuntu_64", "--register", "--basefolder", f.path("vms")},
					{"setextradata", name, "labctl/lab", name},
				} {
					if out, err := vboxProcess(t.Context(), t, f.dir, args...).CombinedOutput(); err != nil {
						t.Errorf("%v: %v\n%s", args, err, out)
					}
				}
			}
		})
		wg.Go(func() { // the same from within this process
			for i := range perProcess {
				if _, errs, exit := f.run(fmt.Sprintf("setextradata global key%d-%d v", p, i)); exit != 0 {
					t.Error(errs)
				}
			}
		})
	}
	wg.Wait()
	s, err := readState(f.dir)
	if err != nil || len(s.Machines) != processes*perProcess || len(s.ExtraData) != processes*perProcess {
		t.Fatalf("%d machines and %d global values of %d, %v", len(s.Machines), len(s.ExtraData), processes*perProcess, err)
	}
	for _, m := range s.Machines {
		if m.ExtraData["labctl/lab"] != m.Name {
			t.Errorf("machine %q has the mark %q", m.Name, m.ExtraData["labctl/lab"])
		}
	}
}

// Whenever a process is killed, what it was doing is done or not done, never half.
func TestKilledProcesses(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.linked("cp1")
	const kills = 40
	killed := 0
	for i := range kills {
		before, err := readState(f.dir)
		if err != nil {
			t.Fatal(err)
		}
		disk := f.path(fmt.Sprintf("disk%d.vdi", i))
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*2*time.Millisecond)
		err = vboxProcess(ctx, t, f.dir, "createmedium", "disk", "--filename", disk, "--diffparent", f.path("base.vdi")).Run()
		cancel()
		if err != nil {
			killed++
		}
		f.do("list vms")
		after, err := readState(f.dir)
		if err != nil {
			t.Fatal(err)
		}
		registered := len(after.Media) - len(before.Media)
		if registered == 1 != exists(disk) || len(after.Pending) != 0 || registered > 1 {
			t.Errorf("kill %d: %d new media, file there: %v, pending: %d", i, registered, exists(disk), len(after.Pending))
		}
	}
	if killed == 0 {
		t.Error("no process was killed: nothing was tried")
	}
	var state json.RawMessage
	data, err := os.ReadFile(stateFile(f.dir))
	if err != nil || json.Unmarshal(data, &state) != nil {
		t.Errorf("state file: %v\n%s", err, data)
	}
}

// TestLocksAreRecorded holds what a running machine refuses to the words of the real program.
func TestLocksAreRecorded(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("testdata", "virtualbox", "locks.txt"))
	if err != nil {
		t.Fatal(err)
	}
	f := newFake(t)
	f.linked("t1")
	f.do("startvm t1 --type headless")
	_, calls, _ := strings.Cut(string(data), "\n") // where it is from
	blocks := strings.Split(calls, "\n\n")
	if len(blocks) != 5 {
		t.Fatalf("%d recorded calls, want 5", len(blocks))
	}
	for _, block := range blocks {
		line, want, _ := strings.Cut(strings.TrimPrefix(block, "$ VBoxManage "), "\n")
		switch line { // arguments that the model knows; they take the same lock
		case "modifyvm t1 --description x":
			line = "modifyvm t1 --memory 1024"
		case "storagectl t1 --name SATA --portcount 3":
			line = "storagectl t1 --name SATA --add sata --portcount 3"
		}
		_, got, exit := f.run(line)
		if diff := cmp.Diff(strings.TrimSpace(want), strings.TrimSpace(got)); diff != "" || exit != 1 {
			t.Errorf("VBoxManage %s: exit status %d (-real +simulated):\n%s", line, exit, diff)
		}
	}
}
