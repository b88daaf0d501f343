package ssh

import (
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
)

func TestExitErrorBySignal(t *testing.T) {
	s, c := newServer(t)
	s.commands["k3s server"] = func(s session) uint32 {
		s.SendRequest("exit-signal", false, ssh.Marshal(struct {
			Signal     string
			Core       bool
			Text, Lang string
		}{"KILL", false, "", ""}))
		s.Close() // before an exit status
		return 0
	}
	client := mustDial(t, s, c)
	_, err := client.Run(t.Context(), "k3s server", nil)
	exit, ok := err.(*ExitError)
	if !ok || exit.ExitStatus() != 128+9 || !strings.HasSuffix(err.Error(), "ended by signal KILL") {
		t.Errorf("err = %v, want signal KILL and status 137", err)
	}
}

func TestTailBuffer(t *testing.T) {
	b := &tailBuffer{limit: 5}
	for _, text := range []string{"abc", "def", "", "0123456789", "x"} {
		if n, err := b.Write([]byte(text)); n != len(text) || err != nil {
			t.Errorf("Write(%q) = %d, %v", text, n, err)
		}
	}
	if b.String() != "6789x" {
		t.Errorf("kept %q, want %q", b, "6789x")
	}
}
