package labdir

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/labctl/labctl/internal/config"
)

func TestStrangers(t *testing.T) {
	f := At(t.TempDir(), "lab")
	if got, err := f.Strangers(); err != nil || got != nil {
		t.Errorf("without a folder: %q, %v", got, err)
	}
	if err := f.Make(config.Default()); err != nil {
		t.Fatal(err)
	}
	unlock, err := f.Lock("test", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unlock(); err != nil {
			t.Error(err)
		}
	}()
	for _, step := range []func() error{
		func() error { return f.Store(config.Default()) },
		func() error { return f.Reserve(config.Default()) },
		func() error { return f.SetInterrupted("down") },
		func() error { return os.WriteFile(f.Kubeconfig(), nil, 0o600) },
		func() error { return os.WriteFile(f.Faults(), nil, 0o600) },
		func() error { return os.WriteFile(f.path(".lab.yaml.1234"), nil, 0o600) },
		func() error { return os.MkdirAll(f.path("machines", "w1"), 0o700) },
		func() error { return os.WriteFile(f.path("machines", "w1", "disk.vdi"), nil, 0o600) },
		func() error { return os.MkdirAll(f.path("pulumi", "state"), 0o700) },
		func() error { return os.MkdirAll(f.path("kept", "empty"), 0o700) },
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := f.Strangers(); err != nil || len(got) > 0 {
		t.Errorf("in a lab's folder: %q, %v", got, err)
	}
	want := []string{".lab.yaml", ".notes.txt.12", "kept", "labctl.yaml", "lab.yaml~"}
	for _, name := range []string{".lab.yaml", ".notes.txt.12", filepath.Join("kept", "empty", "thesis"), "labctl.yaml", "lab.yaml~"} {
		if err := os.WriteFile(f.path(name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := f.Strangers()
	if diff := cmp.Diff(want, got, cmp.Transformer("set", func(in []string) map[string]bool {
		set := map[string]bool{}
		for _, s := range in {
			set[s] = true
		}
		return set
	})); err != nil || diff != "" {
		t.Errorf("%v (-want +got)\n%s", err, diff)
	}
}
