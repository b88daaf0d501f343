package sim

import (
	"context"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

func runLs(_ context.Context, p *process) int {
	given, names, err := options(p.args, "l a A d 1 n all")
	if err != nil {
		return p.usage(err)
	}
	if len(names) == 0 {
		names = []string{"."}
	}
	show := func(i fs.FileInfo, name, dir string) {
		if !is(given, "l", "n") {
			p.printf("%s\n", name)
			return
		}
		owner, target := "root", ""
		if f, ok := i.(fileInfo); ok {
			owner = f.attr.Owner
			if f.attr.Link != "" {
				target = " -> " + f.attr.Link
			}
		}
		p.printf("%s 1 %s %s %d %s %s%s\n", longMode(i.Mode()), owner, owner, i.Size(), i.ModTime().UTC().Format("Jan _2 15:04"), name, target)
	}
	status := 0
	for n, name := range names {
		info, err := p.guest.info(p.path(name), false)
		if err != nil {
			fmt.Fprintf(p.stderr, "ls: cannot access '%s': %s\n", name, reason(err))
			status = 2
			continue
		}
		if !info.IsDir() || is(given, "d") {
			show(info, name, "")
			continue
		}
		entries, err := p.guest.entries(p.session.user, p.path(name))
		if err != nil {
			fmt.Fprintf(p.stderr, "ls: cannot open directory '%s': %s\n", name, reason(err))
			status = 2
			continue
		}
		if len(names) > 1 {
			if n > 0 {
				p.printf("\n")
			}
			p.printf("%s:\n", name)
		}
		for _, e := range entries {
			if strings.HasPrefix(e.Name(), ".") && !is(given, "a", "A", "all") {
				continue
			}
			show(e, e.Name(), name)
		}
	}
	return status
}

func longMode(m fs.FileMode) string {
	kind := "-"
	switch {
	case m.IsDir():
		kind = "d"
	case m&fs.ModeSymlink != 0:
		kind = "l"
	case m&fs.ModeDevice != 0:
		kind = "c"
	}
	perm := []byte(m.Perm().String()[1:])
	if m&fs.ModeSticky != 0 {
		perm[8] = 't'
	}
	return kind + string(perm)
}

func runStat(_ context.Context, p *process) int {
	given, names, err := options(p.args, "c= format= L")
	if err != nil {
		return p.usage(err)
	}
	format, ok := given["c"]
	if !ok {
		if format, ok = given["format"]; !ok {
			return p.unknown("stat without -c")
		}
	}
	for _, name := range names {
		info, err := p.guest.info(p.path(name), is(given, "L"))
		if err != nil {
			return p.fail("cannot statx '%s': %s", name, reason(err))
		}
		owner, kind := "root", "regular file"
		if f, ok := info.(fileInfo); ok {
			owner = f.attr.Owner
		}
		id := "1000"
		if owner == "root" {
			id = "0"
		}
		switch {
		case info.IsDir():
			kind = "directory"
		case info.Mode()&fs.ModeSymlink != 0:
			kind = "symbolic link"
		}
		perm := uint32(info.Mode().Perm())
		if info.Mode()&fs.ModeSticky != 0 {
			perm |= 0o1000
		}
		text, ok := filled(format, map[byte]string{'a': fmt.Sprintf("%o", perm), 's': fmt.Sprint(info.Size()), 'U': owner, 'G': owner, 'u': id, 'g': id,
			'n': name, 'F': kind, 'A': longMode(info.Mode()), 'Y': fmt.Sprint(info.ModTime().Unix())})
		if !ok {
			return p.unknown("-c " + format)
		}
		p.printf("%s\n", text)
	}
	return 0
}

func runReadlink(_ context.Context, p *process) int {
	given, names, err := options(p.args, "f e m")
	if err != nil {
		return p.usage(err)
	}
	for _, name := range names {
		if is(given, "f", "e", "m") {
			at, err := p.guest.files.resolve(p.path(name), true)
			if err != nil {
				return 1
			}
			p.printf("%s\n", at)
			continue
		}
		info, err := p.guest.files.stat(p.path(name), false)
		if err != nil || info.attr.Link == "" {
			return 1
		}
		p.printf("%s\n", info.attr.Link)
	}
	return 0
}

func runBasename(_ context.Context, p *process) int {
	if len(p.args) == 0 || len(p.args) > 2 {
		return p.usage(fmt.Errorf("missing operand"))
	}
	name := path.Base(p.args[0])
	if len(p.args) == 2 && name != p.args[1] {
		name = strings.TrimSuffix(name, p.args[1])
	}
	p.printf("%s\n", name)
	return 0
}

func runDirname(_ context.Context, p *process) int {
	if len(p.args) != 1 {
		return p.usage(fmt.Errorf("missing operand"))
	}
	p.printf("%s\n", path.Dir(p.args[0]))
	return 0
}

func runMountpoint(_ context.Context, p *process) int {
	given, names, err := options(p.args, "q")
	if err != nil || len(names) != 1 {
		return p.usage(fmt.Errorf("bad usage"))
	}
	isOne := slices.Contains([]string{"/", "/proc", "/sys", "/run", "/dev", "/boot/efi"}, p.path(names[0]))
	if !is(given, "q") {
		p.printf("%s is %sa mountpoint\n", names[0], map[bool]string{true: "", false: "not "}[isOne])
	}
	if isOne {
		return 0
	}
	return 1
}

func runUmount(_ context.Context, p *process) int {
	fmt.Fprintf(p.stderr, "umount: %s: not mounted.\n", strings.Join(p.args, " "))
	return 32
}

func runFind(_ context.Context, p *process) int {
	if len(p.args) != 1 || strings.HasPrefix(p.args[0], "-") {
		return p.unknown(strings.Join(p.args, " "))
	}
	return p.each(p.args, true, func(name string) error {
		if _, err := p.guest.info(name, false); err != nil {
			return err
		}
		p.printf("%s\n", name)
		return nil
	})
}
