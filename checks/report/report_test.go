package report

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/labctl/labctl/checks"
)

// passing is a report on which all that applies passed.
func passing() checks.Report {
	return checks.Report{Lab: "lab", Nodes: []string{"cp1", "w1", "w2"}, Verdicts: []checks.Verdict{
		{ID: "net.internal-ip", Title: "every node advertises its host-only address", Area: "INTERNAL-IP", Exercises: []string{"02"}, Result: checks.Result{
			Status: checks.Pass, Expected: "cp1 192.168.56.10\nw1 192.168.56.11", Actual: "cp1 192.168.56.10\nw1 192.168.56.11",
			Evidence: []checks.Source{{Where: "cp1", Command: "kubectl get nodes -o json", Lines: []string{"cp1 InternalIP 192.168.56.10", "w1 InternalIP 192.168.56.11"}}},
		}},
		{ID: "proxy.ipvs-node-addresses", Title: "no node's address is bound to kube-ipvs0", Area: "kube-proxy", Result: checks.Result{Status: checks.NotApplicable, Actual: "kube-proxy's mode is iptables"}},
	}}
}

// failing is a report with every status, and with answers that try to command a terminal or to break a format.
func failing() checks.Report {
	r := passing()
	r.Simulated = true
	r.Problems = []checks.Problem{{
		What: "cp1: the node does not answer", Detail: []string{"cp1: dial tcp 192.168.56.10:22: \x1b[2J # connect: no route to host"}, Next: "status",
		Told: []string{"cp1: it does not answer"},
	}}
	r.Verdicts = append(r.Verdicts,
		checks.Verdict{ID: "nodeport.answers", Title: "the NodePort answers on every node's address", Area: "NodePort", Exercises: []string{"05", "06"}, Result: checks.Result{
			Status: checks.Fail, Expected: "192.168.56.11:31885 answers within 1s", Actual: "w1: 192.168.56.11:31885 timed out\nunknown: w2: \x1b[31mdial\x07 \u202etxt \u009b31m \U000e0041 <&\"]]>' \xff",
			Evidence: []checks.Source{
				{Where: "host", Command: `curl -sS -m 5 -w '\n%{http_code} %{time_total}\n' 'http://192.168.56.11:31885/?a=1&b=2'`, Lines: []string{"timed out: \x1b]0;owned\x07 # not a comment"}},
				{Where: "w1", Command: "ip -j route"},
			},
			Hint: "check the area \"pod network\" first",
		}},
		checks.Verdict{ID: "dns.kube-dns", Title: "kube-dns has the tenth address", Area: "DNS", Result: checks.Result{
			Status: checks.Unknown, Actual: "cp1: it does not answer", Hint: "labctl status shows which part of the lab does not answer",
		}},
	)
	return r
}

func TestGolden(t *testing.T) {
	empty := checks.Report{Lab: "lab", Nodes: []string{"cp1"}}
	big := passing()
	big.Nodes = strings.Fields(strings.Repeat("w ", 50))
	formats := map[string]func(checks.Report) ([]byte, error){
		"txt":       func(r checks.Report) ([]byte, error) { return Text(r, false) },
		"colour":    func(r checks.Report) ([]byte, error) { return Text(r, true) },
		"json":      JSON,
		"junit.xml": JUnit,
		"tap":       TAP,
	}
	for name, r := range map[string]checks.Report{"passing": passing(), "failing": failing(), "empty": empty, "big": big} {
		for format, render := range formats {
			// The exit code stands in the name: it belongs to what a script sees.
			file := filepath.Join("testdata", name+"."+string('0'+rune(r.ExitCode()))+"."+format)
			t.Run(filepath.Base(file), func(t *testing.T) {
				got, err := render(r)
				if err != nil {
					t.Fatal(err)
				}
				if os.Getenv("LABCTL_UPDATE_GOLDEN") != "" {
					if err := os.MkdirAll("testdata", 0o755); err != nil {
						t.Fatal(err)
					}
					if err := os.WriteFile(file, got, 0o644); err != nil {
						t.Fatal(err)
					}
				}
				want, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(string(want), string(got)); diff != "" {
					t.Errorf("(set LABCTL_UPDATE_GOLDEN to write it) (-want +got)\n%s", diff)
				}
				plain := strings.NewReplacer("\n", "", "\x1b[32m", "", "\x1b[31m✗", "", "\x1b[33m", "", "\x1b[2m", "", "\x1b[0m", "")
				if format != "colour" {
					plain = strings.NewReplacer("\n", "")
				}
				if s := plain.Replace(string(got)); !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
					t.Errorf("a node's answer reaches the terminal unescaped: %q", s)
				}
			})
		}
	}
}

// The formats for machines can be read back, and say the same as the report.
func TestMachineFormatsAreWellFormed(t *testing.T) {
	r := failing()
	out, err := JSON(r)
	if err != nil {
		t.Fatal(err)
	}
	var document struct {
		Schema    string `json:"schema"`
		Simulated bool   `json:"simulated"`
		Summary   map[string]int
		Results   []struct {
			ID, Status, Actual string
			Exercises          []string
			Evidence           []struct {
				Where, Command string
				Lines          []string
			}
		}
	}
	if err := json.Unmarshal(out, &document); err != nil {
		t.Fatal(err)
	}
	if document.Schema != "labctl/v1" || !document.Simulated || len(document.Results) != 4 || document.Results[2].Status != "fail" || document.Results[1].Status != "not-applicable" {
		t.Errorf("got %+v", document)
	}
	if diff := cmp.Diff(map[string]int{"pass": 1, "fail": 1, "unknown": 1, "not-applicable": 1}, document.Summary); diff != "" {
		t.Errorf("summary (-want +got)\n%s", diff)
	}
	if bytes.Contains(out, []byte(": null")) {
		t.Error("a list is null")
	}
	if got := document.Results[2].Actual; got != strings.ToValidUTF8(r.Verdicts[2].Actual, "\ufffd") {
		t.Errorf("an answer does not survive: %q", got)
	}
	if got := document.Results[2].Evidence[0].Command; got != r.Verdicts[2].Evidence[0].Command {
		t.Errorf("a command does not survive: %q", got)
	}

	if out, err = JUnit(r); err != nil {
		t.Fatal(err)
	}
	decoder := xml.NewDecoder(bytes.NewReader(out))
	elements := map[string]int{}
	for {
		token, err := decoder.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("JUnit is not well-formed: %v", err)
		}
		if start, ok := token.(xml.StartElement); ok {
			elements[start.Name.Local]++
		}
	}
	if diff := cmp.Diff(map[string]int{"testsuites": 1, "testsuite": 5, "testcase": 5, "failure": 1, "error": 2, "skipped": 1}, elements); diff != "" {
		t.Errorf("JUnit's elements (-want +got)\n%s", diff)
	}

	if out, err = TAP(r); err != nil {
		t.Fatal(err)
	}
	count := map[string]int{}
	for line := range strings.Lines(string(out)) {
		switch {
		case strings.HasPrefix(line, "ok "):
			count["ok"]++
		case strings.HasPrefix(line, "not ok "):
			count["not ok"]++
		}
	}
	if !strings.HasPrefix(string(out), "TAP version 13\n1..4\n") || count["ok"] != 2 || count["not ok"] != 2 {
		t.Errorf("TAP: %v in\n%s", count, out)
	}
	// A report on nothing must not count as a success, simulated or not.
	if out, err = TAP(checks.Report{Lab: "lab", Simulated: true}); err != nil || !strings.HasSuffix(string(out), "\nBail out! no check was selected · SIMULATED\n") {
		t.Errorf("TAP of an empty report: %v\n%s", err, out)
	}
}

// What kept much from being known is in every format, with what was seen and what to do: who reads only one of them must not miss it.
func TestProblemsAreInEveryFormat(t *testing.T) {
	for name, r := range map[string]checks.Report{"failing": failing(), "passing in spite of it": passing()} {
		r.Problems = []checks.Problem{
			{What: "w1: the machine is off", Next: "start"},
			{What: "cp1: the node does not answer", Detail: []string{"no route to host"}, Next: "status"},
		}
		for format, render := range map[string]func(checks.Report) ([]byte, error){
			"text": func(r checks.Report) ([]byte, error) { return Text(r, false) }, "json": JSON, "junit": JUnit, "tap": TAP,
		} {
			out, err := render(r)
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range []string{"w1: the machine is off", "labctl start", "cp1: the node does not answer", "no route to host", "labctl status"} {
				if !bytes.Contains(out, []byte(want)) {
					t.Errorf("%s, %s: no %q in\n%s", name, format, want, out)
				}
			}
		}
		out, err := JUnit(r)
		if err != nil {
			t.Fatal(err)
		}
		var suites junitSuites
		if err := xml.Unmarshal(out, &suites); err != nil {
			t.Fatal(err)
		}
		if failed := suites.Failures+suites.Errors > 0; failed != (r.ExitCode() != 0) {
			t.Errorf("%s: JUnit counts %d failures and %d errors, and labctl's status is %d", name, suites.Failures, suites.Errors, r.ExitCode())
		}
	}
}

func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"plain, ünïcode · 한국어 ✓": "plain, ünïcode · 한국어 ✓",
		"\x1b[2J":                `\x1b[2J`,
		"a\tb\r\n":               `a\x09b\x0d\x0a`,
		"\x9b31m":                `\x9b31m`,
		"\u009b31m":              `\x9b31m`,
		"\u202eabc":              `\u202eabc`,
		"\U000e0041":             `\U000e0041`,
		"\u2028":                 `\u2028`,
		"\xff\xfe":               `\xff\xfe`,
		"\ufffd":                 "\ufffd",
		"\x00\x7f":               `\x00\x7f`,
		"":                       "",
	} {
		if got := Printable(in); got != want {
			t.Errorf("Printable(%q) is %q, want %q", in, got, want)
		}
	}
}
