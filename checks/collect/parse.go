package collect

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/labctl/labctl/checks"
	"github.com/labctl/labctl/internal/config"
)

// Parse turns evidence into facts. It is pure: the same evidence gives the same facts anywhere. Evidence that makes no sense
// becomes a missing fact that says so.
func Parse(e *Evidence) checks.Facts {
	f := checks.Facts{
		Lab:       e.Lab,
		Simulated: e.Simulated,
		Nodes:     map[string]checks.NodeFacts{},
		Machines:  map[string]checks.Fact[[]checks.NIC]{},
	}
	if e.Lab == nil {
		return f
	}
	var group sync.WaitGroup // what the cluster says is long, and what the nodes say is much
	group.Go(func() { f.Cluster = parseCluster(e) })
	nodes := make([]checks.NodeFacts, len(e.Lab.Nodes))
	for i, n := range e.Lab.Nodes {
		group.Go(func() { nodes[i] = parseNode(e, n.Name) })
		f.Machines[n.Name] = parsed(e, VirtualBox, machineCommand(e.Lab, n.Name), "VirtualBox was not asked", parseNICs)
	}
	group.Wait()
	for i, n := range e.Lab.Nodes {
		f.Nodes[n.Name] = nodes[i]
	}
	f.HostRoutes = parsed(e, checks.Host, cmdRoute, "the host's routes were not asked for", parseRoutes)
	f.Probes = parseProbes(e, f.Cluster)
	f.Lookups, f.Access = parsePodCommands(e, f.Cluster)
	f.Reapplied = parseReapplied(e)
	_, hello := targets(f)
	f.Kept, f.Flows = parseConnection(e, hello)
	return f
}

func parseNode(e *Evidence, node string) checks.NodeFacts {
	why := node + ": not collected"
	problem, off, detail := unreached(e, node)
	if problem != "" {
		why = problem
	}
	return checks.NodeFacts{
		Problem: problem, Off: off, Detail: detail,
		Hostname: parsed(e, node, cmdHostname, why, parseWord),
		Links: firstKnown(parsed(e, node, cmdAddr, why, parseLinks),
			parsed(e, node, cmdAddrTable, why, parseLinkTable), parsed(e, node, "ip -br addr", why, parseLinkTable)),
		Routes:    firstKnown(parsed(e, node, cmdRoute, why, parseRoutes), parsed(e, node, cmdRouteTable, why, parseRouteTable)),
		VXLAN:     parsed(e, node, cmdVXLAN, why, parseVXLAN),
		MachineID: parsed(e, node, cmdMachineID, why, parseMachineID),
		Subnet:    parsed(e, node, cmdSubnet, why, parseSubnet),
		Clock:     parseClock(e, node, why),
		NAT:       parseNATTables(e, node, why),
		IPVS:      parseVirtualServers(e, node, why),
	}
}

// unreached says, in few words, why a node could not be asked; empty if it could. off is that its machine does not run; detail is
// what came of the connection.
func unreached(e *Evidence, node string) (problem string, off bool, detail string) {
	i, ok := e.find(node, fmt.Sprintf(cmdConnect, node))
	if !ok || i.Err == "" {
		return "", false, ""
	}
	if m, ok := e.find(VirtualBox, machineCommand(e.Lab, node)); ok && m.problem() == "" {
		if state := parseState(m.Stdout); state != "" && state != "running" {
			return fmt.Sprintf("%s: its machine is off (%s)", node, state), true, i.problem()
		}
	}
	return node + ": it does not answer", false, i.problem()
}

// firstKnown returns the first fact that is known, or else the first that says more than that nobody asked, or the first.
func firstKnown[T any](facts ...checks.Fact[T]) checks.Fact[T] {
	for _, f := range facts {
		if f.Known {
			return f
		}
	}
	for _, f := range facts {
		if f.Why != facts[len(facts)-1].Why {
			return f
		}
	}
	return facts[0]
}

// parseNATTables prefers the table that has kube-proxy's chains: where both back ends are in use, only one of them has.
func parseNATTables(e *Evidence, node, why string) checks.Fact[[]checks.NATRule] {
	fact := parsed(e, node, cmdNAT, why, parseNAT)
	for _, command := range []string{cmdNATLegacy, "iptables -t nat -S"} {
		other := parsed(e, node, command, why, parseNAT)
		hasChains := slices.ContainsFunc(other.Value, func(r checks.NATRule) bool { return strings.HasPrefix(r.Chain, "KUBE-") })
		if other.Known && (!fact.Known || hasChains) {
			fact = other
		}
	}
	return fact
}

// parseVirtualServers reads what ipvsadm or the kernel says. A kernel without the file has no IPVS loaded, and so no virtual server.
func parseVirtualServers(e *Evidence, node, why string) checks.Fact[[]checks.VirtualServer] {
	if i, ok := e.find(node, cmdIPVSProc); ok && i.Err == "" && i.Exit != 0 && strings.Contains(string(i.Stderr), "No such file") {
		if tool, ok := e.find(node, cmdIPVS); !ok || tool.problem() != "" {
			return checks.Known([]checks.VirtualServer{}, checks.Source{Where: node, Command: shown(cmdIPVSProc)})
		}
	}
	return firstKnown(parsed(e, node, cmdIPVS, why, parseIPVS), parsed(e, node, cmdIPVSProc, why, parseIPVS))
}

// parsed makes a fact of a command's output. absent is why it is missing where there is no such evidence.
func parsed[T any](e *Evidence, where, command, absent string, parse func([]byte) (T, error)) checks.Fact[T] {
	from := checks.Source{Where: where, Command: shown(command)}
	i, ok := e.find(where, command)
	if !ok {
		return checks.Missing[T](absent, from)
	}
	if why := i.problem(); why != "" {
		return checks.Missing[T](why, from)
	}
	if len(i.Stdout) > maxOutput {
		return checks.Missing[T](fmt.Sprintf("%s: %s: the answer is larger than %d MiB", where, command, maxOutput>>20), from)
	}
	value, err := parse(i.Stdout)
	if err != nil {
		return checks.Missing[T](fmt.Sprintf("%s: %s: %v", where, command, err), from)
	}
	return checks.Known(value, from)
}

func serverName(l *config.Lab) string { return l.Server().Name }

func parsePrefix(s string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%q is no network", firstLine([]byte(s)))
	}
	return p, nil
}

// parseAddr reads an address without a zone: a zone may hold any text, and addresses go into commands.
func parseAddr(s string) (netip.Addr, error) {
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" {
		return netip.Addr{}, fmt.Errorf("%q is no address", firstLine([]byte(s)))
	}
	return a, nil
}
