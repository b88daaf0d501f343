package sim

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// files is one guest's file system. Contents are ordinary files below root on the host. What the host could not hold
// (owners, since labctl is not root; symbolic links, which Windows wants privileges for and which could point out of
// the guest) lies beside them below meta: for /etc/x in meta/etc/x/.meta.
//
// Paths are the guest's, absolute, and never reach the host: they are cleaned first, and no file on the host is a link.
type files struct{ root, meta string }

// attributes are what the guest's ls -l shows of a file.
type attributes struct {
	Mode  fs.FileMode `json:"mode"` // permission bits, and fs.ModeSticky
	Owner string      `json:"owner"`
	Link  string      `json:"link,omitempty"` // target of a symbolic link
}

// fileInfo is a guest's fs.FileInfo: the host's, but for name, mode and owner.
type fileInfo struct {
	fs.FileInfo
	name string
	attr attributes
}

func (i fileInfo) Name() string { return i.name }

func (i fileInfo) Mode() fs.FileMode {
	mode := i.attr.Mode & (fs.ModePerm | fs.ModeSticky)
	switch {
	case i.attr.Link != "":
		return mode | fs.ModeSymlink
	case i.FileInfo.IsDir():
		return mode | fs.ModeDir
	}
	return mode
}

func (i fileInfo) IsDir() bool { return i.Mode().IsDir() }

func pathError(op, name string, err error) error {
	return &fs.PathError{Op: op, Path: name, Err: err}
}

func (f files) host(p string) string { return filepath.Join(f.root, filepath.FromSlash(p)) }
func (f files) metaFile(p string) string {
	return filepath.Join(f.meta, filepath.FromSlash(p), ".meta")
}

// attributes returns what is recorded of p, or what the image would carry.
func (f files) attributes(p string, dir bool) attributes {
	if data, err := os.ReadFile(f.metaFile(p)); err == nil {
		var a attributes
		if json.Unmarshal(data, &a) == nil {
			return a
		}
	}
	return usual(p, dir)
}

// usual are the attributes of a file that nothing is recorded of.
func usual(p string, dir bool) attributes {
	a := attributes{Mode: 0o644, Owner: "root"}
	if dir {
		a.Mode = 0o755
	}
	switch {
	case p == "/root":
		a.Mode = 0o700
	case p == "/tmp" || p == "/var/tmp":
		a.Mode = 0o777 | fs.ModeSticky
	case strings.HasPrefix(p, "/home/"):
		a.Owner, _, _ = strings.Cut(strings.TrimPrefix(p, "/home/"), "/")
	}
	return a
}

func (f files) setAttributes(p string, a attributes) error {
	data, err := json.Marshal(a)
	if err != nil {
		return err
	}
	return writeFile(f.metaFile(p), data)
}

// resolve follows symbolic links in p (in its last element only if follow is set).
// The result need not exist, but every directory on the way does.
func (f files) resolve(p string, follow bool) (string, error) {
	todo := strings.Split(strings.TrimPrefix(path.Clean("/"+p), "/"), "/")
	at := "/"
	for hops := 0; len(todo) > 0; {
		name := todo[0]
		todo = todo[1:]
		next := path.Join(at, name)
		if name == "" || name == ".." {
			at = next
			continue
		}
		info, err := os.Lstat(f.host(next))
		if errors.Is(err, fs.ErrNotExist) && len(todo) == 0 {
			return next, nil
		}
		if err != nil {
			return "", pathError("open", p, syscall.ENOENT)
		}
		if info.IsDir() {
			at = next
			continue
		}
		target := f.attributes(next, false).Link
		if target == "" {
			if len(todo) > 0 {
				return "", pathError("open", p, syscall.ENOTDIR)
			}
			return next, nil
		}
		if len(todo) == 0 && !follow {
			return next, nil
		}
		if hops++; hops > 40 {
			return "", pathError("open", p, syscall.ELOOP)
		}
		if path.IsAbs(target) {
			at = "/"
		}
		todo = append(strings.Split(path.Clean(target), "/"), todo...)
	}
	return at, nil
}

func (f files) stat(p string, follow bool) (fileInfo, error) {
	at, err := f.resolve(p, follow)
	if err != nil {
		return fileInfo{}, err
	}
	info, err := os.Lstat(f.host(at))
	if err != nil {
		return fileInfo{}, pathError("stat", p, syscall.ENOENT)
	}
	return fileInfo{FileInfo: info, name: path.Base(at), attr: f.attributes(at, info.IsDir())}, nil
}

// may reports, as a path error, whether user may use p in the way of want (bits of 4 read, 2 write, 1 search).
// For a file that does not exist, writing means creating it in its directory.
func (f files) may(user, p string, want fs.FileMode) error {
	at, err := f.resolve(p, true)
	if err != nil {
		return err
	}
	return f.mayAt(user, p, at, want)
}

// mayAt is may for a path that p was resolved to.
func (f files) mayAt(user, p, at string, want fs.FileMode) error {
	if user == "root" {
		return nil
	}
	for dir := path.Dir(at); ; dir = path.Dir(dir) {
		if !granted(user, f.attributes(dir, true), 1) {
			return pathError("open", p, syscall.EACCES)
		}
		if dir == "/" {
			break
		}
	}
	info, err := os.Lstat(f.host(at))
	if err != nil {
		if want&2 != 0 && granted(user, f.attributes(path.Dir(at), true), 2) {
			return nil
		}
		if want&2 == 0 {
			return pathError("open", p, syscall.ENOENT)
		}
		return pathError("open", p, syscall.EACCES)
	}
	if !granted(user, f.attributes(at, info.IsDir()), want) {
		return pathError("open", p, syscall.EACCES)
	}
	return nil
}

func granted(user string, a attributes, want fs.FileMode) bool {
	if user == "root" {
		return true
	}
	have := a.Mode
	if a.Owner == user {
		have >>= 6
	}
	return have&want == want
}

// mayReplace reports whether user may add, remove or rename the entry p of its directory.
func (f files) mayReplace(user, p string) error {
	at, err := f.resolve(p, false)
	if err != nil {
		return err
	}
	dir := f.attributes(path.Dir(at), true)
	if !granted(user, dir, 3) {
		return pathError("open", p, syscall.EACCES)
	}
	if dir.Mode&fs.ModeSticky != 0 && user != "root" {
		if info, err := os.Lstat(f.host(at)); err == nil && f.attributes(at, info.IsDir()).Owner != user {
			return pathError("open", p, syscall.EPERM)
		}
	}
	return nil
}

// open opens p as user; a file that it creates belongs to user and has mode perm.
func (f files) open(user, p string, flag int, perm fs.FileMode) (*os.File, error) {
	want := fs.FileMode(4)
	if flag&(os.O_WRONLY|os.O_RDWR) != 0 {
		want = 2
	}
	at, err := f.resolve(p, true)
	if err != nil {
		return nil, err
	}
	if err := f.mayAt(user, p, at, want); err != nil {
		return nil, err
	}
	info, err := os.Lstat(f.host(at))
	switch {
	case err == nil && info.IsDir() && want == 2:
		return nil, pathError("open", p, syscall.EISDIR)
	case err != nil && flag&os.O_CREATE == 0:
		return nil, pathError("open", p, syscall.ENOENT)
	case err != nil:
		// What was removed took its record with it, so that the usual needs none.
		if a := (attributes{Mode: perm & fs.ModePerm, Owner: user}); a != usual(at, false) {
			if err := f.setAttributes(at, a); err != nil {
				return nil, err
			}
		}
	}
	file, err := os.OpenFile(f.host(at), flag, 0o600)
	if err != nil {
		return nil, pathError("open", p, errno(err))
	}
	return file, nil
}

func (f files) read(user, p string) ([]byte, error) {
	at, err := f.resolve(p, true)
	if err != nil {
		return nil, err
	}
	if err := f.mayAt(user, p, at, 4); err != nil {
		return nil, err
	}
	data, err := os.ReadFile(f.host(at))
	if err != nil {
		return nil, pathError("read", p, errno(err))
	}
	return data, nil
}

// write replaces p's contents at once, as root, making the directories above it.
func (f files) write(p, owner string, mode fs.FileMode, data []byte) error {
	if err := os.MkdirAll(f.host(path.Dir(p)), 0o700); err != nil {
		return err
	}
	at, err := f.resolve(p, true)
	if err != nil {
		return err
	}
	if err := f.setAttributes(at, attributes{Mode: mode, Owner: owner}); err != nil {
		return err
	}
	return writeFile(f.host(at), data)
}

func (f files) mkdir(user, p string, mode fs.FileMode) error {
	if _, err := f.stat(p, false); err == nil {
		return pathError("mkdir", p, syscall.EEXIST)
	}
	if err := f.mayReplace(user, p); err != nil {
		return err
	}
	at, err := f.resolve(p, false)
	if err != nil {
		return err
	}
	if err := os.Mkdir(f.host(at), 0o700); err != nil {
		return pathError("mkdir", p, errno(err))
	}
	return f.setAttributes(at, attributes{Mode: mode, Owner: user})
}

func (f files) symlink(user, target, p string) error {
	if _, err := f.stat(p, false); err == nil {
		return pathError("symlink", p, syscall.EEXIST)
	}
	if err := f.mayReplace(user, p); err != nil {
		return err
	}
	at, err := f.resolve(p, false)
	if err != nil {
		return err
	}
	if err := f.setAttributes(at, attributes{Mode: 0o777, Owner: user, Link: target}); err != nil {
		return err
	}
	return writeFile(f.host(at), nil)
}

// remove deletes p, a directory with everything in it.
func (f files) remove(user, p string) error {
	if err := f.mayReplace(user, p); err != nil {
		return err
	}
	at, err := f.resolve(p, false)
	if err != nil {
		return err
	}
	if at == "/" {
		return pathError("remove", p, syscall.EBUSY)
	}
	if err := os.RemoveAll(f.host(at)); err != nil {
		return pathError("remove", p, errno(err))
	}
	return os.RemoveAll(filepath.Dir(f.metaFile(at)))
}

// rename moves from to the path to itself, replacing a file that is there.
func (f files) rename(user, from, to string) error {
	if _, err := f.stat(from, false); err != nil {
		return err
	}
	for _, p := range []string{from, to} {
		if err := f.mayReplace(user, p); err != nil {
			return err
		}
	}
	src, err := f.resolve(from, false)
	if err != nil {
		return err
	}
	dst, err := f.resolve(to, false)
	if err != nil {
		return err
	}
	// The image's files have no attributes of their own; they must not take on those of their new place.
	info, err := os.Lstat(f.host(src))
	if err != nil {
		return pathError("rename", from, errno(err))
	}
	if err := f.setAttributes(src, f.attributes(src, info.IsDir())); err != nil {
		return err
	}
	if err := os.RemoveAll(filepath.Dir(f.metaFile(dst))); err != nil {
		return err
	}
	if err := os.Rename(f.host(src), f.host(dst)); err != nil {
		return pathError("rename", from, errno(err))
	}
	if err := os.MkdirAll(filepath.Dir(filepath.Dir(f.metaFile(dst))), 0o700); err != nil {
		return err
	}
	return os.Rename(filepath.Dir(f.metaFile(src)), filepath.Dir(f.metaFile(dst)))
}

// change sets mode (if not nil) and owner (if not empty) of p; only root and the owner may.
func (f files) change(user, p string, mode *fs.FileMode, owner string) error {
	info, err := f.stat(p, true)
	if err != nil {
		return err
	}
	if user != "root" && (owner != "" && owner != user || info.attr.Owner != user) {
		return pathError("chmod", p, syscall.EPERM)
	}
	at, err := f.resolve(p, true)
	if err != nil {
		return err
	}
	if mode != nil {
		info.attr.Mode = *mode
	}
	if owner != "" {
		info.attr.Owner = owner
	}
	return f.setAttributes(at, info.attr)
}

// list returns the entries of directory p, sorted by name.
func (f files) list(user, p string) ([]fileInfo, error) {
	if err := f.may(user, p, 4); err != nil {
		return nil, err
	}
	at, err := f.resolve(p, true)
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(f.host(at))
	if err != nil {
		return nil, pathError("open", p, errno(err))
	}
	var all []fileInfo
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			continue // removed meanwhile
		}
		all = append(all, fileInfo{FileInfo: info, name: e.Name(), attr: f.attributes(path.Join(at, e.Name()), e.IsDir())})
	}
	slices.SortFunc(all, func(a, b fileInfo) int { return strings.Compare(a.name, b.name) })
	return all, nil
}

// errno is the error number in err, for messages like the guest's.
func errno(err error) error {
	var e syscall.Errno
	if errors.As(err, &e) {
		return e
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return syscall.ENOENT
	case errors.Is(err, fs.ErrExist):
		return syscall.EEXIST
	}
	return err
}

// reason is err in the words of Linux's strerror.
func reason(err error) string {
	switch e := errno(err); e {
	case syscall.ENOENT:
		return "No such file or directory"
	case syscall.EACCES:
		return "Permission denied"
	case syscall.EPERM:
		return "Operation not permitted"
	case syscall.EEXIST:
		return "File exists"
	case syscall.ENOTDIR:
		return "Not a directory"
	case syscall.EISDIR:
		return "Is a directory"
	case syscall.ENOTEMPTY:
		return "Directory not empty"
	default:
		return e.Error()
	}
}

// writeFile replaces a file on the host at once, making the directories above it.
func writeFile(name string, data []byte) error {
	dir := filepath.Dir(name)
	tmp, err := os.CreateTemp(dir, ".part-*")
	if errors.Is(err, fs.ErrNotExist) {
		if err = os.MkdirAll(dir, 0o700); err == nil {
			tmp, err = os.CreateTemp(dir, ".part-*")
		}
	}
	if err != nil {
		return err
	}
	_, err = tmp.Write(data)
	err = errors.Join(err, tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), name)
	}
	if err != nil {
		_ = os.Remove(tmp.Name()) // best effort: the error to report is the write's
		return fmt.Errorf("writing %q: %w", name, err)
	}
	return nil
}

// stamp tells whether a file on the host is still the one that was read: each write makes a new file (see writeFile).
type stamp struct {
	info fs.FileInfo
}

func stampOf(name string) stamp {
	info, err := os.Stat(name)
	if err != nil {
		return stamp{}
	}
	return stamp{info}
}

func (s stamp) same(o stamp) bool {
	if s.info == nil || o.info == nil {
		return s.info == nil && o.info == nil
	}
	return os.SameFile(s.info, o.info) && s.info.Size() == o.info.Size() && s.info.ModTime().Equal(o.info.ModTime())
}
