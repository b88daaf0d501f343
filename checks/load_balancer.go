package checks

import (
	"fmt"
	"math"
	"net/netip"
	"slices"

	"github.com/labctl/labctl/internal/config"
)

// The service that k3s brings for Traefik.
const (
	TraefikNamespace = "kube-system"
	TraefikService   = "traefik"
)

const typeLoadBalancer = "LoadBalancer"

// IngressHost is the host name that the demo's Ingress leads to hello-svc. Names under test are nobody's (RFC 6761).
const IngressHost = "hello.lab.test"

// ingressPort is the LoadBalancer's port for HTTP.
const ingressPort = 80

const hintLB = "kubectl -n kube-system get svc traefik and kubectl -n kube-system get pods show what is missing: k3s installs Traefik by a job after its start, and ServiceLB runs a pod svclb-traefik-… on every node"

func loadBalancerChecks() []Check {
	return []Check{
		{ID: "lb.external-ip", Title: "a LoadBalancer's EXTERNAL-IP is the set of the nodes' addresses", Area: AreaLB, Eval: evalLBExternalIP},
		{ID: "lb.answers", Title: "the LoadBalancer answers the host on its ports, on every node", Area: AreaLB, Eval: evalLBAnswers},
		{ID: "lb.node-ports", Title: "the LoadBalancer answers the host on its node ports, on every node", Area: AreaLB, Eval: evalLBNodePorts},
		{ID: "lb.ingress", Title: "an Ingress leads the host's calls for its host name to its Service's pods, on every node", Area: AreaLB, Eval: evalIngress},
	}
}

// LoadBalancer returns the service that the checks look at: Traefik's. In the records of a cluster that labctl never asked, which may run
// without Traefik, it is the first of its type; in a lab another one would hide that Traefik's is gone.
func (c Cluster) LoadBalancer() (Service, bool) {
	if s, ok := c.Service(TraefikNamespace, TraefikService); ok {
		return s, true
	}
	i := slices.IndexFunc(c.Services.Value, func(s Service) bool { return s.Type == typeLoadBalancer })
	if i < 0 || c.ofLab() {
		return Service{}, false
	}
	return c.Services.Value[i], c.Services.Known
}

// loadBalancer returns that service, or records why there is nothing to judge.
func (f Facts) loadBalancer(j *judgements) (Service, bool) {
	services := f.Cluster.Services
	if !services.Known {
		j.unknown("", services.why(), services.From)
		return Service{}, false
	}
	s, ok := f.Cluster.LoadBalancer()
	if !ok {
		j.judge(false, fmt.Sprintf("service %q in namespace %q", TraefikService, TraefikNamespace), "there is no such service", services.From)
	}
	return s, ok
}

// withoutServiceLB is the verdict in IPVS mode, where labctl keeps ServiceLB out: kube-proxy would bind what it publishes, the nodes' own
// addresses. Where an EXTERNAL-IP is set all the same there is something to judge, and it returns false.
func (f Facts) withoutServiceLB() (Result, bool) {
	if f.Lab.K3s.KubeProxyMode != config.ProxyIPVS {
		return Result{}, false
	}
	var j judgements
	s, ok := f.loadBalancer(&j)
	if !ok {
		return j.result(hintLB), true
	}
	return Result{Status: NotApplicable, Actual: "ServiceLB is kept out in IPVS mode: EXTERNAL-IP is <none>"}, len(s.External) == 0
}

func evalLBExternalIP(f Facts) Result {
	if r, ok := f.withoutServiceLB(); ok {
		return r
	}
	var j judgements
	s, ok := f.loadBalancer(&j)
	if !ok {
		return j.result(hintLB)
	}
	if f.Lab.K3s.KubeProxyMode == config.ProxyIPVS {
		line := func(what string) string {
			return fmt.Sprintf("%s/%s %s EXTERNAL-IP %s", s.Namespace, s.Name, s.Type, what)
		}
		j.judge(false, line(addresses(nil)), line(addresses(s.External)), f.Cluster.Services.From.showing(line(addresses(s.External))))
		return j.result("in IPVS mode kube-proxy binds a published address on every node, which cuts nodes off from each other: see proxy.ipvs-node-addresses; labctl up keeps ServiceLB out")
	}
	var want []netip.Addr
	for _, n := range f.Lab.Nodes {
		want = append(want, n.Address)
	}
	got := ipv4(s.External)
	slices.SortFunc(want, netip.Addr.Compare)
	slices.SortFunc(got, netip.Addr.Compare)
	line := fmt.Sprintf("%s/%s %s EXTERNAL-IP %s", s.Namespace, s.Name, s.Type, addresses(got))
	j.judge(s.Type == typeLoadBalancer && slices.Equal(got, want), fmt.Sprintf("%s/%s %s EXTERNAL-IP %s", s.Namespace, s.Name, typeLoadBalancer, addresses(want)), line,
		f.Cluster.Services.From.showing(line))
	return j.result(hintLB)
}

func evalLBAnswers(f Facts) Result {
	if r, ok := f.withoutServiceLB(); ok {
		return r
	}
	return lbResult(f, func(p ServicePort) int { return p.Port })
}

func evalLBNodePorts(f Facts) Result {
	return lbResult(f, func(p ServicePort) int { return p.NodePort })
}

// lbResult judges that every node answers on each port. Where no Ingress leads Traefik says 404, which is an answer as good as any.
func lbResult(f Facts, port func(ServicePort) int) Result {
	var j judgements
	s, ok := f.loadBalancer(&j)
	if !ok {
		return j.result(hintLB)
	}
	for _, p := range s.Ports {
		if p.Protocol == "UDP" {
			continue
		}
		if port(p) == 0 {
			j.judge(false, fmt.Sprintf("port %d has a node port", p.Port), s.String(), f.Cluster.Services.From.showing(s.String()))
			continue
		}
		for _, n := range f.Lab.Nodes {
			target := netip.AddrPortFrom(n.Address, uint16(port(p)))
			expected := fmt.Sprintf("%s answers", target)
			probes := f.probes(Host, target, nil)
			if len(probes) == 0 {
				j.unknown(n.Name, fmt.Sprintf("port %d was not probed", port(p)))
			}
			for _, p := range probes {
				switch {
				case p.Outcome == Inconclusive:
					j.unknown(n.Name, p.Why, p.from())
				case p.Outcome == Answered && p.Status < 500:
					j.judge(true, expected, expected, p.from())
				case p.Outcome == Answered:
					j.judge(false, expected, fmt.Sprintf("%s answers with status %d", target, p.Status), p.from())
				default:
					j.judge(false, expected, fmt.Sprintf("%s %s", target, p.Outcome), p.from())
				}
			}
		}
	}
	return j.result(hintLB)
}

// IngressTarget is where a node takes calls for the demo's Ingress: at the LoadBalancer's port for HTTP, or, where labctl keeps ServiceLB
// out, at the node port of it. It returns false if there is none.
func (f Facts) IngressTarget(n config.Node) (netip.AddrPort, bool) {
	s, _ := f.Cluster.LoadBalancer()
	i := slices.IndexFunc(s.Ports, func(p ServicePort) bool { return p.Port == ingressPort && p.Protocol != "UDP" })
	if i < 0 {
		return netip.AddrPort{}, false
	}
	port := s.Ports[i].Port
	if f.Lab.K3s.KubeProxyMode == config.ProxyIPVS {
		port = s.Ports[i].NodePort
	}
	return netip.AddrPortFrom(n.Address, uint16(port)), port > 0 && port <= math.MaxUint16
}

// evalIngress judges that a call for the Ingress's host name comes to one of hello's ready pods, whichever node takes it. Of the records of
// a cluster that labctl never asked, which has no such Ingress, it has nothing to judge.
func evalIngress(f Facts) Result {
	var j judgements
	asked := slices.ContainsFunc(f.Probes, func(p Probe) bool { return p.Asked == IngressHost })
	if services := f.Cluster.Services; services.Known && !asked && !f.Cluster.ofLab() {
		j.unknown("", "nobody called for "+IngressHost)
		return j.result("")
	}
	s, ok := f.loadBalancer(&j)
	if !ok {
		return j.result(hintLB)
	}
	h, ok := f.hello(&j)
	if !ok {
		return j.result(hintDemo)
	}
	for _, n := range f.Lab.Nodes {
		target, ok := f.IngressTarget(n)
		if !ok {
			j.judge(false, fmt.Sprintf("%s has a port for HTTP that the host can call", TraefikService), s.String(), f.Cluster.Services.From.showing(s.String()))
			continue
		}
		expected := fmt.Sprintf("%s: a ready pod of hello answers for %s", target, IngressHost)
		tried := false
		for _, p := range f.Probes {
			if p.Where != Host || p.Target != target || p.Asked != IngressHost {
				continue
			}
			tried = true
			switch {
			case p.Outcome == Inconclusive:
				j.unknown(n.Name, p.Why, p.from())
			case p.OK() && h.nodeOf[p.By] != "":
				j.judge(true, expected, fmt.Sprintf("%s: %s answers for %s", target, p.By, IngressHost), p.from())
			case p.OK() && p.By != "":
				j.judge(false, expected, fmt.Sprintf("%s: %s answers, which is no ready pod of hello", target, p.By), p.from())
			case p.OK():
				j.judge(false, expected, fmt.Sprintf("%s answers, and names no pod", target), p.from())
			case p.Outcome == Answered:
				j.judge(false, expected, fmt.Sprintf("%s answers with status %d", target, p.Status), p.from())
			default:
				j.judge(false, expected, fmt.Sprintf("%s %s", target, p.Outcome), p.from())
			}
		}
		if !tried {
			j.unknown(n.Name, fmt.Sprintf("nobody called %s for %s", target, IngressHost))
		}
	}
	return j.result("status 404 is Traefik's word that no Ingress leads there: kubectl get ingress hello -o yaml shows its class, its rule and its annotations; silence is the way to Traefik: see lb.answers and lb.node-ports")
}
