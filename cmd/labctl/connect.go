package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"

	"github.com/labctl/labctl/internal/config"
	"github.com/labctl/labctl/internal/ssh"
)

// connect logs in to a node on its host-only address, or by its NAT rule if that address doesn't answer; via says which.
func (s *session) connect(ctx context.Context, n config.Node) (c *ssh.Client, via string, err error) {
	settings := s.folder.SSH(n.Name, s.lab.Image.User, s.dial)
	c, err = ssh.Dial(ctx, net.JoinHostPort(n.Address.String(), "22"), settings)
	if err == nil {
		return c, n.Address.String(), nil
	}
	port, perr := s.folder.Machine(n.Name).SSHPort()
	if perr != nil || port == 0 || errors.Is(err, ssh.ErrHostKey) {
		return nil, "", fmt.Errorf("node %q: %w", n.Name, errors.Join(err, perr))
	}
	rule := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	c, rerr := ssh.Dial(ctx, rule, settings)
	if rerr != nil {
		return nil, "", fmt.Errorf("node %q answers neither on %s (%w) nor through its NAT rule (%w)", n.Name, n.Address, err, rerr)
	}
	s.ui.Info(fmt.Sprintf("the host-only network is down for %s: it answers on %s but not on %s (%v)", n.Name, rule, n.Address, err))
	return c, rule, nil
}

// login connects to the node of that name.
func (s *session) login(ctx context.Context, node string) (*ssh.Client, error) {
	n, err := s.node(node)
	if err != nil {
		return nil, err
	}
	c, _, err := s.connect(ctx, n)
	return c, err
}

// freePort returns preferred if nothing listens there on 127.0.0.1, else the next free one from 2210 on.
func freePort(preferred int, taken map[int]bool) (int, error) {
	const first, last = 2210, 2999
	candidates := []int{preferred}
	for p := first; p <= last; p++ {
		candidates = append(candidates, p)
	}
	for _, p := range candidates {
		if p == 0 || taken[p] {
			continue
		}
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(p)))
		if err != nil {
			continue // in use
		}
		return p, l.Close()
	}
	return 0, fmt.Errorf("no free port between %d and %d on 127.0.0.1", first, last)
}
