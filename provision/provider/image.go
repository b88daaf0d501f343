package provider

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"github.com/gofrs/flock"

	"github.com/labctl/labctl/internal/fetch"
	"github.com/labctl/labctl/vbox"
)

// Downloads fetches a file into a cache and verifies it: *fetch.Cache.
type Downloads interface {
	Checksum(ctx context.Context, source, checksum string, progress fetch.Progress) (sha256 string, err error)
	Fetch(ctx context.Context, source, sha256 string, most int64, progress fetch.Progress) (path string, err error)
	Sums(ctx context.Context, list string, enough func(sums map[string]string) error, progress fetch.Progress) (map[string]string, error)
	Place(source, sha256 string) (path string, err error)
}

// image is the base disk that all machines' disks are linked to: downloaded, verified, converted and resized once, and
// shared by all labs. Its value is the path of the base VDI. Destroy leaves it in the cache. The same image from another place is the
// same image: machines stand on its bytes.
func (p *Provider) image() kind {
	return kind{
		required: []string{"url", "sha256", "diskGiB"},
		replace:  []string{"sha256", "diskGiB"},
		ensure:   p.ensureImage,
		read: func(_ context.Context, id string, in props) (props, error) {
			if _, err := os.Stat(id); errors.Is(err, fs.ErrNotExist) {
				return nil, nil
			} else if err != nil {
				return nil, err
			}
			now := maps.Clone(in)
			// The folder is named after the checksum. The state of an older labctl has it as labctl.yaml gave it.
			if sum := filepath.Base(filepath.Dir(id)); fetch.IsSHA256(sum) {
				now["sha256"] = sum
			}
			if vbox.WholeVDI(id) != nil {
				now[driftKey] = "the base disk is damaged"
			}
			return now, nil
		},
		remove: func(ctx context.Context, id string, _ props, step func(string)) error {
			step("keeping the image in the cache")
			err := p.o.Hypervisor.CloseMedium(ctx, id, false) // out of VirtualBox's registry, not off the disk
			if errors.Is(err, vbox.ErrInUse) || errors.Is(err, vbox.ErrInvalidState) {
				return nil // another lab's machines are linked to it
			}
			return err
		},
	}
}

func (p *Provider) ensureImage(ctx context.Context, in props, step func(string)) (id, value string, err error) {
	place, err := p.o.Images.Place(in.text("url"), in.text("sha256"))
	if err != nil {
		return "", "", err
	}
	base := BaseDisk(place, in.number("diskGiB"))
	if vbox.WholeVDI(base) == nil {
		return base, base, nil // made before, perhaps of a file of another name
	}
	source, err := FetchImage(ctx, p.o.Images, in.text("url"), in.text("sha256"), step)
	if err != nil {
		return "", "", err
	}
	base, err = EnsureBaseDisk(ctx, p.o.Hypervisor, source, in.number("diskGiB"), step)
	return base, base, err
}

// FetchImage returns the path of an image in the cache. checksum is its digits, or a list of checksums that names it.
func FetchImage(ctx context.Context, d Downloads, url, checksum string, step func(string)) (path string, err error) {
	sum, err := d.Checksum(ctx, url, checksum, fetch.Steps(step, "fetching the image's list of checksums"))
	if err != nil {
		return "", err
	}
	return d.Fetch(ctx, url, sum, fetch.MostOfImage, fetch.Steps(step, "downloading the image"))
}

// BaseDisk is where the base disk of that size is kept that is made of an image in the cache: beside it, in the folder that is
// named after the image's checksum.
func BaseDisk(image string, diskGiB int) string {
	return filepath.Join(filepath.Dir(image), fmt.Sprintf("base-%dGiB.vdi", diskGiB))
}

// Small and capital letters are the same to some file systems.
var baseDiskName = regexp.MustCompile(`(?i)^base-[0-9]+GiB\.vdi(\.part\.(vdi|vmdk)$|$)?`)

// IsBaseDisk says whether a file in the cache is a base disk; unfinished, whether it is what an interrupted conversion left.
func IsBaseDisk(name string) (ok, unfinished bool) {
	m := baseDiskName.FindStringSubmatch(name)
	return m != nil && len(m[0]) == len(name), m != nil && m[2] != ""
}

// IsReserved says whether a name in the cache is a base disk's, or of something beside one. A download that was called so would
// be put in its place, under the machines whose disks are linked to it.
func IsReserved(name string) bool { return baseDiskName.MatchString(name) }

// EnsureBaseDisk converts an image, once for all labs, and returns the path of its base disk. One that is there and damaged is made
// anew, unless disks are linked to it: those are damaged too, and what is on them is the user's to judge.
func EnsureBaseDisk(ctx context.Context, d Disks, image string, diskGiB int, step func(string)) (base string, err error) {
	base = BaseDisk(image, diskGiB)
	unlock, err := LockBaseDisk(ctx, base, step)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	damage := vbox.WholeVDI(base)
	if damage == nil {
		return base, nil
	}
	if !errors.Is(damage, fs.ErrNotExist) {
		step("removing a damaged base disk")
		if err := discardBaseDisk(ctx, d, base, damage); err != nil {
			return "", err
		}
	}
	if err := ForgetBaseDiskSum(base); err != nil { // it is another file's
		return "", err
	}
	step("converting to a base disk")
	if err := d.ConvertDisk(ctx, image, base, diskGiB*1024, step); err != nil {
		return "", err
	}
	step("reading the base disk, for its checksum")
	return base, keepBaseDiskSum(ctx, base)
}

// discardBaseDisk removes a base disk that is damaged, if nothing in VirtualBox hangs on it.
func discardBaseDisk(ctx context.Context, d Disks, base string, damage error) error {
	err := d.CloseMedium(ctx, base, false)
	if errors.Is(err, vbox.ErrInUse) {
		return fmt.Errorf("base disk %q is damaged (%w), and so are the disks that are linked to it: "+
			"labctl cache verify names the machines and the way out", base, damage)
	}
	if err != nil && !errors.Is(err, vbox.ErrBadMedium) { // which VirtualBox doesn't know, then
		return fmt.Errorf("base disk %q is damaged (%w): %w", base, damage, err)
	}
	return os.Remove(base)
}

// LockBaseDisk keeps other labctl from making, or removing, a base disk.
func LockBaseDisk(ctx context.Context, base string, step func(string)) (unlock func() error, err error) {
	lock := flock.New(base + ".lock")
	ok, err := lock.TryLock()
	if err == nil && !ok {
		step("waiting for another labctl that works on the base disk")
		_, err = lock.TryLockContext(ctx, 100*time.Millisecond)
	}
	if err != nil {
		return nil, fmt.Errorf("locking base disk %q: %w", base, err)
	}
	return lock.Close, nil
}
