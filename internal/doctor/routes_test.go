package doctor

import (
	"bytes"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// recording returns a file of testdata without its first line, which says where it comes from.
func recording(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := bytes.Cut(data, []byte("\n"))
	return rest
}

func route(to, via, device string) Route {
	r := Route{To: netip.MustParsePrefix(to), Device: device}
	if via != "" {
		r.Via = netip.MustParseAddr(via)
	}
	return r
}

var compareNet = cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})

func TestParseRoutes(t *testing.T) {
	for _, tt := range []struct {
		file, goos string
		want       []Route
	}{
		{"ip-route-container.txt", "linux", []Route{
			route("0.0.0.0/0", "192.0.2.1", "eth0"),
			route("192.0.2.0/24", "", "eth0"),
		}},
		{"ip-route-vpn.txt", "linux", []Route{
			route("0.0.0.0/0", "192.168.1.1", "wlp2s0"),
			route("10.0.0.0/8", "10.8.0.1", "tun0"),
			route("10.8.0.0/24", "", "tun0"),
			route("10.43.7.9/32", "", "tun0"),
			route("172.17.0.0/16", "", "docker0"),
			route("192.168.1.0/24", "", "wlp2s0"),
			route("192.168.56.0/24", "", "vboxnet0"),
			route("203.0.113.0/24", "", ""),
		}},
		{"netstat.txt", "darwin", []Route{
			route("0.0.0.0/0", "192.168.1.1", "en0"),
			route("10.42.0.0/16", "10.8.0.1", "utun3"),
			route("127.0.0.0/8", "127.0.0.1", "lo0"),
			route("127.0.0.1/32", "127.0.0.1", "lo0"),
			route("169.254.0.0/16", "", "en0"),
			route("192.168.1.0/24", "", "en0"),
			route("192.168.1.1/32", "", "en0"),
			route("192.168.1.1/32", "", "en0"),
			route("192.168.56.0/24", "", "bridge100"),
			route("192.168.56.1/32", "", "lo0"),
			route("192.168.56.10/32", "", "bridge100"),
			route("224.0.0.0/4", "", "en0"),
			route("255.255.255.255/32", "", "en0"),
		}},
		{"route-print.txt", "windows", []Route{
			route("0.0.0.0/0", "192.168.1.1", "192.168.1.20"),
			route("10.43.0.0/16", "10.8.0.1", "10.8.0.6"),
			route("127.0.0.0/8", "", "127.0.0.1"),
			route("192.168.56.0/24", "", "192.168.56.1"),
			route("192.168.56.1/32", "", "192.168.56.1"),
			route("192.168.56.255/32", "", "192.168.56.1"),
			route("224.0.0.0/4", "", "127.0.0.1"),
		}},
	} {
		t.Run(tt.file, func(t *testing.T) {
			_, parse := routeCommand(tt.goos)
			got, err := parse(recording(t, tt.file))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got, compareNet); diff != "" {
				t.Errorf("routes (-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseRoutesErrors(t *testing.T) {
	for _, tt := range []struct{ goos, data, want string }{
		{"linux", "not JSON", "output of ip -j route"},
		{"linux", `[{"dst":"10.42.0.0/33"}]`, `destination "10.42.0.0/33"`},
		{"linux", `[{"dst":"garbage"}]`, `destination "garbage"`},
		{"darwin", "", "no column Netif"},
		{"darwin", "Destination Gateway Flags Netif\nfoo link#1 U en0\n", `destination "foo"`},
		{"darwin", "Destination Gateway Flags Netif\n10/x link#1 U en0\n", `destination "10/x"`},
		{"darwin", "Destination Gateway Flags Netif\n10/40 link#1 U en0\n", `destination "10/40"`},
		{"darwin", "Destination Gateway Flags Netif\n1.2.3.4.5 link#1 U en0\n", `destination "1.2.3.4.5"`},
		{"windows", "no routes here\n", "no route"},
		{"windows", "10.0.0.0 255.0.255.0 On-link 10.0.0.1 1\n", `mask "255.0.255.0"`},
		{"windows", "10.0.0.0 ffff:: On-link 10.0.0.1 1\n", `mask "ffff::"`},
	} {
		_, parse := routeCommand(tt.goos)
		if got, err := parse([]byte(tt.data)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s, %q: %v, %v; want an error with %q", tt.goos, tt.data, got, err, tt.want)
		}
	}
}

func FuzzParseRoutes(f *testing.F) {
	for goos, file := range map[string]string{"linux": "ip-route-vpn.txt", "darwin": "netstat.txt", "windows": "route-print.txt"} {
		f.Add(goos, recording(f, file))
	}
	f.Fuzz(func(t *testing.T, goos string, data []byte) {
		_, parse := routeCommand(goos)
		routes, err := parse(data)
		if err != nil && routes != nil {
			t.Errorf("routes beside the error %v", err)
		}
		for _, r := range routes {
			if !r.To.IsValid() || r.To != r.To.Masked() {
				t.Errorf("route to %v", r.To)
			}
		}
	})
}

func TestClusterRange(t *testing.T) {
	pods := netip.MustParsePrefix("10.42.0.0/16")
	for _, tt := range []struct {
		name   string
		routes []Route
		want   Status
		text   string
	}{
		{"none", nil, OK, "no route to 10.42.0.0/16"},
		{"default and others", []Route{route("0.0.0.0/0", "192.168.1.1", "en0"), route("10.43.0.0/16", "", "tun0")}, OK, ""},
		{"a VPN's two halves", []Route{route("0.0.0.0/1", "10.8.0.1", "tun0"), route("128.0.0.0/1", "10.8.0.1", "tun0")}, OK, ""},
		{"a company's network", []Route{route("10.0.0.0/8", "10.8.0.1", "tun0")}, Warn, "10.42.0.0/16 overlaps the host's 10.0.0.0/8 via 10.8.0.1 on tun0"},
		{"one address", []Route{route("10.42.3.4/32", "", "tun0")}, Warn, "10.42.3.4/32 on tun0"},
		{"the same", []Route{route("10.42.0.0/16", "", "vboxnet0")}, Warn, "vboxnet0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := ClusterRange("pod network", pods, "k3s.podCIDR", tt.routes)
			if got.Status != tt.want || !strings.Contains(got.Detail, tt.text) || (got.Fix != "") != (tt.want != OK) {
				t.Errorf("finding = %+v, want %v with %q", got, tt.want, tt.text)
			}
		})
	}
}

func TestHostOnlyRoutes(t *testing.T) {
	cidr, host := netip.MustParsePrefix("192.168.56.0/24"), netip.MustParseAddr("192.168.56.1")
	for _, tt := range []struct {
		name   string
		own    []string
		routes []Route
		want   Status
		text   string
	}{
		{name: "not there yet", routes: []Route{route("0.0.0.0/0", "192.168.1.1", "en0")}, want: OK},
		{name: "Linux", routes: []Route{route("192.168.56.0/24", "", "vboxnet3")}, want: OK},
		{name: "macOS", own: []string{"bridge100"}, want: OK, routes: []Route{
			route("192.168.56.0/24", "", "bridge100"), route("192.168.56.1/32", "", "lo0"), route("192.168.56.10/32", "", "bridge100")}},
		{name: "Windows", want: OK, routes: []Route{
			route("192.168.56.0/24", "", "192.168.56.1"), route("192.168.56.1/32", "", "192.168.56.1"), route("192.168.56.255/32", "", "192.168.56.1")}},
		{name: "another's adapter", routes: []Route{route("192.168.56.0/24", "", "bridge100")}, want: Blocker, text: "192.168.56.0/24 on bridge100"},
		{name: "home network", routes: []Route{route("192.168.56.0/24", "", "wlp2s0")}, want: Blocker, text: "on wlp2s0"},
		{name: "a VPN to one node", want: Blocker, text: "192.168.56.11/32 via 10.8.0.1 on tun0",
			routes: []Route{route("192.168.56.0/24", "", "vboxnet0"), route("192.168.56.11/32", "10.8.0.1", "tun0")}},
		{name: "a wider VPN", want: Warn, text: "192.168.0.0/16 via 10.8.0.1 on tun0",
			routes: []Route{route("192.168.56.0/24", "", "vboxnet0"), route("192.168.0.0/16", "10.8.0.1", "tun0")}},
		{name: "two adapters", want: Blocker, text: "several adapters: vboxnet0, vboxnet1",
			routes: []Route{route("192.168.56.0/24", "", "vboxnet0"), route("192.168.56.0/24", "", "vboxnet1")}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := HostOnlyRoutes(cidr, host, tt.own, tt.routes)
			if got.Status != tt.want || !strings.Contains(got.Detail, tt.text) || (got.Fix != "") != (tt.want != OK) {
				t.Errorf("finding = %+v, want %v with %q", got, tt.want, tt.text)
			}
		})
	}
}
