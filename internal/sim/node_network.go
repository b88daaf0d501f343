package sim

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
)

// VirtualBox's NAT gives every guest the same address, from a network of its own.
var (
	natAddress = netip.MustParseAddr("10.0.2.15")
	natGateway = netip.MustParseAddr("10.0.2.2")
)

// nicNames are what udev calls the NICs of slots 1 to 4, by their PCI addresses.
var nicNames = [...]string{"enp0s3", "enp0s8", "enp0s9", "enp0s10"}

// link is a network interface of a guest, or of the host.
type link struct {
	Index     int
	Name      string
	MAC       string
	Kind      string // loopback, ether, vxlan, bridge, veth or dummy
	MTU       int
	Down      bool // switched off in the guest
	NoCarrier bool // no cable, or nothing at its other end
	Master    string
	Network   string // host-only adapter that a NIC is on
	Slot      int    // of a NIC
	Addresses []address
	VXLAN     *vxlan
}

type address struct {
	netip.Prefix
	Dynamic bool // by DHCP
	Site    bool // IPv6 from a router's advertisement
}

type vxlan struct {
	Local  netip.Addr
	Device string
}

func (l link) works() bool { return !l.Down && !l.NoCarrier }

func (l link) holds(a netip.Addr) bool {
	return slices.ContainsFunc(l.Addresses, func(have address) bool { return have.Addr() == a })
}

// linkChange is what `ip` changed of a link since boot.
type linkChange struct {
	Down    bool           `json:"down,omitempty"`
	MAC     string         `json:"mac,omitempty"`
	MTU     int            `json:"mtu,omitempty"`
	Deleted bool           `json:"deleted,omitempty"`
	Added   []netip.Prefix `json:"added,omitempty"`
	Removed []netip.Prefix `json:"removed,omitempty"`
}

// nics are lo and the guest's physical interfaces. The result must not be changed.
func (g *guest) nics() []link {
	if g.ownNICs != nil {
		return g.ownNICs
	}
	return g.findNICs()
}

func (g *guest) findNICs() []link {
	all := []link{{Index: 1, Name: "lo", MAC: "00:00:00:00:00:00", Kind: "loopback", MTU: 65536, Addresses: []address{
		{Prefix: netip.MustParsePrefix("127.0.0.1/8")}, {Prefix: netip.MustParsePrefix("::1/128")}}}}
	var adapters []hostOnlyState
	if vbox, err := g.w.virtualBox(); err == nil { // else nothing is at the other end of the cable
		adapters = vbox.hostAddresses()
	}
	for i, n := range g.machine.NICs {
		if n.Kind == "none" || n.Kind == "" || i >= len(nicNames) {
			continue
		}
		l := link{Index: len(all) + 1, Name: nicNames[i], MAC: n.MAC, Kind: "ether", MTU: 1500, Slot: i + 1, NoCarrier: !n.Cable}
		plan := g.state.Network[strings.ToLower(n.MAC)]
		switch n.Kind {
		case "nat":
			if plan.DHCP4 {
				l.Addresses = append(l.Addresses, address{Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(i + 2), 15}), 24), Dynamic: true})
			}
		case "hostonly":
			l.Network = n.Network
			if !slices.ContainsFunc(adapters, func(h hostOnlyState) bool { return h.Name == n.Network }) {
				l.NoCarrier = true
			}
		default:
			l.NoCarrier = true
		}
		for _, p := range plan.Addresses {
			l.Addresses = append(l.Addresses, address{Prefix: p})
		}
		// systemd-networkd configures an interface when it has a carrier.
		if l.NoCarrier {
			l.Addresses = nil
		}
		if n.Kind == "nat" && !l.NoCarrier {
			l.Addresses = append(l.Addresses, address{Prefix: eui64(fmt.Sprintf("fd17:625c:f037:%d::/64", i+2), n.MAC), Dynamic: true, Site: true})
		}
		all = append(all, l)
	}
	return g.changed(all)
}

// changed applies what `ip` changed since boot, and gives every working link its link-local address.
func (g *guest) changed(all []link) []link {
	kept := all[:0]
	for _, l := range all {
		c := g.state.Links[l.Name]
		if c.Deleted {
			continue
		}
		l.Down, l.MAC, l.MTU = c.Down, cmp.Or(c.MAC, l.MAC), cmp.Or(c.MTU, l.MTU)
		l.Addresses = slices.DeleteFunc(l.Addresses, func(a address) bool { return slices.Contains(c.Removed, a.Prefix) })
		for _, p := range c.Added {
			l.Addresses = append(l.Addresses, address{Prefix: p})
		}
		if l.Down {
			l.Addresses = slices.DeleteFunc(l.Addresses, func(a address) bool { return a.Addr().Is6() })
		} else if !l.NoCarrier && l.Kind != "loopback" && l.Kind != "dummy" {
			l.Addresses = append(l.Addresses, address{Prefix: eui64("fe80::/64", l.MAC)})
		}
		kept = append(kept, l)
	}
	return kept
}

// eui64 is the IPv6 address that an interface makes for itself.
func eui64(prefix, mac string) netip.Prefix {
	p := netip.MustParsePrefix(prefix)
	hw, err := net.ParseMAC(mac)
	if err != nil {
		return p
	}
	a := p.Addr().As16()
	copy(a[8:], []byte{hw[0] ^ 2, hw[1], hw[2], 0xff, 0xfe, hw[3], hw[4], hw[5]})
	return netip.PrefixFrom(netip.AddrFrom16(a), p.Bits())
}

// macOf is a made-up MAC that is always the same for the same name.
func macOf(name ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(name, "\x00")))
	sum[0] = sum[0]&^1 | 2 // unicast, locally administered
	return net.HardwareAddr(sum[:6]).String()
}

// links are all interfaces: the NICs, and in a cluster flannel's, the pods' and kube-proxy's. The result must not be changed.
func (g *guest) links() []link {
	if g.allLinks != nil {
		return g.allLinks()
	}
	return g.findLinks()
}

func (g *guest) findLinks() []link {
	all := slices.Clone(g.nics())
	c, rec := g.dataplane()
	if rec == nil {
		return all
	}
	next := all[len(all)-1].Index + 1
	add := func(l link) {
		l.Index = next
		next++
		all = append(all, g.changed([]link{l})...)
	}
	subnet := rec.subnet(c.state)
	add(link{Name: "flannel.1", MAC: rec.MAC, Kind: "vxlan", MTU: 1450, VXLAN: &vxlan{Local: rec.PublicIP, Device: rec.Iface},
		Addresses: []address{{Prefix: netip.PrefixFrom(subnet.Addr(), 32)}}})
	pods := c.podsOn(rec.Name)
	if slices.ContainsFunc(pods, func(p *podRecord) bool { return p.Bridge == "" }) { // the CNI plugin makes the bridge with the first pod
		add(link{Name: "cni0", MAC: macOf("cni0", g.disk), Kind: "bridge", MTU: 1450,
			Addresses: []address{{Prefix: netip.PrefixFrom(subnet.Addr().Next(), subnet.Bits())}}})
	}
	made := map[string]bool{}
	for _, p := range pods {
		if p.Bridge != "" && !made[p.Bridge] {
			made[p.Bridge] = true
			add(link{Name: p.Bridge, MAC: macOf(p.Bridge, g.disk), Kind: "bridge", MTU: 1500, Addresses: []address{{Prefix: p.Gateway}}})
		}
		add(link{Name: p.veth(), MAC: macOf("veth", p.UID), Kind: "veth", MTU: 1450, Master: cmp.Or(p.Bridge, "cni0")})
	}
	if slices.Contains(rec.Modes, "ipvs") {
		l := link{Name: "kube-ipvs0", MAC: macOf("kube-ipvs0", g.disk), Kind: "dummy", MTU: 1500, NoCarrier: true}
		for _, a := range c.ipvsAddresses(rec) {
			l.Addresses = append(l.Addresses, address{Prefix: netip.PrefixFrom(a, 32)})
		}
		add(l)
	}
	return all
}

// has reports whether a is one of the guest's own addresses that packets can reach.
func (g *guest) has(a netip.Addr) bool {
	for _, l := range g.nics() {
		if l.works() && l.holds(a) {
			return true
		}
	}
	return false
}

// owns reports whether the guest takes a for an address of its own, wherever that is bound.
func (g *guest) owns(a netip.Addr) bool {
	for _, l := range g.links() {
		if !l.Down && l.holds(a) {
			return true
		}
	}
	return false
}

// hasLease reports whether the NIC in that slot got its address from VirtualBox's NAT.
func (g *guest) hasLease(slot int) bool {
	return slices.ContainsFunc(g.nics(), func(l link) bool { return l.Slot == slot && l.works() && len(l.Addresses) > 0 })
}

// route is a line of `ip route`, in the shape of `ip -j route`.
type route struct {
	Dst      string   `json:"dst"`
	Gateway  string   `json:"gateway,omitempty"`
	Dev      string   `json:"dev"`
	Protocol string   `json:"protocol,omitempty"`
	Scope    string   `json:"scope,omitempty"`
	PrefSrc  string   `json:"prefsrc,omitempty"`
	Metric   int      `json:"metric,omitempty"`
	Flags    []string `json:"flags"`
}

// prefix is the route's destination; 0.0.0.0/0 for the default.
func (r route) prefix() netip.Prefix {
	if p, err := netip.ParsePrefix(r.Dst); err == nil {
		return p
	}
	if a, err := netip.ParseAddr(r.Dst); err == nil {
		return netip.PrefixFrom(a, a.BitLen())
	}
	return netip.PrefixFrom(netip.IPv4Unspecified(), 0)
}

// routeChange is a route that `ip route` added or deleted.
type routeChange struct {
	Delete bool  `json:"delete,omitempty"`
	Route  route `json:"route"`
}

// routes is the guest's IPv4 routing table, in the kernel's order. The result must not be changed.
func (g *guest) routes() []route {
	if g.allRoutes != nil {
		return g.allRoutes()
	}
	return g.findRoutes()
}

func (g *guest) findRoutes() []route {
	var all []route
	links := g.links()
	up := map[string]bool{}
	for _, l := range links {
		up[l.Name] = l.works() || l.Kind == "dummy"
		if !l.works() || l.Kind == "loopback" {
			continue
		}
		for _, a := range l.Addresses {
			if !a.Addr().Is4() || a.Bits() == 32 {
				continue
			}
			r := route{Dst: a.Masked().String(), Dev: l.Name, Protocol: "kernel", Scope: "link", PrefSrc: a.Addr().String(), Flags: []string{}}
			if a.Dynamic {
				r.Metric = 100
				gateway := a.Masked().Addr().Next().Next()
				all = append(all, route{Dst: "default", Gateway: gateway.String(), Dev: l.Name, Protocol: "dhcp", PrefSrc: r.PrefSrc, Metric: 100, Flags: []string{}})
				for _, server := range []netip.Addr{gateway, gateway.Next()} {
					all = append(all, route{Dst: server.String(), Dev: l.Name, Protocol: "dhcp", Scope: "link", PrefSrc: r.PrefSrc, Metric: 100, Flags: []string{}})
				}
			}
			all = append(all, r)
		}
	}
	if c, rec := g.dataplane(); rec != nil && up["flannel.1"] {
		for _, peer := range c.state.Nodes {
			if peer.Name == rec.Name || peer.ghost() { // which flannel has announced nothing
				continue
			}
			subnet := peer.subnet(c.state)
			all = append(all, route{Dst: subnet.String(), Gateway: subnet.Addr().String(), Dev: "flannel.1", Flags: []string{"onlink"}})
		}
	}
	for _, c := range g.state.Routes {
		all = slices.DeleteFunc(all, func(r route) bool { return r.inPlaceOf(c.Route) })
		if !c.Delete && up[c.Route.Dev] {
			all = append(all, c.Route)
		}
	}
	slices.SortStableFunc(all, func(a, b route) int {
		pa, pb := a.prefix(), b.prefix()
		return cmp.Or(pa.Addr().Compare(pb.Addr()), cmp.Compare(pa.Bits(), pb.Bits()))
	})
	return all
}

// sameRoute reports whether a is what `ip route del` with the words of want would delete.
func sameRoute(a, want route) bool {
	return a.prefix() == want.prefix() && (want.Gateway == "" || a.Gateway == want.Gateway) && (want.Dev == "" || a.Dev == want.Dev) &&
		(want.Metric == 0 || a.Metric == want.Metric)
}

// inPlaceOf reports whether the kernel's table has room for one of two routes only.
func (r route) inPlaceOf(o route) bool { return r.prefix() == o.prefix() && r.Metric == o.Metric }

// routeTo is the route that a packet to that address takes; false if there is none.
func (g *guest) routeTo(a netip.Addr) (route, bool) {
	best, found := route{}, false
	for _, r := range g.routes() {
		if p := r.prefix(); p.Contains(a) && (!found || p.Bits() > best.prefix().Bits() || p.Bits() == best.prefix().Bits() && r.Metric < best.Metric) {
			best, found = r, true
		}
	}
	return best, found
}

// others are the guests with a NIC that has that address. A guest that is still booting sees none.
func (g *guest) others(a netip.Addr) []*guest {
	if g.peers == nil {
		return nil
	}
	return g.peers.at[a]
}

// reach finds who gets a packet that g sends to an address of a NIC: g itself, a guest on the same host-only network, or
// nobody. VirtualBox's NAT networks lead to no other guest.
func (g *guest) reach(to netip.Addr) *guest {
	if g.owns(to) {
		return g
	}
	for _, other := range g.others(to) {
		for _, mine := range g.nics() {
			for _, theirs := range other.nics() {
				if mine.Network != "" && mine.Network == theirs.Network && mine.works() && theirs.works() && theirs.holds(to) &&
					slices.ContainsFunc(mine.Addresses, func(a address) bool { return a.Masked().Contains(to) }) {
					return other
				}
			}
		}
	}
	return nil
}

// wired reports whether two guests have working NICs with addresses on the same host-only network.
func (g *guest) wired(other *guest) bool {
	return slices.ContainsFunc(g.nics(), func(mine link) bool {
		return mine.Network != "" && mine.works() && len(mine.Addresses) > 0 && slices.ContainsFunc(other.nics(), func(theirs link) bool {
			return theirs.Network == mine.Network && theirs.works() && len(theirs.Addresses) > 0
		})
	})
}
