package sim

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
)

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
	if len(p.args) > 1 {
		return p.unknown(strings.Join(p.args, " "))
	}
	p.printf("unlimited\n")
	return 0
}

func runSet(_ context.Context, p *process) int {
	fmt.Fprintf(p.stderr, "sh: 1: set: Illegal option -o %s\n", strings.Join(p.args, " "))
	return 2
}

// shellWords are what command -v finds without a file.
const shellWords = "alias bg cd command false fg getopts hash jobs kill read true umask unalias wait break " +
	": continue . eval exec exit export readonly return set shift times trap unset echo printf test [ local type pwd ulimit"

// runCommandV is command -v, type, hash and which.
func runCommandV(_ context.Context, p *process) int {
	names := slices.DeleteFunc(slices.Clone(p.args), func(a string) bool { return a == "-v" && p.name == "command" || a == "-p" && p.name == "type" })
	if slices.ContainsFunc(names, func(a string) bool { return strings.HasPrefix(a, "-") }) {
		return p.unknown(strings.Join(p.args, " "))
	}
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
