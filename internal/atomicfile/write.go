package atomicfile

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Write makes content the file at path, with that mode. A link there is replaced, not followed.
func Write(path string, content []byte, mode fs.FileMode) error {
	return WriteFrom(path, mode, func(w io.Writer) error {
		_, err := w.Write(content)
		return err
	})
}

// WriteFrom is Write for what write writes.
func WriteFrom(path string, mode fs.FileMode, write func(io.Writer) error) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	if err = write(f); err == nil {
		err = errors.Join(f.Chmod(mode), f.Sync())
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name()) // what matters is why the writing failed
		return err
	}
	syncFolder(filepath.Dir(path))
	return nil
}

// syncFolder makes the new name outlast a power cut. Windows and some file systems can't be asked for that, and without it the old content
// may come back, whole.
func syncFolder(path string) {
	folder, err := os.Open(path)
	if err != nil {
		return
	}
	folder.Sync() //nolint:errcheck // see above
	folder.Close()
}
