package sim

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
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
	info := map[string]any{"family": "inet", "local": a.Addr().String(), "prefixlen": a.Bits(), "scope": l.scope(a), "valid_life_time": forever, "preferred_life_time": forever}
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

// runIP is ip [-j] [-br] [-d] [-4] OBJECT [show|get|add|del|set] …
func runIP(_ context.Context, p *process) int {
	args := p.args
	var asJSON, brief, details, only4 bool
	for len(args) > 0 && strings.HasPrefix(args[0], "-") {
		switch args[0] {
		case "-j", "-json":
			asJSON = true
		case "-br", "-brief":
			brief = true
		case "-d", "-details":
			details = true
		case "-4":
			only4 = true
		case "-o", "-oneline", "-p":
			if args[0] == "-o" || args[0] == "-oneline" {
				return p.unknown(args[0])
			}
		default:
			fmt.Fprintf(p.stderr, "Option \"%s\" is unknown, try \"ip -help\".\n", args[0])
			return 255
		}
		args = args[1:]
	}
	if len(args) == 0 {
		return p.unknown("no object")
	}
	object, rest := args[0], args[1:]
	abbreviates := func(full string) bool { return strings.HasPrefix(full, object) }
	switch {
	case abbreviates("address"), abbreviates("link"):
		addresses := abbreviates("address")
		if len(rest) > 0 && !strings.HasPrefix("show", rest[0]) && !strings.HasPrefix("list", rest[0]) && rest[0] != "dev" {
			return p.ipChange(addresses, rest)
		}
		return p.ipShow(rest, addresses, asJSON, brief, details, only4)
	case abbreviates("route"):
		return p.ipRoute(rest, asJSON)
	case abbreviates("neighbour"), object == "neighbor":
		return p.ipNeighbours(rest, asJSON)
	}
	fmt.Fprintf(p.stderr, "Object \"%s\" is unknown, try \"ip help\".\n", object)
	return 1
}

// encode writes JSON on one line, as ip does.
func (p *process) encode(v any) int {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return p.fail("%v", err)
	}
	p.printf("%s", b.String())
	return 0
}

func (p *process) ipShow(args []string, addresses, asJSON, brief, details, only4 bool) int {
	args = slices.DeleteFunc(slices.Clone(args), func(a string) bool {
		return a == "show" || a == "list" || a == "dev" || a == "s" || a == "sh" || a == "ls"
	})
	links := slices.Clone(p.guest.links())
	kind := ""
	for len(args) > 0 {
		switch {
		case args[0] == "up":
			links = slices.DeleteFunc(links, func(l link) bool { return l.Down })
		case args[0] == "type" && len(args) > 1:
			kind, args = args[1], args[1:]
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
			p.printf("\n    vxlan id 1 local %s dev %s srcport 0 0 dstport 8472 nolearning ttl auto ageing 300 udpcsum noudp6zerocsumtx noudp6zerocsumrx", l.VXLAN.Local, l.VXLAN.Device)
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

func (r route) text() string {
	words := []string{r.Dst}
	add := func(name, value string) {
		if value != "" {
			words = append(words, name, value)
		}
	}
	add("via", r.Gateway)
	add("dev", r.Dev)
	add("proto", r.Protocol)
	add("scope", r.Scope)
	add("src", r.PrefSrc)
	if r.Metric != 0 {
		add("metric", strconv.Itoa(r.Metric))
	}
	words = append(words, r.Flags...)
	return strings.Join(words, " ") + " "
}

func (p *process) ipRoute(args []string, asJSON bool) int {
	if len(args) > 0 {
		switch args[0] {
		case "get":
			if len(args) < 2 {
				return p.unknown("route get")
			}
			return p.routeGet(args[1])
		case "add", "replace", "append", "del", "delete":
			return p.routeChange(args)
		}
	}
	args = slices.DeleteFunc(slices.Clone(args), func(a string) bool { return a == "show" || a == "list" || a == "sh" })
	routes := slices.Clone(p.guest.routes())
	for len(args) > 0 {
		switch {
		case args[0] == "default":
			routes = slices.DeleteFunc(routes, func(r route) bool { return r.Dst != "default" })
		case args[0] == "dev" && len(args) > 1:
			dev := args[1]
			routes = slices.DeleteFunc(routes, func(r route) bool { return r.Dev != dev })
			args = args[1:]
		default:
			return p.unknown("route " + strings.Join(args, " "))
		}
		args = args[1:]
	}
	if asJSON {
		return p.encode(append([]route{}, routes...))
	}
	for _, r := range routes {
		p.printf("%s\n", r.text())
	}
	return 0
}

func (p *process) routeGet(to string) int {
	a, err := netip.ParseAddr(to)
	if err != nil {
		fmt.Fprintf(p.stderr, "Error: any valid prefix is expected rather than \"%s\".\n", to)
		return 1
	}
	uid := 1000
	if p.session.user == "root" {
		uid = 0
	}
	if p.guest.owns(a) {
		p.printf("local %s dev lo src %s uid %d \n    cache <local> \n", a, a, uid)
		return 0
	}
	r, ok := p.guest.routeTo(a)
	if !ok {
		fmt.Fprintln(p.stderr, "RTNETLINK answers: Network is unreachable")
		return 2
	}
	via := ""
	if r.Gateway != "" {
		via = "via " + r.Gateway + " "
	}
	src := r.PrefSrc
	for _, l := range p.guest.links() {
		if ip, ok := firstIPv4(l); ok && src == "" && l.Name == r.Dev {
			src = ip.String()
		}
	}
	p.printf("%s %sdev %s src %s uid %d \n    cache \n", a, via, r.Dev, src, uid)
	return 0
}

func (p *process) notPermitted() int {
	fmt.Fprintln(p.stderr, "RTNETLINK answers: Operation not permitted")
	return 2
}

func (p *process) routeChange(args []string) int {
	if p.session.user != "root" {
		return p.notPermitted()
	}
	change := routeChange{Delete: strings.HasPrefix(args[0], "del"), Route: route{Flags: []string{}}}
	r := &change.Route
	for rest := args[1:]; len(rest) > 0; rest = rest[1:] {
		var into *string
		switch rest[0] {
		case "via":
			into = &r.Gateway
		case "dev":
			into = &r.Dev
		case "src":
			into = &r.PrefSrc
		case "proto":
			into = &r.Protocol
		case "scope":
			into = &r.Scope
		case "onlink":
			r.Flags = append(r.Flags, "onlink")
			continue
		case "metric":
			if len(rest) > 1 {
				r.Metric, _ = strconv.Atoi(rest[1])
				rest = rest[1:]
			}
			continue
		default:
			if r.Dst != "" {
				return p.unknown("route " + strings.Join(args, " "))
			}
			r.Dst = rest[0]
			continue
		}
		if len(rest) < 2 {
			fmt.Fprintln(p.stderr, "Command line is not complete. Try option \"help\"")
			return 255
		}
		*into, rest = rest[1], rest[1:]
	}
	at := slices.IndexFunc(p.guest.routes(), func(o route) bool { return sameRoute(o, *r) })
	have := at >= 0
	if change.Delete && have {
		r.Dev = p.guest.routes()[at].Dev
	}
	switch {
	case change.Delete && !have:
		fmt.Fprintln(p.stderr, "RTNETLINK answers: No such process")
		return 2
	case args[0] == "add" && have:
		fmt.Fprintln(p.stderr, "RTNETLINK answers: File exists")
		return 2
	}
	if !change.Delete && r.Dev == "" {
		gateway, err := netip.ParseAddr(r.Gateway)
		by, ok := p.guest.routeTo(gateway)
		if err != nil || !ok || by.Gateway != "" {
			fmt.Fprintln(p.stderr, "Error: Nexthop has invalid gateway.")
			return 2
		}
		r.Dev = by.Dev
	}
	if err := p.guest.update(func(st *guestState) {
		st.Routes = slices.DeleteFunc(st.Routes, func(c routeChange) bool { return sameRoute(c.Route, *r) })
		st.Routes = append(st.Routes, change)
	}); err != nil {
		return p.fail("%v", err)
	}
	return 0
}

// ipChange is ip link set|del and ip addr add|del|flush.
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
		if err != nil || n < 68 || n > 65535 {
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

// ipNeighbours shows the peers that flannel entered for flannel.1.
func (p *process) ipNeighbours(args []string, asJSON bool) int {
	args = slices.DeleteFunc(slices.Clone(args), func(a string) bool { return a == "show" || a == "dev" })
	if !slices.Equal(args, []string{"flannel.1"}) {
		return p.unknown(strings.Join(p.args, " "))
	}
	peers, ok := p.peers()
	if !ok {
		fmt.Fprintln(p.stderr, "Cannot find device \"flannel.1\"")
		return 1
	}
	all := []map[string]any{}
	for _, n := range peers {
		all = append(all, map[string]any{"dst": n.gateway, "lladdr": n.VtepMAC, "state": []string{"PERMANENT"}})
		if !asJSON {
			p.printf("%s lladdr %s PERMANENT \n", n.gateway, n.VtepMAC)
		}
	}
	if !asJSON {
		return 0
	}
	return p.encode(all)
}

type peer struct {
	*nodeRecord
	gateway string
}

func (p *process) peers() ([]peer, bool) {
	c, rec := p.guest.dataplane()
	if rec == nil {
		return nil, false
	}
	var all []peer
	for _, n := range c.state.Nodes {
		if n != rec && !n.ghost() {
			all = append(all, peer{n, n.subnet(c.state).Addr().String()})
		}
	}
	return all, true
}

// runBridge is bridge [-j] fdb show dev flannel.1.
func runBridge(_ context.Context, p *process) int {
	args := slices.DeleteFunc(slices.Clone(p.args), func(a string) bool { return a == "-j" || a == "-json" })
	if !slices.Equal(args, []string{"fdb", "show", "dev", "flannel.1"}) {
		return p.unknown(strings.Join(p.args, " "))
	}
	peers, ok := p.peers()
	if !ok {
		fmt.Fprintln(p.stderr, "Cannot find device \"flannel.1\"")
		return 1
	}
	all := []map[string]any{}
	for _, n := range peers {
		all = append(all, map[string]any{"mac": n.VtepMAC, "dst": n.PublicIP.String(), "flags": []string{"self"}, "state": "permanent"})
		if len(args) == len(p.args) {
			p.printf("%s dst %s self permanent\n", n.VtepMAC, n.PublicIP)
		}
	}
	if len(args) == len(p.args) {
		return 0
	}
	return p.encode(all)
}

// runNetplan is netplan apply: systemd-networkd makes every NIC again what the network settings say, and takes away what they do not.
func runNetplan(_ context.Context, p *process) int {
	if !slices.Equal(p.args, []string{"apply"}) {
		return p.unknown(strings.Join(p.args, " "))
	}
	if p.session.user != "root" {
		fmt.Fprintln(p.stderr, "Permission denied: netplan apply needs root")
		return 1
	}
	nics := map[string]bool{}
	for i := range p.guest.machine.NICs {
		if i < len(nicNames) {
			nics[nicNames[i]] = true
		}
	}
	if err := p.guest.update(func(st *guestState) {
		for name := range nics {
			delete(st.Links, name)
		}
		st.Routes = slices.DeleteFunc(st.Routes, func(c routeChange) bool { return nics[c.Route.Dev] })
	}); err != nil {
		return p.fail("%v", err)
	}
	return 0
}

// runSS is ss -ltn.
func runSS(_ context.Context, p *process) int {
	if !slices.Equal(p.args, []string{"-ltn"}) {
		return p.unknown(strings.Join(p.args, " "))
	}
	p.printf("State  Recv-Q Send-Q Local Address:Port  Peer Address:PortProcess\n")
	for _, port := range []uint16{22, 6443, 10250} {
		if _, err := p.guest.listener(packet{proto: "tcp", to: netip.AddrPortFrom(netip.IPv4Unspecified(), port)}); err == nil {
			p.printf("LISTEN 0      4096   %17s      0.0.0.0:*          \n", fmt.Sprintf("0.0.0.0:%d", port))
		}
	}
	return 0
}

// internalWait is how long a program of a guest waits, in the host's time, for what never comes. It reports the time that
// it would have waited: in the model only its timeouts take time.
const internalWait = 50 * time.Millisecond

// fetched is the end of one request from inside the cluster.
type fetched struct {
	status    int
	body      []byte
	header    http.Header
	err       error
	took      time.Duration // of the guest's time
	connects  int           // 0: over a connection that was there
	localPort uint16
}

// client is a program's connections: as long as it runs, it keeps the one to each host.
type client struct {
	p     *process
	agent string
	limit time.Duration
	open  map[string]connection // by scheme and host
}

type connection struct {
	answer
	port uint16
}

// fetch asks an HTTP URL from a guest, or from a pod on it.
func (c *client) fetch(ctx context.Context, target *url.URL) fetched {
	key := target.Scheme + "://" + target.Host
	conn, kept := c.open[key]
	connects := 0
	if !kept {
		to, err := c.p.target(target)
		if err != nil {
			return fetched{err: err}
		}
		sent := c.p.guest.open("tcp", c.p.session.pod, to)
		connects, conn.port = 1, sent.from.Port()
		conn.answer, err = c.p.guest.connect(sent)
		if errors.Is(err, errLost) || err == nil && conn.handler == nil {
			if err := wait(ctx, min(c.limit, internalWait)); err != nil {
				return fetched{err: err}
			}
			return fetched{err: errLost, took: c.limit}
		}
		if err != nil {
			return fetched{err: err}
		}
		if c.open == nil {
			c.open = map[string]connection{}
		}
		c.open[key] = conn
	}
	r := fetched{status: http.StatusOK, took: answerTime, connects: connects, localPort: conn.port}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	if err != nil {
		return fetched{err: err}
	}
	request.Header.Set("User-Agent", c.agent)
	request.Header.Set("Accept", "*/*")
	request.RemoteAddr = conn.client.String()
	if conn.certificate != nil && target.Scheme != "https" {
		r.status, r.body = http.StatusBadRequest, []byte("Client sent an HTTP request to an HTTPS server.\n")
		return r
	}
	w := &memoryResponse{header: http.Header{}, status: http.StatusOK}
	conn.handler.ServeHTTP(w, request)
	r.status, r.body, r.header = w.status, w.body.Bytes(), w.header
	return r
}

// errNoName says that a name does not resolve.
var errNoName = errors.New("no such host")

func (p *process) target(u *url.URL) (netip.AddrPort, error) {
	port := uint16(80)
	if u.Scheme == "https" {
		port = 443
	}
	if s := u.Port(); s != "" {
		n, err := portOf(s)
		if err != nil {
			return netip.AddrPort{}, err
		}
		port = n
	}
	if a, err := netip.ParseAddr(u.Hostname()); err == nil {
		return netip.AddrPortFrom(a, port), nil
	}
	if p.session.pod != nil {
		a, err := p.resolve(u.Hostname())
		return netip.AddrPortFrom(a, port), err
	}
	a, err := p.guest.lookup(u.Hostname())
	if err != nil {
		return netip.AddrPort{}, errNoName
	}
	return netip.AddrPortFrom(a, port), nil
}

// resolve asks the cluster's DNS from a pod: SERVICE[.NAMESPACE[.svc[.cluster.local]]].
func (p *process) resolve(name string) (netip.Addr, error) {
	c, _ := p.guest.dataplane()
	if c == nil {
		return netip.Addr{}, errNoName
	}
	server, err := netip.ParseAddr(c.state.Settings.serviceIP(10))
	if err != nil {
		return netip.Addr{}, err
	}
	if _, err := p.guest.connect(p.guest.open("udp", p.session.pod, netip.AddrPortFrom(server, 53))); err != nil {
		return netip.Addr{}, errLost
	}
	name = strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(name, "."), ".cluster.local"), ".svc"), ".")
	service, namespace, ok := strings.Cut(name, ".")
	if !ok {
		namespace = p.session.pod.Namespace
	}
	if o := c.state.object("Service", namespace, service); o != nil {
		if a, ok := clusterIP(o); ok {
			return a, nil
		}
	}
	return netip.Addr{}, errNoName
}

// memoryResponse is an http.ResponseWriter without a connection.
type memoryResponse struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (m *memoryResponse) Header() http.Header         { return m.header }
func (m *memoryResponse) WriteHeader(status int)      { m.status = status }
func (m *memoryResponse) Write(b []byte) (int, error) { return m.body.Write(b) }

// runCurl is curl with one or more http and https URLs.
func runCurl(ctx context.Context, p *process) int {
	given, args, err := options(p.args, "s S m= o= w= k f L I v i silent show-error max-time= connect-timeout= output= write-out= insecure fail location retry= noproxy= H= 4 fail-early")
	if err != nil {
		fmt.Fprintf(p.stderr, "curl: %v\ncurl: try 'curl --help' for more information\n", err)
		return 2
	}
	if len(args) == 0 {
		fmt.Fprintln(p.stderr, "curl: no URL specified!")
		return 2
	}
	c := &client{p: p, agent: "curl/7.81.0", limit: 130 * time.Second} // the kernel's own for connecting
	for _, flag := range []string{"m", "max-time", "connect-timeout"} {
		if v, ok := given[flag]; ok {
			d, err := duration(v)
			if err != nil {
				return p.usage(err)
			}
			c.limit = min(c.limit, d)
		}
	}
	status := 0
	for n, raw := range args {
		output := ""
		if n == 0 { // -o is for one URL
			output = given["o"] + given["output"]
		}
		status = c.curl(ctx, raw, given, output)
		if _, early := given["fail-early"]; early && status != 0 {
			break
		}
	}
	return status
}

// curl is one of curl's transfers; it returns curl's exit status.
func (c *client) curl(ctx context.Context, raw string, given map[string]string, output string) int {
	p := c.p
	if !strings.Contains(raw, "://") {
		raw = "http://" + raw
	}
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" {
		fmt.Fprintf(p.stderr, "curl: (3) URL using bad/illegal format or missing URL\n")
		return 3
	}
	r := c.fetch(ctx, u)
	status, message := curlError(r, u, c.limit)
	if r.err == nil && u.Scheme == "https" && !is(given, "k", "insecure") {
		status, message = 60, "SSL certificate problem: self-signed certificate in certificate chain"
		r.status = 0
	}
	if r.err == nil && r.status >= 400 && is(given, "f", "fail") {
		status, message = 22, fmt.Sprintf("The requested URL returned error: %d", r.status)
	}
	if status == 0 {
		body := r.body
		if is(given, "I", "i") {
			var head bytes.Buffer
			fmt.Fprintf(&head, "HTTP/1.1 %d %s\r\n", r.status, http.StatusText(r.status))
			if err := r.header.Write(&head); err != nil {
				return p.fail("%v", err)
			}
			head.WriteString("\r\n")
			if body = head.Bytes(); is(given, "i") {
				body = append(body, r.body...)
			}
		}
		switch output {
		case "":
			if _, err := p.stdout.Write(body); err != nil {
				return 23
			}
		case "/dev/null":
		default:
			if err := p.put(p.path(output), body, nil); err != nil {
				fmt.Fprintln(p.stderr, "curl: (23) Failure writing output to destination")
				return 23
			}
		}
	}
	if format := given["w"] + given["write-out"]; format != "" {
		code := fmt.Sprintf("%03d", r.status)
		p.printf("%s", strings.NewReplacer("%{http_code}", code, "%{response_code}", code, "%{time_total}", fmt.Sprintf("%.6f", r.took.Seconds()),
			"%{local_port}", fmt.Sprint(r.localPort), "%{num_connects}", fmt.Sprint(r.connects), "%{exitcode}", fmt.Sprint(status), `\n`, "\n", `\t`, "\t").Replace(format))
	}
	if status != 0 && (!is(given, "s", "silent") || is(given, "S", "show-error")) {
		fmt.Fprintf(p.stderr, "curl: (%d) %s\n", status, message)
	}
	return status
}

// curlError is curl's exit status and message for a failed request.
func curlError(r fetched, u *url.URL, limit time.Duration) (int, string) {
	port := cmpString(u.Port(), map[string]string{"http": "80", "https": "443"}[u.Scheme])
	switch {
	case r.err == nil:
		return 0, ""
	case errors.Is(r.err, errNoName):
		return 6, "Could not resolve host: " + u.Hostname()
	case errors.Is(r.err, errLost):
		return 28, fmt.Sprintf("Connection timed out after %d milliseconds", limit.Milliseconds())
	case errnoOf(r.err) == syscall.ECONNREFUSED:
		return 7, fmt.Sprintf("Failed to connect to %s port %s after 0 ms: Connection refused", u.Hostname(), port)
	case errnoOf(r.err) == syscall.EHOSTUNREACH:
		return 7, fmt.Sprintf("Failed to connect to %s port %s after 3000 ms: No route to host", u.Hostname(), port)
	case errnoOf(r.err) == syscall.ENETUNREACH:
		return 7, fmt.Sprintf("Failed to connect to %s port %s after 0 ms: Network is unreachable", u.Hostname(), port)
	}
	return 56, r.err.Error()
}
