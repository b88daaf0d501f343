package ssh

import (
	"fmt"
	"io"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// newTerminal returns a terminal and the end that a person sits at.
func newTerminal(t *testing.T) (terminal, person *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { person.Close() })
	if err := unix.IoctlSetPointerInt(int(person.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(person.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { terminal.Close() })
	return terminal, person
}

func resize(t *testing.T, terminal *os.File, width, height uint16) {
	t.Helper()
	if err := unix.IoctlSetWinsize(int(terminal.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Col: width, Row: height}); err != nil {
		t.Fatal(err)
	}
}

// isRaw tells whether the terminal hands on each character, without echo.
func isRaw(t *testing.T, terminal *os.File) bool {
	t.Helper()
	settings, err := unix.IoctlGetTermios(int(terminal.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return settings.Lflag&(unix.ICANON|unix.ECHO) == 0
}

func TestShellOnTerminal(t *testing.T) {
	terminal, _ := newTerminal(t)
	resize(t, terminal, 100, 30)
	server, c := newServer(t)
	c.limits.resize = time.Millisecond
	t.Setenv("TERM", "vt100")
	var rawMeanwhile bool
	var resized [2]uint32
	server.commands["top"] = func(s session) uint32 {
		rawMeanwhile = isRaw(t, terminal)
		resize(t, terminal, 120, 40)
		resized = <-server.resizes
		io.WriteString(s, s.pty)
		return 0
	}
	client := mustDial(t, server, c)
	for _, in := range []string{"first shell", "second shell"} {
		if isRaw(t, terminal) {
			t.Fatalf("%s: raw before", in)
		}
		out := &tailBuffer{limit: 100}
		if exit, err := client.Shell(t.Context(), "top", terminal, out, io.Discard, true); exit != 0 || err != nil {
			t.Errorf("%s: Shell = %d, %v", in, exit, err)
		}
		if !rawMeanwhile || resized != [2]uint32{120, 40} || out.String() != "vt100 100x30" {
			t.Errorf("%s: raw %v, resized to %v, %q", in, rawMeanwhile, resized, out.String())
		}
		if isRaw(t, terminal) {
			t.Errorf("%s: raw afterwards", in)
		}
		resize(t, terminal, 100, 30)
	}
	server.commands["reboot"] = func(session) uint32 { server.cut(); return 0 }
	if _, err := client.Shell(t.Context(), "reboot", terminal, io.Discard, io.Discard, true); err == nil {
		t.Error("lost connection: no error")
	}
	if isRaw(t, terminal) {
		t.Error("raw after a lost connection")
	}
}
