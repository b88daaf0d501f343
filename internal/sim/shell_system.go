package sim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// programs is everything that the guests' PATH has, by name; those below "replaced" stand in for builtins.
func programs() map[string]program {
	all := map[string]program{
		"sudo": runSudo, "sh": runShell, "bash": runShell, "dash": runShell, "env": runEnv, "printenv": runEnv,
		"true": runTrue, "false": func(context.Context, *process) int { return 1 },
		"echo": runInShell, "printf": runInShell, "test": runInShell, "[": runInShell, "kill": runInShell,
		"hostname": runHostname, "uname": runUname, "date": runDate, "sleep": runSleep, "id": runID, "whoami": runWhoami,
		"systemctl": runSystemctl, "journalctl": runJournalctl, "modprobe": runModprobe, "lsmod": runLsmod, "sysctl": runSysctl,
		"timedatectl": runTimedatectl, "hostnamectl": runHostnamectl, "cloud-init": runCloudInit, "udevadm": runTrue, "swapoff": runTrue,
		"netplan": runNetplan, "reboot": runReboot, "poweroff": runReboot, "shutdown": runReboot, "timeout": runTimeout, "nohup": runNohup,
		"seq": runSeq, "uptime": runUptime, "which": runCommandV, "logger": runTrue, "dpkg": runDpkg,
		"ip": runIP, "curl": runCurl, "bridge": runBridge, "ss": runSS,
		replaced + "pwd": runPwd, replaced + "umask": runUmask, replaced + "ulimit": runUlimit, replaced + "command": runCommandV,
		replaced + "type": runCommandV, replaced + "hash": runCommandV, replaced + "set": runSet,
		"pwd": runPwd,
	}
	maps.Copy(all, filePrograms())
	maps.Copy(all, netfilterPrograms())
	return all
}

func runPwd(_ context.Context, p *process) int {
	dir := p.dir
	if slices.Contains(p.args, "-P") {
		if at, err := p.guest.files.resolve(dir, true); err == nil {
			dir = at
		}
	}
	p.printf("%s\n", dir)
	return 0
}

func runUmask(_ context.Context, p *process) int {
	if len(p.args) == 0 {
		p.printf("%04o\n", p.session.mask())
		return 0
	}
	n, err := strconv.ParseUint(p.args[0], 8, 9)
	if err != nil {
		return p.unknown(p.args[0])
	}
	p.session.umask.Store(uint32(n) ^ 0o022)
	return 0
}

func runUlimit(_ context.Context, p *process) int {
	if len(p.args) < 2 {
		p.printf("unlimited\n")
	}
	return 0
}

func runSet(_ context.Context, p *process) int {
	fmt.Fprintf(p.stderr, "sh: 1: set: Illegal option -o %s\n", strings.Join(p.args, " "))
	return 2
}

// shellWords are what command -v finds without a file.
const shellWords = "alias bg cd command false fg getopts hash jobs kill read true umask unalias wait break : continue . eval exec exit export readonly return set shift times trap unset echo printf test [ local type pwd ulimit"

// runCommandV is command -v, type, hash and which.
func runCommandV(_ context.Context, p *process) int {
	names := slices.DeleteFunc(slices.Clone(p.args), func(a string) bool { return strings.HasPrefix(a, "-") })
	status := 0
	for _, name := range names {
		if p.name != "which" && p.name != "hash" && slices.Contains(strings.Fields(shellWords), name) {
			if p.name == "type" {
				p.printf("%s is a shell builtin\n", name)
			} else {
				p.printf("%s\n", name)
			}
			continue
		}
		where := p.whereIs(name)
		switch {
		case where == "":
			status = 1
			if p.name == "type" || p.name == "hash" {
				p.fail("%s: not found", name)
			}
		case p.name == "type":
			p.printf("%s is %s\n", name, where)
		case p.name != "hash":
			p.printf("%s\n", where)
		}
	}
	return status
}

func (p *process) whereIs(name string) string {
	if strings.Contains(name, "/") {
		if _, err := p.session.load(p.guest, p.path(name)); err == nil {
			return name
		}
		return ""
	}
	for _, dir := range strings.Split(p.env.Get("PATH").String(), ":") {
		if _, err := p.session.load(p.guest, path.Join("/", dir, name)); err == nil {
			return path.Join("/", dir, name)
		}
	}
	return ""
}

// runSudo runs a command as another user, as root by default, with the environment that sudo gives.
func runSudo(ctx context.Context, p *process) int {
	user, args := "root", p.args
	s := p.session.clone()
	extra := map[string]string{}
	login, keep := false, false
	for len(args) > 0 {
		a := args[0]
		if a == "--" {
			args = args[1:]
			break
		}
		if k, v, ok := strings.Cut(a, "="); ok && !strings.HasPrefix(a, "-") && !strings.Contains(k, "/") {
			extra[k], args = v, args[1:]
			continue
		}
		if !strings.HasPrefix(a, "-") {
			break
		}
		switch {
		case a == "-n" || a == "-H" || a == "-S":
		case a == "-E":
			keep = true
		case a == "-i":
			login = true
		case a == "-u" && len(args) > 1:
			user, args = args[1], args[1:]
		default:
			return p.unknown(a)
		}
		args = args[1:]
	}
	me, ok := p.guest.account(p.session.user)
	if !ok || !me.Sudo {
		fmt.Fprintln(p.stderr, "sudo: a password is required")
		return 1
	}
	if _, ok := p.guest.account(user); !ok {
		fmt.Fprintf(p.stderr, "sudo: unknown user: %s\n", user)
		return 1
	}
	s.user = user
	s.env = s.loginEnv(p.guest)
	s.env["PATH"] = securePath
	s.env["SUDO_USER"] = p.session.user
	if keep {
		maps.Copy(s.env, environment(p.env))
	}
	maps.Copy(s.env, extra)
	dir := p.dir
	if login {
		dir = home(user)
	}
	if len(args) == 0 {
		if !login {
			return p.unknown("no command")
		}
		args = []string{"bash"}
	}
	inner := *p
	inner.session = s
	if p.whereIs(args[0]) == "" && (&inner).whereIs(args[0]) == "" {
		fmt.Fprintf(p.stderr, "sudo: %s: command not found\n", args[0])
		return 1
	}
	return s.runArgs(ctx, args, dir, p.stdin, p.stdout, p.stderr)
}

// runShell is sh and bash: -c TEXT [NAME [ARG…]], -s [ARG…] or a script.
func runShell(ctx context.Context, p *process) int {
	s := p.session.clone()
	s.env = environment(p.env)
	s.posix = p.name != "bash"
	args, flags := p.args, ""
	for len(args) > 0 && len(args[0]) > 1 && args[0][0] == '-' {
		if args[0] == "--" {
			args = args[1:]
			break
		}
		if strings.HasPrefix(args[0], "--") || strings.Trim(args[0][1:], "ceuxsl") != "" {
			return p.unknown(args[0])
		}
		flags += args[0][1:]
		args = args[1:]
	}
	text, name := "", p.name
	switch {
	case strings.Contains(flags, "c"):
		if len(args) == 0 {
			fmt.Fprintf(p.stderr, "%s: 0: -c requires an argument\n", p.name)
			return 2
		}
		text, args = args[0], args[1:]
		if len(args) > 0 {
			name, args = args[0], args[1:]
		}
	case len(args) > 0 && !strings.Contains(flags, "s"):
		data, err := p.input(args[0])
		if err != nil {
			fmt.Fprintf(p.stderr, "%s: 0: cannot open %s: %s\n", p.name, args[0], reason(err))
			return 2
		}
		text, name, args = string(data), args[0], args[1:]
	default:
		data, err := p.input("-")
		if err != nil {
			return 1
		}
		text = string(data)
	}
	for _, f := range flags {
		if strings.ContainsRune("eux", f) {
			text = "set -" + string(f) + "\n" + text
		}
	}
	stdin := p.stdin
	if strings.Contains(flags, "s") {
		stdin = nil // the script was in it, to its end
	}
	status, err := s.run(ctx, text, name, args, p.dir, stdin, p.stdout, p.stderr)
	if err != nil && status == 0 {
		return 1
	}
	return status
}

// runInShell runs a builtin of the shell that is a program too.
func runInShell(ctx context.Context, p *process) int {
	if p.name == "kill" {
		return p.unknown("kill")
	}
	s := p.session.clone()
	return s.runArgs(ctx, append([]string{p.name}, p.args...), p.dir, p.stdin, p.stdout, p.stderr)
}

func runEnv(ctx context.Context, p *process) int {
	s := p.session.clone()
	s.env = environment(p.env)
	args := p.args
	for len(args) > 0 {
		k, v, ok := strings.Cut(args[0], "=")
		switch {
		case args[0] == "-i":
			s.env = map[string]string{"PATH": securePath}
		case ok && p.name == "env":
			s.env[k] = v
		case p.name == "printenv":
			v, ok := s.env[args[0]]
			if !ok {
				return 1
			}
			p.printf("%s\n", v)
			return 0
		default:
			return s.runArgs(ctx, args, p.dir, p.stdin, p.stdout, p.stderr)
		}
		args = args[1:]
	}
	for _, k := range sortedKeys(s.env) {
		p.printf("%s=%s\n", k, s.env[k])
	}
	return 0
}

func runTimeout(ctx context.Context, p *process) int {
	_, args, err := options(p.args[:min(1, len(p.args))], "")
	if err != nil || len(p.args) < 2 {
		return p.unknown(strings.Join(p.args, " "))
	}
	d, err := duration(args[0])
	if err != nil {
		return p.usage(err)
	}
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	s := p.session.clone()
	s.env = environment(p.env)
	status := s.runArgs(ctx, p.args[1:], p.dir, p.stdin, p.stdout, p.stderr)
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return 124
	}
	return status
}

func runNohup(ctx context.Context, p *process) int {
	return p.session.clone().runArgs(ctx, p.args, p.dir, p.stdin, p.stdout, p.stderr)
}

func duration(s string) (time.Duration, error) {
	if f, err := strconv.ParseFloat(s, 64); err == nil {
		return time.Duration(f * float64(time.Second)), nil
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		return 0, fmt.Errorf("invalid time interval ‘%s’", s)
	}
	return d, nil
}

// sleepLimit bounds a guest's sleep in the host's time: a simulated machine need not be waited for.
const sleepLimit = 2 * time.Second

func runSleep(ctx context.Context, p *process) int {
	var total time.Duration
	for _, a := range p.args {
		d, err := duration(a)
		if err != nil {
			return p.usage(err)
		}
		total += d
	}
	if wait(ctx, min(total, sleepLimit)) != nil {
		return 1
	}
	return 0
}

func runSeq(_ context.Context, p *process) int {
	from, to := 1, 0
	var err error
	switch len(p.args) {
	case 1:
		to, err = strconv.Atoi(p.args[0])
	case 2:
		from, err = strconv.Atoi(p.args[0])
		if err == nil {
			to, err = strconv.Atoi(p.args[1])
		}
	default:
		err = errors.New("one or two operands")
	}
	if err != nil {
		return p.usage(err)
	}
	for i := from; i <= to; i++ {
		p.printf("%d\n", i)
	}
	return 0
}

func runHostname(_ context.Context, p *process) int {
	name := p.guest.hostname()
	if p.session.pod != nil {
		name = p.session.pod.Name
	}
	switch {
	case len(p.args) == 0 || p.args[0] == "-s" || p.args[0] == "-f":
		p.printf("%s\n", name)
	case p.args[0] == "-I":
		var all []string
		for _, l := range p.guest.links() {
			if ip, ok := firstIPv4(l); ok && l.Kind != "loopback" {
				all = append(all, ip.String())
			}
		}
		p.printf("%s \n", strings.Join(all, " "))
	default:
		return p.unknown(strings.Join(p.args, " "))
	}
	return 0
}

func runUname(_ context.Context, p *process) int {
	given, _, err := options(p.args, "r s m n a v o p")
	if err != nil {
		return p.usage(err)
	}
	var words []string
	for _, f := range []struct{ flag, word string }{{"s", "Linux"}, {"n", p.guest.hostname()}, {"r", kernelVersion}, {"v", "#174-Ubuntu SMP"}, {"m", "x86_64"}, {"o", "GNU/Linux"}} {
		if is(given, f.flag, "a") || f.flag == "s" && len(given) == 0 {
			words = append(words, f.word)
		}
	}
	p.printf("%s\n", strings.Join(words, " "))
	return 0
}

func runUptime(_ context.Context, p *process) int {
	up := p.guest.now.Sub(p.guest.bootTime())
	p.printf(" %s up %d min,  1 user,  load average: 0.10, 0.05, 0.01\n", p.guest.clock().UTC().Format("15:04:05"), int(up.Minutes()))
	return 0
}

func runWhoami(_ context.Context, p *process) int {
	p.printf("%s\n", p.session.user)
	return 0
}

func runID(_ context.Context, p *process) int {
	given, _, err := options(p.args, "u g n")
	if err != nil {
		return p.usage(err)
	}
	id := 1000
	if p.session.user == "root" {
		id = 0
	}
	switch {
	case is(given, "n"):
		p.printf("%s\n", p.session.user)
	case is(given, "u", "g"):
		p.printf("%d\n", id)
	default:
		p.printf("uid=%d(%s) gid=%d(%s) groups=%d(%s)\n", id, p.session.user, id, p.session.user, id, p.session.user)
	}
	return 0
}

func runDpkg(_ context.Context, p *process) int {
	if len(p.args) == 1 && p.args[0] == "--print-architecture" {
		p.printf("amd64\n")
		return 0
	}
	return p.unknown(strings.Join(p.args, " "))
}

// runReboot is reboot, poweroff and shutdown.
func runReboot(_ context.Context, p *process) int {
	if p.session.user != "root" {
		fmt.Fprintf(p.stderr, "Failed to set wall message, ignoring: Interactive authentication required.\nFailed to %s system via logind: Interactive authentication required.\n", p.name)
		return 1
	}
	off := p.name == "poweroff" || p.name == "shutdown" && !slices.Contains(p.args, "-r")
	change := restartMachine
	if off {
		change = stopMachine
	}
	if err := change(p.session.world.dir, p.guest.machine.UUID, time.Now().UTC()); err != nil {
		return p.fail("%v", err)
	}
	return 0
}

func runSystemctl(ctx context.Context, p *process) int {
	given, args, err := options(p.args, "now no-block q quiet p= property= no-pager value l full f force user t= type= plain all a")
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
	if slices.Contains([]string{"start", "stop", "restart", "enable", "disable", "daemon-reload", "mask", "unmask", "reboot", "poweroff", "try-restart", "reload", "reload-or-restart", "kill"}, verb) && p.session.user != "root" {
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
		case "start", "restart", "reload-or-restart", "reload":
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
			p.unitShow(name, strings.Split(given["p"]+given["property"], ","), is(given, "value"))
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
			fmt.Fprintf(p.stderr, "Job for %s.service failed because a timeout was exceeded.\nSee \"systemctl status %s.service\" and \"journalctl -xeu %s.service\" for details.\n", name, name, name)
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

func (p *process) unitShow(name string, wanted []string, value bool) {
	u := p.guest.unit(name)
	state, _ := p.guest.serviceState(name)
	sub := map[string]string{"active": "running", "activating": "start", "inactive": "dead", "failed": "failed"}[state]
	load := "loaded"
	if p.guest.enabled(name) == "" {
		load = "not-found"
	}
	result := cmpString(u.Result, "success")
	for _, kv := range [][2]string{{"Id", name + ".service"}, {"LoadState", load}, {"ActiveState", state}, {"SubState", sub}, {"UnitFileState", p.guest.enabled(name)},
		{"Result", result}, {"NRestarts", "0"}, {"ActiveEnterTimestamp", u.Since.UTC().Format("Mon 2006-01-02 15:04:05 UTC")}} {
		if len(wanted) == 1 && wanted[0] == "" || slices.Contains(wanted, kv[0]) {
			if value {
				p.printf("%s\n", kv[1])
			} else {
				p.printf("%s=%s\n", kv[0], kv[1])
			}
		}
	}
}

// journal is the end of a unit's journal: what was recorded, and for a k3s that does not get on, why not.
func (g *guest) journal(name string, n int) []journalRow {
	rows := slices.Clone(g.state.Journal[name])
	if u := g.unit(name); u.K3s != nil && u.State == "active" {
		if ready, why, err := g.w.joined(g); err == nil && !ready && why != "" {
			rows = append(rows, journalRow{g.now, fmt.Sprintf("time=%q level=error msg=%q", g.now.UTC().Format(time.RFC3339), why)})
		}
	}
	if n >= 0 {
		rows = rows[max(0, len(rows)-n):]
	}
	return rows
}

func (g *guest) journalLine(name string, r journalRow) string {
	who := name + "[1000]"
	for _, word := range []string{"Starting ", "Started ", "Stopping ", "Stopped ", "Failed ", name + ".service:"} {
		if strings.HasPrefix(r.Text, word) {
			who = "systemd[1]"
		}
	}
	return fmt.Sprintf("%s %s %s: %s", r.At.UTC().Format("Jan 02 15:04:05"), g.hostname(), who, r.Text)
}

func runJournalctl(_ context.Context, p *process) int {
	given, args, err := options(p.args, "u= unit= n= lines= o= output= no-pager b q e x S= since= r")
	if err != nil {
		return p.usage(err)
	}
	name := strings.TrimSuffix(given["u"]+given["unit"], ".service")
	if name == "" || len(args) > 0 {
		return p.unknown("no -u UNIT")
	}
	n := -1
	if v := given["n"] + given["lines"]; v != "" {
		if n, err = strconv.Atoi(v); err != nil {
			return p.usage(err)
		}
	}
	output := given["o"] + given["output"]
	if output != "" && output != "cat" && output != "short" {
		return p.unknown("-o " + output)
	}
	rows := p.guest.journal(name, n)
	if len(rows) == 0 {
		p.printf("-- No entries --\n")
	}
	for _, r := range rows {
		if output == "cat" {
			p.printf("%s\n", r.Text)
		} else {
			p.printf("%s\n", p.guest.journalLine(name, r))
		}
	}
	return 0
}

// kernelModules are those that the image's kernel has and somebody loads.
const kernelModules = "br_netfilter overlay ip_vs ip_vs_rr ip_vs_wrr ip_vs_sh ip_vs_lc nf_conntrack vxlan xt_conntrack iptable_nat ip_tables ip_set dummy bridge"

func runModprobe(_ context.Context, p *process) int {
	given, names, err := options(p.args, "a q r v")
	if err != nil {
		return p.usage(err)
	}
	if p.session.user != "root" {
		return p.fail("ERROR: could not insert '%s': Operation not permitted", strings.Join(names, " "))
	}
	for _, name := range names {
		name = strings.ReplaceAll(name, "-", "_")
		if !slices.Contains(strings.Fields(kernelModules), name) {
			return p.fail("FATAL: Module %s not found in directory /lib/modules/%s", name, kernelVersion)
		}
		if err := p.guest.update(func(st *guestState) {
			loaded := slices.Index(st.Modules, name)
			if is(given, "r") && loaded >= 0 {
				st.Modules = slices.Delete(st.Modules, loaded, loaded+1)
			} else if !is(given, "r") && loaded < 0 {
				st.Modules = append(st.Modules, name)
			}
		}); err != nil {
			return p.fail("%v", err)
		}
	}
	return 0
}

func runLsmod(_ context.Context, p *process) int {
	p.printf("Module                  Size  Used by\n")
	for _, m := range p.guest.state.Modules {
		p.printf("%-22s %6d  0\n", m, 16384)
	}
	return 0
}

func runSysctl(_ context.Context, p *process) int {
	given, args, err := options(p.args, "w n q p system")
	if err != nil {
		return p.usage(err)
	}
	if is(given, "p", "system") {
		return 0 // what /etc/sysctl.d says takes no effect on the model
	}
	for _, a := range args {
		k, v, set := strings.Cut(a, "=")
		k = strings.ReplaceAll(strings.TrimSpace(k), "/", ".")
		have, known := p.guest.sysctls()[k]
		if !known {
			p.fail("cannot stat /proc/sys/%s: No such file or directory", strings.ReplaceAll(k, ".", "/"))
			return 255
		}
		if set {
			if p.session.user != "root" {
				p.fail("permission denied on key %q", k)
				return 255
			}
			have = strings.TrimSpace(v)
			if err := p.guest.update(func(st *guestState) {
				if st.Sysctl == nil {
					st.Sysctl = map[string]string{}
				}
				st.Sysctl[k] = have
			}); err != nil {
				return p.fail("%v", err)
			}
		}
		switch {
		case is(given, "q"):
		case is(given, "n"):
			p.printf("%s\n", have)
		default:
			p.printf("%s = %s\n", k, have)
		}
	}
	return 0
}

func runHostnamectl(_ context.Context, p *process) int {
	if len(p.args) == 2 && (p.args[0] == "set-hostname" || p.args[0] == "hostname") {
		if p.session.user != "root" {
			return p.fail("Could not set static hostname: Interactive authentication required.")
		}
		if err := p.guest.files.write("/etc/hostname", "root", 0o644, []byte(p.args[1]+"\n")); err != nil {
			return p.fail("%v", err)
		}
		return 0
	}
	return p.unknown(strings.Join(p.args, " "))
}

func runCloudInit(_ context.Context, p *process) int {
	given, args, err := options(p.args, "wait long l format=")
	if err != nil {
		return p.usage(err)
	}
	if len(args) != 1 || args[0] != "status" {
		return p.unknown(strings.Join(p.args, " "))
	}
	problems := p.guest.state.Problems
	status := "done"
	if len(problems) > 0 {
		status = "error"
	}
	if given["format"] == "json" {
		data, err := json.Marshal(map[string]any{"status": status, "errors": append([]string{}, problems...), "datasource": "nocloud"})
		if err != nil {
			return p.fail("%v", err)
		}
		p.printf("%s\n", data)
	} else {
		p.printf("status: %s\n", status)
	}
	if is(given, "long", "l") {
		p.printf("errors:\n")
		for _, e := range problems {
			p.printf("\t- %s\n", e)
		}
	}
	if status == "error" {
		return 1
	}
	return 0
}

// manifest reads a manifest from standard input or a file.
func (p *process) manifest(name string) ([]byte, error) {
	data, err := p.input(name)
	if err == nil && len(data) > 8<<20 {
		err = io.ErrShortBuffer
	}
	return data, err
}
