package collect

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/labctl/labctl/checks"
)

// parseProbes reads every HTTP request that was made: by curl on a node, by wget in a pod, by labctl on the host.
func parseProbes(e *Evidence, c checks.Cluster) []checks.Probe {
	var probes []checks.Probe
	for _, i := range e.Items {
		if p, ok := parseProbe(i, c); ok {
			probes = append(probes, p)
		}
	}
	return probes
}

var (
	curlLine = regexp.MustCompile(`^curl .*?(https?://[^\s'"]+)['"]?$`)
	curlHost = regexp.MustCompile(` -H 'Host: ([a-z0-9.-]+)' `)
	wgetLine = regexp.MustCompile(`^wget -q -T \d+ -O - (http://\S+)$`)
)

// parseProbe reads one request. It returns false for any other command.
func parseProbe(i Item, c checks.Cluster) (checks.Probe, bool) {
	p := checks.Probe{Where: i.Where, From: checks.Source{Where: i.Where, Command: i.Command}, Took: i.Took}
	var address string
	if at, ok := parsePodCommand(i.Command); ok {
		m := wgetLine.FindStringSubmatch(at.inner)
		if m == nil {
			return checks.Probe{}, false
		}
		p.Pod, address = at.namespace+"/"+at.pod, m[1]
		p.Where = podNode(c, at.namespace, at.pod)
	} else if n := curlLine.FindStringSubmatch(i.Command); n != nil && !strings.Contains(i.Command, "%{local_port}") {
		address = n[1]
		if m := curlHost.FindStringSubmatch(i.Command); m != nil {
			p.Asked = m[1]
		}
	} else {
		return checks.Probe{}, false
	}
	if u, err := url.Parse(address); err == nil && p.Pod != "" && u.Hostname() == checks.WebName {
		p.Name = checks.WebName
	} else {
		target, nonce, err := parseTarget(address)
		if err != nil {
			return checks.Probe{}, false
		}
		p.Target, p.Nonce = target, nonce
	}
	switch {
	case i.Err != "":
		p.Why = i.problem()
	case p.Pod != "":
		readWget(&p, i)
	default:
		readCurl(&p, i)
	}
	return p, true
}

func podNode(c checks.Cluster, namespace, name string) string {
	for _, p := range c.Pods.Value {
		if p.Namespace == namespace && p.Name == name {
			return p.Node
		}
	}
	return ""
}

func parseTarget(address string) (netip.AddrPort, string, error) {
	u, err := url.Parse(address)
	if err != nil {
		return netip.AddrPort{}, "", err
	}
	addr, err := netip.ParseAddr(u.Hostname())
	if err != nil {
		return netip.AddrPort{}, "", err
	}
	port := uint64(80)
	if u.Scheme == "https" {
		port = 443
	}
	if u.Port() != "" {
		if port, err = strconv.ParseUint(u.Port(), 10, 16); err != nil {
			return netip.AddrPort{}, "", err
		}
	}
	return netip.AddrPortFrom(addr, uint16(port)), u.Query().Get("nonce"), nil
}

// Exit statuses from here on are the shell's: the program could not be run, or a signal ended it.
const exitShell = 126

// readCurl reads how a curl ended. Only statuses that tell of the network count; others are about curl itself.
func readCurl(p *checks.Probe, i Item) {
	p.Why = firstLine(i.Stderr)
	p.Body = string(i.Stdout)
	if strings.Contains(i.Command, "%{http_code} %{time_total}") {
		body, status, took, err := parseCurlOutput(i.Stdout)
		if err != nil {
			p.Why = i.Where + ": " + err.Error()
			return
		}
		p.Body, p.Status, p.Took = string(body), status, took
	}
	switch i.Exit {
	case 0:
		// That curl was content says nothing of the answer: it is so with an error's page, too.
		if p.Status == 0 && !knownPage(p.Body) {
			p.Why = fmt.Sprintf("%s: the answer's HTTP status was not told: add -w '\\n%%{http_code} %%{time_total}\\n' to %s", i.Where, i.Command)
			break
		}
		p.Outcome = checks.Answered
	case curlNotConnected:
		p.Outcome = checks.Refused
	case curlTimedOut:
		p.Outcome = checks.TimedOut
	case 18, 52, curlBroken: // a part of the answer only, an empty answer, a reset
		p.Outcome = checks.Failed
	default:
		p.Why = i.problem()
	}
	if by, err := parseWhoami([]byte(p.Body)); err == nil {
		p.By = by
	}
	if i.Exit != 0 && p.Why == "" {
		p.Why = fmt.Sprintf("curl: exit status %d", i.Exit)
	}
}

// knownPage says whether an answer is the page of one of the demo's programs, which only a good answer holds.
func knownPage(body string) bool {
	_, err := parseWhoami([]byte(body))
	return err == nil || strings.Contains(body, "<title>Welcome to nginx!</title>")
}

// parseCurlOutput reads what curl -w '%{http_code} %{time_total}' prints last, and the body before it.
func parseCurlOutput(out []byte) (body []byte, status int, took time.Duration, err error) {
	trimmed := bytes.TrimRight(out, "\n")
	last := trimmed
	if i := bytes.LastIndexByte(trimmed, '\n'); i >= 0 {
		body, last = trimmed[:i], trimmed[i+1:]
	}
	code, seconds, ok := strings.Cut(string(last[:min(len(last), 64)]), " ")
	status, err = strconv.Atoi(code)
	if !ok || err != nil || len(code) != 3 || status < 0 {
		return nil, 0, 0, fmt.Errorf("%q is no status and time of curl", firstLine(last))
	}
	// Where the locale says so, curl prints a decimal comma.
	s, err := strconv.ParseFloat(strings.Replace(seconds, ",", ".", 1), 64)
	if err != nil || math.IsNaN(s) || s < 0 || s > 86400 {
		return nil, 0, 0, fmt.Errorf("%q is no status and time of curl", firstLine(last))
	}
	return body, status, time.Duration(s * float64(time.Second)), nil
}

// inPod is how kubectl exec says that it was the program in the pod that failed, not the way to it.
const inPod = "command terminated with exit code"

// execRefused is how kubectl exec ends when the API server answered and could not hand it on: to a kubelet that is not there, that
// knows no such pod, that is another node's. What the API server says of its own troubles, or that it does not answer, is not meant.
var execRefused = regexp.MustCompile(`^(Error from server: (error dialing backend|no preferred addresses)|Error from server \((NotFound|BadRequest|InternalError)\)|error: (unable to upgrade connection|Internal error occurred|cannot exec ))`)

// execRefusal returns what the API server said instead of running a program in a pod; empty if it did not refuse.
func execRefusal(i Item) string {
	if i.Err != "" || i.Exit == 0 || i.Exit >= exitTimeout || bytes.Contains(i.Stderr, []byte(inPod)) {
		return ""
	}
	for line := range strings.Lines(string(i.Stderr[:min(len(i.Stderr), maxBody)])) {
		if line = firstLine([]byte(line)); execRefused.MatchString(line) {
			return line
		}
	}
	return ""
}

func readWget(p *checks.Probe, i Item) {
	p.Body = string(i.Stdout[:min(len(i.Stdout), maxBody)])
	p.Why = firstLine(i.Stderr)
	switch {
	case p.Where == "":
		p.Why = i.Where + ": pod " + p.Pod + " is on no known node"
	case i.Exit == 0 && len(i.Stdout) > 0:
		p.Outcome = checks.Answered
	case i.Exit == 0:
		p.Outcome, p.Why = checks.Failed, "the answer was empty"
	case execRefusal(i) != "":
		p.Outcome, p.Why = checks.NotAsked, execRefusal(i)
	case i.Exit >= exitShell || !bytes.Contains(i.Stderr, []byte(inPod)):
		p.Why = i.problem()
	case bytes.Contains(i.Stderr, []byte("timed out")):
		p.Outcome = checks.TimedOut
	case bytes.Contains(i.Stderr, []byte("bad address")): // a name that does not resolve: there is nothing to connect to
		p.Outcome = checks.Refused
	case bytes.Contains(i.Stderr, []byte("can't connect")):
		p.Outcome = checks.Refused
	default:
		p.Outcome = checks.Failed
	}
}

// parseWhoami reads which pod the NodePort demo's answer came from.
func parseWhoami(body []byte) (hostname string, err error) {
	for line := range strings.Lines(string(body[:min(len(body), maxBody)])) {
		if h, ok := strings.CutPrefix(strings.TrimSpace(line), "Hostname: "); ok && podName.MatchString(h) {
			return h, nil
		}
	}
	return "", errors.New("the answer names no host")
}
