//go:build unix

package doctor

import (
	"fmt"
	"syscall"
)

// FreeDisk returns the bytes that an ordinary user may still write on the disk of path.
func FreeDisk(path string) (uint64, error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(path, &s); err != nil {
		return 0, fmt.Errorf("free disk at %q: %w", path, err)
	}
	return s.Bavail * uint64(s.Bsize), nil
}
