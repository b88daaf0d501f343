package ssh

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

const (
	maxOutput   = 64 << 20 // bytes of a command's standard output
	keptStderr  = 64 << 10 // bytes at the end of its standard error
	stderrLines = 3        // of those, lines in an error's text
	// stopGrace is how long a command whose context has ended may take to end before the connection is closed.
	stopGrace = 2 * time.Second
)

// ExitError is a remote command that ended with another status than 0, or by a signal.
type ExitError struct {
	CommandLine string // a line to paste into a local shell
	Status      int    // 128 and more: ended by a signal
	Signal      string // its name without SIG, or empty
	Stderr      string // the end of its standard error, at most 64 KiB
}

// ExitStatus returns the command's status, as a shell on the host would give it.
func (e *ExitError) ExitStatus() int { return e.Status }

func (e *ExitError) Error() string {
	how := fmt.Sprintf("exit status %d", e.Status)
	if e.Signal != "" {
		how = "ended by signal " + e.Signal
	}
	if tail := lastLines(e.Stderr, stderrLines); tail != "" {
		how += ": " + tail
	}
	return e.CommandLine + ": " + how
}

func lastLines(s string, n int) string {
	var lines []string
	for line := range strings.Lines(s) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines[max(0, len(lines)-n):], "; ")
}

// Run runs command in the user's login shell with stdin, which may be nil, and returns its standard output, at most
// 64 MiB. A status other than 0 is an *ExitError; a connection that ended meanwhile is ErrLost. When ctx ends, the
// command is told to stop, and if that takes more than two seconds the connection is closed. Output read so far is
// returned beside any error.
func (c *Client) Run(ctx context.Context, command string, stdin io.Reader) ([]byte, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stdout := c.bounded(cancel)
	stderr := &tailBuffer{limit: keptStderr}
	err := c.runIn(ctx, command, stdin, stdout, stderr)
	return stdout.data, c.commandError(ctx, command, err, stderr.String())
}

// Outputs is Run for those who want all of the standard error as well, at most 64 MiB of each.
func (c *Client) Outputs(ctx context.Context, command string, stdin io.Reader) (stdout, stderr []byte, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	out, errs := c.bounded(cancel), c.bounded(cancel)
	err = c.runIn(ctx, command, stdin, out, errs)
	tail := errs.data[max(0, len(errs.data)-keptStderr):]
	return out.data, errs.data, c.commandError(ctx, command, err, string(tail))
}

func (c *Client) bounded(full context.CancelCauseFunc) *boundedBuffer {
	return &boundedBuffer{limit: orDefault(c.config.limits.output, maxOutput), full: full}
}

func (c *Client) runIn(ctx context.Context, command string, stdin io.Reader, stdout, stderr io.Writer) error {
	return c.inSession(ctx, func(session *ssh.Session) error {
		session.Stdin, session.Stdout, session.Stderr = stdin, stdout, stderr
		if err := session.Start(command); err != nil {
			return err
		}
		return ignoreUnreadInput(session.Wait())
	})
}

// ignoreUnreadInput: a command that ended well without reading all of its input has ended well.
func ignoreUnreadInput(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// inSession calls use with a new session and waits for it, or until ctx ends. When it returns, use has ended.
func (c *Client) inSession(ctx context.Context, use func(*ssh.Session) error) error {
	session, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer session.Close() //nolint:errcheck // usually closed by its end already
	done := make(chan error, 1)
	go func() { done <- use(session) }()
	select {
	case err := <-done:
		if cause := context.Cause(ctx); cause != nil && err != nil {
			return cause
		}
		return err
	case <-ctx.Done():
	}
	go func() { // both may block
		_ = session.Signal(ssh.SIGTERM) // some servers ignore it
		_ = session.Close()             // if it does not help, the connection is closed
	}()
	timer := time.NewTimer(orDefault(c.config.limits.grace, stopGrace))
	defer timer.Stop()
	select {
	case <-done: //nolint:errcheck // why it was stopped is the error
	case <-timer.C:
		c.giveUp(fmt.Errorf("closed because a command did not end: %w", context.Cause(ctx)))
		<-done //nolint:errcheck // as above
	}
	return context.Cause(ctx)
}

// open opens a session. When ctx ends before the host has answered, the connection is closed after a grace.
func (c *Client) open(ctx context.Context) (*ssh.Session, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	type result struct {
		session *ssh.Session
		err     error
	}
	opened := make(chan result, 1)
	go func() {
		session, err := c.conn.NewSession()
		opened <- result{session, err}
	}()
	select {
	case r := <-opened:
		return r.session, r.err
	case <-c.ended:
		// A session that is asked for while the connection ends is sometimes never answered by the library.
		return nil, c.lostCause()
	case <-ctx.Done():
	}
	timer := time.NewTimer(orDefault(c.config.limits.grace, stopGrace))
	defer timer.Stop()
	select {
	case r := <-opened:
		if r.err == nil {
			r.session.Close() //nolint:errcheck // not used
		}
	case <-c.ended:
	case <-timer.C:
		c.giveUp(fmt.Errorf("closed because the host did not open a session: %w", context.Cause(ctx)))
	}
	return nil, context.Cause(ctx)
}

// commandError names the command in err, and gives the library's errors their causes.
func (c *Client) commandError(ctx context.Context, command string, err error, stderr string) error {
	if err == nil {
		return nil
	}
	var exit *ssh.ExitError
	var missing *ssh.ExitMissingError
	var network *net.OpError
	switch {
	case context.Cause(ctx) != nil && errors.Is(err, context.Cause(ctx)): // whatever that did to the connection
	case errors.As(err, &exit):
		return &ExitError{CommandLine: c.commandLine(command), Status: exit.ExitStatus(), Signal: exit.Signal(), Stderr: stderr}
	case errors.As(err, &missing), errors.As(err, &network), errors.Is(err, io.EOF), c.lostCause() != nil:
		err = c.lostError(err)
	}
	return fmt.Errorf("%s: %w", c.commandLine(command), err)
}

// boundedBuffer keeps what is written, and ends the command when that gets too much. It must not have ReadFrom.
type boundedBuffer struct {
	data  []byte
	limit int
	full  context.CancelCauseFunc
}

func (b *boundedBuffer) Write(p []byte) (int, error) {
	if len(b.data)+len(p) > b.limit {
		err := fmt.Errorf("more than %d bytes of output", b.limit)
		b.full(err)
		return 0, err
	}
	b.data = append(b.data, p...)
	return len(p), nil
}

// tailBuffer keeps the last bytes that are written.
type tailBuffer struct {
	data  []byte
	limit int
}

func (b *tailBuffer) Write(p []byte) (int, error) {
	b.data = append(b.data, p...)
	if over := len(b.data) - b.limit; over > 0 {
		b.data = append(b.data[:0], b.data[over:]...)
	}
	return len(p), nil
}

func (b *tailBuffer) String() string { return string(b.data) }
