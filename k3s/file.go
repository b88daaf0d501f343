package k3s

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"sync/atomic"
)

// file is one that should be on a node, or, without a checksum, should not.
type file struct {
	path, mode, sha256 string
	temporary          string // what it is called until it is whole; by default path.part
	restarts           bool   // the service must be restarted to heed it
	what               string // for people
	open               func() (content io.ReadCloser, size int64, err error)
}

// put makes the file be on the node, or not be there.
func (f file) put(ctx context.Context, r Runner, n Node, step func(string)) error {
	if f.sha256 == "" {
		step("removing " + f.what)
		if _, err := r.Run(ctx, asRoot(remove, f.path, f.marker()), nil); err != nil {
			return fmt.Errorf("removing %s from %q: %w", f.what, n.Name, err)
		}
		return nil
	}
	step("pushing " + f.what)
	content, size, err := f.open()
	if err != nil {
		return fmt.Errorf("pushing %s to %q: %w", f.what, n.Name, err)
	}
	defer content.Close()
	temporary := f.temporary
	if temporary == "" {
		temporary = f.path + ".part"
	}
	told := &progressReader{Reader: content, total: size, what: "pushing " + f.what, step: step}
	if _, err := r.Run(ctx, asRoot(push, f.path, f.mode, f.sha256, temporary, f.marker()), told); err != nil {
		return fmt.Errorf("pushing %s to %q%s: %w", f.what, n.Name, told.soFar(), err)
	}
	return nil
}

func (f file) marker() string {
	if f.restarts {
		return restartPending
	}
	return ""
}

// progressReader tells of what is read, in whole percents, if it is large enough to take a while.
type progressReader struct {
	io.Reader
	done    atomic.Int64 // read while a copy that was given up may still be under way
	total   int64
	percent int64
	what    string
	step    func(string)
}

const worthTelling = 1 << 20 // bytes

func (p *progressReader) Read(b []byte) (int, error) {
	n, err := p.Reader.Read(b)
	done := p.done.Add(int64(n))
	if p.total < worthTelling {
		return n, err
	}
	if percent := done * 100 / p.total; percent != p.percent {
		p.percent = percent
		p.step(fmt.Sprintf("%s: %d of %d MiB (%d%%)", p.what, done>>20, p.total>>20, percent))
	}
	return n, err
}

// soFar says in an error how far a large file had come.
func (p *progressReader) soFar() string {
	if p.total < worthTelling {
		return ""
	}
	return fmt.Sprintf(" (%d of %d MiB were sent)", p.done.Load()>>20, p.total>>20)
}

func inMemory(path, mode, what string, content []byte) file {
	sum := sha256.Sum256(content)
	return file{
		path: path, mode: mode, sha256: hex.EncodeToString(sum[:]), restarts: true, what: what,
		open: func() (io.ReadCloser, int64, error) {
			return io.NopCloser(bytes.NewReader(content)), int64(len(content)), nil
		},
	}
}

// absent is a file of labctl's that should not be there.
func absent(path, what string) file { return file{path: path, restarts: true, what: what} }

func fromDisk(path string) func() (io.ReadCloser, int64, error) {
	return func() (io.ReadCloser, int64, error) {
		f, err := os.Open(path)
		if err != nil {
			return nil, 0, err
		}
		info, err := f.Stat()
		if err != nil {
			f.Close()
			return nil, 0, err
		}
		return f, info.Size(), nil
	}
}
