package checks

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParseMAC(t *testing.T) {
	for in, want := range map[string]MAC{
		"08:00:27:4D:69:be": "08:00:27:4d:69:be", "08-00-27-4d-69-be": "08:00:27:4d:69:be", "0800274D69BE": "08:00:27:4d:69:be",
		"": "", "0800274D69B": "", "0800274D69BE0": "", "0800274D69BG": "", "10.0.2.15": "",
	} {
		got, ok := ParseMAC(in)
		if got != want || ok != (want != "") {
			t.Errorf("ParseMAC(%q) is %q, %v, want %q", in, got, ok, want)
		}
	}
}

func TestProbeOK(t *testing.T) {
	for name, x := range map[string]struct {
		probe Probe
		want  bool
	}{
		"the zero probe":   {Probe{}, false},
		"200":              {Probe{Outcome: Answered, Status: 200}, true},
		"a redirection":    {Probe{Outcome: Answered, Status: 302}, true},
		"no status told":   {Probe{Outcome: Answered}, true},
		"199":              {Probe{Outcome: Answered, Status: 199}, false},
		"400":              {Probe{Outcome: Answered, Status: 400}, false},
		"502":              {Probe{Outcome: Answered, Status: 502}, false},
		"200, then reset":  {Probe{Outcome: Failed, Status: 200}, false},
		"timed out at 200": {Probe{Outcome: TimedOut, Status: 200}, false},
	} {
		if got := x.probe.OK(); got != x.want {
			t.Errorf("%s: %v, want %v", name, got, x.want)
		}
	}
}

func TestPodMatches(t *testing.T) {
	web := map[string]string{"app": "web", "tier": "front"}
	for name, x := range map[string]struct {
		service Service
		want    bool
	}{
		"its selector":       {Service{Namespace: "demo", Selector: map[string]string{"app": "web"}}, true},
		"both labels":        {Service{Namespace: "demo", Selector: web}, true},
		"one of two differs": {Service{Namespace: "demo", Selector: map[string]string{"app": "web", "tier": "back"}}, false},
		"another namespace":  {Service{Namespace: "default", Selector: web}, false},
		"no selector":        {Service{Namespace: "demo"}, false},
	} {
		if got := (Pod{Namespace: "demo", Labels: web}).matches(x.service); got != x.want {
			t.Errorf("%s: %v, want %v", name, got, x.want)
		}
	}
}

// Evidence names each command once, with every line that decided.
func TestEvidenceIsMerged(t *testing.T) {
	addr, route := Source{Where: "w1", Command: "ip -j addr"}, Source{Where: "w1", Command: "ip -j route"}
	elsewhere := Source{Where: "w2", Command: "ip -j addr"}
	got := merge([]Source{addr.showing("a"), route.showing("r"), addr.showing("b", "a"), elsewhere.showing("a"), addr})
	want := []Source{addr.showing("a", "b"), route.showing("r"), elsewhere.showing("a")}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestJudgements(t *testing.T) {
	from := Source{Where: "w1", Command: "x"}
	for name, x := range map[string]struct {
		record func(*judgements)
		want   Result
	}{
		"nothing":    {func(*judgements) {}, Result{Actual: "there is nothing to look at", Hint: hintUnknown}},
		"one good":   {func(j *judgements) { j.judge(true, "e", "a", from) }, Result{Status: Pass, Expected: "e", Actual: "a", Evidence: []Source{from}}},
		"one bad":    {func(j *judgements) { j.judge(true, "e", "a"); j.judge(false, "f", "b", from) }, Result{Status: Fail, Expected: "f", Actual: "b", Evidence: []Source{from}, Hint: "mend"}},
		"one absent": {func(j *judgements) { j.judge(true, "e", "a"); j.unknown("w1", "gone", from, Source{}) }, Result{Expected: "e", Actual: "w1: gone", Evidence: []Source{from}, Hint: hintUnknown}},
		"bad beside absent": {func(j *judgements) { j.unknown("w2", "w2: gone"); j.judge(false, "f", "b") },
			Result{Status: Fail, Expected: "f", Actual: "b\nunknown: w2: gone", Hint: "mend"}},
	} {
		var j judgements
		x.record(&j)
		if diff := cmp.Diff(x.want, j.result("mend")); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", name, diff)
		}
	}
}

// What a limit says is what is measured: exactly a second still passes.
func TestNodePortLimit(t *testing.T) {
	f := healthy()
	f.probe(Host, false, w1Port, func(p *Probe) { p.Took = time.Second })
	if r := evalNodePortAnswers(*f); r.Status != Pass {
		t.Errorf("at the limit: %s: %s", r.Status, r.Actual)
	}
	f.probe(Host, false, w1Port, func(p *Probe) { p.Took = time.Second + 1 })
	if r := evalNodePortAnswers(*f); r.Status != Fail {
		t.Errorf("over the limit: %s: %s", r.Status, r.Actual)
	}
}
