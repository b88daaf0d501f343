package provider

import (
	"context"

	"github.com/labctl/labctl/internal/config"
	"github.com/labctl/labctl/k3s"
	"github.com/labctl/labctl/vbox"
)

// nodeBinary is the binary of k3s beside its place on one node: by far the largest file that k3s needs there, so it comes to all nodes at
// once, and in an upgrade while the old k3s still runs. The server's and the agents' installations take it from there; where it is
// gone by then, they send it themselves. It goes with its machine.
func (p *Provider) nodeBinary() kind {
	return kind{
		required: []string{"name", "machine", "version", "source"},
		replace:  []string{"name", "machine"},
		ensure:   p.ensureBinary,
		read: func(ctx context.Context, _ string, in props) (props, error) {
			return p.onMachine(ctx, in, func(config.Node, vbox.Machine) (props, error) { return in, nil })
		},
		remove: func(context.Context, string, props, func(string)) error { return nil },
	}
}

func (p *Provider) ensureBinary(ctx context.Context, in props, step func(string)) (id, value string, err error) {
	n, a, err := p.binaryFor(ctx, in, step)
	if err != nil {
		return "", "", err
	}
	err = p.working(ctx, p.o.Timeouts.K3s, step, func(ctx context.Context) error {
		r, err := p.conns.get(ctx, n)
		if err != nil {
			return err
		}
		return k3s.StageBinary(ctx, r, n.Name, in.text("version"), a, step)
	}, n)
	return n.Name, n.Name, err
}
