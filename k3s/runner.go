package k3s

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"

	"github.com/labctl/labctl/internal/ssh"
)

// Runner runs a command on one node as its login user, who may use sudo without a password. An error with a method
// `ExitStatus() int` says that the command ran and exited non-zero; any other, that the node can't be reached.
type Runner interface {
	Run(ctx context.Context, command string, stdin io.Reader) (stdout []byte, err error)
}

// asRoot is the command that runs script as root with args as its $1, $2…
func asRoot(script string, args ...string) string {
	return ssh.Quote(append([]string{"sudo", "sh", "-c", script, "sh"}, args...)...)
}

// The pause between two attempts grows from the first to the second: a quick answer is seen at once, a slow machine isn't
// kept busy by the questions. An attempt that hangs is given up after attemptLimit and made again.
const (
	firstPause   = 200 * time.Millisecond
	lastPause    = 2 * time.Second
	attemptLimit = 2 * time.Minute
)

// notYet is a cause that time may cure.
type notYet string

func (e notYet) Error() string { return string(e) }

// until tries until it succeeds or ctx ends, and reports doing and the last cause. A command's non-zero exit, notYet, and an
// attempt that hung are tried again; any other error ends it. When ctx ends, the error is ctx's, joined with the last real cause.
func until(ctx context.Context, step func(string), doing string, try func(context.Context) error) error {
	step(doing)
	var last error
	for pause, shown := firstPause, ""; ; pause = min(2*pause, lastPause) {
		err := attempt(ctx, try)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			if !errors.Is(err, ctx.Err()) {
				last = err
			}
			return fmt.Errorf("%s: %w", doing, errors.Join(ctx.Err(), last))
		case !mayPass(err):
			return fmt.Errorf("%s: %w", doing, err)
		}
		last = err
		if why := cause(err); why != shown {
			shown = why
			step(doing + ": " + why)
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("%s: %w", doing, errors.Join(ctx.Err(), last))
		case <-timer.C:
		}
	}
}

func attempt(ctx context.Context, try func(context.Context) error) error {
	limited, cancel := context.WithTimeout(ctx, attemptLimit)
	defer cancel()
	err := try(limited)
	if err != nil && limited.Err() != nil && ctx.Err() == nil {
		return notYet(fmt.Sprintf("no answer within %s", attemptLimit))
	}
	return err
}

func mayPass(err error) bool {
	var exit interface{ ExitStatus() int }
	var wait notYet
	return errors.As(err, &exit) || errors.As(err, &wait)
}

var exitStatus = regexp.MustCompile(`exit status \d+:?\s*`)

// cause is the part of an error that fits on a line of progress: of a failed command, the last line it wrote.
func cause(err error) string {
	text := err.Error()
	if at := exitStatus.FindStringIndex(text); at != nil && at[1] < len(text) {
		text = text[at[1]:]
	}
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return clipMiddle(lines[len(lines)-1])
}

// clip shortens s to what a line of progress or an error can bear.
func clip(s string) string {
	const most = 240 // characters
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}
