package labdir

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/labctl/labctl/internal/config"
)

func made(t *testing.T) *Folder {
	t.Helper()
	f := At(filepath.Join(t.TempDir(), "labs"), "lab")
	if err := f.Make(config.Default()); err != nil {
		t.Fatal(err)
	}
	return f
}

// contents reads every file below a folder.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		all[strings.TrimPrefix(path, dir)] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestMakeKeepsWhatExists(t *testing.T) {
	f := made(t)
	before := contents(t, f.Path)
	if err := f.Make(config.Default()); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(before, contents(t, f.Path)); d != "" {
		t.Errorf("a second Make changed files (-before +after):\n%s", d)
	}
	// A run that was killed between the two halves of the key: the public half follows from the private one.
	if err := os.Remove(f.path("id_ed25519.pub")); err != nil {
		t.Fatal(err)
	}
	if err := f.Make(config.Default()); err != nil {
		t.Fatal(err)
	}
	now := contents(t, f.Path)
	if now["/id_ed25519"] != before["/id_ed25519"] {
		t.Error("the private key was replaced")
	}
	if key := strings.Fields(before["/id_ed25519.pub"])[1]; !strings.Contains(now["/id_ed25519.pub"], key) {
		t.Errorf("public half %q doesn't belong to the private one", now["/id_ed25519.pub"])
	}
}

func TestSecretsAreForTheOwnerAlone(t *testing.T) {
	f := made(t)
	if info, err := os.Stat(f.Path); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("folder: %v, %v", info.Mode(), err)
	}
	for _, name := range []string{"id", "token", "passphrase", "id_ed25519", "hostkeys/cp1", "known_hosts", sums} {
		info, err := os.Stat(f.path(name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", name, info.Mode())
		}
	}
}

func TestKnownHostsHoldsEveryNode(t *testing.T) {
	f := made(t)
	known := contents(t, f.Path)["/known_hosts"]
	for _, n := range config.Default().Nodes {
		_, public, err := f.HostKey(n.Name)
		if err != nil {
			t.Fatal(err)
		}
		if want := n.Name + " " + public + "\n"; !strings.Contains(known, want) {
			t.Errorf("no %q in\n%s", want, known)
		}
	}
}

func TestStored(t *testing.T) {
	f := At(t.TempDir(), "lab")
	if _, err := f.Stored(); !errors.Is(err, ErrNoLab) {
		t.Errorf("without a lab: %v", err)
	}
	f = made(t)
	if _, err := f.Stored(); !errors.Is(err, ErrNoLab) {
		t.Errorf("before the first up has stored its configuration: %v", err)
	}
	want := config.Default()
	want.Nodes[1].MemoryMiB = 2048
	if err := f.Store(want); err != nil {
		t.Fatal(err)
	}
	got, err := f.Stored()
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got, cmp.Comparer(func(a, b interface{ String() string }) bool { return a.String() == b.String() })); d != "" {
		t.Error(d)
	}
}

func TestLockNamesTheHolder(t *testing.T) {
	f := At(t.TempDir(), "lab")
	since := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	unlock, err := f.Lock("labctl up", since)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.Lock("labctl verify", since)
	if !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), "labctl up") || !strings.Contains(err.Error(), "2026-01-02 03:04:05") {
		t.Errorf("second lock: %v", err)
	}
	if err := unlock(); err != nil {
		t.Fatal(err)
	}
	unlock, err = f.Lock("labctl down", since)
	if err != nil {
		t.Fatalf("after unlock: %v", err)
	}
	if err := f.Remove(); err != nil {
		t.Fatal(err)
	}
	if err := unlock(); err != nil {
		t.Errorf("unlock after destroy removed the folder: %v", err)
	}
}

// TestLockWithoutANote: who can't be told apart from nobody is still there. On a full disk the note can't be written, and destroy must go on.
func TestLockWithoutANote(t *testing.T) {
	f := At(t.TempDir(), "lab")
	if err := os.MkdirAll(f.path("lock.holder", "full"), 0o700); err != nil { // what no file replaces
		t.Fatal(err)
	}
	for range 2 {
		unlock, err := f.Lock("labctl destroy", time.Now())
		if err != nil {
			t.Fatal(err)
		}
		_, err = f.Lock("labctl up", time.Now())
		if !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), "not known") {
			t.Errorf("second lock: %v", err)
		}
		if err := unlock(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDerivedIdentities(t *testing.T) {
	seen := map[string]bool{}
	for _, lab := range []string{"a", "b"} {
		for _, node := range []string{"cp1", "w1"} {
			for _, s := range []string{MAC(lab, node, 1), MAC(lab, node, 2), MachineID(lab, node)} {
				if seen[s] {
					t.Errorf("%q twice", s)
				}
				seen[s] = true
			}
		}
	}
	if got := MAC("a", "cp1", 1); got != MAC("a", "cp1", 1) || !strings.HasPrefix(got, "08:00:27:") || len(got) != 17 {
		t.Errorf("MAC %q", got)
	}
	if got := MachineID("a", "cp1"); len(got) != 32 {
		t.Errorf("machine-id %q", got)
	}
}

func TestSSHPort(t *testing.T) {
	m := At(t.TempDir(), "lab").Machine("w1")
	if port, err := m.SSHPort(); port != 0 || err != nil {
		t.Errorf("none chosen: %d, %v", port, err)
	}
	if err := os.MkdirAll(m.Path, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := m.SetSSHPort(2210); err != nil {
		t.Fatal(err)
	}
	if port, err := m.SSHPort(); port != 2210 || err != nil {
		t.Errorf("%d, %v", port, err)
	}
	if err := os.WriteFile(filepath.Join(m.Path, "ssh-port"), []byte("none"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := m.SSHPort(); err == nil || !strings.Contains(err.Error(), "remove it") {
		t.Errorf("a damaged file: %v", err)
	}
}

func TestBooted(t *testing.T) {
	m := At(t.TempDir(), "lab").Machine("w1")
	if err := os.MkdirAll(m.Path, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, booted := range []bool{false, true, true, false, false} {
		if err := m.SetBooted(booted); err != nil {
			t.Fatal(err)
		}
		if m.Booted() != booted {
			t.Errorf("Booted is %v after SetBooted(%v)", m.Booted(), booted)
		}
	}
}

func TestConsoleIsPlainText(t *testing.T) {
	m := At(t.TempDir(), "lab").Machine("w1")
	if _, err := m.Console(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("nothing written yet: %v", err)
	}
	if err := os.MkdirAll(m.Path, 0o700); err != nil {
		t.Fatal(err)
	}
	raw := "\x1b[H\x1b[J\x1b[1;1HGNU GRUB\r\n[\x1b[0;32m  OK  \x1b[0m] Started \x1b]0;title\x07ssh\r\n\x1bM"
	if err := os.WriteFile(m.SerialLog(), []byte(raw), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := m.Console()
	if d := cmp.Diff("GNU GRUB\n[  OK  ] Started ssh\n", got); d != "" || err != nil {
		t.Error(d, err)
	}
}

// TestNothingIsInventedInADamagedLab: a new id would orphan the machines, a new key would lock labctl out of them.
func TestNothingIsInventedInADamagedLab(t *testing.T) {
	for _, name := range []string{"id", "token", "passphrase", "id_ed25519"} {
		t.Run(name, func(t *testing.T) {
			f := made(t)
			if err := f.Store(config.Default()); err != nil {
				t.Fatal(err)
			}
			if err := os.Remove(f.path(name)); err != nil {
				t.Fatal(err)
			}
			err := f.Make(config.Default())
			if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), f.path(name)) {
				t.Errorf("%v", err)
			}
			if _, err := os.Stat(f.path(name)); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%q was made anew", name)
			}
		})
	}
	f := made(t)
	if err := os.WriteFile(f.path("id"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Owner(); !errors.Is(err, ErrNoLab) {
		t.Errorf("an empty id: %v", err)
	}
}

// TestKnownHostsKeepsOlderNodes: a plan for another set of nodes makes no machine unknown.
func TestKnownHostsKeepsOlderNodes(t *testing.T) {
	f := made(t)
	fewer := config.Default()
	fewer.Nodes = fewer.Nodes[:1]
	before := contents(t, f.Path)["/known_hosts"]
	if err := f.Make(fewer); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(before, contents(t, f.Path)["/known_hosts"]); d != "" {
		t.Error(d)
	}
}

// TestLinksLeadNowhere: what is removed is in the lab's folder, wherever links in it lead.
func TestLinksLeadNowhere(t *testing.T) {
	f := made(t)
	precious := t.TempDir()
	for _, name := range []string{"cp1/photos", "w1/photos"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(precious, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(precious, name), []byte("mine"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	before := contents(t, precious)
	if err := os.Symlink(precious, f.path("machines")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"cp1", "../../..", "../machines/w1"} {
		if err := f.Machine(name).Remove(); err == nil && name == "cp1" {
			t.Errorf("machine %q was removed through a link", name)
		}
	}
	if err := f.Remove(); err != nil {
		t.Error(err)
	}
	if d := cmp.Diff(before, contents(t, precious)); d != "" {
		t.Errorf("what a link led to has changed (-before +after):\n%s", d)
	}
	if err := f.Machine("cp1").Remove(); err != nil {
		t.Errorf("a machine of a lab whose folder is gone: %v", err)
	}

	if err := os.Symlink(precious, f.Path); err != nil {
		t.Fatal(err)
	}
	_, lockErr := f.Lock("labctl up", time.Now())
	for _, err := range []error{f.Make(config.Default()), lockErr} {
		if err == nil || !strings.Contains(err.Error(), "is a link or a file") {
			t.Errorf("a link in place of the lab's folder: %v", err)
		}
	}
	if d := cmp.Diff(before, contents(t, precious)); d != "" {
		t.Errorf("what a link led to has changed (-before +after):\n%s", d)
	}
}

func TestLongConsole(t *testing.T) {
	m := At(t.TempDir(), "lab").Machine("w1")
	if err := os.MkdirAll(m.Path, 0o700); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(m.SerialLog())
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(8 << 30); err != nil { // a hole: it takes no room
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("the end"), 8<<30); err != nil {
		t.Fatal(err)
	}
	got, err := m.Console()
	if err != nil || len(got) != maxConsole || !strings.HasSuffix(got, "the end") {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

func TestFirstBoot(t *testing.T) {
	m := At(t.TempDir(), "lab").Machine("w1")
	if err := os.MkdirAll(m.Path, 0o700); err != nil {
		t.Fatal(err)
	}
	if m.Seeded() || m.Spoilt() {
		t.Error("a new machine has booted before")
	}
	for want := range 3 {
		if got, err := m.Try(); err != nil || got != want {
			t.Errorf("try %d %v, want %d", got, err, want)
		}
		if err := m.SetSpoilt(); err != nil || !m.Spoilt() {
			t.Errorf("not spoilt after SetSpoilt: %v", err)
		}
		if err := m.TryAgain(); err != nil || m.Spoilt() {
			t.Errorf("spoilt after TryAgain: %v", err)
		}
	}
	if err := m.SetSeeded(); err != nil || !m.Seeded() {
		t.Errorf("not seeded after SetSeeded: %v", err)
	}
	if err := os.WriteFile(filepath.Join(m.Path, "try"), []byte("many"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Try(); err == nil {
		t.Error("a file that holds no number was read")
	}
}
