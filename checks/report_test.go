package checks

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/labctl/labctl/internal/config"
)

func TestExitCode(t *testing.T) {
	for name, x := range map[string]struct {
		statuses []Status
		want     int
	}{
		"nothing selected":              {nil, 3},
		"all passed":                    {[]Status{Pass, Pass}, 0},
		"one failed":                    {[]Status{Pass, Fail}, 1},
		"failed beside unknown":         {[]Status{Unknown, Fail, Pass}, 1},
		"unknown":                       {[]Status{Pass, Unknown}, 3},
		"passed beside not applicable":  {[]Status{NotApplicable, Pass}, 0},
		"nothing applies":               {[]Status{NotApplicable, NotApplicable}, 3},
		"failed beside not applicable":  {[]Status{NotApplicable, Fail}, 1},
		"unknown beside not applicable": {[]Status{NotApplicable, Unknown}, 3},
		"a status that is none":         {[]Status{Pass, Status(17)}, 3},
	} {
		var r Report
		for _, s := range x.statuses {
			r.Verdicts = append(r.Verdicts, Verdict{Result: Result{Status: s}})
		}
		if got := r.ExitCode(); got != x.want {
			t.Errorf("%s: exit code %d, want %d", name, got, x.want)
		}
	}
}

func TestZeroStatusIsUnknown(t *testing.T) {
	if got := (Result{}).Status; got != Unknown || got.String() != "unknown" {
		t.Errorf("the zero status is %s", got)
	}
	forgetful := Check{ID: "x", Eval: func(Facts) Result { return Result{} }}
	if got := Evaluate(*healthy(), []Check{forgetful}).ExitCode(); got != 3 {
		t.Errorf("a check that says nothing gives exit code %d, want 3", got)
	}
}

func TestSelect(t *testing.T) {
	catalogue := []Check{{ID: "a.one", Area: "pod network"}, {ID: "b.two", Area: "INTERNAL-IP"}, {ID: "a.three", Area: "pod network"}}
	for name, x := range map[string]struct {
		names, want []string
		err         string
	}{
		"none is all":            {nil, []string{"a.one", "b.two", "a.three"}, ""},
		"an id":                  {[]string{"b.two"}, []string{"b.two"}, ""},
		"an area":                {[]string{"pod network"}, []string{"a.one", "a.three"}, ""},
		"an area as people type": {[]string{"Pod-Network"}, []string{"a.one", "a.three"}, ""},
		"an area with a hyphen":  {[]string{"internal-ip"}, []string{"b.two"}, ""},
		"both, each once":        {[]string{"a.three", "pod network", "b.two"}, []string{"a.one", "b.two", "a.three"}, ""},
		"unknown":                {[]string{"a.one", "a.on"}, nil, `no check or area is called "a.on": the areas are pod network, INTERNAL-IP`},
		"empty":                  {[]string{""}, nil, `no check or area is called "": the areas are pod network, INTERNAL-IP`},
	} {
		selected, err := Select(catalogue, x.names...)
		var got []string
		for _, c := range selected {
			got = append(got, c.ID)
		}
		if diff := cmp.Diff(x.want, got); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", name, diff)
		}
		if message := ""; x.err != "" || err != nil {
			if err != nil {
				message = err.Error()
			}
			if message != x.err {
				t.Errorf("%s: error %q, want %q", name, message, x.err)
			}
		}
	}
}

func TestCatalogueIsWellFormed(t *testing.T) {
	areas := []string{AreaNode, AreaInternal, AreaPods, AreaClusterIP, AreaKubeProxy, AreaNodePort, AreaLB, AreaDNS, AreaDemo}
	seen := map[string]bool{}
	at := 0
	for _, c := range Catalogue() {
		if seen[c.ID] || c.ID == "" || c.Title == "" || c.Eval == nil {
			t.Errorf("check %q is double or incomplete", c.ID)
		}
		seen[c.ID] = true
		for at < len(areas) && areas[at] != c.Area {
			at++
		}
		if at == len(areas) {
			t.Fatalf("check %q: area %q is unknown or out of order", c.ID, c.Area)
		}
	}
	if len(seen) < 49 {
		t.Errorf("the catalogue has %d checks", len(seen))
	}
}

func TestEvaluateCarriesTheLab(t *testing.T) {
	f := Facts{Lab: config.Default(), Simulated: true}
	r := Evaluate(f, []Check{{ID: "x", Title: "t", Area: "a", Exercises: []string{"02"}, Eval: func(Facts) Result { return Result{Status: Pass, Actual: "y"} }}})
	want := Report{Lab: "lab", Nodes: []string{"cp1", "w1", "w2"}, Simulated: true, Verdicts: []Verdict{
		{ID: "x", Title: "t", Area: "a", Exercises: []string{"02"}, Result: Result{Status: Pass, Actual: "y"}},
	}}
	if diff := cmp.Diff(want, r); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// The package's manual lists the catalogue.
func TestManualListsTheCatalogue(t *testing.T) {
	manual, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	var listed []string
	for _, word := range strings.Fields(string(manual)) {
		if checkID.MatchString(word) {
			listed = append(listed, word)
		}
	}
	var want []string
	for _, c := range Catalogue() {
		want = append(want, c.ID)
	}
	slices.Sort(listed)
	slices.Sort(want)
	if diff := cmp.Diff(want, listed); diff != "" {
		t.Errorf("doc.go (-catalogue +listed)\n%s", diff)
	}
}

var checkID = regexp.MustCompile(`^(net|cluster|pod|svc|proxy|nodeport|lb|dns|demo)\.[a-z0-9-]+$`)
