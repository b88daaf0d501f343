package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/labctl/labctl/provision/engine"
)

func TestReason(t *testing.T) {
	t.Parallel()
	const seal, other = "0123456789abcdef", "fedcba9876543210"
	for _, test := range []struct {
		d    engine.Difference
		want string
	}{
		{engine.Difference{Property: "memoryMiB", Old: 1024.0, New: 2048.0}, "memoryMiB 1024 → 2048"},
		{engine.Difference{Property: "version", Old: "v1.34.3+k3s1", New: "v1.35.0+k3s1"}, "version v1.34.3+k3s1 → v1.35.0+k3s1"},
		{engine.Difference{Property: "running", Old: false, New: true}, "it is not running"},
		{engine.Difference{Property: "drift", Old: "settings differ"}, "settings differ"},
		{engine.Difference{Property: "drift"}, "drift"},
		{engine.Difference{Property: "host", Old: "192.168.56.1"}, "host"}, // not known yet
		{engine.Difference{Property: "ipvsScheduler", New: "wrr"}, "ipvsScheduler → wrr"},
		{engine.Difference{Property: "ipvsScheduler", Old: "rr", New: "wrr"}, "ipvsScheduler rr → wrr"},
		{engine.Difference{Property: "registries", Old: seal, New: other}, "registries"},
		{engine.Difference{Property: "proxy", New: seal}, "proxy"},
		{engine.Difference{Property: "cluster", Old: seal, New: other}, "cluster"},
		{engine.Difference{Property: "sha256", Old: strings.Repeat("0", 64), New: strings.Repeat("1", 64)}, "sha256"},
		{engine.Difference{Property: "yaml", Old: "kind: Pod", New: "kind: Service"}, "yaml"},
		{engine.Difference{Property: "archives", Old: []any{"a"}, New: []any{"b"}}, "archives"},
		{engine.Difference{Property: "of a later labctl", Old: "a", New: "b"}, "of a later labctl"},
		{engine.Difference{Property: "url", Old: "https://a/b.img", New: "https://a/b.img?token=" + seal}, "url"},
		{engine.Difference{Property: "source", Old: "/a", New: "/" + strings.Repeat("a", 80)}, "source"},
	} {
		if got := reason(test.d); got != test.want {
			t.Errorf("%+v is %q, not %q", test.d, got, test.want)
		}
	}
}

func TestChangeSummaries(t *testing.T) {
	t.Parallel()
	got := changeSummaries([]engine.Change{{Type: "Server", Name: "cp1-k3s", Op: engine.Update, Diff: []engine.Difference{
		{Property: "registries", Old: "0123456789abcdef", New: "fedcba9876543210"},
		{Property: "version", Old: "v1", New: "v2"},
	}}})
	want := []changeSummary{{"update", "Server", "cp1-k3s", []string{"registries", "version"}, []valueSummary{{"version", "v1", "v2"}}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
