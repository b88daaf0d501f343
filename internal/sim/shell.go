package sim

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"
)

// session is a login on a guest, or in a pod on it: who runs commands there, with what environment.
//
// Commands run in a shell interpreter that sees the guest's files only: every handler that would look at the host is
// replaced, and so are the builtins that look at it without asking a handler (see rewrite).
type session struct {
	world   *World
	disk    string
	booting *guest // set while the guest boots and cannot be found yet
	user    string
	env     map[string]string
	posix   bool          // the shell is dash
	pod     *podRecord    // the session is in a container of this pod
	umask   atomic.Uint32 // its difference from 022; background commands share it
}

func (s *session) mask() fs.FileMode { return fs.FileMode(s.umask.Load() ^ 0o022) }

const (
	securePath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	// builtins under this name are programs of the model instead of the interpreter's own.
	replaced = "/.replaced/"
)

// program is a command of the guest; it returns its exit status.
type program func(ctx context.Context, p *process) int

// process is one run of a program.
type process struct {
	session *session
	guest   *guest // as it is now
	name    string
	args    []string // without the name
	dir     string
	env     expand.Environ
	stdin   io.Reader
	stdout  io.Writer
	stderr  io.Writer
}

func (p *process) printf(format string, args ...any) { fmt.Fprintf(p.stdout, format, args...) }

// buffered is standard output for a program that prints many lines.
func (p *process) buffered() (out io.Writer, flush func()) {
	b := bufio.NewWriterSize(p.stdout, 64<<10)
	return b, func() { _ = b.Flush() } // whoever closed the pipe wants no more
}

// fail says what is wrong, as "NAME: text", and returns 1.
func (p *process) fail(format string, args ...any) int {
	fmt.Fprintf(p.stderr, p.name+": "+format+"\n", args...)
	return 1
}

// unknown is the answer to arguments that the model does not know: never a silent success.
func (p *process) unknown(what string) int {
	fmt.Fprintf(p.stderr, "%s: the SIMULATED %s does not know %q\n", p.name, p.name, what)
	return 2
}

func (p *process) path(name string) string {
	if path.IsAbs(name) {
		return path.Clean(name)
	}
	return path.Join(p.dir, name)
}

// input is all of a named file, or of standard input for "-".
func (p *process) input(name string) ([]byte, error) {
	if name == "-" || name == "/dev/stdin" {
		if p.stdin == nil {
			return nil, nil
		}
		return io.ReadAll(p.stdin)
	}
	return p.session.read(p.guest, p.path(name))
}

// guest is the guest as it is now; an error if it is not up any more.
func (s *session) guest() (*guest, error) {
	if s.booting != nil {
		st, err := s.world.guestState(s.disk)
		if err != nil {
			return nil, err
		}
		g := *s.booting
		g.state = st
		return &g, nil
	}
	m, err := s.world.look()
	if err != nil {
		return nil, err
	}
	if g := m.guest(s.disk); g != nil {
		return g, nil
	}
	return nil, errPowerOff
}

// errPowerOff ends a session whose machine was stopped.
var errPowerOff = errors.New("the SIMULATED machine was powered off")

// loginEnv is what a login, or sudo, gives: PAM reads /etc/environment.
func (s *session) loginEnv(g *guest) map[string]string {
	env := map[string]string{"HOME": home(s.user), "USER": s.user, "LOGNAME": s.user, "SHELL": "/bin/bash", "PATH": securePath, "LANG": "C.UTF-8"}
	data, _ := g.files.read("root", "/etc/environment") // there may be none
	for line := range strings.Lines(string(data)) {
		if k, v, ok := strings.Cut(strings.TrimSpace(line), "="); ok && !strings.HasPrefix(k, "#") {
			env[strings.TrimPrefix(k, "export ")] = strings.Trim(v, `"'`)
		}
	}
	return env
}

// run interprets a script and returns its exit status. An error means that the session is over.
func (s *session) run(ctx context.Context, script, name string, params []string, dir string, stdin io.Reader, stdout, stderr io.Writer) (int, error) {
	file, err := s.parse(script, name)
	if err != nil {
		fmt.Fprintf(stderr, "%s: %v\n", name, err)
		return 2, nil
	}
	sh, err := s.interpreter(params, dir, stdin, stdout, stderr)
	if err != nil {
		return 1, err
	}
	defer sh.close()
	return exitOf(sh.runner.Run(ctx, file))
}

func (s *session) parse(script, name string) (*syntax.File, error) {
	variant := syntax.LangBash
	if s.posix {
		variant = syntax.LangPOSIX
	}
	return syntax.NewParser(syntax.Variant(variant)).Parse(strings.NewReader(script), name)
}

// interpreter is a shell on the guest: its variables, functions and folder outlive what it runs.
type interpreter struct {
	runner *interp.Runner
	close  func()
}

func (s *session) interpreter(params []string, dir string, stdin io.Reader, stdout, stderr io.Writer) (*interpreter, error) {
	// With a pipe of ours as standard input the interpreter starts no goroutine that reads on after the script has ended.
	in, closeIn, err := pipeFrom(stdin)
	if err != nil {
		return nil, err
	}
	env := &guestEnviron{vars: s.env}
	runner, err := interp.New(
		interp.Env(env),
		func(r *interp.Runner) error { r.Dir = dir; return nil }, // interp.Dir would look for it on the host
		interp.StdIO(in, stdout, stderr),
		interp.Params(append([]string{"--"}, params...)...),
		interp.CallHandler(s.call),
		interp.ExecHandlers(func(interp.ExecHandlerFunc) interp.ExecHandlerFunc { return s.exec }),
		interp.OpenHandler(s.open),
		interp.StatHandler(s.stat),
		interp.ReadDirHandler2(s.readDir),
		interp.AccessHandler(s.access),
	)
	if err != nil {
		closeIn()
		return nil, err
	}
	runner.Reset()
	env.started = true
	return &interpreter{runner, closeIn}, nil
}

// exitOf is the exit status in what the interpreter returned. What else it may be means that the session is over.
func exitOf(err error) (int, error) {
	var status interp.ExitStatus
	switch {
	case err == nil:
		return 0, nil
	case errors.As(err, &status):
		return int(status), nil
	}
	return 1, err
}

// runArgs runs one command line as a program, not as shell text.
func (s *session) runArgs(ctx context.Context, argv []string, dir string, stdin io.Reader, stdout, stderr io.Writer) int {
	run := s.clone()
	run.posix = false // $'…', which Quote may use, is bash's
	if g, err := run.guest(); err == nil {
		env := &guestEnviron{vars: run.env, started: true}
		if program, err := run.find(g, env, dir, argv[0]); err == nil {
			s.world.options.Process(slices.Clone(argv))
			if stdin == nil {
				stdin = strings.NewReader("")
			}
			status := program(ctx, &process{session: run, guest: g, name: path.Base(argv[0]), args: argv[1:], dir: dir, env: env,
				stdin: stdin, stdout: stdout, stderr: stderr})
			if ctx.Err() != nil {
				return 1
			}
			return status & 0xff
		}
	}
	// It is none, or one that the interpreter has built in; the interpreter says which.
	var words []string
	for _, a := range argv {
		q, err := syntax.Quote(a, syntax.LangBash)
		if err != nil {
			fmt.Fprintf(stderr, "%q: %v\n", a, err)
			return 1
		}
		words = append(words, q)
	}
	status, err := run.run(ctx, strings.Join(words, " "), argv[0], nil, dir, stdin, stdout, stderr)
	if err != nil && status == 0 {
		return 1
	}
	return status
}

// clone is a session that may be changed.
func (s *session) clone() *session {
	c := &session{world: s.world, disk: s.disk, booting: s.booting, user: s.user, env: maps.Clone(s.env), posix: s.posix, pod: s.pod}
	c.umask.Store(s.umask.Load())
	return c
}

// pipeFrom is r as the reading end of a pipe. Closing it ends the copying.
func pipeFrom(r io.Reader) (*os.File, func(), error) {
	if f, ok := r.(*os.File); ok && f != nil {
		return f, func() {}, nil
	}
	if r == nil {
		f, err := os.Open(os.DevNull)
		return f, func() { _ = f.Close() }, err
	}
	pr, pw, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	go func() {
		_, _ = io.Copy(pw, r) // ends when r does, or when the reading end is closed
		_ = pw.Close()
	}()
	return pr, func() { _ = pr.Close() }, nil
}

// guestEnviron is the environment of a session. The interpreter looks three things up that would lead to the host:
// TMPDIR (for the pipes of <(…)), when it starts; and "HOME user" for ~user, which otherwise asks the host's users.
type guestEnviron struct {
	vars    map[string]string
	started bool
}

func (e *guestEnviron) Get(name string) expand.Variable {
	exported := func(v string) expand.Variable {
		return expand.Variable{Set: true, Exported: true, Kind: expand.String, Str: v}
	}
	if v, ok := e.vars[name]; ok {
		return exported(v)
	}
	if user, ok := strings.CutPrefix(name, "HOME "); ok {
		return exported(home(user))
	}
	switch name {
	case "HOME":
		return exported("/")
	case "UID", "EUID", "GID":
		id := "1000"
		if e.vars["USER"] == "root" {
			id = "0"
		}
		return expand.Variable{Set: true, Kind: expand.String, Str: id, ReadOnly: true}
	case "TMPDIR":
		if !e.started {
			return exported("/nonexistent")
		}
	}
	return expand.Variable{}
}

func (e *guestEnviron) Each(f func(string, expand.Variable) bool) {
	for _, name := range sortedKeys(e.vars) {
		if !f(name, e.Get(name)) {
			return
		}
	}
}

// call sees every simple command before it runs.
func (s *session) call(_ context.Context, args []string) ([]string, error) {
	return s.rewrite(args), nil
}

// rewrite replaces those builtins that would look at the host: pwd -P resolves links there; command -v, type and hash
// look for programs there. The interpreter has no umask and no ulimit, and knows two signals only.
func (s *session) rewrite(args []string) []string {
	name, rest := args[0], args[1:]
	flag := len(rest) > 0 && strings.HasPrefix(rest[0], "-")
	switch name {
	case "pwd", "type", "hash", "umask", "ulimit":
		return append([]string{replaced + name}, rest...)
	case "command":
		if flag {
			return append([]string{replaced + name}, rest...)
		}
		if len(rest) > 0 {
			return append([]string{name}, s.rewrite(rest)...)
		}
	case "builtin":
		if len(rest) > 0 {
			return s.rewrite(rest)
		}
	case "exec":
		if len(rest) > 0 {
			return append([]string{name}, s.rewrite(rest)...)
		}
	case "trap":
		kept := slices.DeleteFunc(slices.Clone(rest), func(a string) bool {
			return slices.Contains([]string{"INT", "TERM", "HUP", "QUIT", "PIPE", "1", "2", "3", "13", "15"}, a)
		})
		if len(rest) > 1 && len(kept) == 1 {
			return []string{":"} // nobody sends signals here
		}
		for i, a := range kept {
			if i > 0 && a == "0" {
				kept[i] = "EXIT"
			}
		}
		return append([]string{name}, kept...)
	case "set":
		if i := slices.Index(rest, "pipefail"); s.posix && i > 0 && rest[i-1] != "+o" {
			return []string{replaced + "set", "pipefail"}
		}
	}
	return args
}

// exec runs a program.
func (s *session) exec(ctx context.Context, args []string) error {
	s.world.options.Process(slices.Clone(args))
	hc := interp.HandlerCtx(ctx)
	g, err := s.guest()
	if err != nil {
		return err // ends the session
	}
	p := &process{session: s, guest: g, args: args[1:], dir: hc.Dir, env: hc.Env, stdin: hc.Stdin, stdout: hc.Stdout, stderr: hc.Stderr}
	p.name = path.Base(args[0])
	run, err := s.find(g, hc.Env, hc.Dir, args[0])
	if err != nil {
		shell := "bash: line 1"
		if s.posix {
			shell = "sh: 1"
		}
		switch {
		case errors.Is(err, errNotFound) && s.posix:
			fmt.Fprintf(hc.Stderr, "%s: %s: not found\n", shell, args[0])
			return interp.ExitStatus(127)
		case errors.Is(err, errNotFound):
			fmt.Fprintf(hc.Stderr, "%s: %s: command not found\n", shell, args[0])
			return interp.ExitStatus(127)
		case errors.Is(err, fs.ErrNotExist):
			fmt.Fprintf(hc.Stderr, "%s: %s: %s\n", shell, args[0], reason(err))
			return interp.ExitStatus(127)
		}
		fmt.Fprintf(hc.Stderr, "%s: %s: %s\n", shell, args[0], reason(err))
		return interp.ExitStatus(126)
	}
	status := run(ctx, p)
	if err := ctx.Err(); err != nil {
		return err
	}
	if status != 0 {
		return interp.ExitStatus(uint8(status))
	}
	return nil
}

var errNotFound = errors.New("command not found")

// find resolves a command's name: a file in PATH, or a program of the image, which lies in /usr/bin and /usr/sbin.
func (s *session) find(g *guest, env expand.Environ, dir, name string) (program, error) {
	if base, ok := strings.CutPrefix(name, replaced); ok {
		if p := s.world.programs[replaced+base]; p != nil {
			return p, nil
		}
		return nil, errNotFound
	}
	if s.pod != nil {
		if p := podProgram(s.pod, path.Base(name)); p != nil {
			return p, nil
		}
		return nil, errNotFound
	}
	if strings.Contains(name, "/") {
		p := name
		if !path.IsAbs(p) {
			p = path.Join(dir, p)
		}
		return s.load(g, p)
	}
	for _, folder := range strings.Split(env.Get("PATH").String(), ":") {
		at := path.Join("/", folder, name)
		// Most folders have no such file, and it takes many questions to follow links to none.
		if _, err := os.Lstat(g.files.host(at)); err != nil {
			if run := s.imageProgram(at); run != nil {
				return run, nil
			}
			continue
		}
		run, err := s.load(g, at)
		if err == nil || !errors.Is(err, fs.ErrNotExist) {
			return run, err
		}
	}
	return nil, errNotFound
}

// load is the program at a path.
func (s *session) load(g *guest, p string) (program, error) {
	if _, err := g.files.stat(p, true); err == nil {
		if err := g.files.may(s.user, p, 1); err != nil || s.user == "root" && !executable(g, p) {
			return nil, pathError("exec", p, syscall.EACCES)
		}
		if _, err := g.k3sVersion(p); err == nil {
			return k3sProgram(path.Base(p)), nil
		}
		data, err := g.files.read(s.user, p)
		if err != nil {
			return nil, err
		}
		if strings.HasPrefix(string(data), "#!") {
			return scriptProgram(p, string(data)), nil
		}
		return nil, pathError("exec", p, syscall.ENOEXEC)
	}
	if run := s.imageProgram(p); run != nil {
		return run, nil
	}
	return nil, pathError("exec", p, syscall.ENOENT)
}

// imageProgram is the program that the image has at a path; nil if there is none.
func (s *session) imageProgram(p string) program {
	const administrators = "ip bridge modprobe lsmod sysctl swapoff reboot poweroff shutdown " +
		"iptables iptables-save iptables-legacy-save iptables-nft-save ipvsadm conntrack netplan"
	isTheirs := slices.Contains(strings.Fields(administrators), path.Base(p))
	switch path.Dir(p) {
	case "/sbin", "/usr/sbin":
		if !isTheirs {
			return nil
		}
	case "/bin", "/usr/bin":
		if isTheirs && path.Base(p) != "ip" {
			return nil
		}
	case "/var/lib/rancher/k3s/data/current/bin/aux": // where k3s keeps what guests may lack
		if path.Base(p) != "conntrack" && path.Base(p) != "iptables-save" {
			return nil
		}
	default:
		return nil
	}
	return s.world.programs[path.Base(p)]
}

func executable(g *guest, p string) bool {
	info, err := g.files.stat(p, true)
	return err == nil && info.Mode()&0o111 != 0
}

// scriptProgram runs a script of the guest.
func scriptProgram(name, text string) program {
	return func(ctx context.Context, p *process) int {
		s := p.session.clone()
		s.env = environment(p.env)
		first, _, _ := strings.Cut(text, "\n")
		s.posix = !strings.Contains(first, "bash")
		status, err := s.run(ctx, text, name, p.args, p.dir, p.stdin, p.stdout, p.stderr)
		if err != nil && status == 0 {
			return 1
		}
		return status
	}
}

// environment is what a program inherits: the exported variables.
func environment(env expand.Environ) map[string]string {
	vars := map[string]string{}
	env.Each(func(name string, v expand.Variable) bool {
		if v.Exported && v.IsSet() {
			vars[name] = v.String()
		}
		return true
	})
	return vars
}

// stdio is a file that must not be closed.
type stdio struct {
	io.Reader
	io.Writer
}

func (stdio) Close() error { return nil }

// open is a redirection.
func (s *session) open(ctx context.Context, name string, flag int, perm fs.FileMode) (io.ReadWriteCloser, error) {
	hc := interp.HandlerCtx(ctx)
	switch name {
	case "/dev/null":
		// From a true file the interpreter reads without a pipe and a goroutine of its own; so below.
		return os.OpenFile(os.DevNull, os.O_RDWR, 0)
	case "/dev/stdin", "/dev/fd/0":
		return stdio{hc.Stdin, io.Discard}, nil
	case "/dev/stdout", "/dev/fd/1":
		return stdio{strings.NewReader(""), hc.Stdout}, nil
	case "/dev/stderr", "/dev/fd/2":
		return stdio{strings.NewReader(""), hc.Stderr}, nil
	}
	g, err := s.guest()
	if err != nil {
		return nil, err
	}
	if !path.IsAbs(name) {
		name = path.Join(hc.Dir, name)
	}
	if _, virtual := g.virtual(path.Clean(name)); flag&(os.O_WRONLY|os.O_RDWR) == 0 && (virtual || s.pod != nil) {
		data, err := s.read(g, name)
		if err != nil {
			return nil, wordedError(name, err)
		}
		return stdio{strings.NewReader(string(data)), io.Discard}, nil
	}
	if s.pod != nil {
		return nil, wordedError(name, syscall.EROFS)
	}
	if ofKernel(path.Clean(name)) {
		return nil, wordedError(name, syscall.EACCES)
	}
	f, err := g.files.open(s.user, name, flag, perm&^s.mask())
	if err != nil {
		return nil, wordedError(name, err)
	}
	return f, nil
}

// wordedError is a path error in the guest's words.
func wordedError(name string, err error) error {
	return &fs.PathError{Op: "open", Path: name, Err: worded{err}}
}

type worded struct{ error }

func (w worded) Error() string { return reason(w.error) }
func (w worded) Unwrap() error { return w.error }

// read is a file of the guest's, or one of those that its kernel makes up.
func (s *session) read(g *guest, name string) ([]byte, error) {
	if s.pod != nil {
		return s.pod.file(g, name)
	}
	if virtual, ok := g.virtual(path.Clean(name)); ok {
		if virtual.dir {
			return nil, pathError("read", name, syscall.EISDIR)
		}
		return []byte(virtual.content), nil
	}
	return g.files.read(s.user, name)
}

func (s *session) info(name string, follow bool) (fs.FileInfo, error) {
	g, err := s.guest()
	if err != nil {
		return nil, err
	}
	if s.pod != nil {
		if name == "/" {
			return g.files.stat("/", true)
		}
		return nil, pathError("stat", name, syscall.ENOENT)
	}
	return g.info(name, follow)
}

func (s *session) stat(_ context.Context, name string, follow bool) (fs.FileInfo, error) {
	return s.info(name, follow)
}

func (s *session) readDir(ctx context.Context, name string) ([]fs.DirEntry, error) {
	g, err := s.guest()
	if err != nil {
		return nil, err
	}
	if !path.IsAbs(name) {
		name = path.Join(interp.HandlerCtx(ctx).Dir, name)
	}
	if s.pod != nil {
		return nil, pathError("open", name, syscall.ENOENT)
	}
	infos, err := g.entries(s.user, name)
	if err != nil {
		return nil, err
	}
	var all []fs.DirEntry
	for _, i := range infos {
		all = append(all, fs.FileInfoToDirEntry(i))
	}
	return all, nil
}

func (s *session) access(_ context.Context, name string, mode interp.AccessMode) error {
	g, err := s.guest()
	if err != nil {
		return err
	}
	if s.pod != nil {
		return nil
	}
	if _, ok := g.virtual(path.Clean(name)); ok {
		return nil
	}
	if _, err := g.files.stat(name, true); err != nil {
		if mode&interp.AccessExec != 0 && s.imageProgram(name) != nil {
			return nil
		}
		return err
	}
	if s.user == "root" && mode&interp.AccessExec != 0 {
		info, err := g.files.stat(name, true)
		if err == nil && !info.IsDir() && info.Mode()&0o111 == 0 {
			return pathError("access", name, syscall.EACCES)
		}
	}
	return g.files.may(s.user, name, fs.FileMode(mode))
}
