//go:build slow

package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/labctl/labctl/checks"
	"github.com/labctl/labctl/internal/config"
	"github.com/labctl/labctl/internal/fault"
)

// fewestFaults is how many faults the matrix must at least have in each mode.
const fewestFaults = 28

// bed is labctl, run in this process on a simulated lab of its own.
type bed struct {
	t    *testing.T
	dir  string
	file string
}

func newBed(t *testing.T, lab string) *bed {
	b := &bed{t: t, dir: t.TempDir()}
	b.file = filepath.Join(b.dir, "labctl.yaml")
	if err := os.WriteFile(b.file, []byte(lab), 0o600); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *bed) env(key string) string {
	switch key {
	case "XDG_DATA_HOME", "XDG_CACHE_HOME", "HOME":
		return filepath.Join(b.dir, key)
	}
	return ""
}

// run runs labctl and returns its exit status and what it printed.
func (b *bed) run(args ...string) (status int, stdout, stderr string) {
	b.t.Helper()
	var out, errs bytes.Buffer
	status = newApp(strings.NewReader(""), &out, &errs, b.env).run(b.t.Context(), append([]string{"--simulate", "--lab", b.file}, args...))
	return status, out.String(), errs.String()
}

func (b *bed) must(t *testing.T, args ...string) string {
	t.Helper()
	status, out, errs := b.run(args...)
	if status != exitOK {
		t.Fatalf("labctl %v: status %d\n%s\n%s", args, status, out, errs)
	}
	return out
}

// read returns a file of the lab's folder.
func (b *bed) read(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(b.folder(), name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func (b *bed) write(t *testing.T, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(b.folder(), name), data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func (b *bed) folder() string {
	return filepath.Join(b.dir, "XDG_DATA_HOME", "labctl", "simulated", "lab")
}

// verdicts are the ids of checks by status, the exit status of verify, and the whole report.
type verdicts struct {
	by     map[string][]string
	exit   int
	report string
}

func (b *bed) verify(t *testing.T) verdicts {
	t.Helper()
	exit, out, errs := b.run("verify", "-o", "json")
	var doc struct {
		Results []struct{ ID, Status, Actual string }
	}
	if err := json.Unmarshal([]byte(out), &doc); err != nil {
		t.Fatalf("verify: %v\n%s\n%s", err, out, errs)
	}
	v := verdicts{by: map[string][]string{}, exit: exit, report: errs}
	for _, r := range doc.Results {
		v.by[r.Status] = append(v.by[r.Status], r.ID)
		if r.Status != "pass" && r.Status != "not-applicable" {
			v.report += r.Status + " " + r.ID + "\n    " + strings.ReplaceAll(r.Actual, "\n", "\n    ") + "\n"
		}
	}
	return v
}

// healthy fails the test unless all checks pass.
func (b *bed) healthy(t *testing.T, when string) bool {
	t.Helper()
	v := b.verify(t)
	if len(v.by["fail"])+len(v.by["unknown"]) > 0 || len(v.by["pass"]) < 30 || v.exit != exitOK {
		t.Errorf("%s: %d checks pass, exit status %d\n%s", when, len(v.by["pass"]), v.exit, v.report)
		return false
	}
	return true
}

// TestMatrix breaks a simulated lab with every fault, in both of kube-proxy's modes: exactly the checks that the fault declares fail, nothing
// is unknown, and after the fix all pass again.
func TestMatrix(t *testing.T) {
	t.Parallel()
	failed := map[config.ProxyMode]map[string]bool{}
	for _, mode := range []config.ProxyMode{config.ProxyIPTables, config.ProxyIPVS} {
		failed[mode] = map[string]bool{}
	}
	only := strings.FieldsFunc(os.Getenv("FAULT"), func(r rune) bool { return r == ',' }) // for who works on one
	for _, id := range only {
		if _, err := fault.Get(id); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("modes", func(t *testing.T) {
		for mode, failed := range failed {
			t.Run(string(mode), func(t *testing.T) {
				t.Parallel()
				matrix(t, mode, failed, only)
			})
		}
	})
	if t.Failed() || len(only) > 0 {
		return
	}
	for _, c := range checks.Catalogue() {
		if !failed[config.ProxyIPTables][c.ID] && !failed[config.ProxyIPVS][c.ID] {
			t.Errorf("no fault makes %q fail", c.ID)
		}
	}
}

func matrix(t *testing.T, mode config.ProxyMode, failed map[string]bool, only []string) {
	b := newBed(t, "k3s:\n  kubeProxyMode: "+string(mode)+"\n")
	b.must(t, "up")
	if !b.healthy(t, "at first") {
		return
	}
	rows := 0
	for _, f := range fault.Catalogue() {
		want, ok := f.Fails[mode]
		if !ok || len(only) > 0 && !slices.Contains(only, f.ID) {
			continue
		}
		rows++
		t.Run(f.ID, func(t *testing.T) {
			begun := time.Now()
			b.must(t, "break", f.ID)
			v := b.verify(t)
			got := v.by["fail"]
			want := slices.Clone(want)
			slices.Sort(got)
			slices.Sort(want)
			if diff := cmp.Diff(want, got); diff != "" || len(v.by["unknown"]) > 0 || v.exit != exitFailed {
				t.Errorf("checks that fail (-declared +found), unknown: %v, exit status %d\n%s\n%s", v.by["unknown"], v.exit, diff, v.report)
			}
			for _, id := range got {
				failed[id] = true
			}
			journal := b.read(t, "faults.json")
			b.must(t, "fix")
			// Once more, where nothing is broken: as after a kill between the note and the first command, or before the note's removal.
			b.write(t, "faults.json", journal)
			b.must(t, "fix")
			b.healthy(t, "after the fix")
			t.Logf("%s", time.Since(begun).Round(10*time.Millisecond))
		})
	}
	if len(only) == 0 && rows < fewestFaults {
		t.Errorf("only %d faults in %s mode", rows, mode)
	}
}
