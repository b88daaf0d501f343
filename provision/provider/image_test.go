package provider

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/labctl/labctl/internal/fetch"
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
