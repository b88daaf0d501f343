package checks

import (
	"fmt"
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
		{ID: "nodeport.answers", Title: "the NodePort answers the host on every node's address within a second", Area: AreaNodePort, Eval: evalNodePortAnswers},
		{ID: "nodeport.spread", Title: "hello's pods are spread evenly over the nodes", Area: AreaNodePort, Eval: evalSpread},
	}
}

func evalNodePortMapping(f Facts) Result {
	var j judgements
	s, ok := f.service(HelloNamespace, HelloService, &j)
	if !ok {
		return j.result(hintDemo)
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
	from := f.Cluster.Services.From.showing(s.String())
	i := slices.IndexFunc(s.Ports, func(p ServicePort) bool { return p.Port == helloPort })
	if i < 0 {
		j.judge(false, expected, s.String(), from)
		return j.result(hintDemo)
	}
	p := s.Ports[i]
	actual := fmt.Sprintf("%s %d:%d, to %s", s.Type, p.Port, p.NodePort, p.Target)
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
		if len(probes) == 0 {
			j.unknown(n.Name, "no probe of its NodePort was made")
		}
		for _, p := range probes {
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
	s, ok := f.service(HelloNamespace, HelloService, &j)
	if !ok {
		return j.result(hintDemo)
	}
	pods := f.Cluster.Pods
	if !pods.Known {
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
	if total == 0 {
		expected, actual = "ready pods on the nodes", "there are none, "
	}
	j.judge(total > 0 && high-low <= 1, expected, actual[:len(actual)-2], pods.From.showing(shown...))
	return j.result("kubectl rollout restart deployment hello spreads them anew, once all nodes are Ready")
}
