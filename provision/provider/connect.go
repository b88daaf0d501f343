package provider

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/labctl/labctl/internal/config"
	"github.com/labctl/labctl/internal/ssh"
)

// connections keeps one SSH connection per node for the length of a run.
type connections struct {
	o     Options
	mu    sync.Mutex
	links map[string]*link
}

// link is the way to one node. Whoever dials holds turn, so that several resources of one node share a connection.
type link struct {
	turn   chan struct{} // of length 1
	client *ssh.Client   // nil while there is none
}

func newConnections(o Options) *connections {
	return &connections{o: o, links: map[string]*link{}}
}

// link returns the link to a node, which may have no connection yet.
func (c *connections) link(name string) *link {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.links[name]
	if l == nil {
		l = &link{turn: make(chan struct{}, 1)}
		c.links[name] = l
	}
	return l
}

// take waits for the turn to change a node's link.
func (c *connections) take(ctx context.Context, name string) (l *link, release func(), err error) {
	l = c.link(name)
	select {
	case l.turn <- struct{}{}:
		return l, func() { <-l.turn }, nil
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
}

// get returns the node's connection, and dials its host-only address where there is none.
func (c *connections) get(ctx context.Context, n config.Node) (*ssh.Client, error) {
	l, release, err := c.take(ctx, n.Name)
	if err != nil {
		return nil, err
	}
	defer release()
	if l.client != nil && l.client.Alive() {
		return l.client, nil
	}
	l.client, err = ssh.Dial(ctx, hostOnly(n), c.config(n))
	return l.client, err
}

// steady calls use until it ends otherwise than by a lost connection: a node may reboot, and a network drop what it carries, while
// something is installed, and whatever is done on a node can be done again. Before each try the nodes are waited for. The error of the
// wait that fails is joined with that of the connection.
func (c *connections) steady(ctx context.Context, step func(string), use func() error, nodes ...config.Node) error {
	var lost error
	for {
		for _, n := range nodes {
			if err := c.await(ctx, n, step); err != nil {
				return errors.Join(err, lost)
			}
		}
		err := use()
		if !errors.Is(err, ssh.ErrLost) || ctx.Err() != nil {
			return err
		}
		lost = err
		step("connecting again: " + err.Error())
		if err := pause(ctx); err != nil {
			return errors.Join(err, lost)
		}
	}
}

// await is wait where there is no connection that lives.
func (c *connections) await(ctx context.Context, n config.Node, step func(string)) error {
	l, release, err := c.take(ctx, n.Name)
	if err != nil {
		return err
	}
	alive := l.client != nil && l.client.Alive()
	release()
	if alive {
		return nil
	}
	return c.wait(ctx, n, step)
}

// pause keeps a node that takes connections and drops them from being asked all the time.
func pause(ctx context.Context) error {
	t := time.NewTimer(500 * time.Millisecond)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// reach is get within the time that a running machine takes to answer.
func (c *connections) reach(ctx context.Context, n config.Node) (*ssh.Client, error) {
	ctx, cancel := context.WithTimeout(ctx, c.o.Timeouts.Reach)
	defer cancel()
	return c.get(ctx, n)
}

// wait dials the host-only address until it answers. Now and then it tries the NAT rule instead: a machine that answers
// there, but not on its own address, has no host-only network, and waiting longer would not help.
func (c *connections) wait(ctx context.Context, n config.Node, step func(string)) error {
	const patience, strikes = 20 * time.Second, 3
	c.forget(n.Name)
	l, release, err := c.take(ctx, n.Name)
	if err != nil {
		return err
	}
	defer release()
	for nat := 0; ; {
		part, cancel := context.WithTimeout(ctx, patience)
		client, err := ssh.Wait(part, hostOnly(n), c.config(n), step)
		cancel()
		if err == nil {
			l.client = client
			return nil
		}
		if ctx.Err() != nil || final(err) {
			return err
		}
		down := c.hostOnlyDown(ctx, n, err)
		if down == nil {
			nat = 0
			continue
		}
		if nat++; nat == strikes {
			return down
		}
	}
}

// hostOnlyDown explains why a node doesn't answer on its host-only address: it does through its NAT rule. nil where it doesn't.
func (c *connections) hostOnlyDown(ctx context.Context, n config.Node, cause error) error {
	port, err := c.o.Folder.Machine(n.Name).SSHPort()
	if err != nil || port == 0 {
		return nil
	}
	part, cancel := context.WithTimeout(ctx, c.o.Timeouts.Reach)
	defer cancel()
	rescue, err := ssh.Dial(part, net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), c.config(n))
	if err != nil {
		return nil
	}
	rescue.Close()
	return fmt.Errorf("the host-only network is down: %q answers through its NAT rule (127.0.0.1:%d) but not on %s: %w",
		n.Name, port, n.Address, cause)
}

func (c *connections) config(n config.Node) ssh.Config {
	return c.o.Folder.SSH(n.Name, c.o.Lab.Image.User, c.o.Dial)
}

// forget closes a node's connection: its machine stops, or the connection is broken. Who uses it gets an error.
func (c *connections) forget(name string) {
	l := c.link(name)
	l.turn <- struct{}{} // who holds it is dialling, and ends with the run
	defer func() { <-l.turn }()
	if l.client != nil {
		l.client.Close() // the machine may be gone: there is nobody to tell
		l.client = nil
	}
}

func (c *connections) close() {
	c.mu.Lock()
	var names []string
	for name := range c.links {
		names = append(names, name)
	}
	c.mu.Unlock()
	for _, name := range names {
		c.forget(name)
	}
}

func hostOnly(n config.Node) string { return net.JoinHostPort(n.Address.String(), "22") }

// final tells whether trying again would end the same: another machine answers, a key on this side is damaged, or cloud-init has ended.
func final(err error) bool {
	return errors.Is(err, ssh.ErrHostKey) || errors.Is(err, ssh.ErrConfig) || errors.Is(err, errCloudInit)
}
