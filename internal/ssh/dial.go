package ssh

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/skeema/knownhosts"
	"golang.org/x/crypto/ssh"
)

var (
	// ErrHostKey is the cause when a host shows a key that is not the pinned one. Trying again does not help.
	ErrHostKey = errors.New("host key is not the pinned one")
	// ErrLost is the cause when a connection ended while it was in use.
	ErrLost = errors.New("connection lost")
	// ErrConfig is the cause when the local side is at fault: a missing or damaged key or known_hosts file. Trying again does not help.
	ErrConfig = errors.New("ssh settings")
	// errAuth is the cause when a host refuses the user's key. While a machine boots this passes: sshd may be up
	// before cloud-init has written authorized_keys.
	errAuth = errors.New("user's key refused")
)

const (
	// connectTimeout is short because a host-only network that is down swallows packets, and the NAT rule is still to be tried.
	connectTimeout = 5 * time.Second
	// handshakeTimeout is long because a guest that is booting may have little processor time for it.
	handshakeTimeout = 30 * time.Second
)

// Config says how to reach one host.
type Config struct {
	User       string
	KeyFile    string // the user's private key
	KnownHosts string // the file with the pinned host keys
	// Alias is the name under which the host's key stands in KnownHosts, whatever address is dialled.
	Alias string
	// Dial opens the connection; nil means an ordinary one.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)

	limits limits
}

// limits are what tests shorten; zero values mean the defaults.
type limits struct {
	handshake, keepAlive, silence, grace, poll, resize time.Duration
	output                                             int
}

func orDefault[T int | time.Duration](v, fallback T) T {
	if v == 0 {
		return fallback
	}
	return v
}

// Dial connects to addr, "host" or "host:port", and logs in. Errors have ErrHostKey, ErrConfig, context.DeadlineExceeded (nobody
// answered in time), syscall.ECONNREFUSED, syscall.ECONNRESET or io.EOF as cause, as far as the system tells.
func Dial(ctx context.Context, addr string, c Config) (*Client, error) {
	addr = withPort(addr)
	settings, err := c.clientConfig()
	if err != nil {
		return nil, fmt.Errorf("connecting to %q: %w", addr, err)
	}
	client, err := dial(ctx, addr, c, settings)
	if err != nil {
		return nil, fmt.Errorf("connecting to %q: %w", addr, err)
	}
	return client, nil
}

func withPort(addr string) string {
	if _, _, err := net.SplitHostPort(addr); err != nil {
		return net.JoinHostPort(addr, "22")
	}
	return addr
}

// clientConfig reads the key and the known hosts. Its errors are ErrConfig.
func (c Config) clientConfig() (*ssh.ClientConfig, error) {
	fail := func(err error) (*ssh.ClientConfig, error) { return nil, fmt.Errorf("%w: %w", ErrConfig, err) }
	pem, err := os.ReadFile(c.KeyFile)
	if err != nil {
		return fail(err)
	}
	signer, err := ssh.ParsePrivateKey(pem)
	if err != nil {
		return fail(fmt.Errorf("key %q: %w", c.KeyFile, err))
	}
	known, err := knownhosts.NewDB(c.KnownHosts)
	if err != nil {
		return fail(err)
	}
	alias := net.JoinHostPort(c.Alias, "22")
	check := known.HostKeyCallback()
	return &ssh.ClientConfig{
		User: c.User,
		Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)},
		// Without this a host with several keys may show one that is not pinned.
		HostKeyAlgorithms: known.HostKeyAlgorithms(alias),
		HostKeyCallback: func(_ string, _ net.Addr, key ssh.PublicKey) error {
			// The address that was dialled is left out on purpose.
			if err := check(alias, &net.TCPAddr{}, key); err != nil {
				return hostKeyError(err, c, key)
			}
			return nil
		},
	}, nil
}

func hostKeyError(err error, c Config, key ssh.PublicKey) error {
	what := "refused"
	switch {
	case knownhosts.IsHostKeyChanged(err):
		what = "another key is known"
	case knownhosts.IsHostUnknown(err):
		what = "no key is known"
	}
	return fmt.Errorf("%w: %q in %q: %s; it shows %s", ErrHostKey, c.Alias, c.KnownHosts, what, ssh.FingerprintSHA256(key))
}

// dial makes one attempt. Its errors do not name the address.
func dial(ctx context.Context, addr string, c Config, settings *ssh.ClientConfig) (*Client, error) {
	connect := c.Dial
	if connect == nil {
		connect = new(net.Dialer).DialContext
	}
	connectCtx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	conn, err := connect(connectCtx, "tcp", addr)
	if err != nil {
		if connectCtx.Err() != nil { // whatever the dialler made of it
			err = fmt.Errorf("%w: %w", connectCtx.Err(), err)
		}
		return nil, err
	}

	handshakeCtx, cancel := context.WithTimeout(ctx, orDefault(c.limits.handshake, handshakeTimeout))
	defer cancel()
	stop := context.AfterFunc(handshakeCtx, func() { conn.Close() }) //nolint:errcheck // to end the handshake
	sshConn, channels, requests, err := ssh.NewClientConn(conn, addr, settings)
	if !stop() {
		conn.Close()    //nolint:errcheck // given up
		if err == nil { // it succeeded too late
			return nil, fmt.Errorf("no SSH handshake: %w", handshakeCtx.Err())
		}
		return nil, fmt.Errorf("no SSH handshake: %w: %w", handshakeCtx.Err(), err)
	}
	if err != nil {
		conn.Close() //nolint:errcheck // given up
		return nil, handshakeError(err)
	}
	return newClient(ssh.NewClient(sshConn, channels, requests), addr, c), nil
}

func handshakeError(err error) error {
	// The library has no type for this one.
	if strings.Contains(err.Error(), "unable to authenticate") {
		return fmt.Errorf("%w: %w", errAuth, err)
	}
	return err
}

// reason puts err's cause in a few words, for a line of progress.
func reason(err error) string {
	var netErr net.Error
	switch {
	case errors.Is(err, errAuth):
		return "key not accepted yet"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, syscall.ECONNRESET):
		return "connection reset"
	case errors.Is(err, io.EOF):
		return "connection closed"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "no route to host"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &netErr) && netErr.Timeout():
		return "no answer"
	}
	return err.Error()
}
