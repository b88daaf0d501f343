package collect

import (
	"fmt"
	"net/netip"

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
	for _, n := range e.Lab.Nodes {
		f.Nodes[n.Name] = parseNode(e, n.Name)
		f.Machines[n.Name] = parsed(e, VirtualBox, machineCommand(e.Lab, n.Name), "VirtualBox was not asked", parseNICs)
	}
	f.Cluster = parseCluster(e)
	f.HostRoutes = parsed(e, checks.Host, cmdRoute, "the host's routes were not asked for", parseRoutes)
	f.Probes = parseProbes(e, f.Cluster)
	return f
}

func parseNode(e *Evidence, node string) checks.NodeFacts {
	why := node + ": not collected"
	problem := ""
	if i, ok := e.find(node, fmt.Sprintf(cmdConnect, node)); ok && i.Err != "" {
		why = i.problem()
		problem = why
	}
	return checks.NodeFacts{
		Problem:   problem,
		Hostname:  parsed(e, node, cmdHostname, why, parseWord),
		Links:     parsed(e, node, cmdAddr, why, parseLinks),
		Routes:    parsed(e, node, cmdRoute, why, parseRoutes),
		VXLAN:     parsed(e, node, cmdVXLAN, why, parseVXLAN),
		MachineID: parsed(e, node, cmdMachineID, why, parseMachineID),
		Subnet:    parsed(e, node, cmdSubnet, why, parseSubnet),
	}
}

// parsed makes a fact of a command's output. absent is why it is missing where there is no such evidence.
func parsed[T any](e *Evidence, where, command, absent string, parse func([]byte) (T, error)) checks.Fact[T] {
	from := checks.Source{Where: where, Command: command}
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

func parseAddr(s string) (netip.Addr, error) {
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("%q is no address", firstLine([]byte(s)))
	}
	return a, nil
}
