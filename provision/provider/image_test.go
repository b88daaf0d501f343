package provider

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/labctl/labctl/internal/fetch"
	"github.com/labctl/labctl/vbox"
)

// A download goes to the folder in which the base disks of the same image are, and may be called anything.
func TestDownloadIsNoBaseDisk(t *testing.T) {
	image := []byte("an image")
	digest := sha256.Sum256(image)
	sum := hex.EncodeToString(digest[:])
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write(image) }))
	defer server.Close()
	for name, want := range map[string]string{
		"jammy.img": "jammy.img", "base-20GiB.img": "base-20GiB.img", "my-base-20GiB.vdi": "my-base-20GiB.vdi",
		"base-20GiB.vdi": "file", "Base-20gib.VDI": "file", "base-20GiB.vdi.part.vdi": "file", "base-20GiB.vdi.part.vmdk": "file", "base-20GiB.vdi.sha256": "file",
		"base-20GiB.vdi.lock": "file",
	} {
		t.Run(name, func(t *testing.T) {
			cache := &fetch.Cache{Dir: t.TempDir(), Reserved: IsReserved}
			first, err := cache.Fetch(t.Context(), server.URL+"/jammy.img", sum, fetch.MostOfImage, fetch.Progress{})
			if err != nil {
				t.Fatal(err)
			}
			base := BaseDisk(first, 20)
			if err := os.WriteFile(base, []byte("machines stand on this"), 0o600); err != nil {
				t.Fatal(err)
			}
			got, err := cache.Fetch(t.Context(), server.URL+"/"+name, sum, fetch.MostOfImage, fetch.Progress{})
			if err != nil {
				t.Fatal(err)
			}
			if filepath.Base(got) != want || BaseDisk(got, 20) != base {
				t.Errorf("called %q, want %q; its base disk is %q", got, want, BaseDisk(got, 20))
			}
			if data, err := os.ReadFile(base); err != nil || string(data) != "machines stand on this" {
				t.Errorf("the base disk holds %q, %v", data, err)
			}
			// In a list of checksums it has its own name.
			list := filepath.Join(t.TempDir(), "SHA256SUMS")
			if err := os.WriteFile(list, []byte(sum+"  "+name+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			if got, err := cache.Checksum(t.Context(), server.URL+"/"+name, list, fetch.Progress{}); err != nil || got != sum {
				t.Errorf("Checksum = %q, %v", got, err)
			}
		})
	}
	for name, want := range map[string][2]bool{
		"base-20GiB.vdi": {true, false}, "base-20GiB.vdi.part.vdi": {true, true}, "base-20GiB.vdi.part.vmdk": {true, true},
		"base-20GiB.vdi.sha256": {}, "base-20GiB.vdi.part": {}, "jammy.img": {}, "my-base-20GiB.vdi": {}, sum: {},
	} {
		if ok, unfinished := IsBaseDisk(name); ok != want[0] || unfinished != want[1] {
			t.Errorf("IsBaseDisk(%q) = %v, %v", name, ok, unfinished)
		}
	}
}

// An older labctl noted the checksum as labctl.yaml gave it; what the machines stand on says which it is.
func TestImageReadsItsChecksum(t *testing.T) {
	sum := strings.Repeat("ab", 32)
	base := filepath.Join(t.TempDir(), sum, "base-20GiB.vdi")
	read := (&Provider{}).image().read
	given := props{"url": "https://example.org/a.img", "sha256": "https://example.org/SHA256SUMS"}
	if now, err := read(t.Context(), base, given); now != nil || err != nil {
		t.Errorf("a base disk that is gone: %v %v", now, err)
	}
	if err := os.Mkdir(filepath.Dir(base), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(base, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	now, err := read(t.Context(), base, given)
	if err != nil || now.text("sha256") != sum || now.text("url") != given.text("url") {
		t.Errorf("read %v, %v", now, err)
	}
	if given.text("sha256") == sum {
		t.Error("what was given has changed")
	}
}

// disks makes base disks: as a VDI without a block, as far as labctl reads it.
type disks struct {
	made    int
	linked  bool  // disks are linked to them
	closing error // else: what VirtualBox says of one that it is to close
}

func (d *disks) ConvertDisk(_ context.Context, _, target string, _ int, _ func(string)) error {
	d.made++
	vdi := make([]byte, 4096)
	binary.LittleEndian.PutUint32(vdi[0x40:], 0xbeda107f)
	binary.LittleEndian.PutUint32(vdi[0x154:], 1024)
	binary.LittleEndian.PutUint32(vdi[0x158:], 2048)
	binary.LittleEndian.PutUint32(vdi[0x178:], 1<<20)
	return os.WriteFile(target, vdi, 0o600)
}

func (d *disks) CloseMedium(context.Context, string, bool) error {
	if d.linked {
		return vbox.ErrInUse
	}
	return d.closing
}

func TestEnsureBaseDisk(t *testing.T) {
	for _, tt := range []struct {
		name    string
		found   []byte // where the base disk should be; nil: as it was made
		linked  bool
		closing error
		made    int
		failure string
	}{
		{name: "whole", made: 1},
		{name: "whole, in use", linked: true, made: 1},
		{name: "empty", found: []byte{}, made: 2},
		{name: "cut off", found: make([]byte, 100), made: 2},
		{name: "cut off, and VirtualBox can't read it", found: make([]byte, 100), closing: vbox.ErrBadMedium, made: 2},
		{name: "cut off, and VirtualBox doesn't answer", found: make([]byte, 100), closing: errors.New("no answer"), made: 1, failure: "no answer"},
		{name: "cut off, in use", found: make([]byte, 100), linked: true, made: 1, failure: "labctl cache verify"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d, image := &disks{}, filepath.Join(t.TempDir(), "jammy.img")
			ensure := func() (string, error) {
				return EnsureBaseDisk(t.Context(), d, image, 20, func(string) {})
			}
			base, err := ensure()
			if err != nil {
				t.Fatal(err)
			}
			d.linked, d.closing = tt.linked, tt.closing
			if tt.found != nil {
				if err := os.WriteFile(base, tt.found, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			_, err = ensure()
			if d.made != tt.made {
				t.Errorf("made %d times, want %d", d.made, tt.made)
			}
			if tt.failure != "" {
				if err == nil || !strings.Contains(err.Error(), tt.failure) || !strings.Contains(err.Error(), "is damaged") {
					t.Errorf("error %v, want one with %q", err, tt.failure)
				}
				if data, err := os.ReadFile(base); err != nil || len(data) != len(tt.found) {
					t.Errorf("what was there has %d bytes now: %v", len(data), err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if known, err := VerifyBaseDisk(t.Context(), base); !known || err != nil {
				t.Errorf("VerifyBaseDisk: %v, %v", known, err)
			}
			data, err := os.ReadFile(base)
			if err != nil {
				t.Fatal(err)
			}
			data[3000]++
			if err := os.WriteFile(base, data, 0o600); err != nil {
				t.Fatal(err)
			}
			if known, err := VerifyBaseDisk(t.Context(), base); !known || !errors.Is(err, fetch.ErrChecksum) {
				t.Errorf("VerifyBaseDisk of another byte: %v, %v", known, err)
			}
			if err := os.Remove(base + ".sha256"); err != nil {
				t.Fatal(err)
			}
			if known, err := VerifyBaseDisk(t.Context(), base); known || err != nil {
				t.Errorf("VerifyBaseDisk without a checksum: %v, %v", known, err)
			}
		})
	}
}
