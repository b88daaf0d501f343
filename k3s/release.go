package k3s

import (
	"context"
	"fmt"
	"path"
	"path/filepath"

	"github.com/labctl/labctl/internal/config"
	"github.com/labctl/labctl/internal/fetch"
)

// Download is a file that a lab's k3s needs, and where it is to be had.
type Download struct {
	What   string // for people
	URL    string // a URL, or a path on this machine
	SHA256 string // empty for a path in labctl.yaml that was given without
	Name   string // of the file on a node; empty for the binary
	List   string // that the checksum is from; empty: from labctl.yaml, or from nowhere
}

// Lists returns lists of checksums: *fetch.Cache, or what of it needs no network.
type Lists interface {
	Sums(ctx context.Context, source string, enough func(sums map[string]string) error, progress fetch.Progress) (map[string]string, error)
}

// ListURL is where the list of checksums is that names all files of the release that l asks for.
func ListURL(l config.K3s, arch string) string {
	_, list := fileNames(l.Version, arch)
	return releaseURL(l.Source, l.Version, list)
}

// Downloads lists what the nodes of a lab need: the binary first, then the archives of images, if labctl.yaml asks for some. arch
// is the guests' (a GOARCH). A list of checksums that was fetched once is no less to be trusted than what a second download would
// say; where it lacks a file, the source may have it by now.
func Downloads(ctx context.Context, lists Lists, l config.K3s, arch string, progress fetch.Progress) ([]Download, error) {
	binary, _ := fileNames(l.Version, arch)
	list := ListURL(l, arch)
	sums, err := lists.Sums(ctx, list, func(sums map[string]string) error {
		if _, ok := sums[binary]; !ok {
			return fmt.Errorf("names none of %q", binary)
		}
		if _, ok := imagesFileName(sums, arch); l.Airgap && !ok {
			return fmt.Errorf("names no archive of images for %s: without one, k3s.airgap must be false", arch)
		}
		return nil
	}, progress)
	if err != nil {
		return nil, fmt.Errorf("checksums of k3s %s: %w", l.Version, err)
	}
	all := []Download{{What: "k3s " + l.Version, URL: releaseURL(l.Source, l.Version, binary), SHA256: sums[binary], List: list}}
	if l.Airgap {
		name, _ := imagesFileName(sums, arch)
		all = append(all, Download{
			What: "images of k3s " + l.Version, URL: releaseURL(l.Source, l.Version, name), SHA256: sums[name], Name: name, List: list,
		})
	}
	for _, a := range l.Images {
		all = append(all, Download{What: "images " + a.FileName(), URL: a.URL, SHA256: a.SHA256, Name: a.FileName()})
	}
	return all, nil
}

// Corrected returns a download whose bytes were not what the kept list of checksums says, with what its list says by now: a mirror may
// have mended it. It returns the error if the list says the same.
func Corrected(ctx context.Context, lists Lists, d Download, mismatch error, progress fetch.Progress) (Download, error) {
	if d.List == "" {
		return d, mismatch // labctl.yaml says what the bytes must be
	}
	name := path.Base(filepath.ToSlash(d.URL))
	sums, err := lists.Sums(ctx, d.List, func(sums map[string]string) error {
		if sums[name] == "" || sums[name] == d.SHA256 {
			return fmt.Errorf("has no other checksum of %q", name)
		}
		return nil
	}, progress)
	if err != nil {
		return d, fmt.Errorf("%w (%w)", mismatch, err)
	}
	d.SHA256 = sums[name]
	return d, nil
}
