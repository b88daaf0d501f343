package provider

import (
	"context"
	"errors"
	"fmt"
	"time"

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

// rolling lets agents that are at work be changed one by one, and only while nothing else is out of work: each is Ready again before the
// next, whichever run changed it. Agents that are new take no turns.
type rolling struct {
	taken  chan struct{} // of length 1
	given  int           // turns so far; like failed, read and written by who has the turn
	failed error         // of the one before
}

func newRolling() *rolling { return &rolling{taken: make(chan struct{}, 1)} }

// turn waits for a node's turn. hindrance says why the node is to be left alone for now: then others go first, and it asks again, until
// limit has passed without anybody's having had a turn. done is to be called with what became of the node: after an error, nobody
// gets a turn.
func (r *rolling) turn(
	ctx context.Context, node string, limit time.Duration, step func(string), hindrance func(context.Context) error,
) (done func(error), err error) {
	var since time.Time
	for given, told := -1, ""; ; {
		select {
		case r.taken <- struct{}{}:
		default:
			step("waiting for its turn: agents are changed one by one")
			told = ""
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
		why := hindrance(ctx)
		if why == nil {
			r.given++
			break
		}
		if given != r.given {
			given, since = r.given, time.Now()
		}
		<-r.taken
		if ctx.Err() != nil {
			return nil, errors.Join(ctx.Err(), why)
		}
		if time.Since(since) > limit {
			return nil, fmt.Errorf("%q was left as it is, for the cluster would lose another node: not within %s: %w",
				node, limit, errors.Join(context.DeadlineExceeded, why))
		}
		if why.Error() != told {
			told = why.Error()
			step("waiting with the change: " + told)
		}
		if err := pause(ctx); err != nil {
			return nil, errors.Join(err, why)
		}
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

// hindrance says why the cluster can't do without an agent now: the server or another agent is out of work. nil if all are at work, or
// if the agent is out of work itself. Whether an agent is Ready is asked twice, of itself and of the cluster, which takes most of a
// minute to notice that a node is gone.
func (p *Provider) hindrance(ctx context.Context, self config.Node) error {
	server, err := p.conns.reach(ctx, p.o.Lab.Server())
	if err != nil {
		return fmt.Errorf("node %q doesn't answer: %w", p.o.Lab.Server().Name, err)
	}
	nodes, err := k3s.ReadyNodes(ctx, server)
	if err != nil {
		return fmt.Errorf("asking for the nodes: %w", err)
	}
	ready := func(n config.Node) error {
		if n.Role == config.RoleAgent {
			r, err := p.conns.reach(ctx, n)
			if err != nil {
				return fmt.Errorf("node %q doesn't answer: %w", n.Name, err)
			}
			state, err := k3s.AgentState(ctx, r)
			if err != nil {
				return fmt.Errorf("node %q: %w", n.Name, err)
			}
			if state == "" {
				return nil // it is no node yet
			}
			if state != "active" {
				return fmt.Errorf("node %q: its k3s is %s", n.Name, state)
			}
		}
		why, known := nodes[n.Name]
		if !known {
			return fmt.Errorf("node %q has not registered yet", n.Name)
		}
		if why != nil {
			return fmt.Errorf("node %q: %w", n.Name, why)
		}
		return nil
	}
	if err := ready(p.o.Lab.Server()); err != nil {
		return err
	}
	if ready(self) != nil {
		return nil //nolint:nilerr // it is out of work already: nobody has to be Ready in its place
	}
	for _, n := range p.o.Lab.Agents() {
		if n.Name == self.Name {
			continue
		}
		if err := ready(n); err != nil {
			return err
		}
	}
	return nil
}
