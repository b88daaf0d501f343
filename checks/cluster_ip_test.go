package checks

import (
	"net/netip"
	"slices"
)

func clusterIPFixtures() map[string][]fixture {
	return map[string][]fixture{
		"svc.cluster-ip": {
			asIs(),
			{"outside", func(f *Facts) { f.changeService("web-svc", func(s *Service) { s.ClusterIP = addr("10.53.0.7") }) }, Fail, "demo/web-svc 10.53.0.7"},
			{"another service network in the lab's file", func(f *Facts) { f.Lab.K3s.ServiceCIDR = prefix("10.53.0.0/16") }, Fail, "10.43.31.179"},
			{"no web-svc", func(f *Facts) { f.noService("web-svc") }, Fail, "there is no such service"},
			noCluster(),
		},
		"svc.virtual": {
			asIs(),
			{"on a NIC", func(f *Facts) {
				f.link("w1", "enp0s8", func(l *Link) { l.Addresses = append(l.Addresses, prefix("10.43.31.179/32")) })
			}, Fail, "w1 enp0s8 has 10.43.31.179 of demo/web-svc"},
			{"in a route", func(f *Facts) { f.route("w2", Route{To: prefix("10.43.0.0/16"), Dev: "enp0s8"}) }, Fail, "w2 routes 10.43.0.1"},
			{"IPVS", func(f *Facts) { f.inIPVS("10.43.0.1", "10.43.31.179") }, Pass, ""},
			{"IPVS, and on a NIC", func(f *Facts) {
				f.inIPVS("10.43.0.1", "10.43.31.179")
				f.link("w1", "cni0", func(l *Link) { l.Addresses = append(l.Addresses, prefix("10.43.31.179/32")) })
			}, Fail, "w1 cni0 has 10.43.31.179"},
			{"kube-ipvs0 left over in iptables mode", func(f *Facts) {
				f.inIPVS("10.43.31.179")
				f.Lab.K3s.KubeProxyMode = "iptables"
			}, Fail, "kube-ipvs0 has 10.43.31.179"},
			{"nothing to look for", func(f *Facts) { f.noService("web-svc") }, Unknown, `no service "web-svc"`},
			w2Unreached(),
			noCluster(),
		},
		"svc.endpoints": {
			asIs(),
			{"one pod is missing", func(f *Facts) { f.slice("web-svc", func(s *EndpointSlice) { s.Endpoints = s.Endpoints[:1] }) }, Fail, "the endpoints 10.42.1.8"},
			{"a pod that is not ready", func(f *Facts) { f.pod("web-w1", func(p *Pod) { p.Ready = false }) }, Fail, "10.42.1.8"},
			{"an endpoint that is not ready", func(f *Facts) { f.slice("web-svc", func(s *EndpointSlice) { s.Endpoints[0].Ready = false }) }, Fail, "the endpoints 10.42.2.8"},
			{"one address twice, in two slices", func(f *Facts) {
				f.Cluster.Slices.Value = append(f.Cluster.Slices.Value, EndpointSlice{Namespace: "demo", Service: "web-svc", Endpoints: []Endpoint{{Addr: addr("10.42.1.8"), Ready: true}}})
			}, Pass, ""},
			{"a selector that matches nothing", func(f *Facts) {
				f.changeService("web-svc", func(s *Service) { s.Selector = map[string]string{"app": "wbe"} })
				f.slice("web-svc", func(s *EndpointSlice) { s.Endpoints = nil })
			}, Fail, "<none>"},
			{"a dead endpoint of hello", func(f *Facts) {
				f.slice("hello-svc", func(s *EndpointSlice) {
					s.Endpoints = append(s.Endpoints, Endpoint{Addr: addr("10.42.1.99"), Ready: true})
				})
			}, Fail, "hello-svc: the endpoints 10.42.0.10, 10.42.0.11, 10.42.1.10, 10.42.1.11, 10.42.1.99"},
			{"a pod of hello that is no endpoint", func(f *Facts) { f.slice("hello-svc", func(s *EndpointSlice) { s.Endpoints = s.Endpoints[1:] }) }, Fail, "hello-svc: the endpoints 10.42.0.11"},
			{"hello by another name", func(f *Facts) {
				f.changeService("hello-svc", func(s *Service) { s.Name = "my-helloworld-rs-service" })
				f.slice("hello-svc", func(s *EndpointSlice) { s.Service = "my-helloworld-rs-service" })
			}, Pass, "my-helloworld-rs-service"},
			{"no web-svc", func(f *Facts) { f.noService("web-svc") }, Fail, "there is no such service"},
			{"no hello-svc", func(f *Facts) { f.noService("hello-svc") }, Fail, "there is no such service"},
			{"pods unknown", func(f *Facts) { f.Cluster.Pods = Fact[[]Pod]{} }, Unknown, "not collected"},
			noCluster(),
		},
		"svc.old-endpoints": {
			asIs(),
			{"what is compared", func(*Facts) {}, Pass, "web-svc: the Endpoints 10.42.1.8, 10.42.2.8"},
			{"one pod is missing", func(f *Facts) { f.endpoints("web-svc", func(e *Endpoints) { e.Ready = e.Ready[:1] }) }, Fail, "web-svc: the Endpoints 10.42.1.8"},
			{"one too many", func(f *Facts) {
				f.endpoints("hello-svc", func(e *Endpoints) { e.Ready = append(e.Ready, addr("10.42.1.99")) })
			}, Fail, "10.42.1.99"},
			{"a pod that is not ready", func(f *Facts) { f.pod("web-w1", func(p *Pod) { p.Ready = false }) }, Fail, "10.42.1.8"},
			{"the slices alone are right", func(f *Facts) { f.endpoints("web-svc", func(e *Endpoints) { e.Ready = nil }) }, Fail, "web-svc: the Endpoints <none>"},
			{"the slices alone are wrong", func(f *Facts) { f.slice("web-svc", func(s *EndpointSlice) { s.Endpoints = nil }) }, Pass, ""},
			{"no pods, no endpoints", func(f *Facts) {
				f.changeService("web-svc", func(s *Service) { s.Selector = map[string]string{"app": "wbe"} })
				f.endpoints("web-svc", func(e *Endpoints) { e.Ready = nil })
			}, Fail, "<none>"},
			{"no object for web-svc", func(f *Facts) { f.noEndpoints("web-svc") }, Fail, "web-svc: the Endpoints <none>"},
			{"none but the API server's own", func(f *Facts) { f.noEndpoints("web-svc"); f.noEndpoints("hello-svc") }, NotApplicable, "makes no Endpoints any more"},
			{"not asked for", func(f *Facts) { f.Cluster.Endpoints = Fact[[]Endpoints]{} }, NotApplicable, "not asked for"},
			{"unreadable", func(f *Facts) { f.Cluster.Endpoints = Missing[[]Endpoints]("reading an Endpoints: x", Source{}) }, Unknown, "reading an Endpoints: x"},
			{"no web-svc", func(f *Facts) { f.noService("web-svc") }, Fail, "there is no such service"},
			{"pods unknown", func(f *Facts) { f.Cluster.Pods = Fact[[]Pod]{} }, Unknown, "not collected"},
			noCluster(),
		},
		"svc.from-nodes": {
			asIs(),
			{"times out on w1", func(f *Facts) {
				f.probe("w1", false, webIP, func(p *Probe) { p.Outcome, p.Status = TimedOut, 0 })
			}, Fail, "w1: 10.43.31.179:80 timed out"},
			{"refused on w1", func(f *Facts) {
				f.probe("w1", false, webIP, func(p *Probe) { p.Outcome, p.Status = Refused, 0 })
			}, Fail, "w1: 10.43.31.179:80 not connected"},
			{"fails after good tries", func(f *Facts) {
				f.Probes = append(f.Probes, Probe{Where: "w1", Target: netip.MustParseAddrPort(webIP), Outcome: TimedOut})
			}, Fail, "w1: 10.43.31.179:80 timed out"},
			{"answers 502", func(f *Facts) { f.probe("w1", false, webIP, func(p *Probe) { p.Status = 502 }) }, Fail, "status 502"},
			{"no curl on w1", func(f *Facts) {
				f.probe("w1", false, webIP, func(p *Probe) { p.Outcome, p.Why = Inconclusive, "w1: curl: not found" })
			}, Unknown, "curl: not found"},
			{"one try each, which a dead pod may be missed by", func(f *Facts) { f.fewProbes(false, webIP) }, Unknown, "3 answers are too few to have met each of the 2 pods"},
			{"one pod for each node, whichever it met first", func(f *Facts) {
				f.changeService("web-svc", func(s *Service) { s.Sticky = true })
			}, Unknown, "each node meets one of the 2 pods only"},
			{"one try each, and one pod", func(f *Facts) {
				f.fewProbes(false, webIP)
				f.pod("web-w1", func(p *Pod) { p.Ready = false })
			}, Pass, ""},
			{"one try each, and pods that a table tells in part", func(f *Facts) {
				f.fewProbes(false, webIP)
				f.Cluster.Pods.Partial = "namespace demo only"
			}, Unknown, "3 answers are too few to have met each of the 2 pods"},
			{"a headless web-svc", func(f *Facts) { f.changeService("web-svc", func(s *Service) { s.ClusterIP = netip.Addr{} }) }, Fail, "demo/web-svc ClusterIP <none>"},
			{"no web-svc", func(f *Facts) { f.noService("web-svc") }, Fail, "there is no such service"},
			w2Unreached(),
			noCluster(),
		},
		"svc.from-pods": {
			asIs(),
			{"times out in a pod of w1", func(f *Facts) { f.probe("w1", true, webIP, func(p *Probe) { p.Outcome = TimedOut }) }, Fail, "w1: 10.43.31.179:80 timed out"},
			{"wget crashed", func(f *Facts) {
				f.probe("w1", true, webIP, func(p *Probe) { p.Outcome, p.Why = Inconclusive, "exit status 139" })
			}, Unknown, "w1: exit status 139"},
			{"not asked on w1", func(f *Facts) { f.noProbe("w1", true, webIP) }, Unknown, "w1: no such probe was made"},
			{"fails after good tries", func(f *Facts) {
				f.Probes = append(f.Probes, Probe{Where: "w1", Pod: "labctl/labctl-probe-w1", Target: netip.MustParseAddrPort(webIP), Outcome: TimedOut})
			}, Fail, "w1: 10.43.31.179:80 timed out"},
			{"one try each, which a dead pod may be missed by", func(f *Facts) { f.fewProbes(true, webIP) }, Unknown, "3 answers are too few to have met each of the 2 pods"},
			{"one try each, and one pod", func(f *Facts) {
				f.fewProbes(true, webIP)
				f.pod("web-w1", func(p *Pod) { p.Ready = false })
			}, Pass, ""},
			{"one try each, and pods that a table tells in part", func(f *Facts) {
				f.fewProbes(true, webIP)
				f.Cluster.Pods.Partial = "namespace demo only"
			}, Unknown, "3 answers are too few to have met each of the 2 pods"},
			{"exec is refused", func(f *Facts) {
				f.probe("w1", true, webIP, func(p *Probe) { p.Outcome, p.Why = NotAsked, "Error from server: error dialing backend" })
			}, Fail, "w1: its pod cannot be asked: kubectl exec fails: Error from server: error dialing backend"},
			{"no probe pod on w1", func(f *Facts) { f.noProbePod("w1") }, Fail, "w1: no pod of labctl/labctl-probe runs there"},
			{"a probe pod that waits", func(f *Facts) {
				f.noProbe("w1", true, webIP)
				f.pod("labctl-probe-w1", func(p *Pod) { p.Running = false })
			}, Fail, "w1: no pod of labctl/labctl-probe runs there"},
			{"the DaemonSet is gone", func(f *Facts) { f.noProbePod("cp1", "w1", "w2") }, Fail, "cp1: no pod of labctl/labctl-probe runs there"},
			{"a cluster without labctl's DaemonSet, recorded", func(f *Facts) {
				f.noProbePod("cp1", "w1", "w2")
				f.Cluster.DaemonSets = Fact[[]Workload]{}
			}, Unknown, "w1: no such probe was made"},
			{"pods that a table tells in part", func(f *Facts) {
				f.noProbePod("w1")
				f.Cluster.Pods.Partial = "namespace demo only"
			}, Unknown, "w1: no such probe was made"},
			noCluster(),
		},
		"svc.isolated": {
			asIs(),
			{"times out", func(f *Facts) { f.probe(Host, false, helloIP, func(p *Probe) { p.Outcome = TimedOut }) }, Pass, ""},
			{"something else answers", func(f *Facts) {
				f.probe(Host, false, helloIP, func(p *Probe) { p.Outcome, p.Status, p.Body = Answered, 200, "the office printer" })
			}, Pass, ""},
			{"a route to other ClusterIPs than the one that was asked", func(f *Facts) {
				f.HostRoutes = Known([]Route{{To: prefix("10.43.0.0/24"), Via: addr("192.168.56.10"), Dev: "vboxnet0"}}, Source{})
			}, Unknown, "its route 10.43.0.0/24 via 192.168.56.10 dev vboxnet0 leads to ClusterIPs by a node"},
			{"a route to all of them, by which nothing comes back", func(f *Facts) {
				f.HostRoutes = Known([]Route{{To: prefix("10.43.0.0/16"), Via: addr("192.168.56.11"), Dev: "vboxnet0"}}, Source{})
			}, Pass, ""},
			{"routes of the host's own network", func(f *Facts) {
				f.HostRoutes = Known([]Route{{To: prefix("10.43.0.0/24"), Via: addr("192.168.1.1"), Dev: "eth0"}, {To: prefix("10.43.7.0/24"), Dev: "eth0"},
					{To: prefix("0.0.0.0/0"), Via: addr("192.168.56.10")}, {To: prefix("10.42.0.0/16"), Via: addr("192.168.56.10")}}, Source{})
			}, Pass, ""},
			{"our nonce comes back", func(f *Facts) {
				f.HostRoutes = Known([]Route{{To: prefix("0.0.0.0/0"), Dev: "eth0"}, {To: prefix("10.43.0.0/16"), Via: addr("192.168.56.10"), Dev: "vboxnet0"}}, Source{})
				f.probe(Host, false, helloIP, func(p *Probe) { p.Outcome, p.Status, p.Body = Answered, 200, "GET /?nonce=N0NCE HTTP/1.1" })
			}, Fail, "10.43.45.254:80 answers, with our nonce"},
			{"our nonce comes back although a control failed", func(f *Facts) {
				f.noProbe("cp1", false, helloIP)
				f.probe(Host, false, helloIP, func(p *Probe) { p.Outcome, p.Body = Answered, "N0NCE" })
			}, Fail, "with our nonce"},
			{"our nonce comes back, and the connection breaks", func(f *Facts) {
				f.probe(Host, false, helloIP, func(p *Probe) { p.Outcome, p.Status, p.Body = Failed, 200, "GET /?nonce=N0NCE HTTP/1.1" })
			}, Fail, "10.43.45.254:80 answers, with our nonce"},
			{"our nonce comes back, and the end never does", func(f *Facts) {
				f.probe(Host, false, helloIP, func(p *Probe) { p.Outcome, p.Status, p.Body = TimedOut, 200, "GET /?nonce=N0NCE HTTP/1.1" })
			}, Fail, "10.43.45.254:80 answers, with our nonce"},
			{"connections are taken, and there is no answer", func(f *Facts) {
				f.probe(Host, false, helloIP, func(p *Probe) { p.Outcome = Failed })
			}, Unknown, "something takes connections at 10.43.45.254:80"},
			{"our nonce comes back once in four tries", func(f *Facts) {
				f.isolationTries(3, func(i int, p *Probe) {
					p.Outcome = TimedOut
					if i == 1 {
						p.Outcome, p.Body = Answered, "GET /?nonce="+p.Nonce+" HTTP/1.1"
					}
				})
			}, Fail, "10.43.45.254:80 answers, with our nonce"},
			{"in four tries", func(f *Facts) { f.isolationTries(3, func(_ int, p *Probe) { p.Outcome = TimedOut }) }, Pass, "10.43.45.254:80 timed out"},
			{"one of four tries did not work", func(f *Facts) {
				f.isolationTries(3, func(i int, p *Probe) {
					if i == 2 {
						p.Outcome, p.Why = Inconclusive, "host: interrupted"
					}
				})
			}, Unknown, "interrupted"},
			{"an answer to a request without nonce", func(f *Facts) {
				f.probe(Host, false, helloIP, func(p *Probe) { p.Outcome, p.Nonce = Answered, "" })
			}, Unknown, "carried no nonce"},
			{"no NodePort answers the host", func(f *Facts) {
				for i := range f.Probes {
					if f.Probes[i].Where == Host {
						f.Probes[i].Outcome = TimedOut
					}
				}
			}, Unknown, "control: the host was not seen to reach any NodePort"},
			{"it does not answer inside either", func(f *Facts) {
				f.probe("cp1", false, helloIP, func(p *Probe) { p.Outcome = TimedOut })
			}, Unknown, "control: 10.43.45.254:80 was not seen to answer inside"},
			{"it does not answer inside on cp1 alone", func(f *Facts) {
				f.probe("cp1", false, helloIP, func(p *Probe) { p.Outcome = TimedOut })
				f.Probes = append(f.Probes, Probe{Where: "w2", Target: netip.MustParseAddrPort(helloIP), Outcome: Answered, Status: 200})
			}, Pass, ""},
			{"another ClusterIP answers inside", func(f *Facts) { f.noProbe("cp1", false, helloIP) }, Unknown, "control"},
			{"the probe did not work", func(f *Facts) {
				f.probe(Host, false, helloIP, func(p *Probe) { p.Outcome, p.Why = Inconclusive, "host: interrupted" })
			}, Unknown, "interrupted"},
			{"no probe", func(f *Facts) { f.noProbe(Host, false, helloIP) }, Unknown, "no probe of a ClusterIP was made"},
			noCluster(),
		},
		"svc.by-name": {
			asIs(),
			{"not from w1", func(f *Facts) {
				for i, p := range f.Probes {
					if p.Where == "w1" && p.Name == WebName {
						f.Probes[i].Outcome = Refused
					}
				}
			}, Fail, "w1: web-svc.demo.svc.cluster.local not connected"},
			{"not asked", func(f *Facts) {
				f.Probes = slices.DeleteFunc(f.Probes, func(p Probe) bool { return p.Name != "" })
			}, Unknown, "cp1: no such probe"},
			{"exec is refused", func(f *Facts) {
				for i, p := range f.Probes {
					if p.Where == "w1" && p.Name == WebName {
						f.Probes[i].Outcome, f.Probes[i].Why = NotAsked, "Error from server: error dialing backend"
					}
				}
			}, Fail, "w1: its pod cannot be asked: kubectl exec fails: Error from server"},
			{"no probe pod on w1", func(f *Facts) { f.noProbePod("w1") }, Fail, "w1: no pod of labctl/labctl-probe runs there"},
			{"no web-svc", func(f *Facts) { f.noService("web-svc") }, Fail, "there is no such service"},
			noCluster(),
		},
	}
}
