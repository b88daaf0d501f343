package provider

import (
	"context"
	"fmt"
	"time"

	"github.com/labctl/labctl/k3s"
)

// Settled waits until every machine answers on its host-only address; with nodes, until every node is Ready; with demo, until
// what the manifests describe is available and spread. A machine that was rebooted has taken its pods with it, and the change
// that did it is over before they are back.
func (p *Provider) Settled(ctx context.Context, nodes, demo bool, step func(string)) error {
	for _, n := range p.o.Lab.Nodes {
		if _, err := p.conns.reach(ctx, n); err != nil {
			if down := p.conns.hostOnlyDown(ctx, n, err); down != nil {
				return down
			}
			return fmt.Errorf("machine %q doesn't answer on its host-only address: %w", n.Name, err)
		}
	}
	if !nodes && !demo {
		return nil
	}
	err := p.onServer(ctx, p.o.Timeouts.K3s, step, func(ctx context.Context, server k3s.Runner) error {
		var names []string
		for _, n := range p.o.Lab.Nodes {
			names = append(names, n.Name)
		}
		return k3s.WaitAllReady(ctx, server, names, step)
	})
	if err != nil || !demo {
		return err
	}
	return p.onServer(ctx, p.o.Timeouts.Demo, step, func(ctx context.Context, server k3s.Runner) error {
		for _, m := range k3s.Manifests(p.o.Lab) {
			if err := k3s.WaitSpread(ctx, server, m, len(p.o.Lab.Nodes), step); err != nil {
				return err
			}
		}
		return nil
	})
}

// onServer bounds work on the server, which goes on over lost connections.
func (p *Provider) onServer(
	ctx context.Context, limit time.Duration, step func(string), work func(context.Context, k3s.Runner) error,
) error {
	return p.working(ctx, limit, step, func(ctx context.Context) error {
		server, err := p.conns.get(ctx, p.o.Lab.Server())
		if err != nil {
			return err
		}
		return work(ctx, server)
	}, p.o.Lab.Server())
}
