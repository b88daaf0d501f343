package checks

import "net/netip"

func loadBalancerFixtures() map[string][]fixture {
	return map[string][]fixture{
		"lb.external-ip": {
			asIs(),
			{"pending", func(f *Facts) { f.changeService("traefik", func(s *Service) { s.External = nil }) }, Fail, "EXTERNAL-IP <none>"},
			{"one node is missing", func(f *Facts) { f.changeService("traefik", func(s *Service) { s.External = s.External[:2] }) }, Fail, "192.168.56.10,192.168.56.11"},
			{"NAT addresses", func(f *Facts) {
				f.changeService("traefik", func(s *Service) { s.External = []netip.Addr{addr("10.0.2.15")} })
			}, Fail, "EXTERNAL-IP 10.0.2.15"},
			{"no LoadBalancer", func(f *Facts) { f.noService("traefik") }, Fail, "there is no such service"},
			{"another one", func(f *Facts) { f.changeService("traefik", func(s *Service) { s.Name = "web-lb" }) }, Fail, "there is no such service"},
			{"another one, in records of a cluster that labctl never asked", func(f *Facts) {
				f.changeService("traefik", func(s *Service) { s.Name = "web-lb" })
				f.noProbePod("cp1", "w1", "w2")
				f.Cluster.DaemonSets = Fact[[]Workload]{}
			}, Pass, "kube-system/web-lb"},
			{"IPVS", func(f *Facts) { f.inIPVS() }, NotApplicable, "ServiceLB is kept out"},
			{"IPVS, and ServiceLB is not kept out", func(f *Facts) {
				f.inIPVS()
				f.changeService("traefik", func(s *Service) { s.External = []netip.Addr{addr("192.168.56.10")} })
			}, Fail, "kube-system/traefik LoadBalancer EXTERNAL-IP 192.168.56.10"},
			{"IPVS, and the services are not known", func(f *Facts) {
				f.inIPVS()
				f.Cluster.Services = Missing[[]Service]("connection refused", Source{})
			}, Unknown, "connection refused"},
			{"IPVS, and no traefik", func(f *Facts) { f.inIPVS(); f.noService("traefik") }, Fail, "there is no such service"},
			noCluster(),
		},
		"lb.answers": {
			asIs(),
			{"an Ingress that fails changes nothing", func(f *Facts) { f.ingressProbe("192.168.56.11:80", func(p *Probe) { p.Outcome = TimedOut }) }, Pass, ""},
			{"not on w1", func(f *Facts) { f.probe(Host, false, "192.168.56.11:443", func(p *Probe) { p.Outcome = Refused }) }, Fail, "192.168.56.11:443 not connected"},
			{"502", func(f *Facts) { f.probe(Host, false, "192.168.56.11:80", func(p *Probe) { p.Status = 502 }) }, Fail, "192.168.56.11:80 answers with status 502"},
			{"the probe did not work", func(f *Facts) {
				f.probe(Host, false, "192.168.56.11:80", func(p *Probe) { p.Outcome, p.Why = Inconclusive, "interrupted" })
			}, Unknown, "w1: interrupted"},
			{"not asked, but for the Ingress", func(f *Facts) { f.noProbe(Host, false, "192.168.56.11:80") }, Unknown, "w1: port 80 was not probed"},
			{"no LoadBalancer", func(f *Facts) { f.noService("traefik") }, Fail, "there is no such service"},
			{"IPVS", func(f *Facts) { f.inIPVS() }, NotApplicable, "ServiceLB is kept out"},
			{"IPVS, and ServiceLB is not kept out", func(f *Facts) {
				f.inIPVS()
				f.changeService("traefik", func(s *Service) { s.External = []netip.Addr{addr("192.168.56.10")} })
				f.noProbe(Host, false, "192.168.56.11:80")
			}, Unknown, "w1: port 80 was not probed"},
			{"IPVS, and the services are not known", func(f *Facts) {
				f.inIPVS()
				f.Cluster.Services = Missing[[]Service]("connection refused", Source{})
			}, Unknown, "connection refused"},
			noCluster(),
		},
		"lb.node-ports": {
			asIs(),
			{"IPVS", func(f *Facts) { f.inIPVS() }, Pass, ""},
			{"not on w1", func(f *Facts) { f.probe(Host, false, "192.168.56.11:31300", func(p *Probe) { p.Outcome = TimedOut }) }, Fail, "192.168.56.11:31300 timed out"},
			{"HTTPS only is dead", func(f *Facts) { f.probe(Host, false, "192.168.56.11:31309", func(p *Probe) { p.Outcome = Refused }) }, Fail, "192.168.56.11:31309 not connected"},
			{"HTTPS was not asked", func(f *Facts) { f.noProbe(Host, false, "192.168.56.11:31309") }, Unknown, "w1: port 31309 was not probed"},
			{"it has none", func(f *Facts) { f.changeService("traefik", func(s *Service) { s.Ports[0].NodePort = 0 }) }, Fail, "kube-system/traefik LoadBalancer 10.43.121.230 80,443:31309"},
			{"not asked", func(f *Facts) { f.noProbe(Host, false, "192.168.56.11:31300") }, Unknown, "w1: port 31300 was not probed"},
			noCluster(),
		},
		"lb.ingress": {
			asIs(),
			{"IPVS", func(f *Facts) { f.inIPVS() }, Pass, "192.168.56.11:31300: hello-w2-0 answers"},
			{"no Ingress leads there", func(f *Facts) { f.ingressProbe("192.168.56.11:80", func(p *Probe) { p.Status, p.By = 404, "" }) }, Fail, "192.168.56.11:80 answers with status 404"},
			{"the same in IPVS mode", func(f *Facts) {
				f.inIPVS()
				f.ingressProbe("192.168.56.11:31300", func(p *Probe) { p.Status, p.By = 404, "" })
			}, Fail, "192.168.56.11:31300 answers with status 404"},
			{"nobody answers", func(f *Facts) { f.ingressProbe("192.168.56.11:80", func(p *Probe) { p.Outcome = TimedOut }) }, Fail, "192.168.56.11:80 timed out"},
			{"another's pod answers", func(f *Facts) { f.ingressProbe("192.168.56.11:80", func(p *Probe) { p.By = "whoami-7d9c" }) }, Fail, "whoami-7d9c answers, which is no ready pod of hello"},
			{"a pod that is not ready answers", func(f *Facts) { f.pod("hello-w2-0", func(p *Pod) { p.Ready = false }) }, Fail, "hello-w2-0 answers, which is no ready pod of hello"},
			{"something answers, and names no pod", func(f *Facts) { f.ingressProbe("192.168.56.11:80", func(p *Probe) { p.By = "" }) }, Fail, "192.168.56.11:80 answers, and names no pod"},
			{"an error, in a ready pod's name", func(f *Facts) { f.ingressProbe("192.168.56.11:80", func(p *Probe) { p.Status = 404 }) }, Fail, "status 404"},
			{"the probe did not work", func(f *Facts) {
				f.ingressProbe("192.168.56.11:80", func(p *Probe) { p.Outcome, p.Why = Inconclusive, "interrupted" })
			}, Unknown, "w1: interrupted"},
			{"not asked", func(f *Facts) { f.noIngressProbe() }, Unknown, "w1: nobody called 192.168.56.11:80 for hello.lab.test"},
			{"asked for another name", func(f *Facts) { f.ingressProbe("192.168.56.11:80", func(p *Probe) { p.Asked = "web.lab.test" }) }, Unknown, "w1: nobody called"},
			{"records of a cluster that labctl never asked", func(f *Facts) {
				f.noIngressProbe()
				f.noProbePod("cp1", "w1", "w2")
				f.Cluster.DaemonSets = Fact[[]Workload]{}
				f.noService("traefik")
			}, Unknown, "nobody called for hello.lab.test"},
			{"no LoadBalancer", func(f *Facts) { f.noService("traefik") }, Fail, "there is no such service"},
			{"it has no port for HTTP", func(f *Facts) { f.changeService("traefik", func(s *Service) { s.Ports = s.Ports[1:] }) }, Fail, "443:31309"},
			{"the pods are not known", func(f *Facts) { f.Cluster.Pods = Missing[[]Pod]("connection refused", Source{}) }, Unknown, "connection refused"},
			noCluster(),
		},
	}
}
