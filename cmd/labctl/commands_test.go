package main

import "testing"

func TestTyped(t *testing.T) {
	t.Parallel()
	a := newApp(nil, nil, nil, func(string) string { return "" })
	a.simulate, a.labFile, a.subcommands = true, "my lab.yaml", []string{"up", "exec", "doctor"}
	const flags = "labctl --simulate --lab 'my lab.yaml' "
	for text, want := range map[string]string{
		"labctl up does both":                  flags + "up does both",
		"`labctl up`로, labctl up.":             "`" + flags + "up`로, " + flags + "up.",
		"kubectl -n labctl exec POD":           "kubectl -n labctl exec POD",
		"labctl upholds, mylabctl up, labctl":  "labctl upholds, mylabctl up, labctl",
		"labctl --simulate up":                 "labctl --simulate up",
		"labctl doctor looks at this computer": "labctl --lab 'my lab.yaml' doctor looks at this computer",
	} {
		if got := a.typed(text); got != want {
			t.Errorf("%q became %q, not %q", text, got, want)
		}
	}
}
