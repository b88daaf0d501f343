package yaml

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

type garden struct {
	Name string       `yaml:"name"`
	Wet  bool         `yaml:"wet"`
	Pond pond         `yaml:"pond"`
	Beds []bed        `yaml:"beds"`
	Tags []string     `yaml:"tags"`
	Net  netip.Prefix `yaml:"net"`
}

type pond struct {
	Litres int `yaml:"litres"`
	Fish   int `yaml:"fish"`
}

type bed struct {
	Plant   string     `yaml:"plant"`
	Address netip.Addr `yaml:"address"`
}

var compareNetip = cmp.Options{
	cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
	cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
}

func TestDecodeKeepsDefaults(t *testing.T) {
	tests := map[string]struct {
		in   string
		want garden
	}{
		"empty file":      {"", garden{Name: "old", Pond: pond{1, 2}, Tags: []string{"a", "b"}}},
		"only comments":   {"# nothing\n\n# here\n", garden{Name: "old", Pond: pond{1, 2}, Tags: []string{"a", "b"}}},
		"empty values":    {"name:\npond:\ntags: ~\n", garden{Name: "old", Pond: pond{1, 2}, Tags: []string{"a", "b"}}},
		"part of a group": {"pond:\n  fish: 9\n", garden{Name: "old", Pond: pond{1, 9}, Tags: []string{"a", "b"}}},
		"lists replace":   {"tags: [c]\n", garden{Name: "old", Pond: pond{1, 2}, Tags: []string{"c"}}},
		"everything, with Windows line ends": {
			"---\r\nname: new\r\nwet: true\r\npond: {litres: 3, fish: 4}\r\nbeds:\r\n- plant: rose\r\n  address: 10.0.0.1\r\ntags: []\r\nnet: 10.0.0.0/8\r\n",
			garden{"new", true, pond{3, 4}, []bed{{"rose", netip.MustParseAddr("10.0.0.1")}}, []string{}, netip.MustParsePrefix("10.0.0.0/8")},
		},
		"text that looks like something else": {"name: 0123456789e10\ntags: [true, 1.5, 2026-01-24, no]\n",
			garden{Name: "0123456789e10", Pond: pond{1, 2}, Tags: []string{"true", "1.5", "2026-01-24", "no"}}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := garden{Name: "old", Pond: pond{1, 2}, Tags: []string{"a", "b"}}
			if _, err := Decode("f", []byte(test.in), &got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got, compareNetip); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestDecodeProblems(t *testing.T) {
	tests := map[string]struct{ in, want string }{
		"unknown field":            {"a: 1\nnmae: x\n", "f.yaml:1: unknown field \"a\": known here: beds, name, net, pond, tags, wet\nf.yaml:2: unknown field \"nmae\": did you mean \"name\"?"},
		"unknown field, shortened": {"pond:\n  lit: 3\n", `f.yaml:2: unknown field "pond.lit": did you mean "litres"?`},
		"unknown field in a list":  {"beds:\n  - plant: rose\n  - Plant: rose\n", `f.yaml:3: unknown field "beds[1].Plant": did you mean "plant"?`},
		"two near fields":          {"ned: x\n", `f.yaml:1: unknown field "ned": did you mean "net"?`},
		"duplicate":                {"name: a\nwet: true\nname: b\n", `f.yaml:3: duplicate field "name": it is already on line 1`},
		"duplicate below":          {"pond:\n  fish: 1\n  fish: 1\n", `f.yaml:3: duplicate field "pond.fish": it is already on line 2`},
		"text for a number":        {"pond: {litres: two}\n", `f.yaml:1: pond.litres must be a whole number, not the text "two"`},
		"quoted number":            {"pond: {litres: \"2\"}\n", `f.yaml:1: pond.litres must be a whole number, not the text "2"`},
		"fraction":                 {"pond: {litres: 2.5}\n", `f.yaml:1: pond.litres must be a whole number, not 2.5`},
		"huge number":              {"pond: {litres: 18446744073709551615}\n", `f.yaml:1: pond.litres must be a whole number of ordinary size, not 18446744073709551615`},
		"number for a bool":        {"wet: 1\n", `f.yaml:1: wet must be true or false, not 1`},
		"yes is no bool":           {"wet: yes\n", `f.yaml:1: wet must be true or false, not the text "yes"`},
		"list for text":            {"name: [a]\n", `f.yaml:1: name must be text, not a list`},
		"text for a group":         {"pond: deep\n", `f.yaml:1: pond must be a group of fields (name: value), not the text "deep"`},
		"group for a list":         {"beds:\n  plant: rose\n", `f.yaml:2: beds must be a list (- value), not a group of fields`},
		"list for the file":        {"- a\n", `f.yaml:1: the file must be a group of fields (name: value), not a list`},
		"address":                  {"beds:\n  - address: 10.0.0\n", `f.yaml:2: beds[0].address must be an IP address such as 192.168.56.10, not the text "10.0.0"`},
		"empty address":            {"beds:\n  - address: ''\n", `f.yaml:2: beds[0].address must be an IP address such as 192.168.56.10, not the text ""`},
		"network":                  {"net: 10.0.0.0\n", `f.yaml:1: net must be a network with its prefix length, such as 192.168.56.0/24, not the text "10.0.0.0"`},
		"list as a name":           {"? [a]\n: b\n", `f.yaml:1: a field's name must be text, not a list`},
		"two documents":            {"name: a\n---\nname: b\n", `f.yaml:2: a second document starts here: keep one, without a line of three dashes`},
		"broken second document":   {"name: a\n---\n[\n", `f.yaml:4: not YAML here or just above: did not find expected node content`},
		"tab":                      {"pond:\n\tfish: 1\n", `f.yaml:2: a tab in the indentation: YAML wants spaces`},
		"unclosed quote":           {"name: \"a\n", `f.yaml:2: not YAML here or just above: found unexpected end of stream`},
		"colon in a value":         {"name: a: b\n", `f.yaml:1: not YAML here or just above: mapping values are not allowed in this context`},
		"wrong indentation":        {"name: a\nbeds:\n - plant: a\n   address: b\n  wet: true\n", `f.yaml:3: not YAML here or just above: did not find expected '-' indicator`},
		"unclosed list":            {"name: a\ntags: [a, b\nwet: true\n", `f.yaml:2: not YAML here or just above: did not find expected ',' or ']'`},
		"missing colon":            {"name: a\nwet true\npond:\n", `f.yaml:2: not YAML here or just above: could not find expected ':'`},
		"text after a quote":       {"name: 'b' c\n", `f.yaml:1: not YAML here or just above: did not find expected key`},
		"not UTF-8":                {"name: a\nname: \xff\n", `f.yaml:2: not UTF-8 text: save the file as UTF-8`},
		"zero byte":                {"name: a\x00\n", `f.yaml:1: not UTF-8 text: save the file as UTF-8`},
		"alias":                    {"name: &a x\ntags: [*a]\n", `f.yaml:1: anchors and aliases (&name, *name) are not supported: write the value out`},
		"unknown alias":            {"tags: [*a]\n", `f.yaml: not YAML: unknown anchor 'a' referenced`},
		"tag":                      {"name: !!binary aGk=\n", `f.yaml:1: tags such as "!!binary" are not supported: write the plain value`},
		"merge key":                {"pond:\n  <<: {fish: 1}\n", `f.yaml:2: unknown field "pond.<<": known here: fish, litres`},
		"too large":                {strings.Repeat("#", maxDecode+1), `f.yaml: the file has 1048577 bytes, more than the 1048576 that are read: is it the right file?`},
		"long text":                {"wet: " + strings.Repeat("x", 100) + "\n", `f.yaml:1: wet must be true or false, not the text "` + strings.Repeat("x", 60) + `…"`},
		"all at once": {"nam: x\nwet: 3\npond:\n  fish: [1]\nbeds:\n  - plant: {}\n", strings.Join([]string{
			`f.yaml:1: unknown field "nam": did you mean "name"?`,
			`f.yaml:2: wet must be true or false, not 3`,
			`f.yaml:4: pond.fish must be a whole number, not a list`,
			`f.yaml:6: beds[0].plant must be text, not a group of fields`,
		}, "\n")},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := Decode("f.yaml", []byte(test.in), &garden{})
			var problems Problems
			if !errors.As(err, &problems) {
				t.Fatalf("got %v, want Problems", err)
			}
			if diff := cmp.Diff(test.want, err.Error()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// What is wrong is zero, what is right is there, and the positions tell them apart.
func TestDecodeGoesOn(t *testing.T) {
	got := garden{Name: "old", Pond: pond{Litres: 7}}
	pos, err := Decode("f", []byte("name: new\npond:\n  litres: many\n  fish: 2\n"), &got)
	if err == nil || pos == nil {
		t.Fatalf("positions %v, error %v", pos, err)
	}
	if diff := cmp.Diff(garden{Name: "new", Pond: pond{Fish: 2}}, got, compareNetip); diff != "" {
		t.Error(diff)
	}
	if !pos.Failed("pond", "litres") || pos.Failed("pond", "fish") || pos.Failed("name") {
		t.Error("Failed does not tell pond.litres from the others")
	}
}

func TestPositions(t *testing.T) {
	pos, err := Decode("f", []byte("# head\nname: x\npond:\n  fish: 1\nnet:\nbeds:\n  - plant: a\n  -\n    plant: b\n"), &garden{})
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		path []any
		line int
		has  bool
	}{
		{nil, 0, true},
		{[]any{"name"}, 2, true},
		{[]any{"name", "below"}, 2, false},
		{[]any{"pond", "fish"}, 4, true},
		{[]any{"pond", "litres"}, 3, false},
		{[]any{"net"}, 5, false},
		{[]any{"wet"}, 0, false},
		{[]any{"beds", 0, "plant"}, 7, true},
		{[]any{"beds", 1, "plant"}, 9, true},
		{[]any{"beds", 0, "address"}, 7, false},
		{[]any{"beds", 2}, 6, false},
		{[]any{"beds", -1}, 6, false},
	}
	for _, test := range tests {
		if line, has := pos.Line(test.path...), pos.Has(test.path...); line != test.line || has != test.has {
			t.Errorf("%s: line %d, has %v; want %d, %v", Path(test.path...), line, has, test.line, test.has)
		}
	}
	if got, want := pos.Problem("withered", "beds", 1, "plant").Error(), "f:9: withered"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestMarshal(t *testing.T) {
	in := garden{"a", true, pond{1, 2}, []bed{{"rose", netip.MustParseAddr("10.0.0.1")}}, []string{"no", "0123"}, netip.MustParsePrefix("10.0.0.0/8")}
	data, err := Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	want := `name: a
wet: true
pond:
  litres: 1
  fish: 2
beds:
  - plant: rose
    address: 10.0.0.1
tags:
  - "no"
  - "0123"
net: 10.0.0.0/8
`
	if diff := cmp.Diff(want, string(data)); diff != "" {
		t.Error(diff)
	}
	var back garden
	if _, err := Decode("f", data, &back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(in, back, compareNetip); diff != "" {
		t.Error(diff)
	}
}

func TestUnmarshalIsLenient(t *testing.T) {
	var got struct {
		Kind string `yaml:"kind"`
	}
	if err := Unmarshal([]byte("apiVersion: v1\nkind: &k Config\nother: *k\n"), &got); err != nil {
		t.Fatal(err)
	}
	if got.Kind != "Config" {
		t.Errorf("kind %q", got.Kind)
	}
	if err := Unmarshal([]byte("a: [\n"), &got); err == nil || !strings.HasPrefix(err.Error(), "reading YAML: line 1: ") {
		t.Errorf("broken YAML: error %v", err)
	}
	if err := Unmarshal(make([]byte, maxUnmarshal+1), &got); err == nil || err.Error() != "reading YAML: 16777217 bytes are more than the 16777216 that are read" {
		t.Errorf("too large: error %v", err)
	}
}

// A few hundred bytes of aliases that would expand to 10^9 values.
func TestAliasBomb(t *testing.T) {
	var bomb strings.Builder
	bomb.WriteString("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n")
	for i := 1; i < 9; i++ {
		fmt.Fprintf(&bomb, "a%d: &a%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d,", i-1), 10), ","))
	}
	start := time.Now()
	var anything map[string]any
	if err := Unmarshal([]byte(bomb.String()), &anything); err == nil || !strings.Contains(err.Error(), "excessive aliasing") {
		t.Errorf("Unmarshal: error %v", err)
	}
	if _, err := Decode("f", []byte(bomb.String()), &garden{}); err == nil || !strings.Contains(err.Error(), "aliases") {
		t.Errorf("Decode: error %v", err)
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("took %s", took)
	}
}

func FuzzDecode(f *testing.F) {
	for _, seed := range []string{"", "name: x\nbeds:\n  - plant: a\n", "a: &a [*a]\n", "? [a]\n: b\n", "--- |\n\tx\n", "name: !!int 3\n", "name: !<\n> x\n", "{[{:[", "net: ::/0\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var out garden
		pos, err := Decode("f", data, &out)
		var problems Problems
		switch {
		case err == nil && pos == nil:
			t.Error("neither positions nor an error")
		case err != nil && !errors.As(err, &problems):
			t.Errorf("the error is no Problems: %v", err)
		case err != nil:
			lines := strings.Count(string(data), "\n") + strings.Count(string(data), "\r") + strings.Count(string(data), "\u0085") +
				strings.Count(string(data), "\u2028") + strings.Count(string(data), "\u2029") + 1
			for _, p := range problems {
				if p.Line < 0 || p.Line > lines+1 || p.Message == "" || strings.Contains(p.Message, "\n") {
					t.Errorf("of %d lines: %#v", lines, p)
				}
			}
		}
	})
}
