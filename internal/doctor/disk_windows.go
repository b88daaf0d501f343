package doctor

import (
	"fmt"

	"golang.org/x/sys/windows"
)

// FreeDisk returns the bytes that an ordinary user may still write on the disk of path.
func FreeDisk(path string) (uint64, error) {
	name, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return 0, fmt.Errorf("free disk at %q: %w", path, err)
	}
	var free uint64
	if err := windows.GetDiskFreeSpaceEx(name, &free, nil, nil); err != nil {
		return 0, fmt.Errorf("free disk at %q: %w", path, err)
	}
	return free, nil
}
