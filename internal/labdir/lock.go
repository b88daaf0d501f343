package labdir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/gofrs/flock"
)

// ErrLocked says that another labctl is at work on the lab.
var ErrLocked = errors.New("another labctl is at work on this lab")

// Lock makes this process the only one that changes the lab, until unlock is called or the process ends: the kernel lets
// go of it whatever ends the process. what and now say in the file who holds it and since when.
func (f *Folder) Lock(what string, now time.Time) (unlock func() error, err error) {
	if err := f.makeFolder(); err != nil {
		return nil, err
	}
	path := f.path("lock")
	l := flock.New(path)
	ok, err := l.TryLock()
	if err != nil {
		return nil, fmt.Errorf("locking %q: %w", path, err)
	}
	if !ok {
		holder, err := os.ReadFile(path + ".holder")
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		return nil, fmt.Errorf("lab %q: %w (%s); wait for it, or interrupt it", f.Name, ErrLocked, strings.TrimSpace(string(holder)))
	}
	holder := fmt.Sprintf("%s, process %d, since %s\n", what, os.Getpid(), now.Format("2006-01-02 15:04:05"))
	if err := WriteFile(path+".holder", []byte(holder), 0o600); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return func() error {
		err := os.Remove(path + ".holder")
		if errors.Is(err, fs.ErrNotExist) {
			err = nil // destroy has removed the folder
		}
		return errors.Join(err, l.Close())
	}, nil
}
