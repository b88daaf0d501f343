package ssh

import (
	"fmt"
	"net"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// A connection is dead when the host has not answered a keepalive for silenceLimit. Both are long: a guest on a busy
// host may get no processor time for a while.
const (
	keepAliveInterval = 15 * time.Second
	silenceLimit      = 45 * time.Second
)

// Client is a connection to one host. Its methods may be called from several goroutines.
type Client struct {
	conn   *ssh.Client
	addr   string // as dialled, with port
	config Config

	ended   chan struct{} // closed when the connection has ended, whoever ended it
	stopped chan struct{} // closed when the keepalive has

	mu   sync.Mutex
	lost error // why the connection has ended; the first cause
}

func newClient(conn *ssh.Client, addr string, c Config) *Client {
	client := &Client{conn: conn, addr: addr, config: c, ended: make(chan struct{}), stopped: make(chan struct{})}
	go func() {
		client.giveUp(conn.Wait())
		close(client.ended)
	}()
	go client.keepAlive()
	return client
}

// Alive tells whether the connection has not ended yet.
func (c *Client) Alive() bool {
	select {
	case <-c.ended:
		return false
	default:
		return true
	}
}

// Close ends the connection and what runs on it.
func (c *Client) Close() error {
	err := c.conn.Close()
	<-c.ended
	<-c.stopped
	return err
}

func (c *Client) keepAlive() {
	defer close(c.stopped)
	silence := orDefault(c.config.limits.silence, silenceLimit)
	ticker := time.NewTicker(orDefault(c.config.limits.keepAlive, keepAliveInterval))
	defer ticker.Stop()
	for {
		select {
		case <-c.ended:
			return
		case <-ticker.C:
		}
		tooLong := time.AfterFunc(silence, func() { c.giveUp(fmt.Errorf("no sign of life for %v", silence)) })
		// sshd answers "no such request", which is an answer. The end of the connection ends the wait for it.
		_, _, err := c.conn.SendRequest("keepalive@openssh.com", true, nil)
		tooLong.Stop()
		if err != nil {
			c.giveUp(err)
			return
		}
	}
}

// giveUp closes the connection; the first cause is kept.
func (c *Client) giveUp(cause error) {
	c.mu.Lock()
	if c.lost == nil {
		c.lost = cause
	}
	c.mu.Unlock()
	c.conn.Close() //nolint:errcheck // it is lost anyway
}

// lostError explains err, which is what a session made of the end of its connection.
func (c *Client) lostError(err error) error {
	if cause := c.lostCause(); cause != nil {
		err = cause
	}
	return fmt.Errorf("%w: %w", ErrLost, err)
}

// lostCause is why the connection has ended, or nil.
func (c *Client) lostCause() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lost
}

// commandLine is what a person would type to run the command again.
func (c *Client) commandLine(command string) string {
	host, port, err := net.SplitHostPort(c.addr)
	if err != nil { // addr went through withPort
		host = c.addr
	}
	args := []string{"ssh", "-i", c.config.KeyFile}
	if port != "22" {
		args = append(args, "-p", port)
	}
	args = append(args, c.config.User+"@"+host)
	if command != "" {
		args = append(args, command)
	}
	return Quote(args...)
}
