//go:build linux

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// recorded returns what stands below a recording's first line.
func recorded(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	first, rest, _ := strings.Cut(string(data), "\n")
	if !strings.HasPrefix(first, "# recorded") {
		t.Fatalf("%s is no recording: %s", name, first)
	}
	return rest
}

func TestReadSettings(t *testing.T) {
	got, err := readSettings(recorded(t, "showvminfo.txt"))
	if err != nil {
		t.Fatal(err)
	}
	want := settings{
		Name: "lab-cp1", UUID: "710e0012-2fc1-402e-a963-0646180b9348", Hardware: "710e0012-2fc1-402e-a963-0646180b9348",
		CPUs: 2, MemoryMiB: 2048, LogFolder: "/lab/vms/lab/lab-cp1/Logs", Serial: "/lab/serial.log",
		NICs: []nic{
			{Slot: 1, Kind: "nat", Type: "82540EM", MAC: "08:00:27:4d:69:be", Cable: true, Forwards: []forward{{"ssh", "tcp", "127.0.0.1", "2210", "", "22"}}},
			{Slot: 2, Kind: "hostonly", Bridge: "vboxnet0", Type: "82540EM", MAC: "08:00:27:ba:a0:fb", Cable: true},
		},
		Media: []medium{
			{Port: 0, Path: "/lab/vms/cp1.vdi", UUID: "581fe1c5-3a5d-466b-b20f-b65c1a06a141"},
			{Port: 1, Path: "/lab/seed.iso", UUID: "c122d209-8f9e-4597-b703-b8a5470c05e9", DVD: true},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
}

// Two NAT adapters have numbered their rules each from 0: a rule is its adapter's.
func TestReadSettingsRules(t *testing.T) {
	text := strings.Replace(recorded(t, "showvminfo.txt"), "nic3=\"none\"\n", `natnet3="nat"
macaddress3="080027000003"
cableconnected3="off"
nic3="nat"
nictype3="82540EM"
nicspeed3="0"
Forwarding(0)="web,tcp,,8080,,80"
`, 1)
	got, err := readSettings(text)
	if err != nil {
		t.Fatal(err)
	}
	var names [][]string
	for _, n := range got.NICs {
		row := []string{n.MAC}
		for _, f := range n.Forwards {
			row = append(row, f.Name)
		}
		names = append(names, row)
	}
	want := [][]string{{"08:00:27:4d:69:be", "ssh"}, {"08:00:27:ba:a0:fb"}, {"08:00:27:00:00:03", "web"}}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("rules by adapter (-want +got):\n%s", diff)
	}
}

func TestReadSettingsRefuses(t *testing.T) {
	for _, tt := range []struct{ name, old, new, want string }{
		{"EFI", `firmware="BIOS"`, `firmware="EFI64"`, `firmware="EFI64" is not provided`},
		{"chipset", `chipset="piix3"`, `chipset="ich9"`, `chipset="ich9"`},
		{"boot order", `boot1="disk"`, `boot1="net"`, `boot1="net"`},
		{"bridged adapter", `nic2="hostonly"`, `nic2="bridged"`, `nic2="bridged"`},
		{"adapter type", `nictype1="82540EM"`, `nictype1="virtio"`, `nictype1="virtio"`},
		{"fifth adapter", `nic5="none"`, "nic5=\"nat\"\nnictype5=\"82540EM\"", "only 4 adapters"},
		{"controller", `storagecontrollertype0="IntelAhci"`, `storagecontrollertype0="PIIX4"`, "IntelAhci"},
		{"serial port to a pipe", `uartmode1="file,`, `uartmode1="server,`, "only a file"},
		{"no memory", "memory=2048", "memory=much", `memory="much"`},
		{"no UUID", `UUID="710e`, `ID="710e`, "no name, UUID"},
		{"short rule", `"ssh,tcp,127.0.0.1,2210,,22"`, `"ssh,tcp"`, "has 2 fields"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			text := recorded(t, "showvminfo.txt")
			if !strings.Contains(text, tt.old) {
				t.Fatalf("the recording has no %s", tt.old)
			}
			_, err := readSettings(strings.Replace(text, tt.old, tt.new, 1))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("err = %v, want %q in it", err, tt.want)
			}
		})
	}
}

func TestQEMUArgs(t *testing.T) {
	s, err := readSettings(recorded(t, "showvminfo.txt"))
	if err != nil {
		t.Fatal(err)
	}
	m := &machine{uuid: s.UUID, dir: "/state/vm/u"}
	drives := []drive{{0, "/state/disks/a,b.qcow2", "qcow2", false}, {1, "/lab/seed.iso", "raw", true}}
	want := strings.Fields(`-name lab-cp1 -uuid 710e0012-2fc1-402e-a963-0646180b9348 -pidfile /state/vm/u/pid -qmp unix:qmp,server=on,wait=off
		-nodefaults -display none -M pc -accel tcg,thread=multi -cpu max,erms=off,fsrm=off,la57=off,smap=off,smep=off,avx=off,avx2=off -smp 2 -m 2048 -rtc base=utc
		-global PIIX4_PM.acpi-pci-hotplug-with-bridge-support=off -global PIIX4_PM.acpi-root-pci-hotplug=off
		-device ich9-ahci,id=sata,addr=0xd
		-drive if=none,id=d0,format=qcow2,file=/state/disks/a,,b.qcow2,cache=unsafe -device ide-hd,drive=d0,bus=sata.0,bootindex=0
		-drive if=none,id=d1,format=raw,file=/lab/seed.iso,media=cdrom,readonly=on -device ide-cd,drive=d1,bus=sata.1,bootindex=1
		-netdev user,id=n1,ipv6=off,hostfwd=tcp:127.0.0.1:2210-:22 -device e1000,netdev=n1,mac=08:00:27:4d:69:be,addr=0x3,romfile=
		-netdev tap,id=n2,fd=3 -device e1000,netdev=n2,mac=08:00:27:ba:a0:fb,addr=0x8,romfile=
		-chardev file,id=serial,path=/lab/serial.log -serial chardev:serial`)
	if diff := cmp.Diff(want, qemuArgs(s, m, drives, "tcg,thread=multi", map[int]int{2: 3})); diff != "" {
		t.Errorf("arguments (-want +got):\n%s", diff)
	}
	s.NICs[1].Cable = false
	got := qemuArgs(s, m, nil, "kvm", map[int]int{2: 3})
	if got[len(got)-1] != "-S" {
		t.Errorf("a machine with a cable that is unplugged must wait for that: %q", got)
	}
	if i := strings.Join(got, " "); !strings.Contains(i, "-accel kvm -cpu host") {
		t.Errorf("no KVM in %s", i)
	}
}

func TestParseImages(t *testing.T) {
	want := map[string]image{
		"ee662487-81fc-4f74-9659-5ed8db8b0aed": {"ee662487-81fc-4f74-9659-5ed8db8b0aed", "", "/lab/base.vdi", "vdi", "10240"},
		"581fe1c5-3a5d-466b-b20f-b65c1a06a141": {"581fe1c5-3a5d-466b-b20f-b65c1a06a141", "ee662487-81fc-4f74-9659-5ed8db8b0aed", "/lab/vms/cp1.vdi", "vdi", "10240"},
	}
	if diff := cmp.Diff(want, parseImages(recorded(t, "list-hdds.txt"))); diff != "" {
		t.Errorf("images (-want +got):\n%s", diff)
	}
}

func TestWithState(t *testing.T) {
	at := time.Date(2026, 11, 22, 9, 0, 0, 5000, time.UTC)
	for name, want := range map[string][]string{
		"showvminfo.txt":       {`VMState="running"`, `VMStateChangeTime="2026-11-22T09:00:00.000005000"`},
		"showvminfo-human.txt": {"State:                       running (since 2026-11-22T09:00:00.000005000)"},
	} {
		before := recorded(t, name)
		var changed []string
		after := strings.Split(withState(before, "running", at), "\n")
		for i, line := range strings.Split(before, "\n") {
			if after[i] != line {
				changed = append(changed, after[i])
			}
		}
		if diff := cmp.Diff(want, changed); diff != "" {
			t.Errorf("%s: changed lines (-want +got):\n%s", name, diff)
		}
	}
}

func TestListedAddress(t *testing.T) {
	const text = "Name:            vboxnet0\nGUID:            786f6276-656e-4074-8000-0a0027000000\nDHCP:            Disabled\n" +
		"IPAddress:       192.168.56.1\nNetworkMask:     255.255.255.0\nIPV6Address:     \nStatus:          Down\n\n" +
		"Name:            vboxnet1\nIPAddress:       \nNetworkMask:     \n"
	if got, err := listedAddress(text, "vboxnet0"); got != "192.168.56.1/24" || err != nil {
		t.Errorf("vboxnet0: %q %v", got, err)
	}
	for _, name := range []string{"vboxnet1", "vboxnet2"} {
		if got, err := listedAddress(text, name); err == nil {
			t.Errorf("%s has the address %q", name, got)
		}
	}
}

func TestStartNames(t *testing.T) {
	for _, tt := range []struct {
		args  string
		names string
		ok    bool
	}{
		{"a --type headless", "a", true},
		{"--type headless a b", "a b", true},
		{"a --type=headless", "a", true},
		{"a", "a", true},
		{"a --type gui", "", false},
		{"a --type", "", false},
		{"a --putenv X=1", "", false},
		{"", "", false},
	} {
		names, ok := startNames(strings.Fields(tt.args))
		if strings.Join(names, " ") != tt.names || ok != tt.ok {
			t.Errorf("startvm %s: %q %v, want %q %v", tt.args, names, ok, tt.names, tt.ok)
		}
	}
}

// TestWords holds the front's refusals to what the real program was heard to say.
func TestWords(t *testing.T) {
	m := &machine{name: "t1"}
	said := map[string]string{}
	for block := range strings.SplitSeq(recorded(t, "locks.txt"), "\n\n") {
		call, answer, _ := strings.Cut(strings.TrimPrefix(block, "$ VBoxManage "), "\n")
		name, _, _ := strings.Cut(call, " ")
		said[name] = strings.TrimSpace(strings.ReplaceAll(answer, "VBoxManage: error: ", ""))
	}
	if len(said) != 5 {
		t.Fatalf("%d recorded answers, want 5", len(said))
	}
	for _, name := range []string{"modifyvm", "storagectl", "unregistervm"} {
		err := m.refusal([]string{name, "t1"}, running)
		if diff := cmp.Diff(said[name], err.Error()); diff != "" {
			t.Errorf("%s (-real +front):\n%s", name, diff)
		}
	}
	if diff := cmp.Diff(said["discardstate"], m.notDiscarded(running).Error()); diff != "" {
		t.Errorf("discardstate (-real +front):\n%s", diff)
	}
	if diff := cmp.Diff(said["startvm"], m.alreadyStarted().Error()); diff != "" {
		t.Errorf("startvm (-real +front):\n%s", diff)
	}
}

func TestGuard(t *testing.T) {
	f := holding(t, "t1", saved)
	for _, tt := range []struct{ args, want string }{
		{"modifyvm t1 --memory 5", "The machine is not mutable (state is Saved)"},
		{"storageattach t1 --storagectl SATA --port 0 --device 0 --medium none", "The machine is not mutable (state is Saved)"},
		{"clonevm t1 --register", `clonevm is not provided for machine "t1", which is saved`},
		{"modifyvm 00000000-0000-4000-8000-000000000001 --memory 5", "The machine is not mutable"},
		{"unregistervm t1 --delete", ""},
		{"modifyvm other --memory 5", ""},
	} {
		err := f.guard(strings.Fields(tt.args))
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: err = %v, want %q", tt.args, err, tt.want)
		}
	}
	hot := (&machine{name: "t1"}).hotPlug(strings.Fields("storageattach t1 --storagectl SATA --port 0 --device 0 --medium none"), running)
	if want := "The device slot 0 on port 0 of controller 'SATA' does not support hot-plugging"; !strings.HasPrefix(hot.Error(), want) {
		t.Errorf("detaching from a running machine: %v, want %q", hot, want)
	}
}

// holding returns a front whose folder knows one machine that is off in a way that needs no process.
func holding(t *testing.T, name, state string) *front {
	t.Helper()
	f := &front{dir: t.TempDir()}
	m := f.machine("00000000-0000-4000-8000-000000000001")
	if err := os.MkdirAll(m.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	files := map[string]string{"name": name}
	switch state {
	case saved:
		files["saved"] = "memory"
	case aborted:
		files["pid"] = "1\n" // another program's by now
	}
	for file, text := range files {
		if err := os.WriteFile(m.path(file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

func TestStateWithoutProcess(t *testing.T) {
	for _, state := range []string{"", saved, aborted} {
		f := holding(t, "t1", state)
		if got := f.known()[0].state(); got != state {
			t.Errorf("state = %q, want %q", got, state)
		}
		m, _ := f.held("t1")
		if held := m != nil; held != (state == saved) {
			t.Errorf("held in state %q: %v", state, held)
		}
	}
}

func TestVDIUUID(t *testing.T) {
	data := make([]byte, 0x200)
	copy(data[0x188:], []byte{0xc5, 0xe1, 0x1f, 0x58, 0x5d, 0x3a, 0x6b, 0x46, 0xb2, 0x0f, 0xb6, 0x5c, 0x1a, 0x06, 0xa1, 0x41})
	path := filepath.Join(t.TempDir(), "d.vdi")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if got, want := vdiUUID(path), "581fe1c5-3a5d-466b-b20f-b65c1a06a141"; got != want {
		t.Errorf("UUID = %s, want %s", got, want)
	}
	if got := vdiUUID(path + ".none"); got != "" {
		t.Errorf("UUID of no file = %q", got)
	}
}

// What the front refuses never reaches the real program; what it doesn't know always does, with its exit status.
func TestPass(t *testing.T) {
	real := filepath.Join(t.TempDir(), "real")
	if err := os.WriteFile(real, []byte("#!/bin/sh\necho \"real: $*\"\necho problem >&2\nexit 7\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		args, stdout, stderr string
		exit                 int
	}{
		{"createvm --name t1", "real: createvm --name t1\n", "problem\n", 7},
		{"startvm t1 --type gui", "real: startvm t1 --type gui\n", "problem\n", 7},
		{"controlvm t1 poweroff", "real: controlvm t1 poweroff\n", "problem\n", 7}, // saved: not running
		{"hostonlyif remove nonsense", "real: hostonlyif remove nonsense\n", "problem\n", 7},
		{"list runningvms --long", "", "VBoxManage: error: front: list runningvms --long is not provided: it would tell wrong states\n", 1},
		{"modifyvm t1 --memory 5", "", "VBoxManage: error: The machine is not mutable (state is Saved)\n" +
			"VBoxManage: error: Details: code VBOX_E_INVALID_VM_STATE (0x80bb0002), component SessionMachine, interface IMachine, callee nsISupports\n" +
			"VBoxManage: error: Context: \"LockMachine(a->session, LockType_Write)\" at line 901 of file VBoxManageModifyVM.cpp\n", 1},
		{"snapshot t1 take s", "", "VBoxManage: error: front: snapshot take is not provided for machine \"t1\", which is saved\n", 1},
	} {
		f := holding(t, "t1", saved)
		var stdout, stderr strings.Builder
		f.real, f.stdout, f.stderr = real, &stdout, &stderr
		exit := f.main(t.Context(), strings.Fields(tt.args))
		got := []any{stdout.String(), stderr.String(), exit}
		if diff := cmp.Diff([]any{tt.stdout, tt.stderr, tt.exit}, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.args, diff)
		}
		if log, err := os.ReadFile(filepath.Join(f.dir, "calls.log")); err != nil || strings.Count(string(log), "\n") != 1 {
			t.Errorf("calls.log: %q %v", log, err)
		}
	}
}

// A call that only looks is made again where VirtualBox failed by chance; any other failure is told at once.
func TestAskAgain(t *testing.T) {
	for _, tt := range []struct {
		args, says string
		calls      int
		ok         bool
	}{
		{"list vms", "The object is not ready", 3, true},
		{"list vms", "Could not find it", 1, false},
		{"setextradata global k", "The object is not ready", 1, false},
	} {
		dir := t.TempDir()
		real := filepath.Join(dir, "real")
		script := "#!/bin/sh\necho >>" + dir + "/calls\n[ $(wc -l <" + dir + "/calls) = 3 ] && exit 0\necho \"VBoxManage: error: " + tt.says + "\" >&2\nexit 1\n"
		if err := os.WriteFile(real, []byte(script), 0o700); err != nil {
			t.Fatal(err)
		}
		_, err := (&front{real: real}).ask(t.Context(), strings.Fields(tt.args)...)
		calls, _ := os.ReadFile(filepath.Join(dir, "calls"))
		if got := strings.Count(string(calls), "\n"); got != tt.calls || (err == nil) != tt.ok {
			t.Errorf("%s, %s: %d calls, err = %v; want %d calls", tt.args, tt.says, got, err, tt.calls)
		}
	}
}
