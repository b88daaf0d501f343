package sim

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"
)

// systemVerbs are the commands that only root may give.
const systemVerbs = "start stop restart try-restart reload reload-or-restart kill enable disable mask unmask daemon-reload reboot poweroff"

func runSystemctl(ctx context.Context, p *process) int {
	given, args, err := options(p.args, "now no-block q quiet p= property= no-pager value l full f force")
	if err != nil {
		return p.usage(err)
	}
	if len(args) == 0 {
		return p.unknown("no command")
	}
	verb, names := args[0], args[1:]
	for i, n := range names {
		names[i] = strings.TrimSuffix(n, ".service")
	}
	if slices.Contains(strings.Fields(systemVerbs), verb) && p.session.user != "root" {
		for range max(1, len(names)) {
			fmt.Fprintf(p.stderr, "Failed to %s: Interactive authentication required.\n", verb)
		}
		return 1
	}
	status := 0
	switch verb {
	case "daemon-reload", "daemon-reexec", "reset-failed":
		return 0
	case "reboot", "poweroff":
		inner := *p
		inner.name, inner.args = verb, nil
		return runReboot(ctx, &inner)
	case "is-system-running":
		p.printf("running\n")
		return 0
	}
	for _, name := range names {
		switch verb {
		case "start", "restart", "reload-or-restart":
			status = max(status, p.start(ctx, name, verb == "restart" || verb == "reload-or-restart", is(given, "no-block")))
		case "try-restart":
			if p.guest.unit(name).State == "active" {
				status = max(status, p.start(ctx, name, true, is(given, "no-block")))
			}
		case "stop":
			if p.guest.enabled(name) == "" && p.guest.unit(name).State == "inactive" {
				fmt.Fprintf(p.stderr, "Failed to stop %s.service: Unit %s.service not loaded.\n", name, name)
				status = 5
				continue
			}
			if err := p.guest.stopUnit(name, time.Now()); err != nil {
				return p.fail("%v", err)
			}
		case "enable", "disable":
			status = max(status, p.enable(ctx, name, verb == "enable", is(given, "now")))
		case "is-active", "is-failed":
			state, err := p.guest.serviceState(name)
			if err != nil {
				return p.fail("%v", err)
			}
			if !is(given, "q", "quiet") {
				p.printf("%s\n", state)
			}
			if verb == "is-active" && state != "active" || verb == "is-failed" && state != "failed" {
				status = 3
			}
		case "is-enabled":
			state := p.guest.enabled(name)
			if state == "" {
				fmt.Fprintf(p.stderr, "Failed to get unit file state for %s.service: No such file or directory\n", name)
				status = 1
				continue
			}
			if !is(given, "q", "quiet") {
				p.printf("%s\n", state)
			}
			if state != "enabled" {
				status = 1
			}
		case "status":
			status = max(status, p.unitStatus(name))
		case "show":
			status = max(status, p.unitShow(name, strings.Split(given["p"]+given["property"], ","), is(given, "value")))
		case "cat":
			data, err := p.guest.files.read(p.session.user, "/etc/systemd/system/"+name+".service")
			if err != nil {
				fmt.Fprintf(p.stderr, "No files found for %s.service.\n", name)
				return 1
			}
			p.printf("# /etc/systemd/system/%s.service\n%s", name, data)
		default:
			return p.unknown(verb)
		}
	}
	if len(names) == 0 {
		return p.unknown(verb + " without a unit")
	}
	return status
}

// notifyLimit bounds how long `systemctl start` waits, in the host's time, for a service that does not come up.
const notifyLimit = 3 * time.Second

func (p *process) start(ctx context.Context, name string, again, noBlock bool) int {
	if p.guest.unit(name).State == "active" && !again {
		return 0
	}
	if again && p.guest.unit(name).State == "active" {
		if err := p.guest.stopUnit(name, time.Now()); err != nil {
			return p.fail("%v", err)
		}
	}
	err := p.guest.startUnit(ctx, name, time.Now())
	var in unitError
	if errors.As(err, &in) {
		if noBlock && !strings.HasPrefix(string(in), "Failed to start") {
			return 0 // it is told by is-active and the journal
		}
		fmt.Fprintln(p.stderr, in)
		if strings.Contains(string(in), "not found") {
			return 5
		}
		return 1
	}
	if err != nil {
		return p.fail("%v", err)
	}
	if noBlock {
		return 0
	}
	for deadline := time.Now().Add(notifyLimit); ; {
		g, err := p.session.guest()
		if err != nil {
			return p.fail("%v", err)
		}
		state, err := g.serviceState(name)
		if err != nil {
			return p.fail("%v", err)
		}
		if state != "activating" {
			return 0
		}
		if time.Now().After(deadline) {
			fmt.Fprintf(p.stderr, "Job for %s.service failed because a timeout was exceeded.\n"+
				"See \"systemctl status %s.service\" and \"journalctl -xeu %s.service\" for details.\n", name, name, name)
			return 1
		}
		if wait(ctx, 20*time.Millisecond) != nil {
			return 1
		}
	}
}

func (p *process) enable(ctx context.Context, name string, on, now bool) int {
	const folder = "/etc/systemd/system/"
	link := folder + "multi-user.target.wants/" + name + ".service"
	switch state := p.guest.enabled(name); {
	case state == "":
		fmt.Fprintf(p.stderr, "Failed to %s unit: Unit file %s.service does not exist.\n", map[bool]string{true: "enable", false: "disable"}[on], name)
		return 1
	case on && state == "disabled":
		if err := p.guest.makeDir(path.Dir(link)); err != nil {
			return p.fail("%v", err)
		}
		if err := p.guest.files.symlink("root", folder+name+".service", link); err != nil {
			return p.fail("%v", err)
		}
		fmt.Fprintf(p.stderr, "Created symlink %s → %s%s.service.\n", link, folder, name)
	case !on && state == "enabled":
		if err := p.guest.files.remove("root", link); err == nil {
			fmt.Fprintf(p.stderr, "Removed %s.\n", link)
		}
	}
	switch {
	case now && on:
		return p.start(ctx, name, false, false)
	case now:
		if err := p.guest.stopUnit(name, time.Now()); err != nil {
			return p.fail("%v", err)
		}
	}
	return 0
}

func (p *process) unitStatus(name string) int {
	u := p.guest.unit(name)
	state, err := p.guest.serviceState(name)
	if err != nil {
		return p.fail("%v", err)
	}
	enabled := p.guest.enabled(name)
	if enabled == "" && u.Since.IsZero() {
		fmt.Fprintf(p.stderr, "Unit %s.service could not be found.\n", name)
		return 4
	}
	sub := map[string]string{"active": "running", "activating": "start", "inactive": "dead", "failed": "Result: " + u.Result}[state]
	p.printf("● %s.service - %s\n     Loaded: loaded (/etc/systemd/system/%s.service; %s; vendor preset: enabled)\n     Active: %s (%s) since %s\n\n",
		name, name, name, enabled, state, sub, u.Since.UTC().Format("Mon 2006-01-02 15:04:05 UTC"))
	for _, l := range p.guest.journal(name, 10) {
		p.printf("%s\n", p.guest.journalLine(name, l))
	}
	if state != "active" {
		return 3
	}
	return 0
}

// unitShow is systemctl show.
func (p *process) unitShow(name string, wanted []string, value bool) int {
	u := p.guest.unit(name)
	state, _ := p.guest.serviceState(name)
	sub := map[string]string{"active": "running", "activating": "start", "inactive": "dead", "failed": "failed"}[state]
	load := "loaded"
	if p.guest.enabled(name) == "" {
		load = "not-found"
	}
	result := cmpString(u.Result, "success")
	properties := [][2]string{{"Id", name + ".service"}, {"LoadState", load}, {"ActiveState", state}, {"SubState", sub}, {"UnitFileState", p.guest.enabled(name)},
		{"Result", result}, {"NRestarts", "0"}, {"ActiveEnterTimestamp", u.Since.UTC().Format("Mon 2006-01-02 15:04:05 UTC")}}
	for _, name := range wanted {
		if name != "" && !slices.ContainsFunc(properties, func(kv [2]string) bool { return kv[0] == name }) {
			return p.unknown("-p " + name)
		}
	}
	for _, kv := range properties {
		if len(wanted) == 1 && wanted[0] == "" || slices.Contains(wanted, kv[0]) {
			if value {
				p.printf("%s\n", kv[1])
			} else {
				p.printf("%s=%s\n", kv[0], kv[1])
			}
		}
	}
	return 0
}
