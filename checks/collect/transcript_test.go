package collect

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/labctl/labctl/checks"
	"github.com/labctl/labctl/internal/config"
)

var (
	commandLine = regexp.MustCompile(`^(host)?\$ (.*)$`)
	exitLine    = regexp.MustCompile(`^(.*)exit (\d+)$`)
)

// transcript reads a transcript: '$' the command, '1>' its standard output, '2>' its standard error, then its exit status, which
// follows an output without a last newline on the same line. 'host$' is a command on the host.
func transcript(t testing.TB, file, where string) []Item {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	first, rest, _ := strings.Cut(string(data), "\n")
	if !strings.HasPrefix(first, "# recorded: ") && !strings.HasPrefix(first, "# synthetic: ") {
		t.Fatalf("%s does not say whether it was recorded", file)
	}
	var items []Item
	var now *Item
	for line := range strings.Lines(rest) {
		line = strings.TrimSuffix(line, "\n")
		if m := commandLine.FindStringSubmatch(line); m != nil && now == nil {
			now = &Item{Where: where, Command: m[2]}
			if m[1] != "" {
				now.Where = checks.Host
			}
			continue
		}
		if now == nil {
			continue
		}
		end := exitLine.FindStringSubmatch(line)
		if end != nil {
			line = end[1]
		}
		newline := "\n"
		if end != nil {
			newline = ""
		}
		if text, ok := strings.CutPrefix(line, "1> "); ok {
			now.Stdout = append(now.Stdout, text+newline...)
		} else if text, ok := strings.CutPrefix(line, "2> "); ok {
			now.Stderr = append(now.Stderr, text+newline...)
		}
		if end != nil {
			now.Exit, err = strconv.Atoi(end[2])
			if err != nil {
				t.Fatal(err)
			}
			items = append(items, *now)
			now = nil
		}
	}
	if now != nil || len(items) == 0 {
		t.Fatalf("%s is cut short", file)
	}
	return items
}

// recording reads the transcripts of a whole lab: node-NAME.txt of each node, cluster.txt and probes.txt of the server and the host.
func recording(t testing.TB, folder string, lab *config.Lab) *Evidence {
	t.Helper()
	e := &Evidence{Lab: lab}
	files, err := filepath.Glob(filepath.Join("testdata", folder, "*.txt"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no recording in %q: %v", folder, err)
	}
	for _, file := range files {
		where := lab.Server().Name
		if node, ok := strings.CutPrefix(strings.TrimSuffix(filepath.Base(file), ".txt"), "node-"); ok {
			where = node
		}
		e.Items = append(e.Items, transcript(t, file, where)...)
	}
	return e
}

// golden compares with a file of testdata/golden, or writes it where LABCTL_UPDATE_GOLDEN is set.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", "golden", name)
	if os.Getenv("LABCTL_UPDATE_GOLDEN") != "" {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := lineDiff(string(want), string(got)); diff != "" {
		t.Errorf("%s (set LABCTL_UPDATE_GOLDEN to write it):\n%s", file, diff)
	}
}

func lineDiff(want, got string) string {
	if want == got {
		return ""
	}
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	var out []string
	for i := range max(len(w), len(g)) {
		var a, b string
		if i < len(w) {
			a = w[i]
		}
		if i < len(g) {
			b = g[i]
		}
		if a != b {
			out = append(out, fmt.Sprintf("line %d\n- %s\n+ %s", i+1, a, b))
		}
	}
	return strings.Join(out[:min(len(out), 20)], "\n")
}
