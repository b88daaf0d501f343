package main

import (
	"context"
	"errors"
)

// Exit statuses, as in `labctl help exit-codes`.
const (
	exitOK          = 0
	exitFailed      = 1   // a check failed, or doctor found a blocker
	exitUsage       = 2   // usage, a bad file, or not confirmed
	exitUnable      = 3   // could not do it, or could not determine
	exitTimeout     = 4   // a wait ran out
	exitInterrupted = 130 // Ctrl-C
)

const exitCodesHelp = `labctl's exit status says what happened:

  0    done, or all selected checks passed
  1    a check failed, or doctor found a blocker
  2    wrong usage, a bad file, or not confirmed
  3    could not do it, or could not determine (a check is unknown, there is no lab, another labctl is at work)
  4    a wait ran out
  130  interrupted

ssh NODE -- COMMAND returns the command's own status.`

// exitError is an error that knows its exit status, and what the user can do about it.
type exitError struct {
	status int
	err    error
	hint   string
	quiet  bool // the reason was printed already
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

// usage marks an error as the user's to mend. An error that knows its status keeps it.
func usage(err error) error {
	if e := (*exitError)(nil); errors.As(err, &e) {
		return err
	}
	return &exitError{status: exitUsage, err: err}
}

// hinted adds the command to run next.
func hinted(status int, err error, hint string) error {
	return &exitError{status: status, err: err, hint: hint}
}

// timedOut gives a wait that ran out its own status; other errors stay as they are.
func timedOut(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return &exitError{status: exitTimeout, err: err}
	}
	return err
}

// errQuiet ends a command with a status whose reason was printed already.
func errQuiet(status int) error {
	return &exitError{status: status, err: errors.New("see above"), quiet: true}
}

// statusOf finds the exit status for the error of a command.
func statusOf(ctx context.Context, err error) int {
	var e *exitError
	switch {
	case err == nil:
		return exitOK
	case errors.Is(context.Cause(ctx), errInterrupted):
		return exitInterrupted
	case errors.As(err, &e):
		return e.status
	}
	return exitUnable
}
