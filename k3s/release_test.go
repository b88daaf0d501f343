package k3s

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/labctl/labctl/internal/config"
	"github.com/labctl/labctl/internal/fetch"
)

// texts is what a server has, by URL; it counts what is asked for.
type texts struct {
	have  map[string]string
	asked int
}

func (x *texts) FetchText(_ context.Context, source string, _ int64, _ fetch.Progress) ([]byte, error) {
	x.asked++
	text, ok := x.have[source]
	if !ok {
		return nil, errors.New("server answers 404 Not Found")
	}
	return []byte(text), nil
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
	binary := Download{What: "k3s v1.34.3+k3s1", URL: "https://m.example/k3s/v1.34.3%2Bk3s1/k3s", SHA256: a}
	images := func(name, sum string) Download {
		return Download{What: "images of k3s v1.34.3+k3s1", URL: "https://m.example/k3s/v1.34.3%2Bk3s1/" + name, SHA256: sum, Name: name}
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
		}), want: []Download{binary, {"images demo.tar", "/srv/demo.tar", "", "demo.tar"}, {"images x.tar.gz", "https://m.example/x.tar.gz?a=b", b, "x.tar.gz"}}},
		{name: "no archive", list: a + "  k3s\n", settings: settings(airgap), err: "names no archive of images for amd64"},
		{name: "no binary", list: a + "  k3s-arm64\n", settings: settings(nil), err: `names none of "k3s"`},
		{name: "no list", settings: settings(nil), err: "404"},
		{name: "a list that is none", list: "<html>", settings: settings(nil), err: "line 1: want a SHA-256"},
	} {
		t.Run(test.name, func(t *testing.T) {
			x, keep := &texts{have: map[string]string{}}, t.TempDir()
			if test.list != "" {
				x.have[list] = test.list
			}
			for range 2 {
				got, err := Downloads(t.Context(), x, keep, test.settings, "amd64", fetch.Progress{})
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

	// What is kept and damaged is fetched again; another source has its own; a folder is read each time.
	x, keep := &texts{have: map[string]string{list: a + "  k3s\n", filepath.Join("/srv", "v1.34.3+k3s1", "sha256sum-amd64.txt"): b + "  k3s\n"}}, t.TempDir()
	get := func(source, want string) {
		t.Helper()
		got, err := Downloads(t.Context(), x, keep, settings(func(k *config.K3s) { k.Source = source }), "amd64", fetch.Progress{})
		if err != nil || got[0].SHA256 != want {
			t.Errorf("error %v, got %v", err, got)
		}
	}
	get("https://m.example/k3s/", a)
	get("/srv", b)
	get("/srv", b)
	if x.asked != 3 {
		t.Errorf("asked %d times, want 3", x.asked)
	}
	kept, _ := filepath.Glob(filepath.Join(keep, "*", "*"))
	if len(kept) != 1 {
		t.Fatalf("kept: %q", kept)
	}
	if err := os.WriteFile(kept[0], []byte("cut of"), 0o600); err != nil {
		t.Fatal(err)
	}
	get("https://m.example/k3s/", a)
	if x.asked != 4 {
		t.Error("a damaged list was used")
	}
}
