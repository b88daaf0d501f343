package sim

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"
)

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
