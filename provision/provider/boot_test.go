package provider

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/labctl/labctl/internal/labdir"
)

func TestPollKeepsTheLastCause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		var steps []string
		err := poll(ctx, func() error { return errors.New("still booting") }, func(s string) { steps = append(steps, s) })
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
		tries := 0
		err := poll(t.Context(), func() error {
			if tries++; tries < 3 {
				return errors.New("not yet")
			}
			return fmt.Errorf("%w: user-data is broken", errCloudInit)
		}, quiet)
		if !errors.Is(err, errCloudInit) || tries != 3 {
			t.Errorf("%d tries, %v", tries, err)
		}
	})
}

func TestConsoleTail(t *testing.T) {
	m := labdir.At(t.TempDir(), "lab").Machine("cp1")
	if err := os.MkdirAll(m.Path, 0o700); err != nil {
		t.Fatal(err)
	}
	if got := consoleTail(m); got != " (nothing was written to it)" {
		t.Errorf("without a console: %q", got)
	}
	const complaint = "[   21.3] cloud-init[301]: 2026-11-22 16:01:02,345 - util.py[WARNING]: Failed loading yaml blob. Invalid format at line 2"
	text := "GRUB\r\n" + complaint + "\r\n" + strings.Repeat("[  OK  ] Started something.\r\n", 100) + "\x1b[0;1;39mlogin:"
	if err := os.WriteFile(m.SerialLog(), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	got := consoleTail(m)
	if !strings.Contains(got, "\ncloud-init said: "+complaint+";\n") || !strings.HasSuffix(got, "\nlogin:") || strings.Contains(got, "GRUB") {
		t.Errorf("the tail is %q", got)
	}
}
