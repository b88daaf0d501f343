package sim

import (
	"strconv"
	"strings"
	"testing"
	"time"
)

// A clock that nothing sets keeps what it was set to, until it is set by the network's time again.
func TestClock(t *testing.T) {
	l := newLab(t)
	l.machine(0)
	l.up(0)
	ahead := func() time.Duration {
		t.Helper()
		seconds, err := strconv.ParseInt(strings.TrimSpace(l.run(0, "date +%s")), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return time.Until(time.Unix(seconds, 0)).Round(time.Minute)
	}
	const show = "timedatectl show -p NTP --value; systemctl is-active systemd-timesyncd || true"
	l.fails(0, "timedatectl set-ntp false", 1, "authentication required")
	l.fails(0, "sudo timedatectl set-ntp perhaps", 1, "Failed to parse NTP setting 'perhaps'")
	l.fails(0, "sudo timedatectl set-time '12:00:00'", 1, "Automatic time synchronization is enabled")
	l.run(0, "sudo timedatectl set-ntp false")
	if got := l.run(0, show); got != "no\ninactive\n" {
		t.Errorf("without NTP: %q", got)
	}
	l.run(0, "sudo date -s @"+strconv.FormatInt(time.Now().Add(10*time.Minute).Unix(), 10))
	if got := ahead(); got != 10*time.Minute {
		t.Errorf("ahead by %s", got)
	}
	l.run(0, "sudo timedatectl set-time '"+time.Now().UTC().Add(-time.Hour).Format("2006-01-02 15:04:05")+"'")
	if got := ahead(); got != -time.Hour {
		t.Errorf("ahead by %s", got)
	}
	l.run(0, "sudo timedatectl set-ntp true")
	if got := l.run(0, show); got != "yes\nactive\n" || ahead() != 0 {
		t.Errorf("with NTP: %q, ahead by %s", got, ahead())
	}
}
