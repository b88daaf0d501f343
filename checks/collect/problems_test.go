package collect

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/labctl/labctl/checks"
)

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
