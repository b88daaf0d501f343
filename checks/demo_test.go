package checks

func demoFixtures() map[string][]fixture {
	return map[string][]fixture{
		"demo.unchanged": {
			asIs(),
			{"somebody scaled web", func(f *Facts) { f.Reapplied.Value[1].Outcome = "configured" }, Fail, "deployment.apps/web configured"},
			{"something is gone", func(f *Facts) { f.Reapplied.Value[2].Outcome = "created" }, Fail, "service/web-svc created"},
			{"an answer that stops after the first object", func(f *Facts) { f.Reapplied.Value = f.Reapplied.Value[:1] }, Unknown, "kubectl says nothing of service/hello-svc"},
			{"an answer without the last object", func(f *Facts) { f.Reapplied.Value = f.Reapplied.Value[:8] }, Unknown, "kubectl says nothing of daemonset.apps/labctl-probe"},
			{"not tried", func(f *Facts) { f.Reapplied = Fact[[]Applied]{} }, Unknown, "not collected"},
			noCluster(),
		},
		"demo.web": {
			asIs(),
			{"one of two", func(f *Facts) { f.Cluster.Deployments.Value[0].Available = 1 }, Fail, "web 1/2 available"},
			{"three of three", func(f *Facts) {
				f.Cluster.Deployments.Value[0] = Workload{Namespace: "demo", Name: "web", Desired: 3, Updated: 3, Available: 3}
			}, Fail, "web 3/3 available"},
			{"changed, and nobody has looked", func(f *Facts) { f.Cluster.Deployments.Value[0].Stale = true }, Fail, "web 2/2 available, 2 up to date, as it was before its last change"},
			{"one is of an older make", func(f *Facts) { f.Cluster.Deployments.Value[0].Updated = 1 }, Fail, "web 2/2 available, 1 up to date"},
			{"none", func(f *Facts) { f.Cluster.Deployments.Value = nil }, Fail, `there is no deployment "web"`},
			noCluster(),
		},
		"demo.hello": {
			asIs(),
			{"five of six", func(f *Facts) { f.Cluster.Deployments.Value[1].Available = 5 }, Fail, "hello 5/6 available"},
			{"one of six", func(f *Facts) { f.Cluster.Deployments.Value[1].Available = 1 }, Fail, "hello 1/6 available"},
			{"scaled to three", func(f *Facts) {
				f.Cluster.Deployments.Value[1] = Workload{Namespace: "default", Name: "hello", Desired: 3, Updated: 3, Available: 3}
			}, Fail, "hello 3/3 available"},
			{"one that cannot be made anew", func(f *Facts) { f.Cluster.Deployments.Value[1].Updated = 5 }, Fail, "hello 6/6 available, 5 up to date"},
			{"none", func(f *Facts) { f.Cluster.Deployments.Value = f.Cluster.Deployments.Value[:1] }, Fail, `there is no deployment "hello" in namespace "default"`},
			noCluster(),
		},
		"demo.probe": {
			asIs(),
			{"none runs on w1", func(f *Facts) { f.noProbePod("w1") }, Fail, "w1: no pod of labctl/labctl-probe runs there"},
			{"that of w1 is not ready", func(f *Facts) { f.pod("labctl-probe-w1", func(p *Pod) { p.Ready = false }) }, Fail, "w1: labctl/labctl-probe-w1 is not ready"},
			{"the DaemonSet is gone, and its pods are not yet", func(f *Facts) { f.Cluster.DaemonSets.Value = nil }, Fail, "there is no such daemonset"},
			{"a node that is none of the lab's has none", func(f *Facts) {
				f.Cluster.DaemonSets.Value[0].Desired, f.Cluster.DaemonSets.Value[0].Updated = 4, 4
			}, Pass, ""},
			{"a cluster without labctl's DaemonSet, recorded", func(f *Facts) { f.Cluster.DaemonSets = Fact[[]Workload]{} }, Unknown, "not collected"},
			{"pods that a table tells in part", func(f *Facts) { f.Cluster.Pods.Partial = "namespace demo only" }, Unknown, "namespace demo only"},
			noCluster(),
		},
	}
}
