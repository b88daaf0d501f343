package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// fileTarget returns the path that a file is written to under name: a temporary file beside it is renamed to it, so a link must be
// followed first, and what is no ordinary file (a device, a pipe, a folder) would be replaced by one. That is refused, and so is a
// folder that doesn't exist, before anything is done that takes time.
func fileTarget(name string) (string, error) {
	target, err := filepath.EvalSymlinks(name)
	if missing(err) {
		if _, lerr := os.Lstat(name); lerr == nil {
			return "", fmt.Errorf("%q is a link that leads nowhere: %w", name, err)
		}
		folder, err := os.Stat(filepath.Dir(name))
		if err == nil && !folder.IsDir() {
			err = errors.New("not a folder")
		}
		if err != nil {
			return "", fmt.Errorf("%q can't be written: its folder %q: %w", name, filepath.Dir(name), err)
		}
		return name, nil
	}
	if err != nil {
		return "", fmt.Errorf("%q can't be written: %w", name, err)
	}
	info, err := os.Stat(target)
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() {
		return "", fmt.Errorf("%q is there and is no ordinary file (%v): name another one", name, info.Mode().Type())
	}
	return target, nil
}
