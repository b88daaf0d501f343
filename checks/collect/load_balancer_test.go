package collect

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/labctl/labctl/checks"
	"github.com/labctl/labctl/internal/config"
)

// A LoadBalancer whose port for HTTPS alone is dead, or speaks no TLS, is a broken one: at its own port and at the node port.
func TestLoadBalancerWithoutHTTPS(t *testing.T) {
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	for name, x := range map[string]struct {
		dial func(context.Context, string) (net.Conn, error)
		says string
	}{
		"dead": {func(_ context.Context, network string) (net.Conn, error) {
			return nil, &net.OpError{Op: "dial", Net: network, Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
		}, "not connected"},
		"speaks HTTP": {func(ctx context.Context, network string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, plain.Listener.Addr().String())
		}, "failed"},
	} {
		f := newFakeLab(t)
		f.noHTTPS = x.dial
		got, _ := verdicts(t, f.options())
		for id, port := range map[string]string{"lb.answers": "443", "lb.node-ports": "31309"} {
			if v := got[id]; v.Status != checks.Fail || strings.Count(v.Actual, ":"+port+" "+x.says) != len(f.lab.Nodes) {
				t.Errorf("%s: %s is %s: %s", name, id, v.Status, v.Actual)
			}
		}
		for id, v := range got {
			if v.Status == checks.Fail && id != "lb.answers" && id != "lb.node-ports" {
				t.Errorf("%s: %s fails, too: %s", name, id, v.Actual)
			}
		}
	}
}

// The host calls each node once for the Ingress's host name, and hears who answers.
func TestIngress(t *testing.T) {
	for mode, port := range map[config.ProxyMode]string{config.ProxyIPTables: "80", config.ProxyIPVS: "31300"} {
		f := newFakeLab(t)
		f.lab.K3s.KubeProxyMode = mode
		got, e := verdicts(t, f.options())
		if v := got["lb.ingress"]; v.Status != checks.Pass || strings.Count(v.Actual, ":"+port+": hello-") != 3 {
			t.Errorf("%s: %s: %s", mode, v.Status, v.Actual)
		}
		calls := 0
		for _, i := range e.Items {
			if strings.Contains(i.Command, "-H 'Host: hello.lab.test' 'http://192.168.56.") {
				calls++
			}
		}
		if calls != len(f.lab.Nodes) {
			t.Errorf("%s: %d calls for the Ingress, want one for each node", mode, calls)
		}
	}
}
