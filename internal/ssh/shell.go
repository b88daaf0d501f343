package ssh

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/term"
)

// resizePoll is how often the local terminal's size is looked at: it works everywhere, unlike SIGWINCH.
const resizePoll = 500 * time.Millisecond

// Shell runs command, or the login shell if it is empty, connected to the given streams, and returns its exit status.
// With tty the host gives it a terminal, and the local one, if stdin is one, is in raw mode meanwhile. A status other
// than 0 is no error. When Shell returns, a read from stdin may still be under way, as long as nobody types.
func (c *Client) Shell(ctx context.Context, command string, stdin io.Reader, stdout, stderr io.Writer, tty bool) (exit int, err error) {
	err = c.inSession(ctx, func(session *ssh.Session) (err error) {
		session.Stdin, session.Stdout, session.Stderr = stdin, stdout, stderr
		if tty {
			restore, err := openTerminal(ctx, session, stdin, orDefault(c.config.limits.resize, resizePoll))
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, restore()) }()
		}
		if command == "" {
			err = session.Shell()
		} else {
			err = session.Start(command)
		}
		if err != nil {
			return err
		}
		return ignoreUnreadInput(session.Wait())
	})
	if status := (*ssh.ExitError)(nil); errors.As(err, &status) {
		return status.ExitStatus(), nil
	}
	if err = c.commandError(ctx, command, err, ""); err != nil {
		return 255, err // as OpenSSH's client does
	}
	return 0, nil
}

// openTerminal asks for a terminal on the host, as large as the local one, and puts the local one into raw mode.
func openTerminal(ctx context.Context, session *ssh.Session, stdin io.Reader, poll time.Duration) (restore func() error, err error) {
	name := os.Getenv("TERM")
	if name == "" {
		name = "xterm"
	}
	local, isFile := stdin.(*os.File)
	if !isFile || !term.IsTerminal(int(local.Fd())) {
		return func() error { return nil }, session.RequestPty(name, 24, 80, ssh.TerminalModes{})
	}
	fd := int(local.Fd())
	width, height, err := term.GetSize(fd)
	if err != nil {
		return nil, fmt.Errorf("terminal size: %w", err)
	}
	if err := session.RequestPty(name, height, width, ssh.TerminalModes{}); err != nil {
		return nil, err
	}
	state, err := term.MakeRaw(fd)
	if err != nil {
		return nil, fmt.Errorf("terminal to raw mode: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		followSize(ctx, session, fd, width, height, poll)
	}()
	return func() error {
		cancel()
		<-done
		return term.Restore(fd, state)
	}, nil
}

func followSize(ctx context.Context, session *ssh.Session, fd, width, height int, poll time.Duration) {
	ticker := time.NewTicker(poll)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		w, h, err := term.GetSize(fd)
		if err != nil || (w == width && h == height) {
			continue
		}
		width, height = w, h
		session.WindowChange(h, w) //nolint:errcheck // a lost connection shows elsewhere
	}
}
