package checks

import (
	"net/netip"
	"strings"
)

func podNetworkFixtures() map[string][]fixture {
	return map[string][]fixture{
		"pod.machine-id": {
			asIs(),
			{"the same on two nodes", func(f *Facts) {
				f.node("w2", func(n *NodeFacts) { n.MachineID.Value = f.Nodes["cp1"].MachineID.Value })
			}, Fail, "which cp1 has too"},
			{"the same, by the kubelets' word", func(f *Facts) {
				f.node("cp1", func(n *NodeFacts) { n.MachineID = Fact[string]{} })
				f.node("w2", func(n *NodeFacts) { n.MachineID = Fact[string]{} })
				f.clusterNode("w2", func(n *Node) { n.MachineID = strings.Repeat("0", 32) })
			}, Fail, "which cp1 has too"},
			{"neither the node nor its kubelet says", func(f *Facts) {
				for _, w := range []string{"w1", "w2"} { // nothing known of two nodes does not make them the same
					f.unreached(w)
					f.clusterNode(w, func(n *Node) { n.MachineID = "" })
				}
			}, Unknown, w2Gone},
			{"w2 cannot be reached, its kubelet said", func(f *Facts) { f.unreached("w2") }, Pass, ""},
		},
		"pod.cidr": {
			asIs(),
			{"in another order of joining", func(f *Facts) {
				f.clusterNode("w1", func(n *Node) { n.PodCIDRs = []netip.Prefix{prefix("10.42.7.0/24")} })
			}, Pass, ""},
			{"outside", func(f *Facts) {
				f.clusterNode("w1", func(n *Node) { n.PodCIDRs = []netip.Prefix{prefix("10.52.1.0/24")} })
			}, Fail, "w1 10.52.1.0/24 is not inside"},
			{"the whole network", func(f *Facts) {
				f.clusterNode("w1", func(n *Node) { n.PodCIDRs = []netip.Prefix{prefix("10.42.0.0/16")} })
			}, Fail, "w1 10.42.0.0/16 is not inside"},
			{"overlap", func(f *Facts) {
				f.clusterNode("w1", func(n *Node) { n.PodCIDRs = []netip.Prefix{prefix("10.42.2.128/25")} })
			}, Fail, "overlaps 10.42.2.0/24 of w2"},
			{"none", func(f *Facts) { f.clusterNode("w1", func(n *Node) { n.PodCIDRs = nil }) }, Fail, "w1 <none>"},
			{"another pod network in the lab's file", func(f *Facts) { f.Lab.K3s.PodCIDR = prefix("10.44.0.0/16") }, Fail, "is not inside"},
			noCluster(),
		},
		"pod.flannel-subnet": {
			asIs(),
			{"that of another node", func(f *Facts) {
				f.node("w1", func(n *NodeFacts) { n.Subnet.Value.Gateway = prefix("10.42.2.1/24") })
			}, Fail, "w1 10.42.2.1/24"},
			{"another network", func(f *Facts) {
				f.node("w1", func(n *NodeFacts) { n.Subnet.Value.Network = prefix("10.52.0.0/16") })
			}, Fail, "of 10.52.0.0/16"},
			w2Unreached(),
			noCluster(),
		},
		"pod.cni0": {
			asIs(),
			{"an old gateway", func(f *Facts) {
				f.link("w1", "cni0", func(l *Link) { l.Addresses = []netip.Prefix{prefix("10.42.5.1/24")} })
			}, Fail, "w1 cni0 10.42.5.1/24"},
			{"no cni0", func(f *Facts) { f.without("w1", "cni0") }, Fail, "w1 has no cni0"},
			{"no pod CIDR", func(f *Facts) { f.clusterNode("w1", func(n *Node) { n.PodCIDRs = nil }) }, Fail, "w1 <none>"},
			w2Unreached(),
			noCluster(),
		},
		"pod.vxlan": {
			asIs(),
			{"over the NAT NIC", func(f *Facts) { f.node("w1", func(n *NodeFacts) { n.VXLAN.Value.Device = "enp0s3" }) }, Fail, "dev enp0s3"},
			{"from the NAT address", func(f *Facts) {
				f.node("w1", func(n *NodeFacts) { n.VXLAN.Value.Local = addr("10.0.2.15") })
			}, Fail, "local 10.0.2.15"},
			{"no VXLAN", func(f *Facts) { f.node("w1", func(n *NodeFacts) { n.VXLAN.Value.Kind = "dummy" }) }, Fail, "w1 dummy"},
			{"no flannel.1", func(f *Facts) {
				f.without("w1", "flannel.1")
				f.node("w1", func(n *NodeFacts) { n.VXLAN = Missing[VXLAN](`w1: Device "flannel.1" does not exist.`, Source{}) })
			}, Fail, "w1 has no flannel.1"},
			{"no host-only NIC", func(f *Facts) { f.Machines = nil; f.without("w1", "enp0s8") }, Fail, "w1 vxlan local"},
			{"unreadable", func(f *Facts) { f.node("w1", func(n *NodeFacts) { n.VXLAN = Missing[VXLAN]("w1: garbage", Source{}) }) }, Unknown, "garbage"},
			w2Unreached(),
		},
		"pod.vtep-mac": {
			asIs(),
			{"another than announced", func(f *Facts) { f.node("w1", func(n *NodeFacts) { n.VXLAN.Value.MAC = "a2:4e:3c:82:5b:36" }) }, Fail, "w1 flannel.1 a2:4e:3c:82:5b:36"},
			{"the same on two nodes, as announced", func(f *Facts) {
				for _, w := range []string{"w1", "w2"} {
					f.node(w, func(n *NodeFacts) { n.VXLAN.Value.MAC = "a2:4e:3c:82:5b:36" })
					f.clusterNode(w, func(n *Node) { n.VtepMAC = "a2:4e:3c:82:5b:36" })
				}
			}, Fail, "which w1 has too"},
			{"no annotation", func(f *Facts) { f.clusterNode("w1", func(n *Node) { n.VtepMAC = "" }) }, Fail, "w1 flannel.1"},
			{"no flannel.1", func(f *Facts) {
				f.without("w1", "flannel.1")
				f.node("w1", func(n *NodeFacts) { n.VXLAN = Fact[VXLAN]{} })
			}, Fail, "w1 has no flannel.1"},
			w2Unreached(),
			noCluster(),
		},
		"pod.routes": {
			asIs(),
			{"none to w2", func(f *Facts) { f.unroute("w1", "10.42.2.0/24") }, Fail, "w1 has no route to 10.42.2.0/24 of w2"},
			{"by another device", func(f *Facts) {
				f.reroute("w1", "10.42.2.0/24", func(r *Route) { r.Dev = "enp0s8"; r.Via = addr("192.168.56.12") })
			}, Fail, "dev enp0s8"},
			{"one pod by no device", func(f *Facts) { f.route("w1", Route{To: prefix("10.42.2.8/32")}) }, Fail, "w1 10.42.2.8/32"},
			{"half of it by another device", func(f *Facts) {
				f.route("w1", Route{To: prefix("10.42.2.128/25"), Via: addr("192.168.56.12"), Dev: "enp0s8"})
			}, Fail, "w1 10.42.2.128/25 via 192.168.56.12 dev enp0s8"},
			{"all pods by another device, which the others go before", func(f *Facts) {
				f.route("w1", Route{To: prefix("10.42.0.0/16"), Via: addr("192.168.56.12"), Dev: "enp0s8"})
			}, Pass, ""},
			{"not onlink", func(f *Facts) { f.reroute("w1", "10.42.2.0/24", func(r *Route) { r.Onlink = false }) }, Fail, "w1 10.42.2.0/24 via 10.42.2.0 dev flannel.1"},
			{"a lab of one node", func(f *Facts) {
				f.Lab.Nodes = f.Lab.Nodes[:1]
			}, NotApplicable, "one node"},
			w2Unreached(),
			noCluster(),
		},
		"pod.ips": {
			asIs(),
			{"of another node's", func(f *Facts) { f.pod("web-w1", func(p *Pod) { p.IP = addr("10.42.2.77") }) }, Fail, "demo/web-w1 10.42.2.77 on w1"},
			{"of another node's, but going", func(f *Facts) {
				f.pod("web-w1", func(p *Pod) { p.IP = addr("10.42.2.77"); p.Deleting = true })
			}, Pass, ""},
			{"no pods at all", func(f *Facts) { f.Cluster.Pods.Value = nil }, Unknown, "nothing to look at"},
			noCluster(),
		},
		"pod.mtu": {
			asIs(),
			{"flannel.1 as large as the NIC", func(f *Facts) { f.link("w1", "flannel.1", func(l *Link) { l.MTU = 1500 }) }, Fail, "w1 enp0s8 mtu 1500, flannel.1 mtu 1500"},
			{"too small", func(f *Facts) { f.link("w1", "flannel.1", func(l *Link) { l.MTU = 1400 }) }, Fail, "flannel.1 mtu 1400"},
			{"a NIC that differs", func(f *Facts) {
				f.link("w2", "enp0s8", func(l *Link) { l.MTU = 9000 })
				f.link("w2", "flannel.1", func(l *Link) { l.MTU = 8950 })
			}, Fail, "w2 enp0s8 mtu 9000"},
			{"no flannel.1", func(f *Facts) { f.without("w1", "flannel.1") }, Fail, "w1 has no flannel.1"},
			{"no host-only NIC", func(f *Facts) { f.Machines = nil; f.without("w1", "enp0s8") }, Fail, "w1 has no host-only NIC"},
			{"from a table", func(f *Facts) { f.link("w1", "enp0s8", func(l *Link) { l.MTU = 0 }) }, Unknown, "MTUs are not told"},
			w2Unreached(),
		},
		"pod.reach": {
			asIs(),
			{"w1's pod does not answer w2's", func(f *Facts) { f.probe("w2", true, "10.42.1.20:80", func(p *Probe) { p.Outcome = TimedOut }) }, Fail, "w2 -> w1: 10.42.1.20:80 timed out"},
			{"no exec", func(f *Facts) {
				f.probe("w2", true, "10.42.1.20:80", func(p *Probe) { p.Outcome, p.Why = Inconclusive, "cp1: kubectl exec: exit status 1" })
			}, Unknown, "w2 -> w1: cp1: kubectl exec"},
			{"not asked", func(f *Facts) { f.noProbe("w2", true, "10.42.1.20:80") }, Unknown, "w2 -> w1: no such probe"},
			{"no probe pod on w1", func(f *Facts) { f.pod("labctl-probe-w1", func(p *Pod) { p.Running = false }) }, Fail, "w1: no pod of labctl/labctl-probe runs there"},
			{"nothing of labctl runs on w1", func(f *Facts) { f.noProbePod("w1") }, Fail, "w1: no pod of labctl/labctl-probe runs there"},
			{"a cluster without labctl's DaemonSet, recorded", func(f *Facts) {
				f.noProbePod("cp1", "w1", "w2")
				f.Cluster.DaemonSets = Fact[[]Workload]{}
			}, Unknown, "cp1 -> w1: no probe pod runs on w1"},
			{"exec is refused", func(f *Facts) {
				f.probe("w2", true, "10.42.1.20:80", func(p *Probe) { p.Outcome, p.Why = NotAsked, "error: unable to upgrade connection: pod does not exist" })
			}, Fail, "w2: its pod cannot be asked: kubectl exec fails: error: unable to upgrade connection: pod does not exist"},
			{"one node", func(f *Facts) { f.Lab.Nodes = f.Lab.Nodes[:1] }, NotApplicable, "one node"},
			noCluster(),
		},
	}
}
