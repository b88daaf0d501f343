package collect

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/labctl/labctl/checks"
	"github.com/labctl/labctl/internal/config"
)

func TestHealthyLab(t *testing.T) {
	f := newFakeLab(t)
	got, e := verdicts(t, f.options())
	for id, v := range got {
		if v.Status != checks.Pass && id != "proxy.ipvs-node-addresses" && id != "proxy.virtual-servers" && id != "proxy.scheduler" {
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
	// conntrack's word, and for each of 3 pods 5 commands and twice 8 tries; 8 tries for each NodePort, Traefik's 4 ports, the Ingress and
	// the port of the pod with hostNetwork on each node, 24 tries of the ClusterIP, routes.
	want := map[string]int{"cp1": 86, "w1": 19, "w2": 19, checks.Host: 67, VirtualBox: 3}
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
