package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"strings"
)

// listRoutes returns what asks this machine, or the simulated host, for its routes as `ip -j route` prints them; nil on systems where
// labctl knows no way.
func (s *session) listRoutes() func(context.Context) ([]byte, error) {
	switch {
	case s.world != nil:
		return s.world.HostRoutes
	case runtime.GOOS != "linux":
		return nil
	}
	return func(ctx context.Context) ([]byte, error) {
		out, err := exec.CommandContext(ctx, "ip", "-j", "route").Output()
		var exit *exec.ExitError
		if errors.As(err, &exit) && len(exit.Stderr) > 0 {
			err = fmt.Errorf("%w: %s", err, strings.TrimSpace(string(exit.Stderr)))
		}
		return out, err
	}
}
