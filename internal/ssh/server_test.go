package ssh

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"
)

// server is a real SSH server on loopback. Commands are Go functions; an unknown one fails as a shell would.
type server struct {
	t        *testing.T
	listener net.Listener
	commands map[string]func(session) uint32
	config   *ssh.ServerConfig

	mu         sync.Mutex
	authorized ssh.PublicKey // nil: nobody is let in
	conns      []net.Conn

	beforeSession func() // if not nil, called before a session is accepted

	keepAlives chan struct{} // one for each that was answered
	mute       bool          // do not answer keepalives
	resizes    chan [2]uint32
}

// session is what a command sees.
type session struct {
	ssh.Channel
	signals <-chan string // closed when the client closes the session
	pty     string        // "TERM WIDTHxHEIGHT", or empty
}

// testKey makes a key; the files hold its private half.
func testKey(t *testing.T) (file, public string, signer ssh.Signer) {
	t.Helper()
	private, public, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "id_ed25519")
	if err := os.WriteFile(file, private, 0o600); err != nil {
		t.Fatal(err)
	}
	signer, err = ssh.ParsePrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return file, public, signer
}

// newServer starts a server and returns it with a Config that gets in.
func newServer(t *testing.T) (*server, Config) {
	t.Helper()
	hostFile, hostPublic, host := testKey(t)
	userFile, _, user := testKey(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{
		t: t, listener: listener, authorized: user.PublicKey(),
		commands:   map[string]func(session) uint32{},
		keepAlives: make(chan struct{}, 1000),
		resizes:    make(chan [2]uint32, 10),
	}
	s.config = &ssh.ServerConfig{PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.authorized == nil || string(key.Marshal()) != string(s.authorized.Marshal()) {
			return nil, fmt.Errorf("unknown key")
		}
		return nil, nil
	}}
	s.config.AddHostKey(host)
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conns = append(s.conns, conn)
			s.mu.Unlock()
			running.Go(func() { s.serve(conn) })
		}
	})
	t.Cleanup(func() {
		listener.Close()
		s.cut()
		running.Wait()
	})
	known := filepath.Join(filepath.Dir(hostFile), "known_hosts")
	if err := os.WriteFile(known, []byte("192.0.2.10 "+hostPublic+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return s, Config{User: "ubuntu", KeyFile: userFile, KnownHosts: known, Alias: "192.0.2.10"}
}

func (s *server) addr() string { return s.listener.Addr().String() }

// authorize lets that key in, and no other.
func (s *server) authorize(key ssh.PublicKey) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.authorized = key
}

// cut resets all connections.
func (s *server) cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, conn := range s.conns {
		conn.(*net.TCPConn).SetLinger(0)
		conn.Close()
	}
}

func (s *server) serve(conn net.Conn) {
	defer conn.Close()
	sshConn, channels, requests, err := ssh.NewServerConn(conn, s.config)
	if err != nil {
		return
	}
	defer sshConn.Close()
	var running sync.WaitGroup
	defer running.Wait()
	running.Go(func() {
		for r := range requests {
			if r.Type == "keepalive@openssh.com" && !s.mute {
				s.keepAlives <- struct{}{}
				r.Reply(false, nil)
			}
		}
	})
	for c := range channels {
		if s.beforeSession != nil {
			s.beforeSession()
		}
		channel, requests, err := c.Accept()
		if err != nil {
			return
		}
		running.Go(func() { s.session(channel, requests) })
	}
}

func (s *server) session(channel ssh.Channel, requests <-chan *ssh.Request) {
	signals := make(chan string, 10)
	defer close(signals)
	var running sync.WaitGroup
	pty := ""
	for r := range requests {
		switch r.Type {
		case "pty-req":
			var p struct {
				Term          string
				Width, Height uint32
				PxW, PxH      uint32
				Modes         string
			}
			if err := ssh.Unmarshal(r.Payload, &p); err != nil {
				s.t.Error(err)
			}
			pty = fmt.Sprintf("%s %dx%d", p.Term, p.Width, p.Height)
			r.Reply(true, nil)
		case "window-change":
			s.resizes <- [2]uint32{binary.BigEndian.Uint32(r.Payload), binary.BigEndian.Uint32(r.Payload[4:])}
		case "signal":
			signals <- string(r.Payload[4:])
		case "shell", "exec":
			command := ""
			if r.Type == "exec" {
				command = string(r.Payload[4:])
			}
			r.Reply(true, nil)
			running.Go(func() {
				defer channel.Close()
				run, ok := s.commands[command]
				if !ok {
					fmt.Fprintf(channel.Stderr(), "sh: %s: not found\n", command)
					run = func(session) uint32 { return 127 }
				}
				status := run(session{channel, signals, pty})
				channel.SendRequest("exit-status", false, binary.BigEndian.AppendUint32(nil, status))
			})
		default:
			r.Reply(false, nil)
		}
	}
}

// answer returns a command that prints text and ends with status.
func answer(text string, status uint32) func(session) uint32 {
	return func(s session) uint32 {
		io.WriteString(s, text)
		return status
	}
}
