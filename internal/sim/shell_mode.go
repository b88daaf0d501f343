package sim

import (
	"context"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

func parseMode(s string, old fs.FileMode) (fs.FileMode, error) {
	if n, err := strconv.ParseUint(s, 8, 12); err == nil && n&^0o1777 != 0 {
		return 0, fmt.Errorf("the SIMULATED files have no set-user-ID: '%s'", s)
	} else if err == nil {
		mode := fs.FileMode(n & 0o777)
		if n&0o1000 != 0 {
			mode |= fs.ModeSticky
		}
		return mode, nil
	}
	for _, clause := range strings.Split(s, ",") {
		m := regexp.MustCompile(`^([ugoa]*)([-+=])([rwxX]*)$`).FindStringSubmatch(clause)
		if m == nil {
			return 0, fmt.Errorf("invalid mode: '%s'", s)
		}
		var bits fs.FileMode
		for _, c := range m[3] {
			bits |= map[rune]fs.FileMode{'r': 4, 'w': 2, 'x': 1, 'X': 1}[c]
		}
		if m[1] == "" || strings.Contains(m[1], "a") {
			m[1] = "ugo"
		}
		var mask, set fs.FileMode
		for _, who := range m[1] {
			shift := map[rune]uint{'u': 6, 'g': 3, 'o': 0}[who]
			mask, set = mask|7<<shift, set|bits<<shift
		}
		switch m[2] {
		case "+":
			old |= set
		case "-":
			old &^= set
		case "=":
			old = old&^mask | set
		}
	}
	return old, nil
}

// each applies change to the files named, and with recursive to all below them.
func (p *process) each(names []string, recursive bool, change func(name string) error) int {
	status := 0
	for _, name := range names {
		if err := change(p.path(name)); err != nil {
			status = p.fail("cannot access '%s': %s", name, reason(err))
			continue
		}
		info, err := p.guest.files.stat(p.path(name), true)
		if err != nil || !info.IsDir() || !recursive {
			continue
		}
		entries, err := p.guest.files.list(p.session.user, p.path(name))
		if err != nil {
			status = p.fail("cannot read directory '%s': %s", name, reason(err))
		}
		for _, e := range entries {
			status |= p.each([]string{path.Join(p.path(name), e.Name())}, true, change)
		}
	}
	return status
}

func runChmod(_ context.Context, p *process) int {
	recursive := false
	args := slices.DeleteFunc(slices.Clone(p.args), func(a string) bool { recursive = recursive || a == "-R"; return a == "-R" })
	if len(args) < 2 {
		return p.fail("missing operand")
	}
	return p.each(args[1:], recursive, func(name string) error {
		info, err := p.guest.files.stat(name, true)
		if err != nil {
			return err
		}
		mode, err := parseMode(args[0], info.attr.Mode)
		if err != nil {
			return err
		}
		return p.guest.files.change(p.session.user, name, &mode, "")
	})
}

// ownerName is the user in USER, USER:GROUP or USER:; an error for one the guest does not have.
func (p *process) ownerName(s string) (string, error) {
	user, _, _ := strings.Cut(s, ":")
	switch user {
	case "0":
		user = "root"
	case "1000":
		if len(p.guest.state.Accounts) > 0 {
			user = p.guest.state.Accounts[0].Name
		}
	}
	if _, ok := p.guest.account(user); !ok && user != "" {
		return "", fmt.Errorf("invalid user: '%s'", s)
	}
	return user, nil
}

func runChown(_ context.Context, p *process) int {
	given, args, err := options(p.args, "R h")
	if err != nil {
		return p.usage(err)
	}
	if len(args) < 2 {
		return p.fail("missing operand")
	}
	owner, err := p.ownerName(args[0])
	if err != nil {
		return p.fail("%v", err)
	}
	return p.each(args[1:], is(given, "R"), func(name string) error {
		return p.guest.files.change(p.session.user, name, nil, owner)
	})
}
