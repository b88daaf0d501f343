package checks

import (
	"fmt"
	"net/netip"
	"slices"
)

// evalConntrack judges one connection over which several requests were made: all answers must come from one pod, and conntrack must
// have an entry whose reply comes from that pod.
func evalConntrack(f Facts) Result {
	const hint = "labctl ssh CONTROL-PLANE -- sudo conntrack -L -p tcp --dport 80 shows what the kernel remembers: dst= is the ClusterIP, the second src= the pod"
	var j judgements
	kept := f.Kept
	if !kept.Known {
		j.unknown("", kept.why(), kept.From)
		return j.result(hint)
	}
	k := kept.Value
	expected := "one connection, one pod"
	from := kept.From.showing(fmt.Sprintf("answers of %s over %d connection(s) from port %d", listOrNone(k.By), k.Connects, k.LocalPort))
	switch {
	case k.Failure != "" || len(k.By) == 0:
		j.judge(false, expected, fmt.Sprintf("%s: no answer: %s", k.Target, k.Failure), from)
		return j.result(hint)
	case k.Connects != 1 || len(k.By) < 2:
		j.unknown("", fmt.Sprintf("%s: %d answers over %d connections: the pod did not keep the connection alive", k.Target, len(k.By), k.Connects), from)
		return j.result(hint)
	case len(slices.Compact(slices.Clone(k.By))) > 1:
		j.judge(false, expected, fmt.Sprintf("%s: one connection was answered by %s", k.Target, listOrNone(k.By)), from)
		return j.result(hint)
	}
	j.judge(true, expected, fmt.Sprintf("%d answers, all of %s", len(k.By), k.By[0]), from)
	judgeFlow(&j, f, k)
	return j.result(hint)
}

// judgeFlow judges conntrack's entry of a connection that one pod answered.
func judgeFlow(j *judgements, f Facts, k KeptConnection) {
	flows := f.Flows
	if !flows.Known {
		j.unknown("", flows.why(), flows.From)
		return
	}
	i := slices.IndexFunc(f.Cluster.Pods.Value, func(p Pod) bool {
		return p.Namespace == HelloNamespace && p.Name == k.By[0] && p.IP.IsValid() // other namespaces may have a pod of that name
	})
	if i < 0 {
		j.unknown("", fmt.Sprintf("which IP %s has is not known", k.By[0]), f.Cluster.Pods.From)
		return
	}
	pod := f.Cluster.Pods.Value[i]
	expected := fmt.Sprintf("conntrack: port %d to %s is answered by %s", k.LocalPort, k.Target, pod.IP)
	var got []netip.Addr
	var shown []string
	for _, flow := range flows.Value {
		if flow.Dst == k.Target && int(flow.Src.Port()) == k.LocalPort {
			got = append(got, flow.ReplySrc.Addr())
			shown = append(shown, flow.Line)
		}
	}
	if len(got) == 0 {
		j.judge(false, expected, fmt.Sprintf("conntrack has no entry from port %d to %s", k.LocalPort, k.Target), flows.From)
		return
	}
	j.judge(slices.Contains(got, pod.IP), expected, fmt.Sprintf("conntrack: port %d to %s is answered by %s", k.LocalPort, k.Target, addresses(got)), flows.From.showing(shown...))
}
