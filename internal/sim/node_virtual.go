package sim

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"
)

// virtualFile is a file below /proc or /sys, which the kernel makes up.
type virtualFile struct {
	content string
	dir     bool
}

// ofKernel reports whether a path is one of the kernel's files. None of them can be written here: sysctl and ip change what they show.
func ofKernel(p string) bool {
	return strings.HasPrefix(p, "/proc/") || strings.HasPrefix(p, "/sys/") || p == "/proc" || p == "/sys"
}

// virtual looks a file of the kernel's up.
func (g *guest) virtual(p string) (virtualFile, bool) {
	if !ofKernel(p) {
		return virtualFile{}, false
	}
	all := g.virtualFiles()
	if content, ok := all[p]; ok {
		switch p { // these are worked out only for who reads them
		case "/proc/net/ip_vs":
			content = g.ipVS()
		case "/proc/net/nf_conntrack":
			for _, f := range g.recentFlows() {
				content += "ipv4     2 " + f.text(g) + "\n"
			}
		}
		return virtualFile{content: content}, true
	}
	for name := range all {
		if strings.HasPrefix(name, p+"/") {
			return virtualFile{dir: true}, true
		}
	}
	return virtualFile{}, false
}

func (g *guest) virtualFiles() map[string]string {
	all := map[string]string{
		"/proc/version":                   "Linux version " + kernelVersion + " (SIMULATED)\n",
		"/proc/uptime":                    fmt.Sprintf("%.2f 0.00\n", g.now.Sub(g.bootTime()).Seconds()),
		"/proc/swaps":                     "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n",
		"/proc/meminfo":                   fmt.Sprintf("MemTotal:       %8d kB\n", g.machine.Memory*1024),
		"/proc/sys/kernel/hostname":       g.hostname() + "\n",
		"/proc/sys/kernel/random/boot_id": hexOf(32, "boot", g.disk, g.state.Boot.String()) + "\n",
		"/sys/class/dmi/id/product_name":  "VirtualBox\n",
		"/sys/class/dmi/id/product_uuid":  g.machine.UUID + "\n",
	}
	var modules strings.Builder
	for _, m := range g.state.Modules {
		fmt.Fprintf(&modules, "%s 16384 0 - Live 0x0000000000000000\n", m)
		all["/sys/module/"+m+"/refcnt"] = "0\n"
	}
	all["/proc/modules"] = modules.String()
	if _, rec := g.dataplane(); rec != nil {
		all["/proc/net/nf_conntrack"] = ""
	}
	if slices.Contains(g.state.Modules, "ip_vs") {
		all["/proc/net/ip_vs"] = ""
	}
	for key, value := range g.sysctls() {
		all["/proc/sys/"+strings.ReplaceAll(key, ".", "/")] = value + "\n"
	}
	for _, l := range g.links() {
		dir := "/sys/class/net/" + l.Name + "/"
		all[dir+"address"] = l.MAC + "\n"
		all[dir+"mtu"] = fmt.Sprintln(l.MTU)
		all[dir+"ifindex"] = fmt.Sprintln(l.Index)
		all[dir+"operstate"] = strings.ToLower(l.operState()) + "\n"
	}
	return all
}

// sysctls are the kernel settings that somebody asks for.
func (g *guest) sysctls() map[string]string {
	all := map[string]string{
		"net.ipv4.ip_forward": "0", "net.ipv4.ip_local_port_range": "32768\t60999", "vm.swappiness": "60",
		"fs.inotify.max_user_instances": "128", "fs.inotify.max_user_watches": "14827",
	}
	if slices.Contains(g.state.Modules, "br_netfilter") {
		all["net.bridge.bridge-nf-call-iptables"], all["net.bridge.bridge-nf-call-ip6tables"] = "1", "1"
	}
	if _, rec := g.dataplane(); rec != nil {
		all["net.ipv4.ip_forward"] = "1"
	}
	for k, v := range g.state.Sysctl {
		all[k] = v
	}
	return all
}

// info is stat, also for the kernel's files.
func (g *guest) info(name string, follow bool) (fs.FileInfo, error) {
	if v, ok := g.virtual(path.Clean(name)); ok {
		root, err := os.Stat(g.files.root)
		if err != nil {
			return nil, err
		}
		return virtualInfo{FileInfo: root, name: path.Base(name), file: v}, nil
	}
	if name == "/dev/null" || name == "/dev/stdin" || name == "/dev/stdout" || name == "/dev/stderr" {
		root, err := os.Stat(g.files.root)
		if err != nil {
			return nil, err
		}
		return virtualInfo{FileInfo: root, name: path.Base(name), device: true}, nil
	}
	info, err := g.files.stat(name, follow)
	if err != nil {
		return nil, err
	}
	return info, nil
}

// virtualInfo describes a file that is not on the disk.
type virtualInfo struct {
	fs.FileInfo
	name   string
	file   virtualFile
	device bool
}

func (i virtualInfo) Name() string { return i.name }
func (i virtualInfo) Size() int64  { return int64(len(i.file.content)) }
func (i virtualInfo) IsDir() bool  { return i.file.dir }
func (i virtualInfo) Mode() fs.FileMode {
	switch {
	case i.file.dir:
		return fs.ModeDir | 0o555
	case i.device:
		return fs.ModeDevice | fs.ModeCharDevice | 0o666
	}
	return 0o444
}

// entries lists a directory, also of the kernel's files.
func (g *guest) entries(user, name string) ([]fs.FileInfo, error) {
	name = path.Clean(name)
	var all []fs.FileInfo
	if v, ok := g.virtual(name); ok {
		if !v.dir {
			return nil, pathError("open", name, syscall.ENOTDIR)
		}
		seen := map[string]bool{}
		for file := range g.virtualFiles() {
			if rest, ok := strings.CutPrefix(file, name+"/"); ok {
				first, _, _ := strings.Cut(rest, "/")
				seen[first] = true
			}
		}
		for _, entry := range sortedKeys(seen) {
			info, err := g.info(path.Join(name, entry), true)
			if err != nil {
				return nil, err
			}
			all = append(all, info)
		}
		return all, nil
	}
	infos, err := g.files.list(user, name)
	for _, i := range infos {
		all = append(all, i)
	}
	return all, err
}
