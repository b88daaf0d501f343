package labdir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/gofrs/flock"

	"github.com/labctl/labctl/internal/atomicfile"
)

// ErrLocked says that another labctl is at work on the lab.
var ErrLocked = errors.New("another labctl is at work on this lab")

// Lock makes this process the only one that changes the lab, until unlock is called or the process ends: the kernel lets
// go of it whatever ends the process. what and now say in a note beside the lock who holds it and since when; where it can't be written,
// on a full disk above all, the lock holds without it: destroy makes room.
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
		who := strings.TrimSpace(string(holder))
		if err != nil || who == "" {
			who = "which one is not known"
		}
		return nil, fmt.Errorf("lab %q: %w (%s); wait for it, or interrupt it", f.Name, ErrLocked, who)
	}
	holder := fmt.Sprintf("%s, process %d, since %s\n", what, os.Getpid(), now.Format("2006-01-02 15:04:05"))
	noted := atomicfile.Write(path+".holder", []byte(holder), 0o600) == nil
	if !noted {
		os.Remove(path + ".holder") // one that was killed has left it: nobody may be sent after the wrong one
	}
	return func() error {
		var err error
		if noted {
			err = os.Remove(path + ".holder")
		}
		if errors.Is(err, fs.ErrNotExist) {
			err = nil // destroy has removed the folder
		}
		return errors.Join(err, l.Close())
	}, nil
}
