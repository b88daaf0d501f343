package yaml

import (
	"fmt"
	"slices"
	"strings"
)

// suggestion names the known fields that are nearest to name, or all of them if none is near.
func suggestion(name string, known []string) string {
	var near []string
	best := 3 // edits; further away it is another word
	name = shorten(name)
	for _, k := range known {
		d := distance(strings.ToLower(name), strings.ToLower(k))
		if len(name) > 2 && strings.HasPrefix(strings.ToLower(k), strings.ToLower(name)) {
			d = min(d, 1) // memory for memoryMiB
		}
		if d < best && d < len(name) {
			best, near = d, nil
		}
		if d == best {
			near = append(near, fmt.Sprintf("%q", k))
		}
	}
	if best < 3 && len(near) > 0 {
		return "did you mean " + strings.Join(near, " or ") + "?"
	}
	return "known here: " + strings.Join(slices.Sorted(slices.Values(known)), ", ")
}

// distance is how many letters must be inserted, deleted, replaced or swapped with their neighbour to lead from a to b.
func distance(a, b string) int {
	d := make([][]int, len(a)+1)
	for i := range d {
		d[i] = make([]int, len(b)+1)
		d[i][0] = i
	}
	for j := range d[0] {
		d[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			replaced := d[i-1][j-1]
			if a[i-1] != b[j-1] {
				replaced++
			}
			d[i][j] = min(replaced, d[i-1][j]+1, d[i][j-1]+1)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d[i][j] = min(d[i][j], d[i-2][j-2]+1)
			}
		}
	}
	return d[len(a)][len(b)]
}
