package vbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"time"
)

// Options says how VBoxManage is called. The zero value of a field means its default.
type Options struct {
	// Command is the program and its leading arguments; by default VBoxManage from PATH.
	Command []string
	// InProcess, if not nil, answers each call in place of a program: a simulation that need not be started anew every time.
	// It ends with ctx.
	InProcess func(ctx context.Context, args []string, stdout, stderr io.Writer) (exit int)
	// Env is added to the environment of this process.
	Env []string
	// GOOS is the operating system VirtualBox runs on; by default this one's. It decides which kind of host-only network is used.
	GOOS string
	// Timeout limits each call; by default 2 minutes. Calls that copy whole disks get at least 30 minutes.
	Timeout time.Duration
}

// Client makes calls of VBoxManage. It may be used by several goroutines at once.
type Client struct {
	command []string
	env     []string
	goos    string
	timeout time.Duration

	// exec is the one seam to the outside; tests replace it.
	exec execFunc
	// poll is how long to wait between two looks at something that changes by itself; retry, before the first repetition.
	poll, retry time.Duration
	// serial is held during several calls that belong together, such as making an adapter and finding it.
	serial chan struct{}
	// turn is held during every call that doesn't copy disks: overlapping calls of one user fail or hang by chance
	// (VirtualBox 7.2.22: of 640 calls by 5 clients 39 failed, most with "The object is not ready", and 10 hung for 10 s).
	turn chan struct{}
}

// New returns a Client. It runs nothing.
func New(o Options) *Client {
	c := &Client{
		command: o.Command,
		env:     o.Env,
		goos:    o.GOOS,
		timeout: o.Timeout,
		exec:    execute,
		poll:    time.Second,
		retry:   200 * time.Millisecond,
		serial:  make(chan struct{}, 1),
		turn:    make(chan struct{}, 1),
	}
	if o.InProcess != nil {
		c.command, c.exec = nil, inProcess(o.InProcess)
	}
	if len(c.command) == 0 {
		c.command = []string{"VBoxManage"}
	}
	if c.goos == "" {
		c.goos = runtime.GOOS
	}
	if c.timeout == 0 {
		c.timeout = 2 * time.Minute
	}
	return c
}

// output is what a finished process left.
type output struct {
	stdout, stderr string
	exit           int
}

const (
	attempts     = 7 // of a call
	operations   = 3 // attempts of what whole repeats
	diskTimeout  = 30 * time.Minute
	netctlFailed = "failed to open /dev/vboxnetctl"
)

// run makes one call and returns its standard output, without the warnings of the wrapper script and with plain line ends.
// A call that may be repeated is, while the answer is errTransient: seven times within about twelve seconds, since another program
// may be at work on VirtualBox.
func (c *Client) run(ctx context.Context, a args) (string, error) {
	pause := c.retry
	for attempt := 1; ; attempt++ {
		stdout, err := c.call(ctx, a)
		if err == nil || attempt == attempts || !repeatable(a) || !errors.Is(err, errTransient) {
			return stdout, err
		}
		if wait(ctx, pause) != nil {
			return stdout, err
		}
		pause *= 2
	}
}

// whole repeats an operation of several calls, while one that may not be repeated by itself meets errTransient. The operation looks at
// what is there before it changes anything, and so finds out what the failed call has done.
func (c *Client) whole(ctx context.Context, operation func() error) error {
	pause := c.retry
	for attempt := 1; ; attempt++ {
		err := operation()
		if err == nil || attempt == operations || !errors.Is(err, errTransient) || wait(ctx, pause) != nil {
			return err
		}
		pause *= 2
	}
}

// alone is run for calls that VirtualBox cannot run side by side: two imports or two new adapters at once fail or
// mix up their results. They stand in line within this process.
func (c *Client) alone(ctx context.Context, a args) (string, error) {
	release, err := hold(ctx, c.serial)
	if err != nil {
		return "", err
	}
	defer release()
	return c.run(ctx, a)
}

// hold waits until nobody else holds lock, and holds it.
func hold(ctx context.Context, lock chan struct{}) (release func(), err error) {
	select {
	case lock <- struct{}{}:
		return func() { <-lock }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (c *Client) call(ctx context.Context, a args) (string, error) {
	limit := c.timeout
	if copiesDisks(a) {
		limit = max(limit, diskTimeout)
	} else {
		release, err := hold(ctx, c.turn)
		if err != nil {
			return "", fmt.Errorf("VBoxManage %s: %w", a[0], err)
		}
		defer release()
	}
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()

	command := append(append([]string{}, c.command...), a...)
	out, err := c.exec(limited, command, c.env)
	out.stdout = cutWarnings(plainLines(out.stdout))
	out.stderr = plainLines(out.stderr)

	switch {
	case ctx.Err() != nil:
		return "", fmt.Errorf("VBoxManage %s: %w", a[0], ctx.Err())
	case limited.Err() != nil:
		return "", fmt.Errorf("VBoxManage %s: no answer within %s: %w", a[0], limit, limited.Err())
	case err != nil:
		return "", fmt.Errorf("VBoxManage %s: %w", a[0], err)
	case out.exit != 0 || printsError(out.stderr):
		return out.stdout, newError(command, a, out)
	}
	return out.stdout, nil
}

// repeatable says whether a call does the same when it is made twice.
func repeatable(a args) bool {
	switch a[0] {
	case "--version", "list", "showvminfo", "showmediuminfo", "getextradata", "setextradata",
		"storageattach", "closemedium", "unregistervm", "discardstate":
		return true
	case "modifyvm": // but a NAT rule is added, not set
		return len(a) > 2 && !strings.HasPrefix(a[2], "--nat-pf")
	case "controlvm":
		return len(a) > 2 && strings.HasPrefix(a[2], "setlinkstate")
	case "snapshot":
		return len(a) > 2 && a[2] == "list"
	case "hostonlyif": // not create, and not remove: somebody may have made another one of that name meanwhile
		return a[1] == "ipconfig"
	}
	return false
}

// copiesDisks says whether a call may take as long as a disk is large.
func copiesDisks(a args) bool {
	switch a[0] {
	case "convertfromraw", "clonemedium", "modifymedium":
		return true
	case "snapshot":
		return len(a) > 2 && a[2] != "list"
	}
	return false
}

// printsError finds the failures that VBoxManage reports without an exit status.
func printsError(stderr string) bool {
	for line := range strings.Lines(stderr) {
		if _, ok := errorLine(line); ok || strings.Contains(line, netctlFailed) {
			return true
		}
	}
	return false
}

// wait returns after d, or earlier with the context's error.
func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
