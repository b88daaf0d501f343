package k3s

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// FuzzAsRoot hands any words to a real shell by way of asRoot: the script sees them as its arguments, and nothing else happens.
func FuzzAsRoot(f *testing.F) {
	for _, word := range []string{"", "cp1", "a b", "'", `"`, `\`, "$(exit 7)", "`id`", "a;b", "a\nb", "~", "*", "-n", "\xff", "a=b"} {
		f.Add(word, "x"+word)
	}
	sh, err := exec.LookPath("sh")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		if strings.Contains(a+b, "\x00") || len(a)+len(b) > 10_000 {
			t.Skip("no command line can hold it")
		}
		// The shell of the login user, whose sudo asks for no password.
		cmd := exec.CommandContext(t.Context(), sh, "-c", `sudo() { "$@"; }; `+asRoot(`printf '%s\0' "$@"; : 'it'\''s'`, a, b))
		out, err := cmd.CombinedOutput()
		if got := strings.Split(string(out), "\x00"); err != nil || !slices.Equal(got, []string{a, b, ""}) {
			t.Errorf("%q and %q arrive as %q, %v", a, b, got, err)
		}
	})
}
