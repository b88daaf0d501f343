package k3s

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestJoinToken(t *testing.T) {
	r := newTestNode(t)
	if _, err := JoinToken(t.Context(), r); err == nil {
		t.Error("no file: no error")
	}
	r.write(tokenPath, joinToken+"\n")
	if token, err := JoinToken(t.Context(), r); err != nil || token != joinToken {
		t.Errorf("got %q, %v", token, err)
	}
	for _, bad := range []string{"", "\n", secret, joinToken + " " + secret, "K10" + secret + "::server:" + secret} {
		r.write(tokenPath, bad)
		token, err := JoinToken(t.Context(), r)
		if err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("%q: got %q, error %v", bad, token, err)
		}
	}
}

func TestNodesReady(t *testing.T) {
	recorded := testdata(t, "nodes.txt")
	const missing = "it has not registered yet"
	for _, test := range []struct{ name, nodes, node, want string }{
		{"recorded", recorded, "w1", ""},
		{"not registered", recorded, "w3", missing},
		{"no nodes", `{"items":[]}`, "w1", missing},
		{"no conditions", `{"items":[{"metadata":{"name":"w1"}}]}`, "w1", "it has not reported its state yet"},
		{"other conditions", `{"items":[{"metadata":{"name":"w1"},"status":{"conditions":[{"type":"DiskPressure","status":"True"}]}}]}`,
			"w1", "it has not reported its state yet"},
		{"network", `{"items":[{"metadata":{"name":"w1"},"status":{"conditions":[{"type":"Ready","status":"False",
			"reason":"KubeletNotReady","message":"cni plugin not initialized"}]}}]}`,
			"w1", "it is not Ready (KubeletNotReady): cni plugin not initialized"},
		{"unknown", `{"items":[{"metadata":{"name":"w1"},"status":{"conditions":[{"type":"Ready","status":"Unknown",
			"reason":"NodeStatusUnknown","message":"Kubelet stopped posting node status."}]}}]}`,
			"w1", "it is not Ready (NodeStatusUnknown): Kubelet stopped posting node status."},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newTestNode(t)
			r.kubectl = func(args []string, _ string) (string, error) {
				if diff := cmp.Diff([]string{"get", "nodes", "-o", "json"}, args); diff != "" {
					t.Errorf("kubectl's arguments (-want +got):\n%s", diff)
				}
				return test.nodes, nil
			}
			var nodes nodeList
			if err := get(t.Context(), r, "nodes", &nodes); err != nil {
				t.Fatal(err)
			}
			if got := text(nodes.ready(test.node)); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestWaitReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newTestNode(t)
		answers := []struct {
			out string
			err error
		}{
			{"", errors.New("The connection to the server 127.0.0.1:6443 was refused - did you specify the right host or port?")},
			{"half a lis", nil},
			{`{"items":[]}`, nil},
			{`{"items":[{"metadata":{"name":"w1"},"status":{"conditions":[{"type":"Ready","status":"True"}],"nodeInfo":{"kubeletVersion":"v1.34.2+k3s1"}}}]}`, nil},
			{`{"items":[{"metadata":{"name":"w1"},"status":{"conditions":[{"type":"Ready","status":"True"}],"nodeInfo":{"kubeletVersion":"v1.34.3+k3s1"}}}]}`, nil},
		}
		r.kubectl = func([]string, string) (string, error) {
			a := answers[0]
			answers = answers[1:]
			return a.out, a.err
		}
		var steps []string
		if err := WaitReady(t.Context(), r, "w1", "v1.34.3+k3s1", func(s string) { steps = append(steps, s) }); err != nil {
			t.Fatal(err)
		}
		const doing = `waiting for node "w1" to be Ready`
		want := []string{
			doing,
			doing + ": The connection to the server 127.0.0.1:6443 was refused - did you specify the right host or port?",
			doing + ": kubectl get nodes: not JSON: invalid character 'h' looking for beginning of value",
			doing + ": it has not registered yet",
			doing + ": it still reports v1.34.2+k3s1, not v1.34.3+k3s1",
		}
		if diff := cmp.Diff(want, steps); diff != "" {
			t.Errorf("steps (-want +got):\n%s", diff)
		}
	})
}

func TestWaitsEnd(t *testing.T) {
	waits := map[string]func(ctx context.Context, r Runner) error{
		"WaitReady":      func(ctx context.Context, r Runner) error { return WaitReady(ctx, r, "w1", "v1.34.3+k3s1", noStep) },
		"ForgetNode":     func(ctx context.Context, r Runner) error { return ForgetNode(ctx, r, "w1") },
		"Apply":          func(ctx context.Context, r Runner) error { return Apply(ctx, r, Manifest{Name: "x"}, noStep) },
		"DeleteManifest": func(ctx context.Context, r Runner) error { return DeleteManifest(ctx, r, Manifest{Name: "x"}, noStep) },
		"WaitDemo":       func(ctx context.Context, r Runner) error { return waitDemo(ctx, r, Manifest{Name: "x"}, noStep) },
	}
	for name, wait := range waits {
		t.Run(name, func(t *testing.T) {
			t.Run("at the deadline, with the last cause", func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
					defer cancel()
					r, asked := newTestNode(t), 0
					r.kubectl = func([]string, string) (string, error) {
						asked++
						return "", errors.New("resource quota evaluation timed out")
					}
					err := wait(ctx, r)
					if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "quota evaluation timed out") {
						t.Errorf("error %v", err)
					}
					if asked < 60 || asked > 120 {
						t.Errorf("asked %d times in 3 minutes", asked)
					}
				})
			})
			t.Run("when canceled", func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				cancel()
				if err := wait(ctx, newTestNode(t)); !errors.Is(err, context.Canceled) {
					t.Errorf("error %v", err)
				}
			})
			t.Run("when the connection is lost", func(t *testing.T) {
				r := newTestNode(t)
				r.killedAt = "kubectl"
				if err := wait(t.Context(), r); !errors.Is(err, errLost) || len(r.commands) != 1 {
					t.Errorf("error %v after %d commands", err, len(r.commands))
				}
			})
		})
	}
}

func TestHungAttemptIsRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var steps []string
		attempts := 0
		err := until(t.Context(), func(s string) { steps = append(steps, s) }, "applying", func(ctx context.Context) error {
			if attempts++; attempts == 1 {
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		})
		if diff := cmp.Diff([]string{"applying", "applying: no answer within 2m0s"}, steps); diff != "" || err != nil {
			t.Errorf("error %v, steps (-want +got):\n%s", err, diff)
		}
	})
}

func TestCause(t *testing.T) {
	for _, test := range []struct{ err, want string }{
		{"ssh cp1 'sudo kubectl apply -f -': exit status 1: Warning: x\nerror: the server is busy\n", "error: the server is busy"},
		{"ssh cp1 'sudo kubectl apply -f -': exit status 1", "ssh cp1 'sudo kubectl apply -f -': exit status 1"},
		{"it has not registered yet", "it has not registered yet"},
		{strings.Repeat("é", 300), strings.Repeat("é", 120) + " … " + strings.Repeat("é", 170)},
	} {
		if got := cause(errors.New(test.err)); got != test.want {
			t.Errorf("cause of %q: got %q, want %q", test.err, got, test.want)
		}
	}
}

func TestWaitAllReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newTestNode(t)
		node := func(name, ready string) string {
			return `{"metadata":{"name":"` + name + `"},"status":{"conditions":[{"type":"Ready","status":"` + ready + `","reason":"KubeletNotReady"}]}}`
		}
		answers := []string{
			`{"items":[` + node("cp1", "True") + `]}`,
			`{"items":[` + node("cp1", "True") + `,` + node("w1", "False") + `]}`,
			`{"items":[` + node("cp1", "True") + `,` + node("w1", "True") + `]}`,
		}
		r.kubectl = func([]string, string) (string, error) {
			a := answers[0]
			answers = answers[1:]
			return a, nil
		}
		var steps []string
		if err := WaitAllReady(t.Context(), r, []string{"cp1", "w1"}, func(s string) { steps = append(steps, s) }); err != nil {
			t.Fatal(err)
		}
		const doing = "waiting for 2 nodes to be Ready"
		want := []string{doing, doing + `: node "w1": it has not registered yet`, doing + `: node "w1": it is not Ready (KubeletNotReady):`}
		if diff := cmp.Diff(want, steps); diff != "" {
			t.Errorf("steps (-want +got):\n%s", diff)
		}
	})
}
