package provider

import (
	"context"
	"errors"
	"fmt"

	"github.com/labctl/labctl/internal/config"
	"github.com/labctl/labctl/k3s"
)

// ErrUpgrade says that k3s can't be changed from the installed version to the wanted one.
var ErrUpgrade = errors.New("k3s can't be changed to that version")

// refuseVersion compares the version that is installed on the server with the one that is wanted there: neither an older one nor one
// that leaves out a minor version can go on with its data. A server that is made anew, with an empty disk, may have any.
// Source: https://kubernetes.io/releases/version-skew-policy and https://docs.k3s.io/upgrades.
func refuseVersion(old, wanted props) error {
	have, want := old.text("version"), wanted.text("version")
	if have == "" || old.text("machine") != wanted.text("machine") {
		return nil
	}
	reason, way := "", ""
	switch next := k3s.NextMinor(have); {
	case k3s.CompareVersions(want, have) < 0:
		reason, way = "which "+want+" may not be able to read", have+" or newer"
	case next != "" && k3s.CompareVersions(want, k3s.NextMinor(next)) >= 0:
		reason, way = "and Kubernetes goes from one minor version to the next and leaves none out", "a release of "+next+" first"
	default:
		return nil
	}
	return fmt.Errorf("%w: %s is installed on %q and has written the cluster's data, %s: "+
		"set k3s.version to %s, or make the lab anew with labctl destroy and labctl up", ErrUpgrade, have, old.text("name"), reason, way)
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
