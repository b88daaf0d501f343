package ssh

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ssh"
)

func mustDial(t *testing.T, s *server, c Config) *Client {
	t.Helper()
	client, err := Dial(t.Context(), s.addr(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

func TestRun(t *testing.T) {
	s, c := newServer(t)
	s.commands["cat"] = func(s session) uint32 { io.Copy(s, s); return 0 }
	full := make(chan struct{})
	s.commands["head -1"] = func(s session) uint32 { // reads nothing, and ends when the client can send no more
		<-full
		io.WriteString(s, "line 1\n")
		return 0
	}
	client := mustDial(t, s, c)

	out, err := client.Run(t.Context(), "cat", strings.NewReader("hello\n"))
	if err != nil || string(out) != "hello\n" {
		t.Errorf("cat = %q, %v", out, err)
	}
	out, err = client.Run(t.Context(), "cat", nil)
	if err != nil || len(out) != 0 {
		t.Errorf("cat of nothing = %q, %v", out, err)
	}
	sent := 0
	out, err = client.Run(t.Context(), "head -1", readerFunc(func(p []byte) (int, error) {
		if before := sent; before <= 2<<20 && before+len(p) > 2<<20 { // the library's window
			close(full)
		}
		sent += len(p)
		return len(p), nil
	}))
	if err != nil || string(out) != "line 1\n" {
		t.Errorf("head = %q, %v", out, err)
	}
	broken := errors.New("disk on fire")
	if _, err = client.Run(t.Context(), "cat", iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("broken input: err = %v, want %v", err, broken)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestRunExitStatus(t *testing.T) {
	s, c := newServer(t)
	s.commands["systemctl status k3s"] = func(s session) uint32 {
		io.WriteString(s, "inactive\n")
		io.WriteString(s.Stderr(), "one\ntwo\n\nthree\nfour\n")
		return 3
	}
	client := mustDial(t, s, c)

	out, err := client.Run(t.Context(), "systemctl status k3s", nil)
	var exit *ExitError
	if !errors.As(err, &exit) || exit.ExitStatus() != 3 {
		t.Fatalf("err = %v, want an ExitError with status 3", err)
	}
	if string(out) != "inactive\n" {
		t.Errorf("out = %q", out)
	}
	_, port, _ := net.SplitHostPort(s.addr())
	want := "ssh -i " + c.KeyFile + " -p " + port + " ubuntu@127.0.0.1 'systemctl status k3s': exit status 3: two; three; four"
	if diff := cmp.Diff(want, err.Error()); diff != "" {
		t.Errorf("text (-want +got):\n%s", diff)
	}
	if _, err = client.Run(t.Context(), "nonsense", nil); !errors.As(err, &exit) || exit.ExitStatus() != 127 || !strings.Contains(err.Error(), "not found") {
		t.Errorf("unknown command: %v", err)
	}
}

func TestRunTooMuchOutput(t *testing.T) {
	s, c := newServer(t)
	s.commands["yes"] = func(s session) uint32 {
		for {
			if _, err := s.Write(bytes.Repeat([]byte("y\n"), 1000)); err != nil {
				return 1
			}
		}
	}
	c.limits.output = 100_000
	client := mustDial(t, s, c)
	out, err := client.Run(t.Context(), "yes", nil)
	if err == nil || !strings.Contains(err.Error(), "more than 100000 bytes of output") || len(out) > 100_000 {
		t.Errorf("Run = %d bytes, %v", len(out), err)
	}
}

func TestRunContextEndsCommand(t *testing.T) {
	s, c := newServer(t)
	signalled := make(chan string, 1)
	started := make(chan struct{})
	s.commands["sleep 1000"] = func(s session) uint32 {
		close(started)
		signal, ok := <-s.signals
		if !ok {
			signal = "closed"
		}
		signalled <- signal
		return 0
	}
	s.commands["true"] = answer("", 0)
	client := mustDial(t, s, c)

	ctx, cancel := context.WithCancelCause(t.Context())
	go func() { <-started; cancel(errInterrupted) }()
	_, err := client.Run(ctx, "sleep 1000", nil)
	if !errors.Is(err, errInterrupted) || !strings.Contains(err.Error(), "sleep 1000") {
		t.Errorf("err = %v, want %v and the command", err, errInterrupted)
	}
	if got := <-signalled; got != "TERM" {
		t.Errorf("the command got %q, want TERM", got)
	}
	// The connection survives a command that listens.
	if _, err := client.Run(t.Context(), "true", nil); err != nil {
		t.Errorf("next command: %v", err)
	}
	if _, err := client.Run(ctx, "true", nil); !errors.Is(err, errInterrupted) {
		t.Errorf("command after the end: %v, want %v", err, errInterrupted)
	}
}

var errInterrupted = errors.New("interrupted")

// A host that is gone answers nothing, not even to the session's close.
func TestRunContextEndsConnection(t *testing.T) {
	s, c := newServer(t)
	relay := newRelay(t, s.addr())
	started := make(chan struct{})
	s.commands["sleep 1000"] = func(s session) uint32 { close(started); <-s.signals; return 0 }
	c.limits.grace = 20 * time.Millisecond
	client, err := Dial(t.Context(), relay.addr(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-started; relay.freeze(); cancel() }()
	if _, err := client.Run(ctx, "sleep 1000", nil); !errors.Is(err, context.Canceled) || errors.Is(err, ErrLost) {
		t.Errorf("err = %v, want canceled", err)
	}
	if _, err := client.Run(t.Context(), "true", nil); !errors.Is(err, ErrLost) {
		t.Errorf("next command: %v, want ErrLost", err)
	}
}

// The same, when the host is gone before the command begins.
func TestRunOnDeadConnection(t *testing.T) {
	s, c := newServer(t)
	relay := newRelay(t, s.addr())
	c.limits.grace = 20 * time.Millisecond
	client, err := Dial(t.Context(), relay.addr(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if !client.Alive() {
		t.Error("a new connection is not alive")
	}
	relay.freeze()
	ctx, cancel := context.WithTimeoutCause(t.Context(), 10*time.Millisecond, errInterrupted)
	defer cancel()
	if _, err := client.Run(ctx, "true", nil); !errors.Is(err, errInterrupted) {
		t.Errorf("err = %v, want %v", err, errInterrupted)
	}
	<-client.ended
	if client.Alive() {
		t.Error("a connection that has ended is alive")
	}
}

// A session that nobody wants any more is closed when it opens late, and the connection stays.
func TestRunEndsWhileOpening(t *testing.T) {
	s, c := newServer(t)
	opening, goOn := make(chan struct{}), make(chan struct{})
	var once sync.Once
	s.beforeSession = func() { once.Do(func() { close(opening); <-goOn }) }
	s.commands["true"] = answer("", 0)
	client := mustDial(t, s, c)
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() { <-opening; cancel(errInterrupted); close(goOn) }()
	if _, err := client.Run(ctx, "true", nil); !errors.Is(err, errInterrupted) {
		t.Errorf("err = %v, want %v", err, errInterrupted)
	}
	if _, err := client.Run(t.Context(), "true", nil); err != nil {
		t.Errorf("next command: %v", err)
	}
}

func TestRunLosesConnection(t *testing.T) {
	s, c := newServer(t)
	s.commands["reboot"] = func(session) uint32 { s.cut(); return 0 }
	client := mustDial(t, s, c)
	if _, err := client.Run(t.Context(), "reboot", nil); !errors.Is(err, ErrLost) {
		t.Errorf("err = %v, want ErrLost", err)
	}
	if _, err := client.Run(t.Context(), "true", nil); !errors.Is(err, ErrLost) {
		t.Errorf("next command: %v, want ErrLost", err)
	}
}

func TestKeepAlive(t *testing.T) {
	s, c := newServer(t)
	c.limits.keepAlive = time.Millisecond
	client := mustDial(t, s, c)
	for range 3 {
		<-s.keepAlives
	}
	s.commands["true"] = answer("", 0)
	if _, err := client.Run(t.Context(), "true", nil); err != nil {
		t.Error(err)
	}
}

func TestKeepAliveNoticesSilence(t *testing.T) {
	s, c := newServer(t)
	s.mute = true
	s.commands["sleep 1000"] = func(s session) uint32 { <-s.signals; return 0 }
	c.limits.keepAlive, c.limits.silence = time.Millisecond, 10*time.Millisecond
	client := mustDial(t, s, c)
	_, err := client.Run(t.Context(), "sleep 1000", nil)
	if !errors.Is(err, ErrLost) || !strings.Contains(err.Error(), "no sign of life for 10ms") {
		t.Errorf("err = %v, want ErrLost for silence", err)
	}
}

func TestDialErrors(t *testing.T) {
	resetting := listen(t, func(conn net.Conn) {
		io.ReadFull(conn, make([]byte, 4))
		conn.(*net.TCPConn).SetLinger(0)
	})
	hanging := listen(t, func(conn net.Conn) { io.Copy(io.Discard, conn) })
	_, otherPublic, _ := testKey(t)
	otherKeyFile, _, _ := testKey(t)

	write := func(t *testing.T, content string) string {
		path := filepath.Join(t.TempDir(), "known_hosts")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, tt := range []struct {
		name   string
		addr   string // empty: the good server
		change func(*testing.T, *Config)
		cause  error
		text   string
	}{
		{name: "refused", addr: listenClosed(t), cause: syscall.ECONNREFUSED, text: `connecting to "127.0.0.1:`},
		{name: "reset", addr: resetting, cause: syscall.ECONNRESET},
		{name: "hanging", addr: hanging, cause: context.DeadlineExceeded, text: "no SSH handshake",
			change: func(_ *testing.T, c *Config) { c.limits.handshake = 20 * time.Millisecond }},
		{name: "changed host key", cause: ErrHostKey, text: "another key is known",
			change: func(t *testing.T, c *Config) { c.KnownHosts = write(t, "192.0.2.10 "+otherPublic+"\n") }},
		{name: "unknown host key", cause: ErrHostKey, text: "no key is known",
			change: func(t *testing.T, c *Config) { c.KnownHosts = write(t, "192.0.2.11 "+otherPublic+"\n") }},
		{name: "other alias", cause: ErrHostKey, text: `"192.0.2.99"`,
			change: func(_ *testing.T, c *Config) { c.Alias = "192.0.2.99" }},
		{name: "revoked host key", cause: ErrHostKey, text: "refused",
			change: func(t *testing.T, c *Config) {
				known, err := os.ReadFile(c.KnownHosts)
				if err != nil {
					t.Fatal(err)
				}
				c.KnownHosts = write(t, "@revoked "+string(known)+string(known))
			}},
		{name: "user's key refused", cause: errAuth,
			change: func(_ *testing.T, c *Config) { c.KeyFile = otherKeyFile }},
		{name: "no key file", cause: os.ErrNotExist,
			change: func(_ *testing.T, c *Config) { c.KeyFile += ".none" }},
		{name: "no known hosts", cause: os.ErrNotExist,
			change: func(_ *testing.T, c *Config) { c.KnownHosts += ".none" }},
		{name: "key file without a key", cause: ErrConfig, text: "known_hosts",
			change: func(_ *testing.T, c *Config) { c.KeyFile = c.KnownHosts }},
		{name: "dialler's own error", cause: syscall.ENETUNREACH,
			change: func(_ *testing.T, c *Config) {
				c.Dial = func(context.Context, string, string) (net.Conn, error) {
					return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ENETUNREACH}
				}
			}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, c := newServer(t)
			if tt.addr == "" {
				tt.addr = s.addr()
			}
			if tt.change != nil {
				tt.change(t, &c)
			}
			client, err := Dial(t.Context(), tt.addr, c)
			if err == nil {
				client.Close()
			}
			if !errors.Is(err, tt.cause) || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("err = %v, want %v with %q", err, tt.cause, tt.text)
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("error of several lines: %q", err)
			}
		})
	}
	t.Run("context ends the handshake", func(t *testing.T) {
		_, c := newServer(t)
		ctx, cancel := context.WithCancel(t.Context())
		c.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			defer cancel()
			return new(net.Dialer).DialContext(ctx, network, addr)
		}
		if _, err := Dial(ctx, hanging, c); !errors.Is(err, context.Canceled) {
			t.Errorf("err = %v, want canceled", err)
		}
	})
}

func TestDialUsesDialler(t *testing.T) {
	s, c := newServer(t)
	s.commands["true"] = answer("", 0)
	var dialled string
	c.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		dialled = network + " " + addr
		return new(net.Dialer).DialContext(ctx, network, s.addr())
	}
	client, err := Dial(t.Context(), "192.0.2.10", c)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if dialled != "tcp 192.0.2.10:22" {
		t.Errorf("dialled %q", dialled)
	}
	if _, err := client.Run(t.Context(), "true", nil); err != nil {
		t.Error(err)
	}
}

func TestWait(t *testing.T) {
	t.Run("somebody listens later", func(t *testing.T) {
		s, c := newServer(t)
		c.limits.poll = time.Millisecond
		addr := listenClosed(t)
		c.Dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, addr)
		}
		var steps []string
		client, err := Wait(t.Context(), "192.0.2.10", c, func(step string) {
			steps = append(steps, step)
			addr = s.addr()
		})
		if err != nil {
			t.Fatal(err)
		}
		client.Close()
		if diff := cmp.Diff([]string{"waiting for sshd: connection refused"}, steps); diff != "" {
			t.Errorf("steps (-want +got):\n%s", diff)
		}
	})
	t.Run("key accepted later", func(t *testing.T) {
		s, c := newServer(t)
		c.limits.poll = time.Millisecond
		authorized := s.authorized
		s.authorize(nil)
		var steps []string
		client, err := Wait(t.Context(), s.addr(), c, func(step string) {
			steps = append(steps, step)
			s.authorize(authorized)
		})
		if err != nil {
			t.Fatal(err)
		}
		client.Close()
		if diff := cmp.Diff([]string{"waiting for sshd: key not accepted yet"}, steps); diff != "" {
			t.Errorf("steps (-want +got):\n%s", diff)
		}
	})
	t.Run("deadline keeps the last cause", func(t *testing.T) {
		s, c := newServer(t)
		s.authorize(nil)
		c.limits.poll = time.Millisecond
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, errInterrupted)
		defer cancel()
		var steps []string
		attempts := 0
		ctx, end := context.WithCancelCause(ctx)
		c.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			if attempts++; attempts == 3 {
				end(context.DeadlineExceeded)
			}
			return new(net.Dialer).DialContext(ctx, network, addr)
		}
		_, err := Wait(ctx, s.addr(), c, func(step string) { steps = append(steps, step) })
		for _, cause := range []error{context.DeadlineExceeded, errAuth} {
			if !errors.Is(err, cause) {
				t.Errorf("err = %v, want %v in it", err, cause)
			}
		}
		if err != nil && strings.Contains(err.Error(), "\n") {
			t.Errorf("error of several lines: %q", err)
		}
		if diff := cmp.Diff([]string{"waiting for sshd: key not accepted yet"}, steps); diff != "" {
			t.Errorf("steps (-want +got):\n%s", diff)
		}
	})
	t.Run("hanging server", func(t *testing.T) {
		_, c := newServer(t)
		c.limits.handshake, c.limits.poll = 5*time.Millisecond, time.Millisecond
		hanging := listen(t, func(conn net.Conn) { io.Copy(io.Discard, conn) })
		ctx, cancel := context.WithCancel(t.Context())
		_, err := Wait(ctx, hanging, c, func(step string) {
			if step != "waiting for sshd: no answer" {
				t.Errorf("step = %q", step)
			}
			cancel()
		})
		if !errors.Is(err, context.Canceled) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("err = %v, want canceled and the attempt's deadline", err)
		}
	})
	t.Run("another host key is final", func(t *testing.T) {
		s, c := newServer(t)
		c.Alias = "192.0.2.99"
		attempts := 0
		c.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			attempts++
			return new(net.Dialer).DialContext(ctx, network, addr)
		}
		_, err := Wait(t.Context(), s.addr(), c, func(step string) { t.Errorf("step %q", step) })
		if !errors.Is(err, ErrHostKey) || attempts != 1 {
			t.Errorf("err = %v after %d attempts, want ErrHostKey after 1", err, attempts)
		}
	})
	t.Run("missing key file is final", func(t *testing.T) {
		s, c := newServer(t)
		c.KeyFile += ".none"
		if _, err := Wait(t.Context(), s.addr(), c, func(string) {}); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("err = %v, want not exist", err)
		}
	})
}

func TestReason(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want string
	}{
		{&net.OpError{Op: "dial", Err: syscall.EHOSTUNREACH}, "no route to host"},
		{&net.OpError{Op: "dial", Err: syscall.ENETUNREACH}, "no route to host"},
		{&net.OpError{Op: "read", Err: syscall.ECONNRESET}, "connection reset"},
		{&net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded}, "no answer"},
		{io.EOF, "connection closed"},
		{errors.New("something else"), "something else"},
	} {
		if got := reason(tt.err); got != tt.want {
			t.Errorf("reason(%v) = %q, want %q", tt.err, got, tt.want)
		}
	}
}

func TestShell(t *testing.T) {
	s, c := newServer(t)
	s.commands[""] = func(s session) uint32 { // the login shell
		io.WriteString(s, "pty "+s.pty+"\n")
		io.WriteString(s.Stderr(), "warning\n")
		line := make([]byte, 5)
		io.ReadFull(s, line)
		s.Write(line)
		return 7
	}
	s.commands["tty"] = func(s session) uint32 { io.WriteString(s, "pty "+s.pty); return 0 }
	s.commands["reboot"] = func(session) uint32 { s.cut(); return 0 }
	client := mustDial(t, s, c)
	t.Setenv("TERM", "vt100")

	var stdout, stderr bytes.Buffer
	exit, err := client.Shell(t.Context(), "", strings.NewReader("exit\n"), &stdout, &stderr, true)
	if err != nil || exit != 7 {
		t.Errorf("Shell = %d, %v; want 7", exit, err)
	}
	if diff := cmp.Diff("pty vt100 80x24\nexit\n", stdout.String()); diff != "" {
		t.Errorf("stdout (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff("warning\n", stderr.String()); diff != "" {
		t.Errorf("stderr (-want +got):\n%s", diff)
	}
	stdout.Reset()
	if exit, err := client.Shell(t.Context(), "tty", nil, &stdout, &stderr, false); err != nil || exit != 0 || stdout.String() != "pty " {
		t.Errorf("without tty: %d, %v, %q", exit, err, stdout.String())
	}
	t.Setenv("TERM", "")
	stdout.Reset()
	if _, err := client.Shell(t.Context(), "tty", nil, &stdout, &stderr, true); err != nil || stdout.String() != "pty xterm 80x24" {
		t.Errorf("without TERM: %v, %q", err, stdout.String())
	}
	// A person who types nothing does not keep a finished shell open.
	typing, _ := io.Pipe()
	if exit, err := client.Shell(t.Context(), "tty", typing, io.Discard, io.Discard, true); err != nil || exit != 0 {
		t.Errorf("with silent input: %d, %v", exit, err)
	}
	if exit, err := client.Shell(t.Context(), "reboot", nil, io.Discard, io.Discard, false); !errors.Is(err, ErrLost) || exit != 255 {
		t.Errorf("lost: %d, %v; want 255, ErrLost", exit, err)
	}
}

func TestNewKey(t *testing.T) {
	private, public, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.ParsePrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	parsed, _, _, rest, err := ssh.ParseAuthorizedKey([]byte(public))
	if err != nil || len(rest) != 0 || !bytes.Equal(parsed.Marshal(), signer.PublicKey().Marshal()) {
		t.Errorf("public half %q is not the private one's: %v", public, err)
	}
	if !strings.HasPrefix(public, "ssh-ed25519 ") || strings.ContainsAny(public, "\n\r") {
		t.Errorf("public half %q is not one ssh-ed25519 line", public)
	}
	if _, again, _ := NewKey(); again == public {
		t.Error("the same key twice")
	}
}

func TestQuote(t *testing.T) {
	for _, tt := range []struct {
		args []string
		want string
	}{
		{nil, ""},
		{[]string{"ls", "-l", "/etc/hosts"}, "ls -l /etc/hosts"},
		{[]string{""}, "''"},
		{[]string{"a b", "$HOME", "x;y"}, "'a b' '$HOME' 'x;y'"},
		{[]string{"it's"}, `'it'\''s'`},
		{[]string{"~", "*", "a\nb"}, "'~' '*' 'a\nb'"},
	} {
		if got := Quote(tt.args...); got != tt.want {
			t.Errorf("Quote(%q) = %s, want %s", tt.args, got, tt.want)
		}
	}
}

// Close leaves no goroutine behind, whatever state the connection is in.
func TestCloseLeavesNothing(t *testing.T) {
	s, c := newServer(t)
	c.limits.keepAlive = time.Millisecond
	client := mustDial(t, s, c)
	<-s.keepAlives
	client.Close()
	client.Close() // again is harmless
	stacks := make([]byte, 1<<20)
	if stacks = stacks[:runtime.Stack(stacks, true)]; bytes.Contains(stacks, []byte("keepAlive()")) {
		t.Errorf("still there:\n%s", stacks)
	}
}

// listen serves each connection with serve, then closes it.
func listen(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() { serve(conn); conn.Close() }()
		}
	}()
	return listener.Addr().String()
}

// listenClosed returns an address where nobody listens.
func listenClosed(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}
