package checks

import (
	"fmt"
	"slices"

	"github.com/labctl/labctl/internal/config"
)

func kubeProxyChecks() []Check {
	return []Check{
		{ID: "proxy.ipvs-node-addresses", Title: "no node's address is bound to kube-ipvs0", Area: AreaKubeProxy, Eval: evalIPVSNodeAddresses},
	}
}

// evalIPVSNodeAddresses looks for what ServiceLB does beside IPVS: it publishes the nodes' addresses as a service's
// EXTERNAL-IP, kube-proxy binds them on every node, and from then on each node takes the others' addresses for its own.
func evalIPVSNodeAddresses(f Facts) Result {
	if f.Lab.K3s.KubeProxyMode != config.ProxyIPVS {
		return Result{Status: NotApplicable, Actual: fmt.Sprintf("kube-proxy's mode is %s", f.Lab.K3s.KubeProxyMode)}
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
