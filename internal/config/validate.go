package config

import (
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/labctl/labctl/internal/yaml"
)

// Limits that are not Kubernetes's.
const (
	maxNodes = 64
	// reservedLabName is the folder of the simulated labs, which lies beside the real ones.
	reservedLabName = "simulated"

	maxLabName    = 30      // VirtualBox's machines are called LAB-NODE
	minDiskGiB    = 5       // Ubuntu, k3s and the demo's images fill 4
	maxDiskGiB    = 2047    // "Maximum Virtual Disk size" of VBoxManage list systemproperties
	maxCPUs       = 64      // "Maximum guest CPU count"
	maxMemoryMiB  = 2097152 // "Maximum guest RAM size"
	dhcpServerNth = 100     // VirtualBox gives a host-only network's DHCP server the address 100
)

var (
	dnsLabel    = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`)
	userName    = regexp.MustCompile(`^[a-z_][-a-z0-9_]{0,31}$`)
	forARM      = regexp.MustCompile(`(?i)(^|[-_.])(arm64|aarch64|armhf)([-_.]|$)`)
	checksum    = regexp.MustCompile(`^[0-9a-f]{64}$`)
	k3sRelease  = regexp.MustCompile(`^v[0-9]+\.[0-9]+\.[0-9]+(-[0-9a-z.]+)?\+k3s[0-9]+$`)
	imageOfPods = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._/:@-]*$`)
)

// validate returns everything that is wrong with a lab but what Decode has reported already.
func validate(lab *Lab, pos *yaml.Positions) yaml.Problems {
	v := validator{lab: lab, pos: pos}
	v.name()
	v.networks()
	v.host()
	v.image()
	v.k3s()
	v.archives()
	v.registries()
	v.proxy()
	v.demo()
	v.nodes()
	return v.problems
}

type validator struct {
	lab      *Lab
	pos      *yaml.Positions
	problems yaml.Problems
}

// path is where a value stands in the file, as yaml.Positions takes it.
type path []any

func at(steps ...any) path { return steps }

func (p path) String() string { return yaml.Path(p...) }

// add reports a problem with the value at p. A value that Decode refused is not judged again.
func (v *validator) add(p path, format string, args ...any) {
	if !v.pos.Failed(p...) {
		v.problems = append(v.problems, v.pos.Problem(fmt.Sprintf("%s ", p)+fmt.Sprintf(format, args...), p...))
	}
}

func (v *validator) name() {
	p, name := at("name"), v.lab.Name
	if !dnsLabel.MatchString(name) || len(name) > maxLabName {
		v.add(p, "%q is no lab name: use lower-case letters, digits and dashes, no dash at either end, %d characters at most", name, maxLabName)
	} else if name == reservedLabName {
		v.add(p, "%q is taken: simulated labs are kept in a folder of that name", name)
	}
}

// networks judges the three networks on their own and against each other and the NAT network.
func (v *validator) networks() {
	cidr, pods, services := at("network", "cidr"), at("k3s", "podCIDR"), at("k3s", "serviceCIDR")
	var good []path
	prefixes := map[string]netip.Prefix{
		cidr.String(): v.lab.Network.CIDR, pods.String(): v.lab.K3s.PodCIDR, services.String(): v.lab.K3s.ServiceCIDR,
	}
	for _, p := range []path{cidr, pods, services} {
		if v.network(p, prefixes[p.String()]) {
			good = append(good, p)
		}
	}
	for i, p := range good {
		prefix := prefixes[p.String()]
		if nat := natNetwork(); prefix.Overlaps(nat) {
			v.add(p, "%s overlaps %s, the NAT network that VirtualBox gives every machine: choose another", prefix, nat)
		}
		for _, q := range good[:i] {
			if other := prefixes[q.String()]; !prefix.Overlaps(other) {
				continue
			} else if v.pos.Has(p...) {
				v.add(p, "%s overlaps %s %s: choose networks that share no address", prefix, q, other)
			} else { // the default of p, which the file does not show, is in the way of q
				v.add(q, "%s overlaps %s %s: choose networks that share no address", other, p, prefix)
			}
		}
	}
	nodes := len(v.lab.Nodes)
	for _, p := range good {
		prefix := prefixes[p.String()]
		switch bits := prefix.Bits(); p.String() {
		case cidr.String():
			// Its own address, the broadcast address and this computer's are taken.
			if most := max(addresses(prefix)-3, 0); most < nodes {
				v.add(p, "%s has addresses for this computer and %d more, and there are %d machines: make it /%d or larger",
					prefix, most, nodes, prefixLength(32, nodes+3))
			}
		case pods.String():
			if most := prefixLength(24, nodes); bits > most {
				v.add(p, "%s is too small: each node gets a /24 of it for its pods, and there are %d nodes: make it /%d or larger", prefix, nodes, most)
			}
		case services.String():
			if bits < 12 || bits > 24 {
				v.add(p, "%s does not suit: Kubernetes takes /12 at the largest, and the lab needs /24 at least: make it a /16", prefix)
			}
		}
	}
}

// network judges one network on its own.
func (v *validator) network(p path, prefix netip.Prefix) bool {
	switch {
	case !prefix.IsValid():
		return false // reported by Decode
	case !prefix.Addr().Is4():
		v.add(p, "%s is IPv6: %s", prefix, noIPv6)
	case !isNetwork(prefix):
		v.add(p, "%s is an address inside a network: write the network, %s", prefix, prefix.Masked())
	case prefix.Bits() < 8 || !prefix.Addr().IsPrivate() || !broadcast(prefix).IsPrivate():
		v.add(p, "%s is not private and would hide real addresses: take a network inside 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16", prefix)
	default:
		return true
	}
	return false
}

const noIPv6 = "the lab is IPv4 only, because VirtualBox's NAT and the addresses that the checks compare are: use an IPv4 one"

func (v *validator) host() {
	p, host := at("network", "host"), v.lab.Network.Host
	if !v.address(p, host) {
		return
	}
	for _, n := range v.lab.Nodes {
		if n.Address == host && v.pos.Has(p...) && !v.pos.Has("nodes") {
			v.add(p, "%s is %s's address: take another from %s", host, n.Name, v.free())
		}
	}
}

// address judges an address on the host-only network by itself.
func (v *validator) address(p path, a netip.Addr) bool {
	cidr := v.lab.Network.CIDR
	switch {
	case !a.IsValid():
		return false // missing, or reported by Decode
	case !a.Is4():
		v.add(p, "%s is IPv6: %s", a, noIPv6)
	case !isNetwork(cidr) || cidr.Bits() > 30:
		return false // nothing to compare with; reported
	case !cidr.Contains(a):
		v.add(p, "%s is outside network.cidr %s: take one from %s", a, cidr, v.free())
	case a == cidr.Addr():
		v.add(p, "%s is the address of the network %s itself: take one from %s", a, cidr, v.free())
	case a == broadcast(cidr):
		v.add(p, "%s is the broadcast address of %s: take one from %s", a, cidr, v.free())
	default:
		return true
	}
	return false
}

// free says which addresses the host-only network has; usually the first is the host's.
func (v *validator) free() string {
	cidr := v.lab.Network.CIDR
	first := nth(cidr, 1)
	if first == v.lab.Network.Host {
		first = nth(cidr, 2)
	}
	return fmt.Sprintf("%s to %s", first, broadcast(cidr).Prev())
}

func (v *validator) image() {
	i := v.lab.Image
	v.source(at("image", "url"), i.URL)
	if name := i.URL[strings.LastIndexAny(i.URL, `/\`)+1:]; forARM.MatchString(name) {
		v.add(at("image", "url"), "is made for ARM processors, by its name: labctl makes x86-64 machines, take the image for amd64")
	}
	switch sha := at("image", "sha256"); {
	case i.URL != Default().Image.URL && !v.pos.Has(sha...):
		v.add(at("image", "url"), "is given without image.sha256: add the checksum that sha256sum prints of that file, or the URL of a list of checksums that names it")
	case checksum.MatchString(strings.ToLower(i.SHA256)) && !checksum.MatchString(i.SHA256):
		v.add(sha, "has capital letters: write %s", strings.ToLower(i.SHA256))
	case strings.ContainsAny(i.SHA256, `./\`): // a list of checksums
		v.source(sha, i.SHA256)
	case !checksum.MatchString(i.SHA256):
		v.add(sha, "is no SHA-256 checksum: it has %d characters; give the 64 digits (0-9, a-f) that sha256sum prints, or the URL or path of a list of checksums", len(i.SHA256))
	}
	if i.DiskGiB < minDiskGiB || i.DiskGiB > maxDiskGiB {
		v.add(at("image", "diskGiB"), "%d does not suit: Ubuntu, k3s and the demo need %d, and VirtualBox makes %d at most", i.DiskGiB, minDiskGiB, maxDiskGiB)
	}
	switch user := at("image", "user"); {
	case i.User == "root":
		v.add(user, "root does not suit: cloud images let nobody log in as root; choose another name, such as ubuntu")
	case !userName.MatchString(i.User):
		v.add(user, "%q is no user name: use lower-case letters, digits, dashes and underscores, a letter first, 32 characters at most", i.User)
	}
}

// source judges where a download comes from: an http(s) URL or a path.
func (v *validator) source(p path, s string) {
	switch u, err := url.Parse(s); {
	case s == "" || strings.ContainsFunc(s, unicode.IsControl):
		v.add(p, "%q is neither a URL nor a path: give one", s)
	case !strings.Contains(s, "://") && !strings.Contains(s, "::"):
		// A path. Whether it exists is seen when it is used: the file may be read on another computer.
	case err == nil && u.User != nil || strings.Contains(authority(s), "@"):
		// Plans, progress, evidence and Pulumi's state name where things come from. Not quoted here for the same reason.
		v.add(p, "holds a user name or a password, and addresses are shown and stored: use a mirror that asks for none, or a path")
	case err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https"):
		v.add(p, "%q is not downloaded from: give an http or https URL, or a path", shown(s))
	}
}

// authority is what stands between a URL's scheme and its path, also where the URL is none that can be parsed.
func authority(s string) string {
	_, rest, _ := strings.Cut(s, "://")
	before, _, _ := strings.Cut(rest, "/")
	return before
}

func (v *validator) k3s() {
	k := v.lab.K3s
	if !k3sRelease.MatchString(k.Version) {
		v.add(at("k3s", "version"), "%q is no k3s release: write the release's tag, such as %s", k.Version, Default().K3s.Version)
	}
	v.source(at("k3s", "source"), k.Source)
	if k.KubeProxyMode != ProxyIPTables && k.KubeProxyMode != ProxyIPVS {
		v.add(at("k3s", "kubeProxyMode"), "%q is unknown: write %s or %s", k.KubeProxyMode, ProxyIPTables, ProxyIPVS)
	}
	v.scheduler()
}

// clinging are the kernel's schedulers that may keep to one real server: for the same address (sh, dh, mh, lblc, lblcr), or as long as it
// has no open connection (sed, nq).
var clinging = []Scheduler{"sh", "dh", "mh", "lblc", "lblcr", "sed", "nq"}

func (v *validator) scheduler() {
	p, s := at("k3s", "ipvsScheduler"), v.lab.K3s.IPVSScheduler
	all := Schedulers()
	choice := fmt.Sprintf("write %s, %s, %s or %s", all[0], all[1], all[2], all[3])
	switch {
	case slices.Contains(clinging, s):
		v.add(p, "%s may send all of a client's connections to the same pod, and no check would notice that the others are dead: %s", s, choice)
	case !slices.Contains(all, s):
		v.add(p, "%q is unknown: %s", s, choice)
	case v.pos.Has(p...) && v.lab.K3s.KubeProxyMode == ProxyIPTables:
		v.add(p, "%s means nothing while k3s.kubeProxyMode is %s: write kubeProxyMode: %s, or leave it out", s, ProxyIPTables, ProxyIPVS)
	}
}

func (v *validator) demo() {
	d := v.lab.Demo
	for _, image := range []struct {
		path path
		name string
	}{{at("demo", "webImage"), d.WebImage}, {at("demo", "helloImage"), d.HelloImage}} {
		if !imageOfPods.MatchString(image.name) {
			v.add(image.path, "%q is no container image: write one such as %s", image.name, Default().Demo.WebImage)
		}
	}
	if d.NodePort < 30000 || d.NodePort > 32767 {
		v.add(at("demo", "nodePort"), "%d is outside Kubernetes's range for NodePorts: take one from 30000 to 32767", d.NodePort)
	}
}

func (v *validator) nodes() {
	nodes := v.lab.Nodes
	if len(nodes) == 0 {
		v.add(at("nodes"), "is empty: list a server at least, or leave the field out for %s", names(Default().Nodes))
		return
	}
	if len(nodes) > maxNodes {
		v.add(at("nodes"), "lists %d machines: %d is the most", len(nodes), maxNodes)
	}
	v.nodeNames()
	v.nodeAddresses()
	v.nodeRoles()
	for i, n := range nodes {
		least := minimumSize(n.Role)
		role := "an agent"
		if n.Role == RoleServer {
			role = "a server"
		}
		if n.CPUs < least.cpus || n.CPUs > maxCPUs {
			v.add(at("nodes", i, "cpus"), "%d does not suit: k3s needs %d on %s, and VirtualBox gives %d at most", n.CPUs, least.cpus, role, maxCPUs)
		}
		if n.MemoryMiB < least.memoryMiB || n.MemoryMiB > maxMemoryMiB {
			v.add(at("nodes", i, "memoryMiB"), "%d does not suit: k3s needs %d on %s, and VirtualBox gives %d at most",
				n.MemoryMiB, least.memoryMiB, role, maxMemoryMiB)
		}
	}
}

func (v *validator) nodeNames() {
	first := map[string]path{}
	for i, n := range v.lab.Nodes {
		p := at("nodes", i, "name")
		switch other, taken := first[n.Name]; {
		case !v.pos.Has(p...) && n.Name == "":
			v.add(at("nodes", i), "has no name: give it one, such as w%d", i)
		case taken:
			v.add(p, "%q is already the name on line %d: every node needs its own", n.Name, v.pos.Line(other...))
		case !dnsLabel.MatchString(n.Name) || len(n.Name) > 63:
			v.add(p, "%q is no host name: use lower-case letters, digits and dashes, no dash at either end, 63 characters at most", n.Name)
		case n.Name == "localhost":
			v.add(p, "localhost means every machine to itself: choose another, such as w%d", i)
		default:
			first[n.Name] = p
		}
	}
}

func (v *validator) nodeAddresses() {
	if !v.pos.Has("nodes") {
		return // they follow network.cidr, which is judged
	}
	network := v.lab.Network
	first := map[netip.Addr]path{}
	for i, n := range v.lab.Nodes {
		p := at("nodes", i, "address")
		if !n.Address.IsValid() && !v.pos.Has(p...) {
			v.add(at("nodes", i), "has no address: give it one of its own in network.cidr")
		}
		if !v.address(p, n.Address) {
			continue
		}
		if other, taken := first[n.Address]; taken {
			v.add(p, "%s is already the address on line %d: every node needs its own", n.Address, v.pos.Line(other...))
			continue
		}
		first[n.Address] = p
		if n.Address == network.Host {
			v.add(p, "%s is this computer's own (network.host): take another from %s", n.Address, v.free())
		} else if n.Address == nth(network.CIDR, dhcpServerNth) {
			v.add(p, "%s is where VirtualBox puts a host-only network's DHCP server: take another from %s", n.Address, v.free())
		}
	}
}

func (v *validator) nodeRoles() {
	var server path
	sure := true // that each role is known
	for i, n := range v.lab.Nodes {
		switch p := at("nodes", i, "role"); {
		case n.Role == "" && !v.pos.Has(p...):
			v.add(at("nodes", i), "has no role: write %s or %s", RoleServer, RoleAgent)
			sure = false
		case !slices.Contains([]Role{RoleServer, RoleAgent}, n.Role):
			v.add(p, "%q is unknown: write %s or %s", n.Role, RoleServer, RoleAgent)
			sure = false
		case n.Role == RoleServer && server != nil:
			v.add(p, "is a second server, beside line %d: a lab has one; make this node an agent", v.pos.Line(server...))
		case n.Role == RoleServer:
			server = p
		}
	}
	if sure && server == nil {
		v.add(at("nodes"), "has no server: give one node the role %s", RoleServer)
	}
}

func names(nodes []Node) string {
	all := make([]string, len(nodes))
	for i, n := range nodes {
		all[i] = n.Name
	}
	return strings.Join(all, ", ")
}
