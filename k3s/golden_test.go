package k3s

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write testdata's golden files instead of comparing with them")

// testdata returns a file without its first line, which says where it comes from.
func testdata(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	first, rest, _ := strings.Cut(string(data), "\n")
	if !strings.Contains(strings.ToLower(first), "recorded") && !strings.Contains(first, "synthetic") {
		t.Fatalf("%s does not say where it comes from: %q", name, first)
	}
	return rest
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	if *update {
		content := "# synthetic: what this package renders\n" + got
		if err := os.WriteFile(filepath.Join("testdata", name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(testdata(t, name), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}
