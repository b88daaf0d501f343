package ssh

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Pauses between two attempts, the first and the longest.
const (
	firstPause   = 250 * time.Millisecond
	longestPause = 2 * time.Second
)

// Wait dials addr until it lets us in. step is told each new cause. ErrHostKey and ErrConfig end the wait at once; everything else
// passes while a machine boots, a refused key included. When ctx ends, the error is ctx's joined with the last cause.
func Wait(ctx context.Context, addr string, c Config, step func(string)) (*Client, error) {
	addr = withPort(addr)
	client, err := wait(ctx, addr, c, step)
	if err != nil {
		return nil, fmt.Errorf("waiting for SSH on %q: %w", addr, err)
	}
	return client, nil
}

func wait(ctx context.Context, addr string, c Config, step func(string)) (*Client, error) {
	settings, err := c.clientConfig()
	if err != nil {
		return nil, err
	}
	var last error
	said := ""
	for pause := orDefault(c.limits.poll, firstPause); ; pause = min(2*pause, longestPause) {
		client, err := dial(ctx, addr, c, settings)
		if err == nil {
			return client, nil
		}
		if errors.Is(err, ErrHostKey) {
			return nil, err
		}
		// What ctx's end made of an attempt says less than the attempt before.
		if ctx.Err() == nil || last == nil {
			last = err
		}
		if now := reason(last); ctx.Err() == nil && now != said {
			step("waiting for sshd: " + now)
			said = now
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil, fmt.Errorf("%w; last: %w", context.Cause(ctx), last)
		case <-timer.C:
		}
	}
}
