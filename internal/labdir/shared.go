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

	"github.com/labctl/labctl/internal/atomicfile"
	"github.com/labctl/labctl/internal/config"
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

// Reserve notes the addresses of a lab that is about to be made, or changed: other labs count them from this moment on, long before its
// configuration is stored. Release takes the note back.
func (f *Folder) Reserve(l *config.Lab) error {
	b, err := config.Marshal(l)
	if err != nil {
		return err
	}
	return atomicfile.Write(f.path("wanted.yaml"), b, 0o600)
}

// Release takes back what Reserve has noted.
func (f *Folder) Release() error {
	if err := os.Remove(f.path("wanted.yaml")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Neighbours are the other labs of this user, as they were made and as they are about to be.
func (f *Folder) Neighbours() (all []*config.Lab, err error) {
	root := filepath.Dir(f.Path)
	entries, err := os.ReadDir(root)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("looking for other labs: %w", err)
	}
	for _, e := range entries {
		if !e.IsDir() || e.Name() == f.Name {
			continue
		}
		other := At(root, e.Name())
		for _, name := range []string{"lab.yaml", "wanted.yaml"} {
			if l, err := other.stored(name); err == nil { // no lab, or a damaged one, which says so itself
				all = append(all, l)
			}
		}
	}
	return all, nil
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
