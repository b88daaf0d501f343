package atomicfile

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// in returns what is in a folder: by its name, a file's content.
func in(t *testing.T, folder string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, e := range entries {
		content, err := os.ReadFile(filepath.Join(folder, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		all[e.Name()] = string(content)
	}
	return all
}

func want(t *testing.T, when, folder string, expected map[string]string) {
	t.Helper()
	if diff := cmp.Diff(expected, in(t, folder)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", when, diff)
	}
}

func TestWrite(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "id")
	for _, content := range []string{"old", "", "new"} {
		if err := Write(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		want(t, "after a write", folder, map[string]string{"id": content})
	}
	if runtime.GOOS == "windows" { // whose modes say nothing
		return
	}
	for _, mode := range []os.FileMode{0o600, 0o644, 0o600} { // whatever it had
		if err := Write(path, nil, mode); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(path); err != nil || info.Mode() != mode {
			t.Errorf("mode %v, want %v; %v", info.Mode(), mode, err)
		}
	}
}

// What can't be written leaves what was there, and nothing else.
func TestWriteFails(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "id")
	if err := Write(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	full := errors.New("no space left")
	err := WriteFrom(path, 0o600, func(w io.Writer) error {
		if _, err := w.Write([]byte("ne")); err != nil {
			return err
		}
		want := map[string]string{"id": "old"}
		if got := in(t, folder); got["id"] != want["id"] || len(got) != 2 {
			t.Errorf("while it is written: %v", got)
		}
		return full
	})
	if !errors.Is(err, full) {
		t.Errorf("%v, want %v", err, full)
	}
	want(t, "after a failure", folder, map[string]string{"id": "old"})

	// A folder can't be replaced by a file.
	if err := os.MkdirAll(filepath.Join(folder, "taken", "inner"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := Write(filepath.Join(folder, "taken"), []byte("new"), 0o600); err == nil {
		t.Error("a folder was replaced")
	}
	if err := os.RemoveAll(filepath.Join(folder, "taken")); err != nil {
		t.Fatal(err)
	}
	want(t, "after a rename that failed", folder, map[string]string{"id": "old"})
	if err := Write(filepath.Join(folder, "none", "id"), nil, 0o600); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a folder that is not there: %v", err)
	}
}
