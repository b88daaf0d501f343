package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"

	"github.com/labctl/labctl/internal/labdir"
	"github.com/labctl/labctl/vbox"
)

// preflight refuses, before anything is made, what would end in two labs that are in each other's way.
func (s *session) preflight(ctx context.Context, hypervisor *vbox.Client) error {
	if err := s.addressesFree(); err != nil {
		return err
	}
	return s.sameFolder(ctx, hypervisor)
}

// addressesFree refuses an address that a node of another lab has: two machines with one address are found out late, by their host keys.
func (s *session) addressesFree() error {
	others, err := s.folder.Neighbours()
	if err != nil {
		return err
	}
	mine := map[netip.Addr]string{}
	for _, n := range s.lab.Nodes {
		mine[n.Address] = n.Name
	}
	for _, other := range others {
		for _, n := range other.Nodes {
			if name, taken := mine[n.Address]; taken {
				return usage(fmt.Errorf("node %q of lab %q wants the address %s, which node %q of lab %q has: give it another one, or destroy that lab first",
					name, s.lab.Name, n.Address, n.Name, other.Name))
			}
		}
	}
	return nil
}

// reserve keeps the lab's addresses from other labs that are made at the same time, until its configuration is stored. The caller holds the
// lab's lock.
func (s *session) reserve(ctx context.Context) (err error) {
	release, err := s.folder.Shared(ctx, "addresses")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, release()) }()
	if err := s.addressesFree(); err != nil {
		return err
	}
	if err := s.folder.Reserve(s.lab); err != nil {
		return fmt.Errorf("noting the lab's addresses: %w", err)
	}
	return nil
}

// sameFolder refuses a lab whose machines were made in another folder: this one is new, since the other is lost, or a copy of it.
func (s *session) sameFolder(ctx context.Context, hypervisor *vbox.Client) error {
	machines, err := s.marked(ctx, hypervisor)
	if err != nil {
		return err
	}
	if _, err := s.folder.Stored(); errors.Is(err, labdir.ErrNoLab) && len(machines) > 0 && s.orphaned() {
		var names []string
		for _, m := range machines {
			names = append(names, m.Name)
		}
		slices.Sort(names)
		return hinted(exitUnable, fmt.Errorf("lab %q has lost its folder %q, and with it the keys to its machines (%s)", s.lab.Name, s.folder.Path, strings.Join(names, ", ")),
			"put the folder back, or remove the machines, which bear the lab's mark: "+s.next("destroy"))
	}
	for _, ref := range machines {
		m, err := hypervisor.Machine(ctx, ref.UUID)
		if errors.Is(err, vbox.ErrNotFound) || errors.Is(err, vbox.ErrInaccessible) {
			continue // deleted meanwhile, or without files
		}
		if err != nil {
			return fmt.Errorf("looking at machine %q: %w", ref.Name, err)
		}
		if !below(m.ConfigFile, s.folder.Path) {
			return hinted(exitUnable, fmt.Errorf("the lab's folder %q was copied or moved: the files of its machine %q are in %q", s.folder.Path, m.Name, filepath.Dir(m.ConfigFile)),
				"work from the folder where they are (XDG_DATA_HOME), or remove the machines, which bear the lab's mark: "+s.next("destroy"))
		}
	}
	return nil
}

// orphaned tells whether the lab's folder has no id.
func (s *session) orphaned() bool {
	_, err := s.folder.Owner()
	return errors.Is(err, labdir.ErrNoLab)
}
