package labdir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"
)

// Shared waits until no other labctl works on what all labs of this user share, names it as what says, and makes it wait in turn until
// release is called or the process ends.
func (f *Folder) Shared(ctx context.Context, what string) (release func() error, err error) {
	path := filepath.Join(filepath.Dir(f.Path), "."+what+".lock") // no lab can be called so
	l := flock.New(path)
	if _, err := l.TryLockContext(ctx, 50*time.Millisecond); err != nil {
		return nil, fmt.Errorf("locking %q: %w", path, err)
	}
	return l.Close, nil
}

// TakenPorts are the ports that machines of all labs have chosen for their NAT rules, but for one of this lab's. They count from the
// moment that they are chosen, which is before VirtualBox knows of them.
func (f *Folder) TakenPorts(except string) (map[int]bool, error) {
	taken := map[int]bool{}
	root := filepath.Dir(f.Path)
	labs, err := os.ReadDir(root)
	if err != nil {
		return nil, err
	}
	for _, lab := range labs {
		other := At(root, lab.Name())
		machines, err := os.ReadDir(other.path("machines"))
		if errors.Is(err, fs.ErrNotExist) || !lab.IsDir() {
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, m := range machines {
			if other.Path == f.Path && m.Name() == except {
				continue
			}
			if port, err := other.Machine(m.Name()).SSHPort(); err == nil && port != 0 { // a damaged note is its own lab's trouble
				taken[port] = true
			}
		}
	}
	return taken, nil
}
