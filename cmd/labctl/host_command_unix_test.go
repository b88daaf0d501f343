//go:build unix

package main

import (
	"context"
	"errors"
	"os/exec"
	"strings"
	"testing"
	"time"
)

func TestHostCommand(t *testing.T) {
	t.Parallel()
	if out, err := hostCommand(t.Context(), "sh", "-c", "echo routes"); err != nil || string(out) != "routes\n" {
		t.Errorf("%q, %v", out, err)
	}
	var exit *exec.ExitError
	_, err := hostCommand(t.Context(), "sh", "-c", "echo no right >&2; exit 2")
	if !errors.As(err, &exit) || exit.ExitCode() != 2 || !strings.Contains(err.Error(), "no right") {
		t.Errorf("a complaint: %v", err)
	}
	// A child that holds the output open does not keep anybody waiting.
	begun := time.Now()
	_, err = hostCommandWithin(t.Context(), 50*time.Millisecond, "sh", "-c", "sleep 30 & sleep 300")
	if err == nil || !strings.Contains(err.Error(), "did not end within 50ms") || time.Since(begun) > 20*time.Second {
		t.Errorf("stuck: %v after %s", err, time.Since(begun))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := hostCommand(ctx, "sleep", "300"); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
}
