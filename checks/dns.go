package checks

import (
	"fmt"
	"net/netip"
	"slices"
)

func dnsChecks() []Check {
	return []Check{
		{ID: "dns.kube-dns", Title: "kube-dns has the tenth address of the service network", Area: AreaDNS, Eval: evalKubeDNS},
		{ID: "dns.resolves", Title: "web-svc's name resolves to its ClusterIP in a pod of every node", Area: AreaDNS, Eval: evalResolves},
	}
}

func evalKubeDNS(f Facts) Result {
	var j judgements
	s, ok := f.service("kube-system", "kube-dns", &j)
	if !ok {
		return j.result("CoreDNS comes with k3s: labctl logs CONTROL-PLANE")
	}
	want := f.Lab.K3s.ServiceCIDR.Masked().Addr()
	for range 10 {
		want = want.Next()
	}
	j.judge(s.ClusterIP == want, fmt.Sprintf("kube-dns %s", want), fmt.Sprintf("kube-dns %s", address(s.ClusterIP)), f.Cluster.Services.From.showing(s.String()))
	return j.result("cluster-dns and service-cidr are fixed when the first server starts: labctl destroy && labctl up")
}

// WebName is the DNS name of the demo's web-svc. k3s's cluster domain is Kubernetes's default.
const WebName = WebService + "." + WebNamespace + ".svc.cluster.local"

const hintDNS = "labctl ssh CONTROL-PLANE -- kubectl -n kube-system get pods -l k8s-app=kube-dns shows whether CoreDNS runs; if it does, check the area \"pod network\""

func evalResolves(f Facts) Result {
	var j judgements
	s, ok := f.service(WebNamespace, WebService, &j)
	if !ok {
		return j.result(hintDemo)
	}
	for _, n := range f.Lab.Nodes {
		expected := fmt.Sprintf("%s: %s is %s", n.Name, WebName, address(s.ClusterIP))
		tried := false
		for _, l := range f.Lookups {
			if l.Where != n.Name || l.Name != WebName {
				continue
			}
			tried = true
			switch {
			case l.Refused:
				j.judge(false, expected, notAsked(n.Name, l.Why), l.From.showing(l.Why))
			case !l.Known:
				j.unknown(n.Name, l.Why, l.From)
			case len(l.Addresses) == 0:
				j.judge(false, expected, fmt.Sprintf("%s: %s", n.Name, l.Why), l.From.showing(l.Why))
			default:
				actual := fmt.Sprintf("%s: %s is %s", n.Name, WebName, addresses(l.Addresses))
				j.judge(slices.Equal(l.Addresses, []netip.Addr{s.ClusterIP}), expected, actual, l.From.showing("Address: "+addresses(l.Addresses)))
			}
		}
		if !tried {
			f.judgeNoPodProbe(&j, n.Name, expected)
		}
	}
	return j.result(hintDNS)
}
