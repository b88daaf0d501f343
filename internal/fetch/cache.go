package fetch

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/gofrs/flock"
)

// ErrChecksum is the cause when a file is not the one that was asked for.
var ErrChecksum = errors.New("checksum mismatch")

// lockPoll is how often a lock that another process holds is tried.
const lockPoll = 100 * time.Millisecond

// Cache is a folder of verified files.
type Cache struct {
	Dir  string       // made when needed
	HTTP *http.Client // nil means an ordinary one

	// What tests shorten; 0 means the default.
	stall, backoff time.Duration
}

// Fetch returns the path of the source's file in the cache, and fetches it first if it is not there. sha256, in
// hexadecimal, may be empty for a local source alone; it is computed then. progress, which may be nil, is told how
// many bytes of how many are there, -1 of these meaning unknown; it is not called for a file that is in the
// cache. Callers in other processes wait for each other.
func (c *Cache) Fetch(ctx context.Context, source, sha256 string, progress func(done, total int64)) (path string, err error) {
	if progress == nil {
		progress = func(int64, int64) {}
	}
	path, err = c.fetch(ctx, source, strings.ToLower(sha256), progress)
	if err != nil {
		return "", fmt.Errorf("fetching %q: %w", redacted(source), err)
	}
	return path, nil
}

func (c *Cache) fetch(ctx context.Context, source, sum string, progress func(done, total int64)) (string, error) {
	u, err := parseSource(source)
	if err != nil {
		return "", err
	}
	if sum == "" {
		if u.Scheme != "file" {
			return "", errors.New("a download needs a sha256")
		}
		if sum, err = sha256OfFile(ctx, filePath(u)); err != nil {
			return "", err
		}
	}
	if !regexp.MustCompile(`^[0-9a-f]{64}$`).MatchString(sum) {
		return "", fmt.Errorf("sha256 %q is not 64 hexadecimal digits", sum)
	}
	dir := filepath.Join(c.Dir, sum)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	lock := flock.New(filepath.Join(dir, ".lock"))
	if _, err := lock.TryLockContext(ctx, lockPoll); err != nil {
		return "", fmt.Errorf("waiting for another fetch of it: %w", err)
	}
	defer lock.Close() //nolint:errcheck // ends with the process at the latest

	target := filepath.Join(dir, fileName(u))
	switch err := check(ctx, target, sum); {
	case err == nil:
		return target, nil
	case errors.Is(err, ErrChecksum): // damaged since: fetched anew
	case !errors.Is(err, os.ErrNotExist):
		return "", err
	}
	part := target + ".part"
	if err := c.download(ctx, u, part, progress); err != nil {
		return "", errors.Join(err, removeIfThere(part))
	}
	if err := check(ctx, part, sum); err != nil {
		return "", errors.Join(err, removeIfThere(part))
	}
	if err := os.Rename(part, target); err != nil {
		return "", err
	}
	return target, nil
}

// parseSource turns a URL or a path into a URL with one of the schemes that fetch knows.
func parseSource(source string) (*url.URL, error) {
	if !strings.Contains(source, "://") {
		if source == "" {
			return nil, errors.New("no source")
		}
		abs, err := filepath.Abs(source)
		if err != nil {
			return nil, err
		}
		return &url.URL{Scheme: "file", Path: filepath.ToSlash(abs)}, nil
	}
	u, err := url.Parse(source)
	if err != nil {
		return nil, err
	}
	switch u.Scheme {
	case "http", "https":
		// To go-getter two slashes in a path mean a folder inside an archive.
		if strings.Contains(u.EscapedPath(), "//") {
			u.Path, u.RawPath = path.Clean(u.Path), ""
		}
		return u, nil
	case "file":
		return &url.URL{Scheme: "file", Path: path.Clean(u.Path)}, nil
	}
	return nil, fmt.Errorf("scheme %q is not http, https or file", u.Scheme)
}

func filePath(u *url.URL) string { return filepath.FromSlash(u.Path) }

// fileName is the name that the source gives its file.
func fileName(u *url.URL) string {
	name := path.Base(u.Path)
	if strings.Trim(name, "./") == "" || strings.ContainsAny(name, `\:`) {
		return "file"
	}
	return name
}

// redacted is the source without a password.
func redacted(source string) string {
	if u, err := url.Parse(source); err == nil && u.User != nil {
		return u.Redacted()
	}
	return source
}

// check reports whether the file has the checksum: ErrChecksum if it has another.
func check(ctx context.Context, file, sum string) error {
	got, err := sha256OfFile(ctx, file)
	if err != nil {
		return err
	}
	if got != sum {
		return fmt.Errorf("%w: got sha256 %s, want %s", ErrChecksum, got, sum)
	}
	return nil
}

func sha256OfFile(ctx context.Context, file string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer f.Close() //nolint:errcheck // only read
	hash := sha256.New()
	if _, err := io.Copy(hash, readerUntil{ctx, f}); err != nil {
		return "", err
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

// readerUntil reads until ctx ends.
type readerUntil struct {
	ctx context.Context
	io.Reader
}

func (r readerUntil) Read(p []byte) (int, error) {
	if err := context.Cause(r.ctx); err != nil {
		return 0, err
	}
	return r.Reader.Read(p)
}

func removeIfThere(file string) error {
	if err := os.Remove(file); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
