package sim

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// ipNeighbours shows the peers that flannel entered for flannel.1.
func (p *process) ipNeighbours(args []string, asJSON bool) int {
	args = slices.DeleteFunc(slices.Clone(args), func(a string) bool { return a == "show" || a == "dev" })
	if !slices.Equal(args, []string{"flannel.1"}) {
		return p.unknown(strings.Join(p.args, " "))
	}
	peers, ok := p.peers()
	if !ok {
		fmt.Fprintln(p.stderr, "Cannot find device \"flannel.1\"")
		return 1
	}
	all := []map[string]any{}
	for _, n := range peers {
		all = append(all, map[string]any{"dst": n.gateway, "lladdr": n.VtepMAC, "state": []string{"PERMANENT"}})
		if !asJSON {
			p.printf("%s lladdr %s PERMANENT \n", n.gateway, n.VtepMAC)
		}
	}
	if !asJSON {
		return 0
	}
	return p.encode(all)
}

type peer struct {
	*nodeRecord
	gateway string
}

func (p *process) peers() ([]peer, bool) {
	c, rec := p.guest.dataplane()
	if rec == nil {
		return nil, false
	}
	var all []peer
	for _, n := range c.state.Nodes {
		if n != rec && !n.ghost() {
			all = append(all, peer{n, n.subnet(c.state).Addr().String()})
		}
	}
	return all, true
}

// runBridge is bridge [-j] fdb show dev flannel.1.
func runBridge(_ context.Context, p *process) int {
	args := slices.DeleteFunc(slices.Clone(p.args), func(a string) bool { return a == "-j" || a == "-json" })
	if !slices.Equal(args, []string{"fdb", "show", "dev", "flannel.1"}) {
		return p.unknown(strings.Join(p.args, " "))
	}
	peers, ok := p.peers()
	if !ok {
		fmt.Fprintln(p.stderr, "Cannot find device \"flannel.1\"")
		return 1
	}
	all := []map[string]any{}
	for _, n := range peers {
		all = append(all, map[string]any{"mac": n.VtepMAC, "dst": n.PublicIP.String(), "flags": []string{"self"}, "state": "permanent"})
		if len(args) == len(p.args) {
			p.printf("%s dst %s self permanent\n", n.VtepMAC, n.PublicIP)
		}
	}
	if len(args) == len(p.args) {
		return 0
	}
	return p.encode(all)
}
