package sim

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// clock is what the guest takes for the time.
func (g *guest) clock() time.Time { return time.Now().Add(g.state.Clock) }

func (p *process) setClock(ahead time.Duration) int {
	if p.session.user != "root" {
		return p.fail("cannot set date: Operation not permitted")
	}
	if err := p.guest.update(func(st *guestState) { st.Clock = ahead }); err != nil {
		return p.fail("%v", err)
	}
	return 0
}

// runDate is date [-u] [-s TIME] [+FORMAT].
func runDate(_ context.Context, p *process) int {
	given, args, err := options(p.args, "u s= utc set= d= date=")
	if err != nil || len(args) > 1 {
		return p.unknown(strings.Join(p.args, " "))
	}
	at := p.guest.clock().UTC()
	if text := given["s"] + given["set"] + given["d"] + given["date"]; text != "" {
		wanted, ok := parseDate(text, at)
		if !ok {
			return p.fail("invalid date ‘%s’", text)
		}
		if is(given, "s", "set") {
			if status := p.setClock(p.guest.state.Clock + wanted.Sub(at)); status != 0 {
				return status
			}
		}
		at = wanted.UTC()
	}
	if len(args) == 0 {
		p.printf("%s\n", at.Format("Mon Jan _2 15:04:05 UTC 2006"))
		return 0
	}
	if args[0] == "" || args[0][0] != '+' {
		return p.fail("invalid date ‘%s’", args[0])
	}
	text, ok := filled(args[0][1:], map[byte]string{'s': fmt.Sprint(at.Unix()), 'N': fmt.Sprintf("%09d", at.Nanosecond()), 'F': at.Format("2006-01-02"),
		'T': at.Format("15:04:05"), 'Y': at.Format("2006"), 'm': at.Format("01"), 'd': at.Format("02"), 'H': at.Format("15"),
		'M': at.Format("04"), 'S': at.Format("05"), 'Z': "UTC", 'z': "+0000"})
	if !ok {
		return p.unknown(args[0])
	}
	p.printf("%s\n", text)
	return 0
}

// parseDate knows @SECONDS, a day with or without a time, a time of today, and "[+-]N UNIT[s] [ago]".
func parseDate(text string, now time.Time) (time.Time, bool) {
	if seconds, ok := strings.CutPrefix(text, "@"); ok {
		f, err := strconv.ParseFloat(seconds, 64)
		return time.Unix(0, int64(f*1e9)), err == nil
	}
	for _, layout := range []string{"2006-01-02 15:04:05", "2006-01-02T15:04:05", time.RFC3339, "2006-01-02 15:04", "2006-01-02", "Mon Jan _2 15:04:05 UTC 2006"} {
		if t, err := time.ParseInLocation(layout, text, time.UTC); err == nil {
			return t, true
		}
	}
	if t, err := time.Parse("15:04:05", text); err == nil {
		return time.Date(now.Year(), now.Month(), now.Day(), t.Hour(), t.Minute(), t.Second(), 0, time.UTC), true
	}
	words := strings.Fields(text)
	if len(words) > 0 && words[0] == "now" {
		words = words[1:]
	}
	sign := 1
	if len(words) > 0 && words[len(words)-1] == "ago" {
		sign, words = -1, words[:len(words)-1]
	}
	if len(words) == 0 {
		return now, sign == 1
	}
	if len(words) == 3 && (words[0] == "+" || words[0] == "-") {
		words = []string{words[0] + words[1], words[2]}
	}
	if len(words) != 2 {
		return now, false
	}
	n, err := strconv.Atoi(words[0])
	unit, ok := map[string]time.Duration{"second": time.Second, "sec": time.Second, "minute": time.Minute, "min": time.Minute, "hour": time.Hour,
		"day": 24 * time.Hour, "week": 7 * 24 * time.Hour}[strings.TrimSuffix(words[1], "s")]
	return now.Add(time.Duration(sign*n) * unit), err == nil && ok
}

// timeSync is the service that sets the clock by the network's time.
const timeSync = "systemd-timesyncd"

// runTimedatectl is timedatectl show, set-ntp and set-time.
func runTimedatectl(ctx context.Context, p *process) int {
	given, args, err := options(p.args, "p= property= value")
	if err != nil {
		return p.usage(err)
	}
	said := func(format string, args ...any) int {
		fmt.Fprintf(p.stderr, format+"\n", args...)
		return 1
	}
	if len(args) == 2 && p.session.user != "root" {
		return said("Failed to %s: Interactive authentication required.", strings.Replace(args[0], "-", " ", 1))
	}
	synced := p.guest.unit(timeSync).State == "active"
	switch {
	case len(args) == 2 && args[0] == "set-ntp":
		return p.setNTP(ctx, args[1])
	case len(args) == 2 && args[0] == "set-time" && synced:
		return said("Failed to set time: Automatic time synchronization is enabled")
	case len(args) == 2 && args[0] == "set-time":
		at := p.guest.clock().UTC()
		wanted, ok := parseDate(args[1], at)
		if !ok {
			return said("Failed to parse time specification '%s': Invalid argument", args[1])
		}
		return p.setClock(p.guest.state.Clock + wanted.Sub(at))
	case len(args) != 1 || args[0] != "show":
		return p.unknown(strings.Join(p.args, " "))
	}
	now := p.guest.clock().UTC().Format("Mon 2006-01-02 15:04:05 UTC")
	yes := map[bool]string{true: "yes", false: "no"}[synced]
	wanted := given["p"] + given["property"]
	for _, kv := range [][2]string{
		{"Timezone", "Etc/UTC"}, {"LocalRTC", "no"}, {"CanNTP", "yes"}, {"NTP", yes}, {"NTPSynchronized", yes}, {"TimeUSec", now}, {"RTCTimeUSec", now},
	} {
		switch {
		case wanted != "" && wanted != kv[0]:
		case is(given, "value"):
			p.printf("%s\n", kv[1])
		default:
			p.printf("%s=%s\n", kv[0], kv[1])
		}
	}
	return 0
}

// setNTP enables or disables the service that keeps the time, also for later boots.
func (p *process) setNTP(ctx context.Context, word string) int {
	on, known := map[string]bool{"true": true, "yes": true, "1": true, "on": true, "false": false, "no": false, "0": false, "off": false}[word]
	if !known {
		fmt.Fprintf(p.stderr, "Failed to parse NTP setting '%s': Invalid argument\n", word)
		return 1
	}
	err := p.guest.update(func(st *guestState) { st.Unsynced = !on })
	switch {
	case err != nil:
	case on:
		err = p.guest.startUnit(ctx, timeSync, time.Now())
	default:
		err = p.guest.stopUnit(timeSync, time.Now())
	}
	if err != nil {
		return p.fail("%v", err)
	}
	return 0
}
