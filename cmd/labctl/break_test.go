package main

import (
	"bytes"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/labctl/labctl/internal/config"
	"github.com/labctl/labctl/internal/fault"
)

// TestRandomFaultIsNotTold: nothing tells which fault was drawn, until it is fixed.
func TestRandomFaultIsNotTold(t *testing.T) {
	const drawn = "selector-matches-nothing"
	dir := t.TempDir()
	env := func(key string) string {
		if strings.HasPrefix(key, "XDG_") {
			return filepath.Join(dir, key)
		}
		return ""
	}
	run := func(want int, args ...string) (stdout, stderr string) {
		t.Helper()
		var out, errs bytes.Buffer
		a := newApp(strings.NewReader(""), &out, &errs, env)
		a.choose = func(int) int {
			fit := slices.DeleteFunc(fault.Catalogue(), func(f fault.Fault) bool { return f.In(config.Default()) != nil })
			return slices.IndexFunc(fit, func(f fault.Fault) bool { return f.ID == drawn })
		}
		if status := a.run(t.Context(), append([]string{"--simulate"}, args...)); status != want {
			t.Fatalf("labctl %v: status %d, not %d\n%s\n%s", args, status, want, out.String(), errs.String())
		}
		return out.String(), errs.String()
	}
	t.Chdir(dir) // no labctl.yaml here
	run(exitOK, "up")
	out, errs := run(exitOK, "break", "--random")
	if !strings.Contains(out, "broken      something, at random") {
		t.Errorf("break says %q", out)
	}
	if told := regexp.MustCompile(drawn + "|w1|cp1|kubectl").FindString(out + errs); told != "" {
		t.Errorf("it tells %q:\n%s\n%s", told, out, errs)
	}
	run(exitFailed, "verify")
	if out, _ := run(exitOK, "fix"); !regexp.MustCompile(`fixed +[a-z]`).MatchString(out) {
		t.Errorf("fix says %q", out)
	}
	run(exitOK, "verify")
}
