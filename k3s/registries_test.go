package k3s

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/labctl/labctl/internal/config"
)

// Nodes, pods and services are reached without the proxy, whatever is asked for.
func TestEnvironment(t *testing.T) {
	s := testSettings(secret)
	s.Network = config.Default().Network.CIDR
	s.Proxy = config.Proxy{HTTP: "http://p.example:3128", NoProxy: []string{"mirror.example", "10.43.0.0/16"}}
	want := mine + "\nHTTP_PROXY=\"http://p.example:3128\"\n" +
		"NO_PROXY=\"localhost,127.0.0.0/8,192.168.56.0/24,10.42.0.0/16,10.43.0.0/16,.svc,.cluster.local,mirror.example\"\n"
	if diff := cmp.Diff(want, string(environmentOf(s))); diff != "" {
		t.Errorf("environment (-want +got):\n%s", diff)
	}
}
