package fault

import (
	"errors"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestHostileAnswers: a node that answers with more than a plain word has said nothing, and nothing is broken.
func TestHostileAnswers(t *testing.T) {
	for _, answer := range []string{"a b", "-n", "$(reboot)", "`reboot`", "x[$(reboot)]", "a;b", "a|b", "a&b", "'", `"`, `\`, "*", "~root", "a\x1b[2J", "1.2.3.4\r5", "한국어", "a\nb"} {
		w := newWorld()
		w.values["w2.b"] = answer
		healthy := w.state()
		b := w.bench(t, filepath.Join(t.TempDir(), "faults.json"))
		err := b.Break(t.Context(), sample("one"))
		if err == nil || !strings.Contains(err.Error(), `node "w2" answers`) || w.state() != healthy {
			t.Errorf("%q: %v; %s", answer, err, w.state())
		}
		if entries, err := b.Journal.Entries(); err != nil || len(entries) > 0 {
			t.Errorf("%q: the journal has %v, %v", answer, entries, err)
		}
	}
}

// FuzzAnswers: what a node answers reaches a real shell as the value of its variable, and in no other way.
func FuzzAnswers(f *testing.F) {
	for _, answer := range []string{"eth1", "$(exit 7)", "'; exit 7; '", "a\nb", "`exit 7`", `\`} {
		f.Add(answer)
	}
	sh, err := exec.LookPath("sh")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, answer string) {
		if strings.Contains(answer, "\x00") || len(answer) > 10_000 {
			t.Skip("no command line can hold it")
		}
		command := `printf %s "$NIC"`
		cmd := exec.CommandContext(t.Context(), sh, "-c", (&Bench{}).variables(command, map[string]string{"NIC": answer, "OTHER": answer})+command)
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if errors.As(err, &exit) || string(out) != answer {
			t.Errorf("%q arrives as %q, %v", answer, out, err)
		}
	})
}
