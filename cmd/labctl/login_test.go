//go:build slow

package main

import (
	"bytes"
	"io"
	"strings"
	"sync"
	"time"
)

// screen is where a command's two streams come together.
type screen struct {
	mutex   sync.Mutex
	text    bytes.Buffer  // not embedded: its ReadFrom would go round the mutex
	written chan struct{} // where it is not nil, it has room for the news that something was
}

func (s *screen) Write(b []byte) (int, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	select {
	case s.written <- struct{}{}:
	default:
	}
	return s.text.Write(b)
}

func (s *screen) String() string {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.text.String()
}

// login is a shell on a node that `labctl ssh NODE` has opened.
type login struct {
	prompt   string
	keyboard io.WriteCloser
	screen   *screen
	seen     int           // bytes of the screen
	done     chan struct{} // closed when labctl has ended
}

// login logs in to a node; a login that was there before is left.
func (l *learner) login(node string) *login {
	l.t.Helper()
	if before := l.logins[node]; before != nil {
		before.end()
	}
	keys, keyboard := io.Pipe()
	in := &login{prompt: "ubuntu@" + node + ":~$ ", keyboard: keyboard, screen: &screen{written: make(chan struct{}, 1)}, done: make(chan struct{})}
	l.logins[node] = in
	app := newApp(keys, in.screen, in.screen, l.env)
	ctx := l.t.Context()
	go func() {
		defer close(in.done)
		defer keys.Close()
		app.run(ctx, []string{"--simulate", "--lab", l.labFile, "ssh", node})
	}()
	in.answer(l, "")
	return in
}

// over says whether the shell has ended, as it does when its machine restarts.
func (in *login) over() bool {
	select {
	case <-in.done:
		return true
	default:
		return false
	}
}

func (in *login) end() {
	_ = in.keyboard.Close() // which ends the shell
	<-in.done
}

// enter types a command and returns what it prints.
func (in *login) enter(l *learner, command string) string {
	l.t.Helper()
	if _, err := io.WriteString(in.keyboard, command+"\n"); err != nil {
		l.t.Fatalf("%s%s\ntyping: %v\n%s", in.prompt, command, err, in.screen)
	}
	return in.answer(l, command)
}

// answer is what comes before the next prompt, without the command: the terminal shows what is typed, broken where its line ends.
func (in *login) answer(l *learner, command string) string {
	l.t.Helper()
	late := time.NewTimer(3 * longEnough)
	defer late.Stop()
	for {
		all := in.screen.String()
		text := strings.ReplaceAll(all[in.seen:], "\r", "")
		rest := []rune(command)
		answer := strings.TrimLeftFunc(text, func(r rune) bool {
			switch {
			case len(rest) > 0 && r == rest[0]:
				rest = rest[1:]
				return true
			case len(rest) > 0:
				return r == '\n'
			}
			return false
		})
		if printed, ok := strings.CutSuffix(answer, in.prompt); ok && len(rest) == 0 {
			in.seen = len(all)
			return strings.TrimPrefix(printed, "\n")
		}
		select {
		case <-in.screen.written:
		case <-in.done:
			l.t.Fatalf("%s%s\nthe login ended:\n%s", in.prompt, command, in.screen)
		case <-late.C:
			l.t.Fatalf("%s%s\nno prompt came after it:\n%s", in.prompt, command, in.screen)
		}
	}
}
