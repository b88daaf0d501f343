package provider

import (
	"context"
	"maps"

	"github.com/labctl/labctl/k3s"
)

// manifest is something that runs in the cluster: it is applied, and its pods are ready. It lives in a cluster: another
// cluster, or a node that was made anew, means that it is applied anew.
func (p *Provider) manifest() kind {
	return kind{
		required: []string{"name", "yaml", "cluster"},
		replace:  []string{"name"},
		ensure: func(ctx context.Context, in props, step func(string)) (id, value string, err error) {
			m := k3s.Manifest{Name: in.text("name"), YAML: []byte(in.text("yaml"))}
			err = p.onServer(ctx, p.o.Timeouts.Demo, step, func(ctx context.Context, server k3s.Runner) error {
				if err := k3s.Apply(ctx, server, m, step); err != nil {
					return err
				}
				return k3s.WaitSpread(ctx, server, m, len(p.o.Lab.Nodes), step)
			})
			return m.Name, m.Name, err
		},
		read: func(ctx context.Context, _ string, in props) (props, error) {
			server, err := p.conns.reach(ctx, p.o.Lab.Server())
			if err != nil {
				return in, ctx.Err() // off: what it runs comes back with it
			}
			current, err := k3s.Current(ctx, server, k3s.Manifest{Name: in.text("name"), YAML: []byte(in.text("yaml"))})
			if err != nil {
				return in, ctx.Err() // the API is not up to an answer: that says nothing of what it runs
			}
			if current {
				return in, nil
			}
			now := maps.Clone(in)
			now[driftKey] = "differs from what was applied"
			return now, nil
		},
		remove: func(ctx context.Context, _ string, in props, step func(string)) error {
			if p.o.Destroying {
				return nil
			}
			server, err := p.conns.reach(ctx, p.o.Lab.Server())
			if err != nil {
				return ctx.Err() // gone with its cluster
			}
			return k3s.DeleteManifest(ctx, server, k3s.Manifest{Name: in.text("name"), YAML: []byte(in.text("yaml"))}, step)
		},
	}
}
