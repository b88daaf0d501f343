package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/labctl/labctl/internal/atomicfile"
)

// TestCollectReplacesOnlyFiles: what is at the name that collect is given stays what it is, unless it is a file.
func TestCollectReplacesOnlyFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	if err := syscall.Mkfifo(in("pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, leads := range map[string]string{"link-to-pipe": "pipe", "link-to-nothing": "nowhere", "link-to-folder": "."} {
		if err := os.Symlink(leads, in(name)); err != nil {
			t.Fatal(err)
		}
	}
	for name, content := range map[string]string{"labctl.yaml": "name: mine\n", "x": "x"} {
		if err := os.WriteFile(in(name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	env := func(string) string { return in("home") }
	for name, want := range map[string]string{
		"pipe":                "no ordinary file",
		"link-to-pipe":        "no ordinary file",
		"link-to-folder":      "no ordinary file",
		".":                   "no ordinary file",
		"link-to-nothing":     "leads nowhere",
		"no-such-folder/file": "its folder",
		"labctl.yaml":         "is no bundle",
		"x":                   "is no bundle",
		"pipe/file":           "not a directory",
	} {
		before, _ := os.Lstat(in(name))
		var out, errs bytes.Buffer
		status := newApp(strings.NewReader(""), &out, &errs, env).run(t.Context(), []string{"--simulate", "collect", "-o", in(name)})
		if status != exitUsage || !strings.Contains(errs.String(), want) || !strings.Contains(errs.String(), in(name)) {
			t.Errorf("collect -o %s: status %d, not %q:\n%s", name, status, want, errs.String())
		}
		if after, _ := os.Lstat(in(name)); before != nil && (after == nil || after.Mode() != before.Mode()) {
			t.Errorf("%s was %v and is %v", name, before, after)
		}
	}
}

// TestCollectReplacesBundles: a bundle is made anew, and an empty file, as mktemp makes it, is filled.
func TestCollectReplacesBundles(t *testing.T) {
	t.Parallel()
	for name, content := range map[string]string{"bundle": "\x1f\x8b rest", "empty": ""} {
		file := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := bundleTarget(file); err != nil || got != file {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if got, err := bundleTarget("no-such-file"); err != nil || got != "no-such-file" {
		t.Errorf("%q, %v", got, err)
	}
	var out, errs bytes.Buffer
	status := newApp(strings.NewReader(""), &out, &errs, func(string) string { return "/nosuch" }).run(t.Context(), []string{"--simulate", "collect", "-o", "json"})
	if status != exitUsage || !strings.Contains(errs.String(), "-o names its file") {
		t.Errorf("status %d\n%s", status, errs.String())
	}
}

// TestLinksStayLinks: a file that is written through a link is the one that the link leads to.
func TestLinksStayLinks(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	if err := os.Mkdir(in("far"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(in("far/file"), []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("far/file", in("link")); err != nil {
		t.Fatal(err)
	}
	for name, real := range map[string]string{"link": "far/file", "new": "new"} {
		target, err := fileTarget(in(name))
		if err != nil {
			t.Fatal(err)
		}
		err = atomicfile.WriteFrom(target, 0o600, func(w io.Writer) error {
			_, err := w.Write([]byte("evidence"))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if b, err := os.ReadFile(in(real)); string(b) != "evidence" || err != nil {
			t.Errorf("%s holds %q, %v", real, b, err)
		}
	}
	if info, err := os.Lstat(in("link")); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is %v, %v", info, err)
	}
}

// TestKubeconfigReplacesOnlyFiles: KUBECONFIG=/dev/null is how people switch theirs off. A folder stands for what is no file: reading it
// does not block.
func TestKubeconfigReplacesOnlyFiles(t *testing.T) {
	if err := mergeKubeconfig(t.TempDir(), []byte("{}")); err == nil || !strings.Contains(err.Error(), "no ordinary file") {
		t.Errorf("%v", err)
	}
}
