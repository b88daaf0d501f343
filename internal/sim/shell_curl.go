package sim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"
)

// runCurl is curl with one or more http and https URLs.
func runCurl(ctx context.Context, p *process) int {
	given, args, err := options(p.args, "s S m= o= w= k f I i silent show-error max-time= connect-timeout= output= write-out= insecure fail noproxy= H= 4 fail-early")
	if err != nil {
		fmt.Fprintf(p.stderr, "curl: %v\ncurl: try 'curl --help' for more information\n", err)
		return 2
	}
	if len(args) == 0 {
		fmt.Fprintln(p.stderr, "curl: no URL specified!")
		return 2
	}
	c := &client{p: p, agent: "curl/7.81.0", limit: 130 * time.Second} // the kernel's own for connecting
	if name, value, ok := strings.Cut(given["H"], ":"); ok && !strings.EqualFold(name, "Host") {
		return p.unknown("-H " + given["H"])
	} else if ok {
		c.host = strings.TrimSpace(value)
	}
	for _, flag := range []string{"m", "max-time", "connect-timeout"} {
		if v, ok := given[flag]; ok {
			d, err := duration(v)
			if err != nil {
				return p.usage(err)
			}
			c.limit = min(c.limit, d)
		}
	}
	status := 0
	for n, raw := range args {
		output := ""
		if n == 0 { // -o is for one URL
			output = given["o"] + given["output"]
		}
		status = c.curl(ctx, raw, given, output)
		if _, early := given["fail-early"]; early && status != 0 {
			break
		}
	}
	return status
}

// curl is one of curl's transfers; it returns curl's exit status.
func (c *client) curl(ctx context.Context, raw string, given map[string]string, output string) int {
	p := c.p
	if !strings.Contains(raw, "://") {
		raw = "http://" + raw
	}
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" {
		fmt.Fprintf(p.stderr, "curl: (3) URL using bad/illegal format or missing URL\n")
		return 3
	}
	r := c.fetch(ctx, u)
	status, message := curlError(r, u, c.limit)
	if r.err == nil && u.Scheme == "https" && !is(given, "k", "insecure") {
		status, message = 60, "SSL certificate problem: self-signed certificate in certificate chain"
		r.status = 0
	}
	if r.err == nil && r.status >= 400 && is(given, "f", "fail") {
		status, message = 22, fmt.Sprintf("The requested URL returned error: %d", r.status)
	}
	if status == 0 {
		body := r.body
		if is(given, "I", "i") {
			var head bytes.Buffer
			fmt.Fprintf(&head, "HTTP/1.1 %d %s\r\n", r.status, http.StatusText(r.status))
			if err := r.header.Write(&head); err != nil {
				return p.fail("%v", err)
			}
			head.WriteString("\r\n")
			if body = head.Bytes(); is(given, "i") {
				body = append(body, r.body...)
			}
		}
		switch output {
		case "":
			if _, err := p.stdout.Write(body); err != nil {
				return 23
			}
		case "/dev/null":
		default:
			if err := p.put(p.path(output), body, nil); err != nil {
				fmt.Fprintln(p.stderr, "curl: (23) Failure writing output to destination")
				return 23
			}
		}
	}
	if format := given["w"] + given["write-out"]; format != "" {
		code := fmt.Sprintf("%03d", r.status)
		text := strings.NewReplacer("%{http_code}", code, "%{response_code}", code, "%{time_total}", fmt.Sprintf("%.6f", r.took.Seconds()),
			"%{local_port}", fmt.Sprint(r.localPort), "%{num_connects}", fmt.Sprint(r.connects), "%{exitcode}", fmt.Sprint(status), `\n`, "\n", `\t`, "\t").Replace(format)
		if strings.Contains(text, "%{") {
			return p.unknown("-w " + format)
		}
		p.printf("%s", text)
	}
	if status != 0 && (!is(given, "s", "silent") || is(given, "S", "show-error")) {
		fmt.Fprintf(p.stderr, "curl: (%d) %s\n", status, message)
	}
	return status
}

// curlError is curl's exit status and message for a failed request.
func curlError(r fetched, u *url.URL, limit time.Duration) (int, string) {
	port := cmpString(u.Port(), map[string]string{"http": "80", "https": "443"}[u.Scheme])
	switch {
	case r.err == nil:
		return 0, ""
	case errors.Is(r.err, errNoName):
		return 6, "Could not resolve host: " + u.Hostname()
	case errors.Is(r.err, errLost):
		return 28, fmt.Sprintf("Connection timed out after %d milliseconds", limit.Milliseconds())
	case errnoOf(r.err) == syscall.ECONNREFUSED:
		return 7, fmt.Sprintf("Failed to connect to %s port %s after 0 ms: Connection refused", u.Hostname(), port)
	case errnoOf(r.err) == syscall.EHOSTUNREACH:
		return 7, fmt.Sprintf("Failed to connect to %s port %s after 3000 ms: No route to host", u.Hostname(), port)
	case errnoOf(r.err) == syscall.ENETUNREACH:
		return 7, fmt.Sprintf("Failed to connect to %s port %s after 0 ms: Network is unreachable", u.Hostname(), port)
	}
	return 56, r.err.Error()
}
