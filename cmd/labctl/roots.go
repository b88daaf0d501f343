package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"unicode"
)

// roots are where labs and downloads are kept. The simulation has roots of its own: the modes never mix.
func (a *app) roots() (data, cache string, err error) {
	home, err := os.UserHomeDir()
	if err != nil && (a.env("XDG_DATA_HOME") == "" || a.env("XDG_CACHE_HOME") == "") {
		return "", "", fmt.Errorf("where to keep labs: %w; set XDG_DATA_HOME and XDG_CACHE_HOME", err)
	}
	data, cache = a.env("XDG_DATA_HOME"), a.env("XDG_CACHE_HOME")
	if data == "" {
		data = filepath.Join(home, ".local", "share")
	}
	if cache == "" {
		cache = filepath.Join(home, ".cache")
	}
	data, cache = filepath.Join(data, "labctl"), filepath.Join(cache, "labctl")
	if a.simulate {
		data, cache = filepath.Join(data, "simulated"), filepath.Join(cache, "simulated")
	}
	if data, err = filepath.Abs(data); err != nil {
		return "", "", err
	}
	if cache, err = filepath.Abs(cache); err != nil {
		return "", "", err
	}
	for _, dir := range []string{data, cache} {
		if strings.ContainsFunc(dir, unicode.IsControl) { // VBoxManage's answers have one line for a path
			return "", "", usage(fmt.Errorf("labs cannot be kept below %q: the path holds a line's end or another control character; set XDG_DATA_HOME and XDG_CACHE_HOME", dir))
		}
	}
	return data, cache, nil
}
