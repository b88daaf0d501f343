package fetch

import (
	"os"
	"path/filepath"
	"testing"
)

// What was cut off, or has grown, is not there; a folder without the note, as older ones are, is believed until its file is used.
func TestHas(t *testing.T) {
	l := newLab(t, good)
	source := l.URL + "/jammy.img"
	fetch := func() string {
		t.Helper()
		path, err := l.cache.Fetch(t.Context(), source, sum(content), MostOfFile, Progress{})
		if err != nil {
			t.Fatal(err)
		}
		return path
	}
	has := func(when string, want bool) {
		t.Helper()
		if got := l.cache.Has(source, sum(content)); got != want {
			t.Errorf("%s: Has is %v", when, got)
		}
	}
	truncate := func(path string, size int) {
		t.Helper()
		if err := os.Truncate(path, int64(size)); err != nil {
			t.Fatal(err)
		}
	}
	has("before it is fetched", false)
	path := fetch()
	note := filepath.Join(filepath.Dir(path), ".size")
	has("after it was fetched", true)
	truncate(path, len(content)-1)
	has("cut off", false)
	truncate(path, len(content)+1)
	has("grown", false)
	fetch()
	has("fetched anew", true)

	if err := os.Remove(note); err != nil {
		t.Fatal(err)
	}
	has("without a note", true)
	if l.cache.KnowsSize(Entry{Path: path}) {
		t.Error("a size is known that nobody has noted")
	}
	requests := l.requests.Load()
	fetch()
	if !l.cache.KnowsSize(Entry{Path: path}) || l.requests.Load() != requests {
		t.Errorf("using it notes nothing, or fetches it: %d requests", l.requests.Load()-requests)
	}
	if err := os.WriteFile(note, []byte("<html>"), 0o644); err != nil {
		t.Fatal(err)
	}
	has("with a damaged note", true)
	if l.cache.KnowsSize(Entry{Path: path}) {
		t.Error("a size is read from a damaged note")
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	fetch()
	truncate(path, 0)
	has("empty", false)
}
