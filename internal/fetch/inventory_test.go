package fetch

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/gofrs/flock"
	"github.com/google/go-cmp/cmp"
)

func TestEntries(t *testing.T) {
	c := &Cache{Dir: filepath.Join(t.TempDir(), "ca[c]he*")}
	if all, err := c.Entries(); err != nil || len(all) > 0 {
		t.Errorf("no cache: %v, %v", all, err)
	}
	write := func(name, text string) {
		t.Helper()
		file := filepath.Join(c.Dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	good := sum([]byte("good"))
	write(good+"/jammy.img", "good")
	write(good+"/.lock", "")
	write(good+"/.size", "4\n")
	write(good+"/base-20GiB.vdi", "disk")
	write(good+"/base-20GiB.vdi.lock", "")
	write(sumA+"/k3s", "damaged")
	write(sumA+"/other.part", "half")
	write(sumA+"/other.part.json", "{}")
	write("checksums/0123/sums.txt", sumA+"  k3s\n")
	write("checksums/0124/sums.txt", "<html>")
	write("somebody/else.txt", "not ours")
	write("else.txt", "not ours")

	all, err := c.Entries()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]Kind{}
	for _, e := range all {
		rel, err := filepath.Rel(c.Dir, e.Path)
		if err != nil {
			t.Fatal(err)
		}
		got[filepath.ToSlash(rel)] = e.Kind
	}
	want := map[string]Kind{
		good + "/jammy.img": KindFile, good + "/base-20GiB.vdi": KindFile, sumA + "/k3s": KindFile, sumA + "/other.part": KindPartial,
		"checksums/0123/sums.txt": KindList, "checksums/0124/sums.txt": KindList,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("-want +got:\n%s", diff)
	}
	for _, e := range all {
		if e.Kind == KindPartial || filepath.Base(e.Path) == "base-20GiB.vdi" {
			continue
		}
		err := c.Verify(t.Context(), e)
		switch wrong := e.SHA256 == sumA || filepath.Base(filepath.Dir(e.Path)) == "0124"; {
		case wrong && err == nil:
			t.Errorf("%s passes for good", e.Path)
		case !wrong && err != nil:
			t.Errorf("%s: %v", e.Path, err)
		}
	}

	for _, e := range all {
		if e.Kind != KindPartial {
			continue
		}
		lock := flock.New(filepath.Join(filepath.Dir(e.Path), lockName))
		if ok, err := lock.TryLock(); err != nil || !ok {
			t.Fatal(ok, err)
		}
		if err := c.Remove(e); !errors.Is(err, ErrBusy) {
			t.Errorf("Remove during a fetch: %v", err)
		}
		if err := lock.Close(); err != nil {
			t.Fatal(err)
		}
		stale := e
		stale.Modified = stale.Modified.Add(-time.Second)
		if err := c.Remove(stale); !errors.Is(err, ErrBusy) {
			t.Errorf("Remove of a file that grew: %v", err)
		}
		if err := c.Remove(e); err != nil {
			t.Error(err)
		}
		for _, gone := range []string{e.Path, e.Path + ".json"} {
			if _, err := os.Stat(gone); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("%s: %v", gone, err)
			}
		}
		if err := c.Remove(e); err != nil {
			t.Errorf("Remove of what is gone: %v", err)
		}
	}
	if after, err := c.Entries(); err != nil || len(after) != len(all)-1 {
		t.Errorf("%d entries of %d left, %v", len(after), len(all), err)
	}
}
