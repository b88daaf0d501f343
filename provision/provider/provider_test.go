package provider

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

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
