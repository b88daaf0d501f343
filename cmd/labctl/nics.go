package main

import (
	"context"
	"fmt"

	"github.com/labctl/labctl/checks"
	"github.com/labctl/labctl/checks/collect"
	"github.com/labctl/labctl/vbox"
)

// machines asks VBoxManage about the lab's machines. Without VBoxManage the checks of their NICs are unknown and say why, and the rest is not.
func (s *session) machines(ctx context.Context) collect.Machines {
	hypervisor, err := s.hypervisor(ctx)
	if err != nil {
		return noHypervisor{err}
	}
	return nics{session: s, hypervisor: hypervisor}
}

// noHypervisor is why nobody can be asked.
type noHypervisor struct{ err error }

// NICs returns the error.
func (n noHypervisor) NICs(context.Context, string) ([]checks.NIC, string, error) {
	return nil, "", n.err
}

// nics answers package collect's question for the machines' network cards with VBoxManage.
type nics struct {
	session    *session
	hypervisor *vbox.Client
}

// NICs returns the network cards of a node's machine, and its state.
func (n nics) NICs(ctx context.Context, node string) ([]checks.NIC, string, error) {
	m, err := n.hypervisor.Machine(ctx, n.session.folder.VMName(node))
	if err != nil {
		return nil, "", err
	}
	if err := n.session.ours(ctx, n.hypervisor, m); err != nil {
		return nil, "", err
	}
	var all []checks.NIC
	for _, nic := range m.NICs {
		mac, ok := checks.ParseMAC(nic.MAC)
		if !ok {
			return nil, "", fmt.Errorf("machine %q: NIC %d has the MAC %q", m.Name, nic.Slot, nic.MAC)
		}
		all = append(all, checks.NIC{Slot: nic.Slot, Kind: nic.Kind, Network: nic.Network, MAC: mac, Cable: nic.Cable})
	}
	return all, m.State, nil
}
