package collect

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/labctl/labctl/checks"
)

// Commands whose tables people paste. They tell less than the JSON that labctl asks for.
const (
	cmdAddrTable     = "ip -br a"
	cmdRouteTable    = "ip route"
	cmdNodesTable    = "kubectl get nodes -o wide"
	cmdServicesTable = "kubectl get svc -A -o wide"
	cmdPodsTable     = "kubectl get pods -A -o wide"
)

// parseLinkTable reads ip -br a. MACs and MTUs are not in it.
func parseLinkTable(out []byte) ([]checks.Link, error) {
	var links []checks.Link
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		if len(words) < 2 || strings.Trim(words[1], "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
			return nil, fmt.Errorf("%q is no device with its state", firstLine([]byte(line)))
		}
		name, _, _ := strings.Cut(words[0], "@") // a veth's peer
		l := checks.Link{Name: name}
		for i := 2; i < len(words); i++ {
			switch p, err := netip.ParsePrefix(words[i]); {
			case err == nil:
				l.Addresses = append(l.Addresses, p)
			case words[i] == "metric" || words[i] == "peer":
				i++ // and its value
			case words[i] == "...": // as notes shorten it
			default:
				return nil, fmt.Errorf("%q is no address", firstLine([]byte(words[i])))
			}
		}
		links = append(links, l)
	}
	if len(links) == 0 {
		return nil, errors.New("no device is listed")
	}
	return links, nil
}

// parseRouteTable reads ip route.
func parseRouteTable(out []byte) ([]checks.Route, error) {
	var routes []checks.Route
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		if slices.Contains([]string{"blackhole", "unreachable", "prohibit", "throw"}, words[0]) || words[0] == "nexthop" {
			continue
		}
		to, err := parseDestination(words[0])
		if err != nil {
			return nil, err
		}
		r := checks.Route{To: to, Onlink: slices.Contains(words, "onlink")}
		for i := 1; i+1 < len(words); i++ {
			var err error
			switch words[i] {
			case "via":
				if words[i+1] == "inet6" || words[i+1] == "inet" {
					i++
				}
				if i+1 < len(words) {
					r.Via, err = parseAddr(words[i+1])
				}
			case "dev":
				r.Dev = words[i+1]
			case "src":
				r.Src, err = parseAddr(words[i+1])
			}
			if err != nil {
				return nil, err
			}
		}
		routes = append(routes, r)
	}
	if len(routes) == 0 {
		return nil, errors.New("no route is listed")
	}
	return routes, nil
}

// addTables fills in what only tables tell.
func addTables(c *checks.Cluster, e *Evidence) {
	server := serverName(e.Lab)
	addTable(&c.Nodes, e, server, cmdNodesTable, parseNodeTable, "a table of nodes tells neither pod CIDRs nor annotations: kubectl get nodes -o json")
	addTable(&c.Services, e, server, cmdServicesTable, parseServiceTable, "a table of services tells neither target ports nor policies: kubectl get svc -A -o json")
	addTable(&c.Pods, e, server, cmdPodsTable, func(out []byte) ([]checks.Pod, error) { return parsePodTable(out, e) },
		"a table of pods tells no labels: kubectl get pods -A -o json")
}

func addTable[T any](fact *checks.Fact[[]T], e *Evidence, where, command string, parse func([]byte) ([]T, error), partial string) {
	if fact.Known {
		return
	}
	if _, ok := e.find(where, command); !ok {
		return
	}
	if read := parsed(e, where, command, "", parse); read.Known {
		*fact = read
		fact.Partial = partial
	} else if fact.From.Command == cmdCluster { // nobody asked for the JSON: say what is wrong with the table
		*fact = read
	}
}

// row is a line of kubectl's table, by the titles of its columns.
type row map[string]string

// parseKubectlTable reads a table by its header: a column begins where its title does, and cells may hold blanks.
func parseKubectlTable(out []byte, required ...string) ([]row, error) {
	lines := strings.Split(strings.TrimRight(string(out), "\n"), "\n")
	for len(lines) > 0 && strings.TrimSpace(lines[0]) == "" {
		lines = lines[1:]
	}
	if len(lines) == 0 {
		return nil, errors.New("the table is empty")
	}
	var titles []string
	var starts []int
	for i := 0; i < len(lines[0]); {
		end := strings.Index(lines[0][i:], "  ")
		if end < 0 {
			end = len(lines[0]) - i
		}
		if title := strings.TrimSpace(lines[0][i : i+end]); title != "" {
			titles, starts = append(titles, title), append(starts, i)
		}
		for i += end; i < len(lines[0]) && lines[0][i] == ' '; i++ {
		}
	}
	for _, title := range required {
		if !slices.Contains(titles, title) {
			return nil, fmt.Errorf("the table has no column %s", title)
		}
	}
	var rows []row
	for _, line := range lines[1:] {
		if strings.TrimSpace(line) == "" {
			continue
		}
		r := row{}
		for i, title := range titles {
			end := len(line)
			if i+1 < len(starts) {
				end = min(end, starts[i+1])
			}
			if starts[i] < end {
				if i > 0 && line[starts[i]-1] != ' ' {
					return nil, fmt.Errorf("%q does not keep the table's columns", firstLine([]byte(line)))
				}
				r[title] = strings.TrimSpace(line[starts[i]:end])
			}
		}
		rows = append(rows, r)
	}
	return rows, nil
}

// none says whether a cell says that there is nothing.
func none(cell string) bool {
	return cell == "" || cell == "<none>" || cell == "<pending>" || cell == "None"
}

func parseAddrs(cell string) ([]netip.Addr, error) {
	if none(cell) {
		return nil, nil
	}
	var all []netip.Addr
	for s := range strings.SplitSeq(cell, ",") {
		a, err := parseAddr(s)
		if err != nil {
			return nil, err
		}
		all = append(all, a)
	}
	return all, nil
}

func parseNodeTable(out []byte) ([]checks.Node, error) {
	rows, err := parseKubectlTable(out, "NAME", "STATUS", "INTERNAL-IP", "EXTERNAL-IP")
	if err != nil {
		return nil, err
	}
	var nodes []checks.Node
	for _, r := range rows {
		// Ready,SchedulingDisabled is Ready too.
		status, _, _ := strings.Cut(r["STATUS"], ",")
		n := checks.Node{Name: r["NAME"], Ready: status == "Ready"}
		if n.Internal, err = parseAddrs(r["INTERNAL-IP"]); err != nil {
			return nil, err
		}
		if n.External, err = parseAddrs(r["EXTERNAL-IP"]); err != nil {
			return nil, err
		}
		nodes = append(nodes, n)
	}
	return nodes, nil
}

func parseServiceTable(out []byte) ([]checks.Service, error) {
	rows, err := parseKubectlTable(out, "NAMESPACE", "NAME", "TYPE", "CLUSTER-IP", "EXTERNAL-IP", "PORT(S)")
	if err != nil {
		return nil, err
	}
	var services []checks.Service
	for _, r := range rows {
		s := checks.Service{Namespace: r["NAMESPACE"], Name: r["NAME"], Type: r["TYPE"]}
		if !none(r["CLUSTER-IP"]) {
			if s.ClusterIP, err = parseAddr(r["CLUSTER-IP"]); err != nil {
				return nil, err
			}
		}
		if s.Type != "ExternalName" {
			if s.External, err = parseAddrs(r["EXTERNAL-IP"]); err != nil {
				return nil, err
			}
		}
		if !none(r["PORT(S)"]) {
			for port := range strings.SplitSeq(r["PORT(S)"], ",") {
				p, err := parsePort(port)
				if err != nil {
					return nil, err
				}
				s.Ports = append(s.Ports, p)
			}
		}
		if !none(r["SELECTOR"]) {
			s.Selector = map[string]string{}
			for pair := range strings.SplitSeq(r["SELECTOR"], ",") {
				key, value, _ := strings.Cut(pair, "=")
				s.Selector[key] = value
			}
		}
		services = append(services, s)
	}
	return services, nil
}

// parsePort reads 80/TCP and 80:31885/TCP.
func parsePort(s string) (checks.ServicePort, error) {
	ports, protocol, ok := strings.Cut(s, "/")
	port, nodePort, both := strings.Cut(ports, ":")
	p, err := strconv.ParseUint(port, 10, 16)
	var np uint64
	if both && err == nil {
		np, err = strconv.ParseUint(nodePort, 10, 16)
	}
	if !ok || err != nil {
		return checks.ServicePort{}, fmt.Errorf("%q is no port", firstLine([]byte(s)))
	}
	return checks.ServicePort{Port: int(p), NodePort: int(np), Protocol: protocol}, nil
}

func parsePodTable(out []byte, e *Evidence) ([]checks.Pod, error) {
	rows, err := parseKubectlTable(out, "NAMESPACE", "NAME", "READY", "STATUS", "IP", "NODE")
	if err != nil {
		return nil, err
	}
	var pods []checks.Pod
	for _, r := range rows {
		ready, all, _ := strings.Cut(r["READY"], "/")
		p := checks.Pod{
			Namespace: r["NAMESPACE"], Name: r["NAME"], Running: r["STATUS"] == "Running", Ready: ready == all && ready != "" && ready != "0",
			Deleting: r["STATUS"] == "Terminating",
		}
		if !none(r["NODE"]) {
			p.Node = r["NODE"]
		}
		if !none(r["IP"]) {
			if p.IP, err = parseAddr(r["IP"]); err != nil {
				return nil, err
			}
			p.HostNetwork = e.Lab.Network.CIDR.Contains(p.IP)
		}
		pods = append(pods, p)
	}
	return pods, nil
}
