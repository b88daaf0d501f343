//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/gofrs/flock"
)

const (
	envReal  = "LABCTL_FRONT_VBOXMANAGE" // the real program
	envState = "LABCTL_FRONT_STATE"      // a folder of the front's own
)

func main() {
	f := &front{real: os.Getenv(envReal), dir: os.Getenv(envState), stdout: os.Stdout, stderr: os.Stderr}
	os.Exit(f.main(context.Background(), os.Args[1:]))
}

// front is one call.
type front struct {
	real           string // the real VBoxManage
	dir            string // where the front keeps what it knows
	stdout, stderr io.Writer
}

// refusal is an answer in VirtualBox's manner: lines for standard error, and the exit status.
type refusal struct {
	lines []string
	exit  int
}

func (r *refusal) Error() string { return strings.Join(r.lines, "\n") }

func (f *front) main(ctx context.Context, args []string) int {
	begun := time.Now()
	exit := f.answer(ctx, args)
	f.note(begun, args, exit)
	return exit
}

func (f *front) answer(ctx context.Context, args []string) int {
	if f.real == "" || f.dir == "" {
		fmt.Fprintf(f.stderr, "VBoxManage: error: front: %s and %s must be set\n", envReal, envState)
		return 1
	}
	exit, err := f.run(ctx, args)
	var r *refusal
	switch {
	case errors.As(err, &r):
		for _, line := range r.lines {
			fmt.Fprintf(f.stderr, "VBoxManage: error: %s\n", line)
		}
		return r.exit
	case err != nil:
		fmt.Fprintf(f.stderr, "VBoxManage: error: front: %v\n", err)
		return 1
	}
	return exit
}

// note keeps a record of the calls, for whoever looks for what went wrong.
func (f *front) note(begun time.Time, args []string, exit int) {
	log, err := os.OpenFile(filepath.Join(f.dir, "calls.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return
	}
	defer log.Close()
	fmt.Fprintf(log, "%s %6.2fs exit %d %q\n", begun.Format(time.TimeOnly), time.Since(begun).Seconds(), exit, args)
}

// run answers one call: what the front knows nothing about is the real program's.
func (f *front) run(ctx context.Context, args []string) (exit int, err error) {
	if f.dir, err = filepath.Abs(f.dir); err != nil { // QEMU works in another folder
		return 0, err
	}
	if err := os.MkdirAll(f.dir, 0o700); err != nil {
		return 0, err
	}
	if len(args) == 0 {
		return f.pass(ctx, args)
	}
	switch args[0] {
	case "list":
		return f.list(ctx, args)
	case "showvminfo":
		return f.showVMInfo(ctx, args)
	case "clonemedium", "convertfromraw", "createvm", "showmediuminfo", "getextradata", "setextradata", "--version", "-v":
		return f.pass(ctx, args) // long, or about nothing that runs
	}
	// The rest may change a machine, so it stands in line.
	lock := flock.New(filepath.Join(f.dir, "lock"))
	if err := lock.Lock(); err != nil {
		return 0, err
	}
	defer lock.Close()
	switch args[0] {
	case "startvm":
		return f.startVM(ctx, args)
	case "controlvm":
		return f.controlVM(ctx, args)
	case "discardstate":
		return f.discardState(ctx, args)
	case "snapshot":
		return f.snapshot(ctx, args)
	case "hostonlyif":
		return f.hostOnlyIf(ctx, args)
	}
	if err := f.guard(args); err != nil {
		return 0, err
	}
	exit, err = f.pass(ctx, args)
	if err == nil && exit == 0 {
		switch args[0] {
		case "unregistervm", "closemedium":
			err = f.sweep(ctx)
		}
	}
	return exit, err
}

// pass hands a call to the real program. Its streams are this one's.
func (f *front) pass(ctx context.Context, args []string) (exit int, err error) {
	cmd := exec.CommandContext(ctx, f.real, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, f.stdout, f.stderr
	return status(cmd.Run())
}

// ask makes a call of the real program for the front's own use. An answer other than success is a refusal with the same text.
// Calls side by side make VirtualBox fail by chance; those that only look are then made again.
func (f *front) ask(ctx context.Context, args ...string) (string, error) {
	const attempts = 6
	looks := args[0] == "list" || args[0] == "showvminfo" || len(args) > 2 && args[2] == "showvminfo"
	pause := 100 * time.Millisecond
	for attempt := 1; ; attempt++ {
		out, err := f.askOnce(ctx, args)
		if err == nil || !looks || attempt == attempts || !chance(err) {
			return out, err
		}
		select {
		case <-time.After(pause):
			pause *= 2
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
}

// chance says whether the same call may work a moment later.
func chance(err error) bool {
	for _, text := range []string{
		"The object is not ready", "already has a lock request pending", "was unlocked unexpectedly",
		"Operation failed (extended info not available)", "Failed to create the VirtualBox object",
	} {
		if strings.Contains(err.Error(), text) {
			return true
		}
	}
	return false
}

func (f *front) askOnce(ctx context.Context, args []string) (string, error) {
	var stdout, stderr strings.Builder
	cmd := exec.CommandContext(ctx, f.real, args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.WaitDelay = 5 * time.Second // VirtualBox's daemon, if it was started by this call, may keep the pipes
	exit, err := status(cmd.Run())
	if err == nil && exit != 0 {
		var lines []string
		for line := range strings.Lines(stderr.String()) {
			lines = append(lines, strings.TrimPrefix(strings.TrimSuffix(line, "\n"), "VBoxManage: error: "))
		}
		err = &refusal{lines, exit}
	}
	return stdout.String(), err
}

// status turns a non-zero exit into a number.
func status(err error) (exit int, _ error) {
	var e *exec.ExitError
	switch {
	case errors.As(err, &e):
		return e.ExitCode(), nil
	case errors.Is(err, exec.ErrWaitDelay):
		return 0, nil
	}
	return 0, err
}
