package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// exists tells whether there is a file; a folder is none.
func exists(path string) bool {
	info, err := os.Stat(path)
	return err == nil && !info.IsDir()
}

func missing(err error) bool { return errors.Is(err, fs.ErrNotExist) }

// below tells whether a file is in a folder, by whatever links either is named. Neither needs to exist.
func below(file, folder string) bool {
	if inside(file, folder) {
		return true
	}
	real := resolved(folder)
	return inside(resolved(file), real) || inside(filepath.Join(resolved(filepath.Dir(file)), filepath.Base(file)), real) // itself a link
}

func inside(file, folder string) bool {
	rel, err := filepath.Rel(folder, file)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))
}

// resolved is a path without links, as far as it exists.
func resolved(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	parent := filepath.Dir(path)
	if parent == path {
		return path
	}
	return filepath.Join(resolved(parent), filepath.Base(path))
}
