package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestTerminalIsNotAsked runs labctl on a terminal that answers no questions, as many don't: a library that asks one before main runs
// would make every command wait for seconds. What keeps it from asking must not be seen by the programs that labctl starts.
func TestTerminalIsNotAsked(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	seen := filepath.Join(dir, "seen")
	vboxmanage := filepath.Join(dir, "VBoxManage")
	if err := os.WriteFile(vboxmanage, []byte("#!/bin/sh\nenv > "+seen+"\necho 7.0.20r163906\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, set := range map[string][]string{"unset": nil, "empty": {"CI="}, "set": {"CI=yes"}} {
		for _, args := range [][]string{{"version"}, {"--vboxmanage", vboxmanage, "doctor"}} {
			p := &program{begun: make(chan struct{}), over: make(chan struct{})}
			p.Cmd = exec.Command(binaryOfTest(), args...)
			p.Dir = dir
			p.Env = append([]string{
				"TERM=xterm", actAsLabctl + "=1", "HOME=" + dir, "PATH=" + os.Getenv("PATH"), "XDG_DATA_HOME=" + dir, "XDG_CACHE_HOME=" + dir,
			}, set...)
			person, err := p.onTerminal()
			if err != nil {
				t.Fatal(err)
			}
			defer person.Close()
			if err := p.start(); err != nil {
				t.Fatal(err)
			}
			if err := p.awaitEnd(grace); err != nil {
				t.Fatal(err)
			}
			p.stderr.await("labctl")
			said := p.stderr.String()
			for _, question := range []string{"\x1b]10;?", "\x1b]11;?", "\x1b[6n", "\x1b[c"} {
				if strings.Contains(said, question) {
					t.Errorf("CI %s: labctl %s asks the terminal %q: %q", name, args, question, said)
				}
			}
			if args[0] == "version" {
				if p.err != nil {
					t.Errorf("labctl version: %v: %q", p.err, said)
				}
				continue
			}
			b, err := os.ReadFile(seen)
			if err != nil {
				t.Fatal(err)
			}
			got := slices.DeleteFunc(strings.Split(string(b), "\n"), func(line string) bool { return !strings.HasPrefix(line, "CI=") })
			if !slices.Equal(got, set) {
				t.Errorf("CI %s: VBoxManage was started with %q, not %q", name, got, set)
			}
		}
	}
}
