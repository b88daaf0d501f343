package checks

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"

	"github.com/labctl/labctl/internal/config"
)

// The demo's objects, as its manifests name them.
const (
	WebNamespace      = "demo"
	WebService        = "web-svc"
	WebDeployment     = "web"
	HelloNamespace    = "default"
	HelloService      = "hello-svc"
	HelloDeployment   = "hello"
	HostNetNamespace  = "default"
	HostNetDeployment = "hostnet"
	ProbeNamespace    = "labctl"
	ProbeDaemonSet    = "labctl-probe"
)

// How many pods the demo's deployments have.
const (
	webReplicas   = 2
	helloReplicas = 6
)

// Host is Where of everything that is seen from the machine that runs labctl.
const Host = "host"

func clusterIPChecks() []Check {
	return []Check{
		{ID: "svc.cluster-ip", Title: "every ClusterIP is in the service network", Area: AreaClusterIP, Eval: evalClusterIPRange},
		{ID: "svc.virtual", Title: "a ClusterIP is on no NIC and in no route of any node", Area: AreaClusterIP, Eval: evalVirtual},
		{ID: "svc.endpoints", Title: "the EndpointSlices of web-svc and hello-svc hold exactly their ready pods", Area: AreaClusterIP, Eval: evalEndpoints},
		{ID: "svc.old-endpoints", Title: "the Endpoints of web-svc and hello-svc, the older API, hold exactly their ready pods", Area: AreaClusterIP, Eval: evalOldEndpoints},
		{ID: "svc.from-nodes", Title: "web-svc's ClusterIP answers from every node", Area: AreaClusterIP, Eval: evalFromNodes},
		{ID: "svc.from-pods", Title: "web-svc's ClusterIP answers from a pod of every node", Area: AreaClusterIP, Eval: evalFromPods},
		{ID: "svc.by-name", Title: "web-svc answers by its DNS name from a pod of every node", Area: AreaClusterIP, Eval: evalByName},
		{ID: "svc.isolated", Title: "a ClusterIP does not answer from the host", Area: AreaClusterIP, Eval: evalIsolated},
	}
}

const hintDemo = "labctl up makes the demo anew; labctl ssh CONTROL-PLANE -- kubectl get svc,endpointslices -A shows what is there"

// Service returns the service of that name, if the services are known and it is among them.
func (c Cluster) Service(namespace, name string) (Service, bool) {
	for _, s := range c.Services.Value {
		if s.Namespace == namespace && s.Name == name {
			return s, c.Services.Known
		}
	}
	return Service{}, false
}

// service returns a service of the demo, or records why there is nothing to judge: an absent service is a bad finding.
func (f Facts) service(namespace, name string, j *judgements) (Service, bool) {
	services := f.Cluster.Services
	if !services.Known {
		j.unknown("", services.why(), services.From)
		return Service{}, false
	}
	s, ok := f.Cluster.Service(namespace, name)
	if !ok {
		j.judge(false, fmt.Sprintf("service %q in namespace %q", name, namespace), "there is no such service", services.From)
	}
	return s, ok
}

// demoService is service, but for the NodePort demo: that is hello-svc or, where the cluster has none, whichever service holds the
// lab's NodePort, as in a cluster where the demo was made by hand under a name of its own.
func (f Facts) demoService(namespace, name string, j *judgements) (Service, bool) {
	if s, ok := f.Cluster.Hello(f.Lab.Demo.NodePort); ok && name == HelloService {
		return s, ok
	}
	return f.service(namespace, name, j)
}

func (f Facts) helloService(j *judgements) (Service, bool) {
	return f.demoService(HelloNamespace, HelloService, j)
}

// Hello returns the service of the NodePort demo: see demoService.
func (c Cluster) Hello(nodePort int) (Service, bool) {
	if s, ok := c.Service(HelloNamespace, HelloService); ok {
		return s, ok
	}
	for _, s := range c.Services.Value {
		for _, p := range s.Ports {
			if s.Namespace == HelloNamespace && p.NodePort == nodePort && nodePort != 0 {
				return s, c.Services.Known
			}
		}
	}
	return Service{}, false
}

func (s Service) String() string {
	var ports []string
	for _, p := range s.Ports {
		if p.NodePort != 0 {
			ports = append(ports, fmt.Sprintf("%d:%d", p.Port, p.NodePort))
		} else {
			ports = append(ports, fmt.Sprint(p.Port))
		}
	}
	return fmt.Sprintf("%s/%s %s %s %s", s.Namespace, s.Name, s.Type, address(s.ClusterIP), strings.Join(ports, ","))
}

func evalClusterIPRange(f Facts) Result {
	var j judgements
	network := f.Lab.K3s.ServiceCIDR.Masked()
	if _, ok := f.service(WebNamespace, WebService, &j); !ok {
		return j.result(hintDemo)
	}
	for _, s := range f.Cluster.Services.Value {
		if s.ClusterIP.Is4() {
			j.judge(network.Contains(s.ClusterIP), "every ClusterIP in "+network.String(),
				fmt.Sprintf("%s/%s %s", s.Namespace, s.Name, s.ClusterIP), f.Cluster.Services.From.showing(s.String()))
		}
	}
	return j.result("service-cidr is fixed when the first server starts: labctl destroy && labctl up")
}

func evalVirtual(f Facts) Result {
	var j judgements
	services := f.Cluster.Services
	if !services.Known {
		j.unknown("", services.why(), services.From)
		return j.result("")
	}
	if _, ok := f.Cluster.Service(WebNamespace, WebService); !ok {
		// Nothing is proved by the absence of an address that nobody has.
		j.unknown("", fmt.Sprintf("there is no service %q in namespace %q to look for", WebService, WebNamespace), services.From)
		return j.result("")
	}
	ipvs := f.Lab.K3s.KubeProxyMode == config.ProxyIPVS
	for _, n := range f.Lab.Nodes {
		facts := f.Nodes[n.Name]
		if !facts.Links.Known || !facts.Routes.Known {
			j.unknown(n.Name, firstWhy(facts.Links.Known, facts.Links.why(), facts.Routes.why()), facts.Links.From)
			continue
		}
		expected := n.Name + " has no ClusterIP on a NIC or in a route"
		if ipvs {
			expected = n.Name + " has no ClusterIP on a NIC but " + ipvsDevice + ", and in no route"
		}
		clean := true
		for _, s := range services.Value {
			if !s.ClusterIP.Is4() {
				continue
			}
			for _, l := range facts.Links.Value {
				if holds(l, s.ClusterIP) && !(ipvs && l.Name == ipvsDevice) {
					clean = false
					j.judge(false, expected, fmt.Sprintf("%s %s has %s of %s/%s", n.Name, l.Name, s.ClusterIP, s.Namespace, s.Name), facts.Links.From.showing(l.String()))
				}
			}
			for _, r := range facts.Routes.Value {
				if r.To.Bits() != 0 && r.To.Contains(s.ClusterIP) {
					clean = false
					j.judge(false, expected, fmt.Sprintf("%s routes %s of %s/%s: %s", n.Name, s.ClusterIP, s.Namespace, s.Name, r), facts.Routes.From.showing(r.String()))
				}
			}
		}
		if clean {
			j.judge(true, expected, expected, facts.Links.From.showing(cards(facts.Links.Value)...), facts.Routes.From)
		}
	}
	return j.result("remove it from the node: ip addr del, or ip route del; kube-proxy alone makes a ClusterIP work")
}

func holds(l Link, a netip.Addr) bool {
	return slices.ContainsFunc(l.Addresses, func(p netip.Prefix) bool { return p.Addr() == a })
}

func evalEndpoints(f Facts) Result {
	var j judgements
	known := f.Cluster.Slices
	f.judgeEndpoints(&j, known.Known, known.why(), known.From, "endpoints", func(s Service) []netip.Addr {
		var ready []netip.Addr
		for _, e := range f.Cluster.endpoints(s) {
			if e.Ready {
				ready = append(ready, e.Addr)
			}
		}
		return ready
	})
	return j.result(hintEndpoints)
}

// evalOldEndpoints judges the objects that EndpointSlices have replaced. A cluster need not make them: Kubernetes means to let clusters do
// without the controller that does (https://kubernetes.io/blog/2025/04/24/endpoints-deprecation).
func evalOldEndpoints(f Facts) Result {
	known := f.Cluster.Endpoints
	switch {
	case !known.Known && known.Why == "" && f.Cluster.Slices.Known:
		return Result{Status: NotApplicable, Actual: "Endpoints were not asked for when this was collected"}
	case known.Known && !slices.ContainsFunc(f.Cluster.Services.Value, func(s Service) bool {
		_, ok := f.Cluster.oldEndpoints(s)
		return ok && len(s.Selector) > 0
	}) && f.Cluster.Services.Known:
		return Result{Status: NotApplicable, Actual: "the cluster makes no Endpoints any more"}
	}
	var j judgements
	f.judgeEndpoints(&j, known.Known, known.why(), known.From, "Endpoints", func(s Service) []netip.Addr {
		e, _ := f.Cluster.oldEndpoints(s)
		return ipv4(e.Ready)
	})
	return j.result(hintEndpoints)
}

func (c Cluster) oldEndpoints(s Service) (Endpoints, bool) {
	i := slices.IndexFunc(c.Endpoints.Value, func(e Endpoints) bool { return e.Namespace == s.Namespace && e.Name == s.Name })
	if i < 0 {
		return Endpoints{}, false
	}
	return c.Endpoints.Value[i], true
}

const hintEndpoints = "compare the service's selector with the pods' labels: kubectl -n demo describe svc web-svc, kubectl describe svc hello-svc"

// judgeEndpoints judges that one of the APIs holds, as what it calls what, exactly the ready pods of the demo's services.
func (f Facts) judgeEndpoints(j *judgements, known bool, why string, from Source, what string, ready func(Service) []netip.Addr) {
	services, pods := f.Cluster.Services, f.Cluster.Pods
	switch {
	case !services.Known:
		j.unknown("", services.why(), services.From)
		return
	case !pods.whole() || !known:
		j.unknown("", firstWhy(pods.whole(), pods.why(), why), pods.From)
		return
	}
	for _, name := range [][2]string{{WebNamespace, WebService}, {HelloNamespace, HelloService}} {
		s, ok := f.demoService(name[0], name[1], j)
		if !ok {
			continue
		}
		var want, got []string
		for _, p := range pods.Value {
			if p.matches(s) && p.live() {
				want = append(want, p.IP.String())
			}
		}
		for _, a := range ready(s) {
			got = append(got, a.String())
		}
		slices.Sort(want)
		slices.Sort(got)
		expected, actual := fmt.Sprintf("%s: the ready pods %s", s.Name, listOrNone(want)), fmt.Sprintf("%s: the %s %s", s.Name, what, listOrNone(got))
		j.judge(len(want) > 0 && slices.Equal(want, got), expected, actual, from.showing(actual), pods.From.showing(expected))
	}
}

// endpoints returns a service's endpoints, each once, IPv4 only.
func (c Cluster) endpoints(s Service) []Endpoint {
	var out []Endpoint
	for _, slice := range c.Slices.Value {
		if slice.Namespace != s.Namespace || slice.Service != s.Name {
			continue
		}
		for _, e := range slice.Endpoints {
			if e.Addr.Is4() && !slices.Contains(out, e) {
				out = append(out, e)
			}
		}
	}
	return out
}

func listOrNone(s []string) string {
	if len(s) == 0 {
		return "<none>"
	}
	return strings.Join(s, ", ")
}

// ServiceTarget is where a service's ClusterIP is probed: its first port.
func ServiceTarget(s Service) (netip.AddrPort, bool) {
	if !s.ClusterIP.IsValid() || len(s.Ports) == 0 || s.Ports[0].Port < 1 || s.Ports[0].Port > 65535 {
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(s.ClusterIP, uint16(s.Ports[0].Port)), true
}

func evalFromNodes(f Facts) Result {
	return answerResult(f, false,
		"labctl ssh NODE -- sudo iptables-save -t nat shows kube-proxy's rules (ipvsadm -Ln in IPVS mode); a timeout on some tries is the pod network: check the area \"pod network\" first")
}

func evalFromPods(f Facts) Result {
	return answerResult(f, true,
		"check the area \"pod network\" first: a pod's packets to pods of other nodes go by flannel.1")
}

// answerResult judges that web-svc's ClusterIP answered every probe that was made on every node, by itself or in its pod.
func answerResult(f Facts, inPods bool, hint string) Result {
	var j judgements
	s, ok := f.service(WebNamespace, WebService, &j)
	if !ok {
		return j.result(hintDemo)
	}
	target, ok := ServiceTarget(s)
	if !ok {
		j.judge(false, "web-svc has a ClusterIP and a port", s.String(), f.Cluster.Services.From.showing(s.String()))
		return j.result(hintDemo)
	}
	good := 0
	for _, n := range f.Lab.Nodes {
		probes := f.probes(n.Name, target, func(p Probe) bool { return (p.Pod != "") == inPods })
		expected := fmt.Sprintf("%s: %s answers", n.Name, target)
		switch {
		case len(probes) == 0 && inPods:
			f.judgeNoPodProbe(&j, n.Name, expected)
		case len(probes) == 0:
			j.unknown(n.Name, f.notProbed(n.Name))
		}
		for _, p := range probes {
			judgeProbe(&j, p, expected, n.Name)
			if p.OK() {
				good++
			}
		}
	}
	met := good
	if s.Sticky { // every client meets one pod, however often it asks
		met = min(good, len(f.Lab.Nodes))
	}
	if pods := f.readyPods(s); len(j.bad.expected) == 0 && good > 0 && missed(pods, met) > tooLucky {
		if s.Sticky {
			j.unknown("", fmt.Sprintf("sessionAffinity ClientIP: each node meets one of the %d pods only, and one that never answers could hide", pods))
			return j.result(hint)
		}
		j.unknown("", fmt.Sprintf("%d answers are too few to have met each of the %d pods: one that never answers could hide", good, pods))
	}
	return j.result(hint)
}

// tooLucky is how large the chance may be that a pod which never answers was met by no try.
const tooLucky = 0.01

// missed is how likely it is, at most, that connections so many met not every one of so many pods.
func missed(pods, connections int) float64 {
	return float64(pods) * math.Pow(1-1/float64(pods), float64(connections))
}

// readyPods is how many pods of web's a connection may meet: as many as it should have, where the pods are not known.
func (f Facts) readyPods(s Service) int {
	if !f.Cluster.Pods.whole() {
		return webReplicas
	}
	ready := 0
	for _, p := range f.Cluster.Pods.Value {
		if p.matches(s) && p.live() {
			ready++
		}
	}
	return max(ready, 1)
}

// judgeProbe judges that a probe got a good answer. A probe that did not work says nothing, unless what kept it from working is a finding.
func judgeProbe(j *judgements, p Probe, expected, subject string) {
	from, target := p.from(), p.target()
	switch {
	case p.Outcome == Inconclusive:
		j.unknown(subject, p.Why, from)
	case p.Outcome == NotAsked:
		j.judge(false, expected, notAsked(p.Where, p.Why), p.From.showing(p.Why))
	case p.OK():
		j.judge(true, expected, fmt.Sprintf("%s: %s answers", subject, target), from)
	case p.Outcome == Answered:
		j.judge(false, expected, fmt.Sprintf("%s: %s answers with status %d", subject, target, p.Status), from)
	default:
		j.judge(false, expected, fmt.Sprintf("%s: %s %s", subject, target, p.Outcome), from)
	}
}

// target is what was asked, by address or by name.
func (p Probe) target() string {
	if p.Name != "" {
		return p.Name
	}
	return p.Target.String()
}

// from is the probe's source with the one line that says how it ended.
func (p Probe) from() Source {
	line := p.Outcome.String()
	switch {
	case p.Outcome == Answered && p.Status != 0:
		line = fmt.Sprintf("status %d", p.Status)
		if p.Took != 0 {
			line += fmt.Sprintf(" after %.3f s", p.Took.Seconds())
		}
		if p.By != "" {
			line += " from " + p.By
		}
	case p.Why != "":
		line += ": " + p.Why
	}
	return p.From.showing(line)
}

// probes are those of an address, but for those that asked for a host name there.
func (f Facts) probes(where string, target netip.AddrPort, kind func(Probe) bool) []Probe {
	var out []Probe
	for _, p := range f.Probes {
		if p.Where == where && p.Target == target && p.Asked == "" && (kind == nil || kind(p)) {
			out = append(out, p)
		}
	}
	return out
}

// evalIsolated judges an absence: that nothing came back from a ClusterIP proves something only if the same probe reaches a
// NodePort and the same ClusterIP answers inside the cluster. Something else may answer there (the host's own network may use
// these addresses), so only the request's nonce coming back shows that it was the service; it does so however the answer ended.
func evalIsolated(f Facts) Result {
	var j judgements
	services := f.Cluster.Services
	if !services.Known {
		j.unknown("", services.why(), services.From)
		return j.result("")
	}
	var targets []netip.AddrPort
	for _, p := range f.Probes {
		if p.Where == Host && f.isClusterIP(p.Target) && !slices.Contains(targets, p.Target) {
			targets = append(targets, p.Target)
		}
	}
	for _, target := range targets {
		f.judgeIsolated(&j, f.probes(Host, target, nil))
	}
	if len(targets) == 0 {
		j.unknown(Host, "no probe of a ClusterIP was made")
	}
	for _, r := range f.HostRoutes.Value {
		if f.leadsIn(r) && !slices.ContainsFunc(targets, func(t netip.AddrPort) bool { return r.To.Contains(t.Addr()) }) {
			j.unknown(Host, fmt.Sprintf("its route %s leads to ClusterIPs by a node, and none of them was asked", r), f.HostRoutes.From.showing(r.String()))
		}
	}
	return j.result("find the route that leads there: ip route get ADDRESS on the host; a ClusterIP is for the cluster's inside")
}

// judgeIsolated judges the tries of one ClusterIP. Each may have met another pod, of which some may be out of reach: one that came back
// among many that did not is enough.
func (f Facts) judgeIsolated(j *judgements, tries []Probe) {
	target := tries[0].Target
	expected := fmt.Sprintf("%s does not answer", target)
	source := func(p Probe) Source {
		from := p.from()
		if r, ok := f.hostRoute(target.Addr()); ok {
			from.Lines = append(from.Lines, "the host routes it: "+r.String())
		}
		return from
	}
	if i := slices.IndexFunc(tries, Probe.echoes); i >= 0 {
		from := source(tries[i])
		from.Lines = append(from.Lines, "the answer holds the nonce "+tries[i].Nonce)
		j.judge(false, expected, fmt.Sprintf("%s answers, with our nonce", target), from)
		return
	}
	for _, p := range tries {
		switch {
		case p.Outcome == Inconclusive:
			j.unknown(Host, p.Why, source(p))
			return
		case p.Outcome == Failed:
			j.unknown(Host, fmt.Sprintf("something takes connections at %s, and its answer is too short to tell what", target), source(p))
			return
		case p.Outcome == Answered && p.Nonce == "":
			j.unknown(Host, fmt.Sprintf("something answers at %s, and the request carried no nonce to tell what", target), source(p))
			return
		}
	}
	from := source(tries[0])
	inside, insideOK := f.control(func(c Probe) bool { return c.Where != Host && c.Target == target })
	outside, outsideOK := f.control(func(c Probe) bool { return c.Where == Host && f.isNodePort(c.Target) })
	if !insideOK {
		j.unknown("", fmt.Sprintf("control: %s was not seen to answer inside the cluster", target), from)
	}
	if !outsideOK {
		j.unknown("", "control: the host was not seen to reach any NodePort", from)
	}
	if !insideOK || !outsideOK {
		return
	}
	if len(tries) > 1 {
		from.Lines = append(from.Lines, fmt.Sprintf("our nonce came back in none of %d tries", len(tries)))
	}
	for _, p := range tries {
		actual := fmt.Sprintf("%s %s", target, p.Outcome)
		if p.Outcome == Answered {
			actual = fmt.Sprintf("something else answers at %s, without our nonce", target)
		}
		j.judge(true, expected, actual, from, outside.from(), inside.from())
	}
}

// leadsIn says whether a route of the host leads to some of the service network by one of the lab's nodes.
func (f Facts) leadsIn(r Route) bool {
	return r.To.Bits() > 0 && r.To.Overlaps(f.Lab.K3s.ServiceCIDR.Masked()) && slices.ContainsFunc(f.Lab.Nodes, func(n config.Node) bool { return n.Address == r.Via })
}

// echoes says whether the request's nonce came back.
func (p Probe) echoes() bool { return p.Nonce != "" && strings.Contains(p.Body, p.Nonce) }

// control returns a probe that succeeded, of those that are asked for.
func (f Facts) control(kind func(Probe) bool) (Probe, bool) {
	i := slices.IndexFunc(f.Probes, func(p Probe) bool { return kind(p) && p.OK() })
	if i < 0 {
		return Probe{}, false
	}
	return f.Probes[i], true
}

func (f Facts) isClusterIP(target netip.AddrPort) bool {
	return slices.ContainsFunc(f.Cluster.Services.Value, func(s Service) bool { return s.ClusterIP.IsValid() && s.ClusterIP == target.Addr() })
}

func (f Facts) isNodePort(target netip.AddrPort) bool {
	if int(target.Port()) != f.Lab.Demo.NodePort {
		return false
	}
	return slices.ContainsFunc(f.Lab.Nodes, func(n config.Node) bool { return n.Address == target.Addr() })
}

// hostRoute returns the host's most specific route to an address, but not its default route.
func (f Facts) hostRoute(a netip.Addr) (Route, bool) {
	var best Route
	found := false
	for _, r := range f.HostRoutes.Value {
		if r.To.Bits() > 0 && r.To.Contains(a) && (!found || r.To.Bits() > best.To.Bits()) {
			best, found = r, true
		}
	}
	return best, found
}

func evalByName(f Facts) Result {
	var j judgements
	if _, ok := f.service(WebNamespace, WebService, &j); !ok {
		return j.result(hintDemo)
	}
	for _, n := range f.Lab.Nodes {
		expected := fmt.Sprintf("%s: %s answers", n.Name, WebName)
		tried := false
		for _, p := range f.Probes {
			if p.Where != n.Name || p.Name != WebName || p.Pod == "" {
				continue
			}
			tried = true
			judgeProbe(&j, p, expected, n.Name)
		}
		if !tried {
			f.judgeNoPodProbe(&j, n.Name, expected)
		}
	}
	return j.result("if svc.from-pods passes and this does not, it is the name: check the area DNS")
}
