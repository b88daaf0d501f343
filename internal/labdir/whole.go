package labdir

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	gossh "golang.org/x/crypto/ssh"

	"github.com/labctl/labctl/internal/atomicfile"
)

// secrets are the files that the lab's machines were made with: none of them can be made anew.
func secrets() []string { return []string{"id", "token", "passphrase", "id_ed25519"} }

// whole refuses a lab that an up has worked on and that has lost one of its secrets since, or has another one.
func (f *Folder) whole() error {
	if _, err := os.Stat(f.path("lab.yaml")); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, name := range secrets() {
		if err := f.there(name); err != nil {
			return err
		}
	}
	if _, err := f.ID(); errors.Is(err, ErrNoLab) {
		return f.damaged("id", "holds no id")
	}
	if _, err := f.Stored(); errors.Is(err, ErrCopied) {
		return err
	}
	for _, name := range []string{"token", "passphrase"} {
		if _, err := f.secret(name); err != nil {
			return err
		}
	}
	if _, err := f.privateKey("id_ed25519"); err != nil {
		return err
	}
	machines, err := os.ReadDir(f.path("machines"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, m := range machines {
		if err := f.there(filepath.Join("hostkeys", m.Name())); err != nil {
			return err
		}
	}
	return f.sameSecrets()
}

// there refuses a file that is missing.
func (f *Folder) there(name string) error {
	if _, err := os.Stat(f.path(name)); errors.Is(err, fs.ErrNotExist) {
		return f.damaged(name, "is missing")
	}
	return nil
}

// damaged says what is wrong with a file that can't be made anew.
func (f *Folder) damaged(name, how string) error {
	return fmt.Errorf("lab %q: %w: %q %s, and its machines were made with it", f.Name, ErrDamaged, f.path(name), how)
}

// secretForm is what Make writes into token and passphrase.
var secretForm = regexp.MustCompile(`^[0-9a-f]{64}$`)

// secret reads token or passphrase. k3s would take an empty token and choose one of its own.
func (f *Folder) secret(name string) (string, error) {
	text, err := f.read(name)
	if err == nil && !secretForm.MatchString(text) {
		return "", f.damaged(name, "does not hold 64 hexadecimal digits")
	}
	return text, err
}

// privateKey reads the private half of a key pair.
func (f *Folder) privateKey(name string) (gossh.Signer, error) {
	b, err := os.ReadFile(f.path(name))
	if err != nil {
		return nil, err
	}
	signer, err := gossh.ParsePrivateKey(b)
	if err != nil {
		return nil, f.damaged(name, fmt.Sprintf("holds no private key (%v)", err))
	}
	return signer, nil
}

// sums is the file with the checksums of the secrets, in sha256sum's form. A secret of 256 random bits is not to be had from its checksum.
const sums = "secrets.sha256"

// sameSecrets refuses secrets that are whole and not those that the machines were made with: a file of another lab, or of an older
// copy of this one. A secret without a checksum is not judged: a lab of an older labctl has none.
func (f *Folder) sameSecrets() error {
	b, err := os.ReadFile(f.path(sums))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(b)) {
		sum, name, ok := strings.Cut(strings.TrimSpace(line), "  ")
		if !ok || !secretForm.MatchString(sum) {
			continue // cut off: noteSecrets writes it anew
		}
		for _, secret := range secrets() {
			if secret != name {
				continue
			}
			have, err := f.sumOf(name)
			if err != nil {
				return err
			}
			if have != sum {
				return f.damaged(name, "is another one than it was (see "+sums+" beside it)")
			}
		}
	}
	return nil
}

// noteSecrets writes the checksums.
func (f *Folder) noteSecrets() error {
	var text bytes.Buffer
	for _, name := range secrets() {
		sum, err := f.sumOf(name)
		if err != nil {
			return err
		}
		fmt.Fprintf(&text, "%s  %s\n", sum, name)
	}
	if old, err := os.ReadFile(f.path(sums)); err == nil && bytes.Equal(old, text.Bytes()) {
		return nil
	}
	return atomicfile.Write(f.path(sums), text.Bytes(), 0o600)
}

func (f *Folder) sumOf(name string) (string, error) {
	b, err := os.ReadFile(f.path(name))
	return fmt.Sprintf("%x", sha256.Sum256(b)), err
}
