package provider

import (
	"context"
	"errors"
	"fmt"

	"github.com/labctl/labctl/internal/config"
	"github.com/labctl/labctl/internal/ssh"
	"github.com/labctl/labctl/k3s"
	"github.com/labctl/labctl/vbox"
)

// What the resources that are on a node share: its k3s binary, its archives of images, and k3s itself.

func (p *Provider) node(name string) (config.Node, error) {
	n, ok := p.o.Lab.Node(name)
	if !ok {
		return n, fmt.Errorf("the lab has no node %q", name)
	}
	return n, nil
}

// binaryFor returns the node that a resource is on, and the k3s binary that it is to have.
func (p *Provider) binaryFor(ctx context.Context, in props, step func(string)) (n config.Node, a k3s.Artifacts, err error) {
	if n, err = p.node(in.text("name")); err != nil {
		return n, a, err
	}
	a, err = p.artifacts(ctx, in, step)
	return n, a, err
}

// onMachine begins the reading of what is on a node's machine: it has gone with the machine if that has gone, and of a node that is no
// longer in the lab it is about to be deleted.
func (p *Provider) onMachine(ctx context.Context, in props, read func(config.Node, vbox.Machine) (props, error)) (props, error) {
	n, ok := p.o.Lab.Node(in.text("name"))
	if !ok {
		return in, nil
	}
	m, ok, err := p.owned(ctx, in.text("machine"))
	if err != nil || !ok {
		return nil, err
	}
	return read(n, m)
}

// onNode is onMachine for what is read over SSH. A node that can't be reached keeps its state: its machine is off, and says so itself,
// or Settled does once the machines have had their chance.
func (p *Provider) onNode(ctx context.Context, in props, read func(config.Node, *ssh.Client) (props, error)) (props, error) {
	return p.onMachine(ctx, in, func(n config.Node, m vbox.Machine) (props, error) {
		if !running(m) {
			return in, nil
		}
		r, err := p.conns.reach(ctx, n)
		if final(err) {
			return nil, err
		}
		if err != nil {
			return in, ctx.Err()
		}
		return read(n, r)
	})
}

// install calls k3s's installation and, where it says that the node must be rebooted, reboots the node and calls it again. It returns
// the connection that the node has by then.
func (p *Provider) install(
	ctx context.Context, n config.Node, machine string, step func(string), do func(*ssh.Client) error,
) (*ssh.Client, error) {
	r, err := p.conns.get(ctx, n)
	if err != nil {
		return nil, err
	}
	err = do(r)
	if !errors.Is(err, k3s.ErrReboot) {
		return r, err
	}
	if r, err = p.reboot(ctx, n, machine, step); err != nil {
		return nil, err
	}
	return r, do(r)
}

// reboot shuts a node's machine down and starts it again.
func (p *Provider) reboot(ctx context.Context, n config.Node, machine string, step func(string)) (*ssh.Client, error) {
	p.conns.forget(n.Name)
	err := p.o.Hypervisor.StopMachine(ctx, machine, p.o.Timeouts.Stop, step)
	if err == nil {
		err = p.start(ctx, n.Name, machine, step)
	}
	if err == nil {
		err = p.waitBooted(ctx, n.Name, step)
	}
	if err != nil {
		return nil, fmt.Errorf("rebooting: %w", err)
	}
	return p.conns.get(ctx, n)
}
