package checks

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/labctl/labctl/internal/config"
)

func evalVirtualServers(f Facts) Result {
	if f.Lab.K3s.KubeProxyMode != config.ProxyIPVS {
		return otherMode(f)
	}
	var j judgements
	demoServices(f, &j, func(s Service, target netip.AddrPort, ready []netip.AddrPort) {
		for _, n := range f.Lab.Nodes {
			ipvs := f.Nodes[n.Name].IPVS
			if !ipvs.Known {
				j.unknown(n.Name, ipvs.why(), ipvs.From)
				continue
			}
			at := []netip.AddrPort{target}
			for _, p := range s.Ports {
				if p.NodePort != 0 && p.Port == int(target.Port()) {
					at = append(at, netip.AddrPortFrom(n.Address, uint16(p.NodePort)))
				}
			}
			for _, a := range at {
				judgeVirtualServer(&j, n, ipvs, s, a, ready)
			}
		}
	})
	return j.result("labctl ssh NODE -- sudo ipvsadm -Ln shows them; restarting k3s (k3s-agent on a worker) makes kube-proxy set them anew")
}

func judgeVirtualServer(j *judgements, n config.Node, ipvs Fact[[]VirtualServer], s Service, at netip.AddrPort, ready []netip.AddrPort) {
	expected := fmt.Sprintf("%s %s %s -> %s", n.Name, s.Name, at, targets(ready))
	i := slices.IndexFunc(ipvs.Value, func(v VirtualServer) bool { return v.Protocol == "tcp" && v.Addr == at })
	if i < 0 {
		j.judge(false, expected, fmt.Sprintf("%s has no virtual server %s for %s", n.Name, at, s.Name), ipvs.From)
		return
	}
	v := ipvs.Value[i]
	var got []netip.AddrPort
	shown := []string{fmt.Sprintf("TCP  %s %s", v.Addr, v.Scheduler)}
	for _, r := range v.Real {
		if r.Weight > 0 {
			got = append(got, r.Addr)
		}
		shown = append(shown, fmt.Sprintf("  -> %s weight %d", r.Addr, r.Weight))
	}
	slices.SortFunc(got, netip.AddrPort.Compare)
	j.judge(slices.Equal(got, ready), expected, fmt.Sprintf("%s %s %s -> %s", n.Name, s.Name, at, targets(got)), ipvs.From.showing(shown...))
}
