package cloudinit

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"

	"github.com/diskfs/go-diskfs/backend/file"
	"github.com/diskfs/go-diskfs/filesystem/iso9660"
)

// volumeLabel is how cloud-init finds the seed among a machine's drives.
const volumeLabel = "cidata"

// Write writes the seed's ISO image to path, by way of a temporary name beside it. An image that already holds this
// seed is left alone, because a running machine may have it in its drive.
func Write(path string, s Seed) error {
	if err := s.validate(); err != nil {
		return fmt.Errorf("seed of %q: %w", s.Hostname, err)
	}
	files := s.Files()
	if existing, err := Read(path); err == nil && equal(existing, files) {
		return nil
	}
	if err := write(path, files); err != nil {
		return fmt.Errorf("writing seed %q: %w", path, err)
	}
	return nil
}

func equal(a, b map[string][]byte) bool { return maps.EqualFunc(a, b, bytes.Equal) }

func write(path string, files map[string][]byte) (err error) {
	// Both names are fixed, so that what a killed run leaves is cleared by the next.
	part, tree := path+".part", path+".files"
	clearAway := func() error { return errors.Join(os.RemoveAll(part), os.RemoveAll(tree)) }
	if err := clearAway(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, clearAway()) }()

	if err := os.Mkdir(tree, 0o700); err != nil {
		return err
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(tree, name), content, 0o600); err != nil {
			return err
		}
	}
	if err := writeImage(part, tree); err != nil {
		return err
	}
	// iso9660 drops some write errors; a full disk must not become a machine without its user.
	if written, err := Read(part); err != nil {
		return fmt.Errorf("reading it back: %w", err)
	} else if !equal(written, files) {
		return errors.New("reading it back gave other content")
	}
	return os.Rename(part, path)
}

// writeImage makes an ISO 9660 image of the folder tree. Rock Ridge carries the names: plain ISO 9660 would cut
// them to eight upper-case characters.
func writeImage(path, tree string) (err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	image, err := iso9660.Create(file.New(f, false), 0, 0, sectorSize, tree)
	if err != nil {
		return err
	}
	if err := image.Finalize(iso9660.FinalizeOptions{RockRidge: true, VolumeIdentifier: volumeLabel}); err != nil {
		return err
	}
	return f.Sync()
}
