package provider

import (
	"context"
	"fmt"
	"sync"

	"github.com/labctl/labctl/internal/config"
	"github.com/labctl/labctl/internal/fetch"
	"github.com/labctl/labctl/k3s"
)

// release is what the nodes need of k3s, on this machine.
type release struct {
	binary   k3s.Artifacts
	archives []k3s.Archive
}

// releases remembers what was fetched in this run.
type releases struct {
	sync.Mutex
	files map[string]k3s.Archive // by URL; the binary, too
	sums  map[string]string      // of local files, by path
}

// artifacts fetches and verifies a release's binary, once a run.
func (p *Provider) artifacts(ctx context.Context, in props, step func(string)) (k3s.Artifacts, error) {
	r, err := p.release(ctx, config.K3s{Version: in.text("version"), Source: in.text("source")}, step)
	return r.binary, err
}

// release fetches and verifies what l asks for, each file once a run.
func (p *Provider) release(ctx context.Context, l config.K3s, step func(string)) (release, error) {
	var r release
	downloads, err := p.downloads(ctx, l, step)
	if err != nil {
		return r, err
	}
	p.releases.Lock()
	defer p.releases.Unlock()
	for _, d := range downloads {
		have, ok := p.releases.files[d.URL]
		if !ok {
			path, err := p.o.Images.Fetch(ctx, d.URL, d.SHA256, fetch.MostOfFile, fetch.Steps(step, "downloading "+d.What))
			if err != nil {
				return r, fmt.Errorf("%s: %w", d.What, err)
			}
			have = k3s.Archive{Name: d.Name, Path: path, SHA256: d.SHA256}
			p.releases.files[d.URL] = have
		}
		if d.Name == "" {
			r.binary = k3s.Artifacts{Binary: have.Path, SHA256: have.SHA256}
		} else {
			r.archives = append(r.archives, have)
		}
	}
	return r, nil
}

// downloads lists what l asks for, with the checksums of local files filled in.
func (p *Provider) downloads(ctx context.Context, l config.K3s, step func(string)) ([]k3s.Download, error) {
	p.releases.Lock()
	defer p.releases.Unlock()
	what := "fetching the checksums of k3s " + l.Version
	step(what)
	all, err := k3s.Downloads(ctx, p.o.Images, p.o.Releases, l, p.o.Arch, fetch.Steps(step, what))
	if err != nil {
		return nil, err
	}
	for i, d := range all {
		if d.SHA256 != "" {
			continue
		}
		if p.releases.sums[d.URL] == "" {
			step("reading " + d.What)
			if p.releases.sums[d.URL], err = fetch.SHA256(ctx, d.URL); err != nil {
				return nil, fmt.Errorf("%s: %w", d.What, err)
			}
		}
		all[i].SHA256 = p.releases.sums[d.URL]
	}
	return all, nil
}
