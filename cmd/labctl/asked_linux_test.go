package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// realSession is a session on a lab of the real VirtualBox, of which nothing is there.
func realSession(t *testing.T, args func(*app)) *session {
	t.Helper()
	dir := t.TempDir()
	a := newApp(strings.NewReader(""), new(bytes.Buffer), new(bytes.Buffer), func(key string) string {
		if key == "PATH" {
			return dir
		}
		return dir + "/" + key
	})
	args(a)
	s, err := a.open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.close)
	return s
}

// Why VBoxManage could not be asked is told of every machine.
func TestMachinesWithoutVBoxManage(t *testing.T) {
	s := realSession(t, func(a *app) { a.vboxmanage = "/nosuch/VBoxManage" })
	if _, _, err := s.machines(t.Context()).NICs(t.Context(), "w1"); err == nil || !strings.Contains(err.Error(), "/nosuch/VBoxManage") {
		t.Errorf("got %v", err)
	}
}

// This machine's routes are asked for on a real lab, too, and why they could not be had is told.
func TestHostRoutes(t *testing.T) {
	s := realSession(t, func(*app) {})
	dir := t.TempDir()
	t.Setenv("PATH", dir)
	ask := s.listRoutes()
	if ask == nil {
		t.Fatal("nobody asks")
	}
	if _, err := ask(t.Context()); err == nil || !strings.Contains(err.Error(), `"ip"`) {
		t.Errorf("without ip: %v", err)
	}
	for script, want := range map[string]struct{ out, err string }{
		"echo \"[$*]\"":                       {out: "[-j route]\n"},
		"echo 'no such option' >&2; exit 255": {err: "exit status 255: no such option"},
	} {
		if err := os.WriteFile(filepath.Join(dir, "ip"), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		out, err := ask(t.Context())
		if string(out) != want.out || (err != nil) != (want.err != "") || err != nil && err.Error() != want.err {
			t.Errorf("%s: %q, %v", script, out, err)
		}
	}
}
