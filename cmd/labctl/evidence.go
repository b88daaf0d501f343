package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"time"

	"github.com/labctl/labctl/checks"
	"github.com/labctl/labctl/checks/collect"
	"github.com/labctl/labctl/internal/config"
	"github.com/labctl/labctl/k3s"
)

// collect gathers the evidence of the lab as it is now, as far as these checks need it; all of it without checks.
func (s *session) collect(ctx context.Context, selected []checks.Check) (*collect.Evidence, error) {
	const id = "collect"
	s.ui.Start(id, "evidence")
	o := collect.Options{
		Checks:    selected,
		Lab:       s.lab,
		Simulated: s.simulate,
		Connect: func(ctx context.Context, node string) (collect.Runner, io.Closer, error) {
			c, err := s.login(ctx, node)
			if err != nil {
				return nil, nil, err
			}
			return c, c, nil
		},
		HTTP:       s.probeClient(),
		Machines:   s.machines(ctx),
		Manifests:  manifests(s.lab),
		HostRoutes: s.listRoutes(),
		Step:       func(text string) { s.ui.Step(id, text) },
	}
	evidence, err := collect.Collect(ctx, o)
	if err != nil {
		s.ui.Fail(id, "collecting it failed")
		return nil, err
	}
	s.ui.Done(id, "collected")
	return evidence, nil
}

// manifests are what labctl has applied, in one stream.
func manifests(lab *config.Lab) []byte {
	var all [][]byte
	for _, m := range k3s.Manifests(lab) {
		all = append(all, m.YAML)
	}
	return bytes.Join(all, []byte("---\n"))
}

// probeClient is the host's HTTP client for probes: no proxy, no connection that is used twice.
func (s *session) probeClient() *http.Client {
	return &http.Client{
		Timeout: 15 * time.Second,
		Transport: &http.Transport{
			DialContext:       s.dial,
			DisableKeepAlives: true,
			TLSClientConfig:   &tls.Config{MinVersion: tls.VersionTLS12},
		},
	}
}
