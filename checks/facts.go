package checks

import (
	"net/netip"
	"strings"
	"time"

	"github.com/labctl/labctl/internal/config"
)

// Source says where a fact comes from, so that a reader can ask the same question again.
type Source struct {
	Where   string   // a node's name, "host" or "virtualbox"
	Command string   // paste-able at Where
	Lines   []string // the lines that decided, shortened to what matters
}

// The commands by which people see the cluster's nodes and services; their tables leave out some of what an object says.
const (
	CommandNodes    = "kubectl get nodes -o wide"
	CommandServices = "kubectl get svc -A -o wide"
)

// inFull returns the source with a command that shows all that the objects say, where its own is one of these tables.
func (s Source) inFull() Source {
	if s.Command == CommandNodes || s.Command == CommandServices {
		s.Command = strings.TrimSuffix(s.Command, "wide") + "yaml"
	}
	return s
}

// showing returns the source with these lines as the ones that decided.
func (s Source) showing(lines ...string) Source {
	s.Lines = lines
	return s
}

// Fact is a value together with whether it is known. The zero Fact is not known.
type Fact[T any] struct {
	Value   T
	Known   bool
	Why     string // why it is not known
	Partial string // why only a part of it is, where it was read off a table; checks that need more are unknown
	From    Source
}

// Known returns a known fact.
func Known[T any](value T, from Source) Fact[T] {
	return Fact[T]{Value: value, Known: true, From: from}
}

// Missing returns a fact that could not be had, and why.
func Missing[T any](why string, from Source) Fact[T] {
	return Fact[T]{Why: why, From: from}
}

func (f Fact[T]) why() string {
	switch {
	case f.Known && f.Partial != "":
		return f.Partial
	case f.Why == "":
		return "not collected"
	}
	return f.Why
}

// whole says whether the fact is known with all that belongs to it.
func (f Fact[T]) whole() bool { return f.Known && f.Partial == "" }

// Facts is everything that checks may look at. Its zero value knows nothing.
type Facts struct {
	Lab       *config.Lab // what is expected
	Simulated bool        // the lab is a simulated one
	Nodes     map[string]NodeFacts
	Machines  map[string]Fact[[]NIC] // by node: what VirtualBox says about the NICs
	Cluster   Cluster
	Probes    []Probe
	Lookups   []Lookup
	Access    []Access
	Kept      Fact[KeptConnection]
	Flows     Fact[[]Flow]    // what conntrack knows of connections to KeptConnection's target, where it started
	Reapplied Fact[[]Applied] // what applying labctl's manifests again would do
	// HostRoutes are the routes of the machine that runs labctl. They explain verdicts, and tell where one ClusterIP does not stand for all.
	HostRoutes Fact[[]Route]
}

// NodeFacts is what a node says about itself.
type NodeFacts struct {
	Problem   string // why the node could not be asked at all, in few words; empty if it answered
	Off       bool   // the node could not be asked because its machine does not run
	Detail    string // what came of the attempt to ask it
	Hostname  Fact[string]
	Links     Fact[[]Link]
	Routes    Fact[[]Route]
	VXLAN     Fact[VXLAN] // flannel.1
	MachineID Fact[string]
	Subnet    Fact[Subnet]
	Clock     Fact[Clock]
	NAT       Fact[[]NATRule]       // iptables' nat table, in its order
	IPVS      Fact[[]VirtualServer] // none where the kernel has no IPVS
}

// Clock is how far a node's clock is ahead of the clock of the machine that asked: at least Low and at most High.
type Clock struct {
	Low, High time.Duration
}

// NATRule is one rule of iptables' nat table, as far as kube-proxy's rules go.
type NATRule struct {
	Chain       string
	Jump        string         // the target: a chain, or DNAT, MASQUERADE, ...
	Protocol    string         // tcp or udp; empty: any
	To          netip.Prefix   // the zero Prefix: any destination
	Port        int            // the destination port; 0: any
	Probability float64        // 1 where the rule takes all
	DNAT        netip.AddrPort // the new destination; the zero AddrPort if the rule has none that could be read
	Sticky      bool           // it takes only clients that it has seen before (session affinity)
	Local       bool           // it takes only what is for an address of the node's own; Narrow is then set, too
	Narrow      bool           // it has further conditions (a NIC, a source, ...), and takes less than the other fields say
	Line        string
}

// VirtualServer is one of IPVS's.
type VirtualServer struct {
	Protocol  string // tcp, udp
	Addr      netip.AddrPort
	Scheduler string
	Real      []RealServer
}

// RealServer is where a virtual server sends to. Weight 0 takes no new connections.
type RealServer struct {
	Addr   netip.AddrPort
	Weight int
}

// MAC is a hardware address, lower case with colons. The empty MAC is none.
type MAC string

// ParseMAC reads a MAC in the forms 08:00:27:00:00:10, 08-00-27-00-00-10 and 080027000010. It returns false for anything else.
func ParseMAC(s string) (MAC, bool) {
	digits := strings.ToLower(strings.NewReplacer(":", "", "-", "").Replace(s))
	if len(digits) != 12 || strings.Trim(digits, "0123456789abcdef") != "" {
		return "", false
	}
	var b strings.Builder
	for i := 0; i < 12; i += 2 {
		if i > 0 {
			b.WriteByte(':')
		}
		b.WriteString(digits[i : i+2])
	}
	return MAC(b.String()), true
}

// NIC is a machine's network card as the hypervisor sees it.
type NIC struct {
	Slot    int    // 1 is the first
	Kind    string // nat, hostonly, hostonlynetwork, ... as VBoxManage says it
	Network string // the host-only network's name
	MAC     MAC
	Cable   bool // plugged in
}

// Link is a network device of a node and its addresses.
type Link struct {
	Name      string
	MAC       MAC
	MTU       int // bytes; 0: not told
	Addresses []netip.Prefix
}

func (l Link) has(p netip.Prefix) bool {
	for _, a := range l.Addresses {
		if a == p {
			return true
		}
	}
	return false
}

// String is the line of ip -br addr for this link, IPv4 only.
func (l Link) String() string {
	s := l.Name
	for _, a := range l.Addresses {
		if a.Addr().Is4() {
			s += " " + a.String()
		}
	}
	return s
}

// Route is one entry of a node's main routing table. The default route has the destination 0.0.0.0/0.
type Route struct {
	To     netip.Prefix
	Via    netip.Addr // the zero Addr: directly attached
	Dev    string
	Src    netip.Addr
	Onlink bool
}

// String is the line of ip route for this route, without what no check looks at.
func (r Route) String() string {
	s := r.To.String()
	if r.To.Bits() == 0 {
		s = "default"
	}
	if r.Via.IsValid() {
		s += " via " + r.Via.String()
	}
	if r.Dev != "" {
		s += " dev " + r.Dev
	}
	if r.Src.IsValid() {
		s += " src " + r.Src.String()
	}
	if r.Onlink {
		s += " onlink"
	}
	return s
}

// VXLAN is flannel's VXLAN device. Kind is empty or something else if it is no VXLAN device.
type VXLAN struct {
	Kind   string
	MAC    MAC
	Local  netip.Addr // the outer source address
	Device string     // the NIC it sends through
}

// Subnet is flannel's own note of what it serves on a node (subnet.env).
type Subnet struct {
	Network netip.Prefix // the pod network
	Gateway netip.Prefix // the node's part of it, as the gateway's address
}

// Cluster is what the API server says. Each list is a fact of its own: it may have been asked for separately.
type Cluster struct {
	Nodes       Fact[[]Node]
	Services    Fact[[]Service]
	Pods        Fact[[]Pod]
	Slices      Fact[[]EndpointSlice]
	Endpoints   Fact[[]Endpoints] // the zero Fact where nobody asked for them, as labctl once did not
	Deployments Fact[[]Workload]
	DaemonSets  Fact[[]Workload]
}

// Node is a node object.
type Node struct {
	Name      string
	Ready     bool
	Reason    string // the Ready condition's own words
	Internal  []netip.Addr
	External  []netip.Addr
	PodCIDRs  []netip.Prefix
	PublicIP  netip.Addr // flannel's annotation; the zero Addr if there is none
	VtepMAC   MAC        // flannel's annotation; empty if there is none
	MachineID string
}

// Service is a service object.
type Service struct {
	Namespace, Name, Type string
	ClusterIP             netip.Addr // the zero Addr for a headless one
	Ports                 []ServicePort
	Selector              map[string]string
	External              []netip.Addr // EXTERNAL-IP, of a LoadBalancer
	ExternalPolicy        string       // externalTrafficPolicy: Cluster or Local; empty for a ClusterIP service
	Sticky                bool         // sessionAffinity: ClientIP
}

// ServicePort is one port of a service.
type ServicePort struct {
	Name           string
	Protocol       string // TCP, UDP; empty: not told
	Port, NodePort int    // NodePort is 0 if there is none
	Target         string // a number or a port's name
}

// Pod is a pod object.
type Pod struct {
	Namespace, Name, Node string
	IP                    netip.Addr // the zero Addr until it has one
	HostNetwork           bool
	Running, Ready        bool
	Deleting              bool
	Labels                map[string]string
	Ports                 []int // that its containers declare
}

// live says whether the pod is one that a service should send to.
func (p Pod) live() bool { return p.Ready && p.Running && !p.Deleting && p.IP.IsValid() }

// matches says whether the pod is one of a service's. A service without selector has no pods.
func (p Pod) matches(s Service) bool {
	if p.Namespace != s.Namespace || len(s.Selector) == 0 {
		return false
	}
	for key, value := range s.Selector {
		if p.Labels[key] != value {
			return false
		}
	}
	return true
}

// EndpointSlice is a part of a service's endpoints.
type EndpointSlice struct {
	Namespace, Service string
	Ports              []int
	Endpoints          []Endpoint
}

// Endpoints is the older API's object with a service's endpoints, which has the service's name.
type Endpoints struct {
	Namespace, Name string
	Ready           []netip.Addr
}

// Endpoint is one address behind a service.
type Endpoint struct {
	Addr  netip.Addr
	Ready bool
}

// Workload is a Deployment or a DaemonSet.
type Workload struct {
	Namespace, Name             string
	Desired, Updated, Available int
	Stale                       bool // the numbers are of what it was before its last change
}

// Outcome is what became of a probe. The zero Outcome says that nothing can be concluded.
type Outcome int

// The outcomes of a probe.
const (
	Inconclusive Outcome = iota // the probe itself did not work
	Answered                    // something answered in HTTP
	Refused                     // no connection: refused, or no route
	TimedOut
	Failed   // connected, and then no proper answer
	NotAsked // the pod that was to ask is there, and the API server could not make it: Why is what it said
)

func (o Outcome) String() string {
	switch o {
	case Answered:
		return "answered"
	case Refused:
		return "not connected (refused or no route)"
	case TimedOut:
		return "timed out"
	case Failed:
		return "failed"
	case NotAsked:
		return "could not be asked for"
	default:
		return "inconclusive"
	}
}

// Probe is one HTTP request, made from somewhere.
type Probe struct {
	Where   string // the node whose network it started in, or "host"
	Pod     string // NAMESPACE/NAME if it was made in a pod
	Target  netip.AddrPort
	Name    string // the host name that was asked instead of an address; then Target is the zero AddrPort
	Asked   string // the host name that the request carried, where it was not Target's address
	Nonce   string // what the request carried
	Outcome Outcome
	Status  int           // of HTTP; 0 if the probe does not tell
	Took    time.Duration // 0 if the probe does not tell
	Body    string
	By      string // the pod that answered, where its answer says so
	Why     string // what went wrong, in the probe's own words
	From    Source
}

// OK says whether the probe got a good answer.
func (p Probe) OK() bool {
	return p.Outcome == Answered && (p.Status == 0 || p.Status >= 200 && p.Status < 400)
}

// Lookup is a name that was looked up in a pod.
type Lookup struct {
	Where     string // the node that the pod runs on
	Pod       string // NAMESPACE/NAME
	Name      string
	Addresses []netip.Addr
	Known     bool   // DNS answered, or did not answer the pod; otherwise nothing can be concluded
	Refused   bool   // the pod is there, and the API server could not make it ask: Why is what it said
	Why       string // what went wrong
	From      Source
}

// Access is a kubectl logs or exec, which goes from the API server to the kubelet of the pod's node.
type Access struct {
	Node, Pod string
	Verb      string // logs, exec
	OK        bool
	Known     bool // it was tried
	Why       string
	From      Source
}

// The verbs of Access.
const (
	VerbLogs = "logs"
	VerbExec = "exec"
)

// KeptConnection is several requests over one connection to the NodePort demo's ClusterIP.
type KeptConnection struct {
	Target    netip.AddrPort
	LocalPort int      // 0 if there was none
	Connects  int      // how many connections it took
	By        []string // the pods that answered, in order
	Failure   string   // how it ended, if not well
}

// Flow is a connection that conntrack knows: what was sent, and what comes back.
type Flow struct {
	Src, Dst, ReplySrc, ReplyDst netip.AddrPort
	Line                         string
}

// Applied is what kubectl apply says of one object: unchanged, configured, created.
type Applied struct {
	Object, Outcome string
}
