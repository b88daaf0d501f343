package checks

import (
	"net/netip"
	"time"
)

func internalIPFixtures() map[string][]fixture {
	return map[string][]fixture{
		"cluster.ready": {
			asIs(),
			{"w2 NotReady", func(f *Facts) {
				f.clusterNode("w2", func(n *Node) { n.Ready, n.Reason = false, "Kubelet stopped posting node status." })
			}, Fail, "w2 NotReady Kubelet stopped"},
			{"a foreign node changes nothing", func(f *Facts) { f.Cluster.Nodes.Value = append(f.Cluster.Nodes.Value, Node{Name: "other"}) }, Pass, ""},
			w1NotInCluster(),
			noCluster(),
		},
		"net.internal-ip": {
			asIs(),
			{"the NAT address", func(f *Facts) { f.clusterNode("w1", func(n *Node) { n.Internal = []netip.Addr{addr("10.0.2.15")} }) }, Fail, "w1 10.0.2.15 (the NAT address"},
			{"both addresses", func(f *Facts) {
				f.clusterNode("w1", func(n *Node) { n.Internal = append(n.Internal, addr("10.0.2.15")) })
			}, Fail, "w1 192.168.56.11,10.0.2.15"},
			{"none", func(f *Facts) { f.clusterNode("w1", func(n *Node) { n.Internal = nil }) }, Fail, "w1 <none>"},
			{"IPv6 changes nothing", func(f *Facts) {
				f.clusterNode("w1", func(n *Node) { n.Internal = append(n.Internal, addr("fd00::1")) })
			}, Pass, ""},
			w1NotInCluster(),
			noCluster(),
		},
		"net.internal-ip-unique": {
			asIs(),
			{"w1 and w2 the same", func(f *Facts) {
				for _, w := range []string{"w1", "w2"} {
					f.clusterNode(w, func(n *Node) { n.Internal = []netip.Addr{addr("10.0.2.15")} })
				}
			}, Fail, "10.0.2.15 is of w1, w2"},
			{"a foreign node has w1's", func(f *Facts) {
				f.Cluster.Nodes.Value = append(f.Cluster.Nodes.Value, Node{Name: "w1-old", Internal: []netip.Addr{addr("192.168.56.11")}})
			}, Fail, "192.168.56.11 is of w1, w1-old"},
			{"none", func(f *Facts) { f.clusterNode("w1", func(n *Node) { n.Internal = nil }) }, Fail, "w1 has none"},
			noCluster(),
		},
		"net.external-ip": {
			asIs(),
			{"one", func(f *Facts) {
				f.clusterNode("w1", func(n *Node) { n.External = []netip.Addr{addr("192.168.56.11")} })
			}, Fail, "w1 192.168.56.11"},
			noCluster(),
		},
		"net.flannel-public-ip": {
			asIs(),
			{"the NAT address, as INTERNAL-IP too", func(f *Facts) {
				f.clusterNode("w1", func(n *Node) { n.PublicIP = addr("10.0.2.15"); n.Internal = []netip.Addr{n.PublicIP} })
			}, Fail, "w1 10.0.2.15"},
			{"no annotation", func(f *Facts) { f.clusterNode("w1", func(n *Node) { n.PublicIP = netip.Addr{} }) }, Fail, "w1 <none>"},
			{"unlike INTERNAL-IP", func(f *Facts) { f.clusterNode("w1", func(n *Node) { n.Internal = []netip.Addr{addr("10.0.2.15")} }) }, Fail, "w1 192.168.56.11, unlike its INTERNAL-IP 10.0.2.15"},
			noCluster(),
		},
		"cluster.clocks": {
			asIs(),
			{"an hour ahead", func(f *Facts) {
				f.node("w1", func(n *NodeFacts) { n.Clock.Value = Clock{Low: time.Hour, High: time.Hour + time.Second} })
			}, Fail, "w1 is 3600 s ahead of cp1: w1 +3600.5 s from the host's clock, cp1 +0.1 s from the host's clock"},
			{"an hour behind", func(f *Facts) {
				f.node("w2", func(n *NodeFacts) { n.Clock.Value = Clock{Low: -time.Hour - time.Second, High: -time.Hour} })
			}, Fail, "w2 -3600.5 s"},
			{"all wrong by the same", func(f *Facts) {
				for _, node := range []string{"cp1", "w1", "w2"} {
					f.node(node, func(n *NodeFacts) { n.Clock.Value = Clock{Low: -time.Hour - time.Second, High: -time.Hour} })
				}
			}, Fail, "cp1 -3600.5 s from the host's clock\nw1 -3600.5"},
			{"all ahead by two minutes", func(f *Facts) {
				for _, node := range []string{"cp1", "w1", "w2"} {
					f.node(node, func(n *NodeFacts) { n.Clock.Value = Clock{Low: 2 * time.Minute, High: 2*time.Minute + time.Second} })
				}
			}, Pass, "w1 +120.5 s"},
			{"two that are near enough to cp1, and not to each other", func(f *Facts) {
				f.node("cp1", func(n *NodeFacts) { n.Clock.Value = Clock{} })
				f.node("w1", func(n *NodeFacts) { n.Clock.Value = Clock{Low: 5 * time.Second, High: 5 * time.Second} })
				f.node("w2", func(n *NodeFacts) { n.Clock.Value = Clock{Low: -5 * time.Second, High: -5 * time.Second} })
			}, Fail, "w1 is 10 s ahead of w2"},
			{"one node, an hour ahead", func(f *Facts) {
				f.Lab.Nodes = f.Lab.Nodes[:1]
				f.node("cp1", func(n *NodeFacts) { n.Clock.Value = Clock{Low: time.Hour, High: time.Hour} })
			}, Fail, "cp1 +3600.0 s"},
			{"a slow answer tells less", func(f *Facts) {
				f.node("w1", func(n *NodeFacts) { n.Clock.Value = Clock{Low: -30 * time.Second, High: 10 * time.Second} })
			}, Pass, ""},
			{"it was not asked", func(f *Facts) { f.node("w1", func(n *NodeFacts) { n.Clock = Fact[Clock]{} }) }, Unknown, "w1: not collected"},
			w2Unreached(),
		},
		"cluster.logs": {
			asIs(),
			{"no answer of w1's kubelet", func(f *Facts) {
				f.access("w1", VerbLogs, func(a *Access) { a.OK, a.Why = false, "dial tcp 10.0.2.15:10250" })
			}, Fail, "w1: kubectl logs fails: dial tcp 10.0.2.15:10250"},
			{"not tried", func(f *Facts) { f.access("w1", VerbLogs, func(a *Access) { a.Known, a.Why = false, "interrupted" }) }, Unknown, "w1: interrupted"},
			{"not tried anywhere", func(f *Facts) { f.Access = nil }, Unknown, "w1: no such probe was made"},
			{"no probe pod on w1", func(f *Facts) { f.noProbePod("w1") }, Fail, "w1: no pod of labctl/labctl-probe runs there"},
		},
		"cluster.exec": {
			asIs(),
			{"no answer of w1's kubelet", func(f *Facts) { f.access("w1", VerbExec, func(a *Access) { a.OK, a.Why = false, "502 Bad Gateway" }) }, Fail, "w1: kubectl exec fails: 502"},
			{"not tried anywhere", func(f *Facts) { f.Access = nil }, Unknown, "w1: no such probe was made"},
			{"no probe pod on w1", func(f *Facts) { f.noProbePod("w1") }, Fail, "w1: no pod of labctl/labctl-probe runs there"},
		},
	}
}
