package doctor

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestOffline(t *testing.T) {
	for _, tt := range []struct {
		facts *OfflineFacts
		want  Finding
	}{
		{&OfflineFacts{}, Finding{Status: OK, Detail: "up needs nothing from it: all is in the cache"}},
		{&OfflineFacts{Pulled: "images"}, Finding{Status: OK, Detail: "all that up downloads is in the cache; it would lack images"}},
		{&OfflineFacts{Missing: []string{"the disk image", "k3s"}, Pulled: "images"}, Finding{Status: OK, Detail: "up would lack the disk image, k3s; and images",
			Fix: "only if it is to work offline: labctl cache fetch, while there is internet"}},
		{&OfflineFacts{Err: errors.New("no permission")}, Finding{Detail: "no permission"}},
		{nil, Finding{Detail: "the cache was not looked at"}},
	} {
		tt.want.Name = "without the internet"
		if diff := cmp.Diff(tt.want, Offline(tt.facts)); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", tt.facts, diff)
		}
	}
}

func TestProcessor(t *testing.T) {
	sysctl := func(out string, err error) func(context.Context, string, ...string) ([]byte, error) {
		return func(_ context.Context, name string, args ...string) ([]byte, error) {
			if diff := cmp.Diff([]string{"sysctl", "-n", "hw.optional.arm64"}, append([]string{name}, args...)); diff != "" {
				t.Error(diff)
			}
			return []byte(out), err
		}
	}
	for _, tt := range []struct {
		goos, goarch string
		run          func(context.Context, string, ...string) ([]byte, error)
		want         Status
	}{
		{"linux", "amd64", nil, OK},
		{"linux", "arm64", nil, Blocker},
		{"linux", "riscv64", nil, Blocker},
		{"linux", "", nil, Unknown},
		{"darwin", "arm64", nil, Blocker},
		{"darwin", "amd64", sysctl("", errors.New("unknown oid")), OK},
		{"darwin", "amd64", sysctl("0\n", nil), OK},
		{"darwin", "amd64", sysctl("1\n", nil), Blocker}, // an ARM Mac that translates
		{"windows", "arm64", nil, Blocker},
	} {
		got := processor(t.Context(), Options{GOARCH: tt.goarch, Host: Host{GOOS: tt.goos, Run: tt.run}})
		if got.Status != tt.want || (got.Status == Blocker) != (got.Fix != "") {
			t.Errorf("%s/%s: %+v, want %q", tt.goos, tt.goarch, got, tt.want)
		}
	}
}
