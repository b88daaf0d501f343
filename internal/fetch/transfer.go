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
)

// StatusError is an answer of an HTTP server that is not the file.
type StatusError struct {
	Status int
}

func (e *StatusError) Error() string {
	return fmt.Sprintf("server answers %d %s", e.Status, http.StatusText(e.Status))
}

// download gets u into the file part, in several attempts, each from nothing.
func (c *Cache) download(ctx context.Context, u *url.URL, part string, progress func(done, total int64)) error {
	return c.attempts(ctx, u, progress, func(ctx context.Context, client *http.Client) error {
		if err := removeIfThere(part); err != nil { // go-getter would write over its beginning
			return err
		}
		files := getter.Client{
			Getters: []getter.Getter{
				&getter.HttpGetter{
					Client: client, DoNotCheckHeadFirst: true, XTerraformGetDisabled: true,
					Header: http.Header{"Accept-Encoding": {"identity"}}, // the checksum is of the bytes as they are
				},
				&getter.FileGetter{},
			},
			Decompressors: map[string]getter.Decompressor{}, // nil would mean all
		}
		_, err := files.Get(ctx, &getter.Request{Src: u.String(), Dst: part, GetMode: getter.ModeFile, Copy: true})
		return err
	})
}

// FetchText returns a small file's content, which is not kept. More than limit bytes are an error.
func (c *Cache) FetchText(ctx context.Context, source string, limit int64) ([]byte, error) {
	text, err := c.fetchText(ctx, source, limit)
	if err != nil {
		return nil, fmt.Errorf("fetching %q: %w", redacted(source), err)
	}
	return text, nil
}

func (c *Cache) fetchText(ctx context.Context, source string, limit int64) ([]byte, error) {
	u, err := parseSource(source)
	if err != nil {
		return nil, err
	}
	var text []byte
	err = c.attempts(ctx, u, func(int64, int64) {}, func(ctx context.Context, client *http.Client) error {
		body, err := open(ctx, u, client)
		if err != nil {
			return err
		}
		defer body.Close() //nolint:errcheck // only read
		text, err = io.ReadAll(io.LimitReader(body, limit+1))
		if err == nil && int64(len(text)) > limit {
			err = permanent{fmt.Errorf("more than %d bytes", limit)}
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return text, nil
}

func open(ctx context.Context, u *url.URL, client *http.Client) (io.ReadCloser, error) {
	if u.Scheme == "file" {
		return os.Open(filePath(u))
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	return response.Body, nil
}

// attempts calls get until it succeeds, fails for good, or has failed often enough.
func (c *Cache) attempts(ctx context.Context, u *url.URL, progress func(done, total int64), get func(context.Context, *http.Client) error) error {
	if u.Scheme == "file" {
		// A disk is not tried again. go-getter hides why a file cannot be read.
		info, err := os.Stat(filePath(u))
		if err != nil {
			return err
		}
		if err := get(ctx, nil); err != nil {
			return err
		}
		progress(info.Size(), info.Size())
		return nil
	}
	pause := orDefault(c.backoff, firstBackoff)
	for attempt := 1; ; attempt++ {
		err := c.attempt(ctx, progress, get)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case isPermanent(err):
			return err
		case attempt == maxAttempts:
			return fmt.Errorf("given up after %d attempts: %w", attempt, err)
		}
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

// attempt calls get once, with a client that watches the transfer, and ends it when nothing arrives any more.
func (c *Cache) attempt(ctx context.Context, progress func(done, total int64), get func(context.Context, *http.Client) error) error {
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
	client.Transport = &watch{next: client.Transport, arrived: func() { timer.Reset(stall) }, progress: progress}
	err := get(ctx, &client)
	if err != nil && context.Cause(ctx) == stalled {
		return stalled
	}
	if wrapped := (*url.Error)(nil); errors.As(err, &wrapped) {
		return wrapped.Err // the caller names the source
	}
	return err
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

// watch is a transport that turns other statuses into errors and tells of each byte that arrives.
type watch struct {
	next     http.RoundTripper
	arrived  func()
	progress func(done, total int64)
}

func (w *watch) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := w.next.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	w.arrived()
	switch s := response.StatusCode; {
	case s == http.StatusOK:
		response.Body = &watchedBody{ReadCloser: response.Body, watch: w, total: response.ContentLength}
	case s >= 300 && s < 400 && response.Header.Get("Location") != "": // the client follows
	default:
		response.Body.Close() //nolint:errcheck // not wanted
		return nil, &StatusError{Status: s}
	}
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
		b.arrived()
		b.progress(b.done, b.total)
	}
	return n, err
}
