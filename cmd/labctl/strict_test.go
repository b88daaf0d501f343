package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestUnknownWords(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]int{
		"nosuch":             exitUsage,
		"snapshot saev":      exitUsage,
		"cache lits":         exitUsage,
		"help nosuch":        exitUsage,
		"help snapshot saev": exitUsage,
		"help up now":        exitUsage,
		"help":               exitOK,
		"help up":            exitOK,
		"help snapshot save": exitOK,
		"help help":          exitOK,
		"snapshot":           exitOK,
	} {
		var out, errs bytes.Buffer
		status := newApp(strings.NewReader(""), &out, &errs, func(string) string { return "" }).run(t.Context(), strings.Fields(line))
		if status != want || (status == exitOK) != (out.Len() > 0) || (status == exitOK) != (errs.Len() == 0) {
			t.Errorf("labctl %s: status %d, want %d; it says\n%s%s", line, status, want, out.String(), errs.String())
		}
	}
}
