package provider

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/labctl/labctl/internal/config"
	"github.com/labctl/labctl/internal/fetch"
)

// mirror is a cache in front of a mirror of k3s.
type mirror struct {
	Downloads // everything else panics: k3s needs nothing else

	mu      sync.Mutex
	kept    string // the binary's checksum in the list that is kept
	now     string // and in the mirror's own
	good    string // the binary's own
	failure error  // the download ends so
	started chan struct{}
	goOn    chan struct{}
	fetches int
}

func (m *mirror) Sums(_ context.Context, list string, enough func(map[string]string) error, _ fetch.Progress) (map[string]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, sum := range []string{m.kept, m.now} {
		sums := map[string]string{"k3s": sum}
		if enough(sums) == nil {
			m.kept = sum
			return sums, nil
		}
	}
	return nil, fmt.Errorf("%q is not enough", list)
}

func (m *mirror) Fetch(_ context.Context, _, sum string, _ int64, _ fetch.Progress) (string, error) {
	m.mu.Lock()
	m.fetches++
	first := m.fetches == 1
	m.mu.Unlock()
	if first && m.started != nil {
		close(m.started)
		<-m.goOn
	}
	if m.failure != nil {
		return "", m.failure
	}
	if sum != m.good {
		return "", fetch.ErrChecksum
	}
	return "/cache/k3s", nil
}

var someK3s = config.K3s{Version: "v1.34.3+k3s1", Source: "https://m.example"}

// What can't be downloaded is tried once, not once for each node; those who wait are told for what, and may be interrupted.
func TestReleaseFailsOnce(t *testing.T) {
	m := &mirror{kept: "a", good: "a", failure: errors.New("given up after 4 attempts"), started: make(chan struct{}), goOn: make(chan struct{})}
	p := &Provider{o: Options{Images: m, Arch: "amd64"}}
	var all sync.WaitGroup
	errs := make(chan error, 3)
	release := func(ctx context.Context, step func(string)) {
		all.Go(func() {
			_, err := p.release(ctx, someK3s, step)
			errs <- err
		})
	}
	release(t.Context(), func(string) {})
	<-m.started
	waiting := make(chan string, 10)
	release(t.Context(), func(text string) { waiting <- text })
	if got := <-waiting; got != "waiting for the download of k3s v1.34.3+k3s1" {
		t.Errorf("the second says %q", got)
	}
	interrupted := errors.New("interrupted")
	ctx, cancel := context.WithCancelCause(t.Context())
	release(ctx, func(string) { cancel(interrupted) })
	if err := <-errs; !errors.Is(err, interrupted) {
		t.Errorf("the third: %v", err)
	}
	close(m.goOn)
	all.Wait()
	for range 2 {
		if err := <-errs; !errors.Is(err, m.failure) {
			t.Errorf("got %v", err)
		}
	}
	if _, err := p.release(t.Context(), someK3s, func(string) {}); !errors.Is(err, m.failure) || m.fetches != 1 {
		t.Errorf("%v after %d downloads", err, m.fetches)
	}
}

// A list that was mended on the mirror is asked for anew.
func TestReleaseCorrected(t *testing.T) {
	for _, tt := range []struct {
		name, now, good string
		fetches         int
		failure         string
	}{
		{name: "as kept", now: "a", good: "a", fetches: 1},
		{name: "mended", now: "b", good: "b", fetches: 2},
		{name: "the file is wrong", now: "a", good: "b", fetches: 1, failure: "checksum mismatch"},
		{name: "both are wrong", now: "b", good: "c", fetches: 2, failure: "checksum mismatch"},
	} {
		m := &mirror{kept: "a", now: tt.now, good: tt.good}
		p := &Provider{o: Options{Images: m, Arch: "amd64"}}
		r, err := p.release(t.Context(), someK3s, func(string) {})
		if m.fetches != tt.fetches {
			t.Errorf("%s: %d downloads, want %d", tt.name, m.fetches, tt.fetches)
		}
		if tt.failure == "" && (err != nil || r.binary.SHA256 != tt.good) || tt.failure != "" && (err == nil || !strings.Contains(err.Error(), tt.failure)) {
			t.Errorf("%s: %+v, %v", tt.name, r.binary, err)
		}
	}
}
