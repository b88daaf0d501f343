package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/labctl/labctl/internal/config"
	"github.com/labctl/labctl/k3s"
	"github.com/labctl/labctl/vbox"
)

func (a *app) newStatusCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "say what is there: machines, SSH, nodes",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return a.runStatus(cmd.Context()) },
	}
}

type statusSummary struct {
	Schema    string       `json:"schema"`
	Lab       string       `json:"lab"`
	Simulated bool         `json:"simulated"`
	Folder    string       `json:"folder"`
	Nodes     []nodeStatus `json:"nodes"`
}

type nodeStatus struct {
	nodeSummary
	Machine string `json:"machine"` // VirtualBox's word, or "missing", "foreign" or "unknown"
	SSH     string `json:"ssh"`     // "ok", "nat" (only through the NAT rule), or why not
	Node    string `json:"node"`    // "Ready", "NotReady", "unknown" or "none"
}

// sshLimit is how long status waits for one node. A host-only network that is down may swallow the first five seconds, and then
// the NAT rule is tried.
const sshLimit = 12 * time.Second

func (a *app) runStatus(ctx context.Context) error {
	if err := a.wantOutput("text", "json"); err != nil {
		return err
	}
	s, err := a.openStored()
	if err != nil {
		return err
	}
	defer s.close()
	hypervisor, err := s.hypervisor(ctx)
	if err != nil {
		return err
	}
	if _, err := s.folder.Owner(); err != nil { // no machine could be told from somebody else's
		return err
	}
	sum := statusSummary{
		Schema: schema, Lab: s.lab.Name, Simulated: a.simulate, Folder: s.folder.Path, Nodes: s.nodeStatuses(ctx, hypervisor),
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if a.output == "json" {
		err = a.printJSON(sum)
	} else {
		s.printStatus(sum)
	}
	return errors.Join(err, s.unseen(sum.Nodes))
}

// nodeStatuses looks at all nodes side by side.
func (s *session) nodeStatuses(ctx context.Context, hypervisor *vbox.Client) []nodeStatus {
	all := make([]nodeStatus, len(s.lab.Nodes))
	var wg sync.WaitGroup
	for i, n := range s.lab.Nodes {
		wg.Go(func() { all[i] = s.nodeStatus(ctx, hypervisor, n) })
	}
	wg.Wait()
	ready := s.readyNodes(ctx)
	for i := range all {
		switch state, known := ready[all[i].Name]; {
		case ready == nil:
			all[i].Node = "unknown"
		case known:
			all[i].Node = state
		default:
			all[i].Node = "none"
		}
	}
	return all
}

func (s *session) printStatus(sum statusSummary) {
	s.ui.Print(fmt.Sprintf("lab %q%s in %s\n", sum.Lab, s.mode(), sum.Folder))
	var rows [][]string
	for _, n := range sum.Nodes {
		rows = append(rows, []string{n.Name, n.Role, n.Address, n.Machine, n.Node, n.SSH})
	}
	s.ui.Table([]string{"NODE", "ROLE", "ADDRESS", "MACHINE", "K8S", "SSH"}, rows)
	if slices.ContainsFunc(sum.Nodes, func(n nodeStatus) bool { return n.Machine == "poweroff" }) {
		s.ui.Print(fmt.Sprintf("next     %s\n", s.next("start")))
	}
}

// unseen is the error of a status that does not show all that it should.
func (s *session) unseen(nodes []nodeStatus) error {
	var names []string
	for _, n := range nodes {
		if n.Machine == "unknown" {
			names = append(names, s.folder.VMName(n.Name))
		}
	}
	if len(names) == 0 {
		return nil
	}
	return hinted(exitUnable, fmt.Errorf("VirtualBox does not say how it is with %s", strings.Join(names, ", ")), s.next("doctor"))
}

func (s *session) nodeStatus(ctx context.Context, hypervisor *vbox.Client, n config.Node) nodeStatus {
	st := nodeStatus{nodeSummary: nodeSummary{Name: n.Name, Role: string(n.Role), Address: n.Address.String()}, SSH: "-"}
	m, err := hypervisor.Machine(ctx, s.folder.VMName(n.Name))
	if errors.Is(err, vbox.ErrNotFound) {
		st.Machine = "missing"
		return st
	}
	if err != nil {
		st.Machine = "unknown"
		st.SSH = err.Error()
		return st
	}
	ours, err := s.folder.Owns(ctx, hypervisor, m.UUID)
	if err != nil {
		st.Machine = "unknown"
		st.SSH = err.Error()
		return st
	}
	if !ours {
		st.Machine = "foreign"
		return st
	}
	st.Machine = m.State
	if m.State != "running" {
		return st
	}
	ctx, cancel := context.WithTimeout(ctx, sshLimit)
	defer cancel()
	c, via, err := s.connect(ctx, n)
	if err != nil {
		st.SSH = err.Error()
		return st
	}
	defer c.Close()
	st.SSH = "ok"
	if via != n.Address.String() {
		st.SSH = "nat"
	}
	return st
}

// readyNodes asks the server for its nodes; nil if it can't be asked.
func (s *session) readyNodes(ctx context.Context) map[string]string {
	ctx, cancel := context.WithTimeout(ctx, 2*sshLimit)
	defer cancel()
	c, _, err := s.connect(ctx, s.lab.Server())
	if err != nil {
		return nil
	}
	defer c.Close()
	nodes, err := k3s.ReadyNodes(ctx, c)
	if err != nil {
		return nil
	}
	ready := map[string]string{}
	for name, why := range nodes {
		ready[name] = "Ready"
		if why != nil {
			ready[name] = "NotReady"
		}
	}
	return ready
}
