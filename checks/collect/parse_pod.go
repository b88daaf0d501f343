package collect

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/labctl/labctl/checks"
)

// podCommand is a kubectl logs or exec, in any order of its flags.
type podCommand struct {
	verb, namespace, pod string
	inner                string // what exec runs
}

// parsePodCommand reads such a command. It returns false for any other.
func parsePodCommand(command string) (podCommand, bool) {
	before, inner, exec := strings.Cut(plain(command), " -- ")
	words := strings.Fields(before)
	if len(words) < 3 || words[0] != "kubectl" {
		return podCommand{}, false
	}
	c := podCommand{namespace: "default", inner: inner}
	var rest []string
	for i := 1; i < len(words); i++ {
		switch {
		case words[i] == "-n" && i+1 < len(words):
			i++
			c.namespace = words[i]
		case strings.HasPrefix(words[i], "-"):
		default:
			rest = append(rest, words[i])
		}
	}
	if len(rest) != 2 || rest[0] != checks.VerbLogs && rest[0] != checks.VerbExec || exec != (rest[0] == checks.VerbExec) {
		return podCommand{}, false
	}
	c.verb, c.pod = rest[0], rest[1]
	return c, true
}

// parsePodCommands reads what was asked of pods: names that they looked up, and whether logs and exec came through.
func parsePodCommands(e *Evidence, c checks.Cluster) (lookups []checks.Lookup, access []checks.Access) {
	for _, i := range e.Items {
		at, ok := parsePodCommand(i.Command)
		if !ok {
			continue
		}
		node := podNode(c, at.namespace, at.pod)
		from := checks.Source{Where: i.Where, Command: i.Command}
		name, isLookup := strings.CutPrefix(at.inner, "nslookup ")
		switch {
		case node == "":
		case isLookup:
			l := checks.Lookup{Where: node, Pod: at.namespace + "/" + at.pod, Name: name, From: from}
			readLookup(&l, i)
			if why := execRefusal(i); why != "" {
				l.Refused, l.Why = true, why
			}
			lookups = append(lookups, l)
		case at.verb == checks.VerbLogs || at.inner == cmdHostname:
			a := checks.Access{Node: node, Pod: at.namespace + "/" + at.pod, Verb: at.verb, From: from, Known: i.Err == "", OK: i.problem() == ""}
			switch {
			case !a.Known:
				a.Why = i.problem()
			case !a.OK:
				if a.Why = firstLine(i.Stderr); a.Why == "" {
					a.Why = fmt.Sprintf("exit status %d", i.Exit)
				}
			}
			access = append(access, a)
		}
	}
	return lookups, access
}

// readLookup reads busybox's nslookup: the server's own address comes first, with a port or a number, then the name's.
func readLookup(l *checks.Lookup, i Item) {
	out := string(i.Stdout) + string(i.Stderr)
	switch {
	case i.Err != "", i.Exit != 0 && !strings.Contains(out, inPod), i.Exit > exitShell:
		l.Why = i.problem()
		return
	case i.Exit != 0:
		l.Known = true
		l.Why = "no answer"
		for line := range strings.Lines(out) {
			if line = strings.TrimSpace(line); strings.HasPrefix(line, "**") || strings.HasPrefix(line, ";;") || strings.HasPrefix(line, "nslookup:") {
				if why := firstLine([]byte(strings.TrimLeft(line, "*; "))); why != "" {
					l.Why = why
				}
			}
		}
		return
	}
	l.Known = true
	named := false
	for line := range strings.Lines(out) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		if key == "Name" {
			named = true
			continue
		}
		if key != "Address" && !strings.HasPrefix(key, "Address ") || !named {
			continue
		}
		value, _, _ = strings.Cut(strings.TrimSpace(value), " ") // older ones add the name
		if a, err := netip.ParseAddr(value); err == nil && a.Is4() && !slices.Contains(l.Addresses, a) {
			l.Addresses = append(l.Addresses, a)
		}
	}
	if len(l.Addresses) == 0 {
		l.Why = "the answer has no address"
	}
}

// parseReapplied reads what a server-side dry run of kubectl apply would do. It also ends with an error where it says so of some objects:
// what it says of the others still counts, if that is not that nothing would change.
func parseReapplied(e *Evidence) checks.Fact[[]checks.Applied] {
	server := serverName(e.Lab)
	why := server + ": applying again was not tried"
	if problem, _, _ := unreached(e, server); problem != "" {
		why = problem
	}
	fact := parsed(e, server, cmdReapply, why, parseApplied)
	fact.From = checks.Source{Where: checks.Host, Command: showReapply}
	i, ok := e.find(server, cmdReapply)
	if fact.Known || !ok || i.Err != "" {
		return fact
	}
	applied, err := parseApplied(i.Stdout)
	if err == nil && slices.ContainsFunc(applied, func(a checks.Applied) bool { return a.Outcome != "unchanged" }) {
		return checks.Known(applied, fact.From)
	}
	return fact
}

func parseApplied(out []byte) ([]checks.Applied, error) {
	var applied []checks.Applied
	for line := range strings.Lines(string(out)) {
		line = strings.TrimSpace(line)
		words := strings.Fields(line)
		if len(words) < 2 || !strings.Contains(words[0], "/") || !strings.HasSuffix(line, "dry run)") {
			continue
		}
		applied = append(applied, checks.Applied{Object: words[0], Outcome: words[1]})
	}
	if len(applied) == 0 {
		return nil, fmt.Errorf("%q says nothing of any object", firstLine(out))
	}
	return applied, nil
}

// parseConnection reads the requests over one connection to the NodePort demo, and what conntrack has of it.
func parseConnection(e *Evidence, hello netip.AddrPort) (checks.Fact[checks.KeptConnection], checks.Fact[[]checks.Flow]) {
	server := serverName(e.Lab)
	why := server + ": no connection was kept alive"
	if problem, _, _ := unreached(e, server); problem != "" {
		why = problem
	}
	if !hello.IsValid() {
		return checks.Missing[checks.KeptConnection](why, checks.Source{}), checks.Missing[[]checks.Flow](why, checks.Source{})
	}
	kept := checks.Missing[checks.KeptConnection](why, checks.Source{Where: server, Command: keptCommand(hello)})
	for _, i := range e.Items { // it was tried until one was established: the last try counts
		if i.Where != server || plain(i.Command) != keptCommand(hello) {
			continue
		}
		if kept = parseKeptItem(i, hello); kept.Known && kept.Value.Failure != "" && len(kept.Value.By) > 0 {
			break // one was, and then broke
		}
	}
	absent := server + ": conntrack was not asked"
	flows := parsed(e, server, flowsCommand(hello), absent, parseFlows)
	if !flows.Known {
		i, ok := e.find(server, flowsProcCommand(hello))
		if ok && i.Err == "" && i.Exit == 1 && len(i.Stderr) == 0 { // grep found none
			return kept, checks.Known([]checks.Flow{}, checks.Source{Where: server, Command: shown(i.Command)})
		}
		flows = firstKnown(flows, parsed(e, server, flowsProcCommand(hello), absent, parseFlows))
	}
	return kept, flows
}

// parseKeptItem reads one try of a kept connection.
func parseKeptItem(i Item, hello netip.AddrPort) checks.Fact[checks.KeptConnection] {
	if i.Err != "" || !networkStatus(i.Exit) {
		return parsed(&Evidence{Items: []Item{i}}, i.Where, plain(i.Command), "", func(out []byte) (checks.KeptConnection, error) { return parseKept(out, hello) })
	}
	from := checks.Source{Where: i.Where, Command: plain(i.Command)}
	k, err := parseKept(i.Stdout, hello)
	if err != nil {
		return checks.Missing[checks.KeptConnection](i.problem(), from)
	}
	if k.Failure = firstLine(i.Stderr); k.Failure == "" {
		k.Failure = fmt.Sprintf("curl: exit status %d", i.Exit)
	}
	return checks.Known(k, from)
}

// networkStatus says whether a curl that ended so met trouble on the network, not its own.
func networkStatus(exit int) bool {
	return slices.Contains([]int{curlNotConnected, curlTimedOut, 18, 52, curlBroken}, exit)
}

// parseKept reads the answers of whoami, each with a line PORT CONNECTS after it.
func parseKept(out []byte, target netip.AddrPort) (checks.KeptConnection, error) {
	k := checks.KeptConnection{Target: target}
	ends := 0
	for line := range strings.Lines(string(out[:min(len(out), maxBody)])) {
		line = strings.TrimSpace(line)
		if host, ok := strings.CutPrefix(line, "Hostname: "); ok && podName.MatchString(host) {
			k.By = append(k.By, host)
			continue
		}
		port, connects, ok := strings.Cut(line, " ")
		p, err := strconv.ParseUint(port, 10, 16)
		n, nerr := strconv.Atoi(connects)
		if !ok || err != nil || nerr != nil || n < 0 || n > 1000 {
			continue
		}
		ends++
		k.Connects += n
		if k.LocalPort == 0 {
			k.LocalPort = int(p)
		}
	}
	if ends == 0 {
		return k, fmt.Errorf("%q is no answer with its port", firstLine(out))
	}
	return k, nil
}

// parseClock compares the node's clock with that of the machine that asked. The node read its clock after the batch was sent and
// before its answer was complete; reading it twice, first and last, makes that range narrow however long the batch took.
func parseClock(e *Evidence, node, why string) checks.Fact[checks.Clock] {
	from := checks.Source{Where: node, Command: cmdDate}
	var all []Item
	for _, i := range e.Items {
		if i.Where == node && i.Command == cmdDate {
			all = append(all, i)
		}
	}
	if len(all) == 0 {
		return checks.Missing[checks.Clock](why, from)
	}
	for _, i := range all {
		if problem := i.problem(); problem != "" {
			return checks.Missing[checks.Clock](problem, from)
		}
		if i.Started.IsZero() {
			return checks.Missing[checks.Clock](node+": when it was asked is not recorded", from)
		}
	}
	first, last := all[0], all[len(all)-1]
	begin, resolution, err := parseDate(first.Stdout)
	if err != nil {
		return checks.Missing[checks.Clock](fmt.Sprintf("%s: %s: %v", node, cmdDate, err), from)
	}
	end, _, err := parseDate(last.Stdout)
	if err != nil {
		return checks.Missing[checks.Clock](fmt.Sprintf("%s: %s: %v", node, cmdDate, err), from)
	}
	c := checks.Clock{Low: end.Sub(last.Started.Add(last.Took)), High: begin.Add(resolution).Sub(first.Started)}
	if c.Low > c.High { // the clock was set between the two
		c.Low, c.High = c.High, c.Low
	}
	return checks.Known(c, from)
}

// parseDate reads seconds since 1970, with or without a fraction; resolution is how much later it may have been.
func parseDate(out []byte) (t time.Time, resolution time.Duration, err error) {
	word, err := parseWord(out)
	if err != nil {
		return time.Time{}, 0, err
	}
	whole, fraction, _ := strings.Cut(word, ".")
	seconds, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || seconds < 0 || seconds > 1<<35 {
		return time.Time{}, 0, fmt.Errorf("%q is no time", firstLine(out))
	}
	if len(fraction) == 9 {
		if nanos, err := strconv.ParseUint(fraction, 10, 32); err == nil {
			return time.Unix(seconds, int64(nanos)), 0, nil
		}
	}
	return time.Unix(seconds, 0), time.Second, nil
}
