package collect

import (
	"bytes"
	"context"
	"errors"
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

	"github.com/google/go-cmp/cmp"
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
	down     map[string]error  // nodes that cannot be reached
	hang     map[string]bool   // nodes that never answer a batch
	states   map[string]string // of the nodes' machines; running where none is given

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
	var next atomic.Int32
	pods := slices.Sorted(maps.Keys(Parse(recording(f.t, "k3s-v1.34.3", f.lab)).HelloPods()))
	whoami := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "Hostname: %s\nIP: 127.0.0.1\nRemoteAddr: 10.42.0.1:51344\nGET %s HTTP/1.1\nHost: %s\n", pods[int(next.Add(1))%len(pods)], r.URL.RequestURI(), r.Host)
	}))
	f.t.Cleanup(whoami.Close)
	traefik, secure := httptest.NewServer(http.NotFoundHandler()), httptest.NewTLSServer(http.NotFoundHandler())
	f.t.Cleanup(traefik.Close)
	f.t.Cleanup(secure.Close)
	return &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		host, port, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		at := map[string]*httptest.Server{"31885": whoami, "80": traefik, "31300": traefik, "443": secure, "31309": secure}[port]
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

func TestHealthyLab(t *testing.T) {
	f := newFakeLab(t)
	got, e := verdicts(t, f.options())
	for id, v := range got {
		if v.Status != checks.Pass && id != "proxy.ipvs-node-addresses" && id != "proxy.virtual-servers" {
			t.Errorf("%s is %s: %s", id, v.Status, v.Actual)
		}
	}
	if n := f.closed.Load(); n != 3 {
		t.Errorf("%d connections were closed, want 3", n)
	}
	for _, i := range e.Items {
		if i.Started.IsZero() || i.Where == "" || i.Command == "" {
			t.Errorf("an item is incomplete: %+v", i)
		}
	}
	count := map[string]int{}
	for _, i := range e.Items {
		count[i.Where]++
	}
	// 10 commands, 8 tries and the control for each node; on the server the cluster, what would be applied, a connection that is kept and
	// conntrack's word, and for each of 3 pods 5 commands and twice 8 tries; 8 tries for each NodePort, Traefik's 4 ports on each node,
	// 24 tries of the ClusterIP, routes.
	want := map[string]int{"cp1": 86, "w1": 19, "w2": 19, checks.Host: 61, VirtualBox: 3}
	if diff := cmp.Diff(want, count); diff != "" {
		t.Errorf("items (-want +got)\n%s", diff)
	}
}

func TestNodeThatCannotBeReached(t *testing.T) {
	f := newFakeLab(t)
	f.down["w2"] = errors.New("dial tcp 192.168.56.12:22: connect: no route to host")
	got, _ := verdicts(t, f.options())
	for id, want := range map[string]checks.Status{
		"net.host-only-address": checks.Unknown, "pod.routes": checks.Unknown, "svc.from-nodes": checks.Unknown, "svc.virtual": checks.Unknown,
		"cluster.ready": checks.Pass, "net.internal-ip": checks.Pass, "svc.from-pods": checks.Pass, "svc.isolated": checks.Pass, "demo.web": checks.Pass,
	} {
		if v := got[id]; v.Status != want {
			t.Errorf("%s is %s, want %s: %s", id, v.Status, want, v.Actual)
		}
	}
	if v := got["net.host-only-address"]; v.Actual != "w2: it does not answer" {
		t.Errorf("it is said to be unknown because %q", v.Actual)
	}
	if v := got["svc.from-nodes"]; !strings.Contains(v.Actual, "w2: it does not answer") {
		t.Errorf("it is said to be unknown because %q", v.Actual)
	}
}

func TestServerThatCannotBeReached(t *testing.T) {
	f := newFakeLab(t)
	f.down["cp1"] = errors.New("dial tcp 192.168.56.10:22: i/o timeout")
	got, e := verdicts(t, f.options())
	for id, want := range map[string]checks.Status{"net.internal-ip": checks.Unknown, "svc.isolated": checks.Unknown, "nodeport.answers": checks.Pass} {
		if v := got[id]; v.Status != want {
			t.Errorf("%s is %s, want %s: %s", id, v.Status, want, v.Actual)
		}
	}
	if v := got["net.internal-ip"]; !strings.Contains(v.Actual, "cp1: it does not answer") {
		t.Errorf("it is said to be unknown because %q", v.Actual)
	}
	if _, ok := e.find("w1", cmdAddr); !ok {
		t.Error("w1 was not asked")
	}
}

// Without the server's word there is no verdict on the cluster, and none passes by default.
func TestKubectlThatFails(t *testing.T) {
	f := newFakeLab(t)
	f.items = slices.DeleteFunc(f.items, func(i Item) bool { return i.Command == cmdCluster })
	f.programs["kubectl"] = func(_ string, _ []string, _, stderr io.Writer) int {
		fmt.Fprintln(stderr, "The connection to the server 127.0.0.1:6443 was refused - did you specify the right host or port?")
		return 1
	}
	got, _ := verdicts(t, f.options())
	for _, id := range []string{"cluster.ready", "net.internal-ip", "pod.cidr", "svc.endpoints", "demo.web", "svc.isolated"} {
		if v := got[id]; v.Status != checks.Unknown || !strings.Contains(v.Actual, "127.0.0.1:6443 was refused") {
			t.Errorf("%s is %s: %s", id, v.Status, v.Actual)
		}
	}
}

func TestProbesThatFail(t *testing.T) {
	f := newFakeLab(t)
	var tries atomic.Int32
	f.programs["curl"] = func(node string, args []string, out, stderr io.Writer) int {
		if node == "w1" && args[len(args)-1] == "http://10.43.31.179/" && tries.Add(1) == 3 {
			fmt.Fprint(out, "000 5.000817")
			fmt.Fprintln(stderr, "curl: (28) Connection timed out after 5000 milliseconds")
			return 28
		}
		fmt.Fprint(out, "200 0.001")
		return 0
	}
	f.inPod["wget"] = func(pod string, _ []string, out io.Writer) int {
		if pod == "labctl-probe-x1x1x" {
			fmt.Fprintln(out, "wget: download timed out")
			return 1
		}
		fmt.Fprintln(out, "<title>")
		return 0
	}
	f.noExec = map[string]string{"labctl-probe-x2x2x": "error: unable to upgrade connection: proxy error from 127.0.0.1:6443 while dialing 10.0.2.15:10250, code 502: 502 Bad Gateway"}
	got, _ := verdicts(t, f.options())
	if v := got["svc.from-nodes"]; v.Status != checks.Fail || v.Actual != "w1: 10.43.31.179:80 timed out" {
		t.Errorf("svc.from-nodes is %s: %s", v.Status, v.Actual)
	}
	if n := tries.Load(); n != 3 {
		t.Errorf("w1 tried %d times, want 3: up to the first that fails", n)
	}
	v := got["svc.from-pods"]
	if v.Status != checks.Fail || v.Actual != "w1: 10.43.31.179:80 timed out\nw2: its pod cannot be asked: kubectl exec fails: "+f.noExec["labctl-probe-x2x2x"] {
		t.Errorf("svc.from-pods is %s: %s", v.Status, v.Actual)
	}
}

// A pod meets another pod of the service with each try: one that fails among good ones is a finding.
func TestTriesOfPods(t *testing.T) {
	for name, asked := range map[string]string{"svc.from-pods": "http://10.43.31.179/", "svc.by-name": "http://" + checks.WebName + "/"} {
		f := newFakeLab(t)
		var tries atomic.Int32
		f.inPod["wget"] = func(pod string, args []string, out io.Writer) int {
			if pod == "labctl-probe-x1x1x" && args[len(args)-1] == asked && tries.Add(1) == 5 {
				fmt.Fprintln(out, "wget: download timed out")
				return 1
			}
			fmt.Fprintln(out, "<title>")
			return 0
		}
		got, _ := verdicts(t, f.options())
		for id, v := range got {
			switch {
			case id == name && (v.Status != checks.Fail || !strings.HasPrefix(v.Actual, "w1: ") || !strings.HasSuffix(v.Actual, " timed out")):
				t.Errorf("%s is %s: %s", id, v.Status, v.Actual)
			case id != name && v.Status == checks.Fail:
				t.Errorf("%s is %s too: %s", id, v.Status, v.Actual)
			}
		}
		if n := tries.Load(); n != 5 {
			t.Errorf("%s: %d tries, want 5: up to the first that fails", name, n)
		}
	}
}

// What the API server answers to an exec is a finding; that it does not answer, or is not well itself, is not one about the pod.
func TestExecThatIsRefused(t *testing.T) {
	dependent := []string{"svc.from-pods", "svc.by-name", "dns.resolves", "pod.reach"}
	for why, want := range map[string]checks.Status{
		"Error from server: error dialing backend: dial tcp 192.168.56.12:10250: connect: no route to host":                                                      checks.Fail,
		"Error from server: error dialing backend: proxy error from 127.0.0.1:6443 while dialing 192.168.56.12:10250, code 502: 502 Bad Gateway":                 checks.Fail,
		"error: unable to upgrade connection: pod does not exist":                                                                                                checks.Fail,
		`Error from server (NotFound): pods "labctl-probe-x2x2x" not found`:                                                                                      checks.Fail,
		"error: Internal error occurred: error executing command in container: container is not running":                                                         checks.Fail,
		"The connection to the server 127.0.0.1:6443 was refused - did you specify the right host or port?":                                                      checks.Unknown,
		"Unable to connect to the server: net/http: TLS handshake timeout":                                                                                       checks.Unknown,
		"Error from server (Timeout): the server was unable to return a response in the time allotted, but may still be processing the request (get pods x2x2x)": checks.Unknown,
		"Error from server: etcdserver: request timed out":                                                                                                       checks.Unknown,
		"error: You must be logged in to the server (Unauthorized)":                                                                                              checks.Unknown,
		"sh: kubectl: not found": checks.Unknown,
	} {
		f := newFakeLab(t)
		f.noExec = map[string]string{"labctl-probe-x2x2x": why}
		got, _ := verdicts(t, f.options())
		for _, id := range dependent {
			if v := got[id]; v.Status != want || !strings.Contains(v.Actual, why) {
				t.Errorf("%s: %s is %s, want %s: %s", why, id, v.Status, want, v.Actual)
			}
		}
	}
	for name, i := range map[string]Item{
		"it hung":                     {Exit: exitTimeout, Stderr: []byte("error: unable to upgrade connection: x\n")},
		"it was not run":              {Err: "no answer", Stderr: []byte("error: unable to upgrade connection: x\n")},
		"the program in the pod said": {Exit: 1, Stderr: []byte("error: unable to upgrade connection: x\n" + inPod + " 1\n")},
		"it went well":                {Stderr: []byte("error: unable to upgrade connection: x\n")},
	} {
		if got := execRefusal(i); got != "" {
			t.Errorf("%s: taken for a refusal: %s", name, got)
		}
	}
}

// A node that runs none of labctl's pods is broken, though nobody could be asked there.
func TestNodeWithoutProbePod(t *testing.T) {
	f := newFakeLab(t)
	for n, i := range f.items {
		if i.Command == cmdCluster {
			f.items[n].Stdout = bytes.ReplaceAll(i.Stdout, []byte("labctl-probe-x2x2x"), []byte("another-x2x2x"))
		}
	}
	got, _ := verdicts(t, f.options())
	for _, id := range []string{"cluster.logs", "cluster.exec", "svc.from-pods", "svc.by-name", "dns.resolves", "pod.reach"} {
		if v := got[id]; v.Status != checks.Fail || v.Actual != "w2: no pod of labctl/labctl-probe runs there" {
			t.Errorf("%s is %s: %s", id, v.Status, v.Actual)
		}
	}
}

// The control of the isolation probe needs one node that reaches the service, and not at the first try.
func TestControlOfIsolation(t *testing.T) {
	for name, x := range map[string]struct {
		answers func(node string, try int32) bool
		tries   int32
		want    checks.Status
	}{
		"cp1 alone is cut off":      {func(node string, _ int32) bool { return node != "cp1" }, controlTries + 2, checks.Pass},
		"w2 answers at the end":     {func(node string, try int32) bool { return node == "w2" && try == controlTries }, 3 * controlTries, checks.Pass},
		"no node reaches it":        {func(string, int32) bool { return false }, 3 * controlTries, checks.Unknown},
		"every node has it at once": {func(string, int32) bool { return true }, 3, checks.Pass},
	} {
		f := newFakeLab(t)
		tries := map[string]*atomic.Int32{"cp1": {}, "w1": {}, "w2": {}}
		curl := f.programs["curl"]
		f.programs["curl"] = func(node string, args []string, out, stderr io.Writer) int {
			if args[len(args)-1] == "http://10.43.45.254/" && !strings.Contains(strings.Join(args, " "), "local_port") && !x.answers(node, tries[node].Add(1)) {
				fmt.Fprint(out, "000 5.000817")
				return curlTimedOut
			}
			return curl(node, args, out, stderr)
		}
		got, _ := verdicts(t, f.options())
		if v := got["svc.isolated"]; v.Status != x.want {
			t.Errorf("%s: svc.isolated is %s: %s", name, v.Status, v.Actual)
		}
		if n := tries["cp1"].Load() + tries["w1"].Load() + tries["w2"].Load(); n != x.tries {
			t.Errorf("%s: %d tries, want %d", name, n, x.tries)
		}
	}
}

// A connection to a pod that cannot be reached is none: another one is tried. One that was established and then broke counts.
func TestKeptConnectionIsTriedAgain(t *testing.T) {
	for name, x := range map[string]struct {
		failing int32
		partly  bool
		tries   int32
		want    checks.Status
		actual  string
	}{
		"at once":                    {0, false, 1, checks.Pass, ""},
		"at the third try":           {2, false, 3, checks.Pass, ""},
		"at the last try":            {keptTries - 1, false, keptTries, checks.Pass, ""},
		"never":                      {keptTries, false, keptTries, checks.Fail, "10.43.45.254:80: no answer: curl: (28) Connection timed out"},
		"it breaks after one answer": {1, true, 2, checks.Fail, "10.43.45.254:80: no answer: curl: (28) Connection timed out"},
	} {
		f := newFakeLab(t)
		var tries atomic.Int32
		curl := f.programs["curl"]
		f.programs["curl"] = func(node string, args []string, out, stderr io.Writer) int {
			if !strings.Contains(strings.Join(args, " "), "local_port") || tries.Add(1) > x.failing {
				return curl(node, args, out, stderr)
			}
			if x.partly {
				fmt.Fprintln(out, "Hostname: hello-6d4b75cb6d-mn9cd\n\n51340 1")
			}
			fmt.Fprintln(out, "\n0 0")
			fmt.Fprintln(stderr, "curl: (28) Connection timed out after 2001 milliseconds")
			return curlTimedOut
		}
		got, _ := verdicts(t, f.options())
		if v := got["proxy.conntrack"]; v.Status != x.want || !strings.HasPrefix(v.Actual, x.actual) {
			t.Errorf("%s: proxy.conntrack is %s: %s", name, v.Status, v.Actual)
		}
		if n := tries.Load(); n != x.tries {
			t.Errorf("%s: %d tries, want %d", name, n, x.tries)
		}
	}
}

// A ClusterIP that answers the host is found by the nonce that comes back.
func TestClusterIPThatAnswersTheHost(t *testing.T) {
	f := newFakeLab(t)
	o := f.options()
	transport := o.HTTP.Transport.(*http.Transport)
	dial := transport.DialContext
	transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		return dial(ctx, network, strings.Replace(address, "10.43.45.254:80", "192.168.56.10:31885", 1))
	}
	got, _ := verdicts(t, o)
	if v := got["svc.isolated"]; v.Status != checks.Fail || v.Actual != "10.43.45.254:80 answers, with our nonce" {
		t.Errorf("svc.isolated is %s: %s", v.Status, v.Actual)
	}
}

// Of a ClusterIP that leaks, some pods may be out of reach: one that answers among many tries is enough, and each try has its own nonce.
func TestClusterIPThatSeldomAnswersTheHost(t *testing.T) {
	f := newFakeLab(t)
	o := f.options()
	transport := o.HTTP.Transport.(*http.Transport)
	dial := transport.DialContext
	var tries atomic.Int32
	transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		if address == "10.43.45.254:80" && tries.Add(1) == 20 {
			address = "192.168.56.10:31885"
		}
		return dial(ctx, network, address)
	}
	got, e := verdicts(t, o)
	if v := got["svc.isolated"]; v.Status != checks.Fail || v.Actual != "10.43.45.254:80 answers, with our nonce" {
		t.Errorf("svc.isolated is %s: %s", v.Status, v.Actual)
	}
	asked := map[string]bool{}
	for _, i := range e.Items {
		if strings.Contains(i.Command, "?nonce=") {
			asked[i.Command] = true
		}
	}
	if len(asked) != 24 || tries.Load() != 24 {
		t.Errorf("%d tries with %d nonces, want 24", tries.Load(), len(asked))
	}
}

func TestOptionsThatAreMissing(t *testing.T) {
	f := newFakeLab(t)
	if _, err := Collect(t.Context(), Options{Lab: f.lab}); err == nil {
		t.Error("without a way to connect: no error")
	}
	if _, err := Collect(t.Context(), Options{Connect: f.connect}); err == nil {
		t.Error("without a lab: no error")
	}
	got, _ := verdicts(t, Options{Lab: f.lab, Connect: f.connect})
	for id, want := range map[string]checks.Status{
		"net.nics": checks.Unknown, "nodeport.answers": checks.Unknown, "svc.isolated": checks.Unknown, "svc.from-nodes": checks.Pass,
	} {
		if v := got[id]; v.Status != want {
			t.Errorf("%s is %s, want %s: %s", id, v.Status, want, v.Actual)
		}
	}
}

func TestMachinesThatFail(t *testing.T) {
	f := newFakeLab(t)
	o := f.options()
	o.Machines = brokenMachines{}
	o.HostRoutes = func(context.Context) ([]byte, error) { return nil, errors.New("no ip here") }
	got, _ := verdicts(t, o)
	if v := got["net.nics"]; v.Status != checks.Unknown || !strings.Contains(v.Actual, "VBoxManage: not installed") {
		t.Errorf("net.nics is %s: %s", v.Status, v.Actual)
	}
	if v := got["svc.isolated"]; v.Status != checks.Pass {
		t.Errorf("svc.isolated needs no routes of the host: %s: %s", v.Status, v.Actual)
	}
}

type brokenMachines struct{}

func (brokenMachines) NICs(context.Context, string) ([]checks.NIC, string, error) {
	return nil, "", errors.New("VBoxManage: not installed")
}

// A node that hangs is given up after the timeout, with the others' answers kept.
func TestNodeThatHangs(t *testing.T) {
	f := newFakeLab(t)
	f.hang["w1"] = true
	o := f.options()
	o.Timeout = 100 * time.Millisecond
	// The others need no time limit that a busy machine could miss: only w1 waits for it.
	connect := o.Connect
	o.Connect = func(ctx context.Context, node string) (Runner, io.Closer, error) {
		r, closer, err := connect(ctx, node)
		if node != "w1" && err == nil {
			inner := r
			r = runnerFunc(func(_ context.Context, command string, stdin io.Reader) ([]byte, []byte, error) {
				return inner.Outputs(t.Context(), command, stdin)
			})
		}
		return r, closer, err
	}
	got, _ := verdicts(t, o)
	if v := got["net.nat-address"]; v.Status != checks.Unknown || v.Actual != "w1: context deadline exceeded" {
		t.Errorf("net.nat-address is %s: %s", v.Status, v.Actual)
	}
	if v := got["cluster.ready"]; v.Status != checks.Pass {
		t.Errorf("cluster.ready is %s: %s", v.Status, v.Actual)
	}
}

func TestInterrupted(t *testing.T) {
	f := newFakeLab(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Collect(ctx, f.options()); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want the context's", err)
	}
}

// Fifty nodes are asked side by side: all of them are at it at once.
func TestFiftyNodesAtOnce(t *testing.T) {
	lab := config.Default()
	lab.Nodes = lab.Nodes[:1]
	address := lab.Nodes[0].Address
	for i := 1; i < 50; i++ {
		address = address.Next()
		lab.Nodes = append(lab.Nodes, config.Node{Name: fmt.Sprintf("w%d", i), Role: config.RoleAgent, Address: address})
	}
	var inside atomic.Int32
	all := make(chan struct{})
	o := Options{Lab: lab, Timeout: 20 * time.Second, Connect: func(ctx context.Context, node string) (Runner, io.Closer, error) {
		if inside.Add(1) == 50 {
			close(all)
		}
		select {
		case <-all:
			return nil, nil, errors.New("refused")
		case <-ctx.Done():
			return nil, nil, fmt.Errorf("only %d nodes are asked at once", inside.Load())
		}
	}}
	e, err := Collect(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if len(e.Items) != 50 {
		t.Errorf("%d items, want 50", len(e.Items))
	}
	for _, i := range e.Items {
		if i.Err != "refused" {
			t.Fatalf("%s: %s", i.Where, i.Err)
		}
	}
}

// A pod's name goes into a command that root runs: one that Kubernetes would not accept is not used.
func TestHostilePodNames(t *testing.T) {
	lab := config.Default()
	from := checks.Source{}
	for name, want := range map[string]int{
		"labctl-probe-x1x1x": 2, "labctl-probe-$(reboot)": 0, "labctl-probe-x; reboot": 0, "labctl-probe-x\nreboot": 0, "labctl-probe-": 0, "other-x1x1x": 0,
	} {
		f := checks.Facts{Lab: lab, Cluster: checks.Cluster{Pods: checks.Known([]checks.Pod{{Namespace: "labctl", Name: name, Node: "w1", Ready: true, Running: true}}, from)}}
		if got := podBatch(f, mustTarget(t, "http://10.43.31.179/")); len(got) != want {
			t.Errorf("%q gives %d commands, want %d", name, len(got), want)
		}
	}
}

// Every command that a report names can be typed as it stands: by somebody who is not root, with nothing on standard input, and beside a
// proxy in the environment.
func TestReportedCommandsCanBeTyped(t *testing.T) {
	for _, mode := range []config.ProxyMode{config.ProxyIPTables, config.ProxyIPVS} {
		f := newFakeLab(t)
		o := f.options()
		lab := *o.Lab
		lab.K3s.KubeProxyMode = mode
		o.Lab = &lab
		evidence, err := Collect(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		seen := map[string]bool{}
		for _, v := range checks.Evaluate(Parse(evidence), checks.Catalogue()).Verdicts {
			for _, e := range v.Evidence {
				words := strings.Fields(e.Command)
				if len(words) == 0 {
					t.Fatalf("%s: evidence without a command", v.ID)
				}
				seen[words[0]] = true
				switch {
				case slices.Contains([]string{"iptables-save", "iptables-legacy-save", "ipvsadm", "conntrack", "grep"}, words[0]):
					t.Errorf("%s: %q takes root", v.ID, e.Command)
				case words[0] == "sudo" && words[1] == "conntrack":
					t.Errorf("%s: %q is not in root's PATH", v.ID, e.Command)
				case strings.HasSuffix(e.Command, " -f -"), strings.Contains(e.Command, "--request-timeout"), strings.Count(e.Command, ",") > 0 && words[0] == "kubectl":
					t.Errorf("%s: %q is not what people type", v.ID, e.Command)
				case words[0] == "curl" && e.Where == checks.Host && !strings.Contains(e.Command, "--noproxy '*'"):
					t.Errorf("%s: %q asks a proxy", v.ID, e.Command)
				}
			}
		}
		for _, program := range []string{"sudo", "kubectl", "curl"} {
			if !seen[program] {
				t.Errorf("%s: no evidence is of %s: this test reaches nothing", mode, program)
			}
		}
	}
}

func TestShown(t *testing.T) {
	for command, want := range map[string]string{
		"ip -j addr":                          "ip -j addr",
		cmdNAT:                                "sudo iptables-save -t nat",
		"sudo " + cmdNAT:                      "sudo iptables-save -t nat",
		cmdIPVS:                               "sudo ipvsadm -Ln",
		cmdIPVSProc:                           "cat /proc/net/ip_vs",
		"conntrack -L -p tcp":                 "sudo /var/lib/rancher/k3s/data/current/bin/aux/conntrack -L -p tcp",
		"grep 'dst=1' /proc/net/nf_conntrack": "sudo grep 'dst=1' /proc/net/nf_conntrack",
	} {
		if got := shown(command); got != want {
			t.Errorf("%q is shown as %q, want %q", command, got, want)
		}
	}
}

// What keeps everything from being known is told once, with the command that mends it, and nothing fails for it.
func TestProblemsAreToldOnce(t *testing.T) {
	refused := errors.New(`node answers neither on 192.168.56.10 (no route to host) nor through its NAT rule (connection refused)`)
	noKubectl := func(_ string, _ []string, _, stderr io.Writer) int {
		fmt.Fprintln(stderr, "sh: kubectl: not found")
		return 127
	}
	for name, x := range map[string]struct {
		change   func(*fakeLab)
		problems []checks.Problem
		status   map[string]checks.Status
	}{
		"all are off": {func(f *fakeLab) {
			for _, n := range f.lab.Nodes {
				f.down[n.Name], f.states[n.Name] = refused, "poweroff"
			}
		}, []checks.Problem{{What: "cp1, w1, w2: the machines are off", Next: "start"}},
			map[string]checks.Status{"cluster.ready": checks.Unknown, "net.nics": checks.Unknown, "nodeport.answers": checks.Unknown, "demo.unchanged": checks.Unknown}},
		"one is off": {func(f *fakeLab) { f.down["w2"], f.states["w2"] = refused, "aborted" },
			[]checks.Problem{{What: "w2: the machine is off", Next: "start"}}, map[string]checks.Status{"net.nat-address": checks.Unknown, "cluster.ready": checks.Pass}},
		"one does not answer": {func(f *fakeLab) { f.down["w2"] = refused },
			[]checks.Problem{{What: "w2: the node does not answer", Detail: []string{"w2: " + refused.Error()}, Next: "status"}}, map[string]checks.Status{"net.nat-address": checks.Unknown}},
		"k3s is not there": {func(f *fakeLab) {
			f.items = slices.DeleteFunc(f.items, func(i Item) bool { return i.Command == cmdCluster })
			f.programs["kubectl"] = noKubectl
		},
			[]checks.Problem{{What: "cp1: k3s is not there", Detail: []string{"cp1: " + cmdCluster + ": exit status 127: sh: kubectl: not found"}, Next: "up"}},
			map[string]checks.Status{"net.nat-address": checks.Pass, "cluster.ready": checks.Unknown}},
		"all is well": {func(*fakeLab) {}, nil, map[string]checks.Status{"net.nat-address": checks.Pass, "nodeport.answers": checks.Pass}},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFakeLab(t)
			f.states = map[string]string{}
			x.change(f)
			o := f.options()
			if len(f.down) == len(f.lab.Nodes) {
				o.HTTP = &http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
					return nil, &net.OpError{Op: "dial", Err: syscall.EHOSTUNREACH}
				}}}
			}
			evidence, err := Collect(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			// A service that no longer answers is still probed where its address is known beforehand.
			for _, n := range f.lab.Nodes {
				if len(f.down) == len(f.lab.Nodes) {
					evidence.Items = append(evidence.Items, Item{Where: checks.Host, Exit: curlNotConnected, Stderr: []byte("no route to host\n"),
						Command: `curl -sS --noproxy '*' -m 5 -w '\n%{http_code} %{time_total}\n' 'http://` + n.Address.String() + `:31885/'`, Stdout: []byte("\n000 0.001\n")})
				}
			}
			rep := checks.Evaluate(Parse(evidence), checks.Catalogue())
			got := slices.Clone(rep.Problems)
			for i := range got {
				if len(got[i].Told) == 0 {
					t.Errorf("%q: verdicts tell nothing of it", got[i].What)
				}
				got[i].Told = nil
			}
			if diff := cmp.Diff(x.problems, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			for _, v := range rep.Verdicts {
				if want, ok := x.status[v.ID]; ok && v.Status != want {
					t.Errorf("%s is %s, want %s: %s", v.ID, v.Status, want, v.Actual)
				}
				if v.Status == checks.Fail && len(x.problems) > 0 && name != "k3s is not there" {
					t.Errorf("%s fails: %s", v.ID, v.Actual)
				}
				for line := range strings.Lines(v.Actual) {
					if len(line) > 120 && strings.Contains(line, "NAT rule") {
						t.Errorf("%s repeats it: %s", v.ID, line)
					}
				}
			}
		})
	}
}
