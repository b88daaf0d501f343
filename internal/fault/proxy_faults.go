package fault

import (
	"fmt"

	"github.com/labctl/labctl/internal/config"
)

// proxyFaults are those of kube-proxy's rules.
func proxyFaults() []Fault {
	unserved := []string{"svc.from-nodes", "svc.from-pods", "svc.by-name", "dns.resolves", "nodeport.answers", "nodeport.remote", "lb.node-ports", "lb.ingress"}
	return []Fault{
		{
			ID: "rules-flushed", Exercise: "07", workers: 1,
			Title: "kube-proxy's rules are flushed on a worker",
			Explanation: "iptables mode: the two jumps to KUBE-SERVICES are gone, from PREROUTING (what arrives) and OUTPUT (what starts on the node). kube-proxy " +
				"sets them at its start and then once an hour; when a Service or an endpoint changes it writes its own chains anew, but not these jumps. IPVS mode: the virtual servers are gone, " +
				"and kube-proxy is told to look after them once a day. Either way no ClusterIP and no node port is served by that node.",
			Fails: map[config.ProxyMode][]string{
				config.ProxyIPTables: append([]string{"proxy.hooks", "lb.answers"}, unserved...),
				config.ProxyIPVS:     append([]string{"proxy.mode", "proxy.virtual-servers", "proxy.scheduler"}, unserved...),
			},
			script: func(p places) Script {
				n := p.one.Name
				if p.mode == config.ProxyIPVS {
					s := p.seldomSynced("rules-flushed")
					s.Ask = []Question{{Name: "IPVSADM", Where: n, Command: "command -v ipvsadm || ls /usr/sbin/ipvsadm",
						Missing: "the node has no ipvsadm: labctl ssh " + n + " -- sudo apt-get install -y ipvsadm"}}
					s.Break = append(s.Break, on(n, "sudo ipvsadm -C"))
					return s
				}
				const jump = `-m comment --comment "kubernetes service portals" -j KUBE-SERVICES`
				return Script{
					Break: []Action{
						on(n, "sudo iptables -t nat -D PREROUTING "+jump),
						on(n, "sudo iptables -t nat -D OUTPUT "+jump),
					},
					Undo: p.restarted(n),
				}
			},
		},
		{
			ID: "uneven-shares", Exercise: "07", workers: 1,
			Title: "a worker's rules favour one pod of web-svc",
			Explanation: "The first endpoint's rule takes nine of ten connections instead of every second one. Everything answers; one pod does almost all " +
				"the work. kube-proxy rewrites a service's chain when its endpoints change.",
			Fails: map[config.ProxyMode][]string{config.ProxyIPTables: {"proxy.shares"}},
			script: func(p places) Script {
				n := p.one.Name
				const rules = `sudo iptables -t nat -S "$CHAIN"`
				return Script{
					Ask: []Question{
						{Name: "CHAIN", Where: n, Command: "sudo iptables -t nat -S KUBE-SERVICES | grep -F 'demo/web-svc cluster IP' | grep -o 'KUBE-SVC-[A-Z0-9]*' | head -n 1"},
						{Name: "POD", Where: n, Command: rules + " | grep -F -e '--probability' | grep -o 'KUBE-SEP-[A-Z0-9]*' | head -n 1"},
						{Name: "LINE", Where: n, Command: rules + " | grep -n -F -e '--probability' | cut -d: -f1 | head -n 1"}, // the first line is the chain's name
					},
					Break: []Action{on(n, `sudo iptables -t nat -R "$CHAIN" $((LINE - 1)) -m statistic --mode random --probability 0.9 -j "$POD"`)},
					Undo:  p.restarted(n),
				}
			},
		},
		{
			ID: "node-address-on-ipvs", Exercise: "08", workers: 1,
			Title: "a worker's own address is bound to kube-ipvs0",
			Explanation: "This is how it begins when something publishes the nodes' addresses as a service's. Its own address does a node no harm there; another " +
				"node's would cut it off from that node. kube-proxy is told to look after its device once a day only, or it would take the address away again.",
			Fails: map[config.ProxyMode][]string{config.ProxyIPVS: {"proxy.ipvs-node-addresses"}},
			script: func(p places) Script {
				s := p.seldomSynced("node-address-on-ipvs")
				s.Break = append(s.Break, on(p.one.Name, "sudo ip addr add %s/32 dev kube-ipvs0", p.one.Address))
				s.Undo = append([]Action{on(p.one.Name, "if ip -4 -br addr show dev kube-ipvs0 | grep -qF ' %s/32'; then sudo ip addr del %s/32 dev kube-ipvs0; fi",
					p.one.Address, p.one.Address)}, s.Undo...)
				return s
			},
		},
		{
			ID: "other-scheduler", Exercise: "08", workers: 1,
			Title: "a worker's virtual servers choose by another scheduler",
			Explanation: "Everything answers, and from the right pods: only which of them takes the next connection is decided otherwise on that node. An " +
				"ipvsadm -E would not last, for kube-proxy gives its virtual servers the scheduler of its settings every 30 s; so it is in the settings.",
			Fails: map[config.ProxyMode][]string{config.ProxyIPVS: {"proxy.scheduler"}},
			script: func(p places) Script {
				other := config.LeastConnections
				if p.lab.K3s.IPVSScheduler == other {
					other = config.RoundRobin
				}
				s := p.dropIn(p.one.Name, "other-scheduler", fmt.Sprintf("kube-proxy-arg+: [ipvs-scheduler=%s]", other))
				// The node is Ready before its kube-proxy has come to the virtual servers.
				s.Break = append(s.Break, until(p.one.Name, "sudo grep -q '^TCP .* %s ' /proc/net/ip_vs", other))
				return s
			},
		},
		{
			ID: "untracked", Exercise: "09",
			Title: "the server does not track its connections to hello-svc",
			Explanation: "A rule takes them out of conntrack, and kube-proxy's address translation rests on conntrack: what starts on the server for that ClusterIP " +
				"is translated to no pod. Pods and other nodes are not touched.",
			Fails: both("proxy.conntrack"),
			script: func(p places) Script {
				s := rule(p.server.Name, "raw", "OUTPUT", `-d "$IP" -p tcp --dport 80 -j NOTRACK`)
				s.Ask = []Question{{Name: "IP", Where: p.server.Name, Command: "kubectl get service hello-svc -o jsonpath='{.spec.clusterIP}'"}}
				return s
			},
		},
	}
}

// seldomSynced makes kube-proxy of a worker in IPVS mode look after its virtual servers and its device once a day instead of every 30 s.
func (p places) seldomSynced(fault string) Script {
	return p.dropIn(p.one.Name, fault, "kube-proxy-arg+: [ipvs-sync-period=24h]")
}
