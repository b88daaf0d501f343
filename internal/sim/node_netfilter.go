package sim

import (
	"fmt"
	"maps"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// firewall is what iptables has in a guest's kernel: the chains of each table.
type firewall map[string]map[string][]rule

// builtinChains are the chains that each table has from boot on, in the order of iptables-save.
func builtinChains(table string) []string {
	return map[string][]string{
		"raw":    {"PREROUTING", "OUTPUT"},
		"mangle": {"PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"},
		"nat":    {"PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"},
		"filter": {"INPUT", "FORWARD", "OUTPUT"},
	}[table]
}

// chainChange is a chain that commands changed since boot. It stands for as long as what k3s would write into that chain is what
// it was then: a chain of its own whose content changes is written anew by kube-proxy, whatever became of it.
type chainChange struct {
	Base  string   `json:"base"` // hash of what k3s wrote
	Rules []string `json:"rules"`
	Gone  bool     `json:"gone,omitempty"`
}

// rule is one rule. What a packet must have comes first, then what becomes of it.
type rule struct {
	text string // as iptables-save prints it, without -A CHAIN

	src, dst           prefixMatch
	in, out            nameMatch
	proto              string
	sports, dports     portMatch
	srcLocal, dstLocal bool
	states             []string // of conntrack; nil: any
	notStates          bool
	mark               *markMatch
	probability        float64 // 1: always
	recent             string  // list that the sender must be in; kept by the target chain of that name
	never              bool    // a match that the model has no packets for

	jump    string
	dnat    netip.AddrPort
	setMark markMatch
}

type prefixMatch struct {
	netip.Prefix
	not bool
}

func (m prefixMatch) matches(a netip.Addr) bool { return !m.IsValid() || m.Contains(a) != m.not }

type nameMatch struct {
	name string
	not  bool
}

func (m nameMatch) matches(name string) bool {
	prefix, wild := strings.CutSuffix(m.name, "+")
	return m.name == "" || (name == m.name || wild && strings.HasPrefix(name, prefix)) != m.not
}

type markMatch struct {
	value, mask uint32
	not         bool
}

type portRange struct{ from, to uint16 }

type portMatch struct {
	ranges []portRange
	not    bool
}

func (m portMatch) matches(port uint16) bool {
	return m.ranges == nil || slices.ContainsFunc(m.ranges, func(r portRange) bool { return r.from <= port && port <= r.to }) != m.not
}

// parseRule reads a rule as the iptables command takes it, and words it as iptables-save does.
func parseRule(words []string) (rule, error) {
	r := rule{probability: 1}
	var general, matches, target []string
	not := false
	invert := func() string {
		if not {
			return "! "
		}
		return ""
	}
	for len(words) > 0 {
		word := words[0]
		words = words[1:]
		if word == "!" {
			not = true
			continue
		}
		value := ""
		if !slices.Contains(strings.Fields("--set --rcheck --reap --rsource --random-fully --random"), word) {
			if len(words) == 0 {
				return r, fmt.Errorf("option \"%s\" requires an argument", word)
			}
			value, words = words[0], words[1:]
		}
		var err error
		switch word {
		case "-s", "--source", "--src":
			r.src, err = parsePrefixMatch(value, not)
			general = append(general, invert()+"-s "+r.src.String())
		case "-d", "--destination", "--dst":
			r.dst, err = parsePrefixMatch(value, not)
			general = append(general, invert()+"-d "+r.dst.String())
		case "-i", "--in-interface":
			r.in = nameMatch{value, not}
			general = append(general, invert()+"-i "+value)
		case "-o", "--out-interface":
			r.out = nameMatch{value, not}
			general = append(general, invert()+"-o "+value)
		case "-p", "--protocol":
			if not || !slices.Contains([]string{"tcp", "udp", "icmp", "all"}, value) {
				return r, fmt.Errorf("unknown protocol \"%s\" specified", value)
			}
			if value != "all" {
				r.proto = value
				general = append(general, "-p "+value)
			}
		case "-m", "--match":
			if !slices.Contains(strings.Fields("tcp udp comment addrtype conntrack state mark statistic recent multiport set physdev"), value) {
				return r, fmt.Errorf("Couldn't load match `%s':No such file or directory\n", value)
			}
			matches = append(matches, "-m "+value)
			r.never = r.never || value == "set" || value == "physdev"
		case "--dport", "--destination-port", "--sport", "--source-port", "--dports", "--sports", "--destination-ports", "--source-ports":
			if r.proto == "" || r.proto == "icmp" {
				return r, fmt.Errorf("unknown option \"%s\"", word)
			}
			if !strings.HasSuffix(word, "s") && !slices.Contains(matches, "-m "+r.proto) {
				matches = append(matches, "-m "+r.proto)
			}
			short := map[bool]string{true: "--dport", false: "--sport"}[word[2] == 'd']
			if strings.HasSuffix(word, "s") {
				short += "s"
			}
			var ranges []portRange
			ranges, err = parsePorts(value)
			if word[2] == 'd' {
				r.dports = portMatch{ranges, not}
			} else {
				r.sports = portMatch{ranges, not}
			}
			matches = append(matches, invert()+short+" "+value)
		case "--comment":
			matches = append(matches, `--comment "`+strings.ReplaceAll(value, `"`, `\"`)+`"`)
		case "--dst-type", "--src-type":
			if value != "LOCAL" || not {
				return r, fmt.Errorf("the SIMULATED iptables does not know %s %s", word, value)
			}
			r.dstLocal, r.srcLocal = r.dstLocal || word == "--dst-type", r.srcLocal || word == "--src-type"
			matches = append(matches, word+" "+value)
		case "--ctstate", "--state":
			r.states, r.notStates = strings.Split(value, ","), not
			matches = append(matches, invert()+word+" "+value)
		case "--mark":
			var m markMatch
			m, err = parseMark(value)
			m.not = not
			r.mark = &m
			matches = append(matches, invert()+"--mark "+value)
		case "--mode":
			if value != "random" {
				return r, fmt.Errorf("the SIMULATED iptables does not know --mode %s", value)
			}
			matches = append(matches, "--mode random")
		case "--probability":
			var f float64
			f, err = strconv.ParseFloat(value, 64)
			r.probability = math.Round(f*(1<<31)) / (1 << 31) // the kernel's own precision
			matches = append(matches, fmt.Sprintf("--probability %.11f", r.probability))
		case "--rcheck", "--set", "--reap", "--rsource":
			if word == "--rcheck" {
				r.recent = "?"
			}
			matches = append(matches, word)
		case "--seconds", "--mask":
			matches = append(matches, word+" "+value)
		case "--name":
			if r.recent != "" {
				r.recent = value
			}
			matches = append(matches, "--name "+value)
		case "--match-set":
			matches = append(matches, "--match-set "+value)
			if len(words) > 0 {
				matches[len(matches)-1] += " " + words[0]
				words = words[1:]
			}
		case "-j", "--jump":
			r.jump = value
			target = append(target, "-j "+value)
		case "--to-destination":
			r.dnat, err = netip.ParseAddrPort(value)
			target = append(target, "--to-destination "+value)
		case "--set-xmark", "--set-mark", "--or-mark":
			r.setMark, err = parseMark(value)
			if word == "--or-mark" {
				r.setMark.mask = r.setMark.value
			}
			target = append(target, fmt.Sprintf("--set-xmark %#x/%#x", r.setMark.value, r.setMark.mask))
		case "--reject-with":
			if value != "icmp-port-unreachable" && value != "tcp-reset" {
				return r, fmt.Errorf("the SIMULATED iptables does not know --reject-with %s", value)
			}
			target = append(target, "--reject-with "+value)
		case "--random-fully", "--random":
			target = append(target, word)
		case "--helper", "--to-source", "--log-prefix":
			return r, fmt.Errorf("the SIMULATED iptables does not know %s", word)
		default:
			return r, fmt.Errorf("unknown option \"%s\"", word)
		}
		if err != nil {
			return r, fmt.Errorf("invalid value \"%s\" for %s", value, word)
		}
		if not && !slices.Contains(strings.Fields(invertible), word) {
			return r, fmt.Errorf("the SIMULATED iptables does not know ! %s", word)
		}
		not = false
	}
	if r.jump == "REJECT" && len(target) == 1 {
		target = append(target, "--reject-with icmp-port-unreachable")
	}
	// iptables prints addresses, devices and protocol in this order, whatever it was given.
	slices.SortStableFunc(general, func(a, b string) int {
		return strings.Index("sdiop", optionOf(a)) - strings.Index("sdiop", optionOf(b))
	})
	r.text = strings.Join(slices.Concat(general, matches, target), " ")
	return r, nil
}

// invertible are the options that may follow an exclamation mark.
const invertible = "-s --source --src -d --destination --dst -i --in-interface -o --out-interface --ctstate --state --mark " +
	"--dport --destination-port --sport --source-port --dports --sports --destination-ports --source-ports --match-set"

func optionOf(s string) string { return strings.TrimPrefix(s, "! ")[1:2] }

func parsePrefixMatch(s string, not bool) (prefixMatch, error) {
	if !strings.Contains(s, "/") {
		s += "/32"
	}
	p, err := netip.ParsePrefix(s)
	return prefixMatch{p.Masked(), not}, err
}

func parsePorts(s string) ([]portRange, error) {
	var all []portRange
	for _, part := range strings.Split(s, ",") {
		from, to, isRange := strings.Cut(part, ":")
		if !isRange {
			to = from
		}
		a, err := portOf(from)
		if err != nil {
			return nil, err
		}
		b, err := portOf(to)
		if err != nil {
			return nil, err
		}
		all = append(all, portRange{a, b})
	}
	return all, nil
}

func parseMark(s string) (markMatch, error) {
	value, mask, ok := strings.Cut(s, "/")
	m := markMatch{mask: math.MaxUint32}
	v, err := strconv.ParseUint(value, 0, 32)
	if err != nil {
		return m, err
	}
	m.value = uint32(v)
	if ok {
		if v, err = strconv.ParseUint(mask, 0, 32); err != nil {
			return m, err
		}
		m.mask = uint32(v)
	}
	return m, nil
}

// ruleWords splits a rule as iptables-save prints it.
func ruleWords(text string) []string {
	var words []string
	for text = strings.TrimSpace(text); text != ""; text = strings.TrimLeft(text, " ") {
		if text[0] != '"' {
			word, rest, _ := strings.Cut(text, " ")
			words, text = append(words, word), rest
			continue
		}
		var b strings.Builder
		i := 1
		for ; i < len(text) && text[i] != '"'; i++ {
			if text[i] == '\\' && i+1 < len(text) {
				i++
			}
			b.WriteByte(text[i])
		}
		words, text = append(words, b.String()), text[min(i+1, len(text)):]
	}
	return words
}

// add appends rules that k3s writes, as lines "CHAIN RULE". It makes the chains.
func (f firewall) add(table string, lines ...string) {
	for _, line := range lines {
		chain, text, _ := strings.Cut(line, " ")
		rules := f[table][chain]
		if text != "" {
			r, err := parseRule(ruleWords(text))
			if err != nil {
				panic(fmt.Sprintf("SIMULATED rule %q: %v", line, err)) // one of the model's own
			}
			rules = append(rules, r)
		}
		f[table][chain] = rules
	}
}

// firewall is what iptables has on the guest. The result must not be changed.
func (g *guest) firewall() firewall {
	if g.allRules != nil {
		return g.allRules()
	}
	return g.findFirewall()
}

func (g *guest) findFirewall() firewall {
	f := firewall{}
	for _, table := range []string{"raw", "mangle", "nat", "filter"} {
		f[table] = map[string][]rule{}
		for _, chain := range builtinChains(table) {
			f[table][chain] = nil
		}
	}
	if c, rec := g.dataplane(); rec != nil {
		c.writeRules(f, rec)
	}
	for key, change := range g.state.Chains {
		table, chain, _ := strings.Cut(key, "/")
		have, there := f[table][chain]
		if change.Base != chainHash(have, there) {
			continue
		}
		delete(f[table], chain)
		if change.Gone {
			continue
		}
		f[table][chain] = nil
		for _, text := range change.Rules {
			f.add(table, chain+" "+text)
		}
	}
	return f
}

func chainHash(rules []rule, there bool) string {
	words := []string{fmt.Sprint(there)}
	for _, r := range rules {
		words = append(words, r.text)
	}
	return hexOf(16, words...)
}

// changeChain replaces a chain's rules; nil and gone removes it.
func (g *guest) changeChain(table, chain string, rules []rule, gone bool) error {
	unchanged := *g
	state := *g.state
	state.Chains = maps.Clone(state.Chains)
	delete(state.Chains, table+"/"+chain)
	unchanged.state, unchanged.allRules = &state, nil
	base, there := unchanged.findFirewall()[table][chain]
	change := chainChange{Base: chainHash(base, there), Gone: gone, Rules: []string{}}
	for _, r := range rules {
		change.Rules = append(change.Rules, r.text)
	}
	return g.update(func(st *guestState) {
		if st.Chains == nil {
			st.Chains = map[string]chainChange{}
		}
		st.Chains[table+"/"+chain] = change
	})
}

// rewriteChains is what k3s does about the rules when it starts: it writes its own chains anew, and puts its jumps back into the
// kernel's where they are missing. Rules of others stay.
func (st *guestState) rewriteChains(base firewall) {
	for key, change := range st.Chains {
		table, chain, _ := strings.Cut(key, "/")
		have, there := base[table][chain]
		if !slices.Contains(builtinChains(table), chain) {
			if there || change.Gone {
				delete(st.Chains, key)
			}
			continue
		}
		var missing []string
		for _, r := range have {
			if !slices.Contains(change.Rules, r.text) {
				missing = append(missing, r.text)
			}
		}
		change.Rules = append(missing, change.Rules...)
		change.Base = chainHash(have, there)
		st.Chains[key] = change
	}
}

// packet is the first packet of a connection on its way.
type packet struct {
	proto   string // tcp or udp
	from    netip.AddrPort
	to      netip.AddrPort
	in, out string // devices; empty: a process of the guest, before it is routed, or not at all
	mark    uint32
	// untracked is one that conntrack was told to leave alone. What changes addresses rests on conntrack, so it is left alone there, too.
	untracked bool
}

// verdict is what became of a packet in a table.
type verdict int

const (
	accepted verdict = iota
	dropped
	rejected
	returned
)

// walk sends a packet through a chain of a table. DNAT and MASQUERADE in the table nat are carried out.
func (g *guest) walk(table, chain string, p *packet) verdict {
	f := g.firewall()[table]
	if len(f[chain]) == 0 || table == "nat" && p.untracked {
		return accepted
	}
	var through func(chain string, depth int) verdict
	through = func(chain string, depth int) verdict {
		rules := f[chain]
		draw := g.w.draw(g, chain, rules, p)
		for _, r := range rules {
			if !g.matches(r, p) {
				continue
			}
			if r.recent != "" && !g.w.remembers(g, p, f[r.recent]) {
				continue
			}
			if r.probability < 1 && !draw.takes(r.probability) {
				continue
			}
			switch r.jump {
			case "":
			case "ACCEPT":
				return accepted
			case "DROP":
				return dropped
			case "REJECT":
				return rejected
			case "RETURN":
				return returned
			case "MARK":
				p.mark = p.mark&^r.setMark.mask ^ r.setMark.value
			case "NOTRACK":
				p.untracked = true
				return accepted // the target ends the table's chains, as ACCEPT does
			case "DNAT":
				p.to = r.dnat
				return accepted
			case "MASQUERADE":
				p.from = netip.AddrPortFrom(g.addressOn(p.out), p.from.Port())
				return accepted
			default:
				if v := through(r.jump, depth+1); v != returned {
					return v
				}
			}
		}
		if depth == 0 {
			return accepted // the policy
		}
		return returned
	}
	if v := through(chain, 0); v != returned {
		return v
	}
	return accepted
}

// matches reports whether a rule is for a packet. Every packet that the model sends is the first of its connection.
func (g *guest) matches(r rule, p *packet) bool {
	if r.never || r.proto != "" && r.proto != p.proto || !r.src.matches(p.from.Addr()) || !r.dst.matches(p.to.Addr()) ||
		!r.dports.matches(p.to.Port()) || !r.sports.matches(p.from.Port()) || !r.in.matches(p.in) || !r.out.matches(p.out) {
		return false
	}
	if r.states != nil && slices.Contains(r.states, "NEW") == r.notStates {
		return false
	}
	if m := r.mark; m != nil && (p.mark&m.mask == m.value) == m.not {
		return false
	}
	return (!r.dstLocal || g.isLocal(p.to.Addr())) && (!r.srcLocal || g.isLocal(p.from.Addr()))
}

func (g *guest) isLocal(a netip.Addr) bool { return a.IsLoopback() || g.owns(a) }

// addressOn is the address that a packet leaving by a device gets as its source.
func (g *guest) addressOn(device string) netip.Addr {
	for _, l := range g.links() {
		if l.Name == device {
			if a, ok := firstIPv4(l); ok {
				return a
			}
		}
	}
	return netip.AddrFrom4([4]byte{127, 0, 0, 1})
}

// draw stands for the random choices that a chain's rules make for one connection: a number from 0 to 1, which each rule
// stretches again over what is left. It comes from a counter: connections take turns, which is as fair as chance, and repeatable.
type draw struct{ at float64 }

func (d *draw) takes(probability float64) bool {
	if d.at < probability {
		return true
	}
	d.at = (d.at - probability) / (1 - probability)
	return false
}

func (w *World) draw(g *guest, chain string, rules []rule, p *packet) *draw {
	choices, even, left := 1, true, 1.0
	for _, r := range rules {
		if r.probability < 1 {
			choices++
		}
	}
	if choices == 1 {
		return &draw{}
	}
	for _, r := range rules {
		if r.probability < 1 {
			even = even && math.Abs(left*r.probability-1/float64(choices)) < 1e-3
			left -= left * r.probability
		}
	}
	turn := w.turn(g.state.Cluster + "/" + chain)
	if even {
		return &draw{(float64(turn%choices) + 0.5) / float64(choices)}
	}
	const golden = 0.6180339887498949 // whose multiples lie evenly, for any shares
	_, at := math.Modf(float64(turn)*golden + 0.5)
	return &draw{at}
}

// turn counts what is chosen for a key.
func (w *World) turn(key string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := w.turns[key]
	w.turns[key]++
	return n
}
