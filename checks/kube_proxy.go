package checks

import (
	"fmt"
	"slices"

	"github.com/labctl/labctl/internal/config"
)

func kubeProxyChecks() []Check {
	return []Check{
		{ID: "proxy.mode", Title: "kube-proxy's rules are those of the mode that is set", Area: AreaKubeProxy, Eval: evalProxyMode},
		{ID: "proxy.hooks", Title: "packets that arrive and packets that start on a node both meet kube-proxy's rules", Area: AreaKubeProxy, Eval: evalHooks},
		{ID: "proxy.chains", Title: "the rules of web-svc and hello-svc lead to exactly their ready endpoints", Area: AreaKubeProxy, Eval: evalChains},
		{ID: "proxy.shares", Title: "the rules of web-svc and hello-svc give every endpoint an even share", Area: AreaKubeProxy, Eval: evalShares},
		{ID: "proxy.virtual-servers", Title: "the virtual servers of web-svc and hello-svc have exactly their ready endpoints as real servers", Area: AreaKubeProxy, Eval: evalVirtualServers},
		{ID: "proxy.scheduler", Title: "the virtual servers of web-svc and hello-svc choose by the scheduler that is set", Area: AreaKubeProxy, Eval: evalScheduler},
		{ID: "proxy.ipvs-node-addresses", Title: "no node's address is bound to kube-ipvs0", Area: AreaKubeProxy, Eval: evalIPVSNodeAddresses},
		{ID: "proxy.conntrack", Title: "a connection that is kept alive stays on one pod, and conntrack remembers which", Area: AreaKubeProxy, Eval: evalConntrack},
		{ID: "proxy.balance", Title: "new connections to hello-svc's NodePort reach every one of its pods", Area: AreaKubeProxy, Eval: evalBalance},
	}
}

// evalIPVSNodeAddresses looks for what ServiceLB does beside IPVS: it publishes the nodes' addresses as a service's
// EXTERNAL-IP, kube-proxy binds them on every node, and from then on each node takes the others' addresses for its own.
func evalIPVSNodeAddresses(f Facts) Result {
	if f.Lab.K3s.KubeProxyMode != config.ProxyIPVS {
		return otherMode(f)
	}
	var j judgements
	for _, n := range f.Lab.Nodes {
		links := f.Nodes[n.Name].Links
		if !links.Known {
			j.unknown(n.Name, links.why(), links.From)
			continue
		}
		i := slices.IndexFunc(links.Value, func(l Link) bool { return l.Name == ipvsDevice })
		if i < 0 {
			j.judge(false, n.Name+" has "+ipvsDevice, n.Name+" has none: kube-proxy is not in IPVS mode there", links.From.showing(cards(links.Value)...))
			continue
		}
		dummy := links.Value[i]
		expected := n.Name + " has no node's address on " + ipvsDevice
		clean := true
		for _, other := range f.Lab.Nodes {
			if holds(dummy, other.Address) {
				clean = false
				j.judge(false, expected, fmt.Sprintf("%s has %s of %s on %s", n.Name, other.Address, other.Name, ipvsDevice), links.From.showing(dummy.String()))
			}
		}
		if clean {
			j.judge(true, expected, expected, links.From.showing(dummy.String()))
		}
	}
	return j.result("keep ServiceLB out of an IPVS lab: disable: [servicelb] in /etc/rancher/k3s/config.yaml of the server; labctl up does it")
}

// otherMode is the verdict of a check on rules that the lab's mode has not.
func otherMode(f Facts) Result {
	return Result{Status: NotApplicable, Actual: fmt.Sprintf("kube-proxy's mode is %s", f.Lab.K3s.KubeProxyMode)}
}

// evalProxyMode reads the mode in force off the rules themselves: settings and logs only say what was meant.
func evalProxyMode(f Facts) Result {
	var j judgements
	want := f.Lab.K3s.KubeProxyMode
	for _, n := range f.Lab.Nodes {
		nat, ipvs := f.Nodes[n.Name].NAT, f.Nodes[n.Name].IPVS
		if !nat.Known || !ipvs.Known {
			from := nat.From
			if nat.Known {
				from = ipvs.From
			}
			j.unknown(n.Name, firstWhy(nat.Known, nat.why(), ipvs.why()), from)
			continue
		}
		chains := 0
		for _, r := range nat.Value {
			if r.Chain == chainServices && isServiceChain(r.Jump) {
				chains++
			}
		}
		servers := len(ipvs.Value)
		var actual string
		switch {
		case chains > 0 && servers > 0:
			actual = "both modes"
		case chains > 0:
			actual = string(config.ProxyIPTables)
		case servers > 0:
			actual = string(config.ProxyIPVS)
		default:
			actual = "rules of neither mode"
		}
		j.judge(actual == string(want), fmt.Sprintf("%s %s", n.Name, want), fmt.Sprintf("%s %s", n.Name, actual),
			nat.From.showing(fmt.Sprintf("%d services in %s", chains, chainServices)), ipvs.From.showing(fmt.Sprintf("%d virtual servers", servers)))
	}
	return j.result("labctl ssh NODE -- sudo systemctl restart k3s (k3s-agent on a worker) writes the rules anew; labctl up sets the mode")
}
