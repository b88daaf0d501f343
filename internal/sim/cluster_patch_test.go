package sim

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func decoded(t *testing.T, text string) any {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestPatches(t *testing.T) {
	for _, row := range []struct{ name, have, patch, strategic, merged string }{
		{"a container by its name", `{"containers":[{"name":"a","image":"x"},{"name":"b"}]}`, `{"containers":[{"name":"a","readinessProbe":{"exec":{}}}]}`,
			`{"containers":[{"name":"a","image":"x","readinessProbe":{"exec":{}}},{"name":"b"}]}`, `{"containers":[{"name":"a","readinessProbe":{"exec":{}}}]}`},
		{"null in a container", `{"containers":[{"name":"a","image":"x","p":1}]}`, `{"containers":[{"name":"a","p":null}]}`,
			`{"containers":[{"name":"a","image":"x"}]}`, `{"containers":[{"name":"a","p":null}]}`},
		{"another container", `{"containers":[{"name":"a"}]}`, `{"containers":[{"name":"b"}]}`,
			`{"containers":[{"name":"a"},{"name":"b"}]}`, `{"containers":[{"name":"b"}]}`},
		{"a service's ports", `{"ports":[{"port":80,"nodePort":1}]}`, `{"ports":[{"port":80,"name":"x"}]}`,
			`{"ports":[{"port":80,"nodePort":1,"name":"x"}]}`, `{"ports":[{"port":80,"name":"x"}]}`},
		{"a list of no names", `{"args":["a","b"]}`, `{"args":["c"]}`, `{"args":["c"]}`, `{"args":["c"]}`},
		{"null", `{"a":{"b":1,"c":2}}`, `{"a":{"b":null}}`, `{"a":{"c":2}}`, `{"a":{"c":2}}`},
	} {
		if diff := cmp.Diff(decoded(t, row.strategic), strategic(decoded(t, row.have), decoded(t, row.patch), "")); diff != "" {
			t.Errorf("%s, strategic (-want +got):\n%s", row.name, diff)
		}
		if diff := cmp.Diff(decoded(t, row.merged), merged(decoded(t, row.have), decoded(t, row.patch))); diff != "" {
			t.Errorf("%s, merge (-want +got):\n%s", row.name, diff)
		}
	}
}

// What a manifest had and has no more goes, what others added stays, also in lists of named things.
func TestPruned(t *testing.T) {
	have := decoded(t, `{"a":1,"b":2,"own":3,"containers":[{"name":"x","image":"i","own":1,"gone":1},{"name":"y"},{"name":"z"}]}`)
	before := decoded(t, `{"a":1,"b":2,"containers":[{"name":"x","image":"i","gone":1},{"name":"y"}]}`)
	now := decoded(t, `{"a":1,"containers":[{"name":"x","image":"j"}]}`)
	want := decoded(t, `{"a":1,"own":3,"containers":[{"name":"x","image":"i","own":1},{"name":"z"}]}`)
	if diff := cmp.Diff(want, pruned("", have, before, now)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
