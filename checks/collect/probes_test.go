package collect

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/labctl/labctl/checks"
)

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
