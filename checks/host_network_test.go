package checks

import "net/netip"

func hostNetworkFixtures() map[string][]fixture {
	const there, elsewhere = "192.168.56.10:8090", "192.168.56.11:8090"
	at := func(target string, change func(*Probe)) func(*Facts) {
		return func(f *Facts) { f.probe(Host, false, target, change) }
	}
	return map[string][]fixture{
		"pod.host-network": {
			asIs(),
			{"others are silent", at(elsewhere, func(p *Probe) { p.Outcome = TimedOut }), Pass, "192.168.56.11:8090 timed out"},
			{"it does not answer", at(there, func(p *Probe) { p.Outcome = TimedOut }), Fail, "192.168.56.10:8090 timed out"},
			{"nothing listens there", at(there, func(p *Probe) { p.Outcome = Refused }), Fail, "192.168.56.10:8090 not connected"},
			{"something else answers there", at(there, func(p *Probe) { p.By = "" }), Fail, "192.168.56.10:8090 answers with status 200, and not as cp1"},
			{"a pod with another name answers there", at(there, func(p *Probe) { p.By = "hostnet-7d9c" }), Fail, "and not as cp1"},
			{"an error, as the node", at(there, func(p *Probe) { p.Status = 500 }), Fail, "192.168.56.10:8090 answers with status 500"},
			{"another node answers, too", at(elsewhere, func(p *Probe) { p.Outcome, p.Status = Answered, 404 }), Fail, "something answers at 192.168.56.11:8090"},
			{"another node takes connections", at(elsewhere, func(p *Probe) { p.Outcome = Failed }), Fail, "something answers at 192.168.56.11:8090"},
			{"another address than the node's", func(f *Facts) { f.pod("hostnet-x", func(p *Pod) { p.IP = addr("10.42.0.77") }) }, Fail, "default/hostnet-x 10.42.0.77 on cp1"},
			{"the NAT address, which is the node's INTERNAL-IP, too", func(f *Facts) {
				f.pod("hostnet-x", func(p *Pod) { p.IP = addr("10.0.2.15") })
				f.clusterNode("cp1", func(n *Node) { n.Internal = []netip.Addr{addr("10.0.2.15")} })
			}, Fail, "default/hostnet-x 10.0.2.15 on cp1"},
			{"the node has another INTERNAL-IP", func(f *Facts) {
				f.clusterNode("cp1", func(n *Node) { n.Internal = []netip.Addr{addr("10.0.2.15")} })
			}, Fail, "default/hostnet-x 192.168.56.10 on cp1"},
			{"a network of its own", func(f *Facts) { f.pod("hostnet-x", func(p *Pod) { p.HostNetwork = false }) }, Fail, "in a network of its own"},
			{"not ready", func(f *Facts) { f.pod("hostnet-x", func(p *Pod) { p.Ready = false }) }, Fail, "default/hostnet-x is not ready"},
			{"on a node that is none of the lab's", func(f *Facts) { f.pod("hostnet-x", func(p *Pod) { p.Node = "other" }) }, Fail, "on other"},
			{"none", func(f *Facts) { f.noPod("hostnet-x") }, Fail, "there is none"},
			{"on another node than the one that answers", func(f *Facts) {
				f.pod("hostnet-x", func(p *Pod) { p.Node, p.IP = "w1", addr("192.168.56.11") })
			}, Fail, "something answers at 192.168.56.10:8090"},
			{"one that goes changes nothing", func(f *Facts) {
				f.Cluster.Pods.Value = append(f.Cluster.Pods.Value, Pod{Namespace: HostNetNamespace, Name: "hostnet-old", Node: "w1", Deleting: true,
					Labels: map[string]string{"app": HostNetDeployment}})
			}, Pass, ""},
			{"one node", func(f *Facts) { f.Lab.Nodes = f.Lab.Nodes[:1] }, Pass, "192.168.56.10:8090 answers, as cp1"},
			{"none, in records of a cluster that labctl never asked", func(f *Facts) {
				f.noPod("hostnet-x")
				f.noProbePod("cp1", "w1", "w2")
				f.Cluster.DaemonSets = Fact[[]Workload]{}
			}, Unknown, "no pod of hostnet"},
			{"not asked there", func(f *Facts) { f.noProbe(Host, false, there) }, Unknown, "cp1: nobody called 192.168.56.10:8090"},
			{"not asked elsewhere", func(f *Facts) { f.noProbe(Host, false, elsewhere) }, Unknown, "w1: nobody called 192.168.56.11:8090"},
			{"the probe did not work", at(elsewhere, func(p *Probe) { p.Outcome, p.Why = Inconclusive, "interrupted" }), Unknown, "w1: interrupted"},
			noCluster(),
		},
	}
}

// noPod takes a pod away.
func (f *Facts) noPod(name string) {
	var left []Pod
	for _, p := range f.Cluster.Pods.Value {
		if p.Name != name {
			left = append(left, p)
		}
	}
	f.Cluster.Pods.Value = left
}
