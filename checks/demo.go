package checks

import (
	"fmt"
	"slices"
)

func demoChecks() []Check {
	return []Check{
		{ID: "demo.web", Title: "web has both of its pods available", Area: AreaDemo, Eval: evalWeb},
		{ID: "demo.unchanged", Title: "applying labctl's manifests again changes nothing", Area: AreaDemo, Eval: evalUnchanged},
	}
}

func evalWeb(f Facts) Result {
	var j judgements
	deployments := f.Cluster.Deployments
	if !deployments.Known {
		j.unknown("", deployments.why(), deployments.From)
		return j.result("")
	}
	expected := fmt.Sprintf("%s %d/%d available", WebDeployment, webReplicas, webReplicas)
	i := slices.IndexFunc(deployments.Value, func(w Workload) bool { return w.Namespace == WebNamespace && w.Name == WebDeployment })
	if i < 0 {
		j.judge(false, expected, fmt.Sprintf("there is no deployment %q in namespace %q", WebDeployment, WebNamespace), deployments.From)
		return j.result(hintDemo)
	}
	w := deployments.Value[i]
	actual := fmt.Sprintf("%s %d/%d available", w.Name, w.Available, w.Desired)
	j.judge(w.Desired == webReplicas && w.Available == webReplicas && w.Updated == webReplicas, expected, actual, deployments.From.showing(actual+fmt.Sprintf(", %d up to date", w.Updated)))
	return j.result("kubectl -n demo describe deploy web, and kubectl -n demo get pods, say what is missing")
}

func evalUnchanged(f Facts) Result {
	var j judgements
	applied := f.Reapplied
	if !applied.Known {
		j.unknown("", applied.why(), applied.From)
		return j.result("")
	}
	for _, a := range applied.Value {
		line := a.Object + " " + a.Outcome
		j.judge(a.Outcome == "unchanged", a.Object+" unchanged", line, applied.From.showing(line+" (server dry run)"))
	}
	return j.result("somebody has changed these objects by hand, or deleted them: labctl up applies them again")
}
