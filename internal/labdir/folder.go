package labdir

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	gossh "golang.org/x/crypto/ssh"

	"github.com/labctl/labctl/internal/atomicfile"
	"github.com/labctl/labctl/internal/config"
	"github.com/labctl/labctl/internal/ssh"
)

// ErrDamaged says that a lab that has machines has lost a secret of its own, or has another one. Inventing a new one would orphan what
// was made with the old one.
var ErrDamaged = errors.New("the lab's folder is damaged")

// ErrCopied says that a lab's folder is a copy of another lab's, with that one's keys and id: its machines would be taken for the other's.
var ErrCopied = errors.New("the lab's folder is a copy of another lab's")

// ErrNoLab says that a lab's folder doesn't exist, or that no up has got far enough to store its configuration.
var ErrNoLab = errors.New("no such lab")

// Folder is one lab's folder.
type Folder struct {
	Path string // absolute
	Name string // the lab's name
}

// At names a lab's folder below root; it makes nothing.
func At(root, name string) *Folder {
	return &Folder{Path: filepath.Join(root, name), Name: name}
}

// Make creates the folder and whatever of its secrets doesn't exist yet: the lab's own and each node's host key. What exists
// is never replaced, and in a lab that an up has worked on nothing that is missing or damaged is invented: ErrDamaged.
func (f *Folder) Make(l *config.Lab) error {
	if err := f.makeFolder(); err != nil {
		return err
	}
	if err := f.whole(); err != nil {
		return err
	}
	for name, size := range map[string]int{"id": 8, "token": 32, "passphrase": 32} {
		if err := once(f.path(name), func() ([]byte, error) { return randomHex(size) }); err != nil {
			return err
		}
	}
	if err := f.makeKey("id_ed25519"); err != nil {
		return err
	}
	if err := f.makeHostKeys(l); err != nil {
		return err
	}
	return f.noteSecrets()
}

// makeFolder makes the folder itself, its owner's alone. A link to one is refused: what is written through it and what is removed
// with it would be two different things.
func (f *Folder) makeFolder() error {
	if info, err := os.Lstat(f.Path); err == nil && !info.IsDir() {
		return fmt.Errorf("lab %q: %q is a link or a file, and labs live in folders of their own: move it away; to keep labs elsewhere, set XDG_DATA_HOME", f.Name, f.Path)
	}
	if err := os.MkdirAll(f.Path, 0o700); err != nil {
		return err
	}
	return os.Chmod(f.Path, 0o700)
}

func (f *Folder) path(elem ...string) string {
	return filepath.Join(append([]string{f.Path}, elem...)...)
}

// makeKey makes the private half of a key pair where there is none, and the public half, which follows from it, where that is not the
// one that belongs to it.
func (f *Folder) makeKey(name string) error {
	err := once(f.path(name), func() ([]byte, error) {
		private, _, err := ssh.NewKey()
		return private, err
	})
	if err != nil {
		return err
	}
	signer, err := f.privateKey(name)
	if err != nil {
		return err
	}
	public := strings.TrimSpace(string(gossh.MarshalAuthorizedKey(signer.PublicKey())))
	have, err := os.ReadFile(f.path(name + ".pub"))
	if err == nil && strings.HasPrefix(string(have), public) { // behind it a comment, if anything
		return nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return atomicfile.Write(f.path(name+".pub"), []byte(public), 0o644)
}

// once writes a file that doesn't exist yet.
func once(path string, content func() ([]byte, error)) error {
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	b, err := content()
	if err != nil {
		return err
	}
	return atomicfile.Write(path, b, 0o600)
}

func randomHex(n int) ([]byte, error) {
	b := make([]byte, n)
	if _, err := rand.Read(b); err != nil {
		return nil, err
	}
	return []byte(hex.EncodeToString(b)), nil
}

func (f *Folder) read(name string) (string, error) {
	b, err := os.ReadFile(f.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("lab %q: %w: %q is missing", f.Name, ErrNoLab, f.path(name))
	}
	return strings.TrimSpace(string(b)), err
}

var idForm = regexp.MustCompile(`^[0-9a-f]{16}$`)

// ID returns the lab's random id.
func (f *Folder) ID() (string, error) {
	id, err := f.read("id")
	if err == nil && !idForm.MatchString(id) {
		return "", fmt.Errorf("lab %q: %w: %q holds no id", f.Name, ErrNoLab, f.path("id"))
	}
	return id, err
}

// Token returns k3s's cluster token, a secret.
func (f *Folder) Token() (string, error) { return f.secret("token") }

// Passphrase returns what protects Pulumi's state, a secret.
func (f *Folder) Passphrase() (string, error) { return f.secret("passphrase") }

// PublicKey returns the line for authorized_keys.
func (f *Folder) PublicKey() (string, error) { return f.read("id_ed25519.pub") }

// Kubeconfig returns the path of the lab's kubeconfig.
func (f *Folder) Kubeconfig() string { return f.path("kubeconfig") }

// Faults returns the path of the file that says which faults are in the lab.
func (f *Folder) Faults() string { return f.path("faults.json") }

// Store keeps the resolved configuration, so that verify and others judge the lab by what up made.
func (f *Folder) Store(l *config.Lab) error {
	b, err := config.Marshal(l)
	if err != nil {
		return err
	}
	if old, err := os.ReadFile(f.path("lab.yaml")); err == nil && bytes.Equal(old, b) {
		return nil
	}
	return atomicfile.Write(f.path("lab.yaml"), b, 0o600)
}

// Stored returns the configuration of the last up, or an error that wraps ErrNoLab, or ErrCopied.
func (f *Folder) Stored() (*config.Lab, error) { return f.stored("lab.yaml") }

func (f *Folder) stored(name string) (*config.Lab, error) {
	text, err := f.read(name)
	if err != nil {
		return nil, err
	}
	l, err := config.Parse(f.path(name), []byte(text))
	if err == nil && l.Name != f.Name {
		return nil, fmt.Errorf("lab %q: %w: %q is of lab %q", f.Name, ErrCopied, f.path(name), l.Name)
	}
	return l, err
}

// MAC returns the address of a node's NIC 1 (NAT) or 2 (host-only), lower case with colons. It follows from the lab's id,
// so that two labs differ and a machine that is made again keeps its own. 08:00:27 is VirtualBox's prefix.
func MAC(labID, node string, nic int) string {
	h := sha256.Sum256([]byte(labID + "/" + node + "/" + strconv.Itoa(nic)))
	return fmt.Sprintf("08:00:27:%02x:%02x:%02x", h[0], h[1], h[2])
}

// MachineID returns the /etc/machine-id of a machine: 32 hexadecimal digits, different for every machine.
func MachineID(labID, node string) string {
	h := sha256.Sum256([]byte(labID + "/" + node + "/machine-id"))
	return hex.EncodeToString(h[:16])
}

// Remove deletes the folder. Machines and disks must be gone from VirtualBox before.
func (f *Folder) Remove() error { return os.RemoveAll(f.Path) }
