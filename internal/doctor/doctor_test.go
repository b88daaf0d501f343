package doctor

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/labctl/labctl/internal/config"
)

func TestVirtualBox(t *testing.T) {
	broken := errors.New("broken")
	for _, tt := range []struct {
		name  string
		facts VirtualBoxFacts
		goos  string
		want  Finding
	}{
		{"good", VirtualBoxFacts{Path: "/usr/bin/VBoxManage", Version: "7.2.22"}, "linux",
			Finding{Name: "VirtualBox", Status: OK, Detail: "/usr/bin/VBoxManage, version 7.2.22"}},
		{"not found on Linux", VirtualBoxFacts{FindErr: broken}, "linux",
			Finding{Name: "VirtualBox", Status: Blocker, Detail: "broken", Fix: "install VirtualBox 7.0 or newer, for example: sudo apt install virtualbox"}},
		{"not found on macOS", VirtualBoxFacts{FindErr: broken}, "darwin",
			Finding{Name: "VirtualBox", Status: Blocker, Detail: "broken", Fix: "brew install --cask virtualbox"}},
		{"not found on Windows", VirtualBoxFacts{FindErr: broken}, "windows",
			Finding{Name: "VirtualBox", Status: Blocker, Detail: "broken", Fix: "winget install Oracle.VirtualBox"}},
		{"too old, elsewhere", VirtualBoxFacts{Path: "VBoxManage", Version: "6.1.50", Supported: broken}, "freebsd",
			Finding{Name: "VirtualBox", Status: Blocker, Detail: "broken", Fix: "https://www.virtualbox.org/wiki/Downloads"}},
		{"no version", VirtualBoxFacts{Path: "VBoxManage", VersionErr: broken}, "linux",
			Finding{Name: "VirtualBox", Status: Blocker, Detail: "VBoxManage does not tell its version: broken", Fix: "VBoxManage --version"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, VirtualBox(tt.facts, tt.goos)); diff != "" {
				t.Errorf("finding (-want +got):\n%s", diff)
			}
		})
	}
}

const (
	modulesVBox = "vboxnetadp 28672 0 - Live 0x0 (OE)\nvboxdrv 696320 2 vboxnetadp,vboxnetflt, Live 0x0 (OE)\n"
	modulesKVM  = "kvm_intel 475136 0 - Live 0x0\nkvm 1404928 1 kvm_intel, Live 0x0\n"
)

func TestKernelModule(t *testing.T) {
	for _, tt := range []struct {
		name    string
		device  bool
		modules string
		want    Status
	}{
		{"device", true, "", OK},
		{"module", false, modulesVBox, OK},
		{"neither", false, modulesKVM, Blocker},
		{"only named by others", false, "other 1 0 vboxdrv, Live 0x0\n", Blocker},
	} {
		got := KernelModule(tt.device, tt.modules)
		if got.Status != tt.want || (got.Fix != "") != (tt.want != OK) {
			t.Errorf("%s: finding = %+v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestHostOnlyRange(t *testing.T) {
	host := netip.MustParsePrefix("192.168.60.1/24")
	asked := netip.Prefix{}
	allows := func(answer bool) func(netip.Prefix) bool {
		return func(p netip.Prefix) bool { asked = p; return answer }
	}
	if got := HostOnlyRange(host, allows(true)); got.Status != OK || asked != host {
		t.Errorf("allowed: %+v, asked for %v", got, asked)
	}
	got := HostOnlyRange(host, allows(false))
	if got.Status != Blocker || !strings.Contains(got.Fix, `* 192.168.56.0/21\n* 192.168.60.0/24\n`) {
		t.Errorf("not allowed: %+v", got)
	}
}

func TestCPUVirtualization(t *testing.T) {
	for _, tt := range []struct {
		cpuinfo string
		want    Status
		text    string
	}{
		{"processor\t: 0\nflags\t\t: fpu vmx sse\n", OK, "VT-x"},
		{"flags\t\t: fpu svm\n", OK, "AMD-V"},
		{"flags\t\t: fpu sse\nvmx flags\t: vnmi\n", Blocker, "neither"},
		{"flags\t\t: fpu hypervisor\n", Blocker, "nested"},
		{"flags\t\t: fpu xsvm vmxx\n", Blocker, "neither"},
		{"Features\t: fp asimd\n", Unknown, "no flags"},
	} {
		got := CPUVirtualization(tt.cpuinfo)
		if got.Status != tt.want || !strings.Contains(got.Detail, tt.text) || (got.Fix != "") != (tt.want == Blocker) {
			t.Errorf("%q: finding = %+v, want %v with %q", tt.cpuinfo, got, tt.want, tt.text)
		}
	}
}

func TestKVM(t *testing.T) {
	amd := strings.ReplaceAll(modulesKVM, "intel", "amd")
	for _, tt := range []struct {
		name  string
		facts KVMFacts
		want  Status
		text  string
	}{
		{"not loaded", KVMFacts{Modules: modulesVBox, Kernel: "6.14.0", VirtualBox: "7.2.6"}, OK, "not loaded"},
		{"old kernel", KVMFacts{Modules: modulesKVM, Kernel: "6.1.0-30-amd64", VirtualBox: "7.0.20"}, OK, "kvm_intel is loaded"},
		{"in use", KVMFacts{Modules: strings.Replace(modulesKVM, "475136 0", "475136 4", 1), Kernel: "6.1.0"}, Warn, "in use"},
		{"held", KVMFacts{Modules: modulesKVM, Kernel: "6.12.9-amd64", EnableVirt: "Y", VirtualBox: "7.1.12_Ubuntur169389"}, Warn, "VERR_VMX_IN_VMX_ROOT_MODE"},
		{"held, no such parameter", KVMFacts{Modules: amd, Kernel: "6.14.2", VirtualBox: "7.2.8"}, Warn, "kvm_amd holds"},
		{"let go", KVMFacts{Modules: modulesKVM, Kernel: "6.14.2", EnableVirt: "N", VirtualBox: "7.2.8"}, OK, "not in the way"},
		{"shared", KVMFacts{Modules: modulesKVM, Kernel: "6.17.1", EnableVirt: "Y", VirtualBox: "7.2.10"}, OK, "not in the way"},
		{"let go, but to be shared", KVMFacts{Modules: amd, Kernel: "6.17.1", EnableVirt: "N", VirtualBox: "7.2.22"}, Warn, "VERR_SVM_HOST_SVME_NOT_ENABLED"},
		{"Linux 6.12 is not shared", KVMFacts{Modules: modulesKVM, Kernel: "6.12.41", EnableVirt: "Y", VirtualBox: "7.2.22"}, Warn, "holds"},
		{"Linux 6.12, let go", KVMFacts{Modules: modulesKVM, Kernel: "6.12.41", EnableVirt: "N", VirtualBox: "7.2.22"}, OK, "not in the way"},
		{"two numbers", KVMFacts{Modules: modulesKVM, Kernel: "6.11", VirtualBox: "7.2"}, OK, "not in the way"},
		{"no VirtualBox", KVMFacts{Modules: modulesKVM, Kernel: "6.14.2"}, Unknown, `VirtualBox ""`},
		{"no kernel", KVMFacts{Modules: modulesKVM, VirtualBox: "7.2.8"}, Unknown, `kernel ""`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := KVM(tt.facts)
			if got.Status != tt.want || !strings.Contains(got.Detail, tt.text) || (got.Fix != "") != (tt.want == Warn) {
				t.Errorf("finding = %+v, want %v with %q", got, tt.want, tt.text)
			}
		})
	}
}

func TestDisk(t *testing.T) {
	for _, tt := range []struct {
		free uint64
		want Status
		text string
	}{
		{20 * gib, OK, "20.0 GiB free at /data"},
		{18 * gib, OK, ""},
		{18*gib - 1, Warn, "18.0 GiB are wanted"},
		{6 * gib, Warn, ""},
		{6*gib - 1, Blocker, "wanted"},
		{0, Blocker, "0.0 GiB free"},
	} {
		got := Disk("free disk", "/data", tt.free, 6*gib, 18*gib)
		if got.Status != tt.want || !strings.Contains(got.Detail, tt.text) || (got.Fix != "") != (tt.want != OK) {
			t.Errorf("%d free: finding = %+v, want %v with %q", tt.free, got, tt.want, tt.text)
		}
	}
}

func TestMemory(t *testing.T) {
	nodes := config.Default().Nodes // 5120 MiB, and 450 MiB beside
	for _, tt := range []struct {
		facts MemoryFacts
		want  Status
		text  string
	}{
		{MemoryFacts{Total: 16 * gib, Available: 8 * gib}, OK, "3 machines take 5.4 GiB of 16.0 GiB, 8.0 GiB available"},
		{MemoryFacts{Total: 16 * gib, Available: 5 * gib}, Warn, "5.0 GiB available"},
		{MemoryFacts{Total: 5 * gib, Available: 4 * gib}, Blocker, "5.4 GiB of 5.0 GiB"},
		{MemoryFacts{Total: 16 * gib}, OK, "3 machines take 5.4 GiB of 16.0 GiB"},
		{MemoryFacts{Total: 4 * gib}, Blocker, "5.4 GiB of 4.0 GiB"},
	} {
		got := Memory(tt.facts, nodes)
		if got.Status != tt.want || !strings.Contains(got.Detail, tt.text) || (got.Fix != "") != (tt.want != OK) {
			t.Errorf("%+v: finding = %+v, want %v with %q", tt.facts, got, tt.want, tt.text)
		}
	}
}

func TestParseMeminfo(t *testing.T) {
	got, err := ParseMeminfo([]byte("MemTotal:       16384 kB\nMemFree:         100 kB\nMemAvailable:    8192 kB\nHugePages_Total:       0\n"))
	if diff := cmp.Diff(MemoryFacts{Total: 16 * mib, Available: 8 * mib}, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	for _, data := range []string{"", "MemTotal: many kB\n", "MemAvailable: 1 kB\n"} {
		if got, err := ParseMeminfo([]byte(data)); err == nil {
			t.Errorf("ParseMeminfo(%q) = %+v, want an error", data, got)
		}
	}
}

// fakeHost is a host that has what a test says, and nothing else.
type fakeHost struct {
	files    map[string]string
	commands map[string]string
	exists   map[string]bool
	free     map[string]uint64
}

func (h fakeHost) host(goos string) Host {
	return Host{
		GOOS: goos,
		ReadFile: func(path string) ([]byte, error) {
			if data, ok := h.files[path]; ok {
				return []byte(data), nil
			}
			return nil, &os.PathError{Op: "open", Path: path, Err: os.ErrNotExist}
		},
		Exists: func(path string) bool { return h.exists[path] },
		Run: func(_ context.Context, name string, args ...string) ([]byte, error) {
			line := strings.Join(append([]string{name}, args...), " ")
			if out, ok := h.commands[line]; ok {
				return []byte(out), nil
			}
			return nil, fmt.Errorf("no program %q", line)
		},
		FreeDisk: func(path string) (uint64, error) {
			if free, ok := h.free[path]; ok {
				return free, nil
			}
			return 0, errors.New("no disk at " + path)
		},
	}
}

// verdicts is what most tests compare.
func verdicts(findings []Finding) []string {
	var lines []string
	for _, f := range findings {
		lines = append(lines, f.Status.String()+" "+f.Name)
	}
	return lines
}

const powershell = "powershell -NoProfile -Command $os = Get-CimInstance Win32_OperatingSystem; $os.TotalVisibleMemorySize; $os.FreePhysicalMemory"

func TestExamine(t *testing.T) {
	found := VirtualBoxFacts{Path: "VBoxManage", Version: "7.2.22"}
	everywhere := map[string]bool{"/": true, "/home": true}
	roomy := map[string]uint64{"/home": 100 * gib}
	for _, tt := range []struct {
		name   string
		goos   string
		host   fakeHost
		change func(*Options)
		want   []string
	}{
		{
			name: "Linux, all well", goos: "linux",
			host: fakeHost{
				files: map[string]string{
					"/proc/modules": modulesVBox, "/proc/cpuinfo": "flags : vmx\n",
					"/proc/meminfo": "MemTotal: 16777216 kB\nMemAvailable: 8388608 kB\n",
				},
				commands: map[string]string{"ip -j route": `[{"dst":"default","gateway":"10.0.2.2","dev":"eth0"},{"dst":"192.168.56.0/24","dev":"vboxnet0"}]`},
				exists:   everywhere, free: roomy,
			},
			want: []string{"ok VirtualBox", "ok kernel module vboxdrv", "ok CPU virtualization", "ok KVM", "ok host-only range",
				"ok route to the nodes", "ok pod network", "ok service network",
				"ok free disk for the lab", "ok free disk for the cache", "ok memory"},
		},
		{
			name: "Linux, all wrong", goos: "linux",
			host: fakeHost{
				files: map[string]string{
					"/proc/modules": modulesKVM, "/proc/cpuinfo": "flags : sse\n", "/proc/sys/kernel/osrelease": "6.14.2\n",
					"/sys/module/kvm/parameters/enable_virt_at_load": "N\n",
					"/proc/meminfo": "MemTotal: 4194304 kB\nMemAvailable: 1048576 kB\n",
				},
				commands: map[string]string{"ip -j route": `[{"dst":"10.0.0.0/8","dev":"tun0"},{"dst":"192.168.56.0/24","dev":"eth1"}]`},
				exists:   everywhere, free: map[string]uint64{"/home": 1},
			},
			change: func(o *Options) {
				o.VirtualBox.Supported = errors.New("too old")
				o.Allows = func(netip.Prefix) bool { return false }
			},
			want: []string{"blocker VirtualBox", "blocker kernel module vboxdrv", "blocker CPU virtualization", "warn KVM", "blocker host-only range",
				"blocker route to the nodes", "warn pod network", "warn service network",
				"blocker free disk for the lab", "blocker free disk for the cache", "blocker memory"},
		},
		{
			name: "Linux, nothing to be had", goos: "linux",
			want: []string{"ok VirtualBox", "blocker kernel module vboxdrv", "unknown CPU virtualization", "ok KVM", "ok host-only range",
				"unknown routes", "unknown free disk for the lab", "unknown free disk for the cache", "unknown memory"},
		},
		{
			name: "macOS", goos: "darwin",
			host: fakeHost{
				commands: map[string]string{"netstat -rn -f inet": string(recording(t, "netstat.txt")), "sysctl -n hw.memsize": "17179869184\n"},
				exists:   everywhere, free: roomy,
			},
			change: func(o *Options) { o.Allows, o.Adapters = nil, []string{"bridge100"} },
			want: []string{"ok VirtualBox", "ok route to the nodes", "warn pod network", "ok service network",
				"ok free disk for the lab", "ok free disk for the cache", "ok memory"},
		},
		{
			name: "Windows", goos: "windows",
			host: fakeHost{
				commands: map[string]string{"route print -4": string(recording(t, "route-print.txt")), powershell: "16777216\r\n1048576\r\n"},
				exists:   everywhere, free: roomy,
			},
			change: func(o *Options) { o.Allows = nil },
			want: []string{"ok VirtualBox", "ok route to the nodes", "ok pod network", "warn service network",
				"ok free disk for the lab", "ok free disk for the cache", "warn memory"},
		},
		{
			name: "strange answers", goos: "windows",
			host:   fakeHost{commands: map[string]string{"route print -4": "?", powershell: "many"}, exists: everywhere, free: roomy},
			change: func(o *Options) { o.Allows = nil },
			want:   []string{"ok VirtualBox", "unknown routes", "ok free disk for the lab", "ok free disk for the cache", "unknown memory"},
		},
		{
			name: "strange number", goos: "darwin",
			host:   fakeHost{commands: map[string]string{"sysctl -n hw.memsize": "-1"}, exists: everywhere, free: roomy},
			change: func(o *Options) { o.Allows = nil },
			want:   []string{"ok VirtualBox", "unknown routes", "ok free disk for the lab", "ok free disk for the cache", "unknown memory"},
		},
		{
			name: "another system", goos: "freebsd", host: fakeHost{exists: everywhere, free: roomy},
			change: func(o *Options) { o.Allows = nil },
			want:   []string{"ok VirtualBox", "unknown routes", "ok free disk for the lab", "ok free disk for the cache", "unknown memory"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := Options{
				Lab: config.Default(), Host: tt.host.host(tt.goos), VirtualBox: found,
				Allows:  func(p netip.Prefix) bool { return p == netip.MustParsePrefix("192.168.56.1/24") },
				DataDir: "/home/me/.local/share/labctl", CacheDir: "/home/me/.cache/labctl",
				GOARCH: "amd64", Offline: &OfflineFacts{},
			}
			if tt.change != nil {
				tt.change(&o)
			}
			findings := Examine(t.Context(), o)
			want := append(append([]string{"ok processor"}, tt.want...), "ok without the internet")
			if diff := cmp.Diff(want, verdicts(findings)); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
			for _, f := range findings {
				if f.Detail == "" || (f.Status == Warn || f.Status == Blocker) && f.Fix == "" {
					t.Errorf("%q says too little: %+v", f.Name, f)
				}
			}
		})
	}
}

func TestFreeDisk(t *testing.T) {
	free, err := FreeDisk(t.TempDir())
	if err != nil || free == 0 {
		t.Errorf("FreeDisk = %d, %v", free, err)
	}
	if _, err := FreeDisk(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("FreeDisk of nothing: no error")
	}
}
