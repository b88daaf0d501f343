package provider

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestPollKeepsTheLastCause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		var steps []string
		err := poll(ctx, func() (bool, error) { return false, errors.New("still booting") }, func(s string) { steps = append(steps, s) })
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "still booting") {
			t.Errorf("%v", err)
		}
		if len(steps) != 1 {
			t.Errorf("an unchanged cause was told %d times", len(steps))
		}
	})
}

func TestPollStopsForGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("user-data is broken")
		tries := 0
		err := poll(t.Context(), func() (bool, error) {
			if tries++; tries < 3 {
				return false, errors.New("not yet")
			}
			return false, stop(broken)
		}, quiet)
		if !errors.Is(err, broken) || tries != 3 {
			t.Errorf("%d tries, %v", tries, err)
		}
	})
}

func TestWaitSaysHowLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		err := wait(t.Context(), 5*time.Minute, func(ctx context.Context) error {
			<-ctx.Done()
			return errors.Join(ctx.Err(), errors.New("connection refused"))
		})
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "not within 5m0s") || !strings.Contains(err.Error(), "connection refused") {
			t.Errorf("%v", err)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errors.New("interrupted"))
		if err := wait(ctx, time.Minute, func(ctx context.Context) error { return ctx.Err() }); strings.Contains(err.Error(), "not within") {
			t.Errorf("an interrupt looks like a deadline: %v", err)
		}
	})
}
