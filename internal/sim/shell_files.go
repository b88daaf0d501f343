package sim

import (
	"context"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"syscall"
	"time"
)

// filePrograms work on files and text; each does what its manual page says, as far as the options go that it knows.
func filePrograms() map[string]program {
	return map[string]program{
		"cat": runCat, "ls": runLs, "mkdir": runMkdir, "rmdir": runRmdir, "mv": runMv, "rm": runRm, "ln": runLn, "cp": runCp, "chmod": runChmod,
		"chown": runChown, "install": runInstall, "tee": runTee, "sha256sum": runSha256sum, "stat": runStat, "mktemp": runMktemp, "touch": runTouch,
		"wc": runWc, "head": runHead, "tail": runTail, "grep": runGrep, "sed": runSed, "readlink": runReadlink, "basename": runBasename,
		"dirname": runDirname, "sort": runSort, "uniq": runUniq, "tr": runTr, "cut": runCut, "sync": runTrue, "mountpoint": runMountpoint, "umount": runUmount,
		"find": runFind,
	}
}

func runTrue(context.Context, *process) int { return 0 }

func runMkdir(_ context.Context, p *process) int {
	given, names, err := options(p.args, "p parents m= mode= v")
	if err != nil {
		return p.usage(err)
	}
	mode := 0o777 &^ p.session.mask()
	for _, flag := range []string{"m", "mode"} {
		if v, ok := given[flag]; ok {
			if mode, err = parseMode(v, 0o777); err != nil {
				return p.usage(err)
			}
		}
	}
	if len(names) == 0 {
		return p.fail("missing operand")
	}
	status := 0
	for _, name := range names {
		if err := p.mkdir(p.path(name), mode, is(given, "p", "parents")); err != nil {
			status = p.fail("cannot create directory ‘%s’: %s", name, reason(err))
		}
	}
	return status
}

func (p *process) mkdir(name string, mode fs.FileMode, parents bool) error {
	info, err := p.guest.files.stat(name, true)
	if parents && err == nil && info.IsDir() {
		return nil
	}
	if parents && name != "/" {
		if err := p.mkdir(path.Dir(name), 0o777&^p.session.mask(), true); err != nil {
			return err
		}
	}
	return p.guest.files.mkdir(p.session.user, name, mode)
}

// makeDir is mkdir -p as root, for the programs of the guest itself.
func (g *guest) makeDir(name string) error {
	if info, err := g.files.stat(name, true); err == nil && info.IsDir() {
		return nil
	}
	if err := g.makeDir(path.Dir(name)); err != nil {
		return err
	}
	return g.files.mkdir("root", name, 0o755)
}

func runRmdir(_ context.Context, p *process) int {
	_, names, err := options(p.args, "")
	if err != nil {
		return p.usage(err)
	}
	for _, name := range names {
		entries, err := p.guest.files.list("root", p.path(name))
		if err == nil && len(entries) > 0 {
			err = syscall.ENOTEMPTY
		}
		if err == nil {
			err = p.guest.files.remove(p.session.user, p.path(name))
		}
		if err != nil {
			return p.complain("failed to remove ", name, err)
		}
	}
	return 0
}

func runRm(_ context.Context, p *process) int {
	given, names, err := options(p.args, "r R f recursive force v")
	if err != nil {
		return p.usage(err)
	}
	status := 0
	for _, name := range names {
		info, err := p.guest.files.stat(p.path(name), false)
		if err != nil && is(given, "f", "force") {
			continue
		}
		if err == nil && info.IsDir() && !is(given, "r", "R", "recursive") {
			err = syscall.EISDIR
		}
		if err == nil {
			err = p.guest.files.remove(p.session.user, p.path(name))
		}
		if err != nil {
			status = p.complain("cannot remove ", name, err)
		}
	}
	return status
}

func runMktemp(_ context.Context, p *process) int {
	given, names, err := options(p.args, "d p= t tmpdir=")
	if err != nil {
		return p.usage(err)
	}
	dir := "/tmp"
	if v, ok := given["p"]; ok {
		dir = v
	}
	template := path.Join(dir, "tmp.XXXXXXXXXX")
	if len(names) > 0 {
		template = names[0]
		if is(given, "t") || is(given, "p") {
			template = path.Join(dir, template)
		}
	}
	stem := strings.TrimRight(template, "X")
	if len(template)-len(stem) < 3 {
		return p.fail("too few X's in template '%s'", template)
	}
	for try := 0; ; try++ {
		name := stem + wordOf(len(template)-len(stem), p.guest.disk, fmt.Sprint(time.Now().UnixNano(), try))
		if _, err := p.guest.files.stat(p.path(name), false); err == nil {
			continue
		}
		if is(given, "d") {
			err = p.guest.files.mkdir(p.session.user, p.path(name), 0o700)
		} else {
			mode := fs.FileMode(0o600)
			err = p.put(p.path(name), nil, &mode)
		}
		if err != nil {
			return p.fail("failed to create file via template '%s': %s", template, reason(err))
		}
		p.printf("%s\n", name)
		return 0
	}
}

func runTouch(_ context.Context, p *process) int {
	given, names, err := options(p.args, "c")
	if err != nil {
		return p.usage(err)
	}
	for _, name := range names {
		if _, err := p.guest.files.stat(p.path(name), true); err == nil || is(given, "c") {
			continue
		}
		if err := p.put(p.path(name), nil, nil); err != nil {
			return p.complain("cannot touch ", name, err)
		}
	}
	return 0
}
