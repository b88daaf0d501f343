package checks

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/labctl/labctl/internal/config"
)

func internalIPChecks() []Check {
	return []Check{
		{ID: "cluster.ready", Title: "every node is Ready", Area: AreaInternal, Eval: evalReady},
		{ID: "cluster.clocks", Title: "the nodes' clocks agree", Area: AreaInternal, Eval: evalClocks},
		{ID: "cluster.logs", Title: "kubectl logs works on a pod of every node", Area: AreaInternal, Eval: evalLogs},
		{ID: "cluster.exec", Title: "kubectl exec works on a pod of every node", Area: AreaInternal, Eval: evalExec},
		{ID: "net.internal-ip", Title: "every node advertises its host-only address", Area: AreaInternal, Eval: evalInternalIP},
		{ID: "net.internal-ip-unique", Title: "no two nodes advertise the same INTERNAL-IP", Area: AreaInternal, Eval: evalInternalIPUnique},
		{ID: "net.external-ip", Title: "no node has an EXTERNAL-IP", Area: AreaInternal, Eval: evalExternalIP},
		{ID: "net.flannel-public-ip", Title: "flannel announces every node by its INTERNAL-IP", Area: AreaInternal, Eval: evalFlannelPublicIP},
	}
}

const hintNodeIP = "set node-ip and flannel-iface in /etc/rancher/k3s/config.yaml and restart k3s: labctl up does both"

// eachClusterNode calls judge with the node object of every node of the lab; a node that the cluster does not have is a bad finding.
func eachClusterNode(f Facts, j *judgements, judge func(config.Node, Node)) {
	nodes := f.Cluster.Nodes
	if !nodes.Known {
		j.unknown("", nodes.why(), nodes.From)
		return
	}
	for _, n := range f.Lab.Nodes {
		i := slices.IndexFunc(nodes.Value, func(c Node) bool { return c.Name == n.Name })
		if i < 0 {
			j.judge(false, n.Name+" is in the cluster", n.Name+" is not in the cluster", nodes.From)
			continue
		}
		judge(n, nodes.Value[i])
	}
}

// eachWholeNode is eachClusterNode for what no table of nodes tells.
func eachWholeNode(f Facts, j *judgements, judge func(config.Node, Node)) {
	if nodes := f.Cluster.Nodes; nodes.Known && !nodes.whole() {
		j.unknown("", nodes.why(), nodes.From)
		return
	}
	eachClusterNode(f, j, judge)
}

func evalReady(f Facts) Result {
	var j judgements
	eachClusterNode(f, &j, func(n config.Node, c Node) {
		actual := n.Name + " Ready"
		if !c.Ready {
			actual = strings.TrimSpace(n.Name + " NotReady " + c.Reason)
		}
		j.judge(c.Ready, n.Name+" Ready", actual, f.Cluster.Nodes.From.showing(actual))
	})
	return j.result("labctl logs NODE shows what k3s says; labctl start if its machine is off")
}

func evalInternalIP(f Facts) Result {
	var j judgements
	eachClusterNode(f, &j, func(n config.Node, c Node) {
		got := ipv4(c.Internal)
		actual := n.Name + " " + addresses(got)
		if slices.Contains(got, natAddress().Addr()) {
			actual += " (the NAT address, which every machine has)"
		}
		j.judge(len(got) == 1 && got[0] == n.Address, n.Name+" "+n.Address.String(), actual,
			f.Cluster.Nodes.From.showing(n.Name+" InternalIP "+addresses(c.Internal)))
	})
	return j.result(hintNodeIP)
}

func evalInternalIPUnique(f Facts) Result {
	var j judgements
	holders := map[netip.Addr][]string{}
	for _, c := range f.Cluster.Nodes.Value {
		for _, a := range ipv4(c.Internal) {
			holders[a] = append(holders[a], c.Name)
		}
	}
	eachClusterNode(f, &j, func(n config.Node, c Node) {
		expected := n.Name + " has an INTERNAL-IP of its own"
		got := ipv4(c.Internal)
		if len(got) == 0 {
			j.judge(false, expected, n.Name+" has none", f.Cluster.Nodes.From)
		}
		for _, a := range got {
			actual := fmt.Sprintf("%s is of %s", a, strings.Join(holders[a], ", "))
			j.judge(len(holders[a]) == 1, expected, actual, f.Cluster.Nodes.From.showing(fmt.Sprintf("%s InternalIP %s", n.Name, a)))
		}
	})
	return j.result(hintNodeIP)
}

func evalExternalIP(f Facts) Result {
	var j judgements
	eachClusterNode(f, &j, func(n config.Node, c Node) {
		actual := n.Name + " " + addresses(c.External)
		j.judge(len(c.External) == 0, n.Name+" <none>", actual, f.Cluster.Nodes.From.showing(n.Name+" ExternalIP "+addresses(c.External)))
	})
	return j.result("remove node-external-ip from /etc/rancher/k3s/config.yaml and restart k3s: labctl up does both")
}

func evalFlannelPublicIP(f Facts) Result {
	var j judgements
	eachWholeNode(f, &j, func(n config.Node, c Node) {
		actual := n.Name + " " + address(c.PublicIP)
		// The node's own address is asked for too: on a cluster without node-ip both sides say 10.0.2.15, and no packet arrives.
		good := c.PublicIP == n.Address && slices.Equal(ipv4(c.Internal), []netip.Addr{c.PublicIP})
		if c.PublicIP == n.Address && !good {
			actual += ", unlike its INTERNAL-IP " + addresses(ipv4(c.Internal))
		}
		j.judge(good, fmt.Sprintf("%s %s, as its INTERNAL-IP", n.Name, n.Address), actual,
			f.Cluster.Nodes.From.inFull().showing(fmt.Sprintf("%s flannel.alpha.coreos.com/public-ip: %s", n.Name, address(c.PublicIP))))
	})
	return j.result(hintNodeIP)
}

// ipv4 returns the IPv4 addresses: IPv6 changes no verdict.
func ipv4(all []netip.Addr) []netip.Addr {
	var out []netip.Addr
	for _, a := range all {
		if a.Is4() {
			out = append(out, a)
		}
	}
	return out
}

func address(a netip.Addr) string {
	if !a.IsValid() {
		return "<none>"
	}
	return a.String()
}

func addresses(all []netip.Addr) string {
	if len(all) == 0 {
		return "<none>"
	}
	var out []string
	for _, a := range all {
		out = append(out, a.String())
	}
	return strings.Join(out, ",")
}
