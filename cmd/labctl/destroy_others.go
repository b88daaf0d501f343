package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/labctl/labctl/internal/labdir"
	"github.com/labctl/labctl/internal/ssh"
	"github.com/labctl/labctl/vbox"
)

// onlyOurs refuses to remove the lab while something that was not made for it would be lost: machines are the lab's own.
func (s *session) onlyOurs(ctx context.Context, hypervisor *vbox.Client, machines []markedMachine) error {
	var refs []vbox.MachineRef
	for _, m := range machines {
		refs = append(refs, m.MachineRef)
	}
	return errors.Join(s.noMachineBelow(ctx, hypervisor, machines), s.noMediumBelow(ctx, hypervisor, "destroy", s.folder.Path, refs), s.noFileBelow())
}

// noFileBelow refuses to remove the lab's folder while somebody keeps files of his own in it.
func (s *session) noFileBelow() error {
	names, err := s.folder.Strangers()
	if err != nil {
		return fmt.Errorf("looking for what is not the lab's in its folder: %w", err)
	}
	if len(names) == 0 {
		return nil
	}
	for i, name := range names {
		names[i] = strconv.Quote(name)
	}
	return hinted(exitUnable, fmt.Errorf("the lab's folder %q holds what labctl has not put there (%s): it is left as it is", s.folder.Path, strings.Join(names, ", ")),
		"move that elsewhere, or remove it; then labctl destroy again")
}

// noMachineBelow refuses to remove the lab's folder while a machine that is not the lab's has files there.
func (s *session) noMachineBelow(ctx context.Context, hypervisor *vbox.Client, ours []markedMachine) error {
	refs, err := hypervisor.Machines(ctx)
	if err != nil {
		return fmt.Errorf("listing machines: %w", err)
	}
	for _, ref := range refs {
		if slices.ContainsFunc(ours, func(m markedMachine) bool { return m.UUID == ref.UUID }) {
			continue
		}
		m, err := hypervisor.Machine(ctx, ref.UUID)
		if errors.Is(err, vbox.ErrNotFound) || errors.Is(err, vbox.ErrInaccessible) {
			continue // deleted meanwhile, or without files
		}
		if err != nil {
			return fmt.Errorf("looking at machine %q: %w", ref.Name, err)
		}
		files := append(slices.Collect(maps.Values(m.Media)), m.ConfigFile)
		if slices.ContainsFunc(files, func(file string) bool { return below(file, s.folder.Path) }) {
			return hinted(exitUnable, fmt.Errorf("machine %q is not marked as this lab's, but its files are in %q: the folder is left as it is", m.Name, s.folder.Path),
				"VBoxManage unregistervm "+m.UUID+" --delete, if you don't need it; then labctl destroy again")
		}
	}
	return nil
}

// noMediumBelow refuses to remove machines with a folder while a disk or a DVD image that was not made for the lab is in that folder, or is
// linked to a disk of theirs.
func (s *session) noMediumBelow(ctx context.Context, hypervisor *vbox.Client, verb, folder string, machines []vbox.MachineRef) error {
	own := map[string]bool{} // by UUID
	var foreign []vbox.ForeignMedium
	for _, m := range machines {
		b, err := hypervisor.Belongings(ctx, m.UUID, labdir.OwnerKey)
		if errors.Is(err, vbox.ErrNotFound) || errors.Is(err, vbox.ErrInaccessible) {
			continue
		}
		if err != nil {
			return fmt.Errorf("looking at the disks of machine %q: %w", m.Name, err)
		}
		for _, medium := range b.Own {
			own[medium.UUID] = true
		}
		foreign = append(foreign, b.Foreign...)
	}
	media, err := hypervisor.Media(ctx)
	if err != nil {
		return fmt.Errorf("listing disks: %w", err)
	}
	byUUID := map[string]vbox.Medium{}
	for _, m := range media {
		byUUID[m.UUID] = m
	}
	for _, m := range media {
		known := slices.ContainsFunc(foreign, func(f vbox.ForeignMedium) bool { return f.UUID == m.UUID })
		if !own[m.UUID] && !known && below(m.Path, folder) && !s.leftBehind(m, byUUID) {
			foreign = append(foreign, vbox.ForeignMedium{Medium: m})
		}
	}
	var errs []error
	for _, f := range foreign {
		errs = append(errs, hypervisor.Refuse(ctx, f))
	}
	if len(errs) == 0 {
		return nil
	}
	return fmt.Errorf("%s would lose what is not the lab's: %w", verb, errors.Join(errs...))
}

// leftBehind tells whether a medium in the lab's folder is one of a machine of labctl's that somebody has deleted: its disk, its seed, or
// what its snapshots have put on top of that disk.
func (s *session) leftBehind(m vbox.Medium, byUUID map[string]vbox.Medium) bool {
	at := func(pattern string) bool {
		inLab, err := filepath.Rel(resolved(s.folder.Path), resolved(m.Path))
		if err != nil {
			return false
		}
		ok, err := path.Match(pattern, filepath.ToSlash(inLab))
		return err == nil && ok
	}
	for range byUUID { // a chain cannot be longer than the list
		if at("machines/*/disk.vdi") || at("machines/*/seed.iso") {
			return true
		}
		parent, ok := byUUID[m.Parent]
		if !ok || !at("machines/*/labctl/"+s.lab.Name+"/*/Snapshots/{*}.vdi") {
			return false
		}
		if below(parent.Path, s.cache.Dir) {
			return true
		}
		m = parent
	}
	return false
}

// elsewhere are the folders, other than the lab's, where its machines' files are: the lab's own was lost, or this one was copied. A lab that
// has its folder elsewhere, and in there the id with which its machines are marked, is alive: it is refused.
func (s *session) elsewhere(ctx context.Context, hypervisor *vbox.Client, machines []markedMachine) ([]string, error) {
	var folders []string
	for _, ref := range machines {
		m, err := hypervisor.Machine(ctx, ref.UUID)
		if errors.Is(err, vbox.ErrNotFound) || errors.Is(err, vbox.ErrInaccessible) {
			continue // deleted meanwhile, or without files
		}
		if err != nil {
			return nil, fmt.Errorf("looking at machine %q: %w", ref.Name, err)
		}
		if below(m.ConfigFile, s.folder.Path) {
			continue
		}
		home, ok := homeOf(m.ConfigFile)
		if !ok {
			home = filepath.Dir(m.ConfigFile)
		}
		if owner, err := labdir.At(filepath.Dir(home), filepath.Base(home)).Owner(); ok && err == nil && owner == ref.owner {
			return nil, hinted(exitUnable, fmt.Errorf("machine %q is of a lab whose folder is %q, not %q: nothing was removed", m.Name, home, s.folder.Path),
				"XDG_DATA_HOME="+ssh.Quote(s.dataHome(home))+" "+s.next("destroy")+" removes that lab; what is in "+ssh.Quote(s.folder.Path)+" needs no machines")
		} else if err != nil && !errors.Is(err, labdir.ErrNoLab) {
			return nil, fmt.Errorf("whether the lab in %q is alive: %w", home, err)
		}
		if !slices.Contains(folders, home) {
			folders = append(folders, home)
		}
	}
	return folders, nil
}

// homeOf is the lab's folder in which labctl has made a machine: its settings are in FOLDER/machines/NODE/labctl/LAB/MACHINE.
func homeOf(configFile string) (string, bool) {
	const levels = 6
	folder := configFile
	for i := range levels {
		folder = filepath.Dir(folder)
		if i == levels-2 && filepath.Base(folder) != "machines" {
			return "", false
		}
	}
	return folder, true
}

// dataHome is the XDG_DATA_HOME whose lab has this folder.
func (s *session) dataHome(folder string) string {
	home := filepath.Dir(filepath.Dir(folder)) // …/labctl/LAB
	if s.simulate {
		home = filepath.Dir(home) // …/labctl/simulated/LAB
	}
	return home
}
