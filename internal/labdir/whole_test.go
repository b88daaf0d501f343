package labdir

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/labctl/labctl/internal/config"
)

// TestDamagedSecretsAreRefused: a secret that is cut off, garbage or another lab's must not come into the cluster, nor be waited for, and
// what can be made again from what is left is.
func TestDamagedSecretsAreRefused(t *testing.T) {
	other := contents(t, made(t).Path)
	for _, row := range []struct {
		name, file, content string
		says                string // empty: it is mended
	}{
		{"no token", "token", "", "64 hexadecimal digits"},
		{"a token cut off", "token", other["/token"][:63], "64 hexadecimal digits"},
		{"a token of a word", "token", "deadbeef", "64 hexadecimal digits"},
		{"another token", "token", other["/token"], "is another one than it was"},
		{"no passphrase", "passphrase", "\n", "64 hexadecimal digits"},
		{"another passphrase", "passphrase", other["/passphrase"], "is another one than it was"},
		{"another id", "id", other["/id"], "is another one than it was"},
		{"a login key cut off", "id_ed25519", other["/id_ed25519"][:100], "holds no private key"},
		{"another login key", "id_ed25519", other["/id_ed25519"], "is another one than it was"},
		{"a host key cut off", "hostkeys/w1", "", "holds no private key"},
		{"no public half", "hostkeys/w1.pub", "", ""},
		{"a public half of another key", "hostkeys/w1.pub", other["/hostkeys/w1.pub"], ""},
		{"a public login key cut off", "id_ed25519.pub", "ssh-ed25519", ""},
		{"no known hosts", "known_hosts", "", ""},
		{"checksums cut off", sums, other["/"+sums][:70], ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			f := made(t)
			if err := f.Store(config.Default()); err != nil {
				t.Fatal(err)
			}
			if row.file == sums { // of another lab, but for a digit that is lost
				row.content = row.content[1:]
			}
			before := contents(t, f.Path)
			if err := os.WriteFile(f.path(row.file), []byte(row.content), 0o600); err != nil {
				t.Fatal(err)
			}
			damaged := contents(t, f.Path)
			err := f.Make(config.Default())
			if row.says == "" {
				if d := cmp.Diff(before, contents(t, f.Path)); d != "" || err != nil {
					t.Errorf("%v; it is not what it was (-before +after):\n%s", err, d)
				}
				return
			}
			if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), row.says) || !strings.Contains(err.Error(), f.path(row.file)) {
				t.Errorf("%v", err)
			}
			if d := cmp.Diff(damaged, contents(t, f.Path)); d != "" {
				t.Errorf("a damaged lab was changed (-before +after):\n%s", d)
			}
		})
	}
}

// TestLostHostKey: the machine has it, and with another one it would be taken for somebody else's.
func TestLostHostKey(t *testing.T) {
	for _, lost := range [][]string{{"hostkeys/w1"}, {"hostkeys/w1", "hostkeys/w1.pub"}} {
		f := made(t)
		if err := errors.Join(f.Store(config.Default()), os.MkdirAll(f.Machine("w1").Path, 0o700)); err != nil {
			t.Fatal(err)
		}
		for _, name := range lost {
			if err := os.Remove(f.path(name)); err != nil {
				t.Fatal(err)
			}
		}
		if err := f.Make(config.Default()); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), f.path("hostkeys/w1")) {
			t.Errorf("without %v: %v", lost, err)
		}
	}
}

// TestDamagedSecretsAreNotRead: they may be damaged while a run is under way.
func TestDamagedSecretsAreNotRead(t *testing.T) {
	f := made(t)
	for name, read := range map[string]func() (string, error){"token": f.Token, "passphrase": f.Passphrase} {
		if _, err := read(); err != nil {
			t.Error(err)
		}
		if err := os.WriteFile(f.path(name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := read(); !errors.Is(err, ErrDamaged) {
			t.Errorf("an empty %s is read as %q, %v", name, got, err)
		}
	}
}

// TestOlderLab: a lab that was made before there were checksums gets them.
func TestOlderLab(t *testing.T) {
	f := made(t)
	if err := f.Store(config.Default()); err != nil {
		t.Fatal(err)
	}
	before := contents(t, f.Path)
	if err := os.Remove(f.path(sums)); err != nil {
		t.Fatal(err)
	}
	if err := f.Make(config.Default()); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(before, contents(t, f.Path)); d != "" {
		t.Errorf("(-before +after):\n%s", d)
	}
}
