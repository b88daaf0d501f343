package checks

import "net/netip"

func dnsFixtures() map[string][]fixture {
	return map[string][]fixture{
		"dns.resolves": {
			asIs(),
			{"another address", func(f *Facts) { f.Lookups[1].Addresses = []netip.Addr{addr("10.43.0.99")} }, Fail, "w1: web-svc.demo.svc.cluster.local is 10.43.0.99"},
			{"no such name", func(f *Facts) { f.Lookups[1].Addresses, f.Lookups[1].Why = nil, "server can't find it: NXDOMAIN" }, Fail, "w1: server can't find it: NXDOMAIN"},
			{"no exec", func(f *Facts) { f.Lookups[1].Known, f.Lookups[1].Why = false, "502" }, Unknown, "w1: 502"},
			{"not asked", func(f *Facts) { f.Lookups = nil }, Unknown, "w1: no such probe"},
			{"exec is refused", func(f *Facts) {
				f.Lookups[1].Known, f.Lookups[1].Refused, f.Lookups[1].Why = false, true, "Error from server: error dialing backend"
			}, Fail, "w1: its pod cannot be asked: kubectl exec fails: Error from server"},
			{"no probe pod on w1", func(f *Facts) { f.noProbePod("w1") }, Fail, "w1: no pod of labctl/labctl-probe runs there"},
			{"no web-svc", func(f *Facts) { f.noService("web-svc") }, Fail, "there is no such service"},
			noCluster(),
		},
		"dns.kube-dns": {
			asIs(),
			{"another address", func(f *Facts) { f.changeService("kube-dns", func(s *Service) { s.ClusterIP = addr("10.43.0.11") }) }, Fail, "kube-dns 10.43.0.11"},
			{"another service network in the lab's file", func(f *Facts) { f.Lab.K3s.ServiceCIDR = prefix("10.53.0.0/16") }, Fail, "kube-dns 10.43.0.10"},
			{"none", func(f *Facts) { f.noService("kube-dns") }, Fail, "there is no such service"},
			noCluster(),
		},
	}
}
