package fetch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gofrs/flock"
)

// Kind says what a file in the cache is.
type Kind string

// The kinds of files.
const (
	KindFile    Kind = "file"      // complete; whoever uses the cache may have put others beside what was fetched
	KindPartial Kind = "partial"   // the beginning of a download
	KindList    Kind = "checksums" // a list of checksums
)

// Entry is a file in the cache.
type Entry struct {
	Path     string
	Kind     Kind
	SHA256   string // what its folder is named after; empty for a list
	Size     int64
	Modified time.Time
}

// ErrBusy says that another process works in a file's folder.
var ErrBusy = errors.New("in use by another process")

// Entries lists what is in the cache, by path, without what only keeps it in order (locks, notes). There may be no cache yet.
func (c *Cache) Entries() ([]Entry, error) {
	var all []Entry
	for _, pattern := range []string{"*", filepath.Join(sumsFolder, "*")} {
		dirs, err := filepath.Glob(filepath.Join(escapeGlob(c.Dir), pattern))
		if err != nil {
			return nil, err
		}
		for _, dir := range dirs {
			sum := filepath.Base(dir)
			list := pattern != "*"
			if !list && !IsSHA256(sum) {
				continue
			}
			files, err := os.ReadDir(dir)
			if err != nil {
				return nil, err
			}
			for _, f := range files {
				info, err := f.Info()
				if errors.Is(err, os.ErrNotExist) {
					continue // gone meanwhile
				}
				if err != nil {
					return nil, err
				}
				name := f.Name()
				if !info.Mode().IsRegular() || name == sizeName || strings.HasSuffix(name, lockName) || strings.HasSuffix(name, partSuffix+originSuffix) || strings.HasSuffix(name, tmpSuffix) {
					continue
				}
				e := Entry{Path: filepath.Join(dir, name), Kind: KindFile, SHA256: sum, Size: info.Size(), Modified: info.ModTime()}
				switch {
				case list:
					e.Kind, e.SHA256 = KindList, ""
				case strings.HasSuffix(name, partSuffix):
					e.Kind = KindPartial
				}
				all = append(all, e)
			}
		}
	}
	slices.SortFunc(all, func(a, b Entry) int { return strings.Compare(a.Path, b.Path) })
	return all, nil
}

// escapeGlob keeps a path from being read as a pattern.
func escapeGlob(path string) string {
	if os.PathSeparator == '\\' {
		return path // nothing escapes there
	}
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}

// Place returns where the source's file lies, or will lie, in the cache.
func (c *Cache) Place(source, sha256 string) (string, error) {
	u, err := parseSource(source)
	if err != nil {
		return "", err
	}
	return c.place(u, strings.ToLower(sha256)), nil
}

// ListPlace returns where the list of checksums from that source is kept; empty if checksum is not a list's source.
func (c *Cache) ListPlace(checksum string) string {
	if _, ok := ParseChecksum(checksum); ok || checksum == "" {
		return ""
	}
	u, err := parseSource(checksum)
	if err != nil {
		return ""
	}
	return c.keptList(u)
}

// Verify reads a file that was fetched and compares it with its checksum: ErrChecksum if it is damaged. A list must be a list.
func (c *Cache) Verify(ctx context.Context, e Entry) error {
	if e.Kind == KindList {
		text, err := os.ReadFile(e.Path)
		if err == nil {
			_, err = ParseSums(text)
		}
		return err
	}
	return check(ctx, e.Path, e.SHA256)
}

// Remove deletes a file and what is noted about it: ErrBusy while a process fetches into its folder, or if the file has
// changed since it was listed. One that is gone is no error.
func (c *Cache) Remove(e Entry) error {
	lock := flock.New(filepath.Join(filepath.Dir(e.Path), lockName))
	ok, err := lock.TryLock()
	if err != nil {
		return fmt.Errorf("locking %q: %w", filepath.Dir(e.Path), err)
	}
	if !ok {
		return fmt.Errorf("%q: %w", e.Path, ErrBusy)
	}
	defer lock.Close() //nolint:errcheck // ends with the process at the latest
	info, err := os.Lstat(e.Path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if !info.ModTime().Equal(e.Modified) || info.Size() != e.Size {
		return fmt.Errorf("%q: %w", e.Path, ErrBusy)
	}
	if e.Kind == KindPartial {
		return unfinished{e.Path}.discard()
	}
	return removeIfThere(e.Path)
}
