package config

import "net/netip"

// Role says what k3s runs as on a node.
type Role string

// The roles of a node.
const (
	RoleServer Role = "server"
	RoleAgent  Role = "agent"
)

// ProxyMode is how kube-proxy implements Services.
type ProxyMode string

// The modes of kube-proxy that labctl knows.
const (
	ProxyIPTables ProxyMode = "iptables"
	ProxyIPVS     ProxyMode = "ipvs"
)

// Scheduler is how IPVS chooses the real server of a new connection, by the kernel's own name for it.
type Scheduler string

// The schedulers that a lab may have: those that spread a client's connections over all real servers. The kernel's others (see
// clinging) may send all of them to the same one, and a pod behind it that never answers would be met by no check.
// Source: the kernel's net/netfilter/ipvs/ip_vs_*.c; kube-proxy takes any that the kernel has.
const (
	RoundRobin         Scheduler = "rr" // kube-proxy's default
	WeightedRoundRobin Scheduler = "wrr"
	LeastConnections   Scheduler = "lc"
	WeightedLeast      Scheduler = "wlc"
)

// Schedulers lists them, the default first.
func Schedulers() []Scheduler {
	return []Scheduler{RoundRobin, WeightedRoundRobin, LeastConnections, WeightedLeast}
}

// IsZero leaves the default out when a lab is written: one that was made before there was a choice is still written as it was.
func (s Scheduler) IsZero() bool { return s == "" || s == RoundRobin }

// Lab is a whole lab as labctl.yaml describes it, with all defaults filled in.
type Lab struct {
	Name    string  `yaml:"name"`
	Network Network `yaml:"network"`
	Image   Image   `yaml:"image"`
	K3s     K3s     `yaml:"k3s"`
	// Registries and Proxy say how the nodes get container images. They may hold passwords: see Redacted.
	Registries Registries `yaml:"registries,omitempty"`
	Proxy      Proxy      `yaml:"proxy,omitempty"`
	Demo       Demo       `yaml:"demo"`
	Nodes      []Node     `yaml:"nodes"`
}

// Network is the host-only network, which is the cluster's network.
type Network struct {
	// CIDR holds every node's address and the host's, for example 192.168.56.0/24.
	CIDR netip.Prefix `yaml:"cidr"`
	// Host is the host's own address in it; by default the first one.
	Host netip.Addr `yaml:"host"`
}

// Image is the disk image that every machine's disk is linked to.
type Image struct {
	// URL is an http(s) URL, or a path on this machine.
	URL string `yaml:"url"`
	// SHA256 is the checksum of the file at URL: 64 lower-case hexadecimal digits, or the URL or path of a list of checksums in
	// which the file stands by its name.
	SHA256 string `yaml:"sha256"`
	// DiskGiB is the size of each machine's disk, in GiB.
	DiskGiB int `yaml:"diskGiB"`
	// User is the login that cloud-init creates and labctl uses.
	User string `yaml:"user"`
}

// K3s says which k3s is installed, and how.
type K3s struct {
	// Version is a release's tag, for example v1.34.3+k3s1.
	Version string `yaml:"version"`
	// Source is where releases come from: a URL below which VERSION/FILE is found, or a folder that holds VERSION/FILE.
	Source string `yaml:"source"`
	// PodCIDR and ServiceCIDR are the cluster's networks.
	PodCIDR     netip.Prefix `yaml:"podCIDR"`
	ServiceCIDR netip.Prefix `yaml:"serviceCIDR"`
	// KubeProxyMode is iptables or ipvs.
	KubeProxyMode ProxyMode `yaml:"kubeProxyMode"`
	// IPVSScheduler is the scheduler of IPVS mode; in iptables mode it is the default and means nothing.
	IPVSScheduler Scheduler `yaml:"ipvsScheduler,omitempty"`
	// Airgap puts the images that k3s itself needs on every node, from the release's own archive, so that nodes pull none of them.
	Airgap bool `yaml:"airgap"`
	// Images are more archives of container images to put on every node, for example the demo's.
	Images []ImageArchive `yaml:"images,omitempty"`
}

// ImageArchive is a file as `docker save` or `ctr image export` write it. In labctl.yaml a path alone will do.
type ImageArchive struct {
	URL    string `yaml:"url"`              // an http(s) URL, or a path on this machine
	SHA256 string `yaml:"sha256,omitempty"` // of the file; a path may do without
}

// SetText is the short form in labctl.yaml.
func (a *ImageArchive) SetText(path string) { a.URL = path }

// Demo names the images of the demo's pods.
type Demo struct {
	WebImage   string `yaml:"webImage"`   // web and the probes
	HelloImage string `yaml:"helloImage"` // the NodePort demo; it answers with its host name and echoes the request
	NodePort   int    `yaml:"nodePort"`   // 30000 to 32767
}

// Node is one machine and what it does in the cluster.
type Node struct {
	Name      string     `yaml:"name"`
	Role      Role       `yaml:"role"`
	Address   netip.Addr `yaml:"address"` // on the host-only network
	CPUs      int        `yaml:"cpus"`
	MemoryMiB int        `yaml:"memoryMiB"`
}

// Server returns the node that runs the control plane. Parse makes sure that there is exactly one.
func (l *Lab) Server() Node {
	for _, n := range l.Nodes {
		if n.Role == RoleServer {
			return n
		}
	}
	return Node{}
}

// Agents returns the other nodes, in the order of the file.
func (l *Lab) Agents() []Node {
	var agents []Node
	for _, n := range l.Nodes {
		if n.Role == RoleAgent {
			agents = append(agents, n)
		}
	}
	return agents
}

// Node returns the node of that name.
func (l *Lab) Node(name string) (Node, bool) {
	for _, n := range l.Nodes {
		if n.Name == name {
			return n, true
		}
	}
	return Node{}, false
}

// Default returns the lab of a newcomer: cp1, w1 and w2 on 192.168.56.0/24, Ubuntu 22.04, k3s v1.34.3+k3s1.
func Default() *Lab {
	prefix := netip.MustParsePrefix
	addr := netip.MustParseAddr
	return &Lab{
		Name:    "lab",
		Network: Network{CIDR: prefix("192.168.56.0/24"), Host: addr("192.168.56.1")},
		Image: Image{
			// The release and its checksum as in Lima's templates/_images/ubuntu-22.04.yaml (commit 1314e12f).
			URL:     "https://cloud-images.ubuntu.com/releases/jammy/release-20250429/ubuntu-22.04-server-cloudimg-amd64.img",
			SHA256:  "952bc5bb4349897a409559c26fdec006a2744b103e005af6df8693cfab515bc2",
			DiskGiB: 20,
			User:    "ubuntu",
		},
		K3s: K3s{
			Version:       "v1.34.3+k3s1",
			Source:        "https://github.com/k3s-io/k3s/releases/download",
			PodCIDR:       prefix("10.42.0.0/16"),
			ServiceCIDR:   prefix("10.43.0.0/16"),
			KubeProxyMode: ProxyIPTables,
			IPVSScheduler: RoundRobin,
		},
		Demo: Demo{WebImage: "nginx:1.27-alpine", HelloImage: "traefik/whoami:v1.11", NodePort: 31885},
		Nodes: []Node{
			{Name: "cp1", Role: RoleServer, Address: addr("192.168.56.10"), CPUs: 2, MemoryMiB: 2048},
			{Name: "w1", Role: RoleAgent, Address: addr("192.168.56.11"), CPUs: 1, MemoryMiB: 1536},
			{Name: "w2", Role: RoleAgent, Address: addr("192.168.56.12"), CPUs: 1, MemoryMiB: 1536},
		},
	}
}
