package ssh

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// Pauses between two rounds of attempts, the first and the longest.
const (
	firstPause   = 250 * time.Millisecond
	longestPause = 2 * time.Second
)

// Wait tries the addresses in turn until one lets us in, and returns the connection and that address. step is told
// each new cause. ErrHostKey and unreadable files end the wait at once; everything else passes while a machine boots,
// a refused key included. When ctx ends, the error is ctx's joined with the last cause of each address.
func Wait(ctx context.Context, addrs []string, c Config, step func(string)) (*Client, string, error) {
	fail := func(err error) (*Client, string, error) {
		return nil, "", fmt.Errorf("waiting for SSH on %q: %w", strings.Join(addrs, ", "), err)
	}
	if len(addrs) == 0 {
		return fail(fmt.Errorf("%w: no address", ErrConfig))
	}
	settings, err := c.clientConfig()
	if err != nil {
		return fail(err)
	}
	causes := make([]error, len(addrs)) // the last one of each address
	said := ""
	for pause := orDefault(c.limits.poll, firstPause); ; pause = min(2*pause, longestPause) {
		client, addr, err := tryEach(ctx, addrs, c, settings, causes)
		if err == nil {
			return client, addr, nil
		}
		if errors.Is(err, ErrHostKey) {
			return fail(err)
		}
		if now := reasons(addrs, causes); ctx.Err() == nil && now != said {
			step("waiting for sshd: " + now)
			said = now
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return fail(fmt.Errorf("%w; last: %w", context.Cause(ctx), inOneLine(causes)))
		case <-timer.C:
		}
	}
}

// tryEach makes one attempt at each address and keeps its cause.
func tryEach(ctx context.Context, addrs []string, c Config, settings *ssh.ClientConfig, causes []error) (*Client, string, error) {
	for i, addr := range addrs {
		client, err := dial(ctx, withPort(addr), c, settings)
		if err == nil {
			return client, addr, nil
		}
		err = fmt.Errorf("%s: %w", addr, err)
		if errors.Is(err, ErrHostKey) {
			return nil, "", err
		}
		// What ctx's end made of an attempt says less than the attempt before.
		if ctx.Err() == nil || causes[i] == nil {
			causes[i] = err
		}
	}
	return nil, "", inOneLine(causes)
}

// inOneLine joins errors like errors.Join, but in one line. There is at least one.
func inOneLine(errs []error) error {
	joined := errs[0]
	for _, err := range errs[1:] {
		joined = fmt.Errorf("%w; %w", joined, err)
	}
	return joined
}

// reasons gives the short causes, with the addresses only if there are several.
func reasons(addrs []string, causes []error) string {
	var words []string
	for i, err := range causes {
		word := reason(err)
		if len(addrs) > 1 {
			word += " (" + addrs[i] + ")"
		}
		words = append(words, word)
	}
	return strings.Join(words, ", ")
}
