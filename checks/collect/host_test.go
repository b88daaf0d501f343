package collect

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/labctl/labctl/checks"
)

func mustTarget(t testing.TB, address string) netip.AddrPort {
	t.Helper()
	target, _, err := parseTarget(address)
	if err != nil {
		t.Fatal(err)
	}
	return target
}

// clientTo is a client whose every connection is made by dial.
func clientTo(dial func(context.Context) (net.Conn, error)) *http.Client {
	return &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) }}}
}

// A probe of the host comes out the same as a curl's would, through evidence and parser.
func TestHostProbe(t *testing.T) {
	serve := func(handler http.HandlerFunc) func(context.Context) (net.Conn, error) {
		server := httptest.NewServer(handler)
		t.Cleanup(server.Close)
		return func(ctx context.Context) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", server.Listener.Addr().String())
		}
	}
	fails := func(err error) func(context.Context) (net.Conn, error) {
		return func(context.Context) (net.Conn, error) { return nil, &net.OpError{Op: "dial", Err: err} }
	}
	for name, x := range map[string]struct {
		dial    func(context.Context) (net.Conn, error)
		outcome checks.Outcome
		status  int
		body    string
	}{
		"answers":            {serve(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "GET "+r.URL.RequestURI()) }), checks.Answered, 200, "GET /?nonce=N0NCE"},
		"answers with 503":   {serve(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }), checks.Answered, 503, ""},
		"is not followed":    {serve(func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "http://192.0.2.1/", 302) }), checks.Answered, 302, ""},
		"refused":            {fails(syscall.ECONNREFUSED), checks.Refused, 0, ""},
		"no route":           {fails(syscall.ENETUNREACH), checks.Refused, 0, ""},
		"times out dialling": {func(ctx context.Context) (net.Conn, error) { <-ctx.Done(); return nil, ctx.Err() }, checks.TimedOut, 0, ""},
		"is closed":          {func(context.Context) (net.Conn, error) { a, b := net.Pipe(); b.Close(); return a, nil }, checks.Failed, 0, ""},
		"answers no HTTP": {func(context.Context) (net.Conn, error) {
			a, b := net.Pipe()
			go func() { io.CopyN(io.Discard, b, 4); io.WriteString(b, "SSH-2.0-OpenSSH_9.2\r\n"); b.Close() }()
			return a, nil
		}, checks.Failed, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			limit := 10 * time.Second
			if strings.Contains(name, "times out") {
				limit = 20 * time.Millisecond
			}
			item := probeHost(t.Context(), clientTo(x.dial), "http://10.43.45.254/?nonce=N0NCE", limit)
			p, ok := parseProbe(item, checks.Cluster{})
			if !ok {
				t.Fatalf("it is no probe: %+v", item)
			}
			if p.Outcome != x.outcome || p.Status != x.status || x.body != "" && p.Body != x.body {
				t.Errorf("got %s, status %d, body %q (%s), want %s, %d, %q", p.Outcome, p.Status, p.Body, p.Why, x.outcome, x.status, x.body)
			}
			if p.Where != checks.Host || p.Nonce != "N0NCE" || p.Target.String() != "10.43.45.254:80" {
				t.Errorf("got %+v", p)
			}
			if p.Outcome != checks.Answered && p.Why == "" {
				t.Error("it does not say why")
			}
		})
	}
}

// An interruption says nothing about the network.
func TestHostProbeInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	client := clientTo(func(ctx context.Context) (net.Conn, error) {
		cancel()
		return nil, errors.New("operation was canceled")
	})
	p, _ := parseProbe(probeHost(ctx, client, "http://192.168.56.10:31885/", time.Second), checks.Cluster{})
	if p.Outcome != checks.Inconclusive || p.Why == "" {
		t.Errorf("got %s: %s", p.Outcome, p.Why)
	}
}

// An answer without end is cut.
func TestHostProbeOfAnEndlessAnswer(t *testing.T) {
	client := clientTo(func(context.Context) (net.Conn, error) {
		a, b := net.Pipe()
		go func() {
			defer b.Close()
			go io.Copy(io.Discard, b)
			io.WriteString(b, "HTTP/1.1 200 OK\r\n\r\n")
			for {
				if _, err := b.Write(make([]byte, 4096)); err != nil {
					return
				}
			}
		}()
		return a, nil
	})
	item := probeHost(t.Context(), client, "http://192.168.56.10:31885/", 10*time.Second)
	if item.Exit != 0 || len(item.Stdout) > maxBody+100 {
		t.Errorf("exit status %d, %d bytes", item.Exit, len(item.Stdout))
	}
}

// Every try is a connection of its own: kube-proxy chooses once for each.
func TestNodePortIsAskedInNewConnections(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "x") }))
	defer server.Close()
	dialled := 0
	client := clientTo(func(ctx context.Context) (net.Conn, error) {
		dialled++
		return new(net.Dialer).DialContext(ctx, "tcp", server.Listener.Addr().String())
	})
	items := probeNodePort(t.Context(), client, netip.MustParseAddrPort("192.168.56.11:31885"))
	if len(items) != probeTries || dialled != probeTries {
		t.Errorf("%d tries in %d connections, want %d", len(items), dialled, probeTries)
	}
	dialled = 0
	broken := clientTo(func(context.Context) (net.Conn, error) {
		dialled++
		return nil, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
	})
	if items = probeNodePort(t.Context(), broken, netip.MustParseAddrPort("192.168.56.11:31885")); len(items) != 1 || dialled != 1 {
		t.Errorf("%d tries of a port that refuses, want 1", len(items))
	}
}
