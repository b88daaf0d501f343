package sim

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
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

func runLs(_ context.Context, p *process) int {
	given, names, err := options(p.args, "l a A d 1 L h n all")
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

func parseMode(s string, old fs.FileMode) (fs.FileMode, error) {
	if n, err := strconv.ParseUint(s, 8, 12); err == nil {
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

// targetOf is where a file goes that is moved or copied to target: into it, if it is a directory.
func (p *process) targetOf(from, target string, noDir bool) string {
	if info, err := p.guest.files.stat(target, true); err == nil && info.IsDir() && !noDir {
		return path.Join(target, path.Base(from))
	}
	return target
}

func runMv(_ context.Context, p *process) int {
	given, names, err := options(p.args, "f T v n")
	if err != nil {
		return p.usage(err)
	}
	if len(names) < 2 {
		return p.fail("missing destination file operand after '%s'", strings.Join(names, " "))
	}
	target := p.path(names[len(names)-1])
	for _, name := range names[:len(names)-1] {
		to := p.targetOf(p.path(name), target, is(given, "T"))
		if err := p.guest.files.rename(p.session.user, p.path(name), to); err != nil {
			return p.fail("cannot move '%s' to '%s': %s", name, to, reason(err))
		}
	}
	return 0
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
	if len(names) < 2 {
		return p.fail("missing destination file operand after '%s'", strings.Join(names, " "))
	}
	target := p.path(names[len(names)-1])
	for _, name := range names[:len(names)-1] {
		if err := p.copy(p.path(name), p.targetOf(p.path(name), target, is(given, "T")), given); err != nil {
			return p.fail("cannot copy '%s': %s", name, reason(err))
		}
	}
	return 0
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
	if len(names) < 2 {
		return p.fail("missing destination file operand after '%s'", strings.Join(names, " "))
	}
	target := p.path(names[len(names)-1])
	for _, name := range names[:len(names)-1] {
		to := p.targetOf(p.path(name), target, is(given, "T"))
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
	}
	return 0
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
		p.printf("%s\n", strings.NewReplacer("%a", fmt.Sprintf("%o", perm), "%s", fmt.Sprint(info.Size()), "%U", owner, "%G", owner, "%u", id, "%g", id,
			"%n", name, "%F", kind, "%A", longMode(info.Mode()), "%Y", fmt.Sprint(info.ModTime().Unix())).Replace(format))
	}
	return 0
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
	_, names, err := options(p.args, "c")
	if err != nil {
		return p.usage(err)
	}
	for _, name := range names {
		if _, err := p.guest.files.stat(p.path(name), true); err == nil {
			continue
		}
		if err := p.put(p.path(name), nil, nil); err != nil {
			return p.complain("cannot touch ", name, err)
		}
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
