package fetch

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var content = bytes.Repeat([]byte("0123456789abcdef"), 10_000)

func sum(data []byte) string {
	s := sha256.Sum256(data)
	return hex.EncodeToString(s[:])
}

// lab is a server that answers with one handler after the other, the last one for good, and a cache.
type lab struct {
	*httptest.Server
	requests atomic.Int32
	ranges   bool // requests may ask for a part
	cache    *Cache
}

func newLab(t *testing.T, handlers ...http.HandlerFunc) *lab {
	t.Helper()
	l := &lab{cache: &Cache{Dir: filepath.Join(t.TempDir(), "cache"), backoff: time.Millisecond}}
	l.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || r.Header.Get("Range") != "" && !l.ranges {
			t.Errorf("%s with range %q, want a plain GET", r.Method, r.Header.Get("Range"))
		}
		n := int(l.requests.Add(1))
		handlers[min(n, len(handlers))-1](w, r)
	}))
	t.Cleanup(l.Close)
	l.cache.HTTP = l.Client()
	return l
}

func good(w http.ResponseWriter, _ *http.Request) { w.Write(content) }

func body(data []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.Write(data) }
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(code)
		io.WriteString(w, "sorry")
	}
}

// truncated promises everything, and sends half.
func truncated(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Length", strconv.Itoa(len(content)))
	w.Write(content[:len(content)/2])
}

// shortened sends half as if it were everything.
func shortened(w http.ResponseWriter, _ *http.Request) { w.Write(content[:len(content)/2]) }

func reset(w http.ResponseWriter, _ *http.Request) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err)
	}
	conn.(*net.TCPConn).SetLinger(0)
	conn.Close()
}

// stalled sends a part, then nothing until the client is gone.
func stalled(w http.ResponseWriter, r *http.Request) {
	w.Write(content[:1000])
	http.NewResponseController(w).Flush()
	<-r.Context().Done()
}

// silent does not even answer.
func silent(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

func TestFetch(t *testing.T) {
	for _, tt := range []struct {
		name     string
		handlers []http.HandlerFunc
		stall    time.Duration
		requests int32
		cause    error  // nil: the file arrives
		text     string // in the error
	}{
		{name: "good", handlers: []http.HandlerFunc{good}, requests: 1},
		{name: "500 then good", handlers: []http.HandlerFunc{status(500), good}, requests: 2},
		{name: "429 then good", handlers: []http.HandlerFunc{status(429), good}, requests: 2},
		{name: "reset then good", handlers: []http.HandlerFunc{reset, good}, requests: 2},
		{name: "truncated then good", handlers: []http.HandlerFunc{truncated, good}, requests: 2},
		{name: "stalled then good", handlers: []http.HandlerFunc{stalled, good}, stall: 500 * time.Millisecond, requests: 2},
		{name: "other bytes of the right size", handlers: []http.HandlerFunc{body(make([]byte, len(content))), good}, requests: 1,
			cause: ErrChecksum, text: "got sha256 " + sum(make([]byte, len(content))) + ", want " + sum(content)},
		{name: "half as if it were all", handlers: []http.HandlerFunc{shortened, good}, requests: 1,
			cause: ErrChecksum, text: "got sha256 " + sum(content[:len(content)/2])},
		{name: "a page instead", handlers: []http.HandlerFunc{body([]byte("<html>please log in"))}, requests: 1, cause: ErrChecksum},
		{name: "nothing", handlers: []http.HandlerFunc{body(nil)}, requests: 1, cause: ErrChecksum},
		{name: "404", handlers: []http.HandlerFunc{status(404), good}, requests: 1,
			cause: &StatusError{}, text: "server answers 404 Not Found"},
		{name: "403", handlers: []http.HandlerFunc{status(403), good}, requests: 1, cause: &StatusError{}},
		{name: "206 that nobody asked for", handlers: []http.HandlerFunc{status(206), good}, requests: 1, cause: &StatusError{}},
		{name: "304 without a place to go", handlers: []http.HandlerFunc{status(304), good}, requests: 1, cause: &StatusError{}},
		{name: "503 for good", handlers: []http.HandlerFunc{status(503)}, requests: 4,
			cause: &StatusError{}, text: "given up after 4 attempts: server answers 503"},
		{name: "reset for good", handlers: []http.HandlerFunc{reset}, requests: 4, cause: errAny, text: "given up after 4 attempts"},
		{name: "truncated for good", handlers: []http.HandlerFunc{truncated}, requests: 4, cause: io.ErrUnexpectedEOF},
		{name: "stalled for good", handlers: []http.HandlerFunc{stalled}, stall: 200 * time.Millisecond, requests: 4,
			cause: errAny, text: "nothing arrived for 200ms"},
		{name: "silent for good", handlers: []http.HandlerFunc{silent}, stall: 200 * time.Millisecond, requests: 4,
			cause: errAny, text: "nothing arrived for 200ms"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := newLab(t, tt.handlers...)
			l.cache.stall = tt.stall
			path, err := l.cache.Fetch(t.Context(), l.URL+"/images/jammy.img", sum(content), MostOfFile, Progress{})
			if got := l.requests.Load(); got != tt.requests {
				t.Errorf("%d requests, want %d", got, tt.requests)
			}
			if tt.cause == nil {
				if err != nil {
					t.Fatal(err)
				}
				checkCached(t, l.cache, path, "jammy.img", content)
				return
			}
			if err == nil {
				t.Fatalf("Fetch = %q, want an error", path)
			}
			if s := (*StatusError)(nil); tt.cause != errAny && !errors.Is(err, tt.cause) && !(errors.As(tt.cause, &s) && errors.As(err, &s)) {
				t.Errorf("err = %v, want %T", err, tt.cause)
			}
			if !strings.Contains(err.Error(), tt.text) || !strings.HasPrefix(err.Error(), `fetching "`+l.URL) {
				t.Errorf("err = %q, want %q in it", err, tt.text)
			}
			if diff := cmp.Diff([]string{".lock"}, files(t, l.cache)); diff != "" {
				t.Errorf("left in the cache (-want +got):\n%s", diff)
			}
		})
	}
}

var errAny = errors.New("any error")

// files lists what lies in the cache's folders.
func files(t *testing.T, c *Cache) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(c.Dir, "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	names := make([]string, len(paths))
	for i, path := range paths {
		names[i] = filepath.Base(path)
	}
	return names
}

func checkCached(t *testing.T, c *Cache, path, name string, want []byte) {
	t.Helper()
	if wantPath := filepath.Join(c.Dir, sum(want), name); path != wantPath {
		t.Errorf("path = %q, want %q", path, wantPath)
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%d bytes with sha256 %s, want %d with %s", len(got), sum(got), len(want), sum(want))
	}
	if info, err := os.Lstat(path); err != nil || !info.Mode().IsRegular() {
		t.Errorf("%q is not a regular file: %v", path, err)
	}
	if diff := cmp.Diff([]string{".lock", ".size", name}, files(t, c)); diff != "" {
		t.Errorf("in the cache (-want +got):\n%s", diff)
	}
}

func TestFetchAgain(t *testing.T) {
	l := newLab(t, good)
	fetch := func() string {
		t.Helper()
		path, err := l.cache.Fetch(t.Context(), l.URL+"/jammy.img", strings.ToUpper(sum(content)), MostOfFile, Progress{})
		if err != nil {
			t.Fatal(err)
		}
		checkCached(t, l.cache, path, "jammy.img", content)
		return path
	}
	path := fetch()
	fetch()
	if got := l.requests.Load(); got != 1 {
		t.Errorf("%d requests, want 1: the file was there", got)
	}
	// A damaged file of the right size is noticed, and so is what a killed run left.
	if err := os.WriteFile(path, make([]byte, len(content)), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path+".part", bytes.Repeat(content, 2), 0o644); err != nil {
		t.Fatal(err)
	}
	fetch()
	if got := l.requests.Load(); got != 2 {
		t.Errorf("%d requests, want 2: the file was damaged", got)
	}
}

func TestFetchProgress(t *testing.T) {
	l := newLab(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(len(content)))
		w.Write(content)
	}, func(w http.ResponseWriter, _ *http.Request) {
		w.Write(content[:10])
		http.NewResponseController(w).Flush() // chunked from here on
		w.Write(content[10:])
	})
	for _, total := range []int64{int64(len(content)), -1} {
		var last, calls int64
		_, err := l.cache.Fetch(t.Context(), l.URL+"/jammy.img", sum(content), MostOfFile, Progress{Bytes: func(done, of int64) {
			if done <= last || of != total {
				t.Errorf("progress(%d, %d) after %d, want more of %d", done, of, last, total)
			}
			last, calls = done, calls+1
		}})
		if err != nil {
			t.Fatal(err)
		}
		if last != int64(len(content)) || calls == 0 {
			t.Errorf("progress ended at %d after %d calls, want %d", last, calls, len(content))
		}
		if err := os.RemoveAll(l.cache.Dir); err != nil {
			t.Fatal(err)
		}
	}
}

// What looks like an archive stays one, and bytes that are sent compressed are not what was asked for.
func TestFetchNeverUnpacks(t *testing.T) {
	var archive bytes.Buffer
	z := zip.NewWriter(&archive)
	if w, err := z.Create("inside"); err != nil {
		t.Fatal(err)
	} else if _, err := w.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	l := newLab(t, func(w http.ResponseWriter, r *http.Request) {
		if got := r.Header.Get("Accept-Encoding"); got != "identity" {
			t.Errorf("Accept-Encoding = %q, want identity", got)
		}
		w.Write(archive.Bytes())
	})
	path, err := l.cache.Fetch(t.Context(), l.URL+"/images.zip", sum(archive.Bytes()), MostOfFile, Progress{})
	if err != nil {
		t.Fatal(err)
	}
	checkCached(t, l.cache, path, "images.zip", archive.Bytes())
}

func TestFetchURLs(t *testing.T) {
	for _, tt := range []struct{ path, asked, name string }{
		{"/v1.34.3%2Bk3s1/k3s", "/v1.34.3%2Bk3s1/k3s", "k3s"},
		{"/a//b///c.img", "/a/b/c.img", "c.img"},
		{"/file.img?token=a%2Fb&x=1", "/file.img?token=a%2Fb&x=1", "file.img"},
		{"", "/", "file"},
		{"/..", "/..", "file"},
	} {
		t.Run(tt.path, func(t *testing.T) {
			asked := ""
			l := newLab(t, func(w http.ResponseWriter, r *http.Request) {
				asked = r.RequestURI
				w.Write(content)
			})
			path, err := l.cache.Fetch(t.Context(), l.URL+tt.path, sum(content), MostOfFile, Progress{})
			if err != nil {
				t.Fatal(err)
			}
			if filepath.Base(path) != tt.name || asked != tt.asked {
				t.Errorf("asked for %q and called it %q, want %q and %q", asked, filepath.Base(path), tt.asked, tt.name)
			}
		})
	}
}

func TestFetchFollowsRedirect(t *testing.T) {
	l := newLab(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/elsewhere/0a1b2c", http.StatusFound)
	}, good)
	path, err := l.cache.Fetch(t.Context(), l.URL+"/jammy.img", sum(content), MostOfFile, Progress{})
	if err != nil {
		t.Fatal(err)
	}
	checkCached(t, l.cache, path, "jammy.img", content)

	there := newLab(t, good)
	l = newLab(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, there.URL, http.StatusFound) })
	there.Close()
	_, err = l.cache.Fetch(t.Context(), l.URL+"/jammy.img", sum(content), MostOfFile, Progress{})
	if !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("redirect to nowhere: %v, want connection refused", err)
	}
}

func TestFetchTwiceAtOnce(t *testing.T) {
	l := newLab(t, good)
	var wg sync.WaitGroup
	for range 5 {
		wg.Go(func() {
			other := *l.cache // as another process would have
			path, err := other.Fetch(t.Context(), l.URL+"/jammy.img", sum(content), MostOfFile, Progress{})
			if err != nil {
				t.Error(err)
				return
			}
			checkCached(t, l.cache, path, "jammy.img", content)
		})
	}
	wg.Wait()
	if got := l.requests.Load(); got != 1 {
		t.Errorf("%d requests, want 1", got)
	}
}

var errInterrupted = errors.New("interrupted")

func TestFetchContext(t *testing.T) {
	t.Run("during a transfer", func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		l := newLab(t, stalled)
		_, err := l.cache.Fetch(ctx, l.URL+"/jammy.img", sum(content), MostOfFile, Progress{Bytes: func(int64, int64) { cancel(errInterrupted) }})
		if !errors.Is(err, errInterrupted) || l.requests.Load() != 1 {
			t.Errorf("err = %v after %d requests, want %v after one", err, l.requests.Load(), errInterrupted)
		}
	})
	t.Run("between attempts", func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		l := newLab(t, status(500))
		l.cache.backoff = time.Hour
		l.cache.HTTP.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
			time.AfterFunc(10*time.Millisecond, func() { cancel(errInterrupted) })
			return http.DefaultTransport.RoundTrip(r)
		})
		_, err := l.cache.Fetch(ctx, l.URL+"/jammy.img", sum(content), MostOfFile, Progress{})
		if !errors.Is(err, errInterrupted) {
			t.Errorf("err = %v, want %v", err, errInterrupted)
		}
	})
	t.Run("waiting for the lock", func(t *testing.T) {
		l := newLab(t, stalled)
		ctx, cancel := context.WithCancelCause(t.Context())
		var second sync.WaitGroup
		second.Add(1)
		var once sync.Once
		_, err := l.cache.Fetch(ctx, l.URL+"/jammy.img", sum(content), MostOfFile, Progress{Bytes: func(int64, int64) {
			once.Do(func() {
				go func() {
					defer second.Done()
					ctx, end := context.WithCancel(t.Context())
					end()
					if _, err := l.cache.Fetch(ctx, l.URL+"/jammy.img", sum(content), MostOfFile, Progress{}); !errors.Is(err, context.Canceled) {
						t.Errorf("second: %v, want canceled", err)
					}
					cancel(errInterrupted)
				}()
			})
		}})
		second.Wait()
		if !errors.Is(err, errInterrupted) {
			t.Errorf("first: %v, want %v", err, errInterrupted)
		}
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestFetchLocal(t *testing.T) {
	folder := t.TempDir()
	source := filepath.Join(folder, "my image+100%.img")
	if err := os.WriteFile(source, content, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, source, sum string
		cause             error
		text              string
	}{
		{name: "path", source: source, sum: sum(content)},
		{name: "path, sum computed", source: source},
		{name: "file URL", source: "file://" + filepath.ToSlash(folder) + "/my%20image%2B100%25.img", sum: sum(content)},
		{name: "other sum", source: source, sum: sum(nil), cause: ErrChecksum, text: "got sha256 " + sum(content)},
		{name: "missing", source: source + ".none", sum: sum(content), cause: os.ErrNotExist},
		{name: "missing, sum to be computed", source: source + ".none", cause: os.ErrNotExist},
		{name: "folder", source: folder, sum: sum(content), cause: errAny, text: "must be a file"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := &Cache{Dir: t.TempDir()}
			var progress []int64
			path, err := c.Fetch(t.Context(), tt.source, tt.sum, MostOfFile, Progress{Bytes: func(done, total int64) { progress = append(progress, done, total) }})
			if tt.cause == nil {
				if err != nil {
					t.Fatal(err)
				}
				checkCached(t, c, path, filepath.Base(source), content)
				if diff := cmp.Diff([]int64{160_000, 160_000}, progress); diff != "" {
					t.Errorf("progress (-want +got):\n%s", diff)
				}
				return
			}
			if err == nil || tt.cause != errAny && !errors.Is(err, tt.cause) || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("err = %v, want %v with %q", err, tt.cause, tt.text)
			}
			for _, name := range files(t, c) {
				if name != ".lock" {
					t.Errorf("left in the cache: %q", name)
				}
			}
		})
	}
	if got, err := os.ReadFile(source); err != nil || !bytes.Equal(got, content) {
		t.Errorf("the source itself was changed: %v", err)
	}
	// Once it is in the cache, the source is not needed.
	c := &Cache{Dir: t.TempDir()}
	if _, err := c.Fetch(t.Context(), source, "", MostOfFile, Progress{}); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(source); err != nil {
		t.Fatal(err)
	}
	path, err := c.Fetch(t.Context(), source, sum(content), MostOfFile, Progress{})
	if err != nil {
		t.Fatal(err)
	}
	checkCached(t, c, path, filepath.Base(source), content)
}

func TestFetchRefuses(t *testing.T) {
	for _, tt := range []struct{ name, source, sum, want string }{
		{"no source", "", sum(content), "no source"},
		{"download without a sum", "http://127.0.0.1/x", "", "a download needs a sha256"},
		{"short sum", "http://127.0.0.1/x", "abc", `sha256 "abc" is not 64`},
		{"sum that is a path", "http://127.0.0.1/x", strings.Repeat("../", 21) + "x", "is not 64 hexadecimal digits"},
		{"other scheme", "ftp://127.0.0.1/x", sum(content), `scheme "ftp"`},
		{"getter's own scheme", "git::https://127.0.0.1/x", sum(content), "git"},
		{"broken URL", "http://[::1/x", sum(content), "missing ']'"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := &Cache{Dir: t.TempDir(), HTTP: &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
				t.Errorf("asked for %v", r.URL)
				return nil, errAny
			})}}
			_, err := c.Fetch(t.Context(), tt.source, tt.sum, MostOfFile, Progress{})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("err = %v, want %q in it", err, tt.want)
			}
		})
	}
}

func TestFetchHidesPassword(t *testing.T) {
	l := newLab(t, status(404))
	source := strings.Replace(l.URL, "http://", "http://me:secret@", 1) + "/x"
	_, err := l.cache.Fetch(t.Context(), source, sum(content), MostOfFile, Progress{})
	if err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("err = %v, want one without the password", err)
	}
}

func TestFetchFinalErrors(t *testing.T) {
	secure := httptest.NewUnstartedServer(http.HandlerFunc(good))
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	defer secure.Close()
	for _, tt := range []struct {
		name, source string
		transport    http.RoundTripper
		want         string
	}{
		{"unknown certificate", secure.URL, nil, "certificate"},
		{"unknown host", "http://nowhere.invalid/x", roundTripper(func(*http.Request) (*http.Response, error) {
			return nil, &net.DNSError{Err: "no such host", Name: "nowhere.invalid", IsNotFound: true}
		}), "no such host"},
		{"full disk", "http://127.0.0.1/x", roundTripper(func(*http.Request) (*http.Response, error) {
			return nil, &os.PathError{Op: "write", Path: "x.part", Err: syscall.ENOSPC}
		}), "no space left"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := &Cache{Dir: t.TempDir(), HTTP: &http.Client{Transport: tt.transport}, backoff: time.Hour}
			_, err := c.Fetch(t.Context(), tt.source, sum(content), MostOfFile, Progress{})
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "attempts") {
				t.Errorf("err = %v, want one attempt and %q", err, tt.want)
			}
		})
	}
}

func TestFetchText(t *testing.T) {
	const text = "abc  k3s\n"
	file := filepath.Join(t.TempDir(), "sums.txt")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name     string
		handlers []http.HandlerFunc
		source   string // instead of the server
		limit    int64
		requests int32
		want     string // in the error
	}{
		{name: "good", handlers: []http.HandlerFunc{body([]byte(text))}, limit: 100, requests: 1},
		{name: "exactly the limit", handlers: []http.HandlerFunc{body([]byte(text))}, limit: int64(len(text)), requests: 1},
		{name: "500 then good", handlers: []http.HandlerFunc{status(500), body([]byte(text))}, limit: 100, requests: 2},
		{name: "truncated then good", handlers: []http.HandlerFunc{truncated, body([]byte(text))}, limit: 1 << 20, requests: 2},
		{name: "file", source: file, limit: 100},
		{name: "too long", handlers: []http.HandlerFunc{body([]byte(text))}, limit: int64(len(text)) - 1, requests: 1, want: "more than 8 bytes"},
		{name: "endless", handlers: []http.HandlerFunc{func(w http.ResponseWriter, _ *http.Request) {
			for {
				if _, err := w.Write(content); err != nil {
					return
				}
			}
		}}, limit: 1000, requests: 1, want: "more than 1000 bytes"},
		{name: "404", handlers: []http.HandlerFunc{status(404)}, limit: 100, requests: 1, want: "404 Not Found"},
		{name: "file too long", source: file, limit: 3, want: "more than 3 bytes"},
		{name: "no file", source: file + ".none", limit: 3, want: "no such file"},
		{name: "scheme", source: "ftp://127.0.0.1/x", limit: 3, want: `scheme "ftp"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := newLab(t, tt.handlers...)
			if tt.source == "" {
				tt.source = l.URL + "/sha256sum-amd64.txt"
			}
			var got []byte
			u, err := parseSource(tt.source)
			if err == nil {
				got, err = l.cache.fetchText(t.Context(), u, tt.limit, Progress{})
			}
			if l.requests.Load() != tt.requests {
				t.Errorf("%d requests, want %d", l.requests.Load(), tt.requests)
			}
			if tt.want == "" && (err != nil || string(got) != text) {
				t.Errorf("fetchText = %q, %v", got, err)
			}
			if tt.want != "" && (err == nil || got != nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("fetchText = %q, %v; want %q", got, err, tt.want)
			}
		})
	}
}

// A server that never ends, or says at once that it sends too much, fills no disk.
func TestFetchTooLarge(t *testing.T) {
	endless := func(w http.ResponseWriter, _ *http.Request) {
		for {
			if _, err := w.Write(content); err != nil {
				return
			}
		}
	}
	announced := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", tag)
		w.Header().Set("Content-Length", strconv.Itoa(10*len(content)))
		endless(w, r)
	}
	local := filepath.Join(t.TempDir(), "large")
	if err := os.WriteFile(local, bytes.Repeat(content, 2), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, source string
		handler      http.HandlerFunc
		want         string
	}{
		{name: "endless", handler: endless},
		{name: "announced", handler: announced, want: "too large: 1600000 bytes, and such a file has 160000 at most"},
		{name: "on the disk", source: local, want: "too large: 320000 bytes"},
		{name: "exactly as much", handler: good},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := newLab(t, tt.handler)
			if tt.source == "" {
				tt.source = l.URL + "/jammy.img"
			}
			furthest := int64(0)
			path, err := l.cache.Fetch(t.Context(), tt.source, sum(content), int64(len(content)), Progress{Bytes: func(done, _ int64) { furthest = max(furthest, done) }})
			if tt.name == "exactly as much" {
				if err != nil {
					t.Fatal(err)
				}
				checkCached(t, l.cache, path, "jammy.img", content)
				return
			}
			if !errors.Is(err, ErrTooLarge) || !strings.Contains(err.Error(), tt.want) || l.requests.Load() > 1 || furthest > 3*int64(len(content)) {
				t.Errorf("%v after %d requests and %d bytes", err, l.requests.Load(), furthest)
			}
			for _, name := range files(t, l.cache) {
				if name != lockName {
					t.Errorf("left in the cache: %q", name)
				}
			}
		})
	}
	if runtime.GOOS != "windows" {
		c := &Cache{Dir: t.TempDir()}
		if _, err := c.Fetch(t.Context(), os.DevNull, "", MostOfFile, Progress{}); err == nil || !strings.Contains(err.Error(), "must be a file") {
			t.Errorf("a device: %v", err)
		}
	}
}

// TestCacheOfOthers: a folder that others may write to is no cache.
func TestCacheOfOthers(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("modes say nothing there")
	}
	source := filepath.Join(t.TempDir(), "image")
	if err := os.WriteFile(source, []byte("an image"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := &Cache{Dir: filepath.Join(t.TempDir(), "images")}
	path, err := c.Fetch(t.Context(), source, "", MostOfFile, Progress{})
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{c.Dir, filepath.Dir(path)} {
		if err := os.Chmod(dir, 0o777); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Fetch(t.Context(), source, "", MostOfFile, Progress{}); err == nil || !strings.Contains(err.Error(), "others may write to") {
			t.Errorf("%s: %v", dir, err)
		}
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.Fetch(t.Context(), source, "", MostOfFile, Progress{}); err != nil {
		t.Error(err)
	}
}
