package main

import (
	"context"
	"fmt"
	"net/http"
	"runtime"
	"strings"

	"github.com/labctl/labctl/internal/config"
	"github.com/labctl/labctl/internal/doctor"
	"github.com/labctl/labctl/internal/labdir"
)

// pulledImages says which container images the nodes pull themselves, as far as labctl.yaml and the archives in it tell; empty if it asks
// for the archive of k3s's images, and for others that hold the demo's.
func pulledImages(lab *config.Lab) string {
	demo := fmt.Sprintf("the demo's container images (%s, %s), unless a mirror has them: name archives of them in k3s.images", lab.Demo.WebImage, lab.Demo.HelloImage)
	switch {
	case !lab.K3s.Airgap && len(lab.K3s.Images) == 0:
		return "the container images that nodes pull, k3s's own and the demo's, unless a mirror has them: set k3s.airgap and k3s.images"
	case !lab.K3s.Airgap:
		return "the container images of k3s, which nodes pull unless a mirror has them: set k3s.airgap"
	case len(lab.K3s.Images) == 0:
		return demo
	}
	held, unread := map[string]bool{}, false
	for _, a := range lab.K3s.Images {
		names, err := archivedImages(strings.TrimPrefix(a.URL, "file://"))
		unread = unread || err != nil
		for _, name := range names {
			held[name] = true
		}
	}
	var missing []string
	for _, name := range []string{lab.Demo.WebImage, lab.Demo.HelloImage} {
		if !held[imageName(name)] {
			missing = append(missing, name)
		}
	}
	switch {
	case len(missing) == 0:
		return ""
	case unread:
		return fmt.Sprintf("the demo's container images (%s), unless the archives in k3s.images hold them, which can't be told here, or a mirror has them", strings.Join(missing, ", "))
	}
	return fmt.Sprintf("the demo's container images (%s), which no archive in k3s.images holds, unless a mirror has them", strings.Join(missing, ", "))
}

// offlineFacts looks which of the files that up needs are in the cache.
func (a *app) offlineFacts(ctx context.Context, lab *config.Lab, data, cache string) *doctor.OfflineFacts {
	s := &session{app: a, lab: lab, folder: labdir.At(data, lab.Name), cache: newCache(cache, &http.Client{})}
	supplies, unknown := s.known(ctx, lab)
	facts := &doctor.OfflineFacts{Missing: unknown, Pulled: pulledImages(lab)}
	for _, u := range supplies {
		if here := exists(strings.TrimPrefix(u.source, "file://")); !here && !s.cache.Has(u.source, u.sha256) {
			facts.Missing = append(facts.Missing, u.what)
		}
	}
	return facts
}

// runnable refuses to make machines on a processor that VirtualBox cannot run them on.
func (a *app) runnable() error {
	if a.simulate {
		return nil
	}
	if f := doctor.Processor(runtime.GOARCH); f.Status == doctor.Blocker {
		return hinted(exitUnable, fmt.Errorf("this computer's processor is %s", f.Detail), doctor.WithoutMachines)
	}
	return nil
}
