package sim

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"syscall"
	"time"
)

// podProgram is a program of a pod's image; nil if the image has none of that name. whoami's image has none at all.
func podProgram(pod *podRecord, name string) program {
	for _, c := range pod.containers() {
		repository, _ := imageOf(c)
		switch repository {
		case "nginx", "busybox":
			all := map[string]program{
				"sh": runShell, "hostname": runHostname, "cat": runCat, "true": runTrue, "echo": runInShell, "printf": runInShell, "env": runEnv, "head": runHead,
				"tail": runTail, "grep": runGrep, "sleep": runSleep, "wc": runWc, "wget": runWget, "nslookup": runNslookup, "test": runInShell, "id": runID, "date": runDate,
			}
			if repository == "nginx" {
				all["curl"] = runCurl
			}
			return all[name]
		}
	}
	return nil
}

// dnsServer is what the kubelet tells pods to ask: the tenth address of the services' network, whoever has it.
func (g *guest) dnsServer() string {
	c, _ := g.dataplane()
	if c == nil {
		return ""
	}
	return c.state.Settings.serviceIP(10)
}

// file is what a container on a guest has of files that somebody reads.
func (p *podRecord) file(g *guest, name string) ([]byte, error) {
	switch name {
	case "/etc/hostname":
		return []byte(p.Name + "\n"), nil
	case "/etc/hosts":
		return fmt.Appendf(nil, "127.0.0.1\tlocalhost\n%s\t%s\n", p.IP, p.Name), nil
	case "/etc/resolv.conf":
		return fmt.Appendf(nil, "search %s.svc.cluster.local svc.cluster.local cluster.local\nnameserver %s\noptions ndots:5\n", p.Namespace, g.dnsServer()), nil
	}
	return nil, pathError("open", name, syscall.ENOENT)
}

// runWget is busybox's wget.
func runWget(ctx context.Context, p *process) int {
	given, args, err := options(p.args, "q T= O= timeout=")
	if err != nil || len(args) != 1 {
		fmt.Fprintf(p.stderr, "wget: %v\n", errors.Join(err, errors.New("bad usage")))
		return 1
	}
	raw := args[0]
	if !strings.Contains(raw, "://") {
		raw = "http://" + raw
	}
	u, err := url.Parse(raw)
	if err != nil {
		return p.fail("bad address '%s'", args[0])
	}
	limit := 900 * time.Second
	if v := given["T"] + given["timeout"]; v != "" {
		if limit, err = duration(v); err != nil {
			return p.usage(err)
		}
	}
	c := &client{p: p, agent: "Wget", limit: limit}
	r := c.fetch(ctx, u)
	where := u.Host
	if u.Port() == "" {
		where += ":80"
	}
	switch {
	case errors.Is(r.err, errNoName):
		return p.fail("bad address '%s'", u.Hostname())
	case errors.Is(r.err, errLost):
		return p.fail("download timed out")
	case errnoOf(r.err) == syscall.ECONNREFUSED:
		return p.fail("can't connect to remote host (%s): Connection refused", u.Hostname())
	case errnoOf(r.err) == syscall.EHOSTUNREACH:
		return p.fail("can't connect to remote host (%s): Host is unreachable", u.Hostname())
	case r.err != nil:
		return p.fail("can't connect to remote host (%s): %v", u.Hostname(), r.err)
	case r.status >= 400:
		return p.fail("server returned error: HTTP/1.1 %d", r.status)
	}
	if !is(given, "q") {
		fmt.Fprintf(p.stderr, "Connecting to %s (%s)\n", u.Host, where)
	}
	if given["O"] != "-" && given["O"] != "/dev/null" {
		return p.fail("can't open '%s': Read-only file system", cmpString(given["O"], "index.html"))
	}
	if given["O"] == "-" {
		if _, err := p.stdout.Write(r.body); err != nil {
			return 1
		}
	}
	return 0
}

// runNslookup is busybox's nslookup, for names of services.
func runNslookup(ctx context.Context, p *process) int {
	if len(p.args) != 1 || strings.HasPrefix(p.args[0], "-") {
		return p.unknown(strings.Join(p.args, " "))
	}
	name := p.args[0]
	a, err := p.resolve(name)
	if errors.Is(err, errLost) {
		if wait(ctx, internalWait) == nil {
			p.printf(";; connection timed out; no servers could be reached\n\n")
		}
		return 1
	}
	server := p.guest.dnsServer()
	p.printf("Server:\t\t%s\nAddress:\t%[1]s:53\n\n", server)
	if err != nil {
		p.printf("** server can't find %s: NXDOMAIN\n\n", name)
		return 1
	}
	p.printf("Name:\t%s\nAddress: %s\n\n", name, a)
	return 0
}
