package provider

import (
	"context"
	"errors"
	"fmt"

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
	lists once[[]k3s.Download]
	files once[k3s.Archive] // by URL; the binary, too
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
	for _, d := range downloads {
		have, err := p.releases.files.do(ctx, d.URL, func() { step("waiting for the download of " + d.What) }, func() (k3s.Archive, error) {
			return p.download(ctx, d, step)
		})
		if err != nil {
			return r, fmt.Errorf("%s: %w", d.What, err)
		}
		if d.Name == "" {
			r.binary = k3s.Artifacts{Binary: have.Path, SHA256: have.SHA256}
		} else {
			r.archives = append(r.archives, have)
		}
	}
	return r, nil
}

// download fetches a file. Where its bytes are not what the kept list of checksums says, the list is asked for anew.
func (p *Provider) download(ctx context.Context, d k3s.Download, step func(string)) (k3s.Archive, error) {
	fetched := func() (string, error) {
		return p.o.Images.Fetch(ctx, d.URL, d.SHA256, fetch.MostOfFile, fetch.Steps(step, "downloading "+d.What))
	}
	path, err := fetched()
	if errors.Is(err, fetch.ErrChecksum) {
		if d, err = k3s.Corrected(ctx, p.o.Images, d, err, fetch.Steps(step, "fetching the checksum of "+d.What)); err == nil {
			path, err = fetched()
		}
	}
	return k3s.Archive{Name: d.Name, Path: path, SHA256: d.SHA256}, err
}

// downloads lists what l asks for, with the checksums of local files filled in, once a run.
func (p *Provider) downloads(ctx context.Context, l config.K3s, step func(string)) ([]k3s.Download, error) {
	what := "the checksums of k3s " + l.Version
	return p.releases.lists.do(ctx, fmt.Sprintf("%+v", l), func() { step("waiting for " + what) }, func() ([]k3s.Download, error) {
		step("fetching " + what)
		all, err := k3s.Downloads(ctx, p.o.Images, l, p.o.Arch, fetch.Steps(step, "fetching "+what))
		if err != nil {
			return nil, err
		}
		for i, d := range all {
			if d.SHA256 != "" {
				continue
			}
			step("reading " + d.What)
			if all[i].SHA256, err = fetch.SHA256(ctx, d.URL); err != nil {
				return nil, fmt.Errorf("%s: %w", d.What, err)
			}
		}
		return all, nil
	})
}
