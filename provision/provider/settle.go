package provider

import (
	"context"

	"github.com/labctl/labctl/k3s"
)

// Settled waits until every node is Ready and, with demo, until what the manifests describe is available: a machine that was
// rebooted has taken its pods with it, and the change that did it is over before they are back.
func (p *Provider) Settled(ctx context.Context, demo bool, step func(string)) error {
	server, err := p.conns.get(ctx, p.o.Lab.Server())
	if err != nil {
		return err
	}
	err = wait(ctx, p.o.Timeouts.K3s, "waiting for the nodes", func(ctx context.Context) error {
		for _, n := range p.o.Lab.Nodes {
			if err := k3s.WaitReady(ctx, server, n.Name, step); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil || !demo {
		return err
	}
	return wait(ctx, p.o.Timeouts.Demo, "waiting for the demo", func(ctx context.Context) error {
		for _, m := range k3s.Manifests(p.o.Lab) {
			if err := k3s.WaitDemo(ctx, server, m, step); err != nil {
				return err
			}
		}
		return nil
	})
}
