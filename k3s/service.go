package k3s

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// waitActive waits until the service is active. Until then the cause is what k3s's journal complains of.
func waitActive(ctx context.Context, r Runner, n Node, s Settings, as role, step func(string)) error {
	last := ""
	return until(ctx, step, fmt.Sprintf("waiting for %s on %q", as.service(), n.Name), func(ctx context.Context) error {
		out, err := r.Run(ctx, asRoot(progress, as.service()), nil)
		if err != nil {
			return err
		}
		state, journal, _ := strings.Cut(string(out), "\n")
		if state == "active" {
			return nil
		}
		// Right after a start the journal says nothing: what it said before is still the best answer.
		if why := complaint(journal); why != "" {
			last = why
		}
		if last == "" {
			return notYet("it is " + state)
		}
		return notYet(redact(last, s.Token))
	})
}

var (
	logrusLine = regexp.MustCompile(`level=(\w+) msg=("(?:[^"\\]|\\.)*")`)
	klogError  = regexp.MustCompile(`^[EF]\d{4} [0-9:.]+ +\d+ [^]]*\] (.*)$`)
)

// complaint is the reason in a journal why k3s isn't up: the last error since the service was last started, else the last line.
// Its lines have three forms: logrus (level=error msg="…"), klog (E1122 …] …), and systemd's own lines.
func complaint(journal string) string {
	lines := strings.Split(strings.TrimSpace(journal), "\n")
	for i := len(lines) - 1; i >= 0; i-- {
		if strings.HasPrefix(lines[i], "Starting ") {
			lines = lines[i+1:]
			break
		}
	}
	last, lastError := "", ""
	for _, line := range lines {
		last = strings.TrimSpace(line)
		if m := logrusLine.FindStringSubmatch(line); m != nil {
			if text, err := strconv.Unquote(m[2]); err == nil {
				last = text
			}
			if m[1] == "error" || m[1] == "fatal" {
				lastError = last
			}
		} else if m := klogError.FindStringSubmatch(line); m != nil {
			last, lastError = m[1], m[1]
		}
	}
	if lastError != "" {
		last = lastError
	}
	return clip(last)
}

var tokenText = regexp.MustCompile(`K10[0-9a-f]{64}::[^\s"']+`)

// redact takes tokens out of text that another program wrote.
func redact(text, token string) string {
	if token != "" {
		text = strings.ReplaceAll(text, token, "[token]")
	}
	return tokenText.ReplaceAllString(text, "[token]")
}
