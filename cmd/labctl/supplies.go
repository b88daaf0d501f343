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
	"github.com/labctl/labctl/k3s"
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
