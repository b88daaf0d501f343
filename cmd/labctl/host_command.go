package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

// hostCommandLimit is how long a small program of this computer's, such as ip, may take; PowerShell takes seconds to begin.
const hostCommandLimit = 20 * time.Second

// hostCommand runs such a program and returns what it printed; its error has what it complained of.
func hostCommand(ctx context.Context, name string, args ...string) ([]byte, error) {
	return hostCommandWithin(ctx, hostCommandLimit, name, args...)
}

func hostCommandWithin(ctx context.Context, limit time.Duration, name string, args ...string) ([]byte, error) {
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	cmd := exec.CommandContext(limited, name, args...)
	cmd.WaitDelay = time.Second // a child of its own may hold its output open
	out, err := cmd.Output()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return out, nil
	case ctx.Err() != nil:
		return out, ctx.Err()
	case limited.Err() != nil:
		return out, fmt.Errorf("%s did not end within %s", strings.Join(cmd.Args, " "), limit)
	case errors.As(err, &exit) && len(exit.Stderr) > 0:
		return out, fmt.Errorf("%w: %s", err, strings.TrimSpace(string(exit.Stderr)))
	}
	return out, err
}
