package vbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

// grace is how long an interrupted VBoxManage may take to undo what it was doing before it is killed.
const grace = 10 * time.Second

// execFunc runs a command to its end. A non-zero exit is no error here.
type execFunc func(ctx context.Context, command, env []string) (output, error)

// execute is the execFunc that starts a program.
func execute(ctx context.Context, command, env []string) (output, error) {
	return executeGrace(ctx, command, env, grace)
}

// inProcess makes a seam of a function that answers in this process.
func inProcess(answer func(ctx context.Context, args []string, stdout, stderr io.Writer) int) execFunc {
	return func(ctx context.Context, command, _ []string) (output, error) {
		if err := ctx.Err(); err != nil {
			return output{}, err
		}
		var stdout, stderr bytes.Buffer
		exit := answer(ctx, command[1:], &stdout, &stderr)
		return output{stdout: stdout.String(), stderr: stderr.String(), exit: exit}, nil
	}
}

func executeGrace(ctx context.Context, command, env []string, grace time.Duration) (output, error) {
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Env = append(environment(os.Environ(), runtime.GOOS), env...)
	stdout, stderr := bounded{left: maxOutput}, bounded{left: maxOutput}
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	// A Ctrl-C is for this program, which then decides what to do with its children.
	ownGroup(cmd)
	cmd.Cancel = func() error { return interrupt(cmd.Process) }
	cmd.WaitDelay = grace

	err := cmd.Run()
	if ctx.Err() != nil && cmd.Process != nil {
		killGroup(cmd.Process)
	}
	out := output{stdout: stdout.String(), stderr: stderr.String()}
	if stdout.full || stderr.full {
		return out, fmt.Errorf("more than %d MiB of output", maxOutput>>20)
	}
	if cmd.ProcessState != nil {
		out.exit = cmd.ProcessState.ExitCode()
	}
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		return out, nil
	case errors.Is(err, exec.ErrWaitDelay): // it ended; a daemon that it started keeps the output open
		return out, nil
	case errors.Is(err, exec.ErrNotFound), errors.Is(err, os.ErrNotExist):
		return out, fmt.Errorf("%w: %w", errNotInstalled, err)
	}
	return out, err
}

// maxOutput is how many bytes of each output of a call are read: the longest, the settings of a machine, has a few thousand.
const maxOutput = 16 << 20

// bounded keeps what is written while there is room, and drops the rest.
type bounded struct {
	data bytes.Buffer // not embedded: its ReadFrom would go round Write
	left int
	full bool
}

func (b *bounded) String() string { return b.data.String() }

func (b *bounded) Write(p []byte) (int, error) {
	if len(p) > b.left {
		b.full = true
		return len(p), nil // the program may write on, and end as it likes
	}
	b.left -= len(p)
	return b.data.Write(p)
}

// environment makes VBoxManage speak English, whatever the user's locale: its messages are read. C.UTF-8 also keeps
// file names that are not ASCII; macOS and Windows have no locale of that name.
func environment(base []string, goos string) []string {
	locale := "C"
	if goos == "linux" {
		locale = "C.UTF-8"
	}
	env := make([]string, 0, len(base)+2)
	for _, v := range base {
		name, _, _ := strings.Cut(v, "=")
		if name != "LANG" && name != "LANGUAGE" && !strings.HasPrefix(name, "LC_") {
			env = append(env, v)
		}
	}
	return append(env, "LANG="+locale, "LC_ALL="+locale)
}
