package fault

import "github.com/labctl/labctl/internal/config"

// nodeFaults are those of machines, their NICs and routes.
func nodeFaults() []Fault {
	return []Fault{
		{
			ID: "cable-unplugged", Exercise: "01", workers: 1,
			Title: "the host-only cable of a worker is unplugged",
			Explanation: "The machine runs and nobody can reach it but through VirtualBox's NAT rule. Its guest takes the address off the dead NIC; " +
				"its agent loses the server, so the node becomes NotReady and its pods are no endpoints any more, although they go on running.",
			Fails: plus(plus(both("net.nics", "net.host-only-address", "net.host-only-route", "cluster.ready", "cluster.logs", "cluster.exec",
				"pod.reach", "svc.from-nodes", "svc.from-pods", "svc.by-name", "dns.resolves", "nodeport.answers", "nodeport.remote", "nodeport.spread",
				"lb.node-ports", "lb.ingress", "demo.web", "demo.hello", "demo.probe"),
				config.ProxyIPTables, "proxy.chains", "lb.external-ip", "lb.answers"), config.ProxyIPVS, "proxy.virtual-servers"),
			script: func(p places) Script {
				cable := func(plugged bool) Action {
					return Action{Where: VirtualBox, Cable: &Cable{Lab: p.lab.Name, Node: "$NODE", Slot: 2, Plugged: plugged}}
				}
				return Script{
					Ask:   p.webWorker(),
					Break: []Action{cable(false), p.notReady("$NODE")},
					Undo:  []Action{cable(true), p.ready("$NODE")},
				}
			},
		},
		{
			ID: "nat-address-lost", Exercise: "01", workers: 1,
			Title: "a worker has lost its NAT address",
			Explanation: "The route to the internet went with the address: nothing can be downloaded there any more. The cluster does not notice, " +
				"since its nodes speak to each other on the host-only network.",
			Fails: both("net.nat-address", "net.default-route"),
			script: func(p places) Script {
				return Script{
					Ask:   []Question{natNIC(p.one)},
					Break: []Action{on(p.one.Name, `sudo ip addr del %s/24 dev "$NAT"`, natAddress)},
					Undo: []Action{
						on(p.one.Name, "sudo netplan apply"),
						until(p.one.Name, `ip -4 -br addr show dev "$NAT" | grep -qF ' %s/'`, natAddress),
					},
				}
			},
		},
		{
			ID: "default-route", Exercise: "03", workers: 1,
			Title: "a worker's default route leaves by the host-only NIC",
			Explanation: "The host is no router to the internet, so nothing can be downloaded there any more. Inside the lab all goes on: every " +
				"address there has a more specific route.",
			Fails: both("net.default-route"),
			script: func(p places) Script {
				host := p.lab.Network.Host
				return Script{
					Ask:   []Question{p.hostOnlyNIC(p.one)},
					Break: []Action{on(p.one.Name, `sudo ip route add default via %s dev "$NIC"`, host)},
					Undo: []Action{on(p.one.Name, `if ip route | grep -qF 'default via %s '; then sudo ip route del default via %s dev "$NIC"; fi`,
						host, host)},
				}
			},
		},
		{
			ID: "wrong-clock", Exercise: "02", workers: 1,
			Title: "a worker's clock is ten minutes ahead",
			Explanation: "Its log lines carry times that have not come yet, so that nothing can be compared with the other nodes'. An hour more, " +
				"and certificates and tokens fail as well.",
			Fails: both("cluster.clocks"),
			script: func(p places) Script {
				return Script{
					Break: []Action{
						on(p.one.Name, "sudo timedatectl set-ntp false"),
						on(p.one.Name, "sudo date -s @$((NOW + 600))"),
					},
					Undo: []Action{
						on(p.one.Name, "sudo date -s @$NOW"),
						on(p.one.Name, "sudo timedatectl set-ntp true"),
					},
				}
			},
		},
	}
}
