package fetch

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/hashicorp/go-getter/v2"
)

const (
	stallLimit   = time.Minute
	maxAttempts  = 4
	firstBackoff = time.Second // doubled after each attempt
	// goodProgress is how many more bytes than ever before make an attempt count as the first one again.
	goodProgress = 1 << 20
)

// StatusError is an answer of an HTTP server that is not the file.
type StatusError struct {
	Status int
}

func (e *StatusError) Error() string {
	return fmt.Sprintf("server answers %d %s", e.Status, http.StatusText(e.Status))
}

// errStartAnew says that the server doesn't go on where the part ends.
var errStartAnew = errors.New("the server does not continue the download")

// download gets u into the part, in several attempts. Each goes on with what the one before, or an earlier run, has left,
// if the server proves that it continues the same file; resumed tells whether that happened.
func (c *Cache) download(ctx context.Context, u *url.URL, part unfinished, most int64, progress Progress) (resumed bool, err error) {
	err = c.attempts(ctx, u, progress, func(ctx context.Context, client *http.Client, w *watch) error {
		w.begun, w.most = part.note, most
		if u.Scheme != "file" {
			w.resume = part.resumable()
		}
		if w.resume != nil {
			resumed = true
			err := transfer(ctx, u, part.file, client, true)
			if !errors.Is(err, errStartAnew) {
				return err
			}
			w.resume, resumed = nil, false
		}
		if err := part.discard(); err != nil { // go-getter would write over its beginning
			return err
		}
		return transfer(ctx, u, part.file, client, false)
	})
	return resumed, err
}

// transfer lets go-getter do one request. Told to resume, it asks with HEAD first, which the client answers itself, and
// then for what is missing.
func transfer(ctx context.Context, u *url.URL, file string, client *http.Client, resume bool) error {
	files := getter.Client{
		Getters: []getter.Getter{
			&getter.HttpGetter{
				Client: client, DoNotCheckHeadFirst: !resume, XTerraformGetDisabled: true,
				Header: http.Header{"Accept-Encoding": {"identity"}}, // the checksum is of the bytes as they are
			},
			&getter.FileGetter{},
		},
		Decompressors: map[string]getter.Decompressor{}, // nil would mean all
	}
	_, err := files.Get(ctx, &getter.Request{Src: u.String(), Dst: file, GetMode: getter.ModeFile, Copy: true})
	return err
}

// attempts calls get until it succeeds, fails for good, or has failed often enough without getting any further.
func (c *Cache) attempts(ctx context.Context, u *url.URL, progress Progress, get func(context.Context, *http.Client, *watch) error) error {
	if u.Scheme == "file" {
		// A disk is not tried again. go-getter hides why a file cannot be read.
		info, err := os.Stat(filePath(u))
		if err != nil {
			return err
		}
		if err := get(ctx, nil, &watch{}); err != nil {
			return err
		}
		progress.bytes(info.Size(), info.Size())
		return nil
	}
	pause, furthest := orDefault(c.backoff, firstBackoff), int64(0)
	for attempt := 1; ; attempt++ {
		reached, err := c.attempt(ctx, progress, get)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case isPermanent(err):
			return err
		}
		if reached >= furthest+goodProgress { // a bad line, but a line
			attempt, pause = 1, orDefault(c.backoff, firstBackoff)
		}
		furthest = max(furthest, reached)
		if attempt == maxAttempts {
			return fmt.Errorf("given up after %d attempts: %w", attempt, err)
		}
		progress.say(fmt.Sprintf("%v; trying again (%d of %d)", err, attempt+1, maxAttempts))
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("%w; last: %w", context.Cause(ctx), err)
		case <-timer.C:
		}
		pause *= 2
	}
}

// attempt calls get once, with a client that watches the transfer, and ends it when nothing arrives any more. It returns
// how many bytes of the file were there at last.
func (c *Cache) attempt(ctx context.Context, progress Progress, get func(context.Context, *http.Client, *watch) error) (reached int64, err error) {
	stall := orDefault(c.stall, stallLimit)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stalled := fmt.Errorf("nothing arrived for %v", stall)
	timer := time.AfterFunc(stall, func() { cancel(stalled) })
	defer timer.Stop()

	client := http.Client{}
	if c.HTTP != nil {
		client = *c.HTTP
	}
	if client.Transport == nil {
		client.Transport = http.DefaultTransport
	}
	w := &watch{next: client.Transport, arrived: func() { timer.Reset(stall) }, progress: progress}
	client.Transport = w
	err = get(ctx, &client, w)
	if err != nil && errors.Is(context.Cause(ctx), stalled) {
		return w.reached, stalled
	}
	if wrapped := (*url.Error)(nil); errors.As(err, &wrapped) {
		return w.reached, wrapped.Err // the caller names the source
	}
	return w.reached, err
}

func orDefault(v, fallback time.Duration) time.Duration {
	if v == 0 {
		return fallback
	}
	return v
}

// permanent is an error that another attempt will not mend.
type permanent struct{ error }

func (p permanent) Unwrap() error { return p.error }

func isPermanent(err error) bool {
	var (
		marked permanent
		status *StatusError
		file   *fs.PathError // a missing source, a full disk
		cert   *tls.CertificateVerificationError
		dns    *net.DNSError
	)
	switch {
	case errors.As(err, &status):
		return status.Status < 500 && status.Status != http.StatusTooManyRequests && status.Status != http.StatusRequestTimeout
	case errors.As(err, &dns):
		return dns.IsNotFound
	}
	return errors.As(err, &marked) || errors.As(err, &file) || errors.As(err, &cert)
}

// watch is a transport that turns other statuses into errors, tells of each byte that arrives, and lets nobody go on with a
// part unless the server continues the same file.
type watch struct {
	next     http.RoundTripper
	arrived  func()
	progress Progress
	resume   *origin                    // what is there already; nil: nothing
	begun    func(*http.Response) error // called before the first byte of a whole file; may be nil
	most     int64                      // bytes that the file may have; 0: the caller limits them itself
	reached  int64
}

func (w *watch) RoundTrip(request *http.Request) (*http.Response, error) {
	if w.resume != nil {
		if request.Method == http.MethodHead {
			return w.resume.pretend(request), nil
		}
		request = request.Clone(request.Context())
		request.Header.Set("If-Range", w.resume.Validator)
	}
	response, err := w.next.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	w.arrived()
	refuse := func(err error) (*http.Response, error) {
		response.Body.Close()
		return nil, err
	}
	offset, total := int64(0), response.ContentLength
	switch s := response.StatusCode; {
	case s >= 300 && s < 400 && response.Header.Get("Location") != "": // the client follows
		return response, nil
	case w.resume != nil && s == http.StatusPartialContent && w.resume.continues(response):
		offset, total = w.resume.have, w.resume.Total
	case w.resume != nil && (s == http.StatusOK || s == http.StatusPartialContent || s == http.StatusRequestedRangeNotSatisfiable):
		return refuse(errStartAnew)
	case s != http.StatusOK:
		return refuse(&StatusError{Status: s})
	case w.most > 0 && total > w.most:
		return refuse(permanent{tooLarge(total, w.most)})
	case w.begun != nil:
		if err := w.begun(response); err != nil {
			return refuse(err)
		}
	}
	response.Body = &watchedBody{ReadCloser: response.Body, watch: w, done: offset, total: total}
	return response, nil
}

type watchedBody struct {
	io.ReadCloser
	*watch
	done, total int64
}

func (b *watchedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if n > 0 {
		b.done += int64(n)
		b.reached = b.done
		b.arrived()
		b.progress.bytes(b.done, b.total)
		if b.most > 0 && b.done > b.most { // of a file whose length the server hasn't named
			return n, permanent{tooLarge(b.done, b.most)}
		}
	}
	return n, err
}
