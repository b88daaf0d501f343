package fetch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	tag  = `"0a1b"`
	date = "Tue, 29 Apr 2025 10:00:00 GMT"
	half = 80_000 // of content's 160,000 bytes
)

// TestMain makes the test binary fetch a file as a process of its own: LABCTL_FETCH=DIR SOURCE SHA256.
func TestMain(m *testing.M) {
	args := strings.Fields(os.Getenv("LABCTL_FETCH"))
	if len(args) != 3 {
		os.Exit(m.Run())
	}
	path, err := (&Cache{Dir: args[0]}).Fetch(context.Background(), args[1], args[2], MostOfFile, Progress{})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(path)
}

func process(t *testing.T, c *Cache, source string, env ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), "LABCTL_FETCH="+strings.Join([]string{c.Dir, source, sum(content)}, " "))
	cmd.Env = append(cmd.Env, env...)
	cmd.Stderr = os.Stderr
	return cmd
}

// cut promises everything, says which file it is, and sends half.
func cut(header, value string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set(header, value)
		w.Header().Set("Content-Length", strconv.Itoa(len(content)))
		w.Write(content[:half])
	}
}

// rest answers with a part: the status, the header's fields in pairs, and the body.
func rest(status int, body []byte, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		w.Write(body)
	}
}

const rightRange = "bytes 80000-159999/160000"

func TestFetchResumes(t *testing.T) {
	right := rest(206, content[half:], "Content-Range", rightRange, "ETag", tag)
	begins := cut("ETag", tag)
	wrongBegins := rest(200, make([]byte, half), "Content-Length", strconv.Itoa(len(content)), "ETag", tag)
	wrongRest := rest(206, make([]byte, half), "Content-Range", rightRange, "ETag", tag)
	rows := []struct {
		name     string
		handlers []http.HandlerFunc
		ranges   []string // what each request asks for; empty: the whole file
		ifRange  string
		stall    time.Duration
		failure  string // empty: the file arrives
	}{
		{name: "the rest", handlers: []http.HandlerFunc{begins, right}, ranges: []string{"", "bytes=80000-"}},
		{name: "the rest, by date", handlers: []http.HandlerFunc{cut("Last-Modified", date), rest(206, content[half:], "Content-Range", rightRange, "Last-Modified", date)},
			ranges: []string{"", "bytes=80000-"}, ifRange: date},
		{name: "no name for these bytes", handlers: []http.HandlerFunc{cut("X-None", "x"), good}, ranges: []string{"", ""}},
		{name: "a weak name for these bytes", handlers: []http.HandlerFunc{cut("ETag", "W/"+tag), good}, ranges: []string{"", ""}},
		{name: "200 for the range", handlers: []http.HandlerFunc{begins, good, good}, ranges: []string{"", "bytes=80000-", ""}},
		{name: "206 with all", handlers: []http.HandlerFunc{begins, rest(206, content, "Content-Range", "bytes 0-159999/160000", "ETag", tag), good},
			ranges: []string{"", "bytes=80000-", ""}},
		{name: "206 without a range", handlers: []http.HandlerFunc{begins, rest(206, content[half:], "ETag", tag), good}, ranges: []string{"", "bytes=80000-", ""}},
		{name: "206 from another place", handlers: []http.HandlerFunc{begins, rest(206, content[half-16:], "Content-Range", "bytes 79984-159999/160000", "ETag", tag), good},
			ranges: []string{"", "bytes=80000-", ""}},
		{name: "206 of a longer file", handlers: []http.HandlerFunc{begins, rest(206, content[half:], "Content-Range", "bytes 80000-160015/160016", "ETag", tag), good},
			ranges: []string{"", "bytes=80000-", ""}},
		{name: "206 with less than it says", handlers: []http.HandlerFunc{begins, rest(206, content[half+16:], "Content-Range", rightRange, "ETag", tag), good},
			ranges: []string{"", "bytes=80000-", ""}},
		{name: "206 of another file", handlers: []http.HandlerFunc{begins, rest(206, content[half:], "Content-Range", rightRange, "ETag", `"other"`), good},
			ranges: []string{"", "bytes=80000-", ""}},
		{name: "206 of no known file", handlers: []http.HandlerFunc{begins, rest(206, content[half:], "Content-Range", rightRange), good},
			ranges: []string{"", "bytes=80000-", ""}},
		{name: "416", handlers: []http.HandlerFunc{begins, rest(416, nil), good}, ranges: []string{"", "bytes=80000-", ""}},
		{name: "the rest is wrong", handlers: []http.HandlerFunc{begins, wrongRest, good},
			ranges: []string{"", "bytes=80000-", ""}},
		{name: "the rest is wrong, and so is all", handlers: []http.HandlerFunc{begins, wrongRest, body(make([]byte, len(content)))},
			ranges: []string{"", "bytes=80000-", ""}, failure: "checksum mismatch"},
		{name: "all is wrong, over a line that breaks", handlers: []http.HandlerFunc{wrongBegins, wrongRest, wrongBegins, wrongRest, wrongBegins, wrongRest, wrongBegins},
			ranges: []string{"", "bytes=80000-", "", "bytes=80000-"}, failure: "checksum mismatch"},
		{name: "500, then the rest", handlers: []http.HandlerFunc{begins, status(500), right}, ranges: []string{"", "bytes=80000-", "bytes=80000-"}},
		{name: "stalled, then the rest", handlers: []http.HandlerFunc{begins, silent, right}, stall: 500 * time.Millisecond,
			ranges: []string{"", "bytes=80000-", "bytes=80000-"}},
		{name: "half of the rest", handlers: []http.HandlerFunc{begins, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", strconv.Itoa(half))
			rest(206, content[half:half+40_000], "Content-Range", rightRange, "ETag", tag)(w, r)
		}, rest(206, content[half+40_000:], "Content-Range", "bytes 120000-159999/160000", "ETag", tag)}, ranges: []string{"", "bytes=80000-", "bytes=120000-"}},
		{name: "redirected to a file of another length", handlers: []http.HandlerFunc{begins, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/elsewhere", http.StatusFound)
		}, rest(206, content[half:], "Content-Range", "bytes 80000-159999/200000", "ETag", tag), good}, ranges: []string{"", "bytes=80000-", "bytes=80000-", ""}},
		{name: "gone meanwhile", handlers: []http.HandlerFunc{begins, status(404)}, ranges: []string{"", "bytes=80000-"}, failure: "404 Not Found"},
	}
	if len(rows) < 20 {
		t.Fatalf("only %d lies", len(rows))
	}
	for _, tt := range rows {
		t.Run(tt.name, func(t *testing.T) {
			var mu sync.Mutex
			var ranges []string
			l := newLab(t, tt.handlers...)
			l.ranges = true
			l.cache.stall = tt.stall
			if tt.ifRange == "" {
				tt.ifRange = tag
			}
			server := l.Config.Handler
			l.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				mu.Lock()
				ranges = append(ranges, r.Header.Get("Range"))
				mu.Unlock()
				if r.Header.Get("Range") != "" && r.Header.Get("If-Range") != tt.ifRange {
					t.Errorf("If-Range: %q, want %q", r.Header.Get("If-Range"), tt.ifRange)
				}
				server.ServeHTTP(w, r)
			})
			path, err := l.cache.Fetch(t.Context(), l.URL+"/jammy.img", sum(content), MostOfFile, Progress{})
			mu.Lock()
			defer mu.Unlock()
			if !slices.Equal(ranges, tt.ranges) {
				t.Errorf("asked for %q, want %q", ranges, tt.ranges)
			}
			if tt.failure != "" {
				if err == nil || !strings.Contains(err.Error(), tt.failure) {
					t.Errorf("Fetch = %q, %v; want %q", path, err, tt.failure)
				}
				if _, err := os.Stat(filepath.Join(l.cache.Dir, sum(content), "jammy.img")); !errors.Is(err, os.ErrNotExist) {
					t.Errorf("a file was used: %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			checkCached(t, l.cache, path, "jammy.img", content)
		})
	}
}

// serve is an honest server of data that breaks off after some bytes of each answer; 0: never.
func serve(data []byte, breakOff int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", tag)
		if breakOff > 0 {
			w = &breaking{ResponseWriter: w, left: breakOff}
		}
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
	}
}

type breaking struct {
	http.ResponseWriter
	left int
}

func (b *breaking) Write(p []byte) (int, error) {
	if b.left == 0 {
		return 0, errAny
	}
	n, err := b.ResponseWriter.Write(p[:min(len(p), b.left)])
	b.left -= n
	if err == nil && n < len(p) {
		err = errAny
	}
	return n, err
}

// A line that breaks every now and then gets there all the same, and says how far it is.
func TestFetchOverABadLine(t *testing.T) {
	data := make([]byte, 9<<20)
	for i := range data {
		data[i] = byte(rand.Uint32())
	}
	l := newLab(t, serve(data, goodProgress+5000))
	l.ranges = true
	last := int64(0)
	path, err := l.cache.Fetch(t.Context(), l.URL+"/jammy.img", sum(data), MostOfFile, Progress{Bytes: func(done, total int64) {
		if total != int64(len(data)) || done < last {
			t.Errorf("progress(%d, %d) after %d", done, total, last)
		}
		last = done
	}})
	if err != nil {
		t.Fatal(err)
	}
	checkCached(t, l.cache, path, "jammy.img", data)
	if got := l.requests.Load(); got != 9 || last != int64(len(data)) {
		t.Errorf("%d requests up to byte %d, want 9 up to %d", got, last, len(data))
	}
	// One that never gets further is given up.
	l = newLab(t, serve(data, 1000))
	l.ranges = true
	if _, err := l.cache.Fetch(t.Context(), l.URL+"/jammy.img", sum(data), MostOfFile, Progress{}); err == nil || l.requests.Load() != maxAttempts {
		t.Errorf("%v after %d requests, want an error after %d", err, l.requests.Load(), maxAttempts)
	}
}

// Bytes that keep coming keep a transfer alive, however long it takes.
func TestFetchSlowDrip(t *testing.T) {
	const stall, pieces = 400 * time.Millisecond, 12
	begun := time.Now()
	l := newLab(t, func(w http.ResponseWriter, r *http.Request) {
		tick := time.NewTicker(stall / 4)
		defer tick.Stop()
		for i := range pieces {
			w.Write(content[i*len(content)/pieces : (i+1)*len(content)/pieces])
			http.NewResponseController(w).Flush()
			select {
			case <-tick.C:
			case <-r.Context().Done():
				return
			}
		}
	})
	l.cache.stall = stall
	path, err := l.cache.Fetch(t.Context(), l.URL+"/jammy.img", sum(content), MostOfFile, Progress{})
	if err != nil {
		t.Fatal(err)
	}
	checkCached(t, l.cache, path, "jammy.img", content)
	if took := time.Since(begun); took < 2*stall || l.requests.Load() != 1 {
		t.Errorf("took %v and %d requests: this proves nothing", took, l.requests.Load())
	}
}

// TestFetchKilled kills a process in the middle of a transfer; the next one goes on where it ended.
func TestFetchKilled(t *testing.T) {
	arrived := make(chan struct{})
	l := newLab(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", tag)
		w.Header().Set("Content-Length", strconv.Itoa(len(content)))
		w.Write(content[:half])
		http.NewResponseController(w).Flush()
		close(arrived)
		<-r.Context().Done()
	}, func(w http.ResponseWriter, r *http.Request) {
		if got := r.Header.Get("Range"); got != "bytes=80000-" {
			t.Errorf("asked for range %q after the kill, want bytes=80000-", got)
		}
		serve(content, 0)(w, r)
	})
	l.ranges = true
	cmd := process(t, l.cache, l.URL+"/jammy.img")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	<-arrived
	part := unfinished{filepath.Join(l.cache.Dir, sum(content), "jammy.img"+partSuffix)}
	for o, _ := part.read(); o.have < half && t.Context().Err() == nil; o, _ = part.read() {
		<-time.After(5 * time.Millisecond)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Fatal("the process ended well before it was killed")
	}
	path, err := l.cache.Fetch(t.Context(), l.URL+"/jammy.img", sum(content), MostOfFile, Progress{})
	if err != nil {
		t.Fatal(err)
	}
	checkCached(t, l.cache, path, "jammy.img", content)
}

// An interrupted download is kept, and the next run goes on with it. A full disk is made room on.
func TestFetchInterrupted(t *testing.T) {
	l := newLab(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", tag)
		w.Header().Set("Content-Length", strconv.Itoa(len(content)))
		w.Write(content[:half])
		http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}, serve(content, 0))
	l.ranges = true
	ctx, cancel := context.WithCancelCause(t.Context())
	_, err := l.cache.Fetch(ctx, l.URL+"/jammy.img", sum(content), MostOfFile, Progress{Bytes: func(done, _ int64) {
		if done == half {
			cancel(errInterrupted)
		}
	}})
	if !errors.Is(err, errInterrupted) {
		t.Fatalf("err = %v, want %v", err, errInterrupted)
	}
	part := unfinished{filepath.Join(l.cache.Dir, sum(content), "jammy.img"+partSuffix)}
	if o, ok := part.read(); !ok || o.have == 0 || o.have > half {
		t.Errorf("kept %+v, %v", o, ok)
	}
	first := int64(0)
	path, err := l.cache.Fetch(t.Context(), l.URL+"/jammy.img", sum(content), MostOfFile, Progress{Bytes: func(done, _ int64) {
		if first == 0 {
			first = done
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	checkCached(t, l.cache, path, "jammy.img", content)
	if first <= half/2 {
		t.Errorf("went on at byte %d", first)
	}
	if err := errors.Join(os.WriteFile(part.file, content, 0o644), part.note(&http.Response{Header: http.Header{"Etag": {tag}}, ContentLength: 1e9})); err != nil {
		t.Fatal(err)
	}
	if err := part.settle(&os.PathError{Err: syscall.ENOSPC}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(part.file); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a part that fills the disk was kept: %v", err)
	}
}

// A run that was killed between the last byte and the rename has nothing left to download, unless the bytes are wrong.
func TestFetchKilledAtTheEnd(t *testing.T) {
	for _, tt := range []struct {
		name     string
		part     []byte
		requests int32
	}{{"whole", content, 0}, {"wrong", make([]byte, len(content)), 1}, {"too long", append(bytes.Clone(content), 'x'), 1}} {
		l := newLab(t, good)
		part := unfinished{filepath.Join(l.cache.Dir, sum(content), "jammy.img"+partSuffix)}
		if err := os.MkdirAll(filepath.Dir(part.file), 0o755); err != nil {
			t.Fatal(err)
		}
		header := http.Header{"Etag": {tag}}
		if err := errors.Join(os.WriteFile(part.file, tt.part, 0o644), part.note(&http.Response{Header: header, ContentLength: int64(len(content))})); err != nil {
			t.Fatal(err)
		}
		path, err := l.cache.Fetch(t.Context(), l.URL+"/jammy.img", sum(content), MostOfFile, Progress{})
		if err != nil || l.requests.Load() != tt.requests {
			t.Errorf("%s: %v after %d requests, want %d", tt.name, err, l.requests.Load(), tt.requests)
			continue
		}
		checkCached(t, l.cache, path, "jammy.img", content)
	}
}

// TestFetchTwoProcesses: one of them downloads, the other waits for it and says how far it is.
func TestFetchTwoProcesses(t *testing.T) {
	arrived, go_on := make(chan struct{}), make(chan struct{})
	l := newLab(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", tag)
		w.Header().Set("Content-Length", strconv.Itoa(len(content)))
		w.Write(content[:half])
		http.NewResponseController(w).Flush()
		close(arrived)
		<-go_on
		w.Write(content[half:])
	})
	cmd := process(t, l.cache, l.URL+"/jammy.img")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	<-arrived
	var once sync.Once
	path, err := l.cache.Fetch(t.Context(), l.URL+"/jammy.img", sum(content), MostOfFile, Progress{Bytes: func(done, total int64) {
		if done > int64(len(content)) || total != int64(len(content)) {
			t.Errorf("progress(%d, %d)", done, total)
		}
		once.Do(func() { close(go_on) })
	}})
	if err != nil {
		t.Fatal(err)
	}
	checkCached(t, l.cache, path, "jammy.img", content)
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	if got := l.requests.Load(); got != 1 {
		t.Errorf("%d requests of two processes, want 1", got)
	}
}

// The proxy that the environment names is used, and where there is none the server is not found.
func TestFetchThroughProxy(t *testing.T) {
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.String() != "http://mirror.invalid/jammy.img" {
			t.Errorf("the proxy was asked for %q", r.URL)
		}
		w.Write(content)
	}))
	defer proxy.Close()
	c := &Cache{Dir: t.TempDir()}
	cmd := process(t, c, "http://mirror.invalid/jammy.img", "HTTP_PROXY="+proxy.URL, "http_proxy=", "NO_PROXY=", "no_proxy=")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	checkCached(t, c, strings.TrimSpace(string(out)), "jammy.img", content)
}
