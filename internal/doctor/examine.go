package doctor

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"

	"github.com/labctl/labctl/internal/config"
)

// Host is how Examine reads the machine that it runs on.
type Host struct {
	GOOS     string
	ReadFile func(path string) ([]byte, error)
	Exists   func(path string) bool
	// Run returns the standard output of a program.
	Run func(ctx context.Context, name string, args ...string) ([]byte, error)
	// FreeDisk returns the bytes that an ordinary user may still write where path is, which exists: FreeDisk.
	FreeDisk func(path string) (uint64, error)
}

// Options say what is examined, and for which lab.
type Options struct {
	Lab        *config.Lab
	Host       Host
	VirtualBox VirtualBoxFacts
	// Allows reports whether VirtualBox lets the host have that address on a host-only network; nil where every address is
	// allowed, as on Windows and on macOS.
	Allows func(netip.Prefix) bool
	// Adapters are the names of the host's host-only adapters that carry the lab's network.
	Adapters          []string
	DataDir, CacheDir string // need not exist yet
	Offline           *OfflineFacts
	// GOARCH is the processor that labctl is built for.
	GOARCH string
}

// Examine asks all questions that make sense on the host.
func Examine(ctx context.Context, o Options) []Finding {
	findings := []Finding{processor(ctx, o), VirtualBox(o.VirtualBox, o.Host.GOOS)}
	if o.Host.GOOS == "linux" {
		findings = append(findings, linux(o)...)
	}
	if o.Allows != nil {
		findings = append(findings, HostOnlyRange(netip.PrefixFrom(o.Lab.Network.Host, o.Lab.Network.CIDR.Bits()), o.Allows))
	}
	findings = append(findings, networks(ctx, o)...)
	findings = append(findings, resources(ctx, o)...)
	return append(findings, Offline(o.Offline))
}

// processor asks which processor the host has. A labctl that is built for x86-64 runs on an ARM Mac, too, in translation.
func processor(ctx context.Context, o Options) Finding {
	arch := o.GOARCH
	if o.Host.GOOS == "darwin" && arch == "amd64" {
		// A Mac with an Intel processor does not know the name, and the command fails.
		if out, err := o.Host.Run(ctx, "sysctl", "-n", "hw.optional.arm64"); err == nil && strings.TrimSpace(string(out)) == "1" {
			arch = "arm64"
		}
	}
	return Processor(arch)
}

func linux(o Options) []Finding {
	// A kernel without modules has no such file, and then none is loaded.
	modules, _ := o.Host.ReadFile("/proc/modules")
	findings := []Finding{KernelModule(o.Host.Exists("/dev/vboxdrv"), string(modules))}

	if cpuinfo, err := o.Host.ReadFile("/proc/cpuinfo"); err != nil {
		findings = append(findings, unknown("CPU virtualization", err))
	} else {
		findings = append(findings, CPUVirtualization(string(cpuinfo)))
	}
	text := func(path string) string { // what is not there is empty, as KVM wants it
		data, _ := o.Host.ReadFile(path)
		return strings.TrimSpace(string(data))
	}
	return append(findings, KVM(KVMFacts{
		Modules:    string(modules),
		Kernel:     text("/proc/sys/kernel/osrelease"),
		EnableVirt: text("/sys/module/kvm/parameters/enable_virt_at_load"),
		VirtualBox: o.VirtualBox.Version,
	}))
}

func networks(ctx context.Context, o Options) []Finding {
	command, parse := routeCommand(o.Host.GOOS)
	out, err := o.Host.Run(ctx, command[0], command[1:]...)
	if err != nil {
		return []Finding{unknown("routes", fmt.Errorf("%s: %w", strings.Join(command, " "), err))}
	}
	routes, err := parse(out)
	if err != nil {
		return []Finding{unknown("routes", err)}
	}
	lab := o.Lab
	return []Finding{
		HostOnlyRoutes(lab.Network.CIDR, lab.Network.Host, o.Adapters, routes),
		ClusterRange("pod network", lab.K3s.PodCIDR, "k3s.podCIDR", routes),
		ClusterRange("service network", lab.K3s.ServiceCIDR, "k3s.serviceCIDR", routes),
	}
}

func resources(ctx context.Context, o Options) []Finding {
	var findings []Finding
	disk := func(name, path string, least, roomy uint64) {
		for !o.Host.Exists(path) && path != filepath.Dir(path) {
			path = filepath.Dir(path)
		}
		free, err := o.Host.FreeDisk(path)
		if err != nil {
			findings = append(findings, unknown(name, err))
			return
		}
		findings = append(findings, Disk(name, path, free, least, roomy))
	}
	machines := uint64(len(o.Lab.Nodes))
	disk("free disk for the lab", o.DataDir, machines*leastPerMachine, machines*roomyPerMachine)
	disk("free disk for the cache", o.CacheDir, leastForCache, roomyForCache)

	if m, err := memory(ctx, o.Host); err != nil {
		findings = append(findings, unknown("memory", err))
	} else {
		findings = append(findings, Memory(m, o.Lab.Nodes))
	}
	return findings
}

// memory reads the host's memory.
func memory(ctx context.Context, h Host) (MemoryFacts, error) {
	switch h.GOOS {
	case "linux":
		data, err := h.ReadFile("/proc/meminfo")
		if err != nil {
			return MemoryFacts{}, err
		}
		return ParseMeminfo(data)
	case "darwin":
		out, err := h.Run(ctx, "sysctl", "-n", "hw.memsize")
		if err != nil {
			return MemoryFacts{}, fmt.Errorf("sysctl hw.memsize: %w", err)
		}
		n, err := parseNumbers(out, 1)
		if err != nil {
			return MemoryFacts{}, fmt.Errorf("output of sysctl hw.memsize: %w", err)
		}
		return MemoryFacts{Total: n[0]}, nil
	case "windows":
		out, err := h.Run(ctx, "powershell", "-NoProfile", "-Command",
			"$os = Get-CimInstance Win32_OperatingSystem; $os.TotalVisibleMemorySize; $os.FreePhysicalMemory")
		if err != nil {
			return MemoryFacts{}, fmt.Errorf("asking Win32_OperatingSystem: %w", err)
		}
		n, err := parseNumbers(out, 2)
		if err != nil {
			return MemoryFacts{}, fmt.Errorf("asking Win32_OperatingSystem: %w", err)
		}
		return MemoryFacts{Total: n[0] << 10, Available: n[1] << 10}, nil
	}
	return MemoryFacts{}, errors.New("not known how to read it on " + h.GOOS)
}
