package checks

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/labctl/labctl/internal/config"
)

// Devices that flannel and the bridge plugin make on every node.
const (
	vxlanDevice  = "flannel.1"
	bridgeDevice = "cni0"
)

func podNetworkChecks() []Check {
	return []Check{
		{ID: "pod.machine-id", Title: "no two nodes have the same machine-id", Area: AreaPods, Eval: evalMachineID},
		{ID: "pod.cidr", Title: "every node has one pod CIDR of its own inside the pod network", Area: AreaPods, Eval: evalPodCIDR},
		{ID: "pod.flannel-subnet", Title: "flannel serves the pod CIDR of its node", Area: AreaPods, Eval: evalFlannelSubnet},
		{ID: "pod.cni0", Title: "cni0 holds the gateway of its node's pod CIDR", Area: AreaPods, Eval: evalCNI0},
		{ID: "pod.vxlan", Title: "flannel.1 is a VXLAN device over the host-only NIC", Area: AreaPods, Eval: evalVXLAN},
		{ID: "pod.mtu", Title: "flannel.1 leaves room for VXLAN's own headers", Area: AreaPods, Eval: evalMTU},
		{ID: "pod.vtep-mac", Title: "every node's flannel.1 has the MAC that its node announces, and no two are the same", Area: AreaPods, Eval: evalVtepMAC},
		{ID: "pod.routes", Title: "every node reaches every other node's pods by flannel.1", Area: AreaPods, Eval: evalPodRoutes},
		{ID: "pod.ips", Title: "every pod's IP is in its node's pod CIDR", Area: AreaPods, Eval: evalPodIPs},
		{ID: "pod.reach", Title: "a pod of every node reaches pods of other nodes: all of them, or the next one and the server's if there are more than six nodes", Area: AreaPods, Eval: evalPodReach},
		{ID: "pod.host-network", Title: "a pod with hostNetwork has its node's address, and answers the host there and nowhere else", Area: AreaPods, Eval: evalHostNetwork},
	}
}

const hintMachineID = "give every machine a machine-id of its own: labctl destroy && labctl up makes new seeds; by hand, remove /etc/machine-id and /var/lib/dbus/machine-id, run systemd-machine-id-setup and reboot"

func evalMachineID(f Facts) Result {
	var j judgements
	owner := map[string]string{}
	for _, n := range f.Lab.Nodes {
		id, ok := f.machineID(n.Name)
		if !ok {
			j.unknown(n.Name, id.why(), id.From)
			continue
		}
		expected := n.Name + " has a machine-id of its own"
		actual := n.Name + " " + id.Value
		if other, taken := owner[id.Value]; taken {
			j.judge(false, expected, actual+", which "+other+" has too", id.From.showing(actual))
			continue
		}
		owner[id.Value] = n.Name
		j.judge(true, expected, actual, id.From.showing(actual))
	}
	return j.result(hintMachineID)
}

// machineID is what the node itself says, or else what its kubelet told the cluster.
func (f Facts) machineID(node string) (Fact[string], bool) {
	own := f.Nodes[node].MachineID
	if own.Known {
		return own, true
	}
	for _, c := range f.Cluster.Nodes.Value {
		if c.Name == node && c.MachineID != "" {
			return Known(c.MachineID, f.Cluster.Nodes.From.inFull()), true
		}
	}
	return own, false
}

// podCIDR returns the node's one IPv4 pod CIDR; false if it has none or several.
func (c Node) podCIDR() (netip.Prefix, bool) {
	var found []netip.Prefix
	for _, p := range c.PodCIDRs {
		if p.Addr().Is4() {
			found = append(found, p.Masked())
		}
	}
	if len(found) != 1 {
		return netip.Prefix{}, false
	}
	return found[0], true
}

func evalPodCIDR(f Facts) Result {
	var j judgements
	network := f.Lab.K3s.PodCIDR.Masked()
	eachWholeNode(f, &j, func(n config.Node, c Node) {
		from := f.Cluster.Nodes.From.inFull().showing(fmt.Sprintf("%s podCIDRs %s", n.Name, prefixes(c.PodCIDRs)))
		expected := fmt.Sprintf("%s one pod CIDR of its own inside %s", n.Name, network)
		cidr, ok := c.podCIDR()
		if !ok {
			j.judge(false, expected, n.Name+" "+prefixes(c.PodCIDRs), from)
			return
		}
		inside := network.Contains(cidr.Addr()) && cidr.Bits() > network.Bits()
		actual := fmt.Sprintf("%s %s", n.Name, cidr)
		if !inside {
			actual += " is not inside"
		}
		good := inside
		for _, other := range f.Cluster.Nodes.Value {
			if theirs, ok := other.podCIDR(); ok && other.Name != c.Name && theirs.Overlaps(cidr) {
				good = false
				actual += fmt.Sprintf(" overlaps %s of %s", theirs, other.Name)
			}
		}
		j.judge(good, expected, actual, from)
	})
	return j.result("a node keeps the pod CIDR it joined with: kubectl delete node NODE and restart k3s on it gives it a new one")
}

// eachNodeWithCIDR calls judge with every node of the lab and its pod CIDR.
func eachNodeWithCIDR(f Facts, j *judgements, judge func(config.Node, netip.Prefix)) {
	eachWholeNode(f, j, func(n config.Node, c Node) {
		cidr, ok := c.podCIDR()
		if !ok {
			j.judge(false, n.Name+" one pod CIDR", n.Name+" "+prefixes(c.PodCIDRs), f.Cluster.Nodes.From.inFull())
			return
		}
		judge(n, cidr)
	})
}

// gateway is the first address of a pod CIDR, which the node's bridge holds.
func gateway(cidr netip.Prefix) netip.Prefix {
	return netip.PrefixFrom(cidr.Addr().Next(), cidr.Bits())
}

func evalFlannelSubnet(f Facts) Result {
	var j judgements
	eachNodeWithCIDR(f, &j, func(n config.Node, cidr netip.Prefix) {
		subnet := f.Nodes[n.Name].Subnet
		if !subnet.Known {
			j.unknown(n.Name, subnet.why(), subnet.From)
			return
		}
		expected := fmt.Sprintf("%s %s of %s", n.Name, gateway(cidr), f.Lab.K3s.PodCIDR.Masked())
		actual := fmt.Sprintf("%s %s of %s", n.Name, subnet.Value.Gateway, subnet.Value.Network)
		good := subnet.Value.Gateway == gateway(cidr) && subnet.Value.Network == f.Lab.K3s.PodCIDR.Masked()
		j.judge(good, expected, actual, subnet.From.showing(
			"FLANNEL_NETWORK="+subnet.Value.Network.String(), "FLANNEL_SUBNET="+subnet.Value.Gateway.String()))
	})
	return j.result("restart k3s on the node, which writes /run/flannel/subnet.env anew: labctl logs NODE")
}

func evalCNI0(f Facts) Result {
	var j judgements
	eachNodeWithCIDR(f, &j, func(n config.Node, cidr netip.Prefix) {
		links := f.Nodes[n.Name].Links
		if !links.Known {
			j.unknown(n.Name, links.why(), links.From)
			return
		}
		expected := fmt.Sprintf("%s cni0 %s", n.Name, gateway(cidr))
		i := slices.IndexFunc(links.Value, func(l Link) bool { return l.Name == bridgeDevice })
		if i < 0 {
			j.judge(false, expected, n.Name+" has no cni0", links.From.showing(cards(links.Value)...))
			return
		}
		cni0 := links.Value[i]
		j.judge(cni0.has(gateway(cidr)), expected, n.Name+" "+cni0.String(), links.From.showing(cni0.String()))
	})
	return j.result("cni0 comes with a node's first pod, and keeps an old address: ip link delete cni0 and restart k3s on the node")
}

// vxlan returns the node's flannel.1, or records why there is nothing to judge: an absent device is a bad finding, not a missing fact.
func (f Facts) vxlan(n config.Node, j *judgements) (VXLAN, bool) {
	facts := f.Nodes[n.Name]
	exists := slices.ContainsFunc(facts.Links.Value, func(l Link) bool { return l.Name == vxlanDevice })
	switch {
	case facts.VXLAN.Known:
		return facts.VXLAN.Value, true
	case facts.Links.Known && !exists:
		j.judge(false, n.Name+" flannel.1", n.Name+" has no flannel.1", facts.Links.From.showing(cards(facts.Links.Value)...))
	default:
		j.unknown(n.Name, facts.VXLAN.why(), facts.VXLAN.From)
	}
	return VXLAN{}, false
}

func evalVXLAN(f Facts) Result {
	var j judgements
	for _, n := range f.Lab.Nodes {
		v, ok := f.vxlan(n, &j)
		if !ok {
			continue
		}
		links := f.Nodes[n.Name].Links
		if !links.Known {
			j.unknown(n.Name, links.why(), links.From)
			continue
		}
		from := f.Nodes[n.Name].VXLAN.From
		nic, found := f.hostOnlyNIC(n)
		expected := fmt.Sprintf("%s vxlan local %s dev %s", n.Name, n.Address, nic.Name)
		if !found {
			expected = fmt.Sprintf("%s vxlan local %s over its host-only NIC", n.Name, n.Address)
		}
		actual := strings.TrimSpace(fmt.Sprintf("%s %s local %s dev %s", n.Name, v.Kind, address(v.Local), v.Device))
		good := found && v.Kind == "vxlan" && v.Local == n.Address && v.Device == nic.Name
		j.judge(good, expected, actual, from.showing(strings.TrimPrefix(actual, n.Name+" ")))
	}
	return j.result(hintNodeIP)
}

func evalVtepMAC(f Facts) Result {
	var j judgements
	owner := map[MAC]string{}
	eachWholeNode(f, &j, func(n config.Node, c Node) {
		v, ok := f.vxlan(n, &j)
		if !ok {
			return
		}
		expected := fmt.Sprintf("%s flannel.1 %s, as announced", n.Name, macOrNone(c.VtepMAC))
		actual := fmt.Sprintf("%s flannel.1 %s", n.Name, macOrNone(v.MAC))
		good := v.MAC != "" && v.MAC == c.VtepMAC
		if other, taken := owner[v.MAC]; taken {
			good = false
			actual += ", which " + other + " has too"
		}
		owner[v.MAC] = n.Name
		j.judge(good, expected, actual,
			f.Cluster.Nodes.From.inFull().showing(fmt.Sprintf("%s flannel.alpha.coreos.com/backend-data VtepMAC: %s", n.Name, macOrNone(c.VtepMAC))),
			f.Nodes[n.Name].VXLAN.From.showing("link/ether "+macOrNone(v.MAC)))
	})
	return j.result("flannel.1's MAC follows the machine-id: " + hintMachineID)
}

func macOrNone(m MAC) string {
	if m == "" {
		return "<none>"
	}
	return string(m)
}

func evalPodRoutes(f Facts) Result {
	var j judgements
	cidrs := map[string]netip.Prefix{}
	eachNodeWithCIDR(f, &j, func(n config.Node, cidr netip.Prefix) { cidrs[n.Name] = cidr })
	for _, n := range f.Lab.Nodes {
		routes := f.Nodes[n.Name].Routes
		if !routes.Known {
			j.unknown(n.Name, routes.why(), routes.From)
			continue
		}
		for _, other := range f.Lab.Nodes {
			cidr, ok := cidrs[other.Name]
			if !ok || other.Name == n.Name {
				continue
			}
			want := Route{To: cidr, Via: cidr.Addr(), Dev: vxlanDevice, Onlink: true}
			expected := fmt.Sprintf("%s %s", n.Name, want)
			var to []Route
			whole := false
			for _, r := range routes.Value {
				if r.To.Bits() >= cidr.Bits() && cidr.Overlaps(r.To) {
					to = append(to, r)
				}
				whole = whole || r.To == cidr
			}
			if !whole {
				j.judge(false, expected, fmt.Sprintf("%s has no route to %s of %s", n.Name, cidr, other.Name), routes.From)
			}
			for _, r := range to { // a route to a part of it goes before the one to the whole
				good := (r.To != cidr || r.Via == want.Via && r.Onlink) && r.Dev == want.Dev
				j.judge(good, expected, fmt.Sprintf("%s %s", n.Name, r), routes.From.showing(r.String()))
			}
		}
	}
	if len(f.Lab.Nodes) == 1 && len(j.bad.expected) == 0 && len(j.missing) == 0 {
		return Result{Status: NotApplicable, Actual: "the lab has one node"}
	}
	return j.result("restart k3s on the node, flannel then sets its routes anew: labctl ssh NODE -- sudo systemctl restart k3s (k3s-agent on a worker)")
}

func evalPodIPs(f Facts) Result {
	var j judgements
	pods := f.Cluster.Pods
	if !pods.Known {
		j.unknown("", pods.why(), pods.From)
		return j.result("")
	}
	eachNodeWithCIDR(f, &j, func(n config.Node, cidr netip.Prefix) {
		for _, p := range pods.Value {
			if p.Node != n.Name || p.HostNetwork || !p.Running || p.Deleting || !p.IP.Is4() {
				continue
			}
			actual := fmt.Sprintf("%s/%s %s on %s", p.Namespace, p.Name, p.IP, n.Name)
			j.judge(cidr.Contains(p.IP), fmt.Sprintf("pods of %s in %s", n.Name, cidr), actual, pods.From.showing(actual))
		}
	})
	return j.result("such a pod was made before its node got this pod CIDR: delete it, and its owner makes a new one")
}

func prefixes(all []netip.Prefix) string {
	if len(all) == 0 {
		return "<none>"
	}
	var out []string
	for _, p := range all {
		out = append(out, p.String())
	}
	return strings.Join(out, ",")
}

// vxlanOverhead is what VXLAN over IPv4 puts around a frame: Ethernet 14, IP 20, UDP 8, VXLAN 8 bytes.
const vxlanOverhead = 50

func evalMTU(f Facts) Result {
	var j judgements
	nicMTU := 0
	for _, n := range f.Lab.Nodes {
		links := f.Nodes[n.Name].Links
		if !links.Known {
			j.unknown(n.Name, links.why(), links.From)
			continue
		}
		i := slices.IndexFunc(links.Value, func(l Link) bool { return l.Name == vxlanDevice })
		if i < 0 {
			j.judge(false, n.Name+" flannel.1", n.Name+" has no flannel.1", links.From.showing(cards(links.Value)...))
			continue
		}
		overlay := links.Value[i]
		nic, ok := f.hostOnlyNIC(n)
		if !ok {
			j.judge(false, n.Name+" a host-only NIC under flannel.1", n.Name+" has no host-only NIC with its address", links.From.showing(cards(links.Value)...))
			continue
		}
		if nic.MTU == 0 || overlay.MTU == 0 {
			j.unknown(n.Name, "the devices' MTUs are not told", links.From)
			continue
		}
		if nicMTU == 0 {
			nicMTU = nic.MTU
		}
		line := fmt.Sprintf("%s mtu %d, flannel.1 mtu %d", nic.Name, nic.MTU, overlay.MTU)
		expected := fmt.Sprintf("%s %s mtu %d, flannel.1 mtu %d", n.Name, nic.Name, nicMTU, nicMTU-vxlanOverhead)
		j.judge(nic.MTU == nicMTU && overlay.MTU == nic.MTU-vxlanOverhead, expected, n.Name+" "+line, links.From.showing(line))
	}
	return j.result("too large a packet is lost between pods of different nodes, while small ones pass: ip link set dev flannel.1 mtu 1450; restarting k3s on the node does it too")
}

// manyNodes is how many nodes a lab may have for every pair of them to be probed.
const manyNodes = 6

// Reached returns the nodes whose pods the probe pod of a node is to ask: all other nodes; in a lab of more than six, where
// all pairs are too many, the next one in the lab's order and the server, so that every node both sends and receives.
func Reached(lab *config.Lab, node string) []config.Node {
	var others []config.Node
	if len(lab.Nodes) <= manyNodes {
		for _, n := range lab.Nodes {
			if n.Name != node {
				others = append(others, n)
			}
		}
		return others
	}
	for i, n := range lab.Nodes {
		if n.Name != node {
			continue
		}
		next, server := lab.Nodes[(i+1)%len(lab.Nodes)], lab.Server()
		others = append(others, next)
		if server.Name != node && server.Name != next.Name {
			others = append(others, server)
		}
	}
	return others
}

// ProbePod returns the pod of labctl's DaemonSet on a node: a ready one, or else one that runs at least.
func (c Cluster) ProbePod(node string) (Pod, bool) {
	var found Pod
	for _, p := range c.Pods.Value {
		if !p.isProbe() || p.Node != node || !p.Running || p.Deleting {
			continue
		}
		if p.Ready {
			return p, true
		}
		found = p
	}
	return found, found.Name != ""
}

// isProbe says whether a pod is one of labctl's DaemonSet.
func (p Pod) isProbe() bool {
	return p.Namespace == ProbeNamespace && strings.HasPrefix(p.Name, ProbeDaemonSet+"-")
}

// probePort is where the probe pods' nginx listens.
const probePort = 80

// ProbeTarget is where a probe pod is asked by others.
func ProbeTarget(p Pod) (netip.AddrPort, bool) {
	return netip.AddrPortFrom(p.IP, probePort), p.IP.IsValid()
}

func evalPodReach(f Facts) Result {
	var j judgements
	if len(f.Lab.Nodes) == 1 {
		return Result{Status: NotApplicable, Actual: "the lab has one node"}
	}
	pods := f.Cluster.Pods
	if !pods.Known {
		j.unknown("", pods.why(), pods.From)
		return j.result("")
	}
	for _, n := range f.Lab.Nodes {
		for _, other := range Reached(f.Lab, n.Name) {
			subject := fmt.Sprintf("%s -> %s", n.Name, other.Name)
			target, ok := f.Cluster.ProbePod(other.Name)
			at, valid := ProbeTarget(target)
			switch {
			case !ok && f.probePodMissing(other.Name):
				f.judgeNoPodProbe(&j, other.Name, subject+": its pod answers")
				continue
			case !ok || !valid:
				j.unknown(subject, "no probe pod runs on "+other.Name, pods.From)
				continue
			}
			expected := fmt.Sprintf("%s: %s answers", subject, at)
			probes := f.probes(n.Name, at, func(p Probe) bool { return p.Pod != "" })
			switch {
			case len(probes) == 0 && f.probePodMissing(n.Name):
				f.judgeNoPodProbe(&j, n.Name, expected)
			case len(probes) == 0:
				j.unknown(subject, f.notProbed(n.Name))
			}
			for _, p := range probes {
				judgeProbe(&j, p, expected, subject)
			}
		}
	}
	return j.result("packets between pods of different nodes travel in VXLAN, UDP port 8472 between the nodes' addresses: see pod.vxlan, pod.vtep-mac, pod.machine-id and net.flannel-public-ip first")
}
