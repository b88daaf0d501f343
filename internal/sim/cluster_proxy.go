package sim

import (
	"cmp"
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
)

// What kube-proxy v1.34, flannel and the CNI plugin portmap write into a node's kernel.
// Source: https://github.com/kubernetes/kubernetes/blob/v1.34.3/pkg/proxy/iptables/proxier.go (and ipvs/proxier.go),
// https://github.com/flannel-io/flannel/blob/master/pkg/trafficmngr/iptables/iptables.go.

// proxyRules keeps the rules that kube-proxy writes alike on every node that knows the same of the cluster's services, by mode and by
// whose knowledge it is.
type proxyRules struct {
	mu    sync.Mutex
	modes map[string]firewall
}

func newProxyRules() *proxyRules { return &proxyRules{modes: map[string]firewall{}} }

// writeRules adds to a node's kernel what k3s writes there.
func (c *cluster) writeRules(f firewall, rec *nodeRecord) {
	served, of := c.servedOn(rec)
	c.rules.mu.Lock()
	for _, mode := range rec.Modes {
		key := mode + "/" + of
		if c.rules.modes[key] == nil {
			shared := firewall{"nat": {}, "filter": {}, "mangle": {}}
			if mode == "ipvs" {
				c.ipvsRules(shared)
			} else {
				c.iptablesRules(shared, served)
			}
			c.rules.modes[key] = shared
		}
		for table, chains := range c.rules.modes[key] {
			for chain, rules := range chains {
				if have := f[table][chain]; len(have) > 0 {
					rules = slices.DeleteFunc(slices.Clone(rules), func(r rule) bool {
						return slices.ContainsFunc(have, func(o rule) bool { return o.text == r.text })
					})
					rules = slices.Concat(have, rules)
				}
				f[table][chain] = slices.Clip(rules) // other nodes share it
			}
		}
	}
	c.rules.mu.Unlock()
	if slices.Contains(rec.Modes, "iptables") {
		localRules(f, rec, served)
	}
	c.hostPorts(f, rec)
	flannelRules(f, c.state.Settings.ClusterCIDR, rec.subnet(c.state))
}

// chainName ends a chain's name in a hash, so that it is short enough for the kernel.
func chainName(prefix string, parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "")))
	return prefix + base32.StdEncoding.EncodeToString(sum[:])[:16]
}

// stickySeconds is how long ClientIP affinity lasts.
const stickySeconds = 10800

func (c *cluster) iptablesRules(f firewall, served []servedPort) {
	pods := c.state.Settings.ClusterCIDR
	f.add("mangle", "KUBE-IPTABLES-HINT", "KUBE-KUBELET-CANARY", "KUBE-PROXY-CANARY")
	f.add("nat", "KUBE-KUBELET-CANARY", "KUBE-PROXY-CANARY",
		`PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES`,
		`OUTPUT -m comment --comment "kubernetes service portals" -j KUBE-SERVICES`,
		`POSTROUTING -m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING`,
		"KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000",
		"KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN",
		"KUBE-POSTROUTING -j MARK --set-xmark 0x4000/0x0",
		`KUBE-POSTROUTING -m comment --comment "kubernetes service traffic requiring SNAT" -j MASQUERADE --random-fully`,
		"KUBE-NODEPORTS", "KUBE-SERVICES")
	filterRules(f)
	for _, p := range served {
		name, proto := p.Name, p.Proto
		svc, ext := chainName("KUBE-SVC-", name, proto), chainName("KUBE-EXT-", name, proto)
		to := func(addr netip.Addr, why string, port int) string {
			return fmt.Sprintf(`-d %s/32 -p %s -m comment --comment "%s %s" -m %s --dport %d`, addr, proto, name, why, proto, port)
		}
		nodePort := func(why string) string {
			return fmt.Sprintf(`-p %s -m comment --comment "%s" -m %s --dport %d`, proto, name+why, proto, p.NodePort)
		}
		if len(p.Ready) == 0 {
			f.add("filter", "KUBE-SERVICES "+to(p.IP, "has no endpoints", p.Port)+" -j REJECT --reject-with icmp-port-unreachable")
			if p.NodePort != 0 {
				f.add("filter", "KUBE-EXTERNAL-SERVICES -p "+proto+` -m comment --comment "`+name+` has no endpoints" -m addrtype --dst-type LOCAL -m `+
					fmt.Sprintf("%s --dport %d -j REJECT --reject-with icmp-port-unreachable", proto, p.NodePort))
			}
			for _, a := range p.Ingress {
				f.add("filter", "KUBE-EXTERNAL-SERVICES "+to(a, "has no endpoints", p.Port)+" -j REJECT --reject-with icmp-port-unreachable")
			}
			continue
		}
		f.add("nat", "KUBE-SERVICES "+to(p.IP, "cluster IP", p.Port)+" -j "+svc,
			fmt.Sprintf("%s ! -s %s %s -j KUBE-MARK-MASQ", svc, pods, to(p.IP, "cluster IP", p.Port)))
		f.endpointRules(svc, name, proto, p.Ready, p.Sticky)
		if p.NodePort == 0 {
			continue
		}
		for _, a := range p.Ingress {
			f.add("nat", "KUBE-SERVICES "+to(a, "loadbalancer IP", p.Port)+" -j "+ext)
		}
		f.add("nat", "KUBE-NODEPORTS "+nodePort("")+" -j "+ext)
		if !p.Local {
			f.add("nat", fmt.Sprintf(`%s -m comment --comment "masquerade traffic for %s external destinations" -j KUBE-MARK-MASQ`, ext, name), ext+" -j "+svc)
			continue
		}
		f.add("nat", fmt.Sprintf(`%s -s %s -m comment --comment "pod traffic for %s external destinations" -j %s`, ext, pods, name, svc),
			fmt.Sprintf(`%s -m comment --comment "masquerade LOCAL traffic for %s external destinations" -m addrtype --src-type LOCAL -j KUBE-MARK-MASQ`, ext, name),
			fmt.Sprintf(`%s -m comment --comment "route LOCAL traffic for %s external destinations" -m addrtype --src-type LOCAL -j %s`, ext, name, svc))
	}
	f.add("nat", `KUBE-SERVICES -m comment --comment "kubernetes service nodeports; NOTE: this must be the last rule in this chain" -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS`)
}

// endpointRules let a chain lead to endpoints, to each with the same chance.
func (f firewall) endpointRules(chain, name, proto string, ready []servedEndpoint, sticky bool) {
	at := func(e servedEndpoint) (string, string) {
		to := e.Addr.String()
		return to, chainName("KUBE-SEP-", name, proto, to)
	}
	for _, e := range ready {
		to, sep := at(e)
		if sticky {
			f.add("nat", fmt.Sprintf(`%s -m comment --comment "%s -> %s" -m recent --rcheck --seconds %d --reap --name %s --mask 255.255.255.255 --rsource -j %s`,
				chain, name, to, stickySeconds, sep, sep))
		}
	}
	for i, e := range ready {
		to, sep := at(e)
		chance := ""
		if left := len(ready) - i; left > 1 {
			chance = fmt.Sprintf("-m statistic --mode random --probability %.10f ", 1/float64(left))
		}
		f.add("nat", fmt.Sprintf(`%s -m comment --comment "%s -> %s" %s-j %s`, chain, name, to, chance, sep))
		if _, there := f["nat"][sep]; there {
			continue
		}
		list := ""
		if sticky {
			list = fmt.Sprintf("-m recent --set --name %s --mask 255.255.255.255 --rsource ", sep)
		}
		f.add("nat", fmt.Sprintf(`%s -s %s/32 -m comment --comment "%s" -j KUBE-MARK-MASQ`, sep, e.Addr.Addr(), name),
			fmt.Sprintf(`%s -p %s -m comment --comment "%s" %s-m %s -j DNAT --to-destination %s`, sep, proto, name, list, proto, to))
	}
}

// localRules are those of services with externalTrafficPolicy Local, which each node has only for its own pods.
func localRules(f firewall, rec *nodeRecord, served []servedPort) {
	for _, p := range served {
		if !p.Local || p.NodePort == 0 || len(p.Ready) == 0 {
			continue
		}
		name, proto, here := p.Name, p.Proto, p.on(rec.Name)
		if len(here) == 0 {
			f.add("filter", fmt.Sprintf(`KUBE-EXTERNAL-SERVICES -p %s -m comment --comment "%s has no local endpoints" -m addrtype --dst-type LOCAL -m %s --dport %d -j DROP`, proto, name, proto, p.NodePort))
			for _, a := range p.Ingress {
				f.add("filter", fmt.Sprintf(`KUBE-EXTERNAL-SERVICES -d %s/32 -p %s -m comment --comment "%s has no local endpoints" -m %s --dport %d -j DROP`, a, proto, name, proto, p.Port))
			}
			continue
		}
		svl, ext := chainName("KUBE-SVL-", name, proto), chainName("KUBE-EXT-", name, proto)
		f.add("nat", ext+" -j "+svl)
		f.endpointRules(svl, name, proto, here, p.Sticky)
	}
}

// filterRules are kube-proxy's in the table filter, but for those of services without endpoints.
func filterRules(f firewall) {
	f.add("filter", "KUBE-EXTERNAL-SERVICES", "KUBE-KUBELET-CANARY", "KUBE-NODEPORTS", "KUBE-PROXY-CANARY", "KUBE-PROXY-FIREWALL", "KUBE-SERVICES",
		`INPUT -m conntrack --ctstate NEW -m comment --comment "kubernetes load balancer firewall" -j KUBE-PROXY-FIREWALL`,
		`INPUT -m comment --comment "kubernetes health check service ports" -j KUBE-NODEPORTS`,
		`INPUT -m conntrack --ctstate NEW -m comment --comment "kubernetes externally-visible service portals" -j KUBE-EXTERNAL-SERVICES`,
		"INPUT -j KUBE-FIREWALL",
		`FORWARD -m conntrack --ctstate NEW -m comment --comment "kubernetes load balancer firewall" -j KUBE-PROXY-FIREWALL`,
		`FORWARD -m comment --comment "kubernetes forwarding rules" -j KUBE-FORWARD`,
		`FORWARD -m conntrack --ctstate NEW -m comment --comment "kubernetes service portals" -j KUBE-SERVICES`,
		`FORWARD -m conntrack --ctstate NEW -m comment --comment "kubernetes externally-visible service portals" -j KUBE-EXTERNAL-SERVICES`,
		`OUTPUT -m conntrack --ctstate NEW -m comment --comment "kubernetes load balancer firewall" -j KUBE-PROXY-FIREWALL`,
		`OUTPUT -m conntrack --ctstate NEW -m comment --comment "kubernetes service portals" -j KUBE-SERVICES`,
		"OUTPUT -j KUBE-FIREWALL",
		`KUBE-FIREWALL ! -s 127.0.0.0/8 -d 127.0.0.0/8 -m comment --comment "block incoming localnet connections" -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP`,
		"KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP",
		`KUBE-FORWARD -m comment --comment "kubernetes forwarding rules" -m mark --mark 0x4000/0x4000 -j ACCEPT`,
		`KUBE-FORWARD -m comment --comment "kubernetes forwarding conntrack rule" -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT`)
}

// ipvsRules masquerade; the rest is IPVS's.
func (c *cluster) ipvsRules(f firewall) {
	f.add("mangle", "KUBE-IPTABLES-HINT", "KUBE-KUBELET-CANARY")
	f.add("nat", "KUBE-KUBELET-CANARY",
		`PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES`,
		`OUTPUT -m comment --comment "kubernetes service portals" -j KUBE-SERVICES`,
		`POSTROUTING -m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING`,
		"KUBE-LOAD-BALANCER -j KUBE-MARK-MASQ",
		"KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000",
		`KUBE-NODE-PORT -p tcp -m comment --comment "Kubernetes nodeport TCP port for masquerade purpose" -m set --match-set KUBE-NODE-PORT-TCP dst -j KUBE-MARK-MASQ`,
		`KUBE-POSTROUTING -m comment --comment "Kubernetes endpoints dst ip:port, source ip for solving hairpin purpose" -m set --match-set KUBE-LOOP-BACK dst,dst,src -j MASQUERADE`,
		"KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN",
		"KUBE-POSTROUTING -j MARK --set-xmark 0x4000/0x0",
		`KUBE-POSTROUTING -m comment --comment "kubernetes service traffic requiring SNAT" -j MASQUERADE --random-fully`,
		"KUBE-SERVICES -s 127.0.0.0/8 -j RETURN",
		fmt.Sprintf(`KUBE-SERVICES ! -s %s -m comment --comment "Kubernetes service cluster ip + port for masquerade purpose" -m set --match-set KUBE-CLUSTER-IP dst,dst -j KUBE-MARK-MASQ`, c.state.Settings.ClusterCIDR),
		"KUBE-SERVICES -m addrtype --dst-type LOCAL -j KUBE-NODE-PORT",
		"KUBE-SERVICES -m set --match-set KUBE-CLUSTER-IP dst,dst -j ACCEPT")
	f.add("filter", "KUBE-KUBELET-CANARY",
		`INPUT -m comment --comment "kubernetes ipvs access filter" -j KUBE-IPVS-FILTER`,
		`INPUT -m comment --comment "kube-proxy firewall rules" -j KUBE-PROXY-FIREWALL`,
		`INPUT -m comment --comment "kubernetes health check rules" -j KUBE-NODE-PORT`,
		`FORWARD -m comment --comment "kube-proxy firewall rules" -j KUBE-PROXY-FIREWALL`,
		`FORWARD -m comment --comment "kubernetes forwarding rules" -j KUBE-FORWARD`,
		`KUBE-FORWARD -m comment --comment "kubernetes forwarding rules" -m mark --mark 0x4000/0x4000 -j ACCEPT`,
		`KUBE-FORWARD -m comment --comment "kubernetes forwarding conntrack rule" -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT`,
		"KUBE-IPVS-FILTER", "KUBE-NODE-PORT", "KUBE-PROXY-FIREWALL")
}

// hostPorts are the rules of the CNI plugin portmap for pods that ask for ports of their node, as ServiceLB's do.
func (c *cluster) hostPorts(f firewall, rec *nodeRecord) {
	var lines []string
	for _, p := range c.podsOn(rec.Name) {
		ports := map[string][]string{} // by protocol
		chain := "CNI-DN-" + hexOf(21, "portmap", p.UID)
		var own []string
		for _, h := range p.hostPorts() {
			ports[h.proto] = append(ports[h.proto], fmt.Sprint(h.port))
			match := fmt.Sprintf("-p %s -m %[1]s --dport %d", h.proto, h.port)
			own = append(own, fmt.Sprintf("%s -s %s %s -j CNI-HOSTPORT-SETMARK", chain, rec.subnet(c.state), match),
				fmt.Sprintf("%s -s 127.0.0.1/32 %s -j CNI-HOSTPORT-SETMARK", chain, match),
				fmt.Sprintf("%s %s -j DNAT --to-destination %s:%d", chain, match, p.IP, h.into))
		}
		for _, proto := range sortedKeys(ports) {
			lines = append(lines, fmt.Sprintf(`CNI-HOSTPORT-DNAT -p %s -m comment --comment "dnat name: \"cbr0\" id: \"%s\"" -m multiport --dports %s -j %s`,
				proto, hexOf(64, p.UID), strings.Join(ports[proto], ","), chain))
		}
		lines = append(lines, own...)
	}
	if lines == nil {
		return
	}
	f.add("nat", "PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT", "OUTPUT -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT",
		`POSTROUTING -m comment --comment "CNI portfwd requiring masquerade" -j CNI-HOSTPORT-MASQ`,
		"CNI-HOSTPORT-MASQ -m mark --mark 0x2000/0x2000 -j MASQUERADE",
		`CNI-HOSTPORT-SETMARK -m comment --comment "CNI portfwd masquerade mark" -j MARK --set-xmark 0x2000/0x2000`)
	f.add("nat", lines...)
}

func flannelRules(f firewall, network, own netip.Prefix) {
	const why = `-m comment --comment "flanneld masq"`
	f.add("nat", "POSTROUTING "+why+" -j FLANNEL-POSTRTG",
		"FLANNEL-POSTRTG -m mark --mark 0x4000/0x4000 "+why+" -j RETURN",
		fmt.Sprintf("FLANNEL-POSTRTG -s %s -d %s %s -j RETURN", own, network, why),
		fmt.Sprintf("FLANNEL-POSTRTG -s %s -d %s %s -j RETURN", network, own, why),
		fmt.Sprintf("FLANNEL-POSTRTG ! -s %s -d %s %s -j RETURN", network, own, why),
		fmt.Sprintf("FLANNEL-POSTRTG -s %s ! -d 224.0.0.0/4 %s -j MASQUERADE --random-fully", network, why),
		fmt.Sprintf("FLANNEL-POSTRTG ! -s %s -d %s %s -j MASQUERADE --random-fully", network, network, why))
	f.add("filter", `FORWARD -m comment --comment "flanneld forward" -j FLANNEL-FWD`,
		fmt.Sprintf(`FLANNEL-FWD -s %s -m comment --comment "flanneld forward" -j ACCEPT`, network),
		fmt.Sprintf(`FLANNEL-FWD -d %s -m comment --comment "flanneld forward" -j ACCEPT`, network))
}

// The schedulers of the simulated kernel. With connections that are over at once and count alike, all of them take turns.
const (
	schedulers       = "rr wrr lc wlc"
	defaultScheduler = "rr" // kube-proxy's
)

// virtualServer is one of IPVS's.
type virtualServer struct {
	proto  string
	addr   netip.AddrPort
	sched  string
	sticky bool
	local  bool // it keeps the sender's address
	real   []netip.AddrPort
}

func (v virtualServer) key() string { return v.proto + "/" + v.addr.String() }

// virtualServers are those of the guest's kernel, in the order of ipvsadm.
func (g *guest) virtualServers() []virtualServer {
	c, rec := g.dataplane()
	if rec == nil || !slices.Contains(rec.Modes, "ipvs") {
		return nil
	}
	var nodeIPs []netip.Addr
	for _, l := range g.links() {
		for _, a := range l.Addresses {
			if a.Addr().Is4() && l.Kind != "loopback" && l.Kind != "dummy" {
				nodeIPs = append(nodeIPs, a.Addr())
			}
		}
	}
	var all []virtualServer
	served, _ := c.servedOn(rec)
	for _, p := range served {
		var every, here []netip.AddrPort
		for _, e := range p.Ready {
			every = append(every, e.Addr)
		}
		if here = every; p.Local {
			here = nil
			for _, e := range p.on(rec.Name) {
				here = append(here, e.Addr)
			}
		}
		add := func(addr netip.Addr, port int, real []netip.AddrPort, external bool) {
			v := virtualServer{proto: p.Proto, addr: netip.AddrPortFrom(addr, uint16(port)), sched: cmp.Or(rec.Scheduler, defaultScheduler),
				sticky: p.Sticky, local: external && p.Local, real: slices.Clone(real)}
			if slices.Contains(g.state.Unserved, v.key()) {
				return
			}
			v.real = slices.DeleteFunc(v.real, func(r netip.AddrPort) bool { return slices.Contains(g.state.Unserved, v.key()+"/"+r.String()) })
			all = append(all, v)
		}
		add(p.IP, p.Port, every, false)
		for _, a := range p.Ingress {
			add(a, p.Port, here, true)
		}
		for _, a := range nodeIPs {
			if p.NodePort != 0 {
				add(a, p.NodePort, here, true)
			}
		}
	}
	slices.SortFunc(all, func(a, b virtualServer) int {
		if c := strings.Compare(a.proto, b.proto); c != 0 {
			return c
		}
		return a.addr.Compare(b.addr)
	})
	return all
}
