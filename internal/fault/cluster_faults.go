package fault

import "github.com/labctl/labctl/internal/config"

// clusterFaults are those of nodes as the cluster sees them.
func clusterFaults() []Fault {
	withoutNodeIP := func(p places, nodes ...string) Script {
		var s Script
		for _, n := range nodes {
			s.Break = append(s.Break, on(n, "sudo sed -i 's/^node-ip:/#&/' %s", settings))
			s.Break = append(s.Break, p.restarted(n)...)
			s.Undo = append(s.Undo, on(n, "sudo sed -i 's/^#node-ip:/node-ip:/' %s", settings))
			s.Undo = append(s.Undo, p.restarted(n)...)
		}
		return s
	}
	return []Fault{
		{
			ID: "node-ip-missing", Exercise: "02", workers: 1,
			Title: "node-ip is missing in a worker's settings",
			Explanation: "k3s takes the address of the NIC with the default route, 10.0.2.15, which leads nowhere. The node is Ready all the same, " +
				"and flannel still announces its host-only address, because flannel-iface says so: net.flannel-public-ip fails, for the two are to be the same. " +
				"ServiceLB publishes the wrong address.",
			Fails:  plus(both("net.internal-ip", "net.flannel-public-ip"), config.ProxyIPTables, "lb.external-ip"),
			script: func(p places) Script { return withoutNodeIP(p, p.one.Name) },
		},
		{
			ID: "same-internal-ip", Exercise: "02", workers: 2,
			Title:       "node-ip is missing on two workers, which advertise the same address",
			Explanation: "This is what k3s does by itself on machines with VirtualBox's NAT. Which of the two kubelets the API server asks for logs or exec is chance.",
			Fails: plus(both("net.internal-ip", "net.internal-ip-unique", "net.flannel-public-ip", "cluster.logs", "cluster.exec",
				"svc.from-pods", "svc.by-name", "dns.resolves", "pod.reach"), config.ProxyIPTables, "lb.external-ip"),
			script: func(p places) Script { return withoutNodeIP(p, p.one.Name, p.last.Name) },
		},
		{
			ID: "external-ip", Exercise: "02", workers: 1,
			Title:       "a worker advertises an EXTERNAL-IP",
			Explanation: "A node of this lab has none. ServiceLB publishes only EXTERNAL-IPs once any node has one, so the LoadBalancer loses the other nodes' addresses.",
			Fails:       plus(both("net.external-ip"), config.ProxyIPTables, "lb.external-ip"),
			script: func(p places) Script {
				return p.dropIn(p.one.Name, "external-ip", "node-external-ip: "+p.one.Address.String())
			},
		},
		{
			ID: "agent-stopped", Exercise: "02", workers: 1,
			Title: "the k3s agent of a worker is stopped",
			Explanation: "The kubelet is gone, so the node becomes NotReady, and logs and exec fail there. Containers and kube-proxy's rules stay as they were: " +
				"what still points to the node still works, and its rules are not kept up any more.",
			Fails: plus(plus(both("cluster.ready", "cluster.logs", "cluster.exec", "svc.from-pods", "svc.by-name", "dns.resolves", "pod.reach",
				"nodeport.spread", "demo.web", "demo.hello", "demo.probe"), config.ProxyIPTables, "proxy.chains", "lb.external-ip"), config.ProxyIPVS, "proxy.virtual-servers"),
			script: func(p places) Script {
				return Script{
					Ask:   p.webWorker(),
					Break: []Action{on("$NODE", "sudo systemctl stop k3s-agent"), p.notReady("$NODE")},
					Undo:  []Action{on("$NODE", "sudo systemctl start k3s-agent"), p.ready("$NODE")},
				}
			},
		},
		{
			ID: "pod-network-taken", Exercise: "04", workers: 1,
			Title: "a node that nobody runs holds the pod CIDR of a worker",
			Explanation: "Somebody wrote a Node into the cluster, as from a backup. It is never Ready and no packet goes there, so nothing seems to be wrong; " +
				"but two nodes claim the same addresses, and a machine that joins by that name would get them, too.",
			Fails: both("pod.cidr"),
			script: func(p places) Script {
				return Script{
					Ask: []Question{{Name: "CIDR", Where: p.server.Name, Command: "kubectl get node " + p.one.Name + " -o jsonpath='{.spec.podCIDR}'"}},
					Break: []Action{p.kubectl(`apply -f - <<EOF
{"apiVersion":"v1","kind":"Node","metadata":{"name":"labctl-nobody"},"spec":{"podCIDR":"$CIDR","podCIDRs":["$CIDR"]}}
EOF`)},
					Undo: []Action{p.kubectl("delete node labctl-nobody --ignore-not-found")},
				}
			},
		},
		{
			ID: "taint", Exercise: "10", workers: 1,
			Title: "a taint has driven all pods off the workers",
			Explanation: "What does not tolerate it moves to the server, as far as it may: hello's wish to be spread keeps four of its six pods waiting. " +
				"ServiceLB has no pod on the workers any more, so the LoadBalancer is left with the server's address.",
			Fails: plus(both("nodeport.spread", "demo.hello"), config.ProxyIPTables, "lb.external-ip", "lb.answers", "lb.ingress"),
			script: func(p places) Script {
				var s Script
				for _, n := range p.workers {
					s.Break = append(s.Break, p.kubectl("taint nodes %s labctl/fault=moved:NoExecute --overwrite", n.Name))
					s.Undo = append(s.Undo, p.kubectl("taint nodes %s labctl/fault:NoExecute- || kubectl get node %s", n.Name, n.Name))
				}
				for _, d := range []string{"demo deployment/web", "kube-system deployment/coredns", "kube-system deployment/traefik"} {
					s.Break = append(s.Break, p.rolledOut(d))
				}
				s.Undo = append(s.Undo, p.rolledOut("default deployment/hello"))
				return s
			},
		},
	}
}

// rolledOut waits until a workload, NAMESPACE KIND/NAME, has all its pods.
func (p places) rolledOut(workload string) Action {
	return until(p.server.Name, "kubectl rollout status --timeout=30s -n %s", workload)
}
