package k3s

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A binary that was sent ahead disturbs nothing, is sent once, and is renamed to its place when its turn comes.
func TestStagedBinary(t *testing.T) {
	r, s := newTestNode(t), testSettings(joinToken)
	old, next, later := testArtifacts(t, "v1.34.3+k3s1"), testArtifacts(t, "v1.35.0+k3s1"), testArtifacts(t, "v1.35.1+k3s1")
	stage := func(a Artifacts, want ...string) {
		t.Helper()
		r.reset()
		if err := StageBinary(t.Context(), r, "w1", "v1", a, func(string) {}); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, slices.Clip(r.ran)); diff != "" {
			t.Errorf("what ran (-want +got):\n%s", diff)
		}
	}
	sent := func(a Artifacts) string { return "mv -f " + stagedPath(a.SHA256) + ".part " + stagedPath(a.SHA256) }
	staged := func() (names []string) {
		t.Helper()
		all, err := filepath.Glob(r.path(stagedPrefix) + "*")
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range all {
			names = append(names, filepath.Base(f))
		}
		return names
	}

	stage(old, sent(old))
	mustInstall(t, InstallAgent, r, testW1, s, old)
	if slices.ContainsFunc(r.ran, func(s string) bool { return strings.HasSuffix(s, ".part "+binaryPath) }) {
		t.Errorf("the binary was sent again: %q", r.ran)
	}
	stage(old) // it is in place
	stage(next, sent(next))
	stage(next)
	stage(later, sent(later))
	if got, want := staged(), []string{filepath.Base(stagedPath(later.SHA256))}; !slices.Equal(got, want) {
		t.Errorf("there wait %q, want %q", got, want)
	}

	// Killed before and after it is renamed, the next run restarts k3s with it.
	for _, point := range []string{"mv -f " + stagedPrefix, "systemctl stop"} {
		r.reset()
		r.killedAt = point
		if err := InstallAgent(t.Context(), r, testW1, s, later, func(string) {}); !errors.Is(err, errLost) {
			t.Fatalf("killed at %q: %v", point, err)
		}
	}
	r.reset()
	mustInstall(t, InstallAgent, r, testW1, s, later)
	if diff := cmp.Diff([]string{"systemctl stop k3s-agent", "systemctl start --no-block k3s-agent"}, r.ran); diff != "" {
		t.Errorf("after the kill (-want +got):\n%s", diff)
	}
	state, err := Installed(t.Context(), r, testW1, s)
	if err != nil || state.Version != "v1.35.1+k3s1" || state.SHA256 != later.SHA256 || staged() != nil {
		t.Errorf("installed %+v, %v; there wait %q", state, err, staged())
	}

	// What is staged and was changed there since is not what was asked for.
	stage(next, sent(next))
	if err := os.WriteFile(r.path(stagedPath(next.SHA256)), []byte("else"), 0o755); err != nil {
		t.Fatal(err)
	}
	mustInstall(t, InstallAgent, r, testW1, s, next)
	if state, err := Installed(t.Context(), r, testW1, s); err != nil || state.SHA256 != next.SHA256 {
		t.Errorf("installed %+v, %v", state, err)
	}
}
