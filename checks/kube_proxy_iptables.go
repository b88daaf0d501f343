package checks

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"

	"github.com/labctl/labctl/internal/config"
)

// kube-proxy's chains in the nat table. The names of a service's and of an endpoint's chain end in a hash.
const (
	chainServices  = "KUBE-SERVICES"
	chainNodePorts = "KUBE-NODEPORTS"
	chainService   = "KUBE-SVC-"
	chainEndpoint  = "KUBE-SEP-"
)

// isServiceChain says whether a rule of KUBE-SERVICES leads to a service's endpoints.
func isServiceChain(name string) bool { return strings.HasPrefix(name, chainService) }

const hintRules = "labctl ssh NODE -- sudo iptables-save -t nat shows the rules; restarting k3s (k3s-agent on a worker) makes kube-proxy write them anew"

// eachNAT calls judge with the nat table of every node, in iptables mode.
func eachNAT(f Facts, j *judgements, judge func(config.Node, []NATRule, Source)) {
	for _, n := range f.Lab.Nodes {
		nat := f.Nodes[n.Name].NAT
		if !nat.Known {
			j.unknown(n.Name, nat.why(), nat.From)
			continue
		}
		judge(n, nat.Value, nat.From)
	}
}

func evalHooks(f Facts) Result {
	if f.Lab.K3s.KubeProxyMode != config.ProxyIPTables {
		return otherMode(f)
	}
	var j judgements
	eachNAT(f, &j, func(n config.Node, rules []NATRule, from Source) {
		for _, hook := range []string{"PREROUTING", "OUTPUT"} {
			expected := fmt.Sprintf("%s %s -> %s", n.Name, hook, chainServices)
			all := chain(rules, hook)
			i := slices.IndexFunc(all, func(r NATRule) bool { return r.Jump == chainServices && r.takesAll() })
			if i < 0 {
				if i = slices.IndexFunc(all, func(r NATRule) bool { return r.Jump == chainServices }); i >= 0 {
					j.judge(false, expected, fmt.Sprintf("%s %s leads to %s under a condition only", n.Name, hook, chainServices), from.showing(all[i].Line))
				} else {
					j.judge(false, expected, fmt.Sprintf("%s %s does not lead to %s", n.Name, hook, chainServices), from)
				}
				continue
			}
			before := slices.DeleteFunc(all[:i:i], func(r NATRule) bool { return r.Jump == chainServices })
			for _, t := range []traffic{{to: f.Lab.K3s.ServiceCIDR.Masked()}, f.nodePortTraffic(n)} {
				if r, ok := t.diverted(rules, before); ok {
					j.judge(false, expected, fmt.Sprintf("%s %s: a rule before that one takes packets to %s away", n.Name, hook, t), from.showing(r.Line, all[i].Line))
				}
			}
			j.judge(true, expected, expected, from.showing(all[i].Line))
		}
	})
	return j.result(hintRules)
}

// takesAll says whether every packet that meets the rule follows it.
func (r NATRule) takesAll() bool {
	return r.Protocol == "" && !r.To.IsValid() && r.Port == 0 && r.Probability == 1 && !r.Sticky && !r.Narrow
}

// chain returns the rules of a chain.
func chain(rules []NATRule, name string) []NATRule {
	var out []NATRule
	for _, r := range rules {
		if r.Chain == name {
			out = append(out, r)
		}
	}
	return out
}

// serviceChain returns the chain to which KUBE-SERVICES sends what is for a ClusterIP and port, and the rule that does.
func serviceChain(rules []NATRule, to netip.AddrPort) (NATRule, bool) {
	for _, r := range chain(rules, chainServices) {
		if isServiceChain(r.Jump) && !r.Narrow && r.Protocol == "tcp" && r.Port == int(to.Port()) && r.To.IsSingleIP() && r.To.Addr() == to.Addr() {
			return r, true
		}
	}
	return NATRule{}, false
}

// leadsTo says whether a chain leads to another one, directly or by chains between (KUBE-EXT-… in newer versions, KUBE-XLB-… in older).
func leadsTo(rules []NATRule, from, to string) bool {
	seen := map[string]bool{}
	next := []string{from}
	for len(next) > 0 {
		name := next[0]
		next = next[1:]
		if name == to {
			return true
		}
		if seen[name] {
			continue
		}
		seen[name] = true
		for _, r := range chain(rules, name) {
			next = append(next, r.Jump)
		}
	}
	return false
}

// share is how much of the new connections an endpoint gets.
type share struct {
	rule     NATRule
	endpoint netip.AddrPort // the zero AddrPort if its rule could not be read
	part     float64
}

// shares follows a service's chain: each rule takes its probability of what the ones before have left.
func shares(rules []NATRule, service string) []share {
	var out []share
	left := 1.0
	for _, r := range chain(rules, service) {
		if !strings.HasPrefix(r.Jump, chainEndpoint) || r.Sticky || r.Narrow {
			continue
		}
		s := share{rule: r, part: left * r.Probability}
		left -= s.part
		for _, e := range chain(rules, r.Jump) {
			if e.Jump == "DNAT" && !e.Narrow {
				s.endpoint = e.DNAT
				break // the first one decides
			}
		}
		out = append(out, s)
	}
	return out
}

// demoServices calls judge with web-svc and hello-svc, their targets and their ready endpoints, as the EndpointSlices have them.
func demoServices(f Facts, j *judgements, judge func(s Service, target netip.AddrPort, ready []netip.AddrPort)) {
	if endpoints := f.Cluster.Slices; !endpoints.Known && f.Cluster.Services.Known {
		j.unknown("", endpoints.why(), endpoints.From)
		return
	}
	for _, name := range [][2]string{{WebNamespace, WebService}, {HelloNamespace, HelloService}} {
		s, ok := f.demoService(name[0], name[1], j)
		if !ok {
			continue
		}
		target, ok := ServiceTarget(s)
		if !ok {
			j.judge(false, s.Name+" has a ClusterIP and a port", s.String(), f.Cluster.Services.From.showing(s.String()))
			continue
		}
		judge(s, target, f.Cluster.readyEndpoints(s))
	}
}

// readyEndpoints returns a service's ready endpoints with their ports, sorted, IPv4 only.
func (c Cluster) readyEndpoints(s Service) []netip.AddrPort {
	var out []netip.AddrPort
	for _, slice := range c.Slices.Value {
		if slice.Namespace != s.Namespace || slice.Service != s.Name {
			continue
		}
		for _, e := range slice.Endpoints {
			for _, port := range slice.Ports {
				if e.Ready && e.Addr.Is4() {
					out = append(out, netip.AddrPortFrom(e.Addr, uint16(port)))
				}
			}
		}
	}
	slices.SortFunc(out, netip.AddrPort.Compare)
	return slices.Compact(out)
}

func targets(all []netip.AddrPort) string {
	var out []string
	for _, a := range all {
		out = append(out, a.String())
	}
	return listOrNone(out)
}

func evalChains(f Facts) Result {
	if f.Lab.K3s.KubeProxyMode != config.ProxyIPTables {
		return otherMode(f)
	}
	var j judgements
	demoServices(f, &j, func(s Service, target netip.AddrPort, ready []netip.AddrPort) {
		eachNAT(f, &j, func(n config.Node, rules []NATRule, from Source) {
			expected := fmt.Sprintf("%s %s -> %s", n.Name, s.Name, targets(ready))
			entry, ok := serviceChain(rules, target)
			if !ok {
				// Without endpoints kube-proxy writes no such rule: it rejects instead.
				j.judge(len(ready) == 0, expected, fmt.Sprintf("%s has no rule for %s %s", n.Name, s.Name, target), from)
				return
			}
			shown := []string{entry.Line}
			var got []netip.AddrPort
			if r, ok := serviceTraffic(target).strays(rules, entry); ok {
				j.judge(false, expected, fmt.Sprintf("%s %s: a rule in between takes connections away", n.Name, s.Name), from.showing(r.Line, entry.Line))
			}
			for _, to := range shares(rules, entry.Jump) {
				shown = append(shown, to.rule.Line)
				if !to.endpoint.IsValid() && len(chain(rules, to.rule.Jump)) > 0 && unreadable(chain(rules, to.rule.Jump)) {
					j.unknown(n.Name, fmt.Sprintf("the node's iptables-save cannot tell where %s sends", to.rule.Jump), from)
					return
				}
				if to.endpoint.IsValid() {
					got = append(got, to.endpoint)
				}
			}
			slices.SortFunc(got, netip.AddrPort.Compare)
			j.judge(slices.Equal(got, ready), expected, fmt.Sprintf("%s %s -> %s", n.Name, s.Name, targets(got)), from.showing(shown...))
			for _, p := range s.Ports {
				if p.NodePort != 0 && p.Port == int(target.Port()) {
					judgeNodePortRule(&j, n, rules, from, s, p.NodePort, entry.Jump)
				}
			}
		})
	})
	return j.result(hintRules)
}

// unreadable says whether a DNAT rule is there whose destination iptables-save did not print: an older iptables-save does
// that with the rules of a newer iptables ("[unsupported revision]").
func unreadable(rules []NATRule) bool {
	return slices.ContainsFunc(rules, func(r NATRule) bool { return r.Jump == "DNAT" && !r.DNAT.IsValid() })
}

// judgeNodePortRule judges that what arrives at a node port goes to the same chain as what is for the ClusterIP.
func judgeNodePortRule(j *judgements, n config.Node, rules []NATRule, from Source, s Service, port int, to string) {
	expected := fmt.Sprintf("%s port %d -> %s", n.Name, port, s.Name)
	if !leadsTo(rules, chainServices, chainNodePorts) {
		j.judge(false, expected, fmt.Sprintf("%s: %s does not lead to %s", n.Name, chainServices, chainNodePorts), from)
		return
	}
	all := chain(rules, chainNodePorts)
	for i, r := range all {
		if r.Port != port || r.Protocol != "tcp" || r.Narrow || r.To.IsValid() && !r.To.Contains(n.Address) || !leadsTo(rules, r.Jump, to) {
			continue
		}
		t := traffic{to: netip.PrefixFrom(n.Address, n.Address.BitLen()), port: port, local: true}
		services := chain(rules, chainServices)
		services = services[:slices.IndexFunc(services, func(r NATRule) bool { return leadsTo(rules, r.Jump, chainNodePorts) })]
		external := chain(rules, r.Jump)
		external = external[:max(slices.IndexFunc(external, func(r NATRule) bool { return leadsTo(rules, r.Jump, to) }), 0)] // none if r leads there itself
		if away, ok := t.diverted(rules, slices.Concat(services, all[:i], external)); ok {
			j.judge(false, expected, fmt.Sprintf("%s: a rule in between takes packets to %s away", n.Name, t), from.showing(away.Line, r.Line))
			return
		}
		j.judge(true, expected, expected, from.showing(r.Line))
		return
	}
	j.judge(false, expected, fmt.Sprintf("%s has no rule of %s that leads port %d to %s", n.Name, chainNodePorts, port, s.Name), from)
}

// evenly is how far a share may be from even: iptables rounds probabilities to 1/2^31.
const evenly = 0.001

func evalShares(f Facts) Result {
	if f.Lab.K3s.KubeProxyMode != config.ProxyIPTables {
		return otherMode(f)
	}
	var j judgements
	demoServices(f, &j, func(s Service, target netip.AddrPort, ready []netip.AddrPort) {
		eachNAT(f, &j, func(n config.Node, rules []NATRule, from Source) {
			entry, _ := serviceChain(rules, target)
			all := shares(rules, entry.Jump)
			if len(all) == 0 {
				if len(ready) > 0 {
					j.judge(false, fmt.Sprintf("%s %s: %d even shares", n.Name, s.Name, len(ready)), fmt.Sprintf("%s %s: no rule gives it any", n.Name, s.Name), from)
				}
				return
			}
			even := 1 / float64(len(all))
			good := true
			var parts, shown []string
			if r, ok := serviceTraffic(target).strays(rules, entry); ok {
				good = false
				parts, shown = append(parts, "less what another rule takes away:"), append(shown, r.Line)
			}
			for _, to := range all {
				good = good && math.Abs(to.part-even) < evenly
				parts = append(parts, fmt.Sprintf("%.3f", to.part))
				shown = append(shown, to.rule.Line)
			}
			j.judge(good, fmt.Sprintf("%s %s: %d times %.3f", n.Name, s.Name, len(all), even), fmt.Sprintf("%s %s: %s", n.Name, s.Name, strings.Join(parts, " ")), from.showing(shown...))
		})
	})
	return j.result(hintRules)
}
