package ssh

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// asShellsSee asks a real shell which words a line has: a command, called as the line says, prints them, each with a NUL behind it.
func asShellsSee(t *testing.T, shell, line string) []string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), shell, "-c", line)
	cmd.Env = []string{"PATH=/nonexistent"}
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %q: %v", shell, line, err)
	}
	if len(out) == 0 {
		return nil
	}
	return strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
}

// shells are those of this machine that a node's login shell may be.
func shells() []string {
	var found []string
	for _, name := range []string{"sh", "bash", "dash"} {
		if path, err := exec.LookPath(name); err == nil {
			found = append(found, path)
		}
	}
	return found
}

// FuzzQuote hands any two words to real shells: each arrives as it was, and nothing else happens.
func FuzzQuote(f *testing.F) {
	for _, word := range []string{"", "a", "a b", "'", `"`, `\`, "$(touch x)", "`id`", "a;b", "a\nb", "~", "*", "-n", "!!", "\x00", "\xff", "#x", "한국어", "a=b", "{a,b}", "\r", "if"} {
		f.Add(word, "x"+word)
	}
	all := shells()
	if len(all) == 0 {
		f.Fatal("no shell to ask")
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		want := []string{strings.ReplaceAll(a, "\x00", ""), strings.ReplaceAll(b, "\x00", "")}
		if len(a)+len(b) > 10_000 {
			t.Skip("more than a command line has room for")
		}
		for _, shell := range all {
			if got := asShellsSee(t, shell, `printf '%s\0' `+Quote(a, b)); !slices.Equal(got, want) {
				t.Errorf("%s makes %q of %q", shell, got, want)
			}
		}
	})
}

// TestQuotedCommandIsACommand: the first word is a command's name, whatever the shell's grammar would make of it.
func TestQuotedCommandIsACommand(t *testing.T) {
	dir := t.TempDir()
	for _, name := range append(reserved(), "a=b", "x", "!", "{", "[[") {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte("#!/bin/sh\nprintf '%s\\0' ran \"$@\"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		for _, shell := range shells() {
			cmd := exec.CommandContext(t.Context(), shell, "-c", Quote(name, "then b"))
			cmd.Env = []string{"PATH=" + dir}
			out, err := cmd.CombinedOutput()
			if string(out) != "ran\x00then b\x00" || err != nil {
				t.Errorf("%s, %s: %q, %v", shell, name, out, err)
			}
		}
	}
}
