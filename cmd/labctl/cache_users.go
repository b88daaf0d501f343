package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/labctl/labctl/internal/config"
	"github.com/labctl/labctl/internal/labdir"
	"github.com/labctl/labctl/k3s"
	"github.com/labctl/labctl/provision/provider"
	"github.com/labctl/labctl/vbox"
)

// cacheUsers says who needs which file of the cache.
type cacheUsers struct {
	by map[string][]string // path -> users
	// unclear are reasons why not all users are known: nothing is removed then.
	unclear []string
	// bases says whether VirtualBox could be asked which machines stand on which base disk, and if not why.
	bases error
}

func (u *cacheUsers) add(path, user string) {
	if path == "" {
		return
	}
	for _, known := range u.by[path] {
		if known == user {
			return
		}
	}
	u.by[path] = append(u.by[path], user)
}

// cacheUsers finds the users of what is in the cache: labs that were made, by their stored configurations; the configuration at hand
// (unless only what exists counts); and machines whose disks hang on a base disk, whoever's they are.
func (s *session) cacheUsers(ctx context.Context, onlyMade bool) (*cacheUsers, error) {
	u := &cacheUsers{by: map[string][]string{}}
	root := filepath.Dir(s.folder.Path)
	folders, err := os.ReadDir(root)
	if err != nil && !missing(err) {
		return nil, err
	}
	for _, f := range folders {
		if !f.IsDir() || strings.HasPrefix(f.Name(), ".") {
			continue
		}
		lab, err := labdir.At(root, f.Name()).Stored()
		if errors.Is(err, labdir.ErrNoLab) {
			continue // no up has got as far as making anything
		}
		if err != nil {
			u.unclear = append(u.unclear, fmt.Sprintf("lab %q: %v", f.Name(), err))
			continue
		}
		s.addLab(ctx, u, lab, fmt.Sprintf("lab %q", f.Name()), true)
	}
	if !onlyMade {
		s.addLab(ctx, u, s.lab, s.configName(), false)
	}
	u.bases = s.addMachines(ctx, u)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return u, nil
}

// configName is how people call the configuration at hand.
func (a *app) configName() string {
	switch {
	case a.labFile != "":
		return a.labFile
	case exists("labctl.yaml"):
		return "labctl.yaml"
	}
	return "the built-in lab"
}

// addLab enters what a lab needs. made says that it stands: what it stands on must then be known.
func (s *session) addLab(ctx context.Context, u *cacheUsers, lab *config.Lab, name string, made bool) {
	supplies, unknown := s.known(ctx, lab)
	if made {
		for _, what := range unknown {
			u.unclear = append(u.unclear, fmt.Sprintf("%s uses %s, which is not in the cache", name, what))
		}
	}
	for i, supply := range supplies {
		for _, path := range s.places(supply) {
			u.add(path, name)
			if i == 0 && supply.source == lab.Image.URL {
				u.add(provider.BaseDisk(path, lab.Image.DiskGiB), name)
			}
		}
	}
	u.add(s.cache.ListPlace(lab.Image.SHA256), name)
	u.add(s.cache.ListPlace(k3s.ListURL(lab.K3s, guestArch)), name)
}

// addMachines asks VirtualBox which disks hang on the base disks in the cache.
func (s *session) addMachines(ctx context.Context, u *cacheUsers) error {
	hypervisor, err := s.hypervisor(ctx)
	if err != nil {
		return err
	}
	media, err := hypervisor.Media(ctx)
	if err != nil {
		return fmt.Errorf("asking VirtualBox for its disks: %w", err)
	}
	bases := map[string]string{} // UUID -> path
	for _, m := range media {
		if below(m.Path, s.cache.Dir) {
			bases[m.UUID] = m.Path
		}
	}
	for _, m := range media {
		base, linked := bases[m.Parent]
		if !linked {
			continue
		}
		full, err := hypervisor.Medium(ctx, m.Path)
		if err != nil && !errors.Is(err, vbox.ErrNotFound) && !errors.Is(err, vbox.ErrInaccessible) && !errors.Is(err, vbox.ErrBadMedium) {
			return fmt.Errorf("asking VirtualBox for disk %q: %w", m.Path, err)
		}
		for _, machine := range full.UsedBy {
			u.add(base, "machine "+machine)
		}
		if len(full.UsedBy) == 0 {
			u.add(base, "disk "+m.Path)
		}
	}
	return nil
}
