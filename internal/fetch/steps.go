package fetch

import (
	"fmt"
	"time"
)

// Steps puts the progress of a transfer into words: `what`, a tab, and bytes, rate and time left, several times a second at
// most. What follows the tab changes all the time; whoever prints the words decides how often. A wait is told as it is: `what: why`.
func Steps(step func(string), what string) Progress {
	m := meter{now: time.Now}
	return Progress{
		Bytes: func(done, total int64) {
			if text := m.text(done, total); text != "" {
				step(what + "\t" + text)
			}
		},
		Say: func(text string) { step(what + ": " + text) },
	}
}

const (
	meterEvery  = 200 * time.Millisecond // between two texts
	meterWindow = 10                     // seconds over which the rate is taken
)

// meter measures one transfer.
type meter struct {
	now     func() time.Time
	said    time.Time
	samples []sample // at least a second apart, the oldest first; the first of all is where the transfer began
}

type sample struct {
	at   time.Time
	done int64
}

// text says how far the transfer is; empty if that was said just now and the end is not reached.
func (m *meter) text(done, total int64) string {
	now := m.now()
	if len(m.samples) > 0 && done < m.samples[len(m.samples)-1].done {
		m.samples = nil // it began anew
	}
	if n := len(m.samples); n == 0 || now.Sub(m.samples[n-1].at) >= time.Second {
		m.samples = append(m.samples, sample{now, done})
		m.samples = m.samples[max(0, len(m.samples)-meterWindow-1):]
	}
	if now.Sub(m.said) < meterEvery && done != total {
		return ""
	}
	m.said = now
	const mib = 1 << 20
	unit, name := float64(mib), "MiB"
	if max(done, total) < mib {
		unit, name = 1<<10, "KiB"
	}
	text := fmt.Sprintf("%.1f %s", float64(done)/unit, name)
	if total > 0 {
		text = fmt.Sprintf("%.1f of %.1f %s (%d%%)", float64(done)/unit, float64(total)/unit, name, 100*done/total)
	}
	oldest := m.samples[0]
	elapsed := now.Sub(oldest.at).Seconds()
	if elapsed < 1 || done <= oldest.done {
		return text
	}
	rate := float64(done-oldest.done) / elapsed
	text += fmt.Sprintf(", %.1f MiB/s", rate/mib)
	if total > done {
		left := time.Duration(float64(total-done) / rate * float64(time.Second))
		text += fmt.Sprintf(", %v left", left.Round(time.Second))
	}
	return text
}
