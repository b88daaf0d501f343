package checks

import (
	"fmt"
	"maps"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"time"
)

// The range of NodePorts, which k3s leaves at Kubernetes's default.
const (
	nodePortFirst = 30000
	nodePortLast  = 32767
)

// nodePortLimit is how long a NodePort may take: more is the mark of a broken overlay, whose retries take 1, 3 or 63 s.
const nodePortLimit = time.Second

// helloPort is the service port of the NodePort demo.
const helloPort = 80

func nodePortChecks() []Check {
	return []Check{
		{ID: "nodeport.mapping", Title: "hello-svc maps its port and the lab's NodePort to the port its pods listen on", Area: AreaNodePort, Eval: evalNodePortMapping},
		{ID: "nodeport.policy", Title: "hello-svc's externalTrafficPolicy is Cluster", Area: AreaNodePort, Eval: evalNodePortPolicy},
		{ID: "nodeport.answers", Title: "the NodePort answers the host on every node's address within a second", Area: AreaNodePort, Eval: evalNodePortAnswers},
		{ID: "nodeport.remote", Title: "every node also sends the NodePort's connections to pods of other nodes", Area: AreaNodePort, Eval: evalNodePortRemote},
		{ID: "nodeport.spread", Title: "hello's pods are spread evenly over the nodes", Area: AreaNodePort, Eval: evalSpread},
	}
}

func evalNodePortMapping(f Facts) Result {
	var j judgements
	s, ok := f.helloService(&j)
	if !ok {
		return j.result(hintDemo)
	}
	if !f.Cluster.Services.whole() {
		j.unknown("", f.Cluster.Services.why(), f.Cluster.Services.From)
	}
	pods, endpoints := f.Cluster.Pods, f.Cluster.Slices
	if !pods.Known || !endpoints.Known {
		j.unknown("", firstWhy(pods.Known, pods.why(), endpoints.why()), pods.From)
	}
	listening := f.helloPorts(s)
	expected := fmt.Sprintf("NodePort %d:%d in %d-%d", helloPort, f.Lab.Demo.NodePort, nodePortFirst, nodePortLast)
	if len(listening) > 0 {
		expected += fmt.Sprintf(", to %s", numbers(listening))
	}
	from := f.Cluster.Services.From.inFull().showing(s.String())
	i := slices.IndexFunc(s.Ports, func(p ServicePort) bool { return p.Port == helloPort })
	if i < 0 {
		j.judge(false, expected, s.String(), from)
		return j.result(hintDemo)
	}
	p := s.Ports[i]
	actual := fmt.Sprintf("%s %d:%d, to %s", s.Type, p.Port, p.NodePort, p.Target)
	if p.Target == "" {
		actual = fmt.Sprintf("%s %d:%d", s.Type, p.Port, p.NodePort)
	}
	good := s.Type == "NodePort" && p.NodePort == f.Lab.Demo.NodePort && p.NodePort >= nodePortFirst && p.NodePort <= nodePortLast
	if endpoints.Known {
		// What the EndpointSlice says is what packets are sent to; the service's own target may be a port's name.
		reached := f.Cluster.endpointPorts(s)
		if p.Target != numbers(reached) {
			actual += fmt.Sprintf(" (endpoints: %s)", numbers(reached))
		}
		good = good && len(reached) > 0
		if target, err := strconv.Atoi(p.Target); err == nil {
			good = good && slices.Equal(reached, []int{target})
		}
		if len(listening) > 0 {
			good = good && slices.Equal(reached, listening)
		}
	}
	j.judge(good, expected, actual, from)
	return j.result(hintDemo)
}

// helloPorts returns the ports that a service's live pods declare, sorted. Pods need not declare any.
func (f Facts) helloPorts(s Service) []int {
	var ports []int
	for _, p := range f.Cluster.Pods.Value {
		if p.matches(s) && p.live() {
			ports = append(ports, p.Ports...)
		}
	}
	slices.Sort(ports)
	return slices.Compact(ports)
}

// endpointPorts returns the ports that a service's EndpointSlices send to, sorted.
func (c Cluster) endpointPorts(s Service) []int {
	var ports []int
	for _, slice := range c.Slices.Value {
		if slice.Namespace == s.Namespace && slice.Service == s.Name {
			ports = append(ports, slice.Ports...)
		}
	}
	slices.Sort(ports)
	return slices.Compact(ports)
}

func numbers(n []int) string {
	var out []string
	for _, i := range n {
		out = append(out, strconv.Itoa(i))
	}
	return listOrNone(out)
}

func evalNodePortAnswers(f Facts) Result {
	var j judgements
	for _, n := range f.Lab.Nodes {
		target := netip.AddrPortFrom(n.Address, uint16(f.Lab.Demo.NodePort))
		expected := fmt.Sprintf("%s answers within %s", target, nodePortLimit)
		probes := f.probes(Host, target, nil)
		switch {
		case len(probes) == 0:
			j.unknown(n.Name, "no probe of its NodePort was made")
		case f.nothingAnswers():
			why := f.Nodes[n.Name].Problem
			if why == "" {
				why = f.Cluster.Nodes.why()
			}
			j.unknown("", why, probes[0].from())
			continue
		}
		for _, p := range probes {
			if p.OK() && p.Took == 0 {
				j.unknown(n.Name, fmt.Sprintf("%s answers, and nothing tells after how long", target), p.from())
				continue
			}
			if p.OK() && p.Took > nodePortLimit {
				j.judge(false, expected, fmt.Sprintf("%s: %s answers after %.1f s", n.Name, target, p.Took.Seconds()), p.from())
				continue
			}
			judgeProbe(&j, p, expected, n.Name)
		}
	}
	return j.result("if only some tries or nodes fail, packets between nodes are lost: check the area \"pod network\"; if all fail: labctl ssh NODE -- sudo iptables-save -t nat")
}

func evalSpread(f Facts) Result {
	var j judgements
	s, ok := f.helloService(&j)
	if !ok {
		return j.result(hintDemo)
	}
	pods := f.Cluster.Pods
	if !pods.whole() {
		j.unknown("", pods.why(), pods.From)
		return j.result("")
	}
	count := map[string]int{}
	var shown []string
	total := 0
	for _, p := range pods.Value {
		if p.matches(s) && p.live() {
			count[p.Node]++
			total++
			shown = append(shown, fmt.Sprintf("%s/%s %s on %s", p.Namespace, p.Name, p.IP, p.Node))
		}
	}
	low, high := total, 0
	var actual string
	for _, n := range f.Lab.Nodes {
		low, high = min(low, count[n.Name]), max(high, count[n.Name])
		actual += fmt.Sprintf("%s %d, ", n.Name, count[n.Name])
	}
	expected := fmt.Sprintf("%d pods, as many on each node, give or take one", total)
	missing := false
	// Spread evenly are all of them, not those that happen to be there. Where nobody said how many there should be, demo.hello is unknown.
	if w, ok := workload(f.Cluster.Deployments.Value, HelloNamespace, HelloDeployment); ok && total < w.Desired {
		missing = true
		expected = fmt.Sprintf("%d pods, as many on each node, give or take one", w.Desired)
		actual += fmt.Sprintf("%d of %d, ", total, w.Desired)
	}
	if total == 0 {
		expected, actual = "ready pods on the nodes", "there are none, "
	}
	j.judge(total > 0 && !missing && high-low <= 1, expected, actual[:len(actual)-2], pods.From.showing(shown...))
	return j.result("kubectl rollout restart deployment hello spreads them anew, once all nodes are Ready")
}

func evalNodePortPolicy(f Facts) Result {
	var j judgements
	s, ok := f.helloService(&j)
	if !ok {
		return j.result(hintDemo)
	}
	if !f.Cluster.Services.whole() {
		j.unknown("", f.Cluster.Services.why(), f.Cluster.Services.From)
		return j.result("")
	}
	const want = "Cluster"
	got := s.ExternalPolicy
	if got == "" {
		got = "<none>"
	}
	line := func(policy string) string { return fmt.Sprintf("%s externalTrafficPolicy %s", HelloService, policy) }
	j.judge(s.ExternalPolicy == want, line(want), line(got), f.Cluster.Services.From.inFull().showing(line(got)))
	return j.result("with Local a node sends only to its own pods, and a node without one drops the packet: labctl up applies the demo again")
}

// tooUnlikely is how small the chance must be that good luck looks like a fault, for a check to call it a fault.
const tooUnlikely = 1e-4

// helloAnswers is the NodePort demo as the host sees it: its pods that should answer, and the answers by the node that was asked.
type helloAnswers struct {
	service Service
	nodeOf  map[string]string // by pod
	by      map[string][]Probe
	failed  map[string][]Probe // tries that got no answer
	unnamed map[string]int     // answers that don't say from which pod
}

// hello gathers the answers, or records why there is nothing to judge.
func (f Facts) hello(j *judgements) (helloAnswers, bool) {
	h := helloAnswers{nodeOf: map[string]string{}, by: map[string][]Probe{}, failed: map[string][]Probe{}, unnamed: map[string]int{}}
	s, ok := f.helloService(j)
	if !ok {
		return h, false
	}
	if pods := f.Cluster.Pods; !pods.whole() {
		j.unknown("", pods.why(), pods.From)
		return h, false
	}
	h.service = s
	for _, p := range f.Cluster.Pods.Value {
		if p.matches(s) && p.live() {
			h.nodeOf[p.Name] = p.Node
		}
	}
	if len(h.nodeOf) == 0 {
		j.judge(false, "ready pods of hello", "there are none", f.Cluster.Pods.From)
		return h, false
	}
	for _, n := range f.Lab.Nodes {
		for _, p := range f.probes(Host, netip.AddrPortFrom(n.Address, uint16(f.Lab.Demo.NodePort)), nil) {
			switch {
			case p.OK() && p.By != "":
				h.by[n.Name] = append(h.by[n.Name], p)
			case p.OK():
				h.unnamed[n.Name]++
			case !p.OK() && p.Outcome != Inconclusive:
				h.failed[n.Name] = append(h.failed[n.Name], p)
			}
		}
	}
	return h, true
}

// evalNodePortRemote judges that an answer of a pod elsewhere came by every node. A node whose pods are all there are is left out.
func evalNodePortRemote(f Facts) Result {
	var j judgements
	if len(f.Lab.Nodes) == 1 {
		return Result{Status: NotApplicable, Actual: "the lab has one node"}
	}
	h, ok := f.hello(&j)
	if !ok {
		return j.result(hintDemo)
	}
	for _, n := range f.Lab.Nodes {
		elsewhere := 0
		for _, node := range h.nodeOf {
			if node != n.Name {
				elsewhere++
			}
		}
		if elsewhere == 0 {
			continue
		}
		expected := fmt.Sprintf("%s: a pod of another node answers", n.Name)
		i := slices.IndexFunc(h.by[n.Name], func(p Probe) bool { return h.nodeOf[p.By] != "" && h.nodeOf[p.By] != n.Name })
		tries, failed := len(h.by[n.Name]), h.failed[n.Name]
		luck := math.Pow(1-float64(elsewhere)/float64(len(h.nodeOf)), float64(tries))
		switch {
		case i >= 0:
			p := h.by[n.Name][i]
			j.judge(true, expected, fmt.Sprintf("%s: %s of %s answers", n.Name, p.By, h.nodeOf[p.By]), p.from())
		case h.unnamed[n.Name] > 0:
			j.unknown(n.Name, "the answers do not name their pod")
		case len(failed) > 0:
			j.judge(false, expected, fmt.Sprintf("%s: none did, and a try got no answer at all (%s)", n.Name, failed[0].Outcome), failed[0].from())
		case luck < tooUnlikely:
			j.judge(false, expected, fmt.Sprintf("%s: only its own pods did, in %d tries", n.Name, tries), h.by[n.Name][0].from())
		default:
			j.unknown(n.Name, fmt.Sprintf("%d answers that name their pod are too few", tries))
		}
	}
	return j.result("see nodeport.policy and the area \"pod network\": a node hands a connection to any ready pod, wherever it runs")
}

// evalBalance judges that every pod of hello got a connection, whichever node was asked.
func evalBalance(f Facts) Result {
	var j judgements
	h, ok := f.hello(&j)
	if !ok {
		return j.result(hintDemo)
	}
	answers := map[string]int{}
	tries, unnamed := 0, 0
	var failed []Probe
	var shown Source
	for _, n := range f.Lab.Nodes {
		for _, p := range h.by[n.Name] {
			answers[p.By]++
			tries++
			shown = p.From
		}
		failed = append(failed, h.failed[n.Name]...)
		unnamed += h.unnamed[n.Name]
	}
	var silent, counts []string
	for _, pod := range slices.Sorted(maps.Keys(h.nodeOf)) {
		counts = append(counts, fmt.Sprintf("%s %d", pod, answers[pod]))
		if answers[pod] == 0 {
			silent = append(silent, pod)
		}
	}
	expected := fmt.Sprintf("each of the %d ready pods answers", len(h.nodeOf))
	luck := missed(len(h.nodeOf), tries)
	switch {
	case len(silent) == 0:
		j.judge(true, expected, fmt.Sprintf("all did, in %d connections", tries), shown.showing(counts...))
	case unnamed > 0:
		j.unknown("", "the answers do not name their pod")
	case len(failed) > 0:
		j.judge(false, expected, fmt.Sprintf("in %d connections these never did: %s; and %d got no answer at all", tries+len(failed), listOrNone(silent), len(failed)), failed[0].from())
	case luck < tooUnlikely:
		j.judge(false, expected, fmt.Sprintf("in %d connections these never did: %s", tries, listOrNone(silent)), shown.showing(counts...))
	default:
		j.unknown("", fmt.Sprintf("%d answers that name their pod are too few to meet all %d pods", tries, len(h.nodeOf)))
	}
	return j.result("kube-proxy chooses a pod for every new connection: see proxy.chains (proxy.virtual-servers in IPVS mode); sessionAffinity must be None")
}

// HelloPods returns the pods of the NodePort demo that should answer, with the nodes they run on; none if that is not known.
func (f Facts) HelloPods() map[string]string {
	var j judgements
	h, ok := f.hello(&j)
	if !ok {
		return nil
	}
	return h.nodeOf
}
