package fault

import (
	"fmt"
	"net/netip"

	"github.com/labctl/labctl/internal/config"
)

// places are the nodes that faults are injected on, and what commands say of the lab.
type places struct {
	lab     *config.Lab
	mode    config.ProxyMode
	server  config.Node
	one     config.Node // the first worker
	last    config.Node // the last one; the first if there is one only
	workers []config.Node
}

func placesOf(lab *config.Lab) places {
	p := places{lab: lab, mode: lab.K3s.KubeProxyMode, server: lab.Server()}
	for _, n := range lab.Nodes {
		if n.Role == config.RoleAgent {
			p.workers = append(p.workers, n)
		}
	}
	if len(p.workers) > 0 {
		p.one, p.last = p.workers[0], p.workers[len(p.workers)-1]
	}
	return p
}

// on is a command on a node.
func on(where string, format string, args ...any) Action {
	return Action{Where: where, Command: fmt.Sprintf(format, args...)}
}

// until is a command on a node that is repeated until it succeeds.
func until(where string, format string, args ...any) Action {
	a := on(where, format, args...)
	a.Until = true
	return a
}

// kubectl is a command on the server.
func (p places) kubectl(format string, args ...any) Action {
	return on(p.server.Name, "kubectl "+format, args...)
}

// ready waits until the cluster calls a node Ready.
func (p places) ready(node string) Action {
	return until(p.server.Name, "kubectl get node %s --no-headers | grep -q ' Ready '", node)
}

func (p places) notReady(node string) Action {
	return until(p.server.Name, "kubectl get node %s --no-headers | grep -q ' NotReady '", node)
}

// restarted restarts a worker's k3s and waits until its node is Ready.
func (p places) restarted(node string) []Action {
	return []Action{on(node, "sudo systemctl restart k3s-agent"), p.ready(node)}
}

// hostOnlyNIC asks for the name of the device with the node's host-only address.
func (p places) hostOnlyNIC(n config.Node) Question {
	return Question{Name: "NIC", Where: n.Name, Command: fmt.Sprintf("ip -4 -br addr | grep -F ' %s/' | grep -v '^kube-ipvs0 ' | cut -d' ' -f1", n.Address)}
}

// natNIC asks for the name of the device with the address that VirtualBox's NAT gives to every machine.
func natNIC(n config.Node) Question {
	return Question{Name: "NAT", Where: n.Name, Command: "ip -4 -br addr | grep -F ' " + natAddress + "/' | cut -d' ' -f1"}
}

const (
	natAddress = "10.0.2.15"
	settings   = "/etc/rancher/k3s/config.yaml" // k3s's
)

// dropIn adds a line to a worker's k3s settings, in a file of the fault's own, and restarts k3s.
func (p places) dropIn(node, fault, line string) Script {
	file := settings + ".d/labctl-" + fault + ".yaml"
	return Script{
		Break: append([]Action{
			on(node, "sudo mkdir -p %s.d", settings),
			on(node, "echo '%s' | sudo tee %s >/dev/null", line, file),
		}, p.restarted(node)...),
		Undo: append([]Action{on(node, "sudo rm -f %s", file)}, p.restarted(node)...),
	}
}

// nth is the nth address of a network.
func nth(network netip.Prefix, n int) netip.Addr {
	a := network.Masked().Addr()
	for range n {
		a = a.Next()
	}
	return a
}

// webWorker asks for a worker that runs a pod of web and none of Traefik, so that what follows from losing it is certain.
func (p places) webWorker() []Question {
	const pods = "kubectl -n demo get pods -l app=web -o jsonpath="
	return []Question{
		{Name: "INGRESS", Where: p.server.Name, Command: "kubectl -n kube-system get pods -l app.kubernetes.io/name=traefik -o jsonpath='{.items[0].spec.nodeName}'",
			Missing: "Traefik must run"},
		{Name: "NODE", Where: p.server.Name,
			Command: fmt.Sprintf(`for i in 0 1; do %s"{.items[$i].spec.nodeName}"; echo; done | grep -vx %s | grep -vx "$INGRESS" | head -n 1`, pods, p.server.Name),
			Missing: "no worker runs a pod of web and none of Traefik: kubectl -n demo rollout restart deployment web places web anew"},
	}
}

// both is a set of checks for both modes.
func both(ids ...string) map[config.ProxyMode][]string {
	return map[config.ProxyMode][]string{config.ProxyIPTables: ids, config.ProxyIPVS: ids}
}

// plus adds checks to the set of one mode.
func plus(sets map[config.ProxyMode][]string, mode config.ProxyMode, ids ...string) map[config.ProxyMode][]string {
	out := map[config.ProxyMode][]string{}
	for m, have := range sets {
		out[m] = append([]string(nil), have...)
		if m == mode {
			out[m] = append(out[m], ids...)
		}
	}
	return out
}

// cutOff are the checks that fail when packets between the pods of one node and those of all others are lost, wherever pods run, and others.
func cutOff(ids ...string) map[config.ProxyMode][]string {
	sets := both(append([]string{"pod.reach", "svc.from-nodes", "svc.from-pods", "svc.by-name", "dns.resolves",
		"nodeport.answers", "nodeport.remote", "proxy.balance", "lb.node-ports", "lb.ingress"}, ids...)...)
	return plus(sets, config.ProxyIPTables, "lb.answers")
}
