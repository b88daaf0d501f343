package k3s

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
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
}

// Texts fetches small files.
type Texts interface {
	FetchText(ctx context.Context, source string, max int64, progress fetch.Progress) ([]byte, error)
}

// Downloads lists what the nodes of a lab need: the binary first, then the archives of images, if labctl.yaml asks for some. arch
// is the guests' (a GOARCH). A release's list of checksums is kept in the folder keep, so that it is fetched once and a later run
// needs no network; what is kept is no less to be trusted than what a second download would say.
func Downloads(ctx context.Context, texts Texts, keep string, l config.K3s, arch string, progress fetch.Progress) ([]Download, error) {
	binary, list := FileNames(l.Version, arch)
	listURL := ReleaseURL(l.Source, l.Version, list)
	sums, err := checksums(ctx, texts, keep, l, listURL, progress)
	if err != nil {
		return nil, fmt.Errorf("checksums of k3s %s: %w", l.Version, err)
	}
	sum, ok := sums[binary]
	if !ok {
		return nil, fmt.Errorf("checksums of k3s %s: %s names none of %q", l.Version, listURL, binary)
	}
	all := []Download{{What: "k3s " + l.Version, URL: ReleaseURL(l.Source, l.Version, binary), SHA256: sum}}
	if l.Airgap {
		name, ok := ImagesFileName(sums, arch)
		if !ok {
			return nil, fmt.Errorf("checksums of k3s %s: %s names no archive of images for %s: without one, k3s.airgap must be false",
				l.Version, listURL, arch)
		}
		all = append(all, Download{What: "images of k3s " + l.Version, URL: ReleaseURL(l.Source, l.Version, name), SHA256: sums[name], Name: name})
	}
	for _, a := range l.Images {
		all = append(all, Download{What: "images " + a.FileName(), URL: a.URL, SHA256: a.SHA256, Name: a.FileName()})
	}
	return all, nil
}

// checksums returns a release's list of checksums, from the folder keep if it is there. A folder of releases is always asked
// itself: it is at hand, and people change what is in it.
func checksums(ctx context.Context, texts Texts, keep string, l config.K3s, url string, progress fetch.Progress) (map[string]string, error) {
	const most = 1 << 20
	source := sha256.Sum256([]byte(l.Source))
	kept := filepath.Join(keep, l.Version, hex.EncodeToString(source[:4])+"-"+filepath.Base(url))
	remote := isURL(l.Source)
	if remote {
		data, err := os.ReadFile(kept)
		if err == nil {
			if sums, err := fetch.ParseSums(data); err == nil {
				return sums, nil
			} // damaged: fetched anew
		} else if !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	data, err := texts.FetchText(ctx, url, most, progress)
	if err != nil {
		return nil, err
	}
	sums, err := fetch.ParseSums(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", url, err)
	}
	if !remote {
		return sums, nil
	}
	return sums, keepFile(kept, data)
}

// keepFile writes a file under a temporary name and renames it.
func keepFile(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".part-*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
