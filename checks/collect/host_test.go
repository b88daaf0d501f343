package collect

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/labctl/labctl/checks"
	"github.com/labctl/labctl/internal/config"
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

// What is asked for by a host name comes back as what was asked, at the address that was called.
func TestHostProbeForAName(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Host) }))
	defer server.Close()
	client := clientTo(func(ctx context.Context) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", server.Listener.Addr().String())
	})
	for asked, want := range map[string]string{"hello.lab.test": "hello.lab.test", "": "192.168.56.11:31300"} {
		p, ok := parseProbe(probeHostFor(t.Context(), client, "http://192.168.56.11:31300/", asked, 10*time.Second), checks.Cluster{})
		if !ok || p.Asked != asked || p.Body != want || p.Target.String() != "192.168.56.11:31300" {
			t.Errorf("asked for %q: %+v", asked, p)
		}
	}
}

// kept is a connection, or an error, of a network that has a time of its own.
type kept struct {
	net.Conn
	after time.Duration
}

func (k kept) Elapsed() time.Duration { return k.after }
func (k kept) Error() string          { return "no answer" }
func (k kept) Timeout() bool          { return true }

// Of a network that tells how long it took, that counts, and no longer than was waited; of any other the time that passed does.
func TestHostProbeTakesTheNetworksTime(t *testing.T) {
	answer := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "x") })
	plain, secured := httptest.NewServer(answer), httptest.NewTLSServer(answer)
	defer plain.Close()
	defer secured.Close()
	dial := func(s *httptest.Server, after time.Duration) func(context.Context) (net.Conn, error) {
		return func(ctx context.Context) (net.Conn, error) {
			c, err := new(net.Dialer).DialContext(ctx, "tcp", s.Listener.Addr().String())
			return kept{c, after}, err
		}
	}
	const limit = time.Minute
	for name, x := range map[string]struct {
		url  string
		dial func(context.Context) (net.Conn, error)
		want time.Duration
		exit int
	}{
		"answers":        {"http://192.168.56.10:31885/", dial(plain, 3*time.Second), 3 * time.Second, 0},
		"answers TLS":    {"https://192.168.56.10:443/", dial(secured, 4*time.Second), 4 * time.Second, 0},
		"does not":       {"http://192.168.56.10:31885/", func(context.Context) (net.Conn, error) { return nil, kept{after: limit} }, limit, curlTimedOut},
		"takes too long": {"http://192.168.56.10:31885/", func(context.Context) (net.Conn, error) { return nil, kept{after: time.Hour} }, limit, curlTimedOut},
	} {
		item := probeHost(t.Context(), clientTo(x.dial), x.url, limit)
		told := fmt.Sprintf(" %.6f\n", x.want.Seconds())
		if item.Took != x.want || item.Exit != x.exit || !strings.HasSuffix(string(item.Stdout), told) {
			t.Errorf("%s: took %s, exit status %d, told %q (%s), want %s, %d, %q", name, item.Took, item.Exit, item.Stdout, item.Stderr, x.want, x.exit, told)
		}
	}
	item := probeHost(t.Context(), clientTo(func(ctx context.Context) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", plain.Listener.Addr().String())
	}), "http://192.168.56.10:31885/", limit)
	if item.Took <= 0 || item.Took >= limit || item.Exit != 0 {
		t.Errorf("a real network: took %s, exit status %d", item.Took, item.Exit)
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
			if _, err := http.ReadRequest(bufio.NewReader(b)); err != nil { // an answer before the question is none
				return
			}
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
	var dialled atomic.Int32
	client := clientTo(func(ctx context.Context) (net.Conn, error) {
		dialled.Add(1)
		return new(net.Dialer).DialContext(ctx, "tcp", server.Listener.Addr().String())
	})
	known := checks.Facts{Lab: config.Default()}
	known.Lab.Nodes = known.Lab.Nodes[:1]
	items := probeNodePorts(t.Context(), client, known, make(gate, 2))
	if len(items) != tries(known.Lab) || int(dialled.Load()) != tries(known.Lab) {
		t.Errorf("%d tries in %d connections, want %d", len(items), dialled.Load(), tries(known.Lab))
	}
	dialled.Store(0)
	broken := clientTo(func(context.Context) (net.Conn, error) {
		dialled.Add(1)
		return nil, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
	})
	if items = probeNodePorts(t.Context(), broken, known, make(gate, 2)); len(items) != 1 || dialled.Load() != 1 {
		t.Errorf("%d tries of a port that refuses, want 1", len(items))
	}
}

// A node is asked on until a pod of another node has answered, and all nodes together until every pod has.
func TestNodePortIsAskedOn(t *testing.T) {
	for name, x := range map[string]struct {
		pods []string // that answer, in turn
		want int      // tries
	}{
		"others at once":              {[]string{"hello-a", "hello-b"}, 8},
		"its own pods only":           {[]string{"hello-a"}, balanceTries},
		"none that is named":          {[]string{"not a pod's name"}, 8},
		"another one, at last":        {[]string{"hello-a", "hello-a", "hello-a", "hello-a", "hello-a", "hello-a", "hello-a", "hello-a", "hello-a", "hello-b"}, 10},
		"a pod that nobody has known": {[]string{"hello-x"}, balanceTries},
	} {
		t.Run(name, func(t *testing.T) {
			var n atomic.Int32
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				fmt.Fprintf(w, "Hostname: %s\n", x.pods[int(n.Add(1)-1)%len(x.pods)])
			}))
			defer server.Close()
			client := clientTo(func(ctx context.Context) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, "tcp", server.Listener.Addr().String())
			})
			known := checks.Facts{Lab: config.Default()}
			known.Lab.Nodes = known.Lab.Nodes[:1]
			labels := map[string]string{"app": "hello"}
			known.Cluster.Services = checks.Known([]checks.Service{{Namespace: "default", Name: "hello-svc", Selector: labels}}, checks.Source{})
			var pods []checks.Pod
			for i, name := range []string{"hello-a", "hello-b"} {
				pods = append(pods, checks.Pod{
					Namespace: "default", Name: name, Node: known.Lab.Nodes[0].Name, Labels: labels,
					IP: netip.AddrFrom4([4]byte{10, 42, byte(i), 9}), Running: true, Ready: true,
				})
			}
			pods[1].Node = "elsewhere"
			known.Cluster.Pods = checks.Known(pods, checks.Source{})
			if items := probeNodePorts(t.Context(), client, known, make(gate, 2)); len(items) != x.want {
				t.Errorf("%d tries, want %d", len(items), x.want)
			}
		})
	}
}

// TestNodePortIsAskedForEveryPod: that all pods answer by one node says nothing of the others. A pod that a node never sends to, or that is
// out of its reach, is looked for there for long; in a large lab, where all nodes would have to be asked so often, it is not.
func TestNodePortIsAskedForEveryPod(t *testing.T) {
	for nodes, want := range map[int]int{2: nodePortTries, 12: 2} {
		known := checks.Facts{Lab: config.Default()}
		server := known.Lab.Nodes[0]
		for i := range nodes - len(known.Lab.Nodes) {
			n := server
			n.Name, n.Role, n.Address = fmt.Sprintf("x%d", i), config.RoleAgent, netip.AddrFrom4([4]byte{192, 168, 56, byte(100 + i)})
			known.Lab.Nodes = append(known.Lab.Nodes, n)
		}
		known.Lab.Nodes = known.Lab.Nodes[:nodes]
		labels := map[string]string{"app": "hello"}
		var pods []checks.Pod
		for i, name := range []string{"hello-a", "hello-b"} {
			pods = append(pods, checks.Pod{Namespace: "default", Name: name, Node: known.Lab.Nodes[i].Name, Labels: labels,
				IP: netip.AddrFrom4([4]byte{10, 42, byte(i), 9}), Running: true, Ready: true})
		}
		known.Cluster.Pods = checks.Known(pods, checks.Source{})
		known.Cluster.Services = checks.Known([]checks.Service{{Namespace: "default", Name: "hello-svc", Selector: labels}}, checks.Source{})
		var others atomic.Int32
		answer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			by := "hello-b" // all that the first node ever sends to
			if !strings.HasPrefix(r.Host, server.Address.String()+":") && others.Add(1)%2 == 1 {
				by = "hello-a"
			}
			fmt.Fprintf(w, "Hostname: %s\n", by)
		}))
		defer answer.Close()
		client := clientTo(func(ctx context.Context) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", answer.Listener.Addr().String())
		})
		asked := 0
		for _, i := range probeNodePorts(t.Context(), client, known, make(gate, 1)) {
			if strings.Contains(i.Command, server.Address.String()+":") {
				asked++
			}
		}
		if asked != want {
			t.Errorf("%d nodes: the first was asked %d times, want %d", nodes, asked, want)
		}
	}
}

func TestTries(t *testing.T) {
	for nodes, want := range map[int]int{0: 8, 1: 8, 3: 8, 4: 6, 12: 2, 50: 2} {
		if got := tries(&config.Lab{Nodes: make([]config.Node, nodes)}); got != want {
			t.Errorf("%d nodes: %d tries, want %d", nodes, got, want)
		}
	}
}
