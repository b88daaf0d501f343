package labs

import (
	"fmt"
	"net/netip"
	"strings"
	"text/template"

	"github.com/labctl/labctl/internal/config"
)

// Page is an exercise as one reads it: in one language, with the lab's own names and addresses.
type Page struct {
	Number, Title, Goal string
	Hints               []string
	Body                string // Markdown
	Simulated           string // what a reader must know besides if the lab is simulated; may be empty
}

// Render returns an exercise's page. Its title, goal, hints and body are text/templates over [config.Lab], with the methods of
// view besides its own, and [particle] for Korean.
func Render(e Exercise, l Language, lab *config.Lab) (Page, error) {
	page := Page{Number: e.Number, Hints: make([]string, len(e.Hints))}
	fill := func(into *string, what string, text Text) error {
		t, err := template.New(what).Funcs(template.FuncMap{"particle": particle}).Parse(text.In(l))
		if err != nil {
			return fmt.Errorf("exercise %q: %w", e.Number, err)
		}
		var out strings.Builder
		if err := t.Execute(&out, view{lab}); err != nil {
			return fmt.Errorf("exercise %q: %w", e.Number, err)
		}
		*into = out.String()
		return nil
	}
	if err := fill(&page.Title, "title", e.Title); err != nil {
		return Page{}, err
	}
	if err := fill(&page.Goal, "goal", e.Goal); err != nil {
		return Page{}, err
	}
	if err := fill(&page.Body, "body", e.Body); err != nil {
		return Page{}, err
	}
	if callsFromHere(page.Body) {
		if err := fill(&page.Simulated, "note on simulated labs", simulated); err != nil {
			return Page{}, err
		}
		page.Simulated += " `labctl verify " + e.Number + "`."
	}
	for i, hint := range e.Hints {
		if err := fill(&page.Hints[i], fmt.Sprintf("hint %d", i+1), hint); err != nil {
			return Page{}, err
		}
	}
	return page, nil
}

// view is what an exercise's text sees.
type view struct{ *config.Lab }

// OnServer is the shell's prompt on the server.
func (v view) OnServer() string { return v.prompt(v.Server()) }

// OnWorker is the shell's prompt on Worker.
func (v view) OnWorker() string { return v.prompt(v.Worker()) }

func (v view) prompt(n config.Node) string { return v.Image.User + "@" + n.Name + ":~$" }

// Worker is the node that exercises break: the first agent, or the server of a lab without agents.
func (v view) Worker() config.Node {
	if agents := v.Agents(); len(agents) > 0 {
		return agents[0]
	}
	return v.Server()
}

// WorkerUnit is the systemd unit that runs k3s there.
func (v view) WorkerUnit() string {
	if v.Worker().Role == config.RoleServer {
		return "k3s"
	}
	return "k3s-agent"
}

// remote is a node whose pods the server reaches by the overlay.
type remote struct {
	config.Node
	Number  int // of its pod network
	Network netip.Prefix
	MAC     string // of its flannel.1
}

// Remotes are the agents with their pod networks, if they joined in the order of the file.
func (v view) Remotes() []remote {
	var remotes []remote
	for i, n := range v.Agents() {
		remotes = append(remotes, remote{n, i + 1, v.PodNetwork(i + 1), exampleMAC(i + 1)})
	}
	return remotes
}

// ServerMAC is an example of the MAC of the server's flannel.1, WorkerMAC one of Worker's.
func (v view) ServerMAC() string { return exampleMAC(0) }
func (v view) WorkerMAC() string { return exampleMAC(min(len(v.Agents()), 1)) }

// exampleMAC is a MAC such as systemd makes up, another one for each node.
func exampleMAC(n int) string {
	some := [][2]byte{{0x6a, 0x1b}, {0x16, 0x54}, {0xd2, 0xf7}, {0x8e, 0x0d}}[n%4]
	return fmt.Sprintf("%02x:%02x:72:a5:9b:%02x", some[0], some[1], (0xa8+37*n)&0xff)
}

// WorkerGateway is the gateway of Worker's pods, under the same condition.
func (v view) WorkerGateway() netip.Addr { return v.PodAddress(min(len(v.Agents()), 1), 1) }

// pod is an example of a pod.
type pod struct {
	Name    string
	Address netip.Addr
	Node    config.Node
}

// examplePods spreads pods over nodes, the n-th of them with the given host part in its node's network.
func (v view) examplePods(nodes []config.Node, names []string, hosts []int) []pod {
	var pods []pod
	for i, name := range names {
		n := nodes[i%len(nodes)]
		network := 0
		for j, a := range v.Agents() {
			if a.Name == n.Name {
				network = j + 1
			}
		}
		pods = append(pods, pod{name, v.PodAddress(network, hosts[i]), n})
	}
	return pods
}

// WebPods are web's two pods, on workers where the lab has some.
func (v view) WebPods() []pod {
	workers := append(v.Agents(), v.Server())
	return v.examplePods(workers[:max(1, min(2, len(v.Agents())))], []string{"web-79ffc79c64-7lczb", "web-79ffc79c64-wgc5c"}, []int{14, 8})
}

// HelloPods are hello's six pods, spread over all nodes.
func (v view) HelloPods() []pod {
	var names []string
	for _, suffix := range []string{"hdqsn", "jq8v2", "mn9cd", "qhbv4", "shhpc", "vswg5"} {
		names = append(names, "hello-6d4b5d8f9c-"+suffix)
	}
	return v.examplePods(v.Nodes, names, []int{23, 10, 12, 24, 9, 11})
}

// Answer is the pod that answers the n-th of several calls, from 0: not always the same, nor always one of the node that is called.
func (v view) Answer(n int) pod {
	pods := v.HelloPods()
	return pods[(2*n+1)%len(pods)]
}

// ExternalIPs is what a LoadBalancer Service shows as EXTERNAL-IP: ServiceLB gives it the nodes' addresses, and is kept out of a lab in
// IPVS mode.
func (v view) ExternalIPs() string {
	if v.K3s.KubeProxyMode == config.ProxyIPVS {
		return "<pending>"
	}
	var addresses []string
	for _, n := range v.Nodes {
		addresses = append(addresses, n.Address.String())
	}
	return strings.Join(addresses, ",")
}

// IPVS says whether kube-proxy is in IPVS mode.
func (v view) IPVS() bool { return v.K3s.KubeProxyMode == config.ProxyIPVS }

// PodNetwork is the n-th /24 of the pod network, from 0, which is the server's. Agents get theirs in the order in which they join.
func (v view) PodNetwork(n int) netip.Prefix {
	return netip.PrefixFrom(above(v.K3s.PodCIDR.Addr(), n<<8), 24)
}

// PodAddress is an address in the n-th of these networks.
func (v view) PodAddress(n, host int) netip.Addr { return above(v.PodNetwork(n).Addr(), host) }

// ServiceAddress is the n-th address of the service network: an example, for Kubernetes draws them.
func (v view) ServiceAddress(n int) netip.Addr {
	return above(v.K3s.ServiceCIDR.Addr(), n%(1<<(32-v.K3s.ServiceCIDR.Bits())))
}

// above returns the IPv4 address that is n above a.
func above(a netip.Addr, n int) netip.Addr {
	b := a.As4()
	for i := len(b) - 1; i >= 0 && n > 0; i-- {
		n += int(b[i])
		b[i] = byte(n)
		n >>= 8
	}
	return netip.AddrFrom4(b)
}
