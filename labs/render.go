package labs

import (
	"fmt"
	"net/netip"
	"strings"
	"text/template"

	"github.com/labctl/labctl/internal/config"
)

// Render returns the exercise with the lab's names and addresses in its goal, hints and body. They are text/templates over
// [config.Lab], with these methods besides its own: Worker, WorkerUnit, WorkerGateway, Remotes, PodNetwork, PodAddress, ServiceAddress.
func Render(e Exercise, lab *config.Lab) (Exercise, error) {
	fill := func(what, text string) (string, error) {
		t, err := template.New(what).Parse(text)
		if err != nil {
			return "", fmt.Errorf("exercise %q: %w", e.Number, err)
		}
		var out strings.Builder
		if err := t.Execute(&out, view{lab}); err != nil {
			return "", fmt.Errorf("exercise %q: %w", e.Number, err)
		}
		return out.String(), nil
	}
	rendered := e
	var err error
	if rendered.Goal, err = fill("goal", e.Goal); err != nil {
		return Exercise{}, err
	}
	if rendered.Body, err = fill("body", e.Body); err != nil {
		return Exercise{}, err
	}
	rendered.Hints = make([]string, len(e.Hints))
	for i, hint := range e.Hints {
		if rendered.Hints[i], err = fill(fmt.Sprintf("hint %d", i+1), hint); err != nil {
			return Exercise{}, err
		}
	}
	return rendered, nil
}

// view is what an exercise's text sees.
type view struct{ *config.Lab }

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
}

// Remotes are the agents with their pod networks, if they joined in the order of the file.
func (v view) Remotes() []remote {
	var remotes []remote
	for i, n := range v.Agents() {
		remotes = append(remotes, remote{n, i + 1, v.PodNetwork(i + 1)})
	}
	return remotes
}

// WorkerGateway is the gateway of Worker's pods, under the same condition.
func (v view) WorkerGateway() netip.Addr { return v.PodAddress(min(len(v.Agents()), 1), 1) }

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
