package vbox

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// recorded is one command of a transcript.
type recorded struct {
	command string // without the program
	output
}

// transcript reads a file of testdata/VBoxManage/7.2.22.
func transcript(t testing.TB, name string) []recorded {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "VBoxManage", "7.2.22", name))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(string(data), "# recorded from VBoxManage 7.2.22") {
		t.Fatalf("%s does not say where it comes from", name)
	}
	var all []recorded
	for line := range strings.Lines(string(data)) {
		last := len(all) - 1
		switch mark, text, _ := strings.Cut(line, " "); mark {
		case "$":
			all = append(all, recorded{command: strings.TrimPrefix(strings.TrimSuffix(text, "\n"), "VBoxManage ")})
		case "1>":
			all[last].stdout += text
		case "2>":
			all[last].stderr += text
		case "exit":
			if all[last].exit, err = strconv.Atoi(strings.TrimSpace(text)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if len(all) == 0 {
		t.Fatalf("%s holds no commands", name)
	}
	return all
}

// answers returns what a command gave, each time it was called.
func answers(t testing.TB, name, command string) []output {
	t.Helper()
	var all []output
	for _, r := range transcript(t, name) {
		if r.command == command {
			all = append(all, r.output)
		}
	}
	if len(all) == 0 {
		t.Fatalf("%s has no %q", name, command)
	}
	return all
}

// answer returns what a command gave the first time.
func answer(t testing.TB, name, command string) output {
	t.Helper()
	return answers(t, name, command)[0]
}

// scripted is a VBoxManage that expects exactly these calls.
type scripted struct {
	t    *testing.T
	want []recorded
}

// client returns a Client for the script, which must be used up when the test ends.
func client(t *testing.T, goos string, script ...recorded) *Client {
	t.Helper()
	s := &scripted{t: t, want: script}
	t.Cleanup(func() {
		if len(s.want) > 0 {
			t.Errorf("never called: %q", s.want[0].command)
		}
	})
	c := New(Options{GOOS: goos})
	c.exec, c.poll, c.retry = s.exec, 1, 1
	return c
}

func (s *scripted) exec(_ context.Context, command, _ []string) (output, error) {
	got := strings.Join(command[1:], " ")
	if len(s.want) == 0 {
		s.t.Errorf("unexpected call: %q", got)
		return output{exit: 2, stderr: "VBoxManage: error: unexpected call\n"}, nil
	}
	next := s.want[0]
	s.want = s.want[1:]
	if got != next.command {
		s.t.Errorf("got the call %q, want %q", got, next.command)
	}
	return next.output, nil
}

func says(command, stdout string) recorded { return recorded{command, output{stdout: stdout}} }

func refuses(command string, lines ...string) recorded {
	return recorded{command, output{stderr: "VBoxManage: error: " + strings.Join(lines, "\nVBoxManage: error: ") + "\n", exit: 1}}
}

func noStep(string) {}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
