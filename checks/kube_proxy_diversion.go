package checks

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/labctl/labctl/internal/config"
)

// traffic is the packets of a kind. That kube-proxy's rules are all there says nothing where a rule before them takes its packets away.
type traffic struct {
	to    netip.Prefix
	port  int  // 0: any, of any protocol; otherwise it is TCP
	local bool // to is the node's own
}

// serviceTraffic is what is for a ClusterIP and port.
func serviceTraffic(to netip.AddrPort) traffic {
	return traffic{to: netip.PrefixFrom(to.Addr(), to.Addr().BitLen()), port: int(to.Port())}
}

// nodePortTraffic is what is for the lab's NodePort on a node.
func (f Facts) nodePortTraffic(n config.Node) traffic {
	return traffic{to: netip.PrefixFrom(n.Address, n.Address.BitLen()), port: f.Lab.Demo.NodePort, local: true}
}

func (t traffic) String() string {
	if t.port == 0 {
		return t.to.String()
	}
	return netip.AddrPortFrom(t.to.Addr(), uint16(t.port)).String()
}

// meets says whether a rule may be about such packets. Conditions that are not known are taken to be met by some.
func (t traffic) meets(r NATRule) bool {
	return (!r.To.IsValid() || r.To.Overlaps(t.to)) && (r.Port == 0 || t.port == 0 || r.Port == t.port) &&
		(r.Protocol == "" || t.port == 0 || r.Protocol == "tcp") && (t.local || !r.Local)
}

// targetReturn ends the way through a chain.
const targetReturn = "RETURN"

// ends says whether a rule's target ends the way through the whole table.
func (r NATRule) ends() bool {
	return slices.Contains([]string{"ACCEPT", "DROP", "REJECT", "DNAT", "REDIRECT", "NETMAP", "QUEUE", "NFQUEUE"}, r.Jump)
}

// diverted returns the rule by which such packets leave before they have met all of these, which are of one chain or of several that
// follow each other.
func (t traffic) diverted(rules, before []NATRule) (NATRule, bool) {
	for _, r := range before {
		if !t.meets(r) {
			continue
		}
		if r.Jump == targetReturn || r.ends() {
			return r, true
		}
		if away, ok := t.endedIn(rules, r.Jump, map[string]bool{}); ok {
			return away, true
		}
	}
	return NATRule{}, false
}

// endedIn returns the rule of a chain, or of one that it leads to, that ends the way of such packets. RETURN only leads back.
func (t traffic) endedIn(rules []NATRule, name string, seen map[string]bool) (NATRule, bool) {
	if seen[name] {
		return NATRule{}, false
	}
	seen[name] = true
	for _, r := range chain(rules, name) {
		if !t.meets(r) {
			continue
		}
		if r.ends() {
			return r, true
		}
		if away, ok := t.endedIn(rules, r.Jump, seen); ok {
			return away, true
		}
	}
	return NATRule{}, false
}

// strays returns the rule that takes packets for a service away between KUBE-SERVICES and the new destination, other than to an endpoint.
// entry is the rule that leads to the service's chain.
func (t traffic) strays(rules []NATRule, entry NATRule) (NATRule, bool) {
	services := chain(rules, chainServices)
	before := services[:slices.IndexFunc(services, func(r NATRule) bool { return r.Line == entry.Line && r.Jump == entry.Jump })]
	for _, r := range chain(rules, entry.Jump) {
		if !strings.HasPrefix(r.Jump, chainEndpoint) {
			before = append(slices.Clip(before), r)
			continue
		}
		own := chain(rules, r.Jump)
		if i := slices.IndexFunc(own, func(e NATRule) bool { return e.Jump == "DNAT" && !e.Narrow }); i >= 0 {
			before = append(slices.Clip(before), own[:i]...)
		}
	}
	return t.diverted(rules, before)
}

// judgeRewritten judges that iptables gives what is for a virtual server no other destination: its turn is before that of IPVS.
func judgeRewritten(j *judgements, n config.Node, nat Fact[[]NATRule], at netip.AddrPort) {
	if !nat.Known {
		j.unknown(n.Name, nat.why(), nat.From)
		return
	}
	t := traffic{to: netip.PrefixFrom(at.Addr(), at.Addr().BitLen()), port: int(at.Port()), local: true} // on kube-ipvs0, if not on a NIC
	for _, hook := range []string{"PREROUTING", "OUTPUT"} {
		if r, ok := t.rewritten(nat.Value, hook, map[string]bool{}); ok {
			j.judge(false, fmt.Sprintf("%s %s comes to IPVS", n.Name, at), fmt.Sprintf("%s %s: a rule of iptables gives packets to %s another destination", n.Name, hook, at), nat.From.showing(r.Line))
		}
	}
}

// rewritten returns the rule of a chain, or of one that it leads to, that gives such packets another destination.
func (t traffic) rewritten(rules []NATRule, name string, seen map[string]bool) (NATRule, bool) {
	if seen[name] {
		return NATRule{}, false
	}
	seen[name] = true
	for _, r := range chain(rules, name) {
		if !t.meets(r) {
			continue
		}
		if slices.Contains([]string{"DNAT", "REDIRECT", "NETMAP"}, r.Jump) {
			return r, true
		}
		if away, ok := t.rewritten(rules, r.Jump, seen); ok {
			return away, true
		}
	}
	return NATRule{}, false
}
