package checks

import (
	"fmt"
	"net/netip"
	"slices"
)

// HostNetPort is the port that the demo's pod with hostNetwork listens on: none of Kubernetes's, k3s's, Traefik's or of the NodePorts.
const HostNetPort = 8090

const hintHostNet = "kubectl get pods -l app=hostnet -o wide shows where it runs; labctl ssh NODE -- ss -ltn what listens on that node, and labctl ssh NODE -- sudo iptables-save what the node lets in"

// evalHostNetwork judges a pod without a network of its own: it has its node's address, and what it listens on is a port of that node, and
// of no other. That the others say nothing counts only beside the pod's own answer, which names its node, as its host name is the node's.
func evalHostNetwork(f Facts) Result {
	var j judgements
	pods, nodes := f.Cluster.Pods, f.Cluster.Nodes
	if !pods.whole() || !nodes.Known {
		j.unknown("", firstWhy(pods.whole(), pods.why(), nodes.why()), pods.From)
		return j.result("")
	}
	runs := map[string]bool{} // by node
	found := false
	for _, p := range pods.Value {
		if p.Namespace != HostNetNamespace || p.Labels["app"] != HostNetDeployment || p.Deleting {
			continue
		}
		found = true
		shown := fmt.Sprintf("%s/%s %s on %s", p.Namespace, p.Name, p.IP, p.Node)
		from := pods.From.showing(shown)
		n, ok := f.Lab.Node(p.Node)
		switch {
		case !p.live():
			j.judge(false, "a ready pod of "+HostNetDeployment, fmt.Sprintf("%s/%s is not ready", p.Namespace, p.Name), from)
			continue
		case !ok:
			j.judge(false, "it runs on a node of the lab", shown, from)
			continue
		case !p.HostNetwork:
			j.judge(false, "it has hostNetwork", shown+", in a network of its own", from)
			continue
		}
		runs[n.Name] = true
		i := slices.IndexFunc(nodes.Value, func(o Node) bool { return o.Name == n.Name })
		own := i >= 0 && slices.Contains(nodes.Value[i].Internal, p.IP)
		j.judge(own && p.IP == n.Address, fmt.Sprintf("%s has the INTERNAL-IP of %s, %s", HostNetDeployment, n.Name, n.Address), shown, from)
	}
	switch {
	case !found && f.Cluster.ofLab():
		j.judge(false, "a pod of "+HostNetDeployment, "there is none", pods.From)
	case !found:
		j.unknown("", "the cluster has no pod of "+HostNetDeployment+", which labctl's have")
	}
	if len(runs) == 0 {
		return j.result(hintHostNet)
	}
	for _, n := range f.Lab.Nodes {
		target := netip.AddrPortFrom(n.Address, HostNetPort)
		probes := f.probes(Host, target, nil)
		if len(probes) == 0 {
			j.unknown(n.Name, fmt.Sprintf("nobody called %s", target))
		}
		answers, nobody := fmt.Sprintf("%s answers, as %s", target, n.Name), fmt.Sprintf("nobody answers at %s", target)
		for _, p := range probes {
			actual := fmt.Sprintf("%s %s", target, p.Outcome)
			switch {
			case p.Outcome == Inconclusive:
				j.unknown(n.Name, p.Why, p.from())
			case runs[n.Name] && p.OK() && p.By == n.Name:
				j.judge(true, answers, answers, p.from())
			case runs[n.Name] && p.Outcome == Answered:
				j.judge(false, answers, fmt.Sprintf("%s answers with status %d, and not as %s", target, p.Status, n.Name), p.from())
			case runs[n.Name]:
				j.judge(false, answers, actual, p.from())
			case p.Outcome == Refused || p.Outcome == TimedOut:
				j.judge(true, nobody, actual, p.from())
			default:
				j.judge(false, nobody, fmt.Sprintf("something answers at %s, where no pod of %s runs", target, HostNetDeployment), p.from())
			}
		}
	}
	return j.result(hintHostNet)
}
