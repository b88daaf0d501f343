package checks

import (
	"fmt"
	"slices"
)

func demoChecks() []Check {
	return []Check{
		{ID: "demo.web", Title: "web has both of its pods available", Area: AreaDemo, Eval: evalWeb},
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
