package sim

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"

	"golang.org/x/crypto/ssh"
	"golang.org/x/term"
	"mvdan.cc/sh/v3/syntax"
)

// serveSSH is sshd on the guest of a disk, for one connection.
func (w *World) serveSSH(ctx context.Context, disk string, c net.Conn) {
	stop := context.AfterFunc(ctx, func() { _ = c.Close() }) // what reads from it fails, and ends
	defer stop()
	m, err := w.look()
	if err != nil {
		return
	}
	g := m.guest(disk)
	if g == nil {
		return // the client sees the connection end, as when the machine stops
	}
	config := &ssh.ServerConfig{ServerVersion: "SSH-2.0-OpenSSH_8.9p1 Ubuntu-3ubuntu0.13", PublicKeyCallback: g.authorize, MaxAuthTries: 6}
	config.KeyExchanges = []string{"curve25519-sha256", "curve25519-sha256@libssh.org", "ecdh-sha2-nistp256"} // 8.9's, as far as the library has them
	for _, key := range g.hostKeys() {
		config.AddHostKey(key)
	}
	sc, channels, requests, err := ssh.NewServerConn(c, config)
	if err != nil {
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go ssh.DiscardRequests(requests)
	go func() {
		_ = sc.Wait() // the client is gone: nobody waits for what runs
		cancel()
	}()
	var sessions sync.WaitGroup
	for ch := range channels {
		if ch.ChannelType() != "session" {
			_ = ch.Reject(ssh.UnknownChannelType, "the SIMULATED sshd knows sessions only") // the connection may be gone
			continue
		}
		channel, reqs, err := ch.Accept()
		if err != nil {
			break
		}
		sessions.Go(func() { w.serveSession(ctx, disk, sc.User(), channel, reqs, func() { reset(c) }) })
	}
	sessions.Wait()
}

// authorize checks a login against the guest's own authorized_keys.
func (g *guest) authorize(meta ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
	denied := fmt.Errorf("user %q may not log in with this key", meta.User())
	if _, ok := g.account(meta.User()); !ok {
		return nil, denied
	}
	rest, err := g.files.read("root", home(meta.User())+"/.ssh/authorized_keys")
	if err != nil {
		return nil, denied
	}
	for len(rest) > 0 {
		var allowed ssh.PublicKey
		if allowed, _, _, rest, err = ssh.ParseAuthorizedKey(rest); err != nil {
			return nil, denied
		}
		if bytes.Equal(allowed.Marshal(), key.Marshal()) {
			return nil, nil
		}
	}
	return nil, denied
}

// hostKeys are those in /etc/ssh; without any, one that follows from the disk.
func (g *guest) hostKeys() []ssh.Signer {
	var keys []ssh.Signer
	for _, kind := range []string{"ed25519", "ecdsa", "rsa"} {
		data, err := g.files.read("root", "/etc/ssh/ssh_host_"+kind+"_key")
		if err != nil {
			continue
		}
		if key, err := ssh.ParsePrivateKey(data); err == nil {
			keys = append(keys, key)
		}
	}
	if len(keys) > 0 {
		return keys
	}
	seed := sha256.Sum256([]byte("host key " + g.disk))
	if key, err := ssh.NewSignerFromKey(ed25519.NewKeyFromSeed(seed[:])); err == nil {
		keys = append(keys, key)
	}
	return keys
}

// channel is ssh.Channel, under a name that can be embedded.
type channel = ssh.Channel

// serveSession answers the requests of one session: its environment, a terminal, and one command or a shell. cut resets the connection.
func (w *World) serveSession(ctx context.Context, disk, user string, ch ssh.Channel, reqs <-chan *ssh.Request, cut func()) {
	defer ch.Close() // the client may have closed it first
	s := &session{world: w, disk: disk, user: user}
	tty, started := false, false
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan struct{})
	for {
		select {
		case <-done:
			return
		case req, ok := <-reqs:
			if !ok {
				cancel()
				if started {
					<-done
				}
				return
			}
			text := payload(req.Payload)
			good := true
			var command func()
			switch req.Type {
			case "pty-req":
				tty = true
			case "window-change", "env":
			case "exec", "shell":
				if started {
					good = false
					break
				}
				started = true
				command = func() {
					defer close(done)
					if exit, ended := s.directed(ctx, ch, req.Type == "exec", text, tty, cut); ended {
						finish(ch, exit)
					}
				}
			case "signal":
				cancel()
			default:
				good = false
			}
			if req.WantReply {
				_ = req.Reply(good, nil) // fails with the connection, which ends the loop
			}
			if command != nil {
				go command() // not before the reply, which must come before the channel's end
			}
		}
	}
}

// directed is login, unless the director rules otherwise; ended is false where nothing is left to tell the client.
func (s *session) directed(ctx context.Context, ch ssh.Channel, isCommand bool, command string, tty bool, cut func()) (exit int, ended bool) {
	e := Event{Kind: SSHEvent, Words: []string{command}}
	if s.world.director != "" {
		if g, err := s.guest(); err == nil {
			e.Where = g.hostname()
		}
	}
	input := ch
	before := s.world.ask(e)
	if before.Do == Cut {
		if before.Bytes == 0 {
			cut()
			return 0, false
		}
		input = &tearing{ch, before.Bytes, cut}
	}
	if exit, ruled := fate(ctx, before, ch.Stderr()); ruled {
		return exit, true
	}
	exit = s.login(ctx, input, isCommand, command, tty)
	e.After = true
	after := s.world.ask(e)
	if after.Do == Cut {
		cut()
		return 0, false
	}
	if exit, ruled := fate(ctx, after, ch.Stderr()); ruled {
		return exit, true
	}
	return exit, true
}

// login runs a command, or a shell on the channel.
func (s *session) login(ctx context.Context, ch ssh.Channel, isCommand bool, command string, tty bool) int {
	g, err := s.guest()
	if err != nil {
		fmt.Fprintln(ch.Stderr(), err)
		return 255
	}
	s.env = s.loginEnv(g)
	var status int
	switch {
	case isCommand:
		s.world.options.Process([]string{"bash", "-c", command}) // as sshd starts it
		out, errs := &outlet{to: ch}, &outlet{to: ch.Stderr()}
		status, err = s.run(ctx, command, "bash", nil, home(s.user), ch, out, errs)
		out.flush()
		errs.flush()
	case tty:
		status, err = s.interactive(ctx, g.hostname(), ch)
	default:
		var script []byte
		if script, err = io.ReadAll(ch); err == nil {
			status, err = s.run(ctx, string(script), "bash", nil, home(s.user), nil, ch, ch.Stderr())
		}
	}
	if err != nil && status <= 1 {
		fmt.Fprintln(ch.Stderr(), err)
		return 255
	}
	return status
}

// interactive is a login shell with a prompt. Nobody types into a program: those that it starts have an empty input.
func (s *session) interactive(ctx context.Context, host string, ch ssh.Channel) (int, error) {
	t := term.NewTerminal(ch, "")
	sh, err := s.interpreter(nil, home(s.user), nil, t, t)
	if err != nil {
		return 255, err
	}
	defer sh.close()
	fmt.Fprintf(t, "Welcome to Ubuntu 22.04.5 LTS (SIMULATED)\n")
	status := 0
	typed := "" // so far; a command may need more than one line
	for {
		t.SetPrompt(s.prompt(host, sh.runner.Dir))
		if typed != "" {
			t.SetPrompt("> ")
		}
		line, err := t.ReadLine()
		if errors.Is(err, io.EOF) {
			return status, nil
		}
		if err != nil {
			return 255, err
		}
		if typed == "" && strings.TrimSpace(line) == "logout" {
			return status, nil
		}
		typed += line + "\n"
		file, err := s.parse(typed, "bash")
		if syntax.IsIncomplete(err) {
			continue
		}
		typed = ""
		if err != nil {
			fmt.Fprintf(t, "bash: %v\n", err)
			status = 2
			continue
		}
		for _, statement := range file.Stmts {
			if status, err = exitOf(sh.runner.Run(ctx, statement)); err != nil {
				return 255, err
			}
			if sh.runner.Exited() {
				return status, nil
			}
		}
	}
}

// prompt is Ubuntu's, which calls the user's own folder ~.
func (s *session) prompt(host, dir string) string {
	if rest, ok := strings.CutPrefix(dir, home(s.user)); ok && (rest == "" || rest[0] == '/') {
		dir = "~" + rest
	}
	return fmt.Sprintf("%s@%s:%s$ ", s.user, host, dir)
}

// finish tells the exit status and closes the channel.
func finish(ch ssh.Channel, status int) {
	_ = ch.CloseWrite() // like the request below it fails with the connection
	_, _ = ch.SendRequest("exit-status", false, binary.BigEndian.AppendUint32(nil, uint32(status)))
	_ = ch.Close()
}

// payload is the first string of a request's payload.
func payload(b []byte) string {
	var p struct {
		Text string
		Rest []byte `ssh:"rest"`
	}
	if err := ssh.Unmarshal(b, &p); err != nil {
		return ""
	}
	return p.Text
}
