//go:build slow

package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/labctl/labctl/internal/config"
	"github.com/labctl/labctl/labs"
)

// TestExercises does what the exercises say, one after the other on one simulated lab, and compares what is printed with what their
// texts show. (That the languages don't differ in this is tested in package labs.) An exercise that changes labctl.yaml has a lab of its own.
func TestExercises(t *testing.T) {
	t.Parallel()
	const promised = 120 // commands; fewer would mean that texts were cut, or marked as not to be run
	all, err := exercises()
	if err != nil {
		t.Fatal(err)
	}
	shared := newLearner(t, "")
	typed := 0
	for _, e := range all {
		typed += len(follow(t, e, shared, config.Default()))
	}
	if typed < promised {
		t.Errorf("the texts have %d commands that are run, fewer than %d", typed, promised)
	}
}

// TestExercisesIPVS does the same in a lab in IPVS mode, which some texts have other sentences for.
func TestExercisesIPVS(t *testing.T) {
	t.Parallel()
	all, err := exercises()
	if err != nil {
		t.Fatal(err)
	}
	lab := config.Default()
	lab.K3s.KubeProxyMode = config.ProxyIPVS
	shared := newLearner(t, "k3s: {kubeProxyMode: ipvs}\n")
	for _, e := range all {
		if e.Number == "07" || e.Number == "08" {
			continue // 07 sends its reader to iptables mode first, and 08 ends there
		}
		follow(t, e, shared, lab)
	}
}

// follow does one exercise as it is written for a lab.
func follow(t *testing.T, e labs.Exercise, shared *learner, lab *config.Lab) []labs.Step {
	t.Helper()
	page, err := labs.Render(e, labs.English, lab)
	if err != nil {
		t.Fatal(err)
	}
	steps := labs.Steps(page.Body)
	t.Run(e.Number, func(t *testing.T) {
		l := shared
		if slices.ContainsFunc(steps, func(s labs.Step) bool { return s.LabFile != "" }) {
			l = newLearner(t, "")
		}
		l.t, l.logins, l.variables = t, map[string]*login{}, map[string]string{}
		for _, s := range steps {
			l.do(s)
		}
		for _, in := range l.logins {
			in.end()
		}
	})
	return steps
}

// learner types what a text says, and reads what comes.
type learner struct {
	t         *testing.T
	labFile   string
	env       func(string) string
	logins    map[string]*login // by node: what a text types there is typed into one shell
	variables map[string]string // of the shell on this computer
	errors    string            // what labctl's last command wrote to stderr
}

// newLearner makes a lab with those settings. The agents join in the order of the file, so that their pod networks are those of the texts.
func newLearner(t *testing.T, settings string) *learner {
	t.Helper()
	dir := t.TempDir()
	l := &learner{t: t, labFile: filepath.Join(dir, "labctl.yaml"), env: func(key string) string {
		switch key {
		case "XDG_DATA_HOME", "XDG_CACHE_HOME", "HOME":
			return filepath.Join(dir, key)
		}
		return ""
	}}
	l.write("nodes:\n  - {name: cp1, role: server, address: 192.168.56.10}\n  - {name: w1, role: agent, address: 192.168.56.11, memoryMiB: 1536}\n" + settings)
	l.labctl("up", "--to", "cluster")
	l.write("name: lab\n" + settings)
	l.labctl("up")
	return l
}

func (l *learner) write(lab string) {
	l.t.Helper()
	if err := os.WriteFile(l.labFile, []byte(lab), 0o600); err != nil {
		l.t.Fatal(err)
	}
}

// longEnough is how long the lab may take to become what the text shows after a change.
const longEnough = 20 * time.Second

// reading are commands that may be repeated until the lab has become what the text shows.
var reading = regexp.MustCompile(`^(kubectl (-n \S+ )?(get|exec|describe)|curl|for |ip |ss |labctl verify)`)

// do takes one step and compares.
func (l *learner) do(s labs.Step) {
	l.t.Helper()
	if s.LabFile != "" {
		l.write(s.LabFile)
		return
	}
	begun := time.Now()
	for {
		printed := l.typed(s)
		difference := compare(s.Output, printed)
		if difference == "" {
			return
		}
		if !reading.MatchString(s.Command) || time.Since(begun) > longEnough {
			l.t.Fatalf("%s$ %s\n%s\nstderr of labctl:\n%s", s.Node, s.Command, difference, l.errors)
		}
	}
}

var (
	assignment = regexp.MustCompile(`^([A-Z]+)=\$\((labctl .+)\)$`)
	curl       = regexp.MustCompile(`^curl (-sS|-m (\d+)) (\S+)$`)
)

// typed returns what a step's command prints.
func (l *learner) typed(s labs.Step) string {
	l.t.Helper()
	words := strings.Fields(s.Command)
	switch {
	case s.Node != "":
		in := l.logins[s.Node]
		if in == nil || in.over() {
			in = l.login(s.Node)
		}
		return in.enter(l, s.Command)
	case words[0] == "labctl" && words[1] == "ssh" && len(words) == 3:
		l.login(words[2])
		return ""
	case words[0] == "labctl":
		return l.labctl(words[1:]...)
	}
	if m := assignment.FindStringSubmatch(s.Command); m != nil {
		l.variables[m[1]] = strings.TrimSpace(l.typed(labs.Step{Command: m[2]}))
		return ""
	}
	if m := curl.FindStringSubmatch(s.Command); m != nil {
		limit := longEnough
		if m[2] != "" {
			limit, _ = time.ParseDuration(m[2] + "s") // digits
		}
		return l.get(os.Expand(m[3], func(name string) string { return l.variables[name] }), limit)
	}
	l.t.Fatalf("a test cannot type %q on this computer: mark the block as text", s.Command)
	return ""
}

// labctl returns what labctl prints: of ssh both streams, of its other commands the results only.
func (l *learner) labctl(args ...string) string {
	l.t.Helper()
	var out, errs screen
	app := newApp(strings.NewReader(""), &out, &errs, l.env)
	if args[0] == "ssh" {
		app.stderr = &out // the remote command's; labctl's own progress still goes to errs
	}
	status := app.run(l.t.Context(), append([]string{"--simulate", "--lab", l.labFile}, args...))
	l.errors = errs.String()
	if status != exitOK && args[0] == "up" {
		l.t.Fatalf("labctl %v: status %d\n%s\n%s", args, status, out.String(), errs.String())
	}
	return out.String()
}

// get is curl on this computer; what went wrong it says in words of its own.
func (l *learner) get(url string, limit time.Duration) string {
	l.t.Helper()
	app := newApp(strings.NewReader(""), io.Discard, io.Discard, l.env)
	app.simulate, app.labFile = true, l.labFile
	s, err := app.openStored()
	if err != nil {
		l.t.Fatal(err)
	}
	defer s.close()
	ctx, cancel := context.WithTimeout(l.t.Context(), limit)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		l.t.Fatal(err)
	}
	answer, err := s.probeClient().Do(request)
	if err != nil {
		return "curl: " + err.Error()
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return "curl: " + err.Error()
	}
	return string(body)
}

// compare returns how printed differs from shown, empty if it does not. Of shown, a line "..." is any number of lines, and a line
// that ends in "..." the beginning of one.
func compare(shown, printed string) string {
	want, got := masked(shown), masked(printed)
	var pattern strings.Builder
	for _, line := range want {
		beginning, cut := strings.CutSuffix(line, "...")
		switch {
		case line == "...":
			pattern.WriteString(`(?:[^\n]*\n)*?`)
		case cut:
			pattern.WriteString(regexp.QuoteMeta(strings.TrimSpace(beginning)) + `[^\n]*\n`)
		default:
			pattern.WriteString(regexp.QuoteMeta(line) + `\n`)
		}
	}
	text := strings.Join(append(got, ""), "\n")
	if regexp.MustCompile(`^` + pattern.String() + `$`).MatchString(text) {
		return ""
	}
	return fmt.Sprintf("--- the text shows\n%s\n--- printed is\n%s", strings.Join(want, "\n"), strings.Join(got, "\n"))
}

// masks replace what is drawn, made up, or a matter of time. What an address says (which node's pods, which kind) stays.
var masks = []struct {
	found *regexp.Regexp
	as    string
}{
	{regexp.MustCompile(`( \(SIMULATED\)|SIMULATED | · SIMULATED| --simulate| --lab \S+)`), ""},
	{regexp.MustCompile(`(^|[\s(])\d+[dhms](\d+[hms])?\b`), "${1}AGE"},                   // not a part of a generated name
	{regexp.MustCompile(`\b(web|hello|hostnet)-[a-z0-9]{8,10}-[a-z0-9]{5}\b`), "$1-POD"}, // in a table, whose rows are in the order of these names
	{regexp.MustCompile(`\bweb-svc-[a-z0-9]{5}\b`), "web-svc-SLICE"},
	{regexp.MustCompile(`\bsvclb-traefik-[a-z0-9]{8}\b`), "svclb-traefik-ID"},
	{regexp.MustCompile(`\bKUBE-(SVC|SEP|EXT)-[A-Z0-9]{16}\b`), "KUBE-$1-ID"},
	{regexp.MustCompile(`\b10\.42\.(\d+)\.([2-9]|\d{2,3})\b`), "10.42.$1.POD"},
	{regexp.MustCompile(`(10\.42\.\d+\.POD:8080,?){3} \+ \d+ more`), "THREE + SOME more"},
	{regexp.MustCompile(`\b10\.43\.(0\.([2-9]|1[1-9]|[2-9]\d|\d{3})|[1-9]\d*\.\d+)\b`), "10.43.DRAWN"},
	{regexp.MustCompile(`\b(80|443):3\d{4}/TCP,?(443:3\d{4}/TCP)\b`), "80:PORT,443:PORT"},
	{regexp.MustCompile(`\btcp +6 \d+ [A-Z_]+ `), "tcp 6 STATE "},
	{regexp.MustCompile(`\b(sport|dport)=([1-7]\d{3}|8[1-9]\d\d|9\d{3}|[12456]\d{4}|3276[89]|327[7-9]\d|32[89]\d\d|3[3-9]\d{3})\b`), "$1=PORT"}, // not 8080 and the NodePorts
	{regexp.MustCompile(`\bsrc=10\.42\.\d+\.POD dst=10\.42\.0\.[01] `), "src=POD dst=NODE "},                                                    // another node's pod is asked by flannel.1
	{regexp.MustCompile(`:[124-6]\d{4}\b`), ":PORT"},
}

// numbered are generated things that a text shows more than once: a number for each stays, in the order in which they come.
var numbered = regexp.MustCompile(`\b([0-9a-f]{2}:){5}[0-9a-f]{2}\b|Hostname: \S+`)

// masked returns a text's lines, empty ones left out, runs of spaces as one. Rows of kubectl's tables and iptables' rules are
// sorted: they are in the order of generated names.
func masked(text string) []string {
	table := regexp.MustCompile(`^(NAME|NAMESPACE) `)
	rule := regexp.MustCompile(`^-A `)
	list := regexp.MustCompile(`10\.42\.\d+\.POD(,10\.42\.\d+\.POD)+`)
	var lines []string
	rows := -1 // where the rows of a table begin
	end := func() {
		if rows >= 0 && !slices.Contains(lines[rows:], "...") {
			slices.Sort(lines[rows:])
		}
		rows = -1
	}
	var seen []string
	for line := range strings.Lines(text) {
		line = numbered.ReplaceAllStringFunc(line, func(found string) string {
			if !slices.Contains(seen, found) {
				seen = append(seen, found)
			}
			kind, _, isName := strings.Cut(found, " ")
			if !isName {
				kind = "MAC"
			}
			return fmt.Sprintf("%s NUMBER-%d", kind, slices.Index(seen, found))
		})
		for _, m := range masks {
			line = m.found.ReplaceAllString(line, m.as)
		}
		line = list.ReplaceAllStringFunc(line, func(found string) string {
			addresses := strings.Split(found, ",")
			slices.Sort(addresses)
			return strings.Join(addresses, ",")
		})
		if line = strings.Join(strings.Fields(line), " "); line == "" {
			end()
			continue
		}
		lines = append(lines, line)
		switch {
		case table.MatchString(line):
			end()
			rows = len(lines)
		case rule.MatchString(line) && rows < 0:
			rows = len(lines) - 1
		}
	}
	end()
	return lines
}

// The comparison would be worth nothing if it could not fail.
func TestCompare(t *testing.T) {
	for name, tt := range map[string]struct {
		shown, printed string
		same           bool
	}{
		"same":                    {"a\nb\n", "a\nb\n", true},
		"spaces":                  {"a  b\n", "a b \n\n", true},
		"other":                   {"a\n", "b\n", false},
		"more":                    {"a\n", "a\nb\n", false},
		"less":                    {"a\nb\n", "a\n", false},
		"order":                   {"a\nb\n", "b\na\n", false},
		"nothing":                 {"", "a\n", false},
		"left out":                {"...\nb\n...\n", "a\nb\nc\nd\n", true},
		"left out, but not there": {"...\ne\n...\n", "a\nb\n", false},
		"beginning":               {"a ...\n", "a b c\n", true},
		"other beginning":         {"a ...\n", "b a c\n", false},
		"no pattern":              {"a.c\n", "abc\n", false},
		"generated": {"NAME AGE\nweb-79ffc79c64-wgc5c 10.42.1.8 26h\nweb-79ffc79c64-7lczb 10.42.2.14 5h57m\n",
			"NAME   AGE\nweb-vbr58h6nht-aaaaa 10.42.2.6  3s\nweb-vbr58h6nht-bbbbb 10.42.1.7 3s\n", true},
		"another node's pod":     {"NAME IP\nweb-79ffc79c64-wgc5c 10.42.1.8\n", "NAME IP\nweb-79ffc79c64-wgc5c 10.42.2.8\n", false},
		"a gateway":              {"10.42.1.1\n", "10.42.1.0\n", false},
		"another drawn address":  {"10.43.31.179\n", "10.43.7.1\n", true},
		"one that is not drawn":  {"10.43.0.10\n", "10.43.0.1\n", false},
		"not drawn, but for one": {"10.43.0.10\n", "10.43.31.179\n", false},
		"node port":              {"80:31885/TCP\n", "80:30001/TCP\n", false},
		"one pod for another":    {"Hostname: hello-a-1\n", "Hostname: hello-b-2\n", true},
		"the same pod twice":     {"Hostname: hello-a-1\nHostname: hello-a-1\n", "Hostname: hello-a-1\nHostname: hello-b-2\n", false},
		"two pods":               {"Hostname: hello-a-1\nHostname: hello-b-1\n", "Hostname: hello-a-1\nHostname: hello-a-1\n", false},
		"one MAC for another":    {"16:54:72:a5:9b:cd dst\n", "02:00:00:00:00:01 dst\n", true},
		"two MACs":               {"16:54:72:a5:9b:cd\n16:54:72:a5:9b:cd\n", "02:00:00:00:00:01\n02:00:00:00:00:02\n", false},
		"drawn node ports":       {"80:31300/TCP,443:31309/TCP\n", "80:30379/TCP,443:32576/TCP\n", true},
		"a node's address":       {"192.168.56.10\n", "192.168.56.11\n", false},
		"real and simulated":     {"lab \"lab\" is up: 3 changes in 2s\n3 passed\n", "lab \"lab\" is up (SIMULATED): 3 changes in 1m2s\n3 passed · SIMULATED\n", true},
	} {
		t.Run(name, func(t *testing.T) {
			if got := compare(tt.shown, tt.printed); (got == "") != tt.same {
				t.Errorf("same is %v\n%s", got == "", got)
			}
		})
	}
}
