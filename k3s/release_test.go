package k3s

import (
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/labctl/labctl/internal/config"
	"github.com/labctl/labctl/internal/fetch"
)

// mirror is what a server has, by URL; it counts what it is asked for.
type mirror struct {
	have  map[string]string
	asked int
}

func (x *mirror) RoundTrip(r *http.Request) (*http.Response, error) {
	x.asked++
	status := http.StatusOK
	text, ok := x.have[r.URL.String()]
	if !ok {
		status = http.StatusNotFound
	}
	return &http.Response{StatusCode: status, Request: r, Header: http.Header{}, ContentLength: int64(len(text)), Body: io.NopCloser(strings.NewReader(text))}, nil
}

// newMirror returns a server and a cache that asks it.
func newMirror(t *testing.T, have map[string]string) (*mirror, *fetch.Cache) {
	x := &mirror{have: have}
	return x, &fetch.Cache{Dir: t.TempDir(), HTTP: &http.Client{Transport: x}}
}

func TestDownloads(t *testing.T) {
	const list = "https://m.example/k3s/v1.34.3%2Bk3s1/sha256sum-amd64.txt"
	a, b, c, d := strings.Repeat("a", 64), strings.Repeat("b", 64), strings.Repeat("c", 64), strings.Repeat("d", 64)
	settings := func(change func(*config.K3s)) config.K3s {
		k := config.K3s{Version: "v1.34.3+k3s1", Source: "https://m.example/k3s/"}
		if change != nil {
			change(&k)
		}
		return k
	}
	airgap := func(k *config.K3s) { k.Airgap = true }
	binary := Download{What: "k3s v1.34.3+k3s1", URL: "https://m.example/k3s/v1.34.3%2Bk3s1/k3s", SHA256: a, List: list}
	images := func(name, sum string) Download {
		return Download{What: "images of k3s v1.34.3+k3s1", URL: "https://m.example/k3s/v1.34.3%2Bk3s1/" + name, SHA256: sum, Name: name, List: list}
	}
	for _, test := range []struct {
		name, list string
		settings   config.K3s
		want       []Download
		err        string
	}{
		{name: "binary", list: a + "  k3s\n", settings: settings(nil), want: []Download{binary}},
		{name: "the smallest archive", list: a + "  k3s\n" + b + "  k3s-airgap-images-amd64.tar\n" + c + "  k3s-airgap-images-amd64.tar.gz\n" + d + "  k3s-airgap-images-amd64.tar.zst\n",
			settings: settings(airgap), want: []Download{binary, images("k3s-airgap-images-amd64.tar.zst", d)}},
		{name: "gz alone", list: a + "  k3s\n" + c + "  k3s-airgap-images-amd64.tar.gz\n" + b + "  k3s-airgap-images-arm64.tar.zst\n",
			settings: settings(airgap), want: []Download{binary, images("k3s-airgap-images-amd64.tar.gz", c)}},
		{name: "more archives", list: a + "  k3s\n", settings: settings(func(k *config.K3s) {
			k.Images = []config.ImageArchive{{URL: "/srv/demo.tar"}, {URL: "https://m.example/x.tar.gz?a=b", SHA256: b}}
		}), want: []Download{binary, {"images demo.tar", "/srv/demo.tar", "", "demo.tar", ""}, {"images x.tar.gz", "https://m.example/x.tar.gz?a=b", b, "x.tar.gz", ""}}},
		{name: "no archive", list: a + "  k3s\n", settings: settings(airgap), err: "names no archive of images for amd64"},
		{name: "no binary", list: a + "  k3s-arm64\n", settings: settings(nil), err: `names none of "k3s"`},
		{name: "no list", settings: settings(nil), err: "404"},
		{name: "a list that is none", list: "<html>", settings: settings(nil), err: "line 1: want a SHA-256"},
	} {
		t.Run(test.name, func(t *testing.T) {
			x, cache := newMirror(t, map[string]string{})
			if test.list != "" {
				x.have[list] = test.list
			}
			for range 2 {
				got, err := Downloads(t.Context(), cache, test.settings, "amd64", fetch.Progress{})
				if test.err != "" {
					if err == nil || !strings.Contains(err.Error(), test.err) {
						t.Errorf("error %v, want one with %q", err, test.err)
					}
					continue
				}
				if diff := cmp.Diff(test.want, got); diff != "" || err != nil {
					t.Errorf("error %v (-want +got):\n%s", err, diff)
				}
				if x.asked != 1 {
					t.Errorf("asked %d times for one list", x.asked)
				}
			}
		})
	}

	// What is kept and damaged is fetched again; another source has its own; a folder is read each time, while it is there.
	folder := t.TempDir()
	local := filepath.Join(folder, "v1.34.3+k3s1", "sha256sum-amd64.txt")
	write := func(file, text string) {
		t.Helper()
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	x, cache := newMirror(t, map[string]string{list: a + "  k3s\n"})
	get := func(source, want string) {
		t.Helper()
		got, err := Downloads(t.Context(), cache, settings(func(k *config.K3s) { k.Source = source }), "amd64", fetch.Progress{})
		if err != nil || got[0].SHA256 != want {
			t.Errorf("error %v, got %v", err, got)
		}
	}
	write(local, b+"  k3s\n")
	get("https://m.example/k3s/", a)
	get(folder, b)
	write(local, c+"  k3s\n")
	get(folder, c)
	if err := os.Rename(folder, folder+".gone"); err != nil {
		t.Fatal(err)
	}
	get(folder, c)
	if x.asked != 1 {
		t.Errorf("asked %d times, want 1", x.asked)
	}
	write(cache.ListPlace(list), "cut of")
	get("https://m.example/k3s/", a)
	if x.asked != 2 {
		t.Error("a damaged list was used")
	}
}

// A mirror completes its list, and mends it: what is kept is no reason to fail for ever, and stays while the mirror is away.
func TestListsAreAskedForAnew(t *testing.T) {
	const list = "https://m.example/k3s/v1.34.3%2Bk3s1/sha256sum-amd64.txt"
	a, b, c := strings.Repeat("a", 64), strings.Repeat("b", 64), strings.Repeat("c", 64)
	x, cache := newMirror(t, map[string]string{list: a + "  k3s\n"})
	k := config.K3s{Version: "v1.34.3+k3s1", Source: "https://m.example/k3s"}
	get := func(asked int, want ...string) []Download {
		t.Helper()
		all, err := Downloads(t.Context(), cache, k, "amd64", fetch.Progress{})
		var got []string
		for _, d := range all {
			got = append(got, d.SHA256)
		}
		if diff := cmp.Diff(want, got); diff != "" || x.asked != asked {
			t.Errorf("%v after %d requests, want %d (-want +got):\n%s", err, x.asked, asked, diff)
		}
		return all
	}
	get(1, a)
	k.Airgap = true
	get(2) // it names no archive
	x.have[list] = a + "  k3s\n" + b + "  k3s-airgap-images-amd64.tar\n"
	all := get(3, a, b)
	get(3, a, b)

	mismatch := errors.New("other bytes")
	correct := func(asked int, want string) {
		t.Helper()
		got, err := Corrected(t.Context(), cache, all[0], mismatch, fetch.Progress{})
		if errors.Is(err, mismatch) != (want == "") || want != "" && got.SHA256 != want || x.asked != asked {
			t.Errorf("Corrected = %v, %v after %d requests", got, err, x.asked)
		}
	}
	correct(4, "") // the list says the same
	delete(x.have, list)
	correct(5, "") // it is away
	get(5, a, b)
	x.have[list] = c + "  k3s\n" + b + "  k3s-airgap-images-amd64.tar\n"
	correct(6, c)
	get(6, c, b)
	if _, err := Corrected(t.Context(), cache, Download{URL: "https://m.example/demo.tar", SHA256: a}, mismatch, fetch.Progress{}); err != mismatch || x.asked != 6 {
		t.Errorf("a checksum of labctl.yaml's was corrected: %v", err)
	}
}
