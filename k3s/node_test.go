package k3s

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"

	"github.com/labctl/labctl/internal/ssh"
)

// testNode is a Runner: a guest whose files lie below root, where the package's own scripts really run. It knows the few
// programs below, with the few flags that the scripts use; everything else fails, as does a path outside of root.
type testNode struct {
	t    testing.TB
	root string

	links    string                                                       // what `ip -j link` says
	state    string                                                       // what systemctl is-active says
	slow     int                                                          // how often it says activating after a start
	journal  string                                                       // what the journal says while the service isn't active
	kubectl  func(args []string, stdin string) (stdout string, err error) // without the kubeconfig's flag
	killedAt string                                                       // the connection is lost when this program is to run

	killed   atomic.Bool // during this Run; programs of a pipe run side by side
	commands []string    // what Run was given
	ran      []string    // the programs' arguments that change something
}

const twoNICs = `[{"ifname":"lo","address":"00:00:00:00:00:00"},{"ifname":"enp0s3","address":"08:00:27:00:00:10"},` +
	`{"ifname":"enp0s8","address":"08:00:27:00:01:10"}]`

func newTestNode(t *testing.T) *testNode {
	t.Helper()
	n := &testNode{t: t, root: t.TempDir(), links: twoNICs, state: "inactive"}
	for _, dir := range []string{"usr/local/bin", "etc/systemd/system", "home/ubuntu"} {
		if err := os.MkdirAll(filepath.Join(n.root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	n.write(bootID, "boot-1\n")
	n.write("/etc/environment", "PATH=\"/usr/local/bin:/usr/bin\"\n")
	return n
}

var errLost = errors.New("connection lost")

// exitError is what a Runner returns for a command that exits non-zero.
type exitError struct {
	command string
	status  int
	stderr  string
}

func (e *exitError) ExitStatus() int { return e.status }
func (e *exitError) Error() string {
	return fmt.Sprintf("ssh cp1 %s: exit status %d: %s", ssh.Quote(e.command), e.status, strings.TrimSpace(e.stderr))
}

func (n *testNode) Run(ctx context.Context, command string, stdin io.Reader) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	n.commands = append(n.commands, command)
	if stdin == nil {
		stdin = strings.NewReader("")
	}
	var stdout, stderr bytes.Buffer
	err := n.shell(ctx, command, nil, stdin, &stdout, &stderr)
	if n.killed.Swap(false) {
		n.killedAt = ""
		return nil, errLost
	}
	var exit interp.ExitStatus
	if errors.As(err, &exit) {
		return stdout.Bytes(), &exitError{command, int(exit), stderr.String()}
	}
	return stdout.Bytes(), err
}

// shell runs a script as `sh -c SCRIPT sh PARAMS…` does. Only what POSIX has is parsed.
func (n *testNode) shell(ctx context.Context, script string, params []string, stdin io.Reader, stdout, stderr io.Writer) error {
	file, err := syntax.NewParser(syntax.Variant(syntax.LangPOSIX)).Parse(strings.NewReader(script), "")
	if err != nil {
		n.t.Errorf("not POSIX sh: %v\n%s", err, script)
		return interp.ExitStatus(2)
	}
	runner, err := interp.New(
		interp.Params(append([]string{"--"}, params...)...),
		interp.StdIO(stdin, stdout, stderr),
		interp.OpenHandler(func(_ context.Context, path string, flag int, perm os.FileMode) (io.ReadWriteCloser, error) {
			return os.OpenFile(n.path(path), flag, perm)
		}),
		interp.StatHandler(func(_ context.Context, path string, _ bool) (fs.FileInfo, error) { return os.Stat(n.path(path)) }),
		interp.AccessHandler(func(_ context.Context, path string, _ interp.AccessMode) error {
			_, err := os.Stat(n.path(path))
			return err
		}),
		interp.ReadDirHandler2(func(_ context.Context, path string) ([]fs.DirEntry, error) { return os.ReadDir(n.path(path)) }),
		interp.ExecHandlers(func(interp.ExecHandlerFunc) interp.ExecHandlerFunc { return n.exec }),
	)
	if err != nil {
		return err
	}
	return runner.Run(ctx, file)
}

// path is where a guest's path lies on this machine.
func (n *testNode) path(guest string) string {
	if guest == "/dev/null" {
		return guest
	}
	return filepath.Join(n.root, filepath.Clean("/"+guest))
}

func (n *testNode) exec(ctx context.Context, args []string) error {
	hc := interp.HandlerCtx(ctx)
	if n.killedAt != "" && strings.HasPrefix(strings.Join(args, " "), n.killedAt) {
		n.killed.Store(true)
	}
	if n.killed.Load() {
		return errLost
	}
	var out string
	var err error
	switch args[0] {
	case "sudo":
		return n.exec(ctx, args[1:])
	case "sh":
		if len(args) < 4 || args[1] != "-c" {
			return n.unknown(hc, args)
		}
		return n.shell(ctx, args[2], args[4:], hc.Stdin, hc.Stdout, hc.Stderr)
	case "kubectl":
		flag := []string{"--kubeconfig", "/etc/rancher/k3s/k3s.yaml"}
		if n.kubectl == nil || len(args) < 3 || !slices.Equal(args[1:3], flag) {
			return n.unknown(hc, args)
		}
		var stdin []byte
		if args[len(args)-1] == "-" {
			if stdin, err = io.ReadAll(hc.Stdin); err != nil {
				return err
			}
		}
		out, err = n.kubectl(args[3:], string(stdin))
	default:
		out, err = n.program(hc, args)
	}
	if _, wrong := io.WriteString(hc.Stdout, out); wrong != nil {
		return wrong
	}
	if errors.Is(err, errUnknown) {
		return n.unknown(hc, args)
	}
	if err != nil && !errors.Is(err, errLost) {
		fmt.Fprintln(hc.Stderr, err)
		return interp.ExitStatus(1)
	}
	return err
}

var errUnknown = errors.New("unknown")

// unknown fails the test, not only the command.
func (n *testNode) unknown(hc interp.HandlerContext, args []string) error {
	n.t.Errorf("the node does not know %q", args)
	fmt.Fprintf(hc.Stderr, "%s: not found\n", args[0])
	return interp.ExitStatus(127)
}

func (n *testNode) changed(args []string) { n.ran = append(n.ran, strings.Join(args, " ")) }

// program is one that reads or changes files or the service. A pattern's * stands for one argument, ** for the rest.
func (n *testNode) program(hc interp.HandlerContext, args []string) (string, error) {
	is := func(pattern string) bool {
		want := strings.Fields(pattern)
		for i, w := range want {
			if w == "**" {
				return true
			}
			if i >= len(args) || (w != "*" && w != args[i]) {
				return false
			}
		}
		return len(args) == len(want)
	}
	last := args[len(args)-1]
	switch {
	case is("cat"):
		_, err := io.Copy(hc.Stdout, hc.Stdin)
		return "", err
	case is("cat *"):
		data, err := os.ReadFile(n.path(last))
		return string(data), err
	case is("sha256sum"):
		data, err := io.ReadAll(hc.Stdin)
		return fmt.Sprintf("%x  -\n", sha256.Sum256(data)), err
	case is("head -n 1"):
		data, err := io.ReadAll(hc.Stdin)
		line, _, _ := strings.Cut(string(data), "\n")
		return line + "\n", err
	case is("grep -qxF * *"):
		data, err := os.ReadFile(n.path(last))
		if err == nil && !slices.Contains(strings.Split(string(data), "\n"), args[2]) {
			err = errors.New("no match")
		}
		return "", err
	case is("grep -q proxy-mode=ipvs *"):
		data, err := os.ReadFile(n.path(last))
		if err == nil && !strings.Contains(string(data), args[2]) {
			err = errors.New("no match")
		}
		return "", err
	case is("mkdir -p **"):
		for _, dir := range args[2:] {
			if err := os.MkdirAll(n.path(dir), 0o755); err != nil {
				return "", err
			}
		}
		return "", nil
	case is("install -m * * *"):
		data, err := os.ReadFile(n.path(args[3]))
		if err != nil {
			return "", err
		}
		mode, err := strconv.ParseUint(args[2], 8, 32)
		if err != nil {
			return "", err
		}
		_ = os.Remove(n.path(last))
		return "", errors.Join(os.WriteFile(n.path(last), data, 0o600), os.Chmod(n.path(last), os.FileMode(mode)))
	case is("mv -f * *"):
		n.changed(args)
		return "", os.Rename(n.path(args[2]), n.path(last))
	case is("rm -f **"):
		for _, file := range args[2:] {
			if err := os.Remove(n.path(file)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return "", err
			}
		}
		return "", nil
	case is("rm -rf **"):
		for _, file := range args[2:] {
			if err := os.RemoveAll(n.path(file)); err != nil {
				return "", err
			}
		}
		return "", nil
	case is("systemctl disable *"):
		n.changed(args)
		return "", nil
	case is("ln -sf k3s /usr/local/bin/kubectl"), is("chown * **"):
		return "", nil
	case is("/usr/local/bin/k3s --version"):
		data, err := os.ReadFile(n.path(args[0]))
		return "k3s version " + string(data) + " (48ffa7b6)\ngo version go1.24.11\n", err
	case is("ip -j link"):
		return n.links + "\n", nil
	case is("ip link show *"):
		if last == "cni0" {
			return "5: cni0\n", nil
		}
		return "", fmt.Errorf("Device %q does not exist.", last) // as ip says it
	case is("ip link delete *"):
		n.changed(args)
		return "", nil
	case is("journalctl -u * -n 40 --no-pager -o cat"):
		return n.journal, nil
	case is("systemctl daemon-reload"), is("systemctl enable *"):
		return "", nil
	case is("systemctl stop *"):
		n.changed(args)
		n.state = "inactive"
		return "", nil
	case is("systemctl start --no-block *"):
		n.changed(args)
		n.state = "activating"
		if last == "k3s" {
			n.write(kubeconfigPath, k3sYAML)
		}
		return "", nil
	case is("systemctl is-active *"):
		if n.state == "activating" {
			if n.slow--; n.slow < 0 {
				n.state = "active"
			}
		}
		if n.state != "active" {
			return n.state + "\n", errors.New("") // exits 3
		}
		return "active\n", nil
	}
	return "", errUnknown
}

func (n *testNode) write(path, content string) {
	n.t.Helper()
	if err := os.MkdirAll(filepath.Dir(n.path(path)), 0o755); err != nil {
		n.t.Fatal(err)
	}
	if err := os.WriteFile(n.path(path), []byte(content), 0o600); err != nil {
		n.t.Fatal(err)
	}
}

func (n *testNode) read(path string) string {
	n.t.Helper()
	data, err := os.ReadFile(n.path(path))
	if err != nil {
		n.t.Fatal(err)
	}
	return string(data)
}

// reboot starts the machine anew, and with it k3s.
func (n *testNode) reboot() {
	n.t.Helper()
	n.ran = append(n.ran, "reboot")
	n.state = "activating"
	n.write(bootID, "x"+n.read(bootID))
}

// reset forgets what ran.
func (n *testNode) reset() { n.commands, n.ran = nil, nil }

func TestUnknownProgramFails(t *testing.T) {
	inner := &failures{TB: t}
	n := &testNode{t: inner, root: t.TempDir()}
	_, err := n.Run(t.Context(), "sudo reboot", nil)
	var exit *exitError
	if !errors.As(err, &exit) || exit.status != 127 || inner.count != 1 {
		t.Errorf("an unknown program: error %v, %d failures of the test", err, inner.count)
	}
}

// failures counts a test's failures instead of letting it fail.
type failures struct {
	testing.TB
	count int
}

func (f *failures) Errorf(string, ...any) { f.count++ }
