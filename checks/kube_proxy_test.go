package checks

import (
	"net/netip"
	"slices"
)

func kubeProxyFixtures() map[string][]fixture {
	return map[string][]fixture{
		"proxy.mode": {
			asIs(),
			{"IPVS", func(f *Facts) { f.inIPVS() }, Pass, "w1 ipvs"},
			{"IPVS is in force", func(f *Facts) { f.inIPVS(); f.Lab.K3s.KubeProxyMode = "iptables" }, Fail, "w1 ipvs"},
			{"iptables is in force", func(f *Facts) { f.Lab.K3s.KubeProxyMode = "ipvs" }, Fail, "w1 iptables"},
			{"rules of the old mode are left", func(f *Facts) {
				f.node("w1", func(n *NodeFacts) { n.IPVS.Value = f.virtualServers(f.Lab.Nodes[1]) })
			}, Fail, "w1 both modes"},
			{"flushed", func(f *Facts) { f.noRule("w1", "KUBE-SERVICES", "") }, Fail, "w1 rules of neither mode"},
			{"no iptables-save", func(f *Facts) {
				f.node("w1", func(n *NodeFacts) { n.NAT = Missing[[]NATRule]("w1: iptables-save: not found", Source{}) })
			}, Unknown, "iptables-save: not found"},
			w2Unreached(),
		},
		"proxy.hooks": {
			asIs(),
			{"not in OUTPUT", func(f *Facts) { f.noRule("w1", "OUTPUT", "") }, Fail, "w1 OUTPUT does not lead to KUBE-SERVICES"},
			{"in PREROUTING for what comes by one NIC only", func(f *Facts) { f.narrow("w1", "PREROUTING") }, Fail, "w1 PREROUTING leads to KUBE-SERVICES under a condition only"},
			{"in OUTPUT for one destination only", func(f *Facts) {
				f.nat("w1", func(rules []NATRule) []NATRule {
					rules[1].To = prefix("10.43.0.1/32")
					return rules
				})
			}, Fail, "w1 OUTPUT leads to KUBE-SERVICES under a condition only"},
			{"under a condition, and then without", func(f *Facts) {
				f.nat("w1", func(rules []NATRule) []NATRule {
					return append([]NATRule{{Chain: "PREROUTING", Jump: "KUBE-SERVICES", Probability: 1, Narrow: true}}, rules...)
				})
			}, Pass, ""},
			{"not in PREROUTING", func(f *Facts) { f.noRule("w1", "PREROUTING", "") }, Fail, "w1 PREROUTING does not lead"},
			{"accepted before it comes there", func(f *Facts) {
				f.before("w1", "", NATRule{Chain: "PREROUTING", Jump: "ACCEPT"})
			}, Fail, "w1 PREROUTING: a rule before that one takes packets to 10.43.0.0/16 away"},
			{"given another destination by a chain before", func(f *Facts) {
				f.before("w1", "", NATRule{Chain: "OUTPUT", Jump: "OTHER"})
				f.nat("w1", func(rules []NATRule) []NATRule {
					return append(rules, NATRule{Chain: "OTHER", Jump: "DNAT", Protocol: "tcp", To: prefix("10.43.31.179/32"), Probability: 1})
				})
			}, Fail, "w1 OUTPUT: a rule before that one takes packets to 10.43.0.0/16 away"},
			{"returned, in what comes for the node port", func(f *Facts) {
				f.before("w1", "", NATRule{Chain: "PREROUTING", Jump: "RETURN", Protocol: "tcp", Port: 31885, Local: true, Narrow: true})
			}, Fail, "takes packets to 192.168.56.11:31885 away"},
			{"a chain before that is about other things", func(f *Facts) {
				f.before("w1", "", NATRule{Chain: "PREROUTING", Jump: "DOCKER", Local: true, Narrow: true})
				f.nat("w1", func(rules []NATRule) []NATRule {
					return append(rules, NATRule{Chain: "DOCKER", Jump: "RETURN", Narrow: true}, NATRule{Chain: "DOCKER", Jump: "DNAT", Protocol: "tcp", Port: 8080, Narrow: true},
						NATRule{Chain: "DOCKER", Jump: "DOCKER"})
				})
				f.before("w1", "", NATRule{Chain: "OUTPUT", Jump: "REDIRECT", To: prefix("1.1.1.1/32")})
			}, Pass, ""},
			{"IPVS", func(f *Facts) { f.inIPVS() }, NotApplicable, "ipvs"},
			w2Unreached(),
		},
		"proxy.chains": {
			asIs(),
			{"one endpoint too few", func(f *Facts) { f.noRule("w1", "", "KUBE-SEP-web-svc-1") }, Fail, "w1 web-svc -> 10.42.1.8:80"},
			{"one endpoint too many", func(f *Facts) {
				f.slice("hello-svc", func(s *EndpointSlice) { s.Endpoints[0].Ready = false })
			}, Fail, "hello-svc -> 10.42.0.10:8080"},
			{"the wrong port", func(f *Facts) {
				f.nat("w1", func(rules []NATRule) []NATRule {
					for i, r := range rules {
						if r.Chain == "KUBE-SEP-web-svc-0" && r.Jump == "DNAT" {
							rules[i].DNAT = netip.AddrPortFrom(r.DNAT.Addr(), 8080)
						}
					}
					return rules
				})
			}, Fail, "10.42.1.8:8080"},
			{"the service's rule under a condition", func(f *Facts) { f.narrow("w1", "KUBE-SERVICES") }, Fail, "w1 has no rule for web-svc 10.43.31.179:80"},
			{"an endpoint's rule under a condition", func(f *Facts) { f.narrow("w1", "KUBE-SVC-WEB") }, Fail, "w1 web-svc -> <none>"},
			{"a new destination under a condition", func(f *Facts) { f.narrow("w1", "KUBE-SEP-web-svc-1") }, Fail, "w1 web-svc -> 10.42.1.8:80"},
			{"the node port's rules under a condition", func(f *Facts) { f.narrow("w1", "KUBE-NODEPORTS") }, Fail, "w1 has no rule of KUBE-NODEPORTS that leads port 31885 to hello-svc"},
			{"no rule for the service", func(f *Facts) { f.noRule("w1", "KUBE-SERVICES", "KUBE-SVC-WEB") }, Fail, "w1 has no rule for web-svc 10.43.31.179:80"},
			{"returned before the service's rule", func(f *Facts) {
				f.before("w1", "KUBE-SVC-WEB", NATRule{Chain: "KUBE-SERVICES", Jump: "RETURN", To: prefix("10.43.31.179/32")})
			}, Fail, "w1 web-svc: a rule in between takes connections away"},
			{"accepted before the endpoints' rules", func(f *Facts) {
				f.before("w1", "", NATRule{Chain: "KUBE-SVC-WEB", Jump: "ACCEPT", Narrow: true})
			}, Fail, "w1 web-svc: a rule in between takes connections away"},
			{"some go elsewhere by a chain of somebody else's", func(f *Facts) {
				f.before("w1", "", NATRule{Chain: "KUBE-SVC-WEB", Jump: "OTHER", Probability: 0.1})
				f.nat("w1", func(rules []NATRule) []NATRule {
					return append(rules, NATRule{Chain: "OTHER", Jump: "DNAT", Probability: 1})
				})
			}, Fail, "w1 web-svc: a rule in between takes connections away"},
			{"another destination before the pod's", func(f *Facts) {
				f.before("w1", "", NATRule{Chain: "KUBE-SEP-web-svc-1", Jump: "DNAT", Protocol: "tcp", DNAT: netip.MustParseAddrPort("10.42.9.9:80")})
			}, Fail, "w1 web-svc -> 10.42.1.8:80, 10.42.9.9:80"},
			{"returned before the pod's destination", func(f *Facts) {
				f.before("w1", "", NATRule{Chain: "KUBE-SEP-web-svc-1", Jump: "RETURN"})
			}, Fail, "w1 web-svc: a rule in between takes connections away"},
			{"another service's rule before", func(f *Facts) {
				f.before("w1", "", NATRule{Chain: "KUBE-SERVICES", Jump: "KUBE-SVC-HELLO", Protocol: "tcp", To: prefix("10.43.45.254/32"), Port: 80})
				f.before("w1", "", NATRule{Chain: "KUBE-SVC-WEB", Jump: "ACCEPT", Protocol: "udp"})
			}, Pass, ""},
			{"the node port returned before its rule", func(f *Facts) {
				f.before("w1", "", NATRule{Chain: "KUBE-NODEPORTS", Jump: "RETURN"})
			}, Fail, "w1: a rule in between takes packets to 192.168.56.11:31885 away"},
			{"the node port accepted on the way to the service", func(f *Facts) {
				f.before("w1", "", NATRule{Chain: "KUBE-EXT-HELLO", Jump: "ACCEPT", Narrow: true})
			}, Fail, "w1: a rule in between takes packets to 192.168.56.11:31885 away"},
			{"the node port returned before all node ports", func(f *Facts) {
				f.before("w1", "KUBE-NODEPORTS", NATRule{Chain: "KUBE-SERVICES", Jump: "RETURN", Local: true, Narrow: true})
			}, Fail, "w1: a rule in between takes packets to 192.168.56.11:31885 away"},
			{"no endpoints, no rule", func(f *Facts) {
				f.slice("web-svc", func(s *EndpointSlice) { s.Endpoints = nil })
				for _, n := range f.Lab.Nodes {
					f.noRule(n.Name, "KUBE-SERVICES", "KUBE-SVC-WEB")
				}
			}, Pass, ""},
			{"no rule for the node port", func(f *Facts) { f.noRule("w1", "KUBE-NODEPORTS", "") }, Fail, "w1 has no rule of KUBE-NODEPORTS that leads port 31885"},
			{"nothing leads to the node ports", func(f *Facts) { f.noRule("w1", "", "KUBE-NODEPORTS") }, Fail, "KUBE-SERVICES does not lead to KUBE-NODEPORTS"},
			{"a node port of loopback only", func(f *Facts) {
				f.nat("w1", func(rules []NATRule) []NATRule {
					return slices.DeleteFunc(rules, func(r NATRule) bool { return r.Chain == "KUBE-NODEPORTS" && !r.To.IsValid() })
				})
			}, Fail, "no rule of KUBE-NODEPORTS"},
			{"chains that run in circles", func(f *Facts) {
				f.nat("w1", func(rules []NATRule) []NATRule {
					return append(slices.DeleteFunc(rules, func(r NATRule) bool { return r.Chain == "KUBE-EXT-HELLO" }), NATRule{Chain: "KUBE-EXT-HELLO", Jump: "KUBE-EXT-HELLO"})
				})
			}, Fail, "no rule of KUBE-NODEPORTS"},
			{"an iptables-save that is too old", func(f *Facts) {
				f.nat("w1", func(rules []NATRule) []NATRule {
					for i := range rules {
						rules[i].DNAT = netip.AddrPort{}
					}
					return rules
				})
			}, Unknown, "w1: the node's iptables-save cannot tell where KUBE-SEP-web-svc-0 sends"},
			{"IPVS", func(f *Facts) { f.inIPVS() }, NotApplicable, "ipvs"},
			{"no web-svc", func(f *Facts) { f.noService("web-svc") }, Fail, "there is no such service"},
			{"endpoints unknown", func(f *Facts) { f.Cluster.Slices = Fact[[]EndpointSlice]{} }, Unknown, "not collected"},
			w2Unreached(),
			noCluster(),
		},
		"proxy.shares": {
			asIs(),
			{"all to the first", func(f *Facts) {
				f.nat("w1", func(rules []NATRule) []NATRule {
					for i := range rules {
						rules[i].Probability = 1
					}
					return rules
				})
			}, Fail, "w1 web-svc: 1.000 0.000"},
			{"session affinity's own rules", func(f *Facts) {
				f.nat("w1", func(rules []NATRule) []NATRule {
					return append([]NATRule{{Chain: "KUBE-SVC-WEB", Jump: "KUBE-SEP-web-svc-0", Probability: 1, Sticky: true}}, rules...)
				})
			}, Pass, ""},
			{"no rules", func(f *Facts) { f.nat("w1", func([]NATRule) []NATRule { return nil }) }, Fail, "w1 hello-svc: no rule gives it any"},
			{"half of them go nowhere first", func(f *Facts) {
				f.before("w1", "", NATRule{Chain: "KUBE-SVC-WEB", Jump: "RETURN", Probability: 0.5})
			}, Fail, "w1 web-svc: less what another rule takes away: 0.500 0.500"},
			{"IPVS", func(f *Facts) { f.inIPVS() }, NotApplicable, "ipvs"},
			w2Unreached(),
			noCluster(),
		},
		"proxy.virtual-servers": {
			{"iptables mode", func(*Facts) {}, NotApplicable, "iptables"},
			{"IPVS", func(f *Facts) { f.inIPVS() }, Pass, "w1 hello-svc 192.168.56.11:31885 -> 10.42.0.10:8080"},
			{"none", func(f *Facts) { f.inIPVS(); f.node("w1", func(n *NodeFacts) { n.IPVS.Value = nil }) }, Fail, "w1 has no virtual server 10.43.31.179:80 for web-svc"},
			{"another destination before IPVS comes to it", func(f *Facts) {
				f.inIPVS()
				f.before("w1", "", NATRule{Chain: "PREROUTING", Jump: "OTHER", Local: true, Narrow: true})
				f.nat("w1", func(rules []NATRule) []NATRule {
					return append(rules, NATRule{Chain: "OTHER", Jump: "DNAT", Protocol: "tcp", Port: 80}, NATRule{Chain: "OTHER", Jump: "OTHER"})
				})
			}, Fail, "w1 PREROUTING: a rule of iptables gives packets to 10.43.31.179:80 another destination"},
			{"rules that give nothing another destination, or other things", func(f *Facts) {
				f.inIPVS()
				f.before("w1", "", NATRule{Chain: "PREROUTING", Jump: "ACCEPT"})
				f.before("w1", "", NATRule{Chain: "PREROUTING", Jump: "REDIRECT", Protocol: "tcp", Port: 8080})
				f.before("w1", "", NATRule{Chain: "PREROUTING", Jump: "DNAT", To: prefix("1.1.1.1/32")})
			}, Pass, ""},
			{"iptables was not asked", func(f *Facts) {
				f.inIPVS()
				f.node("w1", func(n *NodeFacts) { n.NAT = Missing[[]NATRule]("w1: iptables-save: not found", Source{}) })
			}, Unknown, "iptables-save: not found"},
			{"a real server too few", func(f *Facts) {
				f.inIPVS()
				f.node("w1", func(n *NodeFacts) { n.IPVS.Value[0].Real = n.IPVS.Value[0].Real[:1] })
			}, Fail, "w1 web-svc 10.43.31.179:80 -> 10.42.1.8:80"},
			{"one that takes no new connections", func(f *Facts) {
				f.inIPVS()
				f.node("w1", func(n *NodeFacts) { n.IPVS.Value[0].Real[0].Weight = 0 })
			}, Fail, "w1 web-svc 10.43.31.179:80 -> 10.42.2.8:80"},
			{"UDP", func(f *Facts) { f.inIPVS(); f.node("w1", func(n *NodeFacts) { n.IPVS.Value[0].Protocol = "udp" }) }, Fail, "w1 has no virtual server"},
			{"no ipvsadm", func(f *Facts) {
				f.inIPVS()
				f.node("w1", func(n *NodeFacts) { n.IPVS = Missing[[]VirtualServer]("w1: ipvsadm: not found", Source{}) })
			}, Unknown, "ipvsadm: not found"},
		},
		"proxy.scheduler": {
			{"iptables mode", func(*Facts) {}, NotApplicable, "iptables"},
			{"the default", func(f *Facts) { f.inIPVS() }, Pass, "w1 hello-svc 192.168.56.11:31885 rr"},
			{"a lab that says nothing of it", func(f *Facts) { f.inIPVS(); f.Lab.K3s.IPVSScheduler = "" }, Pass, "w1 web-svc 10.43.31.179:80 rr"},
			{"another everywhere", func(f *Facts) {
				f.inIPVS()
				f.Lab.K3s.IPVSScheduler = "lc"
				for _, n := range f.Lab.Nodes {
					f.schedule(n.Name, "lc")
				}
			}, Pass, "w2 hello-svc 192.168.56.12:31885 lc"},
			{"still the old one", func(f *Facts) { f.inIPVS(); f.Lab.K3s.IPVSScheduler = "lc" }, Fail, "cp1 web-svc 10.43.31.179:80 rr"},
			{"another on one node", func(f *Facts) { f.inIPVS(); f.schedule("w1", "lc") }, Fail, "w1 web-svc 10.43.31.179:80 lc"},
			{"another for one virtual server", func(f *Facts) {
				f.inIPVS()
				f.node("w2", func(n *NodeFacts) { n.IPVS.Value[2].Scheduler = "sh" })
			}, Fail, "w2 hello-svc 192.168.56.12:31885 sh"},
			{"none for the node port", func(f *Facts) {
				f.inIPVS()
				f.node("w2", func(n *NodeFacts) { n.IPVS.Value = n.IPVS.Value[:2] })
			}, Pass, "w2 hello-svc 10.43.45.254:80 rr"},
			{"none", func(f *Facts) { f.inIPVS(); f.node("w1", func(n *NodeFacts) { n.IPVS.Value = nil }) }, Fail, "w1 has no virtual server 10.43.31.179:80 for web-svc"},
			{"no ipvsadm", func(f *Facts) {
				f.inIPVS()
				f.node("w1", func(n *NodeFacts) { n.IPVS = Missing[[]VirtualServer]("w1: ipvsadm: not found", Source{}) })
			}, Unknown, "ipvsadm: not found"},
			{"endpoints unknown", func(f *Facts) { f.inIPVS(); f.Cluster.Slices = Fact[[]EndpointSlice]{} }, Unknown, "not collected"},
			{"no web-svc", func(f *Facts) { f.inIPVS(); f.noService("web-svc") }, Fail, "there is no such service"},
		},
		"proxy.conntrack": {
			asIs(),
			{"a pod of that name elsewhere", func(f *Facts) {
				f.Cluster.Pods.Value = slices.Insert(f.Cluster.Pods.Value, 0, Pod{Namespace: "foreign", Name: "hello-w1-0", IP: addr("10.42.1.99")})
			}, Pass, ""},
			{"two pods over one connection", func(f *Facts) { f.Kept.Value.By = []string{"hello-w1-0", "hello-w2-0"} }, Fail, "was answered by hello-w1-0, hello-w2-0"},
			{"a new connection each time", func(f *Facts) { f.Kept.Value.Connects = 4 }, Unknown, "did not keep the connection alive"},
			{"no answer", func(f *Facts) {
				f.Kept.Value = KeptConnection{Target: f.Kept.Value.Target, Connects: 0, Failure: "curl: (28) timed out"}
			}, Fail, "no answer: curl: (28)"},
			{"no entry", func(f *Facts) { f.Flows.Value = nil }, Fail, "conntrack has no entry from port 51344"},
			{"an entry of another connection", func(f *Facts) { f.Flows.Value[0].Src = netip.MustParseAddrPort("192.168.56.10:51345") }, Fail, "no entry from port 51344"},
			{"an entry with another pod", func(f *Facts) { f.Flows.Value[0].ReplySrc = netip.MustParseAddrPort("10.42.2.10:8080") }, Fail, "is answered by 10.42.2.10"},
			{"no conntrack", func(f *Facts) { f.Flows = Missing[[]Flow]("cp1: conntrack: not found", Source{}) }, Unknown, "conntrack: not found"},
			{"pods unknown", func(f *Facts) { f.Cluster.Pods = Fact[[]Pod]{} }, Unknown, "which IP hello-w1-0 has"},
			{"not asked", func(f *Facts) { f.Kept = Fact[KeptConnection]{} }, Unknown, "not collected"},
		},
		"proxy.balance": {
			asIs(),
			{"one pod is left out", func(f *Facts) { f.answers(120, "hello-w1-0", "hello-w1-1", "hello-w2-0", "hello-w2-1", "hello-cp1-0") }, Fail, "in 360 connections these never did: hello-cp1-1"},
			{"too few to tell", func(f *Facts) { f.answers(3, "hello-w1-0") }, Unknown, "9 answers that name their pod are too few"},
			{"few, and some lost", func(f *Facts) {
				f.answers(3, "hello-w1-0")
				f.probe(Host, false, w1Port, func(p *Probe) { *p = Probe{Where: Host, Target: p.Target, Outcome: TimedOut} })
			}, Fail, "and 1 got no answer at all"},
			{"answers that name nobody", func(f *Facts) { f.answers(9, "") }, Unknown, "do not name their pod"},
			{"no ready pods", func(f *Facts) { f.Cluster.Pods.Value = nil }, Fail, "there are none"},
			{"no hello-svc", func(f *Facts) { f.noService("hello-svc") }, Fail, "there is no such service"},
			{"by another name", func(f *Facts) { f.changeService("hello-svc", func(s *Service) { s.Name = "my-helloworld-rs-service" }) }, Pass, ""},
			noCluster(),
		},
		"proxy.ipvs-node-addresses": {
			{"iptables mode", func(*Facts) {}, NotApplicable, "iptables"},
			{"IPVS", func(f *Facts) { f.inIPVS("10.43.0.1", "10.43.31.179") }, Pass, ""},
			{"ServiceLB published the nodes' addresses", func(f *Facts) { f.inIPVS("10.43.0.1", "192.168.56.12") }, Fail, "cp1 has 192.168.56.12 of w2 on kube-ipvs0"},
			{"no kube-ipvs0", func(f *Facts) { f.inIPVS(); f.without("w1", "kube-ipvs0") }, Fail, "w1 has none"},
			{"w2 cannot be reached", func(f *Facts) { f.inIPVS("10.43.0.1"); f.unreached("w2") }, Unknown, w2Gone},
		},
	}
}
