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
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/gofrs/flock"
)

// ErrChecksum is the cause when a file is not the one that was asked for.
var ErrChecksum = errors.New("checksum mismatch")

// ErrTooLarge is the cause when a file, or what a server sends in its place, is larger than such a file can be.
var ErrTooLarge = errors.New("too large")

// The most bytes that a file of a kind may have, generously: what is larger is no such file, and would fill the disk before its
// checksum could tell.
const (
	MostOfImage int64 = 64 << 30 // a disk image
	MostOfFile  int64 = 8 << 30  // a binary, or an archive of container images
)

// lockPoll is how often a lock that another process holds is tried.
const lockPoll = 100 * time.Millisecond

// Cache is a folder of verified files.
type Cache struct {
	Dir  string       // made when needed
	HTTP *http.Client // nil means an ordinary one
	// Refresh asks for lists of checksums anew, also where one is kept.
	Refresh bool
	// Reserved, which may be nil, names files that the cache's user makes beside what was fetched: no source's file is called so.
	Reserved func(name string) bool

	// What tests shorten; 0 means the default.
	stall, backoff time.Duration
}

// Fetch returns the path of the source's file in the cache, and fetches it first if it is not there. sha256, in
// hexadecimal, may be empty for a local source alone; it is computed then. most is the most bytes that the file may
// have; ErrTooLarge ends a fetch of more. For a file that is in the cache progress hears
// nothing. Callers in other processes wait for each other, and hear that they do, and how far the one at work is.
func (c *Cache) Fetch(ctx context.Context, source, sha256 string, most int64, progress Progress) (path string, err error) {
	path, err = c.fetch(ctx, source, strings.ToLower(sha256), most, progress)
	if err != nil {
		return "", fmt.Errorf("fetching %q: %w", redacted(source), err)
	}
	return path, nil
}

func (c *Cache) fetch(ctx context.Context, source, sum string, most int64, progress Progress) (string, error) {
	u, err := parseSource(source)
	if err != nil {
		return "", err
	}
	if u.Scheme == "file" {
		if err := fits(filePath(u), most); err != nil {
			return "", err
		}
	}
	if sum == "" {
		if u.Scheme != "file" {
			return "", errors.New("a download needs a sha256")
		}
		if sum, err = SHA256(ctx, filePath(u)); err != nil {
			return "", err
		}
	}
	if !IsSHA256(sum) {
		return "", fmt.Errorf("sha256 %q is not 64 hexadecimal digits", sum)
	}
	target := c.place(u, sum)
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return "", err
	}
	for dir := filepath.Dir(target); ; dir = filepath.Dir(dir) {
		if err := ownersAlone(dir); err != nil {
			return "", err
		}
		if len(dir) <= len(filepath.Clean(c.Dir)) {
			break
		}
	}
	part := unfinished{target + partSuffix}
	unlock, err := lockFolder(ctx, filepath.Dir(target), progress.say, func() { part.report(progress) })
	if err != nil {
		return "", err
	}
	defer unlock()

	switch err := check(ctx, target, sum); {
	case err == nil:
		_ = noteSize(target, filepath.Dir(target)) // of an older labctl's; where there is no room for it, the file is as good as before
		return target, nil
	case errors.Is(err, ErrChecksum): // damaged since: fetched anew
	case !errors.Is(err, os.ErrNotExist):
		return "", err
	}
	if part.complete() && check(ctx, part.file, sum) == nil { // a run was killed right before the end
		return target, part.finish(target)
	}
	for again := false; ; again = true {
		resumed, err := c.download(ctx, u, part, most, progress)
		if err != nil {
			return "", errors.Join(err, part.settle(err))
		}
		err = check(ctx, part.file, sum)
		if err == nil {
			return target, part.finish(target)
		}
		if !errors.Is(err, ErrChecksum) {
			return "", err
		}
		// A beginning that an earlier run has left may be another file's, or damaged on the disk: once more, from nothing. What is
		// wrong then too, also where the line broke and the rest was asked for, is wrong on the server.
		if derr := part.discard(); derr != nil || !resumed || again {
			return "", errors.Join(err, derr)
		}
	}
}

// fits refuses a local source that has no end or is too large. One that isn't there may be in the cache.
func fits(file string, most int64) error {
	info, err := os.Stat(file)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return fmt.Errorf("%q must be a file", file)
	}
	return tooLarge(info.Size(), most)
}

// tooLarge says so if size, in bytes, is more than most.
func tooLarge(size, most int64) error {
	if size <= most {
		return nil
	}
	return fmt.Errorf("%w: %d bytes, and such a file has %d at most", ErrTooLarge, size, most)
}

// place is where the source's file lies once it is there.
func (c *Cache) place(u *url.URL, sum string) string { return filepath.Join(c.Dir, sum, c.fileName(u)) }

// lockFolder waits until no other process works in a folder: that is said once, and waiting is called again and again.
func lockFolder(ctx context.Context, dir string, say func(string), waiting func()) (unlock func(), err error) {
	lock := flock.New(filepath.Join(dir, lockName))
	for said := false; ; said = true {
		ok, err := lock.TryLock()
		if err != nil {
			return nil, fmt.Errorf("locking %q: %w", dir, err)
		}
		if ok {
			return func() { lock.Close() }, nil //nolint:errcheck // ends with the process at the latest
		}
		if !said {
			say("waiting for another labctl that fetches it")
		}
		waiting()
		timer := time.NewTimer(lockPoll)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil, fmt.Errorf("waiting for another fetch of it: %w", context.Cause(ctx))
		case <-timer.C:
		}
	}
}

// ownersAlone refuses a folder that others may write to: what was verified there could be another file by the time it is used.
func ownersAlone(dir string) error {
	info, err := os.Stat(dir)
	if err != nil || runtime.GOOS == "windows" { // whose modes say nothing
		return err
	}
	if info.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("others may write to %q, so nothing in it can be trusted: chmod go-w %q, after a look at what is there", dir, dir)
	}
	return nil
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

// fileName is the name that the source's file has in the cache: its own, unless that is no name or taken.
func (c *Cache) fileName(u *url.URL) string {
	name := path.Base(u.Path)
	own := func(suffix string) bool { return strings.HasSuffix(name, suffix) }
	switch {
	case strings.Trim(name, "./") == "", strings.ContainsAny(name, `\:`):
	case name == sizeName, slices.ContainsFunc([]string{partSuffix, partSuffix + originSuffix, tmpSuffix, lockName}, own):
	case c.Reserved != nil && c.Reserved(name):
	default:
		return name
	}
	return "file"
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
	got, err := SHA256(ctx, file)
	if err != nil {
		return err
	}
	if got != sum {
		return fmt.Errorf("%w: got sha256 %s, want %s", ErrChecksum, got, sum)
	}
	return nil
}

// IsSHA256 says whether s is a checksum: 64 hexadecimal digits.
func IsSHA256(s string) bool {
	raw, err := hex.DecodeString(s)
	return err == nil && len(raw) == sha256.Size
}

// SHA256 reads a file and returns its checksum, in lower case. It ends with ctx.
func SHA256(ctx context.Context, file string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer f.Close()
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
