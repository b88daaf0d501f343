package provider

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/labctl/labctl/internal/atomicfile"
	"github.com/labctl/labctl/internal/fetch"
)

// sumSuffix is added to a base disk's name: the file has the checksum that it had when it was made, as sha256sum writes it. VirtualBox
// never writes to a disk that others are linked to.
const sumSuffix = ".sha256"

// keepBaseDiskSum notes the checksum of a base disk that was just made.
func keepBaseDiskSum(ctx context.Context, base string) error {
	sum, err := fetch.SHA256(ctx, base)
	if err != nil {
		return fmt.Errorf("checksum of base disk %q: %w", base, err)
	}
	return atomicfile.Write(base+sumSuffix, fmt.Appendf(nil, "%s  %s\n", sum, filepath.Base(base)), 0o644)
}

// ForgetBaseDiskSum removes what is noted of a base disk that is gone.
func ForgetBaseDiskSum(base string) error {
	if err := os.Remove(base + sumSuffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// VerifyBaseDisk reads a base disk and compares it with its checksum: fetch.ErrChecksum if it has another. known is false where none
// was kept, or none that can be read: labctl was killed right after it made the disk, or is older than that.
func VerifyBaseDisk(ctx context.Context, base string) (known bool, err error) {
	text, err := os.ReadFile(base + sumSuffix)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	sums, _ := fetch.ParseSums(text) // a note that is damaged proves nothing: it is none
	want, ok := sums[filepath.Base(base)]
	if !ok {
		return false, nil
	}
	got, err := fetch.SHA256(ctx, base)
	if err == nil && got != want {
		err = fmt.Errorf("%w: got sha256 %s, and it had %s when it was made", fetch.ErrChecksum, got, want)
	}
	return true, err
}
