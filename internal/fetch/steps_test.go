package fetch

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestMeter(t *testing.T) {
	const mib = 1 << 20
	now := time.Unix(0, 0)
	m := meter{now: func() time.Time { return now }}
	var got []string
	for _, at := range []struct {
		after       time.Duration
		done, total int64
	}{
		{0, 10 * mib, 100 * mib}, // resumed: these were there before
		{100 * time.Millisecond, 11 * mib, 100 * mib},
		{900 * time.Millisecond, 12 * mib, 100 * mib},
		{time.Second, 14 * mib, 100 * mib},
		{20 * time.Second, 54 * mib, 100 * mib},
		{10 * time.Millisecond, 100 * mib, 100 * mib},
		{time.Second, 1 * mib, -1}, // anew, of unknown length
		{2 * time.Second, 5 * mib, -1},
	} {
		now = now.Add(at.after)
		got = append(got, m.text(at.done, at.total))
	}
	want := []string{
		"10.0 of 100.0 MiB (10%)",
		"",
		"12.0 of 100.0 MiB (12%), 2.0 MiB/s, 44s left",
		"14.0 of 100.0 MiB (14%), 2.0 MiB/s, 43s left",
		"54.0 of 100.0 MiB (54%), 2.0 MiB/s, 23s left",
		"100.0 of 100.0 MiB (100%), 4.1 MiB/s",
		"1.0 MiB",
		"5.0 MiB, 2.0 MiB/s",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	m = meter{now: func() time.Time { return now }}
	if got := m.text(4096, 65536); got != "4.0 of 64.0 KiB (6%)" {
		t.Errorf("a small file: %q", got)
	}
	// Only the last ten seconds count.
	m = meter{now: func() time.Time { return now }}
	for i := range 31 {
		now = now.Add(time.Second)
		m.text(int64(min(i, 15))*mib, 100*mib)
	}
	now = now.Add(time.Second)
	if got := m.text(16*mib, 100*mib); got != "16.0 of 100.0 MiB (16%), 0.1 MiB/s, 14m0s left" {
		t.Errorf("after a pause: %q", got)
	}
}
