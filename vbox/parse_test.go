package vbox

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

var ignoreProperties = cmpopts.IgnoreUnexported(Machine{})

func TestParseMachine(t *testing.T) {
	got, err := parseMachine(answer(t, "life.txt", "showvminfo lab-cp1 --machinereadable").stdout)
	if err != nil {
		t.Fatal(err)
	}
	want := Machine{
		Name: "lab-cp1", UUID: "710e0012-2fc1-402e-a963-0646180b9348", State: "poweroff", CPUs: 2, MemoryMiB: 2048,
		Groups: []string{"/lab"},
		NICs: []NIC{
			{Slot: 1, Kind: "nat", MAC: "08:00:27:4d:69:be", Cable: true},
			{Slot: 2, Kind: "hostonly", Network: "vboxnet0", MAC: "08:00:27:ba:a0:fb", Cable: true},
		},
		Forwards:   []Forward{{Name: "ssh", Proto: "tcp", HostIP: "127.0.0.1", HostPort: 2210, GuestPort: 22}},
		Media:      map[string]string{"SATA-0-0": "/lab/vms/cp1.vdi", "SATA-1-0": "/lab/seed.iso"},
		SerialLog:  "/lab/serial.log",
		ConfigFile: "/lab/vms/lab/lab-cp1/lab-cp1.vbox",
		LogFolder:  "/lab/vms/lab/lab-cp1/Logs",
	}
	if diff := cmp.Diff(want, got, ignoreProperties); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}

	quoted, err := parseMachine(answer(t, "odd.txt", `showvminfo quo"te\back --machinereadable`).stdout)
	if err != nil {
		t.Fatal(err)
	}
	if quoted.Name != `quo"te\back` || len(quoted.NICs) != 1 || len(quoted.Media) != 0 {
		t.Errorf("got %+v", quoted)
	}
}

func TestParseMachineOddities(t *testing.T) {
	const base = "name=\"x\"\nUUID=\"u\"\ncpus=1\nmemory=512\n"
	for name, test := range map[string]struct {
		text  string
		check func(Machine) any
		want  any
	}{
		"macOS network": {
			"nic2=\"hostonlynetwork\"\nhostonly-network2=\"lab net\"\nmacaddress2=\"0800270000AA\"\ncableconnected2=\"off\"\n",
			func(m Machine) any { return m.NICs },
			[]NIC{{Slot: 2, Kind: "hostonlynetwork", Network: "lab net", MAC: "08:00:27:00:00:aa"}},
		},
		"bridge whose name has a colon": {
			"nic1=\"bridged\"\nbridgeadapter1=\"en0: Wi-Fi\"\n",
			func(m Machine) any { return m.NICs }, []NIC{{Slot: 1, Kind: "bridged", Network: "en0: Wi-Fi"}},
		},
		"Windows paths as older releases print them": {
			`CfgFile="C:\Users\me\vm.vbox"` + "\n", func(m Machine) any { return m.ConfigFile }, `C:\Users\me\vm.vbox`,
		},
		"Windows paths as newer releases print them": {
			`CfgFile="C:\\Users\\me\\vm.vbox"` + "\n", func(m Machine) any { return m.ConfigFile }, `C:\Users\me\vm.vbox`,
		},
		"controller whose name has dashes": {
			"storagecontrollername0=\"My-SATA\"\n\"My-SATA-0-0\"=\"/a-1-2\"\n\"My-SATA-1-0\"=\"emptydrive\"\n\"My-SATA-2-0\"=\"none\"\n",
			func(m Machine) any { return m.Media }, map[string]string{"My-SATA-0-0": "/a-1-2"},
		},
		"two groups":      {"groups=\"/a,/b\"\n", func(m Machine) any { return m.Groups }, []string{"/a", "/b"}},
		"state with dash": {"VMState=\"aborted-saved\"\n", func(m Machine) any { return m.State }, "aborted-saved"},
		"serial to a pipe": {
			"uartmode1=\"server,/tmp/pipe\"\n", func(m Machine) any { return m.SerialLog }, "",
		},
		"two rules": {
			"Forwarding(0)=\"ssh,tcp,127.0.0.1,2210,,22\"\nForwarding(1)=\"web,udp,,80,10.0.2.15,8080\"\n",
			func(m Machine) any { return m.Forwards },
			[]Forward{{"ssh", "tcp", "127.0.0.1", 2210, "", 22}, {"web", "udp", "", 80, "10.0.2.15", 8080}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := parseMachine(base + test.text)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, test.check(m)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	for name, text := range map[string]string{
		"empty": "", "no UUID": "name=\"x\"\n", "no memory": "name=\"x\"\nUUID=\"u\"\ncpus=1\n",
		"rule with five fields":  base + "Forwarding(0)=\"ssh,tcp,127.0.0.1,2210,22\"\n",
		"rule without host port": base + "Forwarding(0)=\"ssh,tcp,127.0.0.1,,,22\"\n",
		"rule with named port":   base + "Forwarding(0)=\"ssh,tcp,127.0.0.1,2210,,ssh\"\n",
	} {
		if m, err := parseMachine(text); err == nil {
			t.Errorf("%s: no error, but %+v", name, m)
		}
	}
}

func TestParseMachines(t *testing.T) {
	text := answers(t, "odd.txt", "list vms")[2].stdout
	want := []MachineRef{
		{"<inaccessible>", "5c30ffcd-9f78-4301-8b83-0dcdd98f72d3"}, {`quo"te\back`, "095274b7-bdf3-4cd1-9937-eb1fe4c74a75"},
	}
	if diff := cmp.Diff(want, parseMachines(text)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestCutWarnings(t *testing.T) {
	recorded := answer(t, "odd.txt", "list vms").stdout
	if !strings.Contains(recorded, "/dev/vboxdrv does not exist") {
		t.Errorf("no warning was recorded: %q", recorded)
	}
	for name, test := range map[string]struct{ in, rest string }{
		"none":                  {"7.2.22\n", "7.2.22\n"},
		"empty":                 {"", ""},
		"a warning and nothing": {"WARNING: x", ""},
		"as recorded":           {recorded, ""},
		"two blocks":            {"WARNING: a\n\t b\n\nWARNING: c\n\t d\nrest\n\nmore\n", "rest\n\nmore\n"},
		"later":                 {"rest\nWARNING: a\n", "rest\nWARNING: a\n"},
	} {
		t.Run(name, func(t *testing.T) {
			if rest := cutWarnings(test.in); rest != test.rest {
				t.Errorf("got %q, want %q", rest, test.rest)
			}
		})
	}
}

func TestParseMedia(t *testing.T) {
	base := Medium{UUID: "ee662487-81fc-4f74-9659-5ed8db8b0aed", State: "created", Path: "/lab/base.vdi", Format: "VDI", CapacityMiB: 10240}
	child := Medium{UUID: "581fe1c5-3a5d-466b-b20f-b65c1a06a141", Parent: base.UUID, State: "created", Path: "/lab/vms/cp1.vdi", Format: "VDI", CapacityMiB: 10240}
	for name, test := range map[string]struct {
		text string
		want []Medium
	}{
		"list hdds": {answer(t, "life.txt", "list hdds").stdout, []Medium{base, child}},
		"list dvds": {answer(t, "life.txt", "list dvds").stdout, []Medium{
			{UUID: "c122d209-8f9e-4597-b703-b8a5470c05e9", State: "created", Path: "/lab/seed.iso", Format: "RAW"},
		}},
		"in use": {answer(t, "odd.txt", "showmediuminfo disk /lab/w1.vdi").stdout, []Medium{{
			UUID: "1bde034c-3b40-4e5a-80b5-c894d6c87dd9", Parent: "bd044cea-3076-4ee7-a1b2-fa8c7af531e9", State: "created",
			Path: "/lab/w1.vdi", Format: "VDI", CapacityMiB: 64, UsedBy: []string{"w1"},
		}}},
		"file gone": {answers(t, "odd.txt", "showmediuminfo disk /lab/base.vdi")[1].stdout, []Medium{{
			UUID: "bd044cea-3076-4ee7-a1b2-fa8c7af531e9", State: "inaccessible", Problem: "Could not open the medium '/lab/base.vdi'.",
			Path: "/lab/base.vdi", Format: "VDI", CapacityMiB: 64,
		}}},
		"used by two": {"UUID: u\nIn use by VMs:  a b (UUID: 1)\n                c (UUID: 2) [x (UUID: 3)]\nrest: 1\n",
			[]Medium{{UUID: "u", UsedBy: []string{"a b", "c (UUID: 2) [x"}}}},
		"nothing": {"", nil},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, parseMedia(test.text)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	if got := len(parseMedia(answer(t, "image_formats.txt", "list hdds").stdout)); got != 8 {
		t.Errorf("%d media, want 8", got)
	}
}

func TestParseSnapshots(t *testing.T) {
	want := []Snapshot{
		{Name: "clean", UUID: "9d13f26c-c112-468b-90e2-17e8d2012d99", Description: `before the "first" exercise`},
		{Name: "exercise-1", UUID: "d3211a57-08e9-477c-826e-2fc6de0999ad"},
		{Name: "branch", UUID: "429670f2-b01b-4050-912a-03c48f533a40", Current: true},
	}
	if diff := cmp.Diff(want, parseSnapshots(answer(t, "odd.txt", "snapshot w1 list --machinereadable").stdout)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestParseHostOnly(t *testing.T) {
	// The shapes of VirtualBox 7 on Linux, Windows and macOS, after VBoxManageList.cpp.
	const ifs = `Name:            vboxnet0
GUID:            786f6276-656e-4074-8000-0a0027000000
DHCP:            Disabled
IPAddress:       192.168.56.1
NetworkMask:     255.255.255.0
IPV6Address:     fe80::800:27ff:fe00:0
IPV6NetworkMaskPrefixLength: 64
HardwareAddress: 0a:00:27:00:00:00
MediumType:      Ethernet
Wireless:        No
Status:          Up
VBoxNetworkName: HostInterfaceNetworking-vboxnet0

Name:            VirtualBox Host-Only Ethernet Adapter #2
GUID:            a
DHCP:            Enabled
IPAddress:       169.254.9.1
NetworkMask:     255.255.0.0
Status:          Down
VBoxNetworkName: HostInterfaceNetworking-VirtualBox Host-Only Ethernet Adapter #2

Name:            vboxnet1
IPAddress:       0.0.0.0
NetworkMask:     0.0.0.0
Status:          Down

Name:            vboxnet2
IPAddress:       192.168.99.1
NetworkMask:     15.0.0.0
Status:          Down

`
	want := []HostOnly{
		{Name: "vboxnet0", Address: netip.MustParsePrefix("192.168.56.1/24"), Up: true},
		{Name: "VirtualBox Host-Only Ethernet Adapter #2", Address: netip.MustParsePrefix("169.254.9.1/16")},
		{Name: "vboxnet1"}, {Name: "vboxnet2"},
	}
	samePrefix := cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })
	if diff := cmp.Diff(want, parseHostOnly(ifs), samePrefix); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	const nets = `Name:            HostNetwork
GUID:            3f1f63a2-4f0a-4a0e-b0b2-5b4e2e5f2d11

State:           Enabled
NetworkMask:     255.255.255.0
LowerIP:         192.168.56.1
UpperIP:         192.168.56.2
VBoxNetworkName: hostonly-HostNetwork

Name:            other
State:           Disabled
`
	want = []HostOnly{
		{Name: "HostNetwork", Address: netip.MustParsePrefix("192.168.56.1/24"), Up: true},
		{Name: "other"},
	}
	if diff := cmp.Diff(want, parseHostOnly(nets), samePrefix); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestVersion(t *testing.T) {
	for text, want := range map[string]Version{
		"7.2.22_Debianr175245\n":                 {7, "7.2.22_Debianr175245"},
		"7.1.12_Ubuntur169389\r\n":               {7, "7.1.12_Ubuntur169389"},
		"4.1.8r1234_OSE\n":                       {4, "4.1.8r1234_OSE"},
		"7.0.0_BETA1r152000\n":                   {7, "7.0.0_BETA1r152000"},
		"WARNING: x\n\t y\n8.0.1r1\n":            {8, "8.0.1r1"},
		answer(t, "odd.txt", "--version").stdout: {7, "7.2.22_Debianr175245"}, // behind a warning
	} {
		c := client(t, "linux", says("--version", text))
		got, err := c.Version(t.Context())
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
		if err := got.Supported(); (err == nil) != (want.Major >= 7) {
			t.Errorf("%q: supported: %v", text, err)
		}
	}
	for _, text := range []string{"", "WARNING: only\n\t that\n", "no version\n", "99999999999999999999.1.1\n"} {
		if v, err := client(t, "linux", says("--version", text)).Version(t.Context()); err == nil {
			t.Errorf("%q: got %+v", text, v)
		}
	}
}

func TestNetworksConf(t *testing.T) {
	for name, test := range map[string]struct {
		data []byte
		yes  []string
		no   []string
	}{
		"no file": {nil,
			[]string{"192.168.56.1/24", "192.168.63.1/24", "192.168.56.1/21"},
			[]string{"192.168.64.1/24", "192.168.56.1/16", "10.0.0.1/24", "224.0.0.1/24", "127.0.0.1/8"}},
		"empty file": {[]byte{}, nil, []string{"192.168.56.1/24"}},
		"ranges": {[]byte("# lab\r\n* 10.0.0.0/8 192.168.0.0/16\r\n* 2001::/64\n"),
			[]string{"10.1.2.1/24", "192.168.56.1/16", "2001::1/64"}, []string{"11.0.0.1/24", "10.0.0.1/7"}},
		"everything": {[]byte("* 0.0.0.0/0 ::/0"), []string{"10.1.2.1/24", "2001::1/64"}, []string{"127.0.0.1/8", "239.1.1.1/32", "::1/128"}},
		"star without space, other words, no ranges": {[]byte("*10.0.0.0/8\nRanges:\n* nonsense\n*\n"), nil, []string{"10.0.0.1/24"}},
	} {
		t.Run(name, func(t *testing.T) {
			c := ParseNetworksConf(test.data)
			for _, p := range test.yes {
				if !c.Allows(netip.MustParsePrefix(p)) {
					t.Errorf("%s is refused", p)
				}
			}
			for _, p := range test.no {
				if c.Allows(netip.MustParsePrefix(p)) {
					t.Errorf("%s is allowed", p)
				}
			}
			if c.Allows(netip.Prefix{}) {
				t.Error("the zero prefix is allowed")
			}
		})
	}
}

// FuzzParsers feeds every parser with recorded and broken answers: none may panic, and what they return must be whole.
func FuzzParsers(f *testing.F) {
	for _, name := range []string{"life.txt", "odd.txt", "image_formats.txt"} {
		for _, r := range transcript(f, name) {
			f.Add(r.stdout)
			f.Add(r.stderr)
		}
	}
	f.Fuzz(func(t *testing.T, s string) {
		rest := cutWarnings(plainLines(s))
		if !strings.HasSuffix(plainLines(s), rest) {
			t.Errorf("cutWarnings changed the rest: %q", rest)
		}
		if m, err := parseMachine(rest); err == nil && (m.Name == "" || m.UUID == "") {
			t.Errorf("machine without name: %+v", m)
		}
		for _, m := range parseMachines(rest) {
			if len(m.UUID) != 36 {
				t.Errorf("UUID %q", m.UUID)
			}
		}
		for _, m := range parseMedia(rest) {
			if m.UUID == "" {
				t.Errorf("medium without UUID: %+v", m)
			}
		}
		for _, h := range parseHostOnly(rest) {
			if h.Name == "" || h.Address.IsValid() && !h.Address.Addr().Is4() {
				t.Errorf("host-only network %+v", h)
			}
		}
		parseSnapshots(rest)
		if v, err := parseVersion(s); err == nil && v.Text == "" {
			t.Error("version without text")
		}
		if e := newError([]string{"VBoxManage"}, args{"list"}, output{stdout: s, stderr: s, exit: 1}); strings.TrimSpace(s) != "" && e.Message == "" {
			t.Error("error without message")
		}
	})
}

// FuzzNetworksConf: whatever the file holds, only addresses inside a range that it names are allowed.
func FuzzNetworksConf(f *testing.F) {
	f.Add([]byte("* 10.0.0.0/8 192.168.0.0/16\n* 2001::/64\n"), "10.1.2.3/24")
	f.Add([]byte("*\r\n#* 10.0.0.0/8\n*10.0.0.0/8\n* 10.0.0.0/8 0.0.0.0/0"), "192.168.56.1/24")
	f.Fuzz(func(t *testing.T, data []byte, address string) {
		c := ParseNetworksConf(data)
		for _, r := range c.Ranges {
			if !r.IsValid() || !strings.Contains(string(data), "*") {
				t.Errorf("range %v", r)
			}
		}
		p, err := netip.ParsePrefix(address)
		if err != nil || !c.Allows(p) {
			return
		}
		for _, r := range c.Ranges {
			if r.Contains(p.Addr()) {
				return
			}
		}
		t.Errorf("%s is allowed by %v", p, c.Ranges)
	})
}
