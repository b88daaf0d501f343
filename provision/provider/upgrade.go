package provider

import (
	"context"
	"errors"
	"fmt"

	"github.com/labctl/labctl/internal/config"
	"github.com/labctl/labctl/k3s"
)

// ErrDowngrade says that an older k3s than the installed one is asked for.
var ErrDowngrade = errors.New("k3s can't go back to an older version")

// refuseDowngrade compares the version that is installed on the server with the one that is wanted there. A server that is made
// anew, with an empty disk, may have any.
func refuseDowngrade(old, wanted props) error {
	have, want := old.text("version"), wanted.text("version")
	if have == "" || old.text("machine") != wanted.text("machine") || k3s.CompareVersions(want, have) >= 0 {
		return nil
	}
	return fmt.Errorf("%w: %s is installed on %q and has written the cluster's data, which %s may not be able to read: "+
		"set k3s.version to %s or newer, or make the lab anew with labctl destroy and labctl up",
		ErrDowngrade, have, old.text("name"), want, have)
}

// rolling lets agents that are at work be changed one by one, each Ready again before the next. Agents that are new take no turns.
type rolling struct {
	taken  chan struct{} // of length 1
	failed error         // of the one before; read and written by who has the turn
}

func newRolling() *rolling { return &rolling{taken: make(chan struct{}, 1)} }

// turn waits for a node's turn, if it is at work. done is to be called with what became of it: after an error, nobody gets a turn.
func (r *rolling) turn(ctx context.Context, node string, step func(string), atWork func() (bool, error)) (done func(error), err error) {
	working, err := atWork()
	if err != nil {
		return nil, err
	}
	if !working {
		return func(error) {}, nil
	}
	select {
	case r.taken <- struct{}{}:
	default:
		step("waiting for its turn: agents are changed one by one")
		select {
		case r.taken <- struct{}{}:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if r.failed != nil {
		defer func() { <-r.taken }()
		return nil, fmt.Errorf("%q was left as it is: %w", node, r.failed)
	}
	return func(err error) {
		if err != nil {
			r.failed = fmt.Errorf("the agent before it is not Ready again")
		}
		<-r.taken
	}, nil
}

// hasK3s tells whether k3s is installed on a node.
func (p *Provider) hasK3s(ctx context.Context, n config.Node) (bool, error) {
	r, err := p.conns.reach(ctx, n)
	if err != nil {
		return false, err
	}
	return k3s.HasBinary(ctx, r)
}
