package sim

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
)

// What a login's lines leave behind is there for the lines that follow, as in any shell.
func TestLoginRemembers(t *testing.T) {
	l := newLab(t)
	l.machine(0)
	l.up(0)
	for name, tt := range map[string]struct {
		typed   string
		printed []string // each is a line
		exit    int
	}{
		"a variable":         {"A=$(echo hi)\necho A=$A\n", []string{"A=hi"}, 0},
		"the folder":         {"cd /tmp\npwd\n", []string{"/tmp", "ubuntu@cp1:/tmp$"}, 0},
		"the prompt at home": {"mkdir -p a\ncd a\n", []string{"ubuntu@cp1:~$ cd a", "ubuntu@cp1:~/a$"}, 0},
		"a function":         {"f() { echo got $1; }\nf it\n", []string{"got it"}, 0},
		"a status":           {"false\necho $?\n", []string{"1"}, 0},
		"many lines":         {"for i in 1 2\ndo echo n$i\ndone\n", []string{"> done", "n1", "n2"}, 0},
		"a here-document":    {"cat <<END\nab\nc\nEND\n", []string{"ab", "c"}, 0},
		"a mistake":          {"echo )\necho still here\n", []string{"still here"}, 0},
		"exit":               {"A=3\nexit $A\necho never\n", nil, 3},
		"logout":             {"false\nlogout\n", nil, 1},
	} {
		t.Run(name, func(t *testing.T) {
			client, err := l.dial(0, nodeAddress(0)+":22")
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			s, err := client.NewSession()
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if err := s.RequestPty("xterm", 24, 80, ssh.TerminalModes{}); err != nil {
				t.Fatal(err)
			}
			var screen bytes.Buffer
			s.Stdin, s.Stdout = strings.NewReader(tt.typed), &screen
			if err := s.Shell(); err != nil {
				t.Fatal(err)
			}
			exit := 0
			var status *ssh.ExitError
			if err := s.Wait(); errors.As(err, &status) {
				exit = status.ExitStatus()
			} else if err != nil {
				t.Fatal(err)
			}
			lines := map[string]bool{}
			for line := range strings.Lines(screen.String()) {
				lines[strings.TrimSpace(line)] = true
			}
			for _, line := range tt.printed {
				if !lines[line] {
					t.Errorf("no line %q", line)
				}
			}
			if exit != tt.exit || lines["never"] {
				t.Errorf("exit status %d, not %d", exit, tt.exit)
			}
			if t.Failed() {
				t.Log(screen.String())
			}
		})
	}
}
