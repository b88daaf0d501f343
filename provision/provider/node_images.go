package provider

import (
	"context"
	"maps"
	"strings"

	"github.com/labctl/labctl/internal/config"
	"github.com/labctl/labctl/internal/ssh"
	"github.com/labctl/labctl/k3s"
)

// nodeImages is the archives of container images on one node. They are there before k3s is, and go with their machine.
func (p *Provider) nodeImages() kind {
	return kind{
		required: []string{"name", "machine", "archives"},
		replace:  []string{"name", "machine"},
		ensure:   p.ensureImages,
		read:     p.readImages,
		remove:   p.removeImages,
	}
}

func (p *Provider) ensureImages(ctx context.Context, in props, step func(string)) (id, value string, err error) {
	n, err := p.node(in.text("name"))
	if err != nil {
		return "", "", err
	}
	wanted := archivesOf(in)
	r, err := p.release(ctx, p.o.Lab.K3s, step)
	if err != nil {
		return "", "", err
	}
	if err := wait(ctx, p.o.Timeouts.K3s, func(ctx context.Context) error {
		c, err := p.conns.get(ctx, n)
		if err != nil {
			return err
		}
		if err := k3s.PushImages(ctx, c, k3s.Node{Name: n.Name}, p.o.Lab.K3s.Version, r.archives, step); err != nil {
			return err
		}
		var gone []string
		for _, name := range p.pushed(n.Name) {
			if _, ok := wanted[name]; !ok {
				gone = append(gone, name)
			}
		}
		return k3s.RemoveImages(ctx, c, k3s.Node{Name: n.Name}, gone, step)
	}); err != nil {
		return n.Name, "", err
	}
	return n.Name, n.Name, nil
}

// readImages finds archives that were changed or removed on the node.
func (p *Provider) readImages(ctx context.Context, _ string, in props) (props, error) {
	had := archivesOf(in)
	p.setPushed(in.text("name"), had)
	return p.onNode(ctx, in, func(n config.Node, r *ssh.Client) (props, error) {
		missing, err := archivesMissing(ctx, r, n, had)
		if err != nil || !missing {
			return in, err
		}
		now := maps.Clone(in)
		now[driftKey] = "archives are missing"
		return now, nil
	})
}

// archivesMissing tells whether one of these archives is not on the node with its bytes.
func archivesMissing(ctx context.Context, r k3s.Runner, n config.Node, archives map[string]string) (bool, error) {
	var all []k3s.Archive
	for name, sum := range archives {
		all = append(all, k3s.Archive{Name: name, SHA256: sum})
	}
	missing, err := k3s.MissingImages(ctx, r, k3s.Node{Name: n.Name}, all)
	return len(missing) > 0, err
}

func (p *Provider) removeImages(ctx context.Context, _ string, in props, step func(string)) error {
	n, ok := p.o.Lab.Node(in.text("name"))
	if p.o.Destroying || !ok || p.doomed[n.Name] {
		return nil // they go with the machine
	}
	m, ok, err := p.owned(ctx, in.text("machine"))
	if err != nil || !ok || !running(m) {
		return err
	}
	c, err := p.conns.reach(ctx, n)
	if err != nil {
		return err
	}
	var names []string
	for name := range archivesOf(in) {
		names = append(names, name)
	}
	return k3s.RemoveImages(ctx, c, k3s.Node{Name: n.Name}, names, step)
}

// archivesOf reads the input "archives": a file's name and its checksum each, as ArchiveNames writes them.
func archivesOf(in props) map[string]string {
	all := map[string]string{}
	list, _ := in["archives"].([]any)
	for _, a := range list {
		text, _ := a.(string)
		name, sum, _ := strings.Cut(text, " sha256:")
		all[name] = sum
	}
	return all
}

// ArchiveNames names the archives of images that every node of the lab gets, each with its checksum, without downloading any: a
// path's own is computed. Where labctl.yaml asks for none, nothing is asked. step may hear of waits.
func (p *Provider) ArchiveNames(ctx context.Context, l config.K3s, step func(string)) ([]string, error) {
	if !l.Airgap && len(l.Images) == 0 {
		return nil, nil
	}
	downloads, err := p.downloads(ctx, l, step)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, d := range downloads[1:] {
		names = append(names, d.Name+" sha256:"+d.SHA256)
	}
	return names, nil
}

// pushed are the archives that the last run put on a node, as the refresh saw them.
func (p *Provider) pushed(node string) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var names []string
	for name := range p.archives[node] {
		names = append(names, name)
	}
	return names
}

func (p *Provider) setPushed(node string, archives map[string]string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.archives[node] = archives
}
