package fault

import "fmt"

// podNetworkFaults are those of flannel's network.
func podNetworkFaults() []Fault {
	return []Fault{
		{
			ID: "same-machine-id", Exercise: "05", workers: 1,
			Title: "a worker has the server's machine-id",
			Explanation: "Copied machines have it. Nothing else shows it yet; after the next boot both nodes' flannel.1 get the same MAC, and the overlay " +
				"is dead while all tables look right.",
			Fails: both("pod.machine-id"),
			script: func(p places) Script {
				return Script{
					Ask: []Question{
						{Name: "OTHER", Where: p.server.Name, Command: "cat /etc/machine-id"},
						{Name: "OWN", Where: p.one.Name, Command: "cat /etc/machine-id"},
					},
					Break: []Action{on(p.one.Name, `echo "$OTHER" | sudo tee /etc/machine-id >/dev/null`)},
					Undo:  []Action{on(p.one.Name, `echo "$OWN" | sudo tee /etc/machine-id >/dev/null`)},
				}
			},
		},
		{
			ID: "wrong-subnet", Exercise: "04", workers: 1,
			Title: "flannel's note of a worker's pod CIDR is wrong",
			Explanation: "The CNI plugin reads it for every new pod. Those that run keep their addresses and go on working; the next one that is " +
				"started there fails.",
			Fails: both("pod.flannel-subnet"),
			script: func(p places) Script {
				const file = "/run/flannel/subnet.env"
				wrong := nth(p.lab.K3s.PodCIDR, 250*256+1)
				return Script{
					Ask:   []Question{{Name: "LINE", Where: p.one.Name, Command: "grep '^FLANNEL_SUBNET=' " + file}},
					Break: []Action{on(p.one.Name, "sudo sed -i 's|^FLANNEL_SUBNET=.*|FLANNEL_SUBNET=%s/24|' %s", wrong, file)},
					Undo:  []Action{on(p.one.Name, `sudo sed -i "s|^FLANNEL_SUBNET=.*|$LINE|" %s`, file)},
				}
			},
		},
		{
			ID: "foreign-cni", Exercise: "04", workers: 1,
			Title: "a pod of a worker got its address from another CNI plugin",
			Explanation: "While the pod was made, another plugin's settings stood before flannel's. It runs, and its own node reaches it; its address belongs to " +
				"no node's pod CIDR, so no other node has a route to it.",
			Fails: both("pod.ips"),
			script: func(p places) Script {
				const (
					name     = "labctl-elsewhere"
					file     = "/var/lib/rancher/k3s/agent/etc/cni/net.d/05-" + name + ".conflist"
					conflist = `{"cniVersion":"1.0.0","name":"` + name + `","plugins":[{"type":"bridge","bridge":"cni-elsewhere","isGateway":true,` +
						`"ipam":{"type":"host-local","subnet":"198.18.44.0/24"}}]}`
					deployment = `{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"` + name + `"},"spec":{"selector":{"matchLabels":{"app":"` + name + `"}},` +
						`"template":{"metadata":{"labels":{"app":"` + name + `"}},"spec":{"nodeSelector":{"kubernetes.io/hostname":"%s"},` +
						`"containers":[{"name":"nginx","image":"nginx:1.27-alpine"}]}}}}`
				)
				return Script{
					Break: []Action{
						on(p.one.Name, "echo '%s' | sudo tee %s >/dev/null", conflist, file),
						p.kubectl("apply -f - <<'EOF'\n"+deployment+"\nEOF", p.one.Name),
						p.rolledOut("default deployment/" + name),
						on(p.one.Name, "sudo rm -f %s", file),
					},
					Undo: []Action{
						on(p.one.Name, "sudo rm -f %s", file),
						p.kubectl("delete deployment %s --ignore-not-found", name),
						until(p.server.Name, "! kubectl get pods -l app=%s --no-headers | grep -q %s", name, name),
						on(p.one.Name, "if ip link show cni-elsewhere >/dev/null 2>&1; then sudo ip link del cni-elsewhere; fi; sudo rm -rf /var/lib/cni/networks/%s", name),
					},
				}
			},
		},
		{
			ID: "wrong-bridge-mask", Exercise: "04", workers: 1,
			Title:       "a worker's cni0 has the wrong prefix length",
			Explanation: "cni0 holds the right address with /25 instead of /24: half of the node's pod CIDR is no neighbour any more. Pods with low addresses do not notice.",
			Fails:       both("pod.cni0"),
			script: func(p places) Script {
				return Script{
					Ask: []Question{{Name: "GATEWAY", Where: p.one.Name, Command: "grep '^FLANNEL_SUBNET=' /run/flannel/subnet.env | cut -d= -f2 | cut -d/ -f1"}},
					Break: []Action{
						on(p.one.Name, `sudo ip addr add "$GATEWAY/25" dev cni0`),
						on(p.one.Name, `sudo ip addr del "$GATEWAY/24" dev cni0`),
					},
					Undo: []Action{
						on(p.one.Name, `ip -4 -br addr show dev cni0 | grep -qF " $GATEWAY/24" || sudo ip addr add "$GATEWAY/24" dev cni0`),
						on(p.one.Name, `if ip -4 -br addr show dev cni0 | grep -qF " $GATEWAY/25"; then sudo ip addr del "$GATEWAY/25" dev cni0; fi`),
					},
				}
			},
		},
		{
			ID: "pod-routes-missing", Exercise: "04", workers: 1,
			Title:       "a worker has no routes to the other nodes' pods",
			Explanation: "flannel sets a route by flannel.1 to every other node's pod CIDR when that node appears, and does not look again. Neither requests nor answers to pods of other nodes find their way.",
			Fails:       cutOff("pod.routes"),
			script: func(p places) Script {
				var s Script
				for i, n := range p.lab.Nodes {
					if n.Name == p.one.Name {
						continue
					}
					cidr := "CIDR" + letters(i)
					s.Ask = append(s.Ask, Question{Name: cidr, Where: p.server.Name, Command: "kubectl get node " + n.Name + " -o jsonpath='{.spec.podCIDR}'"})
					s.Break = append(s.Break, on(p.one.Name, `sudo ip route del "$%s" dev flannel.1`, cidr))
					s.Undo = append(s.Undo, on(p.one.Name, `sudo ip route replace "$%s" via "${%s%%/*}" dev flannel.1 onlink`, cidr, cidr))
				}
				return s
			},
		},
		{
			ID: "flannel-on-nat", Exercise: "05", workers: 1,
			Title: "flannel of a worker uses the NAT NIC",
			Explanation: "flannel announces 10.0.2.15 as the worker's end of the tunnels, where no other node finds it. INTERNAL-IP and all routes look right; " +
				"packets between its pods and those of other nodes are lost.",
			Fails: cutOff("net.flannel-public-ip", "pod.vxlan"),
			script: func(p places) Script {
				set := func(value string) []Action {
					return append([]Action{on(p.one.Name, `sudo sed -i "s/^flannel-iface: .*/flannel-iface: %s/" %s`, value, settings)}, p.restarted(p.one.Name)...)
				}
				return Script{Ask: []Question{natNIC(p.one), p.hostOnlyNIC(p.one)}, Break: set("$NAT"), Undo: set("$NIC")}
			},
		},
		{
			ID: "foreign-mac", Exercise: "05", workers: 1,
			Title:       "a worker's flannel.1 has another MAC than the one it announced",
			Explanation: "The other nodes address their frames to the MAC that is announced, and the worker drops what is not addressed to it. All routes look right.",
			Fails:       cutOff("pod.vtep-mac"),
			script: func(p places) Script {
				return Script{
					Ask:   []Question{{Name: "MAC", Where: p.one.Name, Command: "cat /sys/class/net/flannel.1/address"}},
					Break: []Action{on(p.one.Name, "sudo ip link set dev flannel.1 address 02:00:00:00:00:01")},
					Undo:  []Action{on(p.one.Name, `sudo ip link set dev flannel.1 address "$MAC"`)},
				}
			},
		},
		{
			ID: "vxlan-dropped", Exercise: "05", workers: 1,
			Title:       "a worker drops VXLAN packets",
			Explanation: "A firewall that knows nothing of flannel does this to UDP port 8472. The nodes reach each other, their pods do not.",
			Fails:       cutOff(),
			script: func(p places) Script {
				return rule(p.one.Name, "filter", "INPUT", "-p udp --dport 8472 -j DROP")
			},
		},
		{
			ID: "wrong-mtu", Exercise: "05", workers: 1,
			Title: "a worker's flannel.1 has the wrong MTU",
			Explanation: "The nodes no longer agree on how large a packet between pods may be. Small requests pass, so everything seems to work; " +
				"large ones become slow, or are lost where the sender is not told.",
			Fails: both("pod.mtu"),
			script: func(p places) Script {
				return Script{
					Ask:   []Question{{Name: "MTU", Where: p.one.Name, Command: "cat /sys/class/net/flannel.1/mtu"}},
					Break: []Action{on(p.one.Name, "sudo ip link set dev flannel.1 mtu 1200")},
					Undo:  []Action{on(p.one.Name, `sudo ip link set dev flannel.1 mtu "$MTU"`)},
				}
			},
		},
	}
}

// rule is a rule of iptables at the head of a chain.
func rule(node, table, chain, spec string) Script {
	at := fmt.Sprintf("-t %s -%%s %s %s", table, chain, spec)
	have := fmt.Sprintf(at, "C")
	return Script{
		Break: []Action{on(node, "sudo iptables "+at, "I")},
		Undo:  []Action{on(node, "while sudo iptables %s 2>/dev/null; do sudo iptables "+at+"; done", have, "D")},
	}
}

// letters writes a number from 0 on as the end of a variable's name, which holds letters only.
func letters(i int) string {
	s := string(rune('A' + i%26))
	if i >= 26 {
		return letters(i/26-1) + s
	}
	return s
}
