package main

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestBelow(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	at := func(path string) string { return filepath.Join(dir, filepath.FromSlash(path)) }
	if err := errors.Join(
		os.MkdirAll(at("real/lab"), 0o700), os.MkdirAll(at("other"), 0o700), os.WriteFile(at("other/disk"), nil, 0o600),
		os.Symlink(at("real"), at("link")), os.Symlink(at("other/disk"), at("real/lab/linked")),
	); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		file, folder string
		want         bool
	}{
		{"real/lab/m/m.vbox", "real/lab", true},
		{"real/lab/m/m.vbox", "link/lab", true},
		{"link/lab/m/m.vbox", "real/lab", true},
		{"link/lab/m/m.vbox", "link/lab", true},
		{"link/lab/linked", "real/lab", true}, // whatever it leads to
		{"other/disk", "link/lab", false},
		{"real/lab2/m.vbox", "real/lab", false},
		{"real/lab2/m.vbox", "link/lab", false},
		{"real/m.vbox", "link/lab", false},
		{"link/lab/../m.vbox", "link/lab", false},
		{"link/gone/m.vbox", "real/gone", true}, // neither exists
		{"real/..lab/m.vbox", "real", true},
	} {
		if got := below(at(tt.file), at(tt.folder)); got != tt.want {
			t.Errorf("%q below %q: %t", tt.file, tt.folder, got)
		}
	}
}
