package k3s

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// In IPVS mode no address of a node may stay in a service's status; in iptables mode nothing is asked.
func TestReleaseNodeAddresses(t *testing.T) {
	r, s := newTestNode(t), testSettings(secret)
	if err := ReleaseNodeAddresses(t.Context(), r, s, noStep); err != nil || len(r.commands) > 0 {
		t.Errorf("in iptables mode: error %v, commands %q", err, r.commands)
	}
	s.ProxyMode = "ipvs"
	var patched []string
	r.kubectl = func(args []string, _ string) (string, error) {
		if args[0] == "get" {
			return `{"items":[
				{"metadata":{"name":"traefik","namespace":"kube-system"},"spec":{"type":"LoadBalancer"},"status":{"loadBalancer":{"ingress":[{"ip":"192.168.56.11"}]}}},
				{"metadata":{"name":"pending","namespace":"default"},"spec":{"type":"LoadBalancer"},"status":{"loadBalancer":{}}},
				{"metadata":{"name":"hello-svc","namespace":"default"},"spec":{"type":"NodePort"},"status":{"loadBalancer":{}}}]}`, nil
		}
		patched = append(patched, strings.Join(args, " "))
		return "", nil
	}
	if err := ReleaseNodeAddresses(t.Context(), r, s, noStep); err != nil {
		t.Fatal(err)
	}
	want := []string{`patch service traefik -n kube-system --subresource=status --type=merge -p {"status":{"loadBalancer":{"ingress":null}}}`}
	if diff := cmp.Diff(want, patched); diff != "" {
		t.Errorf("patches (-want +got):\n%s", diff)
	}
}

func TestCompareVersions(t *testing.T) {
	inOrder := []string{"v1.21.2+k3s1", "v1.33.10+k3s1", "v1.34.3-rc1+k3s1", "v1.34.3+k3s1", "v1.34.3+k3s2", "v1.34.3+k3s10", "v1.35.0+k3s1"}
	for i, a := range inOrder {
		for j, b := range inOrder {
			want := 0
			if i < j {
				want = -1
			} else if i > j {
				want = 1
			}
			if got := CompareVersions(a, b); got != want {
				t.Errorf("CompareVersions(%s, %s) = %d, want %d", a, b, got, want)
			}
		}
	}
}

func TestNextMinor(t *testing.T) {
	for version, want := range map[string]string{"v1.34.3+k3s1": "v1.35", "v1.9.0+k3s1": "v1.10", "v1.34.3-rc1+k3s1": "v1.35", "latest": "", "": ""} {
		if got := NextMinor(version); got != want {
			t.Errorf("NextMinor(%q) = %q, want %q", version, got, want)
		}
	}
}
