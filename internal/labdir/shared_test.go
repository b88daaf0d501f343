package labdir

import (
	"testing"

	"github.com/labctl/labctl/internal/config"
)

// TestNeighbours: a lab that is about to be made counts from the moment that it says so until it says no more.
func TestNeighbours(t *testing.T) {
	f := made(t)
	root := f.Path + "/.."
	other, lab := At(root, "other"), config.Default()
	lab.Name = "other"
	seen := func(want int) {
		t.Helper()
		all, err := f.Neighbours()
		if len(all) != want || err != nil {
			t.Errorf("%d, %v, not %d", len(all), err, want)
		}
	}
	seen(0)
	if err := other.Make(lab); err != nil {
		t.Fatal(err)
	}
	seen(0)
	for range 2 {
		if err := other.Reserve(lab); err != nil {
			t.Fatal(err)
		}
		seen(1)
	}
	if err := other.Store(lab); err != nil {
		t.Fatal(err)
	}
	seen(2)
	for range 2 {
		if err := other.Release(); err != nil {
			t.Fatal(err)
		}
		seen(1)
	}
	if all, err := other.Neighbours(); len(all) != 0 || err != nil { // f has no configuration, and a lab is no neighbour of its own
		t.Errorf("%v, %v", all, err)
	}
}
