package checks

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/labctl/labctl/internal/config"
)

// VirtualBox gives every machine behind its NAT the same address and gateway, which is why neither may become a node's INTERNAL-IP.
func natAddress() netip.Prefix { return netip.MustParsePrefix("10.0.2.15/24") }
func natGateway() netip.Addr   { return netip.MustParseAddr("10.0.2.2") }

// ipvsDevice is the device to which kube-proxy in IPVS mode binds service addresses.
const ipvsDevice = "kube-ipvs0"

// Slots of a machine's NICs.
const (
	slotNAT      = 1
	slotHostOnly = 2
)

func nodeAddressChecks() []Check {
	return []Check{
		{ID: "net.nics", Title: "every machine has a NAT and a host-only NIC, plugged in, with the MACs its guest sees", Area: AreaNode, Eval: evalNICs},
		{ID: "net.nat-address", Title: "every node has VirtualBox's NAT address on its NAT NIC", Area: AreaNode, Eval: evalNATAddress},
		{ID: "net.host-only-address", Title: "every node has its own address on its host-only NIC", Area: AreaNode, Eval: evalHostOnlyAddress},
		{ID: "net.default-route", Title: "every node's default route leaves by the NAT NIC", Area: AreaNode, Eval: evalDefaultRoute},
		{ID: "net.host-only-route", Title: "the host-only network is directly attached on every node, not routed", Area: AreaNode, Eval: evalHostOnlyRoute},
	}
}

// hostOnly is the node's own address with the host-only network's length.
func hostOnly(f Facts, n config.Node) netip.Prefix {
	return netip.PrefixFrom(n.Address, f.Lab.Network.CIDR.Bits())
}

// machineNIC returns the NIC in a slot of a node's machine, if that is known.
func (f Facts) machineNIC(node string, slot int) (NIC, bool) {
	nics := f.Machines[node]
	i := slices.IndexFunc(nics.Value, func(n NIC) bool { return n.Slot == slot })
	if !nics.Known || i < 0 {
		return NIC{}, false
	}
	return nics.Value[i], true
}

// findNIC returns the guest's device of a NIC: the one with the machine's MAC where VirtualBox could be asked, and
// otherwise the one with the address. It returns false if there is none.
func (f Facts) findNIC(node string, slot int, address netip.Prefix) (Link, bool) {
	links := f.Nodes[node].Links.Value
	if nic, ok := f.machineNIC(node, slot); ok {
		if i := slices.IndexFunc(links, func(l Link) bool { return l.MAC == nic.MAC && nic.MAC != "" }); i >= 0 {
			return links[i], true
		}
	}
	i := slices.IndexFunc(links, func(l Link) bool { return l.has(address) && l.Name != ipvsDevice })
	if i < 0 {
		return Link{}, false
	}
	return links[i], true
}

func (f Facts) hostOnlyNIC(n config.Node) (Link, bool) {
	return f.findNIC(n.Name, slotHostOnly, hostOnly(f, n))
}

func (f Facts) natNIC(n config.Node) (Link, bool) {
	return f.findNIC(n.Name, slotNAT, natAddress())
}

func evalNICs(f Facts) Result {
	var j judgements
	owner := map[MAC]string{}
	for _, n := range f.Lab.Nodes {
		nics := f.Machines[n.Name]
		if !nics.Known {
			j.unknown(n.Name, nics.why(), nics.From)
			continue
		}
		judgeKind(&j, f, n.Name, "NAT", slotNAT, "nat")
		judgeKind(&j, f, n.Name, "host-only", slotHostOnly, "hostonly", "hostonlynetwork")
		links := f.Nodes[n.Name].Links
		for _, slot := range []int{slotNAT, slotHostOnly} {
			nic, ok := f.machineNIC(n.Name, slot)
			if !ok {
				continue
			}
			if other, taken := owner[nic.MAC]; taken {
				j.judge(false, n.Name+" NIC MACs of its own", fmt.Sprintf("%s NIC %d has MAC %s, as %s has", n.Name, slot, nic.MAC, other), nics.From.showing(nic.String()))
			}
			owner[nic.MAC] = n.Name
			if !links.Known {
				j.unknown(n.Name, links.why(), links.From)
				continue
			}
			seen := slices.ContainsFunc(links.Value, func(l Link) bool { return l.MAC == nic.MAC })
			actual := fmt.Sprintf("%s NIC %d has MAC %s in its guest", n.Name, slot, nic.MAC)
			if !seen {
				actual = fmt.Sprintf("%s NIC %d: no device of its guest has MAC %s", n.Name, slot, nic.MAC)
			}
			j.judge(seen, fmt.Sprintf("%s NIC %d has MAC %s in its guest", n.Name, slot, nic.MAC), actual, nics.From.showing(nic.String()), links.From)
		}
	}
	return j.result("labctl plan shows how the machines differ from the lab's file, labctl up mends them")
}

// judgeKind judges the kind and the cable of one NIC of a machine whose NICs are known.
func judgeKind(j *judgements, f Facts, node, word string, slot int, kinds ...string) {
	expected := fmt.Sprintf("%s NIC %d is %s, plugged in", node, slot, word)
	from := f.Machines[node].From
	nic, ok := f.machineNIC(node, slot)
	switch {
	case !ok:
		j.judge(false, expected, fmt.Sprintf("%s has no NIC %d", node, slot), from)
	case !slices.Contains(kinds, nic.Kind):
		j.judge(false, expected, fmt.Sprintf("%s NIC %d is %q", node, slot, nic.Kind), from.showing(nic.String()))
	case !nic.Cable:
		j.judge(false, expected, fmt.Sprintf("%s NIC %d is unplugged", node, slot), from.showing(nic.String()))
	default:
		j.judge(true, expected, expected, from.showing(nic.String()))
	}
}

// String is a line about the NIC for people.
func (n NIC) String() string {
	s := fmt.Sprintf("nic%d=%s mac=%s", n.Slot, n.Kind, n.MAC)
	if n.Network != "" {
		s += " network=" + n.Network
	}
	if !n.Cable {
		s += " cable=off"
	}
	return s
}

func evalNATAddress(f Facts) Result {
	var j judgements
	return addressResult(f, &j, func(n config.Node) (netip.Prefix, Link, bool) {
		link, ok := f.natNIC(n)
		return natAddress(), link, ok
	}, "labctl ssh NODE -- sudo netplan apply asks for the NAT address again; labctl up mends the machine's NICs")
}

func evalHostOnlyAddress(f Facts) Result {
	var j judgements
	judgeBorrowed(&j, f)
	return addressResult(f, &j, func(n config.Node) (netip.Prefix, Link, bool) {
		link, ok := f.hostOnlyNIC(n)
		return hostOnly(f, n), link, ok
	}, "labctl doctor looks at the host-only network, labctl logs NODE at what the guest made of its settings")
}

// addressResult judges that one NIC of every node, and no other device, has an address.
func addressResult(f Facts, j *judgements, nic func(config.Node) (netip.Prefix, Link, bool), hint string) Result {
	for _, n := range f.Lab.Nodes {
		links := f.Nodes[n.Name].Links
		if !links.Known {
			j.unknown(n.Name, links.why(), links.From)
			continue
		}
		want, link, ok := nic(n)
		expected := fmt.Sprintf("%s %s", n.Name, want)
		if !ok {
			j.judge(false, expected, fmt.Sprintf("%s has it on no NIC", n.Name), links.From.showing(cards(links.Value)...))
			continue
		}
		holders := 0
		for _, l := range links.Value {
			if l.has(want) {
				holders++
			}
		}
		good := link.has(want) && holders == 1
		actual := fmt.Sprintf("%s %s", n.Name, link)
		if holders > 1 {
			actual = fmt.Sprintf("%s has it on %d devices", n.Name, holders)
		}
		j.judge(good, expected, actual, links.From.showing(link.String()))
	}
	return j.result(hint)
}

// judgeBorrowed judges that no node has the address of another one: whichever of them hears a packet first takes it, or neither sees the
// other's. What kube-proxy binds in IPVS mode has a check of its own.
func judgeBorrowed(j *judgements, f Facts) {
	for _, n := range f.Lab.Nodes {
		links := f.Nodes[n.Name].Links
		for _, l := range links.Value {
			for _, other := range f.Lab.Nodes {
				if other.Name != n.Name && l.Name != ipvsDevice && holds(l, other.Address) {
					j.judge(false, fmt.Sprintf("%s alone has %s", other.Name, other.Address), fmt.Sprintf("%s has %s too, on %s", n.Name, other.Address, l.Name), links.From.showing(l.String()))
				}
			}
		}
	}
}

// cards returns a line for each device that has an IPv4 address other than loopback's.
func cards(links []Link) []string {
	var out []string
	for _, l := range links {
		if l.Name != "lo" && slices.ContainsFunc(l.Addresses, func(p netip.Prefix) bool { return p.Addr().Is4() }) {
			out = append(out, l.String())
		}
	}
	return out
}

func evalDefaultRoute(f Facts) Result {
	var j judgements
	for _, n := range f.Lab.Nodes {
		facts := f.Nodes[n.Name]
		if !facts.Routes.Known || !facts.Links.Known {
			j.unknown(n.Name, firstWhy(facts.Routes.Known, facts.Routes.why(), facts.Links.why()), facts.Routes.From)
			continue
		}
		nat, ok := f.natNIC(n)
		expected := fmt.Sprintf("%s default via %s dev %s", n.Name, natGateway(), nat.Name)
		if !ok {
			expected = fmt.Sprintf("%s default via %s by its NAT NIC", n.Name, natGateway())
		}
		var defaults []string
		good := ok
		for _, r := range facts.Routes.Value {
			// The two halves of everything go before the default route: VPN programs set them in its place.
			if r.To.Bits() > 1 || !r.To.Addr().Is4() {
				continue
			}
			defaults = append(defaults, r.String())
			good = good && r.Via == natGateway() && r.Dev == nat.Name
		}
		if !slices.ContainsFunc(facts.Routes.Value, func(r Route) bool { return r.To.Bits() == 0 && r.To.Addr().Is4() }) {
			j.judge(false, expected, n.Name+" has no default route", facts.Routes.From)
			continue
		}
		for _, d := range defaults {
			j.judge(good, expected, n.Name+" "+d, facts.Routes.From.showing(defaults...))
		}
	}
	return j.result("the host-only NIC must offer no gateway: labctl ssh NODE -- ip route, then labctl up")
}

func evalHostOnlyRoute(f Facts) Result {
	var j judgements
	cidr := f.Lab.Network.CIDR.Masked()
	for _, n := range f.Lab.Nodes {
		facts := f.Nodes[n.Name]
		if !facts.Routes.Known || !facts.Links.Known {
			j.unknown(n.Name, firstWhy(facts.Routes.Known, facts.Routes.why(), facts.Links.why()), facts.Routes.From)
			continue
		}
		nic, ok := f.hostOnlyNIC(n)
		expected := fmt.Sprintf("%s %s dev %s", n.Name, cidr, nic.Name)
		if !ok {
			j.judge(false, fmt.Sprintf("%s %s on its host-only NIC", n.Name, cidr), n.Name+" has no host-only NIC with its address", facts.Links.From.showing(cards(facts.Links.Value)...))
			continue
		}
		attached := false
		var routed []string
		var shown []string
		for _, r := range facts.Routes.Value {
			if r.To.Bits() == 0 || !cidr.Overlaps(r.To) {
				continue
			}
			shown = append(shown, r.String())
			if r.Via.IsValid() || r.Dev != nic.Name {
				routed = append(routed, r.String())
			} else if r.To == cidr {
				attached = true
			}
		}
		switch {
		case len(routed) > 0:
			for _, r := range routed {
				j.judge(false, expected, n.Name+" "+r, facts.Routes.From.showing(shown...))
			}
		case !attached:
			j.judge(false, expected, n.Name+" has no such route", facts.Routes.From)
		default:
			j.judge(true, expected, expected, facts.Routes.From.showing(shown...))
		}
	}
	return j.result("labctl ssh NODE -- ip route shows who routes it; labctl doctor looks at the host-only network")
}

// firstWhy returns why the first of two facts is missing, or else the second's.
func firstWhy(firstKnown bool, first, second string) string {
	if !firstKnown {
		return first
	}
	return second
}
