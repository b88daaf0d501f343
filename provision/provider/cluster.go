package provider

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"maps"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/labctl/labctl/internal/atomicfile"
	"github.com/labctl/labctl/internal/config"
	"github.com/labctl/labctl/internal/labdir"
	"github.com/labctl/labctl/internal/ssh"
	"github.com/labctl/labctl/k3s"
)

// clusterInputs are required; beside them there may be ipvsScheduler, where it is not the default; registries and proxy, which stand for
// settings that may hold secrets; and archives, of images that k3s looks for only when it starts.
var clusterInputs = []string{"name", "machine", "version", "source", "podCIDR", "serviceCIDR", "proxyMode"}

// server is k3s on the node with the control plane. Its value tells one cluster from another: it changes when the server
// is made anew. Its removal is its machine's.
func (p *Provider) server() kind {
	return kind{
		required: clusterInputs,
		replace:  []string{"name", "machine", "podCIDR", "serviceCIDR"},
		refuse:   refuseVersion,
		ensure:   p.ensureServer,
		read: func(ctx context.Context, _ string, in props) (props, error) {
			return p.readK3s(ctx, in, func(context.Context) (string, error) { return p.o.Folder.Token() })
		},
		remove: func(context.Context, string, props, func(string)) error { return nil },
	}
}

// agent is k3s on another node. It follows its machine and its server: another cluster means that it is wiped and joins anew.
// Its value is its machine's id, so that what runs in the cluster notices a node that was made anew.
func (p *Provider) agent() kind {
	return kind{
		required: append([]string{"cluster"}, clusterInputs...),
		replace:  []string{"name", "machine", "cluster", "podCIDR", "serviceCIDR"},
		ensure:   p.ensureAgent,
		read: func(ctx context.Context, _ string, in props) (props, error) {
			return p.readK3s(ctx, in, p.joinToken)
		},
		remove: p.removeAgent,
	}
}

func (p *Provider) ensureServer(ctx context.Context, in props, step func(string)) (id, value string, err error) {
	n, a, err := p.binaryFor(ctx, in, step)
	if err != nil {
		return "", "", err
	}
	token, err := p.o.Folder.Token()
	if err != nil {
		return "", "", err
	}
	kn, s, err := p.settings(in, n, token)
	if err != nil {
		return "", "", err
	}
	err = p.working(ctx, p.o.Timeouts.K3s, step, func(ctx context.Context) error {
		r, err := p.install(ctx, n, in.text("machine"), step, func(r *ssh.Client) error {
			return k3s.InstallServer(ctx, r, kn, s, a, step)
		})
		if err != nil {
			return err
		}
		if err := k3s.ReleaseNodeAddresses(ctx, r, s, step); err != nil {
			return err
		}
		step("reading the kubeconfig")
		kubeconfig, err := k3s.Kubeconfig(ctx, r, n.Address, p.o.Lab.Name)
		if err != nil {
			return err
		}
		if err := atomicfile.Write(p.o.Folder.Kubeconfig(), kubeconfig, 0o600); err != nil {
			return err
		}
		join, err := k3s.JoinToken(ctx, r)
		if err != nil {
			return err
		}
		sum := sha256.Sum256([]byte(join))
		value = hex.EncodeToString(sum[:8])
		p.join.set(join)
		return k3s.WaitReady(ctx, r, n.Name, s.Version, step)
	}, n)
	return n.Name, value, err
}

func (p *Provider) ensureAgent(ctx context.Context, in props, step func(string)) (id, value string, err error) {
	n, a, err := p.binaryFor(ctx, in, step)
	if err != nil {
		return "", "", err
	}
	atWork, err := p.hasK3s(ctx, n)
	if err != nil {
		return n.Name, "", err
	}
	if atWork {
		var done func(error)
		done, err = p.rolling.turn(ctx, n.Name, p.o.Timeouts.K3s, step, func(ctx context.Context) error { return p.hindrance(ctx, n) })
		if err != nil {
			return n.Name, "", err
		}
		defer func() { done(err) }()
	}
	err = p.working(ctx, p.o.Timeouts.K3s, step, func(ctx context.Context) error {
		server, err := p.conns.get(ctx, p.o.Lab.Server())
		if err != nil {
			return err
		}
		r, err := p.conns.get(ctx, n)
		if err != nil {
			return err
		}
		join, err := p.joinToken(ctx)
		if err != nil {
			return err
		}
		kn, s, err := p.settings(in, n, join)
		if err != nil {
			return err
		}
		state, err := k3s.Installed(ctx, r, kn, s)
		if err != nil {
			return err
		}
		if state.SHA256 == "" { // an empty disk: what the cluster remembers of a node of this name would keep it out
			step("removing what the cluster remembers of an earlier node")
			if err := k3s.ForgetNode(ctx, server, n.Name); err != nil {
				return err
			}
		}
		if _, err := p.install(ctx, n, in.text("machine"), step, func(r *ssh.Client) error {
			return k3s.InstallAgent(ctx, r, kn, s, a, step)
		}); err != nil {
			return err
		}
		return k3s.WaitReady(ctx, server, n.Name, s.Version, step)
	}, p.o.Lab.Server(), n)
	return n.Name, in.text("machine"), err
}

// working bounds work on nodes, which goes on over lost connections.
func (p *Provider) working(
	ctx context.Context, limit time.Duration, step func(string), work func(context.Context) error, nodes ...config.Node,
) error {
	return wait(ctx, limit, func(ctx context.Context) error {
		return p.conns.steady(ctx, step, func() error { return work(ctx) }, nodes...)
	})
}

// removeAgent takes a node out of the cluster. Where its machine stays, it is wiped and rebooted: containers, network
// devices and certificates of the old cluster would keep it from joining another.
func (p *Provider) removeAgent(ctx context.Context, _ string, in props, step func(string)) error {
	if p.o.Destroying {
		return nil
	}
	name := in.text("name")
	if server, err := p.conns.reach(ctx, p.o.Lab.Server()); err == nil {
		step("removing the node from the cluster")
		if err := k3s.ForgetNode(ctx, server, name); err != nil {
			return err
		}
	} // a server that can't be reached is about to be made anew, and will remember nothing
	m, ok, err := p.owned(ctx, in.text("machine"))
	if err != nil || !ok || !running(m) {
		return err
	}
	n, ok := p.o.Lab.Node(name)
	if !ok || p.doomed[name] {
		return nil // its machine goes too
	}
	return wait(ctx, p.o.Timeouts.K3s, func(ctx context.Context) error {
		r, err := p.conns.get(ctx, n)
		if err != nil {
			return err
		}
		step("disabling k3s")
		if err := k3s.Disable(ctx, r); err != nil {
			return err
		}
		if r, err = p.reboot(ctx, n, m.UUID, step); err != nil {
			return err
		}
		step("wiping k3s")
		return k3s.Wipe(ctx, r)
	})
}

// readK3s compares what is installed with what the last run put there.
func (p *Provider) readK3s(ctx context.Context, in props, token func(context.Context) (string, error)) (props, error) {
	return p.onNode(ctx, in, func(n config.Node, r *ssh.Client) (props, error) {
		secret, err := token(ctx)
		if err != nil {
			return in, ctx.Err() // the server can't be reached, or is gone: agents follow it
		}
		kn, s, err := p.settings(in, n, secret)
		if err != nil {
			return nil, err
		}
		state, err := k3s.Installed(ctx, r, kn, s)
		if err != nil {
			return nil, err
		}
		if state.SHA256 == "" {
			return nil, nil
		}
		now := maps.Clone(in)
		if state.Version != "" {
			now["version"] = state.Version
		}
		same, err := p.sameRegistry(in)
		if err != nil {
			return nil, err
		}
		missing := false // and k3s is to be restarted when it comes
		if wanted := archivesOf(in); len(wanted) > 0 {
			if missing, err = archivesMissing(ctx, r, n, wanted); err != nil {
				return nil, err
			}
		}
		switch {
		case missing:
			now[driftKey] = "archives are missing"
		case !state.Settings, same && !state.Registry:
			now[driftKey] = "settings differ"
		case !state.Active:
			now[driftKey] = "service is not active"
		case n.Role == config.RoleServer:
			if _, err := os.Stat(p.o.Folder.Kubeconfig()); errors.Is(err, fs.ErrNotExist) {
				now[driftKey] = "kubeconfig is missing"
			}
		}
		return now, nil
	})
}

// sameRegistry tells whether the registries and the proxy of the last run are those that are wanted now: what was written then is not
// known any more, for it may hold secrets.
func (p *Provider) sameRegistry(in props) (bool, error) {
	token, err := p.o.Folder.Token()
	if err != nil {
		return false, err
	}
	registries, proxy, err := k3s.Seal(p.o.Lab, token)
	return registries == in.text("registries") && proxy == in.text("proxy"), err
}

// settings translates inputs into what package k3s wants.
func (p *Provider) settings(in props, n config.Node, token string) (k3s.Node, k3s.Settings, error) {
	id, err := p.o.Folder.ID()
	if err != nil {
		return k3s.Node{}, k3s.Settings{}, err
	}
	pods, err := netip.ParsePrefix(in.text("podCIDR"))
	if err != nil {
		return k3s.Node{}, k3s.Settings{}, err
	}
	services, err := netip.ParsePrefix(in.text("serviceCIDR"))
	return k3s.Node{Name: n.Name, Address: n.Address, MAC: labdir.MAC(id, n.Name, 2), User: p.o.Lab.Image.User},
		k3s.Settings{
			Version: in.text("version"), Server: p.o.Lab.Server().Address,
			PodCIDR: pods, ServiceCIDR: services, ProxyMode: in.text("proxyMode"), Scheduler: in.text("ipvsScheduler"), Token: token,
			Network: p.o.Lab.Network.CIDR, Registries: p.o.Lab.Registries, Proxy: p.o.Lab.Proxy,
		}, err
}

// joinSecret remembers the token that agents join with, which stays the same while the server does.
type joinSecret struct {
	mu    sync.Mutex
	token string
}

func (j *joinSecret) set(token string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.token = token
}

func (p *Provider) joinToken(ctx context.Context) (string, error) {
	p.join.mu.Lock()
	defer p.join.mu.Unlock()
	if p.join.token != "" {
		return p.join.token, nil
	}
	server, err := p.conns.reach(ctx, p.o.Lab.Server())
	if err != nil {
		return "", err
	}
	p.join.token, err = k3s.JoinToken(ctx, server)
	return p.join.token, err
}
