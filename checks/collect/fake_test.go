package collect

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/labctl/labctl/checks"
	"github.com/labctl/labctl/internal/config"
	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"
)

// fakeLab answers as the nodes of a recording do. Programs that it does not know fail.
type fakeLab struct {
	t        *testing.T
	lab      *config.Lab
	items    []Item
	programs map[string]func(node string, args []string, out, stderr io.Writer) int
	noExec   map[string]string // pods that no exec reaches, and why
	inPod    map[string]func(pod string, args []string, out io.Writer) int
	down     map[string]error                                            // nodes that cannot be reached
	hang     map[string]bool                                             // nodes that never answer a batch
	states   map[string]string                                           // of the nodes' machines; running where none is given
	noHTTPS  func(ctx context.Context, network string) (net.Conn, error) // instead of Traefik's second port

	mu     sync.Mutex
	ran    []string // "NODE: COMMAND"
	closed atomic.Int32
}

func newFakeLab(t *testing.T) *fakeLab {
	lab := config.Default()
	f := &fakeLab{t: t, lab: lab, items: recording(t, "k3s-v1.34.3", lab).Items, down: map[string]error{}, hang: map[string]bool{}}
	f.programs = map[string]func(string, []string, io.Writer, io.Writer) int{
		"date": func(_ string, _ []string, out, _ io.Writer) int {
			now := time.Now()
			fmt.Fprintf(out, "%d.%09d\n", now.Unix(), now.Nanosecond())
			return 0
		},
		"curl": func(_ string, args []string, out, _ io.Writer) int {
			if !strings.Contains(strings.Join(args, " "), "local_port") {
				fmt.Fprint(out, "200 0.001502")
				return 0
			}
			for i := range keptAnswers {
				fmt.Fprintf(out, "Hostname: hello-6d4b75cb6d-mn9cd\nIP: 10.42.1.10\nGET / HTTP/1.1\n\n51344 %d\n", max(1-i, 0))
			}
			return 0
		},
		"conntrack": func(_ string, _ []string, out, stderr io.Writer) int {
			fmt.Fprintln(out, "tcp      6 119 TIME_WAIT src=192.168.56.10 dst=10.43.45.254 sport=51344 dport=80 src=10.42.1.10 dst=10.42.0.0 sport=8080 dport=51344 [ASSURED] mark=0 use=1")
			fmt.Fprintln(stderr, "conntrack v1.4.6 (conntrack-tools): 1 flow entries have been shown.")
			return 0
		},
		"kubectl": func(_ string, args []string, out, _ io.Writer) int {
			if args[0] != "logs" {
				return 1
			}
			fmt.Fprintln(out, "start worker process 30")
			return 0
		},
	}
	f.inPod = map[string]func(pod string, args []string, out io.Writer) int{
		"hostname": func(pod string, _ []string, out io.Writer) int { fmt.Fprintln(out, pod); return 0 },
		"wget": func(_ string, _ []string, out io.Writer) int {
			fmt.Fprintln(out, "<title>Welcome to nginx!</title>")
			return 0
		},
		"nslookup": func(_ string, args []string, out io.Writer) int {
			fmt.Fprintf(out, "Server:\t\t10.43.0.10\nAddress:\t10.43.0.10:53\n\nName:\t%s\nAddress: 10.43.31.179\n\n", args[0])
			return 0
		},
	}
	return f
}

// exec runs a script in a pod.
func (f *fakeLab) exec(ctx context.Context, pod string, stdin io.Reader, out io.Writer) error {
	program, err := syntax.NewParser(syntax.Variant(syntax.LangPOSIX)).Parse(stdin, "pod")
	if err != nil {
		return err
	}
	sh, err := interp.New(interp.StdIO(nil, out, out), interp.ExecHandlers(func(interp.ExecHandlerFunc) interp.ExecHandlerFunc {
		return func(ctx context.Context, args []string) error {
			io := interp.HandlerCtx(ctx)
			if p := f.inPod[args[0]]; p != nil {
				return exitStatus(p(pod, args[1:], io.Stdout))
			}
			fmt.Fprintf(io.Stderr, "sh: %s: not found\n", args[0])
			return exitStatus(127)
		}
	}))
	if err != nil {
		return err
	}
	return sh.Run(ctx, program)
}

func (f *fakeLab) connect(_ context.Context, node string) (Runner, io.Closer, error) {
	if err := f.down[node]; err != nil {
		return nil, nil, err
	}
	return runnerFunc(func(ctx context.Context, command string, stdin io.Reader) ([]byte, []byte, error) {
		if command != shell {
			f.t.Errorf("%s is asked to run %q", node, command)
		}
		if f.hang[node] {
			<-ctx.Done()
			return nil, nil, ctx.Err()
		}
		return f.run(ctx, node, stdin)
	}), closerFunc(func() error { f.closed.Add(1); return nil }), nil
}

type closerFunc func() error

func (f closerFunc) Close() error { return f() }

// run runs a batch in the shell interpreter.
func (f *fakeLab) run(ctx context.Context, node string, stdin io.Reader) (stdout, stderr []byte, err error) {
	program, err := syntax.NewParser(syntax.Variant(syntax.LangPOSIX)).Parse(stdin, "batch")
	if err != nil {
		return nil, nil, err
	}
	handler := func(interp.ExecHandlerFunc) interp.ExecHandlerFunc {
		return func(ctx context.Context, args []string) error {
			io := interp.HandlerCtx(ctx)
			if args[0] == "timeout" {
				args = args[2:]
			}
			line := strings.Join(args, " ")
			f.mu.Lock()
			f.ran = append(f.ran, node+": "+line)
			f.mu.Unlock()
			for _, i := range f.items {
				if i.Where == node && i.Command == line {
					io.Stdout.Write(i.Stdout)
					io.Stderr.Write(i.Stderr)
					return exitStatus(i.Exit)
				}
			}
			if strings.HasPrefix(line, "kubectl exec -i ") {
				if why := f.noExec[args[5]]; why != "" {
					fmt.Fprintln(io.Stderr, why)
					return exitStatus(1)
				}
				return f.exec(ctx, args[5], io.Stdin, io.Stdout)
			}
			if p := f.programs[args[0]]; p != nil {
				return exitStatus(p(node, args[1:], io.Stdout, io.Stderr))
			}
			fmt.Fprintf(io.Stderr, "sh: %s: not found\n", args[0])
			return exitStatus(127)
		}
	}
	var out, errs bytes.Buffer
	sh, err := interp.New(interp.StdIO(nil, &out, &errs), interp.ExecHandlers(handler))
	if err != nil {
		return nil, nil, err
	}
	err = sh.Run(ctx, program)
	return out.Bytes(), errs.Bytes(), err
}

func exitStatus(n int) error {
	if n == 0 {
		return nil
	}
	return interp.ExitStatus(n)
}

func (f *fakeLab) state(node string) string {
	if s := f.states[node]; s != "" {
		return s
	}
	return "running"
}

func (f *fakeLab) NICs(_ context.Context, node string) ([]checks.NIC, string, error) {
	i := slices.IndexFunc(f.lab.Nodes, func(n config.Node) bool { return n.Name == node })
	return []checks.NIC{
		{Slot: 1, Kind: "nat", MAC: checks.MAC(fmt.Sprintf("08:00:27:37:bf:e%d", i)), Cable: true},
		{Slot: 2, Kind: "hostonly", Network: "vboxnet0", MAC: checks.MAC(fmt.Sprintf("08:00:27:cf:71:1%d", i)), Cable: true},
	}, f.state(node), nil
}

// http returns a client as of a host: NodePorts answer as whoami does, ClusterIPs have no route.
func (f *fakeLab) http() *http.Client {
	next := map[string]*atomic.Int32{"another": {}} // behind each address the pods take turns
	for _, n := range f.lab.Nodes {
		next[n.Address.String()] = new(atomic.Int32)
	}
	pods := slices.Sorted(maps.Keys(Parse(recording(f.t, "k3s-v1.34.3", f.lab)).HelloPods()))
	whoami := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked, _, _ := strings.Cut(r.Host, ":")
		if next[asked] == nil {
			asked = "another"
		}
		fmt.Fprintf(w, "Hostname: %s\nIP: 127.0.0.1\nRemoteAddr: 10.42.0.1:51344\nGET %s HTTP/1.1\nHost: %s\n", pods[int(next[asked].Add(1))%len(pods)], r.URL.RequestURI(), r.Host)
	}))
	f.t.Cleanup(whoami.Close)
	routes := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Host != checks.IngressHost {
			http.NotFound(w, r)
			return
		}
		whoami.Config.Handler.ServeHTTP(w, r)
	})
	hostNet := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "Hostname: cp1") }))
	f.t.Cleanup(hostNet.Close)
	traefik, secure := httptest.NewServer(routes), httptest.NewTLSServer(routes)
	f.t.Cleanup(traefik.Close)
	f.t.Cleanup(secure.Close)
	return &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		host, port, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		at := map[string]*httptest.Server{"31885": whoami, "80": traefik, "31300": traefik, "443": secure, "31309": secure}[port]
		if port == "8090" && f.lab.Server().Address.String() == host {
			at = hostNet
		} else if port == "8090" {
			return nil, &net.OpError{Op: "dial", Net: network, Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
		}
		if f.noHTTPS != nil && at == secure {
			return f.noHTTPS(ctx, network)
		}
		if at != nil && strings.HasPrefix(host, "192.168.56.") {
			return new(net.Dialer).DialContext(ctx, network, at.Listener.Addr().String())
		}
		return nil, &net.OpError{Op: "dial", Net: network, Err: os.NewSyscallError("connect", syscall.ENETUNREACH)}
	}}}
}

func (f *fakeLab) options() Options {
	return Options{
		Lab: f.lab, Connect: f.connect, HTTP: f.http(), Machines: f, Manifests: []byte("kind: Namespace\n"), Timeout: 20 * time.Second, Step: func(string) {},
		HostRoutes: func(context.Context) ([]byte, error) {
			return []byte(`[{"dst":"192.168.56.0/24","dev":"vboxnet0","protocol":"kernel","scope":"link","prefsrc":"192.168.56.1","flags":[]}]`), nil
		},
	}
}

// verdicts collects, parses and evaluates, and returns each check's status.
func verdicts(t *testing.T, o Options) (map[string]checks.Verdict, *Evidence) {
	t.Helper()
	e, err := Collect(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]checks.Verdict{}
	for _, v := range checks.Evaluate(Parse(e), checks.Catalogue()).Verdicts {
		out[v.ID] = v
	}
	return out, e
}
