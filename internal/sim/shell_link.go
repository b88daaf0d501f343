package sim

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

func (l link) operState() string {
	switch {
	case l.Down || l.NoCarrier:
		return "DOWN"
	case l.Kind == "loopback" || l.Kind == "vxlan":
		return "UNKNOWN"
	}
	return "UP"
}

func (l link) flags() []string {
	var f []string
	switch {
	case l.Kind == "loopback":
		f = []string{"LOOPBACK"}
	case l.Kind == "dummy":
		return []string{"BROADCAST", "NOARP"}
	case l.NoCarrier && !l.Down:
		f = []string{"NO-CARRIER", "BROADCAST", "MULTICAST"}
	default:
		f = []string{"BROADCAST", "MULTICAST"}
	}
	if l.Down {
		return f
	}
	f = append(f, "UP")
	if !l.NoCarrier {
		f = append(f, "LOWER_UP")
	}
	return f
}

func (l link) qdisc() string {
	if l.Kind == "ether" {
		return "fq_codel"
	}
	if l.Kind == "dummy" {
		return "noop"
	}
	return "noqueue"
}

const forever = 4294967295 // seconds, as ip writes it

// entry is the link as an element of `ip -j addr` or, without addresses, `ip -j link`.
func (l link) entry(withAddresses, details bool) map[string]any {
	e := map[string]any{
		"ifindex": l.Index, "ifname": l.Name, "flags": l.flags(), "mtu": l.MTU, "qdisc": l.qdisc(), "operstate": l.operState(),
		"group": "default", "link_type": "ether", "address": l.MAC, "broadcast": "ff:ff:ff:ff:ff:ff",
	}
	if l.Kind == "loopback" {
		e["link_type"], e["broadcast"] = "loopback", "00:00:00:00:00:00"
	}
	if l.Kind != "vxlan" && l.Kind != "veth" {
		e["txqlen"] = 1000
	}
	if l.Master != "" {
		e["master"], e["link_index"], e["link_netnsid"] = l.Master, 2, 0
	}
	if !withAddresses {
		e["linkmode"] = "DEFAULT"
	}
	if details {
		e["promiscuity"], e["min_mtu"], e["max_mtu"], e["inet6_addr_gen_mode"] = 0, 68, 65535, "eui64"
		e["num_tx_queues"], e["num_rx_queues"], e["gso_max_size"], e["gso_max_segs"] = 1, 1, 65536, 65535
		switch {
		case l.VXLAN != nil:
			e["linkinfo"] = map[string]any{"info_kind": "vxlan", "info_data": map[string]any{"id": 1, "local": l.VXLAN.Local.String(), "link": l.VXLAN.Device,
				"port_range": map[string]any{"low": 0, "high": 0}, "port": 8472, "learning": false, "ttl": 0, "ageing": 300,
				"udp_csum": true, "udp_zero_csum6_tx": false, "udp_zero_csum6_rx": false}}
		case l.Kind == "bridge" || l.Kind == "veth" || l.Kind == "dummy":
			e["linkinfo"] = map[string]any{"info_kind": l.Kind}
		}
	}
	if withAddresses {
		infos := []map[string]any{}
		for _, a := range l.Addresses {
			infos = append(infos, l.addressInfo(a))
		}
		e["addr_info"] = infos
	}
	return e
}

func (l link) addressInfo(a address) map[string]any {
	info := map[string]any{"family": "inet", "local": a.Addr().String(), "prefixlen": a.Bits(), "scope": l.scope(a),
		"valid_life_time": forever, "preferred_life_time": forever}
	if a.Addr().Is4() {
		info["label"] = l.Name
		if b, ok := broadcastOf(a.Prefix); ok && l.Kind != "loopback" {
			info["broadcast"] = b.String()
		}
	} else {
		info["family"] = "inet6"
	}
	if a.Dynamic {
		info["dynamic"], info["valid_life_time"], info["preferred_life_time"] = true, 86000, 86000
		if a.Addr().Is4() {
			info["metric"] = 100
		} else {
			info["mngtmpaddr"], info["noprefixroute"] = true, true
		}
	}
	return info
}

func (l link) scope(a address) string {
	switch {
	case l.Kind == "loopback":
		return "host"
	case a.Addr().IsLinkLocalUnicast():
		return "link"
	}
	return "global"
}

func broadcastOf(p netip.Prefix) (netip.Addr, bool) {
	if p.Bits() >= 31 || !p.Addr().Is4() {
		return netip.Addr{}, false
	}
	a := p.Addr().As4()
	for bit := p.Bits(); bit < 32; bit++ {
		a[bit/8] |= 1 << (7 - bit%8)
	}
	return netip.AddrFrom4(a), true
}

// displayName is the link's name as text output has it.
func (l link) displayName() string {
	if l.Kind == "veth" {
		return l.Name + "@if2"
	}
	return l.Name
}

func (p *process) ipShow(args []string, addresses, asJSON, brief, details, only4 bool) int {
	args = slices.DeleteFunc(slices.Clone(args), func(a string) bool {
		return a == "show" || a == "list" || a == "dev" || a == "s" || a == "sh" || a == "ls"
	})
	links := slices.Clone(p.guest.links())
	kind := ""
	kinds := []string{"bridge", "dummy", "veth", "vxlan"}
	for len(args) > 0 {
		switch {
		case args[0] == "up":
			links = slices.DeleteFunc(links, func(l link) bool { return l.Down })
		case args[0] == "type" && len(args) > 1 && slices.Contains(kinds, args[1]):
			kind, args = args[1], args[1:]
		case args[0] == "type":
			return p.unknown(strings.Join(p.args, " "))
		case slices.Contains(strings.Fields("scope to label dynamic permanent group master vrf nomaster"), args[0]):
			return p.unknown(strings.Join(p.args, " "))
		default:
			name := args[0]
			links = slices.DeleteFunc(links, func(l link) bool { return l.Name != name })
			if len(links) == 0 {
				fmt.Fprintf(p.stderr, "Device \"%s\" does not exist.\n", name)
				return 1
			}
		}
		args = args[1:]
	}
	entries := []map[string]any{}
	for _, l := range links {
		if kind != "" && l.Kind != kind {
			continue
		}
		if only4 {
			l.Addresses = slices.DeleteFunc(slices.Clone(l.Addresses), func(a address) bool { return !a.Addr().Is4() })
		}
		switch {
		case asJSON:
			entries = append(entries, l.entry(addresses, details))
		case brief && addresses:
			var words []string
			for _, a := range l.Addresses {
				words = append(words, a.String())
				if a.Dynamic && a.Addr().Is4() {
					words = append(words, "metric 100")
				}
			}
			p.printf("%-16s %-14s %s \n", l.displayName(), l.operState(), strings.Join(words, " "))
		case brief:
			p.printf("%-16s %-14s %s <%s> \n", l.displayName(), l.operState(), l.MAC, strings.Join(l.flags(), ","))
		default:
			p.linkText(l, addresses, details)
		}
	}
	if asJSON {
		return p.encode(entries)
	}
	return 0
}

func (p *process) linkText(l link, addresses, details bool) {
	master := ""
	if l.Master != "" {
		master = " master " + l.Master
	}
	kind := "ether"
	if l.Kind == "loopback" {
		kind = "loopback"
	}
	broadcast := "ff:ff:ff:ff:ff:ff"
	if l.Kind == "loopback" {
		broadcast = "00:00:00:00:00:00"
	}
	mode := ""
	if !addresses {
		mode = "mode DEFAULT "
	}
	p.printf("%d: %s: <%s> mtu %d qdisc %s%s state %s %sgroup default \n    link/%s %s brd %s", l.Index, l.displayName(), strings.Join(l.flags(), ","), l.MTU, l.qdisc(), master,
		l.operState(), mode, kind, l.MAC, broadcast)
	if details {
		p.printf(" promiscuity 0 minmtu 68 maxmtu 65535 ")
		if l.VXLAN != nil {
			p.printf("\n    vxlan id 1 local %s dev %s srcport 0 0 dstport 8472 nolearning ttl auto ageing 300 "+
				"udpcsum noudp6zerocsumtx noudp6zerocsumrx", l.VXLAN.Local, l.VXLAN.Device)
		}
	}
	p.printf("\n")
	if !addresses {
		return
	}
	for _, a := range l.Addresses {
		life := "       valid_lft forever preferred_lft forever\n"
		dynamic := ""
		if a.Dynamic {
			dynamic, life = " dynamic", "       valid_lft 86000sec preferred_lft 86000sec\n"
		}
		if a.Addr().Is4() {
			metric, brd := "", ""
			if a.Dynamic {
				metric = " metric 100"
			}
			if b, ok := broadcastOf(a.Prefix); ok && l.Kind != "loopback" {
				brd = " brd " + b.String()
			}
			p.printf("    inet %s%s%s scope %s%s %s\n%s", a.Prefix, metric, brd, l.scope(a), dynamic, l.Name, life)
		} else {
			p.printf("    inet6 %s scope %s%s \n%s", a.Prefix, l.scope(a), dynamic, life)
		}
	}
}

// largestMTU is what the kernel allows: a VXLAN device leaves room for its headers on the NIC below.
func (g *guest) largestMTU(l link) int {
	const headers = 50
	for _, below := range g.nics() {
		if l.VXLAN != nil && below.Name == l.VXLAN.Device {
			return below.MTU - headers
		}
	}
	return 65535
}

// ipChange is ip link set|del and ip addr add|del.
func (p *process) ipChange(addresses bool, args []string) int {
	if p.session.user != "root" {
		return p.notPermitted()
	}
	verb := args[0]
	var words []string
	dev := ""
	for rest := args[1:]; len(rest) > 0; rest = rest[1:] {
		if rest[0] == "dev" && len(rest) > 1 {
			dev, rest = rest[1], rest[1:]
			continue
		}
		words = append(words, rest[0])
	}
	if !addresses && dev == "" && len(words) > 0 {
		dev, words = words[0], words[1:]
	}
	at := slices.IndexFunc(p.guest.links(), func(l link) bool { return l.Name == dev })
	if at < 0 {
		fmt.Fprintf(p.stderr, "Cannot find device \"%s\"\n", dev)
		return 1
	}
	have := p.guest.links()[at]
	var apply func(*linkChange)
	switch {
	case !addresses && verb == "set" && slices.Equal(words, []string{"down"}):
		apply = func(c *linkChange) { c.Down = true }
	case !addresses && verb == "set" && slices.Equal(words, []string{"up"}):
		apply = func(c *linkChange) { c.Down = false }
	case !addresses && verb == "set" && len(words) == 2 && words[0] == "mtu":
		n, err := strconv.Atoi(words[1])
		if err != nil || n < 68 || n > p.guest.largestMTU(have) {
			fmt.Fprintln(p.stderr, "RTNETLINK answers: Invalid argument")
			return 2
		}
		apply = func(c *linkChange) { c.MTU = n }
	case !addresses && verb == "set" && len(words) == 2 && words[0] == "address":
		mac, err := net.ParseMAC(words[1])
		if err != nil {
			fmt.Fprintf(p.stderr, "\"%s\" is invalid lladdr.\n", words[1])
			return 1
		}
		apply = func(c *linkChange) { c.MAC = mac.String() }
	case !addresses && strings.HasPrefix("delete", verb) && len(words) == 0:
		if have.Kind == "ether" || have.Kind == "loopback" {
			fmt.Fprintln(p.stderr, "RTNETLINK answers: Operation not supported")
			return 2
		}
		apply = func(c *linkChange) { c.Deleted = true }
	case addresses && len(words) == 1:
		prefix, err := netip.ParsePrefix(words[0])
		if err != nil {
			a, aerr := netip.ParseAddr(words[0])
			if aerr != nil {
				fmt.Fprintf(p.stderr, "Error: any valid prefix is expected rather than \"%s\".\n", words[0])
				return 1
			}
			prefix = netip.PrefixFrom(a, a.BitLen())
		}
		there := slices.ContainsFunc(have.Addresses, func(a address) bool { return a.Prefix == prefix })
		switch {
		case verb == "add" && there:
			fmt.Fprintln(p.stderr, "RTNETLINK answers: File exists")
			return 2
		case verb == "add":
			apply = func(c *linkChange) {
				c.Removed = slices.DeleteFunc(c.Removed, func(r netip.Prefix) bool { return r == prefix })
				c.Added = append(c.Added, prefix)
			}
		case strings.HasPrefix("delete", verb) && !there:
			fmt.Fprintln(p.stderr, "RTNETLINK answers: Cannot assign requested address")
			return 2
		case strings.HasPrefix("delete", verb):
			apply = func(c *linkChange) {
				c.Added = slices.DeleteFunc(c.Added, func(r netip.Prefix) bool { return r == prefix })
				c.Removed = append(c.Removed, prefix)
			}
		}
	}
	if apply == nil {
		return p.unknown(strings.Join(p.args, " "))
	}
	if err := p.guest.update(func(st *guestState) {
		if st.Links == nil {
			st.Links = map[string]linkChange{}
		}
		c := st.Links[dev]
		apply(&c)
		st.Links[dev] = c
	}); err != nil {
		return p.fail("%v", err)
	}
	return 0
}
