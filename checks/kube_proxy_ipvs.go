package checks

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/labctl/labctl/internal/config"
)

func evalVirtualServers(f Facts) Result {
	if f.Lab.K3s.KubeProxyMode != config.ProxyIPVS {
		return otherMode(f)
	}
	var j judgements
	eachVirtualServer(f, &j, func(w wantedServer) {
		w.judgeReal(&j)
		judgeRewritten(&j, w.node, f.Nodes[w.node.Name].NAT, w.at)
	})
	return j.result("labctl ssh NODE -- sudo ipvsadm -Ln shows them; restarting k3s (k3s-agent on a worker) makes kube-proxy set them anew")
}

// evalScheduler reads off the virtual servers themselves how the kernel chooses: all else works the same with another scheduler.
func evalScheduler(f Facts) Result {
	if f.Lab.K3s.KubeProxyMode != config.ProxyIPVS {
		return otherMode(f)
	}
	var j judgements
	want := string(cmp.Or(f.Lab.K3s.IPVSScheduler, config.RoundRobin))
	eachVirtualServer(f, &j, func(w wantedServer) {
		expected := fmt.Sprintf("%s %s %s %s", w.node.Name, w.service.Name, w.at, want)
		v, ok := w.found()
		if !ok {
			if w.at.Addr() == w.service.ClusterIP { // every service has this one; what else is missing, proxy.virtual-servers says
				w.judgeAbsent(&j, expected)
			}
			return
		}
		j.judge(v.Scheduler == want, expected, fmt.Sprintf("%s %s %s %s", w.node.Name, w.service.Name, w.at, v.Scheduler), w.ipvs.From.showing(v.line()))
	})
	return j.result("kube-proxy takes ipvs-scheduler from kube-proxy-arg in /etc/rancher/k3s/config.yaml, and in config.yaml.d beside it, when k3s starts; " +
		"k3s.ipvsScheduler in labctl.yaml is what labctl up writes there")
}

// wantedServer is a virtual server that a node is to have.
type wantedServer struct {
	node    config.Node
	service Service
	at      netip.AddrPort
	ready   []netip.AddrPort // the service's endpoints
	ipvs    Fact[[]VirtualServer]
}

// eachVirtualServer calls judge for every node with the virtual servers that the demo's services are to have there: one for the
// ClusterIP, and one for the node's own address where there is a NodePort.
func eachVirtualServer(f Facts, j *judgements, judge func(wantedServer)) {
	demoServices(f, j, func(s Service, target netip.AddrPort, ready []netip.AddrPort) {
		for _, n := range f.Lab.Nodes {
			ipvs := f.Nodes[n.Name].IPVS
			if !ipvs.Known {
				j.unknown(n.Name, ipvs.why(), ipvs.From)
				continue
			}
			judge(wantedServer{n, s, target, ready, ipvs})
			for _, p := range s.Ports {
				if p.NodePort != 0 && p.Port == int(target.Port()) {
					judge(wantedServer{n, s, netip.AddrPortFrom(n.Address, uint16(p.NodePort)), ready, ipvs})
				}
			}
		}
	})
}

func (w wantedServer) found() (VirtualServer, bool) {
	i := slices.IndexFunc(w.ipvs.Value, func(v VirtualServer) bool { return v.Protocol == "tcp" && v.Addr == w.at })
	if i < 0 {
		return VirtualServer{}, false
	}
	return w.ipvs.Value[i], true
}

func (w wantedServer) judgeAbsent(j *judgements, expected string) {
	j.judge(false, expected, fmt.Sprintf("%s has no virtual server %s for %s", w.node.Name, w.at, w.service.Name), w.ipvs.From)
}

// line is the one by which ipvsadm begins to tell of the virtual server.
func (v VirtualServer) line() string {
	return fmt.Sprintf("%-4s %s %s", strings.ToUpper(v.Protocol), v.Addr, v.Scheduler)
}

func (w wantedServer) judgeReal(j *judgements) {
	expected := fmt.Sprintf("%s %s %s -> %s", w.node.Name, w.service.Name, w.at, targets(w.ready))
	v, ok := w.found()
	if !ok {
		w.judgeAbsent(j, expected)
		return
	}
	var got []netip.AddrPort
	shown := []string{v.line()}
	for _, r := range v.Real {
		if r.Weight > 0 {
			got = append(got, r.Addr)
		}
		shown = append(shown, fmt.Sprintf("  -> %s weight %d", r.Addr, r.Weight))
	}
	slices.SortFunc(got, netip.AddrPort.Compare)
	j.judge(slices.Equal(got, w.ready), expected, fmt.Sprintf("%s %s %s -> %s", w.node.Name, w.service.Name, w.at, targets(got)), w.ipvs.From.showing(shown...))
}
