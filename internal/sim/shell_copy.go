package sim

import (
	"context"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"
)

// targetOf is where a file goes that is moved or copied to target: into it, if it is a directory.
func (p *process) targetOf(from, target string, noDir bool) string {
	if info, err := p.guest.files.stat(target, true); err == nil && info.IsDir() && !noDir {
		return path.Join(target, path.Base(from))
	}
	return target
}

// toLast calls act for each of the names but the last, with where it goes: there, or into it if it is a directory. It ends with the first
// one that fails.
func (p *process) toLast(names []string, noDir bool, act func(name, to string) int) int {
	if len(names) < 2 {
		return p.fail("missing destination file operand after '%s'", strings.Join(names, " "))
	}
	target := p.path(names[len(names)-1])
	for _, name := range names[:len(names)-1] {
		if status := act(name, p.targetOf(p.path(name), target, noDir)); status != 0 {
			return status
		}
	}
	return 0
}

func runMv(_ context.Context, p *process) int {
	given, names, err := options(p.args, "f T")
	if err != nil {
		return p.usage(err)
	}
	return p.toLast(names, is(given, "T"), func(name, to string) int {
		if err := p.guest.files.rename(p.session.user, p.path(name), to); err != nil {
			return p.fail("cannot move '%s' to '%s': %s", name, to, reason(err))
		}
		return 0
	})
}

func runLn(_ context.Context, p *process) int {
	given, names, err := options(p.args, "s f n T v symbolic force")
	if err != nil {
		return p.usage(err)
	}
	if len(names) != 2 {
		return p.fail("missing file operand")
	}
	if !is(given, "s", "symbolic") {
		return p.unknown("hard links")
	}
	link := p.path(names[1])
	if !is(given, "n", "T") {
		link = p.targetOf(names[0], link, false)
	}
	if info, err := p.guest.files.stat(link, false); err == nil && is(given, "f", "force") && !info.IsDir() {
		if err := p.guest.files.remove(p.session.user, link); err != nil {
			return p.fail("cannot remove '%s': %s", names[1], reason(err))
		}
	}
	if err := p.guest.files.symlink(p.session.user, names[0], link); err != nil {
		return p.fail("failed to create symbolic link '%s': %s", names[1], reason(err))
	}
	return 0
}

// put writes a file's contents as the session's user and gives it mode, or for a new file without one the usual.
func (p *process) put(name string, data []byte, mode *fs.FileMode) error {
	if ofKernel(name) {
		return pathError("open", name, syscall.EACCES)
	}
	perm := 0o666 &^ p.session.mask()
	f, err := p.guest.files.open(p.session.user, name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, perm)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil && mode != nil {
		err = p.guest.files.change(p.session.user, name, mode, "")
	}
	return err
}

func runCp(_ context.Context, p *process) int {
	given, names, err := options(p.args, "f a p r R T v")
	if err != nil {
		return p.usage(err)
	}
	return p.toLast(names, is(given, "T"), func(name, to string) int {
		if err := p.copy(p.path(name), to, given); err != nil {
			return p.fail("cannot copy '%s': %s", name, reason(err))
		}
		return 0
	})
}

func (p *process) copy(from, to string, given map[string]string) error {
	info, err := p.guest.info(from, true)
	if err != nil {
		return err
	}
	if info.IsDir() {
		if !is(given, "r", "R", "a") {
			return syscall.EISDIR
		}
		if err := p.mkdir(to, info.Mode().Perm(), true); err != nil {
			return err
		}
		entries, err := p.guest.entries(p.session.user, from)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if err := p.copy(path.Join(from, e.Name()), path.Join(to, e.Name()), given); err != nil {
				return err
			}
		}
		return nil
	}
	data, err := p.session.read(p.guest, from)
	if err != nil {
		return err
	}
	_, statErr := p.guest.files.stat(to, true)
	mode := info.Mode().Perm()
	if !is(given, "a", "p") {
		mode &^= p.session.mask()
	}
	if statErr == nil && !is(given, "a", "p") {
		return p.put(to, data, nil)
	}
	if err := p.put(to, data, &mode); err != nil {
		return err
	}
	if f, ok := info.(fileInfo); ok && is(given, "a", "p") && p.session.user == "root" {
		return p.guest.files.change("root", to, nil, f.attr.Owner)
	}
	return nil
}

func runInstall(_ context.Context, p *process) int {
	given, names, err := options(p.args, "m= mode= o= owner= g= group= d D T v")
	if err != nil {
		return p.usage(err)
	}
	mode := fs.FileMode(0o755)
	for _, flag := range []string{"m", "mode"} {
		if v, ok := given[flag]; ok {
			if mode, err = parseMode(v, 0); err != nil {
				return p.usage(err)
			}
		}
	}
	owner, err := p.ownerName(given["o"] + given["owner"])
	if err != nil {
		return p.fail("%v", err)
	}
	if is(given, "d") {
		for _, name := range names {
			if err := p.mkdir(p.path(name), 0o755, true); err != nil {
				return p.fail("cannot create directory '%s': %s", name, reason(err))
			}
			if err := p.guest.files.change(p.session.user, p.path(name), &mode, owner); err != nil {
				return p.fail("cannot change '%s': %s", name, reason(err))
			}
		}
		return 0
	}
	return p.toLast(names, is(given, "T"), func(name, to string) int {
		var data []byte
		if name != "/dev/null" {
			if data, err = p.input(name); err != nil {
				return p.fail("cannot stat '%s': %s", name, reason(err))
			}
		}
		if is(given, "D") {
			if err := p.mkdir(path.Dir(to), 0o755, true); err != nil {
				return p.fail("cannot create directory '%s': %s", path.Dir(to), reason(err))
			}
		}
		// It replaces the file, so that nobody who has the old one open sees the new content.
		if _, err := p.guest.files.stat(to, false); err == nil {
			if err := p.guest.files.remove(p.session.user, to); err != nil {
				return p.fail("cannot remove '%s': %s", to, reason(err))
			}
		}
		if err := p.put(to, data, &mode); err != nil {
			return p.fail("cannot create regular file '%s': %s", to, reason(err))
		}
		if owner != "" {
			if err := p.guest.files.change(p.session.user, to, nil, owner); err != nil {
				return p.fail("cannot change ownership of '%s': %s", to, reason(err))
			}
		}
		return 0
	})
}
