package checks

import "fmt"

func dnsChecks() []Check {
	return []Check{
		{ID: "dns.kube-dns", Title: "kube-dns has the tenth address of the service network", Area: AreaDNS, Eval: evalKubeDNS},
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
