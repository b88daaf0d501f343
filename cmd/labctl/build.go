package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/labctl/labctl/internal/fetch"
	"github.com/labctl/labctl/k3s"
	"github.com/labctl/labctl/provision"
	"github.com/labctl/labctl/provision/engine"
	"github.com/labctl/labctl/provision/provider"
)

// builder is a session with Pulumi's engine and labctl's provider: what up, plan and destroy share.
type builder struct {
	*session
	provider *provider.Provider
	stack    *engine.Stack
	archives []string // as archiveNames has found them
}

// guestArch is what VirtualBox runs on an x86 host, the only kind labctl makes machines for.
const guestArch = "amd64"

// builder opens the engine on the lab; the caller holds the lab's lock and closes the builder.
func (s *session) builder(ctx context.Context, destroying bool, timeouts provider.Timeouts) (*builder, error) {
	hypervisor, err := s.hypervisor(ctx)
	if err != nil {
		return nil, err
	}
	phrase, err := s.folder.Passphrase()
	if err != nil {
		return nil, err
	}
	b := &builder{session: s}
	progress := &progress{printer: s.ui, verbose: s.verbose}
	b.provider = provider.New(ctx, provider.Options{
		Lab: s.lab, Folder: s.folder, Hypervisor: hypervisor, Images: s.cache, Dial: s.dial, Arch: guestArch,
		Timeouts: timeouts, Now: s.now, Step: progress.step, Destroying: destroying, FreePort: freePort,
	})
	b.stack, err = engine.Open(ctx, engine.Options{
		Dir: s.folder.Path, Stack: s.lab.Name, Passphrase: phrase, Package: provision.Package,
		Provider: b.provider, Find: b.provider.Find, Unfinished: provider.Unfinished, OnEvent: progress.event,
	})
	if err != nil {
		b.provider.Close()
		return nil, err
	}
	return b, nil
}

// program is the whole lab; its archives of images, and a list of checksums that names its disk image, must be within reach.
func (b *builder) program(ctx context.Context) (pulumi.RunFunc, error) {
	parts := b.parts()
	var err error
	if parts.ImageSHA256, err = b.imageChecksum(ctx); err != nil {
		return nil, err
	}
	if parts.Archives, err = b.archiveNames(ctx); err != nil {
		return nil, err
	}
	parts.AtStart = !k3s.ImportsImages(b.lab.K3s.Version)
	token, err := b.folder.Token()
	if err != nil {
		return nil, err
	}
	if parts.Registries, parts.Proxy, err = k3s.Seal(b.lab, token); err != nil {
		return nil, err
	}
	return provision.Program(b.lab, parts), nil
}

// imageChecksum is the disk image's, for which its list of checksums may have to be fetched, the first time.
func (b *builder) imageChecksum(ctx context.Context) (string, error) {
	image := b.lab.Image
	if _, known := b.cache.KnownChecksum(image.URL, image.SHA256); known {
		return b.cache.Checksum(ctx, image.URL, image.SHA256, fetch.Progress{})
	}
	const id = "checksum"
	b.ui.Start(id, "the disk image's list of checksums")
	sum, err := b.cache.Checksum(ctx, image.URL, image.SHA256, fetch.Steps(func(text string) { b.ui.Step(id, text) }, "fetching it"))
	if err != nil {
		b.ui.Fail(id, "")
		return "", err
	}
	b.ui.Done(id, "fetched")
	return sum, nil
}

// archiveNames names the archives of images that the nodes get, once a run: a list of checksums may have to be fetched for that,
// and archives on this computer to be read.
func (b *builder) archiveNames(ctx context.Context) ([]string, error) {
	if b.archives != nil || !b.lab.K3s.Airgap && len(b.lab.K3s.Images) == 0 {
		return b.archives, nil
	}
	const id = "archives"
	b.ui.Start(id, "the archives of container images")
	names, err := b.provider.ArchiveNames(ctx, b.lab.K3s, func(text string) { b.ui.Step(id, text) })
	if err != nil {
		b.ui.Fail(id, "")
		return nil, err
	}
	b.ui.Done(id, fmt.Sprintf("%d named", len(names)))
	b.archives = names
	return names, nil
}

// parts are what a lab always has.
func (b *builder) parts() provision.Parts {
	var parts provision.Parts
	for _, m := range k3s.Manifests(b.lab) {
		parts.Manifests = append(parts.Manifests, provision.Manifest{Name: m.Name, YAML: string(m.YAML)})
	}
	return parts
}

func (b *builder) close() error {
	defer b.provider.Close()
	return b.stack.Close()
}

// cause prefers what the provider knows of a failed run to what came through the engine.
func (b *builder) cause(err error) error {
	if err == nil {
		return nil
	}
	var all []error
	for _, f := range b.provider.Failures() {
		if !errors.Is(f.Err, context.Canceled) {
			all = append(all, fmt.Errorf("%s: %w", thing(f.Type, f.Name), f.Err))
		}
	}
	if len(all) == 0 {
		return err
	}
	err = errors.Join(all...)
	if errors.Is(err, provider.ErrUpgrade) {
		return usage(err)
	}
	return err
}

// progress turns the engine's events and the provider's steps into lines of the printer.
type progress struct {
	printer printer
	verbose bool

	mu   sync.Mutex
	busy map[string]string // resource name -> what is done to it, as Start said
}

// printer is what progress needs of the ui.
type printer interface {
	Start(id, text string)
	Step(id, text string)
	Done(id, text string)
	Fail(id, text string)
}

// thing is how a person calls a resource.
func thing(kind, name string) string {
	switch kind {
	case "Image", "HostOnlyNetwork":
		return strings.ToLower(kindName(kind)) // there is one
	}
	return strings.ToLower(kindName(kind)) + " " + provision.NodeOf(kind, name)
}

// verbs says what is being done to a resource, and that it was done.
var verbs = map[engine.Op][2]string{
	engine.Create:  {"making", "made"},
	engine.Update:  {"updating", "updated"},
	engine.Replace: {"replacing", "replaced"},
	engine.Delete:  {"removing", "removed"},
}

func (p *progress) event(e engine.Event) {
	verb, ok := verbs[e.Op]
	if !ok {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.busy == nil {
		p.busy = map[string]string{}
	}
	what := thing(e.Type, e.Name)
	switch e.Phase {
	case engine.Begin:
		p.busy[e.Name] = what
		p.printer.Start(e.Name, what)
	case engine.Done:
		if _, ok := p.busy[e.Name]; ok {
			delete(p.busy, e.Name)
			done := verb[1]
			if e.Type == "Image" && e.Op == engine.Delete { // from the lab's state
				done = "kept in the cache"
			}
			p.printer.Done(e.Name, done)
		}
	case engine.Fail:
		if _, ok := p.busy[e.Name]; ok {
			delete(p.busy, e.Name)
			p.printer.Fail(e.Name, verb[0]+" it failed")
		}
	}
}

// step is told what is being done to a resource. During a refresh nothing is.
func (p *progress) step(name, text string) {
	p.mu.Lock()
	_, ok := p.busy[name]
	p.mu.Unlock()
	if ok {
		p.printer.Step(name, text)
	}
}

// timeoutsFor applies --timeout to every wait.
func timeoutsFor(limit time.Duration) provider.Timeouts {
	t := provider.DefaultTimeouts()
	if limit > 0 {
		t.Boot, t.K3s, t.Demo = limit, limit, limit
	}
	return t
}
