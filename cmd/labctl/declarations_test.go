package main

import (
	"slices"
	"testing"

	"github.com/labctl/labctl/checks"
	"github.com/labctl/labctl/internal/fault"
)

// TestDeclarations holds what faults say of themselves to the catalogue of checks and to each other.
func TestDeclarations(t *testing.T) {
	var known []string
	for _, c := range checks.Catalogue() {
		known = append(known, c.ID)
	}
	seen, reached := map[string]bool{}, map[string]bool{}
	for _, f := range fault.Catalogue() {
		if seen[f.ID] || f.ID == "" || f.Title == "" || f.Explanation == "" || len(f.Exercise) != 2 || len(f.Fails) == 0 {
			t.Errorf("fault %q is not told in full, or twice", f.ID)
		}
		seen[f.ID] = true
		for mode, ids := range f.Fails {
			for _, id := range ids {
				reached[id] = true
				if !slices.Contains(known, id) {
					t.Errorf("fault %q, %s: there is no check %q", f.ID, mode, id)
				}
			}
			if len(ids) == 0 || len(slices.Compact(slices.Sorted(slices.Values(ids)))) != len(ids) {
				t.Errorf("fault %q, %s: %v is empty or names a check twice", f.ID, mode, ids)
			}
		}
	}
	for _, id := range known {
		if !reached[id] {
			t.Errorf("no fault declares that %q fails", id)
		}
	}
}
