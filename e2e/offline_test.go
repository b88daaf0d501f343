//go:build linux && e2e

package e2e

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

// TestOffline brings everything into an empty cache, switches the server off that it came from, and then makes a lab: on a computer
// without a route to anywhere, as these namespaces are.
func TestOffline(t *testing.T) {
	if os.Getenv(envFull) == "" {
		t.Skip("not run: " + envFull + " is not set")
	}
	l := newLab(t, 2)
	l.cache = filepath.Join(filepath.Dir(l.dir), "cache") // its own: nothing is there yet
	archive, archiveSum := "", ""
	if !l.k3s.real {
		archive = "k3s-airgap-images-amd64.tar.zst"
		archiveSum = l.addArchive(archive)
	}
	files := http.NewServeMux()
	files.Handle("/image/", http.StripPrefix("/image/", http.FileServer(http.Dir(filepath.Dir(l.image)))))
	files.Handle("/k3s/", http.StripPrefix("/k3s/", http.FileServer(http.Dir(l.k3s.source))))
	var requests atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		files.ServeHTTP(w, r)
	}))
	defer server.Close()
	l.origin = server.URL
	l.configure()

	l.chapter("there is no way out", func() {
		routes, err := os.ReadFile("/proc/net/route")
		if err != nil {
			l.t.Fatal(err)
		}
		for line := range strings.Lines(string(routes)) {
			if fields := strings.Fields(line); len(fields) > 1 && fields[1] == "00000000" {
				l.t.Errorf("a default route: %s", line)
			}
		}
	})

	l.chapter("doctor says what an offline computer lacks", func() {
		want := "up would lack the checksums of k3s " + l.k3s.version + ", the disk image"
		if r := l.labctl("doctor"); !strings.Contains(r.stdout, want) { // its exit status is about what this computer lacks, too
			l.t.Errorf("it does not say %q", want)
		}
	})

	l.chapter("cache fetch brings in all of it", func() {
		l.must("cache", "fetch")
		if requests.Load() == 0 {
			l.t.Errorf("nothing was asked for")
		}
		server.Close()
	})

	l.chapter("doctor lacks nothing", func() {
		want := "all that up downloads is in the cache"
		if r := l.labctl("doctor"); !strings.Contains(r.stdout, want) {
			l.t.Errorf("it does not say %q", want)
		}
	})

	l.chapter("up, with the server gone", func() {
		l.must("up", "--to", "cluster", patience)
		l.checkInstalled(l.k3s.sum(l))
		for _, n := range l.nodes {
			if archive == "" {
				break
			}
			if got, _, _ := strings.Cut(l.on(n.name, "sudo sha256sum /var/lib/rancher/k3s/agent/images/"+archive), " "); got != archiveSum {
				l.t.Errorf("%s: the archive has the checksum %s, want %s", n.name, got, archiveSum)
			}
		}
		if got := l.changes(l.must("up", "--to", "cluster", patience, "-o", "json")); len(got) != 0 {
			l.t.Errorf("a second up changes %q", got)
		}
	})

	l.chapter("destroy; the cache has it all for the next time", func() {
		l.must("destroy", "--yes")
		l.nothingLeft()
		l.must("cache", "verify")
		l.must("up", "--to", "image")
	})
}

// addArchive puts an archive of images, as far as the stand-in goes, into the release, and returns its checksum.
func (l *lab) addArchive(name string) string {
	l.t.Helper()
	data := bytes.Repeat([]byte("an archive of images\n"), 1<<17) // 2.6 MiB
	folder := filepath.Join(l.k3s.source, l.k3s.version)
	list := fmt.Sprintf("%s  k3s\n%s  %s\n", l.k3s.sum(l), sumOf(data), name)
	for file, content := range map[string][]byte{name: data, "sha256sum-amd64.txt": []byte(list)} {
		if err := os.WriteFile(filepath.Join(folder, file), content, 0o600); err != nil {
			l.t.Fatal(err)
		}
	}
	l.k3s.images = "  airgap: true\n"
	return sumOf(data)
}
