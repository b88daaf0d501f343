package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/labctl/labctl/internal/sim"
)

// TestDamagedMeanwhile: what happens to the lab's folder while a machine boots ends the wait for it at once. No time mends it.
func TestDamagedMeanwhile(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	lab := filepath.Join(s.dir, "lab.yaml")
	if err := os.WriteFile(lab, []byte(oneNode), 0o600); err != nil {
		t.Fatal(err)
	}
	s.must("--lab", lab, "up", "--to", "image")
	s.save("image")
	for _, row := range []struct {
		name   string
		damage func() error
		says   string
	}{
		{"the login key is garbage", func() error { return os.WriteFile(filepath.Join(s.folder(), "id_ed25519"), []byte("garbage"), 0o600) }, "id_ed25519"},
		{"known_hosts is lost", func() error { return os.Remove(filepath.Join(s.folder(), "known_hosts")) }, "known_hosts"},
		{"the folder is lost", func() error { return os.RemoveAll(s.folder()) }, "no such file or directory"},
	} {
		s.restore("image")
		var once sync.Once
		s.direct(func(e sim.Event) sim.Ruling {
			if strings.HasPrefix(stepOf(e), "VBoxManage startvm") && e.After {
				once.Do(func() {
					if err := row.damage(); err != nil {
						t.Error(err)
					}
				})
			}
			return sim.Ruling{}
		})
		status, _, errs := s.run("--lab", lab, "up", "--to", "machines", "--timeout", "30s") // without the limit a wait takes minutes
		if status != exitUnable || !strings.Contains(errs, row.says) || !strings.Contains(errs, "labctl: hint: ") || !strings.Contains(errs, "destroy") {
			t.Errorf("%s: status %d\n%s", row.name, status, errs)
		}
		if strings.Contains(errs, "not within") {
			t.Errorf("%s: it was waited for\n%s", row.name, errs)
		}
		if _, err := os.Stat(filepath.Join(s.folder(), "pulumi")); err != nil != (row.name == "the folder is lost") {
			t.Errorf("%s: the state: %v", row.name, err)
		}
		s.direct(nil)
		if status, _, errs := s.run("--lab", lab, "destroy", "--yes"); status != exitOK {
			t.Errorf("%s: destroy: status %d\n%s", row.name, status, errs)
		}
		if _, err := os.Stat(s.folder()); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: the folder after destroy: %v", row.name, err)
		}
		if things, err := s.things(); len(things) > 0 || err != nil {
			t.Errorf("%s: destroy leaves %q, %v", row.name, things, err)
		}
	}
}
