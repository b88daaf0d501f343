package fault

import (
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestDocument holds docs/faults.md to the declarations. LABCTL_UPDATE_DOCS=1 writes it.
func TestDocument(t *testing.T) {
	const file = "../../docs/faults.md"
	want, err := Document()
	if err != nil {
		t.Fatal(err)
	}
	if os.Getenv("LABCTL_UPDATE_DOCS") != "" {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("docs/faults.md is not what the faults declare; LABCTL_UPDATE_DOCS=1 writes it (-declared +written):\n%s", diff)
	}
}
