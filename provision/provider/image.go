package provider

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"

	"github.com/labctl/labctl/vbox"
)

// Downloads fetches a file into a cache and verifies it: *fetch.Cache.
type Downloads interface {
	Fetch(ctx context.Context, source, sha256 string, progress func(done, total int64)) (path string, err error)
	FetchText(ctx context.Context, source string, max int64) ([]byte, error)
}

// image is the base disk that all machines' disks are linked to: downloaded, verified, converted and resized once, and
// shared by all labs. Its value is the path of the base VDI. Destroy leaves it in the cache.
func (p *Provider) image() kind {
	return kind{
		required: []string{"url", "diskGiB"},
		replace:  []string{"url", "sha256", "diskGiB"},
		ensure:   p.ensureImage,
		read: func(_ context.Context, id string, in props) (props, error) {
			if _, err := os.Stat(id); errors.Is(err, fs.ErrNotExist) {
				return nil, nil
			} else if err != nil {
				return nil, err
			}
			return in, nil
		},
		remove: func(ctx context.Context, id string, _ props, step func(string)) error {
			step("keeping the image in the cache")
			err := p.o.Hypervisor.CloseMedium(ctx, id, false) // out of VirtualBox's registry, not off the disk
			if errors.Is(err, vbox.ErrNotFound) || errors.Is(err, vbox.ErrInUse) || errors.Is(err, vbox.ErrInvalidState) {
				return nil // another lab's machines are linked to it
			}
			return err
		},
	}
}

func (p *Provider) ensureImage(ctx context.Context, in props, step func(string)) (id, value string, err error) {
	source, err := p.o.Images.Fetch(ctx, in.text("url"), in.text("sha256"), progress(step, "downloading the image"))
	if err != nil {
		return "", "", fmt.Errorf("image %q: %w", in.text("url"), err)
	}
	// The cache keeps a file in a folder named after its checksum; the base disk is kept beside it.
	base := filepath.Join(filepath.Dir(source), fmt.Sprintf("base-%dGiB.vdi", in.number("diskGiB")))
	lock := flock.New(base + ".lock")
	step("waiting for the base disk's lock")
	if _, err := lock.TryLockContext(ctx, 100*time.Millisecond); err != nil {
		return "", "", fmt.Errorf("locking base disk %q: %w", base, err)
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	if _, err := os.Stat(base); err == nil {
		return base, base, nil
	}
	step("converting to a base disk")
	if err := p.o.Hypervisor.ConvertDisk(ctx, source, base, in.number("diskGiB")*1024, step); err != nil {
		return "", "", fmt.Errorf("converting image %q to base disk %q: %w", source, base, err)
	}
	return base, base, nil
}

// progress reports a download in whole percents, or in MiB where the size is unknown.
func progress(step func(string), what string) func(done, total int64) {
	last := ""
	return func(done, total int64) {
		text := fmt.Sprintf("%s: %d MiB", what, done>>20)
		if total > 0 {
			text = fmt.Sprintf("%s: %d of %d MiB (%d%%)", what, done>>20, total>>20, done*100/total)
		}
		if text != last {
			step(text)
			last = text
		}
	}
}
