package collect

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/labctl/labctl/checks"
)

// parseNAT reads the nat table as iptables-save -t nat and iptables -t nat -S print it, of the legacy and of the nft back end alike.
func parseNAT(out []byte) ([]checks.NATRule, error) {
	rules := []checks.NATRule{}
	seen, inTable, saving := false, false, false // saving: between the *nat and the COMMIT of iptables-save
	for line := range strings.Lines(string(out)) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "*"):
			if saving {
				return nil, errors.New("the nat table is cut short: another one begins before its COMMIT")
			}
			inTable = line == "*nat"
			saving = inTable
			seen = seen || inTable
		case line == "COMMIT":
			inTable, saving = false, false
		case strings.HasPrefix(line, "-P PREROUTING "):
			inTable, seen = true, true
		case inTable && strings.HasPrefix(line, "-A "):
			rule, err := parseNATRule(line)
			if err != nil {
				return nil, err
			}
			rules = append(rules, rule)
		}
	}
	switch {
	case saving:
		return nil, errors.New("the nat table is cut short: it has no COMMIT")
	case !seen:
		return nil, errors.New("no nat table is printed")
	}
	return rules, nil
}

func parseNATRule(line string) (checks.NATRule, error) {
	words := ruleWords(line)
	r := checks.NATRule{Probability: 1, Line: line}
	not := false
	for i := 0; i < len(words); i++ {
		value := func() string {
			if i+1 < len(words) {
				i++
				return words[i]
			}
			return ""
		}
		negated := not
		not = false
		var err error
		if negated {
			r.Narrow = true
		}
		switch words[i] {
		case "!":
			not = true
		case "-A":
			r.Chain = value()
		case "-j", "-g":
			r.Jump = value()
		case "-p":
			if p := value(); !negated {
				r.Protocol = p
			}
		case "-d":
			to := value()
			if negated {
				continue
			}
			if r.To, err = parseDestination(to); err != nil {
				return checks.NATRule{}, err
			}
		case "--dport":
			port := value()
			if strings.Contains(port, ":") { // a range
				r.Narrow = true
				continue
			}
			if negated {
				continue
			}
			if r.Port, err = strconv.Atoi(port); err != nil {
				return checks.NATRule{}, fmt.Errorf("%q is no port", firstLine([]byte(port)))
			}
		case "--probability":
			if r.Probability, err = strconv.ParseFloat(value(), 64); err != nil || !(r.Probability >= 0 && r.Probability <= 1) {
				return checks.NATRule{}, fmt.Errorf("%q is no probability", firstLine([]byte(words[i])))
			}
		case "--rcheck":
			r.Sticky = true
		case "--dst-type":
			r.Narrow = true
			r.Local = value() == "LOCAL" && !negated
		case "--to-destination":
			// What is no single address and port stays the zero AddrPort: kube-proxy writes nothing else.
			r.DNAT, _ = netip.ParseAddrPort(value())
		default:
			if r.Jump != "" { // what follows belongs to the target
				continue
			}
			switch values, known := unconditional[words[i]]; {
			case known:
				i += values
			default:
				r.Narrow = true
			}
		}
	}
	if r.Chain == "" {
		return checks.NATRule{}, fmt.Errorf("%q is no rule", firstLine([]byte(line)))
	}
	return r, nil
}

// unconditional are the words of kube-proxy's rules that keep no packet out, or none that another field does not tell of, and how many
// values follow each.
var unconditional = map[string]int{
	"-m": 1, "--comment": 1, "--nfacct-name": 1,
	"--mode": 1,                                                                       // of statistic, beside --probability
	"--name": 1, "--set": 0, "--seconds": 1, "--reap": 0, "--mask": 1, "--rsource": 0, // of recent, beside --rcheck
}

// ruleWords splits a rule; a comment in double quotes is one word.
func ruleWords(line string) []string {
	var words []string
	var word strings.Builder
	quoted, started := false, false
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case c == '\\' && quoted && i+1 < len(line):
			i++
			word.WriteByte(line[i])
		case c == '"':
			quoted, started = !quoted, true
		case c == ' ' && !quoted:
			if started {
				words = append(words, word.String())
				word.Reset()
			}
			started = false
		default:
			word.WriteByte(c)
			started = true
		}
	}
	if started {
		words = append(words, word.String())
	}
	return words
}

// parseIPVS reads ipvsadm -Ln, and /proc/net/ip_vs, which has the same columns and writes IPv4 addresses in hexadecimal digits.
func parseIPVS(out []byte) ([]checks.VirtualServer, error) {
	if !strings.HasPrefix(string(out[:min(len(out), 64)]), "IP Virtual Server version ") {
		return nil, fmt.Errorf("%q is not how a table of virtual servers begins", firstLine(out))
	}
	servers := []checks.VirtualServer{}
	current := -1
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line)
		switch {
		case len(words) >= 3 && (words[0] == "TCP" || words[0] == "UDP" || words[0] == "SCTP"):
			at, err := parseIPVSAddr(words[1])
			if err != nil {
				return nil, err
			}
			servers = append(servers, checks.VirtualServer{Protocol: strings.ToLower(words[0]), Addr: at, Scheduler: words[2]})
			current = len(servers) - 1
		case len(words) > 0 && words[0] == "FWM":
			current = -1 // by firewall mark: kube-proxy has none
		case len(words) >= 4 && words[0] == "->" && current >= 0:
			to, err := parseIPVSAddr(words[1])
			if err != nil {
				return nil, err
			}
			weight, err := strconv.Atoi(words[3])
			if err != nil {
				return nil, fmt.Errorf("%q is no weight", firstLine([]byte(words[3])))
			}
			servers[current].Real = append(servers[current].Real, checks.RealServer{Addr: to, Weight: weight})
		}
	}
	return servers, nil
}

func parseIPVSAddr(s string) (netip.AddrPort, error) {
	if a, err := netip.ParseAddrPort(s); err == nil {
		return a, nil
	}
	addr, port, _ := strings.Cut(s, ":")
	a, err := hex.DecodeString(addr)
	p, perr := strconv.ParseUint(port, 16, 16)
	if err != nil || perr != nil || len(a) != 4 {
		return netip.AddrPort{}, fmt.Errorf("%q is no address and port", firstLine([]byte(s)))
	}
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte(a)), uint16(p)), nil
}

// parseFlows reads conntrack -L, and lines of /proc/net/nf_conntrack: each key stands twice, for what is sent and for what comes back.
func parseFlows(out []byte) ([]checks.Flow, error) {
	flows := []checks.Flow{}
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line)
		if !slices.Contains(words, "tcp") && !slices.Contains(words, "udp") {
			continue
		}
		values := map[string][]string{}
		for _, w := range words {
			if key, value, ok := strings.Cut(w, "="); ok {
				values[key] = append(values[key], value)
			}
		}
		end := func(addr, port string, i int) (netip.AddrPort, error) {
			if len(values[addr]) != 2 || len(values[port]) != 2 {
				return netip.AddrPort{}, fmt.Errorf("%q is no connection", firstLine([]byte(line)))
			}
			a, err := parseAddr(values[addr][i])
			if err != nil {
				return netip.AddrPort{}, err
			}
			p, err := strconv.ParseUint(values[port][i], 10, 16)
			if err != nil {
				return netip.AddrPort{}, fmt.Errorf("%q is no port", firstLine([]byte(values[port][i])))
			}
			return netip.AddrPortFrom(a, uint16(p)), nil
		}
		flow := checks.Flow{Line: strings.TrimSpace(line)}
		var errs [4]error
		flow.Src, errs[0] = end("src", "sport", 0)
		flow.Dst, errs[1] = end("dst", "dport", 0)
		flow.ReplySrc, errs[2] = end("src", "sport", 1)
		flow.ReplyDst, errs[3] = end("dst", "dport", 1)
		if err := errors.Join(errs[:]...); err != nil {
			return nil, err
		}
		flows = append(flows, flow)
	}
	return flows, nil
}
