//go:build unix

package vbox

import (
	"strings"
	"testing"
)

// TestEndlessOutput: a program that prints without end costs no memory, and is an error.
func TestEndlessOutput(t *testing.T) {
	for _, stream := range []string{"1", "2"} {
		out, err := execute(t.Context(), []string{"sh", "-c", "head -c 20000000 /dev/zero >&" + stream}, nil)
		if err == nil || !strings.Contains(err.Error(), "more than 16 MiB") || len(out.stdout)+len(out.stderr) > maxOutput {
			t.Errorf("%d bytes, %v", len(out.stdout)+len(out.stderr), err)
		}
	}
}
