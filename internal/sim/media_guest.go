package sim

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// guestDir is where the files of the guest on a disk live.
func guestDir(dir, disk string) string { return filepath.Join(dir, "guests", disk) }

// copyGuest lets the guest of one disk go on, from the files it has, on a new disk; the old disk keeps them as they are
// now. Taking a snapshot does this with the machine's disk, restoring it with the snapshot's. A disk without a guest
// gives a disk without a guest.
func copyGuest(dir, from, to string) error {
	source, target := guestDir(dir, from), guestDir(dir, to)
	part := target + ".part~"
	if err := os.RemoveAll(part); err != nil {
		return fmt.Errorf("copying the guest of disk %q: %w", from, err)
	}
	switch _, err := os.Stat(source); {
	case errors.Is(err, fs.ErrNotExist):
		return os.RemoveAll(target)
	case err != nil:
		return fmt.Errorf("copying the guest of disk %q: %w", from, err)
	}
	if err := copyTree(source, part); err != nil {
		return fmt.Errorf("copying the guest of disk %q: %w", from, err)
	}
	if err := os.RemoveAll(target); err != nil {
		return fmt.Errorf("copying the guest of disk %q: %w", from, err)
	}
	return os.Rename(part, target)
}

// copyTree copies folders, files and symbolic links with their modes. A file that its guest removes meanwhile is left out.
func copyTree(from, to string) error {
	info, err := os.Lstat(from)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	switch {
	case info.IsDir():
		entries, err := os.ReadDir(from)
		if err != nil {
			return err
		}
		if err := os.MkdirAll(to, 0o700); err != nil {
			return err
		}
		for _, e := range entries {
			if err := copyTree(filepath.Join(from, e.Name()), filepath.Join(to, e.Name())); err != nil {
				return err
			}
		}
		return os.Chmod(to, info.Mode().Perm())
	case info.Mode()&fs.ModeSymlink != 0:
		link, err := os.Readlink(from)
		if err != nil {
			return err
		}
		return os.Symlink(link, to)
	case info.Mode().IsRegular():
		return copyFile(from, to, info.Mode().Perm())
	}
	return nil // sockets and the like belong to a running process
}

func copyFile(from, to string, mode fs.FileMode) error {
	in, err := os.Open(from)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	if err := errors.Join(err, out.Close()); err != nil {
		return err
	}
	return os.Chmod(to, mode)
}
