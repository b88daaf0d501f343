package sim

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
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

// options splits a command line by a specification: names of one letter or more, with "=" if a value follows. An option
// that is not in it is an error. Options may stand after operands, as GNU's programs allow.
func options(args []string, spec string) (given map[string]string, rest []string, err error) {
	given = map[string]string{}
	takes := map[string]bool{}
	for _, s := range strings.Fields(spec) {
		name, value := strings.CutSuffix(s, "=")
		takes[name] = value
	}
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		switch {
		case arg == "--":
			return given, append(rest, args...), nil
		case strings.HasPrefix(arg, "--"):
			name, value, has := strings.Cut(arg[2:], "=")
			needs, known := takes[name]
			if !known || has && !needs {
				return nil, nil, fmt.Errorf("unrecognized option '%s'", arg)
			}
			if needs && !has {
				if len(args) == 0 {
					return nil, nil, fmt.Errorf("option '%s' requires an argument", arg)
				}
				value, args = args[0], args[1:]
			}
			given[name] = value
		case len(arg) > 1 && arg[0] == '-':
			for letters := arg[1:]; letters != ""; {
				name := letters[:1]
				letters = letters[1:]
				needs, known := takes[name]
				if !known {
					return nil, nil, fmt.Errorf("invalid option -- '%s'", name)
				}
				if !needs {
					given[name] = ""
					continue
				}
				if letters == "" {
					if len(args) == 0 {
						return nil, nil, fmt.Errorf("option requires an argument -- '%s'", name)
					}
					letters, args = args[0], args[1:]
				}
				given[name], letters = letters, ""
			}
		default:
			rest = append(rest, arg)
		}
	}
	return given, rest, nil
}

func is(given map[string]string, names ...string) bool {
	return slices.ContainsFunc(names, func(n string) bool { _, ok := given[n]; return ok })
}

// usage reports wrong arguments.
func (p *process) usage(err error) int {
	fmt.Fprintf(p.stderr, "%s: %v\n", p.name, err)
	return 2
}

// complain reports a failed operation on a file, as GNU's programs do.
func (p *process) complain(what, name string, err error) int {
	fmt.Fprintf(p.stderr, "%s: %s'%s': %s\n", p.name, what, name, reason(err))
	return 1
}

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

func runCat(_ context.Context, p *process) int {
	_, names, err := options(p.args, "")
	if err != nil {
		return p.usage(err)
	}
	if len(names) == 0 {
		names = []string{"-"}
	}
	status := 0
	for _, name := range names {
		data, err := p.input(name)
		if err != nil {
			status = p.fail("%s: %s", name, reason(err))
			continue
		}
		if _, err := p.stdout.Write(data); err != nil {
			return 1
		}
	}
	return status
}

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

func runTee(_ context.Context, p *process) int {
	given, names, err := options(p.args, "a append")
	if err != nil {
		return p.usage(err)
	}
	data, err := p.input("-")
	if err != nil {
		return p.fail("%v", err)
	}
	status := 0
	for _, name := range names {
		if name == "/dev/null" {
			continue
		}
		content := data
		if is(given, "a", "append") {
			old, err := p.session.read(p.guest, p.path(name))
			if err == nil {
				content = append(old, data...)
			}
		}
		if err := p.put(p.path(name), content, nil); err != nil {
			status = p.fail("%s: %s", name, reason(err))
		}
	}
	if _, err := p.stdout.Write(data); err != nil {
		return 1
	}
	return status
}

func runSha256sum(_ context.Context, p *process) int {
	given, names, err := options(p.args, "c check status quiet b")
	if err != nil {
		return p.usage(err)
	}
	if len(names) == 0 {
		names = []string{"-"}
	}
	sum := func(name string) (string, error) {
		data, err := p.input(name)
		h := sha256.Sum256(data)
		return hex.EncodeToString(h[:]), err
	}
	status := 0
	for _, name := range names {
		if !is(given, "c", "check") {
			s, err := sum(name)
			if err != nil {
				status = p.fail("%s: %s", name, reason(err))
				continue
			}
			p.printf("%s  %s\n", s, name)
			continue
		}
		list, err := p.input(name)
		if err != nil {
			return p.fail("%s: %s", name, reason(err))
		}
		bad := 0
		for line := range strings.Lines(string(list)) {
			want, file, ok := strings.Cut(strings.TrimSpace(line), " ")
			if !ok {
				return p.fail("%s: no properly formatted SHA256 checksum lines found", name)
			}
			file = strings.TrimLeft(file, " *")
			have, err := sum(file)
			verdict := "OK"
			switch {
			case err != nil:
				p.fail("%s: %s", file, reason(err))
				verdict, bad = "FAILED open or read", bad+1
			case have != want:
				verdict, bad = "FAILED", bad+1
			}
			if !is(given, "status") && !(is(given, "quiet") && verdict == "OK") {
				p.printf("%s: %s\n", file, verdict)
			}
		}
		if bad > 0 {
			status = 1
			if !is(given, "status") {
				p.fail("WARNING: %d computed checksum did NOT match", bad)
			}
		}
	}
	return status
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

// restOf is how many bytes are left to read, if that is known without reading.
func restOf(r io.Reader) (int64, bool) {
	f, ok := r.(*os.File)
	if !ok {
		return 0, false
	}
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return 0, false
	}
	at, err := f.Seek(0, io.SeekCurrent)
	return info.Size() - at, err == nil
}

func runWc(_ context.Context, p *process) int {
	given, names, err := options(p.args, "c l w bytes lines words")
	if err != nil {
		return p.usage(err)
	}
	files := names
	if len(files) == 0 {
		if size, ok := restOf(p.stdin); ok && len(given) == 1 && is(given, "c", "bytes") {
			p.printf("%d\n", size)
			return 0
		}
		files = []string{"-"}
	}
	for _, name := range files {
		data, err := p.input(name)
		if err != nil {
			return p.fail("%s: %s", name, reason(err))
		}
		var columns []string
		all := len(given) == 0
		for _, c := range []struct {
			on bool
			n  int
		}{
			{is(given, "l", "lines"), bytes.Count(data, []byte("\n"))}, {is(given, "w", "words"), len(bytes.Fields(data))}, {is(given, "c", "bytes"), len(data)},
		} {
			if all {
				columns = append(columns, fmt.Sprintf("%7d", c.n))
			} else if c.on {
				columns = append(columns, fmt.Sprint(c.n))
			}
		}
		if len(names) > 0 {
			columns = append(columns, name)
		}
		p.printf("%s\n", strings.Join(columns, " "))
	}
	return 0
}

// countOption is the number in -n N, -c N or -N.
func countOption(args []string) (rest []string, lines, size int, err error) {
	lines, size = 10, -1
	if len(args) > 0 && regexp.MustCompile(`^-\d+$`).MatchString(args[0]) {
		args = append([]string{"-n", args[0][1:]}, args[1:]...)
	}
	given, rest, err := options(args, "n= c= q lines= bytes= f")
	if err != nil {
		return nil, 0, 0, err
	}
	for flag, to := range map[string]*int{"n": &lines, "lines": &lines, "c": &size, "bytes": &size} {
		if v, ok := given[flag]; ok {
			if *to, err = strconv.Atoi(strings.TrimPrefix(v, "+")); err != nil {
				return nil, 0, 0, fmt.Errorf("invalid number: ‘%s’", v)
			}
		}
	}
	if is(given, "f") {
		return nil, 0, 0, fmt.Errorf("the SIMULATED one does not follow files")
	}
	return rest, lines, size, nil
}

func (p *process) ends(cut func(lines []string, n int) []string, cutBytes func([]byte, int) []byte) int {
	names, n, size, err := countOption(p.args)
	if err != nil {
		return p.usage(err)
	}
	if len(names) == 0 {
		names = []string{"-"}
	}
	for _, name := range names {
		data, err := p.input(name)
		if err != nil {
			return p.fail("cannot open '%s' for reading: %s", name, reason(err))
		}
		if size >= 0 {
			data = cutBytes(data, min(size, len(data)))
		} else {
			lines := strings.SplitAfter(string(data), "\n")
			if lines[len(lines)-1] == "" {
				lines = lines[:len(lines)-1]
			}
			data = []byte(strings.Join(cut(lines, n), ""))
		}
		if _, err := p.stdout.Write(data); err != nil {
			return 1
		}
	}
	return 0
}

func runHead(_ context.Context, p *process) int {
	return p.ends(func(l []string, n int) []string {
		if n < 0 {
			return l[:max(0, len(l)+n)]
		}
		return l[:min(n, len(l))]
	}, func(b []byte, n int) []byte { return b[:n] })
}

func runTail(_ context.Context, p *process) int {
	return p.ends(func(l []string, n int) []string { return l[max(0, len(l)-n):] }, func(b []byte, n int) []byte { return b[len(b)-n:] })
}

func runGrep(_ context.Context, p *process) int {
	if i := slices.Index(p.args, "-e"); i >= 0 && slices.Contains(p.args[i+1:], "-e") {
		return p.unknown("-e more than once")
	}
	given, args, err := options(p.args, "q x F E v c i o h s e= n w r")
	if err != nil {
		return p.usage(err)
	}
	pattern, ok := given["e"]
	if !ok {
		if len(args) == 0 {
			return p.usage(fmt.Errorf("no pattern"))
		}
		pattern, args = args[0], args[1:]
	}
	if is(given, "r") {
		return p.unknown("-r")
	}
	switch {
	case is(given, "F"):
		pattern = regexp.QuoteMeta(pattern)
	case !is(given, "E"):
		pattern = basicRegexp(pattern)
	}
	if is(given, "x") {
		pattern = "^(?:" + pattern + ")$"
	}
	if is(given, "w") {
		pattern = `\b(?:` + pattern + `)\b`
	}
	if is(given, "i") {
		pattern = "(?i)" + pattern
	}
	re, err := regexp.Compile(pattern)
	if err != nil {
		return p.usage(err)
	}
	names := args
	if len(names) == 0 {
		names = []string{"-"}
	}
	status, trouble := 1, 0
	for _, name := range names {
		data, err := p.input(name)
		if err != nil {
			if !is(given, "s") {
				p.fail("%s: %s", name, reason(err))
			}
			trouble = 2
			continue
		}
		count := 0
		n := 0
		for line := range strings.Lines(string(data)) {
			line = strings.TrimSuffix(line, "\n")
			n++
			if re.MatchString(line) == is(given, "v") {
				continue
			}
			count++
			status = 0
			if is(given, "q", "c") {
				continue
			}
			prefix := ""
			if len(names) > 1 && !is(given, "h") {
				prefix = name + ":"
			}
			if is(given, "n") {
				prefix += fmt.Sprint(n) + ":"
			}
			if is(given, "o") {
				for _, m := range re.FindAllString(line, -1) {
					p.printf("%s%s\n", prefix, m)
				}
				continue
			}
			p.printf("%s%s\n", prefix, line)
		}
		if is(given, "c") && !is(given, "q") {
			p.printf("%d\n", count)
		}
	}
	if trouble != 0 && !(is(given, "q") && status == 0) {
		return trouble
	}
	return status
}

// basicRegexp turns a POSIX basic regular expression into Go's syntax, where \( and ( have changed places.
func basicRegexp(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && i+1 < len(s) && strings.IndexByte("(){}|+?", s[i+1]) >= 0:
			i++
			b.WriteByte(s[i])
		case c == '\\' && i+1 < len(s):
			b.WriteByte(c)
			i++
			b.WriteByte(s[i])
		case c == '[':
			// A bracket expression is the same in both, [:space:] included.
			end := i + 1
			if end < len(s) && s[end] == '^' {
				end++
			}
			if end < len(s) && s[end] == ']' {
				end++
			}
			for end < len(s) && s[end] != ']' {
				if s[end] == '[' && end+1 < len(s) && s[end+1] == ':' {
					if stop := strings.Index(s[end:], ":]"); stop > 0 {
						end += stop + 1
					}
				}
				end++
			}
			b.WriteString(s[i:min(end+1, len(s))])
			i = end
		case strings.IndexByte("(){}|+?", c) >= 0:
			b.WriteByte('\\')
			b.WriteByte(c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// runSed knows one command a script: [/REGEXP/]s/REGEXP/TEXT/[g], /REGEXP/d, FROM,TOp and Np.
func runSed(_ context.Context, p *process) int {
	given, args, err := options(p.args, "i n E r e=")
	if err != nil {
		return p.usage(err)
	}
	script, ok := given["e"]
	if !ok {
		if len(args) == 0 {
			return p.usage(fmt.Errorf("no script"))
		}
		script, args = args[0], args[1:]
	}
	edit, err := parseSed(script, is(given, "E", "r"), is(given, "n"))
	if err != nil {
		return p.usage(err)
	}
	if len(args) == 0 {
		args = []string{"-"}
	}
	for _, name := range args {
		data, err := p.input(name)
		if err != nil {
			return p.fail("can't read %s: %s", name, reason(err)) + 1
		}
		var out strings.Builder
		n := 0
		for line := range strings.Lines(string(data)) {
			n++
			text, end := strings.CutSuffix(line, "\n")
			if result, keep := edit(text, n); keep {
				out.WriteString(result)
				if end {
					out.WriteString("\n")
				}
			}
		}
		if is(given, "i") {
			if err := p.put(p.path(name), []byte(out.String()), nil); err != nil {
				return p.fail("couldn't open file %s: %s", name, reason(err))
			}
			continue
		}
		if _, err := io.WriteString(p.stdout, out.String()); err != nil {
			return 1
		}
	}
	return 0
}

func parseSed(script string, extended, quiet bool) (func(line string, n int) (string, bool), error) {
	compile := func(s string) (*regexp.Regexp, error) {
		if !extended {
			s = basicRegexp(s)
		}
		return regexp.Compile(s)
	}
	unknown := fmt.Errorf("the SIMULATED sed does not know %q", script)
	if m := regexp.MustCompile(`^(\d+)(?:,(\d+))?p$`).FindStringSubmatch(script); m != nil && quiet {
		from, _ := strconv.Atoi(m[1])
		to, err := strconv.Atoi(m[2])
		if err != nil {
			to = from
		}
		return func(line string, n int) (string, bool) { return line, n >= from && n <= to }, nil
	}
	if quiet {
		return nil, unknown
	}
	applies := func(string) bool { return true }
	if strings.HasPrefix(script, "/") {
		end := unescapedIndex(script[1:], '/')
		if end < 0 {
			return nil, unknown
		}
		re, err := compile(strings.ReplaceAll(script[1:1+end], `\/`, "/"))
		if err != nil {
			return nil, err
		}
		applies, script = re.MatchString, script[2+end:]
	}
	if script == "d" {
		return func(line string, _ int) (string, bool) { return line, !applies(line) }, nil
	}
	if len(script) < 4 || script[0] != 's' {
		return nil, unknown
	}
	sep := script[1]
	a := unescapedIndex(script[2:], sep)
	if a < 0 {
		return nil, unknown
	}
	rest := script[3+a:]
	b := unescapedIndex(rest, sep)
	if b < 0 || rest[b+1:] != "" && rest[b+1:] != "g" {
		return nil, unknown
	}
	re, err := compile(strings.ReplaceAll(script[2:2+a], `\`+string(sep), string(sep)))
	if err != nil {
		return nil, err
	}
	text := strings.ReplaceAll(rest[:b], `\`+string(sep), string(sep))
	text = strings.ReplaceAll(text, "$", "$$")
	text = regexp.MustCompile(`\\(\d)`).ReplaceAllString(text, `$${$1}`)
	text = regexp.MustCompile(`(^|[^\\])&`).ReplaceAllString(text, `$1$${0}`)
	text = strings.ReplaceAll(text, `\&`, "&")
	all := rest[b+1:] == "g"
	return func(line string, _ int) (string, bool) {
		if !applies(line) {
			return line, true
		}
		if all {
			return re.ReplaceAllString(line, text), true
		}
		m := re.FindStringSubmatchIndex(line)
		if m == nil {
			return line, true
		}
		return line[:m[0]] + string(re.ExpandString(nil, text, line, m)) + line[m[1]:], true
	}, nil
}

func unescapedIndex(s string, c byte) int {
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' {
			i++
		} else if s[i] == c {
			return i
		}
	}
	return -1
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

func runSort(_ context.Context, p *process) int {
	given, names, err := options(p.args, "u r")
	if err != nil {
		return p.usage(err)
	}
	if len(names) == 0 {
		names = []string{"-"}
	}
	var lines []string
	for _, name := range names {
		data, err := p.input(name)
		if err != nil {
			return p.fail("cannot read: %s: %s", name, reason(err))
		}
		for line := range strings.Lines(string(data)) {
			lines = append(lines, strings.TrimSuffix(line, "\n"))
		}
	}
	slices.Sort(lines)
	if is(given, "u") {
		lines = slices.Compact(lines)
	}
	if is(given, "r") {
		slices.Reverse(lines)
	}
	for _, l := range lines {
		p.printf("%s\n", l)
	}
	return 0
}

// runUniq is uniq [-c] [-d] [-u].
func runUniq(_ context.Context, p *process) int {
	given, args, err := options(p.args, "c d u count")
	if err != nil || len(args) > 1 {
		return p.unknown(strings.Join(p.args, " "))
	}
	data, err := p.input(append(args, "-")[0])
	if err != nil {
		return p.complain("", args[0], err)
	}
	var lines []string
	counts := []int{}
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSuffix(line, "\n")
		if n := len(lines); n > 0 && lines[n-1] == line {
			counts[n-1]++
			continue
		}
		lines, counts = append(lines, line), append(counts, 1)
	}
	for n, line := range lines {
		switch {
		case is(given, "d") && counts[n] == 1, is(given, "u") && counts[n] > 1:
		case is(given, "c", "count"):
			p.printf("%7d %s\n", counts[n], line)
		default:
			p.printf("%s\n", line)
		}
	}
	return 0
}

func runTr(_ context.Context, p *process) int {
	data, err := p.input("-")
	if err != nil {
		return p.fail("%v", err)
	}
	unescape := strings.NewReplacer(`\n`, "\n", `\t`, "\t", `\r`, "\r", `\0`, "\x00")
	switch {
	case len(p.args) == 2 && p.args[0] == "-d":
		set := unescape.Replace(p.args[1])
		p.printf("%s", strings.Map(func(r rune) rune {
			if strings.ContainsRune(set, r) {
				return -1
			}
			return r
		}, string(data)))
	case len(p.args) == 2 && len(p.args[0]) > 0 && p.args[0][0] != '-' && len(unescape.Replace(p.args[0])) == len(unescape.Replace(p.args[1])) && !strings.Contains(p.args[0], "-"):
		from, to := unescape.Replace(p.args[0]), unescape.Replace(p.args[1])
		p.printf("%s", strings.Map(func(r rune) rune {
			if i := strings.IndexRune(from, r); i >= 0 {
				return rune(to[i])
			}
			return r
		}, string(data)))
	default:
		return p.unknown(strings.Join(p.args, " "))
	}
	return 0
}

func runCut(_ context.Context, p *process) int {
	given, names, err := options(p.args, "d= f=")
	if err != nil {
		return p.usage(err)
	}
	field, err := strconv.Atoi(given["f"])
	if err != nil || field < 1 {
		return p.unknown("-f " + given["f"])
	}
	sep := "\t"
	if v, ok := given["d"]; ok {
		sep = v
	}
	if len(names) == 0 {
		names = []string{"-"}
	}
	for _, name := range names {
		data, err := p.input(name)
		if err != nil {
			return p.fail("%s: %s", name, reason(err))
		}
		for line := range strings.Lines(string(data)) {
			line = strings.TrimSuffix(line, "\n")
			if parts := strings.Split(line, sep); len(parts) == 1 {
				p.printf("%s\n", line)
			} else if field <= len(parts) {
				p.printf("%s\n", parts[field-1])
			} else {
				p.printf("\n")
			}
		}
	}
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
