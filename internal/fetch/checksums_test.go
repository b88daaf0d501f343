package fetch

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var (
	sumA = strings.Repeat("a", 64)
	sumB = strings.Repeat("0b", 32)
)

func TestParseSums(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       map[string]string
		failure    string
	}{
		{name: "text and binary", text: sumA + "  k3s\n" + sumB + " *img.tar.zst\r\n", want: map[string]string{"k3s": sumA, "img.tar.zst": sumB}},
		{name: "a name with spaces", text: sumA + "  my image.img\n", want: map[string]string{"my image.img": sumA}},
		{name: "capitals, a leading ./, a comment", text: "# of today\n\n" + strings.ToUpper(sumB) + "  ./k3s", want: map[string]string{"k3s": sumB}},
		{name: "tagged", text: "SHA512 (k3s) = " + sumA + sumA + "\nSHA256 (k3s) = " + sumB + "\n", want: map[string]string{"k3s": sumB}},
		{name: "the same twice", text: sumA + "  k3s\n" + sumA + " *k3s\n", want: map[string]string{"k3s": sumA}},
		{name: "two for one name", text: sumA + "  k3s\n" + sumB + "  k3s\n", failure: `line 2: a second checksum for "k3s"`},
		{name: "a page", text: "<html>please log in", failure: "line 1: want a SHA-256"},
		{name: "a short checksum", text: sumA + "  k3s\nabc  other\n", failure: "line 2"},
		{name: "a short tagged checksum", text: "SHA256 (k3s) = abc\n", failure: "line 1: want a SHA-256"},
		{name: "no name", text: sumA + "\n", failure: "line 1: want a SHA-256"},
		{name: "other algorithms alone", text: "SHA512 (k3s) = " + sumA + sumA + "\n", failure: "empty"},
		{name: "nothing", text: "\n", failure: "it is empty"},
		{name: "no name, but blanks", text: sumA + "  ", failure: "line 1: want a SHA-256"},
		{name: "not hexadecimal", text: "zz" + sumA[2:] + "  k3s", failure: "line 1: want a SHA-256"},
		{name: "one endless line", text: strings.Repeat("a", 1<<17), failure: "too long"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseSums([]byte(tt.text))
			if tt.failure != "" {
				if err == nil || !strings.Contains(err.Error(), tt.failure) {
					t.Errorf("ParseSums = %v, %v; want %q", got, err, tt.failure)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func FuzzParseSums(f *testing.F) {
	f.Add([]byte("<html>not found</html>"))
	f.Add([]byte(sumA + "  k3s\n" + sumB + " *img\nSHA256 (x) = " + sumA + "\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		sums, err := ParseSums(data)
		if (err == nil) != (len(sums) > 0) {
			t.Fatalf("%d checksums, %v", len(sums), err)
		}
		for name, sum := range sums {
			if name == "" || !IsSHA256(sum) || strings.ToLower(sum) != sum {
				t.Errorf("%q %q", name, sum)
			}
		}
	})
}

func TestChecksum(t *testing.T) {
	list := []byte(sumA + "  k3s\n")
	file := filepath.Join(t.TempDir(), "sums.txt")
	if err := os.WriteFile(file, list, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name     string
		checksum string // empty: the server's list
		handlers []http.HandlerFunc
		requests int32
		failure  string
	}{
		{name: "digits", checksum: strings.ToUpper(sumA)},
		{name: "with the algorithm", checksum: "sha256:" + sumA},
		{name: "a list on the disk", checksum: file},
		{name: "a list", handlers: []http.HandlerFunc{body(list)}, requests: 1},
		{name: "500 then a list", handlers: []http.HandlerFunc{status(500), body(list)}, requests: 2},
		{name: "truncated then a list", handlers: []http.HandlerFunc{truncated, body(list)}, requests: 2},
		{name: "a page", handlers: []http.HandlerFunc{body([]byte("<html>please log in"))}, requests: 1, failure: "line 1: want a SHA-256"},
		{name: "a list without it", handlers: []http.HandlerFunc{body([]byte(sumA + "  other\n"))}, requests: 1, failure: `names no checksum of "k3s"`},
		{name: "404", handlers: []http.HandlerFunc{status(404)}, requests: 1, failure: "404 Not Found"},
		{name: "too long", handlers: []http.HandlerFunc{body(make([]byte, sumsLimit+1))}, requests: 1, failure: "more than 1048576 bytes"},
		{name: "no such list", checksum: file + ".none", failure: "no such file"},
		{name: "no list at all", checksum: "ftp://127.0.0.1/x", failure: `scheme "ftp"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := newLab(t, tt.handlers...)
			if tt.checksum == "" {
				tt.checksum = l.URL + "/sums.txt"
			}
			for range 2 { // the second time it is kept, unless it was no good
				got, err := l.cache.Checksum(t.Context(), l.URL+"/v1%2Bk3s1/k3s", tt.checksum, Progress{})
				if tt.failure != "" {
					if err == nil || !strings.Contains(err.Error(), tt.failure) {
						t.Errorf("Checksum = %q, %v; want %q", got, err, tt.failure)
					}
					if _, ok := l.cache.KnownChecksum(l.URL+"/k3s", tt.checksum); ok {
						t.Error("a bad list was kept")
					}
					if l.requests.Load() != tt.requests {
						t.Errorf("%d requests, want %d", l.requests.Load(), tt.requests)
					}
					return
				}
				if err != nil || got != sumA {
					t.Fatalf("Checksum = %q, %v", got, err)
				}
				if got, ok := l.cache.KnownChecksum(l.URL+"/k3s", tt.checksum); !ok || got != sumA {
					t.Errorf("KnownChecksum = %q, %v", got, ok)
				}
			}
			if l.requests.Load() != tt.requests {
				t.Errorf("%d requests, want %d", l.requests.Load(), tt.requests)
			}
		})
	}
}

func TestChecksumIsKept(t *testing.T) {
	l := newLab(t, body([]byte(sumA+"  k3s\n")), body([]byte(sumB+"  k3s\n"+sumB+"  new\n")), status(404))
	ask := func(name, want string) {
		t.Helper()
		if got, err := l.cache.Checksum(t.Context(), l.URL+"/"+name, l.URL+"/sums.txt", Progress{}); err != nil || got != want {
			t.Errorf("Checksum(%s) = %q, %v; want %q", name, got, err, want)
		}
	}
	if _, ok := l.cache.KnownChecksum(l.URL+"/k3s", l.URL+"/sums.txt"); ok {
		t.Error("known before it was asked for")
	}
	ask("k3s", sumA)
	ask("k3s", sumA)
	ask("new", sumB) // the kept list doesn't have it
	ask("k3s", sumB)
	if got := l.requests.Load(); got != 2 {
		t.Errorf("%d requests, want 2", got)
	}
	l.cache.Refresh = true
	if got, err := l.cache.Checksum(t.Context(), l.URL+"/k3s", l.URL+"/sums.txt", Progress{}); err == nil {
		t.Errorf("Checksum = %q where the list is gone and was to be asked for anew", got)
	}
	l.cache.Refresh = false
	ask("k3s", sumB)

	// A list on a disk that is gone by now.
	file := filepath.Join(t.TempDir(), "sums.txt")
	if err := os.WriteFile(file, []byte(sumA+"  k3s\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if got, err := l.cache.Checksum(t.Context(), "/media/stick/k3s", file, Progress{}); err != nil || got != sumA {
			t.Errorf("Checksum = %q, %v", got, err)
		}
		os.Remove(file) // gone the second time
	}
}
