package labdir

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Strangers are the names of what is in the folder and was not put there by labctl: people keep a labctl.yaml, notes or evidence beside the
// lab, and Remove would take them along. Folders that hold no file are none. What is in machines is VirtualBox's to tell.
func (f *Folder) Strangers() ([]string, error) {
	entries, err := os.ReadDir(f.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var found []string
	for _, e := range entries {
		if ofLabctl(e.Name()) {
			continue
		}
		holds := false
		err := filepath.WalkDir(f.path(e.Name()), func(_ string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			holds = true
			return fs.SkipAll
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		if holds {
			found = append(found, e.Name())
		}
	}
	return found, nil
}

// ofLabctl tells whether labctl calls something in a lab's folder so. What a killed one was writing is called .NAME.DIGITS; macOS keeps how
// a folder is shown in .DS_Store.
func ofLabctl(name string) bool {
	names := []string{
		"lock", "lock.holder", "lab.yaml", "wanted.yaml", "id", "id_ed25519", "id_ed25519.pub", "token", "passphrase", sums, "known_hosts",
		"kubeconfig", "faults.json", "interrupted", "hostkeys", "machines", "pulumi", ".DS_Store",
	}
	if hidden, ok := strings.CutPrefix(name, "."); ok {
		if dot := strings.LastIndexByte(hidden, '.'); dot > 0 && strings.Trim(hidden[dot+1:], "0123456789") == "" {
			return slices.Contains(names, hidden[:dot])
		}
	}
	return slices.Contains(names, name)
}
