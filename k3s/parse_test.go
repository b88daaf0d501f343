package k3s

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFileNames(t *testing.T) {
	for arch, want := range map[string][2]string{
		"amd64": {"k3s", "sha256sum-amd64.txt"},
		"arm64": {"k3s-arm64", "sha256sum-arm64.txt"},
		"arm":   {"k3s-armhf", "sha256sum-arm.txt"},
	} {
		binary, sums := fileNames("v1.34.3+k3s1", arch)
		if got := [2]string{binary, sums}; got != want {
			t.Errorf("%s: got %q, want %q", arch, got, want)
		}
	}
}

func TestReleaseURL(t *testing.T) {
	for _, test := range []struct{ source, want string }{
		{"https://github.com/k3s-io/k3s/releases/download", "https://github.com/k3s-io/k3s/releases/download/v1.34.3%2Bk3s1/k3s"},
		{"http://mirror.local/k3s/", "http://mirror.local/k3s/v1.34.3%2Bk3s1/k3s"},
		{"file:///srv/k3s", "file:///srv/k3s/v1.34.3%2Bk3s1/k3s"},
		{filepath.FromSlash("/srv/k3s/"), filepath.FromSlash("/srv/k3s/v1.34.3+k3s1/k3s")},
		{"releases", filepath.FromSlash("releases/v1.34.3+k3s1/k3s")},
	} {
		if got := releaseURL(test.source, "v1.34.3+k3s1", "k3s"); got != test.want {
			t.Errorf("%q: got %q, want %q", test.source, got, test.want)
		}
	}
}

func TestInterfaceOf(t *testing.T) {
	recorded := testdata(t, "ip-addr.txt")
	for _, test := range []struct{ name, links, mac, want, err string }{
		{"host-only", recorded, "08:00:27:00:01:10", "enp0s8", ""},
		{"NAT, as VirtualBox writes MACs", recorded, "08-00-27-00-00-10", "enp0s3", ""},
		{"none", recorded, "08:00:27:00:01:99", "", "there are enp0s3 08:00:27:00:00:10, enp0s8 08:00:27:00:01:10"},
		{"a VLAN on it", `[{"ifname":"a","address":"08:00:27:00:01:10"},{"ifname":"a.5","link":"a","address":"08:00:27:00:01:10"}]`, "08:00:27:00:01:10", "a", ""},
		{"two", `[{"ifname":"a","address":"08:00:27:00:01:10"},{"ifname":"b","address":"08:00:27:00:01:10"}]`, "08:00:27:00:01:10", "", "several NICs"},
		{"no MAC", recorded, "enp0s8", "", "invalid MAC address"},
		{"not JSON", "1: lo", "08:00:27:00:01:10", "", "not the output of ip -j link"},
		{"nothing", "", "08:00:27:00:01:10", "", "not the output of ip -j link"},
	} {
		got, err := interfaceOf([]byte(test.links), test.mac)
		if got != test.want || (err == nil) != (test.err == "") || !strings.Contains(text(err), test.err) {
			t.Errorf("%s: got %q, error %v, want %q, %q", test.name, got, err, test.want, test.err)
		}
	}
}

func TestParseSurvey(t *testing.T) {
	sum := strings.Repeat("a0", 32)
	links := "links " + twoNICs + "\n"
	for _, test := range []struct {
		name, out string
		want      found
		err       string
	}{
		{"all", "file " + sum + " /a b\nversion k3s version v1.34.3+k3s1 (48ffa7b6)\nactive active\n" + links,
			found{files: map[string]string{"/a b": sum}, version: "v1.34.3+k3s1", active: "active", iface: "enp0s8"}, ""},
		{"a binary that says nothing", "version \nactive inactive\n" + links, found{files: map[string]string{}, active: "inactive", iface: "enp0s8"}, ""},
		{"no service", links, found{}, "systemctl said nothing"},
		{"no NICs", "active active\n", found{}, "ip said nothing"},
		{"no checksum", "file /a\n", found{}, "not a checksum and a path"},
		{"something else", "Welcome!\n", found{}, `unexpected line "Welcome!`},
		{"nothing", "", found{}, "systemctl said nothing"},
	} {
		got, err := parseSurvey([]byte(test.out), testCP1.MAC)
		if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(found{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
		if (err == nil) != (test.err == "") || !strings.Contains(text(err), test.err) {
			t.Errorf("%s: error %v, want one with %q", test.name, err, test.err)
		}
	}
}

func FuzzParseSurvey(f *testing.F) {
	f.Add("file "+strings.Repeat("a0", 32)+" /a b\nversion k3s version v1 (x)\nactive active\nlinks "+twoNICs+"\n", testCP1.MAC)
	f.Fuzz(func(t *testing.T, out, mac string) {
		got, err := parseSurvey([]byte(out), mac)
		if err == nil && (got.active == "" || got.iface == "") {
			t.Errorf("no error, and yet %+v", got)
		}
	})
}

func TestComplaint(t *testing.T) {
	const (
		starting = "Starting Lightweight Kubernetes (agent)...\n"
		info     = `time="2026-11-22T09:14:04Z" level=info msg="Starting k3s agent v1.34.3+k3s1"` + "\n"
		refused  = `time="2026-11-22T09:14:05Z" level=error msg="Failed to validate connection: \"cp1\" refused"` + "\n"
		klog     = `E1122 09:14:04.123456    1234 kubelet.go:1511] "Failed to start" err="no space left"` + "\n"
		exited   = "k3s-agent.service: Main process exited, code=exited, status=1/FAILURE\n"
	)
	for _, test := range []struct{ name, journal, want string }{
		{"nothing", "", ""},
		{"just started", refused + starting, ""},
		{"only of the last start", refused + starting + info, "Starting k3s agent v1.34.3+k3s1"},
		{"error before info", starting + refused + info, `Failed to validate connection: "cp1" refused`},
		{"fatal, then systemd", starting + strings.Replace(refused, "=error", "=fatal", 1) + exited, `Failed to validate connection: "cp1" refused`},
		{"klog", starting + klog + info, `"Failed to start" err="no space left"`},
		{"systemd alone", exited, strings.TrimSpace(exited)},
		{"very long", strings.Repeat("x", 1000), strings.Repeat("x", 240) + "…"},
	} {
		if got := complaint(test.journal); got != test.want {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
}
