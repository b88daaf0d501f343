package checks

import (
	"fmt"
	"slices"
)

func demoChecks() []Check {
	return []Check{
		{ID: "demo.web", Title: "web has both of its pods available", Area: AreaDemo, Eval: evalWeb},
		{ID: "demo.hello", Title: "hello has all six of its pods available", Area: AreaDemo, Eval: evalHello},
		{ID: "demo.probe", Title: "labctl-probe has a ready pod on every node", Area: AreaDemo, Eval: evalProbe},
		{ID: "demo.unchanged", Title: "applying labctl's manifests again changes nothing", Area: AreaDemo, Eval: evalUnchanged},
	}
}

func evalWeb(f Facts) Result {
	return deploymentResult(f, WebNamespace, WebDeployment, webReplicas)
}

func evalHello(f Facts) Result {
	return deploymentResult(f, HelloNamespace, HelloDeployment, helloReplicas)
}

// deploymentResult judges that a Deployment of the demo has all of its pods. What asks its service takes as many pods as are ready for
// all that there are, so nothing else tells that some are missing.
func deploymentResult(f Facts, namespace, name string, replicas int) Result {
	var j judgements
	deployments := f.Cluster.Deployments
	if !deployments.Known {
		j.unknown("", deployments.why(), deployments.From)
		return j.result("")
	}
	expected := fmt.Sprintf("%s %d/%d available", name, replicas, replicas)
	w, ok := workload(deployments.Value, namespace, name)
	if !ok {
		j.judge(false, expected, fmt.Sprintf("there is no deployment %q in namespace %q", name, namespace), deployments.From)
		return j.result(hintDemo)
	}
	actual := fmt.Sprintf("%s %d/%d available", w.Name, w.Available, w.Desired)
	shown := fmt.Sprintf("%s, %d up to date", actual, w.Updated)
	if w.Updated != replicas {
		actual = shown
	}
	if w.Stale {
		actual = shown + ", as it was before its last change"
		j.judge(false, expected, actual, deployments.From.showing(actual))
		return j.result("no controller has looked at it since: labctl logs CONTROL-PLANE --k3s; right after a change look again")
	}
	j.judge(w.Desired == replicas && w.Available == replicas && w.Updated == replicas, expected, actual, deployments.From.showing(shown))
	return j.result(fmt.Sprintf("kubectl -n %s describe deploy %s, and kubectl -n %s get pods, say what is missing", namespace, name, namespace))
}

func workload(all []Workload, namespace, name string) (Workload, bool) {
	i := slices.IndexFunc(all, func(w Workload) bool { return w.Namespace == namespace && w.Name == name })
	if i < 0 {
		return Workload{}, false
	}
	return all[i], true
}

// evalProbe judges labctl's DaemonSet by its pods: its own numbers count the nodes that are none of the lab's, too.
func evalProbe(f Facts) Result {
	var j judgements
	sets, pods := f.Cluster.DaemonSets, f.Cluster.Pods
	if !sets.Known || !pods.whole() {
		j.unknown("", firstWhy(sets.Known, sets.why(), pods.why()), sets.From)
		return j.result("")
	}
	if _, ok := workload(sets.Value, ProbeNamespace, ProbeDaemonSet); !ok {
		j.judge(false, fmt.Sprintf("daemonset %q in namespace %q", ProbeDaemonSet, ProbeNamespace), "there is no such daemonset", sets.From)
		return j.result(hintDemo)
	}
	for _, n := range f.Lab.Nodes {
		expected := fmt.Sprintf("%s: a ready pod of %s/%s", n.Name, ProbeNamespace, ProbeDaemonSet)
		p, ok := f.Cluster.ProbePod(n.Name)
		switch {
		case !ok:
			j.judge(false, expected, noProbePod(n.Name), pods.From.showing(f.probePodsOf(n.Name)...))
		case !p.live():
			line := fmt.Sprintf("%s: %s/%s is not ready", n.Name, p.Namespace, p.Name)
			j.judge(false, expected, line, pods.From.showing(line))
		default:
			line := fmt.Sprintf("%s: %s/%s is ready", n.Name, p.Namespace, p.Name)
			j.judge(true, expected, line, pods.From.showing(line))
		}
	}
	return j.result(fmt.Sprintf("kubectl -n %s describe daemonset %s, and kubectl -n %s get pods -o wide, say what is missing", ProbeNamespace, ProbeDaemonSet, ProbeNamespace))
}

// demoObjects are all that labctl applies, as kubectl names them.
var demoObjects = [...]string{
	"namespace/" + WebNamespace, "deployment.apps/" + WebDeployment, "service/" + WebService,
	"deployment.apps/hello", "service/" + HelloService, "ingress.networking.k8s.io/hello",
	"deployment.apps/" + HostNetDeployment,
	"namespace/" + ProbeNamespace, "daemonset.apps/" + ProbeDaemonSet,
}

func evalUnchanged(f Facts) Result {
	var j judgements
	applied := f.Reapplied
	if !applied.Known {
		j.unknown("", applied.why(), applied.From)
		return j.result("")
	}
	for _, object := range demoObjects {
		if !slices.ContainsFunc(applied.Value, func(a Applied) bool { return a.Object == object }) {
			j.unknown("", "kubectl says nothing of "+object, applied.From)
		}
	}
	for _, a := range applied.Value {
		line := a.Object + " " + a.Outcome
		j.judge(a.Outcome == "unchanged", a.Object+" unchanged", line, applied.From.showing(line+" (server dry run)"))
	}
	return j.result("somebody has changed these objects by hand, or deleted them: labctl up applies them again")
}
