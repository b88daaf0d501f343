package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/labctl/labctl/internal/config"
	"github.com/labctl/labctl/internal/fetch"
	"github.com/labctl/labctl/internal/labdir"
	"github.com/labctl/labctl/k3s"
	"github.com/labctl/labctl/provision/provider"
	"github.com/labctl/labctl/vbox"
)

// supply is a file that up needs on this computer.
type supply struct {
	what   string // for people
	source string
	sha256 string // digits; empty: a local file's, whatever they are
}

// kept is the lists of checksums that are on this computer.
type kept struct{ cache *fetch.Cache }

var errNotHere = errors.New("it is not in the cache")

func (k kept) Sums(_ context.Context, list string, enough func(sums map[string]string) error, _ fetch.Progress) (map[string]string, error) {
	sums := k.cache.KnownSums(list)
	if sums == nil {
		return nil, fmt.Errorf("%q: %w", list, errNotHere)
	}
	return sums, enough(sums)
}

// k3sSupplies lists what the nodes of a lab need of k3s.
func (s *session) k3sSupplies(ctx context.Context, lists k3s.Lists, lab *config.Lab, progress fetch.Progress) ([]supply, error) {
	downloads, err := k3s.Downloads(ctx, lists, lab.K3s, guestArch, progress)
	if err != nil {
		return nil, err
	}
	var all []supply
	for _, d := range downloads {
		all = append(all, supply{d.What, d.URL, d.SHA256})
	}
	return all, nil
}

// known lists what up needs for a lab, as far as that can be told without the network. unknown says what cannot: a list of
// checksums that was never fetched.
func (s *session) known(ctx context.Context, lab *config.Lab) (all []supply, unknown []string) {
	if sum, ok := s.cache.KnownChecksum(lab.Image.URL, lab.Image.SHA256); ok {
		all = append(all, supply{"the disk image", lab.Image.URL, sum})
	} else {
		unknown = append(unknown, "the disk image's list of checksums")
	}
	more, err := s.k3sSupplies(ctx, kept{s.cache}, lab, fetch.Progress{})
	if err != nil {
		unknown = append(unknown, "the checksums of k3s "+lab.K3s.Version)
	}
	return append(all, more...), unknown
}

// places is where a supply lies in the cache. A local file whose checksum nobody gave is known by its name alone.
func (s *session) places(u supply) []string {
	sum := u.sha256
	if sum == "" {
		sum = strings.Repeat("0", 64)
	}
	path, err := s.cache.Place(u.source, sum)
	if err != nil {
		return nil
	}
	if u.sha256 != "" {
		return []string{path}
	}
	folders, err := os.ReadDir(s.cache.Dir)
	if err != nil {
		return nil
	}
	var all []string
	for _, f := range folders {
		if same := filepath.Join(s.cache.Dir, f.Name(), filepath.Base(path)); exists(same) {
			all = append(all, same)
		}
	}
	return all
}

// usage says who needs which file of the cache.
type cacheUsage struct {
	by map[string][]string // path -> users
	// unclear are reasons why not all users are known: nothing is removed then.
	unclear []string
	// bases says whether VirtualBox could be asked which machines stand on which base disk, and if not why.
	bases error
}

func (u *cacheUsage) add(path, user string) {
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

// usage finds the users of what is in the cache: labs that were made, by their stored configurations; the configuration at hand
// (unless only what exists counts); and machines whose disks hang on a base disk, whoever's they are.
func (s *session) usage(ctx context.Context, onlyMade bool) (*cacheUsage, error) {
	u := &cacheUsage{by: map[string][]string{}}
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
func (s *session) addLab(ctx context.Context, u *cacheUsage, lab *config.Lab, name string, made bool) {
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
func (s *session) addMachines(ctx context.Context, u *cacheUsage) error {
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
