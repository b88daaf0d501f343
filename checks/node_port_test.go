package checks

import (
	"net/netip"
	"time"
)

func nodePortFixtures() map[string][]fixture {
	return map[string][]fixture{
		"nodeport.policy": {
			asIs(),
			{"Local", func(f *Facts) { f.changeService("hello-svc", func(s *Service) { s.ExternalPolicy = "Local" }) }, Fail, "hello-svc externalTrafficPolicy Local"},
			{"no NodePort service", func(f *Facts) { f.changeService("hello-svc", func(s *Service) { s.ExternalPolicy = "" }) }, Fail, "externalTrafficPolicy <none>"},
			{"from a table", func(f *Facts) { f.Cluster.Services.Partial = "a table tells no policy" }, Unknown, "a table tells no policy"},
			{"no hello-svc", func(f *Facts) { f.noService("hello-svc") }, Fail, "there is no such service"},
			noCluster(),
		},
		"nodeport.remote": {
			asIs(),
			{"each node its own pods only", func(f *Facts) {
				f.answers(0)
				for _, n := range f.Lab.Nodes {
					f.answersOf(n, 12, "hello-"+n.Name+"-0", "hello-"+n.Name+"-1")
				}
			}, Fail, "w1: only its own pods did, in 12 tries"},
			{"too few to tell", func(f *Facts) { f.answers(0); f.answersOf(f.Lab.Nodes[1], 2, "hello-w1-0") }, Unknown, "w1: 2 answers that name their pod are too few"},
			{"lost", func(f *Facts) {
				f.answers(0)
				for _, n := range f.Lab.Nodes {
					f.Probes = append(f.Probes, Probe{Where: Host, Target: netip.AddrPortFrom(n.Address, 31885), Outcome: TimedOut})
				}
			}, Fail, "w1: none did, and a try got no answer at all (timed out)"},
			{"answers that name nobody", func(f *Facts) { f.answers(9, "") }, Unknown, "w1: the answers do not name their pod"},
			{"all pods on one node", func(f *Facts) {
				for i, p := range f.Cluster.Pods.Value {
					if p.Labels["app"] == "hello" {
						f.Cluster.Pods.Value[i].Node = "w1"
					}
				}
			}, Pass, ""},
			{"one node", func(f *Facts) { f.Lab.Nodes = f.Lab.Nodes[:1] }, NotApplicable, "one node"},
			noCluster(),
		},
		"nodeport.mapping": {
			asIs(),
			{"another NodePort", func(f *Facts) { f.changeService("hello-svc", func(s *Service) { s.Ports[0].NodePort = 30080 }) }, Fail, "80:30080"},
			{"out of range, though the lab's file says so", func(f *Facts) {
				f.Lab.Demo.NodePort = 8080
				f.changeService("hello-svc", func(s *Service) { s.Ports[0].NodePort = 8080 })
			}, Fail, "80:8080"},
			{"the wrong target", func(f *Facts) {
				f.changeService("hello-svc", func(s *Service) { s.Ports[0].Target = "80" })
				f.slice("hello-svc", func(s *EndpointSlice) { s.Ports = []int{80} })
			}, Fail, "to 80"},
			{"a target by name", func(f *Facts) { f.changeService("hello-svc", func(s *Service) { s.Ports[0].Target = "http" }) }, Pass, ""},
			{"endpoints that do not follow the target", func(f *Facts) { f.changeService("hello-svc", func(s *Service) { s.Ports[0].Target = "9090" }) }, Fail, "to 9090 (endpoints: 8080)"},
			{"a target by name, and no endpoints", func(f *Facts) {
				f.changeService("hello-svc", func(s *Service) { s.Ports[0].Target = "http" })
				f.Cluster.Pods.Value = nil
				f.slice("hello-svc", func(s *EndpointSlice) { s.Ports = nil })
			}, Fail, "(endpoints: <none>)"},
			{"a pod that is not ready listens elsewhere", func(f *Facts) {
				f.pod("hello-w1-0", func(p *Pod) { p.Ready = false; p.Ports = []int{80} })
			}, Pass, ""},
			{"no endpoints", func(f *Facts) { f.slice("hello-svc", func(s *EndpointSlice) { s.Ports = nil }) }, Fail, "(endpoints: <none>)"},
			{"pods that declare no port", func(f *Facts) {
				for i := range f.Cluster.Pods.Value {
					f.Cluster.Pods.Value[i].Ports = nil
				}
			}, Pass, ""},
			{"no NodePort service", func(f *Facts) {
				f.changeService("hello-svc", func(s *Service) { s.Type = "ClusterIP"; s.Ports[0].NodePort = 0 })
			}, Fail, "ClusterIP 80:0"},
			{"another service port", func(f *Facts) { f.changeService("hello-svc", func(s *Service) { s.Ports[0].Port = 8000 }) }, Fail, "8000:31885"},
			{"no hello-svc", func(f *Facts) { f.noService("hello-svc") }, Fail, "there is no such service"},
			{"endpoints unknown", func(f *Facts) { f.Cluster.Slices = Fact[[]EndpointSlice]{} }, Unknown, "not collected"},
			noCluster(),
		},
		"nodeport.answers": {
			asIs(),
			{"times out on w1", func(f *Facts) { f.probe(Host, false, w1Port, func(p *Probe) { p.Outcome = TimedOut }) }, Fail, "w1: 192.168.56.11:31885 timed out"},
			{"slow on w1", func(f *Facts) { f.probe(Host, false, w1Port, func(p *Probe) { p.Took = 3100 * time.Millisecond }) }, Fail, "answers after 3.1 s"},
			{"no time is told", func(f *Facts) { f.probe(Host, false, w1Port, func(p *Probe) { p.Took = 0 }) }, Unknown, "w1: 192.168.56.11:31885 answers, and nothing tells after how long"},
			{"another NodePort in the lab's file", func(f *Facts) { f.Lab.Demo.NodePort = 30080 }, Unknown, "no probe of its NodePort"},
			{"not probed on w1", func(f *Facts) { f.noProbe(Host, false, w1Port) }, Unknown, "w1: no probe of its NodePort"},
			{"the probe did not work", func(f *Facts) {
				f.probe(Host, false, w1Port, func(p *Probe) { p.Outcome, p.Why = Inconclusive, "interrupted" })
			}, Unknown, "w1: interrupted"},
		},
		"nodeport.spread": {
			asIs(),
			{"all on one node", func(f *Facts) {
				for i, p := range f.Cluster.Pods.Value {
					if p.Labels["app"] == "hello" {
						f.Cluster.Pods.Value[i].Node = "w1"
					}
				}
			}, Fail, "cp1 0, w1 6, w2 0"},
			{"one is missing on w1", func(f *Facts) { f.pod("hello-w1-0", func(p *Pod) { p.Ready = false }) }, Fail, "cp1 2, w1 1, w2 2, 5 of 6"},
			{"five, as is wanted", func(f *Facts) {
				f.pod("hello-w1-0", func(p *Pod) { p.Ready = false })
				f.Cluster.Deployments.Value[1].Desired = 5
			}, Pass, ""},
			{"five, and nobody said how many, as in records", func(f *Facts) {
				f.pod("hello-w1-0", func(p *Pod) { p.Ready = false })
				f.Cluster.Deployments = Fact[[]Workload]{}
			}, Pass, ""},
			{"none ready", func(f *Facts) { f.Cluster.Pods.Value = nil }, Fail, "there are none"},
			{"no hello-svc", func(f *Facts) { f.noService("hello-svc") }, Fail, "there is no such service"},
			{"pods unknown", func(f *Facts) { f.Cluster.Pods = Fact[[]Pod]{} }, Unknown, "not collected"},
			noCluster(),
		},
	}
}
