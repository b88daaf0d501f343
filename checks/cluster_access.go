package checks

import (
	"fmt"
	"slices"
	"time"
)

// clockLimit is how far two nodes' clocks may be apart. Certificates and leases bear more; logs that are to be compared don't.
const clockLimit = 5 * time.Second

// hostClockLimit is how far a node's clock may be from the host's. Beyond that what the nodes sign is not valid yet, or no longer, for
// whoever looks at it from outside, though they agree with each other.
const hostClockLimit = 5 * time.Minute

// evalClocks compares the nodes' clocks with each other and with the host's. What is known of each is a range, because asking takes
// time: two clocks disagree if even the nearest ends of their ranges do. The earliest and the latest clock stand for all pairs.
func evalClocks(f Facts) Result {
	var j judgements
	var early, late string // the node whose clock is surely the earliest, the latest
	var low, high time.Duration
	for _, n := range f.Lab.Nodes {
		clock := f.Nodes[n.Name].Clock
		if !clock.Known {
			j.unknown(n.Name, clock.why(), clock.From)
			continue
		}
		c := clock.Value
		away := max(c.Low, -c.High, 0)
		line := fmt.Sprintf("%s %s", n.Name, seconds(c))
		j.judge(away <= hostClockLimit, fmt.Sprintf("%s within %.0f s of the host's clock", n.Name, hostClockLimit.Seconds()), line, clock.From.showing(seconds(c)))
		if late == "" || c.Low > low {
			late, low = n.Name, c.Low
		}
		if early == "" || c.High < high {
			early, high = n.Name, c.High
		}
	}
	if early != "" && len(f.Lab.Nodes) > 1 {
		var shown []Source
		for _, name := range []string{early, late} {
			clock := f.Nodes[name].Clock
			shown = append(shown, clock.From.showing(seconds(clock.Value)))
		}
		expected := fmt.Sprintf("the nodes within %.0f s of each other", clockLimit.Seconds())
		apart := max(low-high, 0)
		if apart <= clockLimit {
			j.judge(true, expected, expected, shown...)
		} else {
			j.judge(false, expected, fmt.Sprintf("%s is %.0f s ahead of %s: %s %s, %s %s", late, apart.Seconds(), early,
				late, seconds(f.Nodes[late].Clock.Value), early, seconds(f.Nodes[early].Clock.Value)), shown...)
		}
	}
	return j.result("labctl ssh NODE -- timedatectl shows whether its clock is synchronised; restarting the machine takes the host's time. If all nodes are off alike, look at the host's own clock")
}

// seconds says how far a clock is ahead of the host's.
func seconds(c Clock) string {
	return fmt.Sprintf("%+.1f s from the host's clock", (c.Low + (c.High-c.Low)/2).Seconds())
}

func evalLogs(f Facts) Result { return accessResult(f, VerbLogs) }
func evalExec(f Facts) Result { return accessResult(f, VerbExec) }

// accessResult judges logs or exec, which the API server asks of the kubelet at the node's INTERNAL-IP.
func accessResult(f Facts, verb string) Result {
	var j judgements
	for _, n := range f.Lab.Nodes {
		expected := fmt.Sprintf("%s: kubectl %s works", n.Name, verb)
		tried := false
		for _, a := range f.Access {
			if a.Node != n.Name || a.Verb != verb {
				continue
			}
			tried = true
			switch {
			case !a.Known:
				j.unknown(n.Name, a.Why, a.From)
			case !a.OK:
				j.judge(false, expected, fmt.Sprintf("%s: kubectl %s fails: %s", n.Name, verb, a.Why), a.From.showing(a.Why))
			default:
				j.judge(true, expected, expected, a.From.showing(a.Pod))
			}
		}
		if !tried {
			f.judgeNoPodProbe(&j, n.Name, expected)
		}
	}
	return j.result("the API server asks the kubelet at the node's INTERNAL-IP, port 10250: labctl verify --only INTERNAL-IP, labctl logs NODE")
}

// notProbed says why nothing was asked from a node or a pod of it.
func (f Facts) notProbed(node string) string {
	if why := f.Nodes[node].Problem; why != "" {
		return why
	}
	return "no such probe was made"
}

// judgeNoPodProbe judges that a node's pod was not asked. That the cluster says which pods run, and none of labctl's runs there, is a
// finding: a node that runs no pod is broken. Anything else is only a question that nobody put.
func (f Facts) judgeNoPodProbe(j *judgements, node, expected string) {
	if !f.probePodMissing(node) {
		j.unknown(node, f.notProbed(node))
		return
	}
	j.judge(false, expected, noProbePod(node), f.Cluster.Pods.From.showing(f.probePodsOf(node)...))
}

// noProbePod is the finding that a node does not run a pod that it should.
func noProbePod(node string) string {
	return fmt.Sprintf("%s: no pod of %s/%s runs there", node, ProbeNamespace, ProbeDaemonSet)
}

// probePodMissing says whether a node has no probe pod and should have one. In the records of a cluster that never had labctl's
// DaemonSet that is no fault.
func (f Facts) probePodMissing(node string) bool {
	if _, ok := f.Cluster.ProbePod(node); ok || !f.Cluster.Pods.whole() {
		return false
	}
	return f.Cluster.ofLab()
}

// ofLab says whether the cluster was seen to be one of labctl's own: it was asked for what only labctl asks for, or runs labctl's pods.
func (c Cluster) ofLab() bool {
	return c.DaemonSets.Known || slices.ContainsFunc(c.Pods.Value, Pod.isProbe)
}

// probePodsOf says what there is instead of a running probe pod.
func (f Facts) probePodsOf(node string) []string {
	var found []string
	for _, p := range f.Cluster.Pods.Value {
		switch {
		case !p.isProbe() || p.Node != node:
		case p.Deleting:
			found = append(found, fmt.Sprintf("%s/%s on %s is being deleted", p.Namespace, p.Name, node))
		default:
			found = append(found, fmt.Sprintf("%s/%s on %s does not run", p.Namespace, p.Name, node))
		}
	}
	if len(found) == 0 {
		found = append(found, "none of "+ProbeDaemonSet+" on "+node)
	}
	return found
}

// notAsked is the finding that a node's pod could not be asked, as the API server answered kubectl exec.
func notAsked(node, why string) string {
	return fmt.Sprintf("%s: its pod cannot be asked: kubectl exec fails: %s", node, why)
}
