package config

import (
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/labctl/labctl/internal/yaml"
)

var compareNetip = cmp.Options{
	cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
	cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
}

func TestTemplateIsDefault(t *testing.T) {
	lab, err := Parse("labctl.yaml", Template())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Default(), lab, compareNetip); diff != "" {
		t.Error(diff)
	}
	// Every field is shown, so that a reader of the template knows all there is.
	data, err := Marshal(lab)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		if !strings.Contains(template, strings.TrimRight(line, "\n")) {
			t.Errorf("the template lacks %q", line)
		}
	}
}

func TestParseFillsIn(t *testing.T) {
	with := func(change func(*Lab)) *Lab {
		lab := Default()
		change(lab)
		return lab
	}
	addr, prefix := netip.MustParseAddr, netip.MustParsePrefix
	tests := map[string]struct {
		in   string
		want *Lab
	}{
		"empty file":   {"", Default()},
		"comment":      {"# my lab\n", Default()},
		"empty groups": {"network:\nnodes:\nk3s:\n  version:\n", Default()},
		"part of a group": {"k3s: {kubeProxyMode: ipvs}\ndemo:\n  nodePort: 32767\n", with(func(l *Lab) {
			l.K3s.KubeProxyMode, l.Demo.NodePort = ProxyIPVS, 32767
		})},
		"a scheduler": {"k3s: {kubeProxyMode: ipvs, ipvsScheduler: lc}\n", with(func(l *Lab) {
			l.K3s.KubeProxyMode, l.K3s.IPVSScheduler = ProxyIPVS, LeastConnections
		})},
		"the default scheduler": {"k3s: {kubeProxyMode: ipvs, ipvsScheduler: rr}\n", with(func(l *Lab) { l.K3s.KubeProxyMode = ProxyIPVS })},
		"another network": {"network: {cidr: 192.168.60.0/24}\n", with(func(l *Lab) {
			l.Network = Network{prefix("192.168.60.0/24"), addr("192.168.60.1")}
			l.Nodes[0].Address, l.Nodes[1].Address, l.Nodes[2].Address = addr("192.168.60.10"), addr("192.168.60.11"), addr("192.168.60.12")
		})},
		"a small network, the host at its end": {"network: {cidr: 192.168.60.248/29, host: 192.168.60.254}\n", with(func(l *Lab) {
			l.Network = Network{prefix("192.168.60.248/29"), addr("192.168.60.254")}
			l.Nodes[0].Address, l.Nodes[1].Address, l.Nodes[2].Address = addr("192.168.60.250"), addr("192.168.60.251"), addr("192.168.60.252")
		})},
		"a network across a byte": {"network: {cidr: 192.168.56.0/21}\nnodes: [{name: a, role: server, address: 192.168.57.0}]\n", with(func(l *Lab) {
			l.Network.CIDR = prefix("192.168.56.0/21")
			l.Nodes = []Node{{"a", RoleServer, addr("192.168.57.0"), 2, 2048}}
		})},
		"nodes replace, sizes by role": {"nodes:\n- {name: w, role: agent, address: 192.168.56.5, memoryMiB: 512}\n- {name: s, role: server, address: 192.168.56.254, cpus: 4}\n", with(func(l *Lab) {
			l.Nodes = []Node{{"w", RoleAgent, addr("192.168.56.5"), 1, 512}, {"s", RoleServer, addr("192.168.56.254"), 4, 2048}}
		})},
		"checksum with its algorithm": {"image: {sha256: sha256:" + strings.Repeat("0123456789abcdef", 4) + "}\n", with(func(l *Lab) {
			l.Image.SHA256 = strings.Repeat("0123456789abcdef", 4)
		})},
		"list of checksums": {"image: {url: ../jammy-charm64.img, sha256: ../SHA256SUMS}\n", with(func(l *Lab) {
			l.Image.URL, l.Image.SHA256 = "../jammy-charm64.img", "../SHA256SUMS"
		})},
		"image from a path": {"image: {url: ../images/jammy.img, sha256: " + strings.Repeat("0123456789abcdef", 4) + "}\n", with(func(l *Lab) {
			l.Image.URL, l.Image.SHA256 = "../images/jammy.img", strings.Repeat("0123456789abcdef", 4)
		})},
		"archives, in both forms": {"k3s: {airgap: true, images: [demo.tar, {url: \"http://h.example/a.tar.zst\", sha256: " + strings.Repeat("ab", 32) + "}]}\n", with(func(l *Lab) {
			l.K3s.Airgap = true
			l.K3s.Images = []ImageArchive{{URL: "demo.tar"}, {"http://h.example/a.tar.zst", strings.Repeat("ab", 32)}}
		})},
		"registries": {"registries:\n  mirrors:\n    docker.io: {endpoint: [\"http://m.example:5000\"]}\n  configs:\n    m.example:5000: {auth: {username: me, password: hush}}\n", with(func(l *Lab) {
			l.Registries = Registries{Mirrors: map[string]Mirror{"docker.io": {Endpoint: []string{"http://m.example:5000"}}},
				Configs: map[string]RegistryConfig{"m.example:5000": {Auth: RegistryAuth{"me", "hush"}}}}
		})},
		"a proxy in short": {"proxy: http://p.example:3128\n", with(func(l *Lab) { l.Proxy.HTTP, l.Proxy.HTTPS = "http://p.example:3128", "http://p.example:3128" })},
		"other release, from a folder": {"k3s: {version: v1.35.0-rc1+k3s2, source: /srv/k3s}\n", with(func(l *Lab) {
			l.K3s.Version, l.K3s.Source = "v1.35.0-rc1+k3s2", "/srv/k3s"
		})},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := Parse("labctl.yaml", []byte(test.in))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got, compareNetip); diff != "" {
				t.Error(diff)
			}
			roundTrip(t, got)
		})
	}
}

// A lab that was made before IPVS's scheduler could be chosen is written, and compared, byte for byte as it was then.
func TestDefaultSchedulerIsNotWritten(t *testing.T) {
	for name, test := range map[string]struct {
		in   string
		want bool
	}{
		"iptables":         {"", false},
		"IPVS":             {"k3s: {kubeProxyMode: ipvs}\n", false},
		"the default":      {"k3s: {kubeProxyMode: ipvs, ipvsScheduler: rr}\n", false},
		"another":          {"k3s: {kubeProxyMode: ipvs, ipvsScheduler: lc}\n", true},
		"a weighted other": {"k3s: {kubeProxyMode: ipvs, ipvsScheduler: wrr}\n", true},
	} {
		lab, err := Parse("f", []byte(test.in))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		data, err := Marshal(lab)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got := strings.Contains(string(data), "ipvsScheduler"); got != test.want {
			t.Errorf("%s: ipvsScheduler is written: %v\n%s", name, got, data)
		}
	}
}

func roundTrip(t *testing.T, lab *Lab) {
	t.Helper()
	data, err := Marshal(lab)
	if err != nil {
		t.Fatal(err)
	}
	back, err := Parse("stored", data)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(lab, back, compareNetip); diff != "" {
		t.Errorf("written and read back (-before +after):\n%s", diff)
	}
}

func TestParseRefuses(t *testing.T) {
	const nodes = "nodes:\n" +
		"  - {name: cp1, role: server, address: 192.168.56.10}\n" // lines 1 and 2
	many := "nodes:\n  - {name: s, role: server, address: 192.168.56.2}\n"
	for i := range 64 {
		many += fmt.Sprintf("  - {name: w%d, role: agent, address: 192.168.56.%d}\n", i, 10+i)
	}
	tests := map[string]struct{ in, want string }{
		"archive without a checksum": {"k3s:\n  images:\n    - http://h.example/a.tar\n",
			"f:3: k3s.images[0] is downloaded without a checksum: write {url: …, sha256: …} with what sha256sum prints of that file"},
		"two archives of one name": {"k3s:\n  images:\n    - a/x.tar\n    - b/x.tar\n", `f:4: k3s.images[1] has the file name "x.tar", as the one on line 3: on the nodes both would be one file; rename one`},
		"no archive":               {"k3s: {images: [x.zip]}\n", `f:1: k3s.images[0] "x.zip" is no archive of images that k3s reads: its name must end in .tar, .tar.gz, .tgz, .tar.bz2, .tar.lz4 or .tar.zst`},
		"the release's archive":    {"k3s: {images: [k3s-airgap-images-amd64.tar.gz]}\n", "f:1: k3s.images[0] has the name of the release's own archive: write airgap: true instead, or rename it"},
		"airgap is no word":        {"k3s: {airgap: maybe}\n", `f:1: k3s.airgap must be true or false, not the text "maybe"`},
		"mirror without endpoint":  {"registries:\n  mirrors:\n    docker.io: {}\n", `f:3: registries.mirrors.docker.io has no endpoint: give a list of URLs, such as endpoint: ["http://192.168.56.1:5000"]`},
		"mirror on the node itself": {"registries: {mirrors: {docker.io: {endpoint: [\"http://localhost:5000\"]}}}\n",
			`f:1: registries.mirrors.docker.io.endpoint[0] "http://localhost:5000" means each node itself: this computer is 192.168.56.1 to them (network.host)`},
		"mirror with a login": {"registries: {mirrors: {docker.io: {endpoint: [\"http://me:hush@m.example\"]}}}\n",
			`f:1: registries.mirrors.docker.io.endpoint[0] holds a login: give it in registries.configs under "m.example"`},
		"unknown field of a registry": {"registries:\n  configs:\n    m.example:\n      auth: {username: me, pasword: hush}\n",
			"f:4: unknown field \"registries.configs.m.example.auth.pasword\": did you mean \"password\"?\n" +
				"f:4: registries.configs.m.example.auth needs username and password, both or none"},
		"a login as text":         {"registries: {configs: {m.example: {auth: \"me:hush\"}}}\n", "f:1: registries.configs.m.example.auth must be a group of fields (name: value), not what is there"},
		"a registry as text":      {"registries: {configs: {m.example: \"me:hush\"}}\n", "f:1: registries.configs.m.example must be a group of fields (name: value), not what is there"},
		"a registry with a login": {"registries: {configs: {\"http://me:hush@m.example\": {}}}\n", `f:1: registries.configs: "http://…@m.example" is no host: write one such as registry.example:5000, without http://`},
		"proxy without scheme":    {"proxy: me:hush@192.168.56.1:3128\n", `f:1: proxy.http "…@192.168.56.1:3128" is no http or https URL: write one such as http://192.168.56.1:3128`},
		"proxy that is a line":    {"proxy: {http: \"http://p:1\\nEVIL=1\"}\n", `f:1: proxy.http "http://p:1\nEVIL=1" is no http or https URL: write one such as http://192.168.56.1:3128`},
		"proxy on the node":       {"proxy: {http: \"http://127.0.0.1:3128\"}\n", `f:1: proxy.http "http://127.0.0.1:3128" means each node itself: this computer is 192.168.56.1 to them (network.host)`},
		"no proxy":                {"proxy: {noProxy: [a.example]}\n", "f:1: proxy names no proxy: give http, https or both, or leave it out"},
		"noProxy is no host":      {"proxy: {http: \"http://p:1\", noProxy: [\"a b\"]}\n", `f:1: proxy.noProxy[0] "a b" is none of these: a host, a domain such as .example, an address, a network such as 10.0.0.0/8`},

		"not YAML":          {"name: [\n", "f:2: not YAML here or just above: did not find expected node content"},
		"several documents": {"name: a\n---\nname: b\n", "f:2: a second document starts here: keep one, without a line of three dashes"},
		"unknown field":     {"nmae: a\n", `f:1: unknown field "nmae": did you mean "name"?`},
		"unknown field of a node": {nodes + "  - name: w1\n    role: agent\n    address: 192.168.56.11\n    memory: 512\n",
			`f:6: unknown field "nodes[1].memory": did you mean "memoryMiB"?`},
		"duplicate field": {"name: a\nname: b\n", `f:2: duplicate field "name": it is already on line 1`},

		"lab name, reserved":  {"name: simulated\n", `f:1: name "simulated" is taken: simulated labs are kept in a folder of that name`},
		"lab name, capital":   {"name: Lab\n", `f:1: name "Lab" is no lab name: use lower-case letters, digits and dashes, no dash at either end, 30 characters at most`},
		"lab name, too long":  {"name: " + strings.Repeat("a", 31) + "\n", `f:1: name "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" is no lab name: use lower-case letters, digits and dashes, no dash at either end, 30 characters at most`},
		"lab name, a path":    {"name: ../x\n", `f:1: name "../x" is no lab name: use lower-case letters, digits and dashes, no dash at either end, 30 characters at most`},
		"lab name, empty":     {"name: ''\n", `f:1: name "" is no lab name: use lower-case letters, digits and dashes, no dash at either end, 30 characters at most`},
		"lab name, line feed": {"name: \"lab\\n\"\n", `f:1: name "lab\n" is no lab name: use lower-case letters, digits and dashes, no dash at either end, 30 characters at most`},

		"network, no prefix length":  {"network:\n  cidr: 192.168.56.0\n", `f:2: network.cidr must be a network with its prefix length, such as 192.168.56.0/24, not the text "192.168.56.0"`},
		"network, IPv6":              {"network:\n  cidr: fd00::/64\n", `f:2: network.cidr fd00::/64 is IPv6: the lab is IPv4 only, because VirtualBox's NAT and the addresses that the checks compare are: use an IPv4 one`},
		"network, host bits":         {"network:\n  cidr: 192.168.56.1/24\n", `f:2: network.cidr 192.168.56.1/24 is an address inside a network: write the network, 192.168.56.0/24`},
		"network, public":            {"network:\n  cidr: 8.8.8.0/24\n", `f:2: network.cidr 8.8.8.0/24 is not private and would hide real addresses: take a network inside 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16`},
		"network, everything":        {"network:\n  cidr: 0.0.0.0/0\n", `f:2: network.cidr 0.0.0.0/0 is not private and would hide real addresses: take a network inside 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16`},
		"network, more than private": {"network:\n  cidr: 172.16.0.0/11\n", `f:2: network.cidr 172.16.0.0/11 is an address inside a network: write the network, 172.0.0.0/11`},
		"network, too small":         {"network:\n  cidr: 192.168.56.0/30\n", `f:2: network.cidr 192.168.56.0/30 has addresses for this computer and 1 more, and there are 3 machines: make it /29 or larger`},
		"network, a single address":  {"network:\n  cidr: 192.168.56.0/32\n", `f:2: network.cidr 192.168.56.0/32 has addresses for this computer and 0 more, and there are 3 machines: make it /29 or larger`},
		"network and NAT":            {"network:\n  cidr: 10.0.0.0/16\n", `f:2: network.cidr 10.0.0.0/16 overlaps 10.0.2.0/24, the NAT network that VirtualBox gives every machine: choose another`},
		"network and default pods":   {"network:\n  cidr: 10.42.5.0/24\n", `f:2: network.cidr 10.42.5.0/24 overlaps k3s.podCIDR 10.42.0.0/16: choose networks that share no address`},

		"host, outside":          {"network:\n  host: 192.168.57.1\n", `f:2: network.host 192.168.57.1 is outside network.cidr 192.168.56.0/24: take one from 192.168.56.1 to 192.168.56.254`},
		"host, network":          {"network:\n  host: 192.168.56.0\n", `f:2: network.host 192.168.56.0 is the address of the network 192.168.56.0/24 itself: take one from 192.168.56.1 to 192.168.56.254`},
		"host, broadcast":        {"network:\n  host: 192.168.56.255\n", `f:2: network.host 192.168.56.255 is the broadcast address of 192.168.56.0/24: take one from 192.168.56.1 to 192.168.56.254`},
		"host, IPv6":             {"network:\n  host: fd00::1\n", `f:2: network.host fd00::1 is IPv6: the lab is IPv4 only, because VirtualBox's NAT and the addresses that the checks compare are: use an IPv4 one`},
		"host, a default node's": {"network:\n  host: 192.168.56.11\n", `f:2: network.host 192.168.56.11 is w1's address: take another from 192.168.56.1 to 192.168.56.254`},
		"host, no address":       {"network:\n  host: box\n", `f:2: network.host must be an IP address such as 192.168.56.10, not the text "box"`},

		"image without checksum": {"image:\n  url: https://example.org/x.img\n", `f:2: image.url is given without image.sha256: add the checksum that sha256sum prints of that file, or the URL of a list of checksums that names it`},
		"image, ftp":             {"image:\n  sha256: " + strings.Repeat("0", 64) + "\n  url: ftp://example.org/x.img\n", `f:3: image.url "ftp://example.org/x.img" is not downloaded from: give an http or https URL, or a path`},
		"image, forced getter":   {"image:\n  sha256: " + strings.Repeat("0", 64) + "\n  url: git::https://example.org/x\n", `f:3: image.url "git::https://example.org/x" is not downloaded from: give an http or https URL, or a path`},
		"image, no host":         {"image:\n  sha256: " + strings.Repeat("0", 64) + "\n  url: https:///x.img\n", `f:3: image.url "https:///x.img" is not downloaded from: give an http or https URL, or a path`},
		"image, empty":           {"image:\n  sha256: " + strings.Repeat("0", 64) + "\n  url: ''\n", `f:3: image.url "" is neither a URL nor a path: give one`},
		"checksum, short":        {"image:\n  sha256: 952bc5\n", `f:2: image.sha256 is no SHA-256 checksum: it has 6 characters; give the 64 digits (0-9, a-f) that sha256sum prints, or the URL or path of a list of checksums`},
		"checksum, ftp":          {"image:\n  sha256: ftp://example.org/SHA256SUMS\n", `f:2: image.sha256 "ftp://example.org/SHA256SUMS" is not downloaded from: give an http or https URL, or a path`},
		"image for ARM":          {"image:\n  sha256: " + strings.Repeat("0", 64) + "\n  url: https://example.org/arm64/jammy-arm64.img\n", `f:3: image.url is made for ARM processors, by its name: labctl makes x86-64 machines, take the image for amd64`},
		"checksum, capitals":     {"image:\n  sha256: " + strings.Repeat("AB", 32) + "\n", `f:2: image.sha256 has capital letters: write ` + strings.Repeat("ab", 32)},
		"disk, too small":        {"image:\n  diskGiB: 2\n", `f:2: image.diskGiB 2 does not suit: Ubuntu, k3s and the demo need 5, and VirtualBox makes 2047 at most`},
		"disk, too large":        {"image:\n  diskGiB: 2048\n", `f:2: image.diskGiB 2048 does not suit: Ubuntu, k3s and the demo need 5, and VirtualBox makes 2047 at most`},
		"disk, text":             {"image:\n  diskGiB: 20G\n", `f:2: image.diskGiB must be a whole number, not the text "20G"`},
		"user, root":             {"image:\n  user: root\n", `f:2: image.user root does not suit: cloud images let nobody log in as root; choose another name, such as ubuntu`},
		"user, space":            {"image:\n  user: a b\n", `f:2: image.user "a b" is no user name: use lower-case letters, digits, dashes and underscores, a letter first, 32 characters at most`},

		"version, no release":           {"k3s:\n  version: 1.34.3\n", `f:2: k3s.version "1.34.3" is no k3s release: write the release's tag, such as v1.34.3+k3s1`},
		"version, Kubernetes's":         {"k3s:\n  version: v1.34.3\n", `f:2: k3s.version "v1.34.3" is no k3s release: write the release's tag, such as v1.34.3+k3s1`},
		"version, a path":               {"k3s:\n  version: ../v1.34.3+k3s1\n", `f:2: k3s.version "../v1.34.3+k3s1" is no k3s release: write the release's tag, such as v1.34.3+k3s1`},
		"source":                        {"k3s:\n  source: s3://bucket\n", `f:2: k3s.source "s3://bucket" is not downloaded from: give an http or https URL, or a path`},
		"mode":                          {"k3s:\n  kubeProxyMode: nftables\n", `f:2: k3s.kubeProxyMode "nftables" is unknown: write iptables or ipvs`},
		"scheduler":                     {"k3s:\n  kubeProxyMode: ipvs\n  ipvsScheduler: random\n", `f:3: k3s.ipvsScheduler "random" is unknown: write rr, wrr, lc or wlc`},
		"scheduler, none":               {"k3s:\n  kubeProxyMode: ipvs\n  ipvsScheduler: ''\n", `f:3: k3s.ipvsScheduler "" is unknown: write rr, wrr, lc or wlc`},
		"scheduler, in capital letters": {"k3s:\n  kubeProxyMode: ipvs\n  ipvsScheduler: LC\n", `f:3: k3s.ipvsScheduler "LC" is unknown: write rr, wrr, lc or wlc`},
		"scheduler that stays with a pod": {"k3s:\n  kubeProxyMode: ipvs\n  ipvsScheduler: sh\n",
			`f:3: k3s.ipvsScheduler sh may send all of a client's connections to the same pod, and no check would notice that the others are dead: write rr, wrr, lc or wlc`},
		"scheduler without IPVS": {"k3s:\n  ipvsScheduler: rr\n",
			`f:2: k3s.ipvsScheduler rr means nothing while k3s.kubeProxyMode is iptables: write kubeProxyMode: ipvs, or leave it out`},
		"scheduler and a wrong mode": {"k3s:\n  kubeProxyMode: IPVS\n  ipvsScheduler: lc\n", `f:2: k3s.kubeProxyMode "IPVS" is unknown: write iptables or ipvs`},
		"pods, too small":            {"k3s:\n  podCIDR: 10.42.0.0/23\n", `f:2: k3s.podCIDR 10.42.0.0/23 is too small: each node gets a /24 of it for its pods, and there are 3 nodes: make it /22 or larger`},
		"pods, less than one":        {"k3s:\n  podCIDR: 10.42.0.0/25\n", `f:2: k3s.podCIDR 10.42.0.0/25 is too small: each node gets a /24 of it for its pods, and there are 3 nodes: make it /22 or larger`},
		"pods, IPv6":                 {"k3s:\n  podCIDR: fd42::/56\n", `f:2: k3s.podCIDR fd42::/56 is IPv6: the lab is IPv4 only, because VirtualBox's NAT and the addresses that the checks compare are: use an IPv4 one`},
		"pods and network":           {"k3s:\n  podCIDR: 192.168.0.0/16\n", `f:2: k3s.podCIDR 192.168.0.0/16 overlaps network.cidr 192.168.56.0/24: choose networks that share no address`},
		"services and pods":          {"k3s:\n  serviceCIDR: 10.42.128.0/17\n", `f:2: k3s.serviceCIDR 10.42.128.0/17 overlaps k3s.podCIDR 10.42.0.0/16: choose networks that share no address`},
		"pods and services":          {"k3s:\n  podCIDR: 10.43.0.0/16\n", `f:2: k3s.podCIDR 10.43.0.0/16 overlaps k3s.serviceCIDR 10.43.0.0/16: choose networks that share no address`},
		"services and NAT":           {"k3s:\n  serviceCIDR: 10.0.0.0/16\n", `f:2: k3s.serviceCIDR 10.0.0.0/16 overlaps 10.0.2.0/24, the NAT network that VirtualBox gives every machine: choose another`},
		"services, too small":        {"k3s:\n  serviceCIDR: 10.43.0.0/25\n", `f:2: k3s.serviceCIDR 10.43.0.0/25 does not suit: Kubernetes takes /12 at the largest, and the lab needs /24 at least: make it a /16`},

		"node port, low":  {"demo:\n  nodePort: 29999\n", `f:2: demo.nodePort 29999 is outside Kubernetes's range for NodePorts: take one from 30000 to 32767`},
		"node port, high": {"demo:\n  nodePort: 32768\n", `f:2: demo.nodePort 32768 is outside Kubernetes's range for NodePorts: take one from 30000 to 32767`},
		"demo image":      {"demo:\n  webImage: 'a b'\n", `f:2: demo.webImage "a b" is no container image: write one such as nginx:1.27-alpine`},
		"demo image, two": {"demo:\n  helloImage: \"x\\ny\"\n", `f:2: demo.helloImage "x\ny" is no container image: write one such as nginx:1.27-alpine`},

		"nodes, empty":        {"nodes: []\n", `f:1: nodes is empty: list a server at least, or leave the field out for cp1, w1, w2`},
		"nodes, no server":    {"nodes:\n  - {name: w1, role: agent, address: 192.168.56.10}\n", `f:1: nodes has no server: give one node the role server`},
		"nodes, two servers":  {nodes + "  - {name: cp2, role: server, address: 192.168.56.11}\n", `f:3: nodes[1].role is a second server, beside line 2: a lab has one; make this node an agent`},
		"nodes, too many":     {many, `f:1: nodes lists 65 machines: 64 is the most`},
		"node, empty":         {nodes + "  -\n", "f:3: nodes[1] has no name: give it one, such as w1\nf:3: nodes[1] has no address: give it one of its own in network.cidr\nf:3: nodes[1] has no role: write server or agent"},
		"role":                {"nodes:\n  - {name: cp1, role: master, address: 192.168.56.10}\n", `f:2: nodes[0].role "master" is unknown: write server or agent`},
		"name, twice":         {nodes + "  - {name: cp1, role: agent, address: 192.168.56.11}\n", `f:3: nodes[1].name "cp1" is already the name on line 2: every node needs its own`},
		"name, capital":       {nodes + "  - {name: W1, role: agent, address: 192.168.56.11}\n", `f:3: nodes[1].name "W1" is no host name: use lower-case letters, digits and dashes, no dash at either end, 63 characters at most`},
		"name, dot":           {nodes + "  - {name: w1.lab, role: agent, address: 192.168.56.11}\n", `f:3: nodes[1].name "w1.lab" is no host name: use lower-case letters, digits and dashes, no dash at either end, 63 characters at most`},
		"name, underscore":    {nodes + "  - {name: w_1, role: agent, address: 192.168.56.11}\n", `f:3: nodes[1].name "w_1" is no host name: use lower-case letters, digits and dashes, no dash at either end, 63 characters at most`},
		"name, dash at end":   {nodes + "  - {name: w1-, role: agent, address: 192.168.56.11}\n", `f:3: nodes[1].name "w1-" is no host name: use lower-case letters, digits and dashes, no dash at either end, 63 characters at most`},
		"name, too long":      {nodes + "  - {name: " + strings.Repeat("w", 64) + ", role: agent, address: 192.168.56.11}\n", `f:3: nodes[1].name "` + strings.Repeat("w", 64) + `" is no host name: use lower-case letters, digits and dashes, no dash at either end, 63 characters at most`},
		"name, localhost":     {nodes + "  - {name: localhost, role: agent, address: 192.168.56.11}\n", `f:3: nodes[1].name localhost means every machine to itself: choose another, such as w1`},
		"address, twice":      {nodes + "  - {name: w1, role: agent, address: 192.168.56.10}\n", `f:3: nodes[1].address 192.168.56.10 is already the address on line 2: every node needs its own`},
		"address, outside":    {nodes + "  - {name: w1, role: agent, address: 192.168.57.11}\n", `f:3: nodes[1].address 192.168.57.11 is outside network.cidr 192.168.56.0/24: take one from 192.168.56.2 to 192.168.56.254`},
		"address, network":    {nodes + "  - {name: w1, role: agent, address: 192.168.56.0}\n", `f:3: nodes[1].address 192.168.56.0 is the address of the network 192.168.56.0/24 itself: take one from 192.168.56.2 to 192.168.56.254`},
		"address, broadcast":  {nodes + "  - {name: w1, role: agent, address: 192.168.56.255}\n", `f:3: nodes[1].address 192.168.56.255 is the broadcast address of 192.168.56.0/24: take one from 192.168.56.2 to 192.168.56.254`},
		"address, the host's": {nodes + "  - {name: w1, role: agent, address: 192.168.56.1}\n", `f:3: nodes[1].address 192.168.56.1 is this computer's own (network.host): take another from 192.168.56.2 to 192.168.56.254`},
		"address, DHCP":       {nodes + "  - {name: w1, role: agent, address: 192.168.56.100}\n", `f:3: nodes[1].address 192.168.56.100 is where VirtualBox puts a host-only network's DHCP server: take another from 192.168.56.2 to 192.168.56.254`},
		"address, IPv6":       {nodes + "  - {name: w1, role: agent, address: 'fd00::b'}\n", `f:3: nodes[1].address fd00::b is IPv6: the lab is IPv4 only, because VirtualBox's NAT and the addresses that the checks compare are: use an IPv4 one`},
		"address, none":       {nodes + "  - {name: w1, role: agent}\n", `f:3: nodes[1] has no address: give it one of its own in network.cidr`},
		"address, leading 0":  {nodes + "  - {name: w1, role: agent, address: 192.168.56.011}\n", `f:3: nodes[1].address must be an IP address such as 192.168.56.10, not the text "192.168.56.011"`},
		"server, one CPU":     {"nodes:\n  - {name: cp1, role: server, address: 192.168.56.10, cpus: 1}\n", `f:2: nodes[0].cpus 1 does not suit: k3s needs 2 on a server, and VirtualBox gives 64 at most`},
		"server, memory":      {"nodes:\n  - {name: cp1, role: server, address: 192.168.56.10, memoryMiB: 2047}\n", `f:2: nodes[0].memoryMiB 2047 does not suit: k3s needs 2048 on a server, and VirtualBox gives 2097152 at most`},
		"agent, no CPU":       {nodes + "  - {name: w1, role: agent, address: 192.168.56.11, cpus: 0}\n", `f:3: nodes[1].cpus 0 does not suit: k3s needs 1 on an agent, and VirtualBox gives 64 at most`},
		"agent, memory":       {nodes + "  - {name: w1, role: agent, address: 192.168.56.11, memoryMiB: 511}\n", `f:3: nodes[1].memoryMiB 511 does not suit: k3s needs 512 on an agent, and VirtualBox gives 2097152 at most`},
		"agent, too many":     {nodes + "  - {name: w1, role: agent, address: 192.168.56.11, cpus: 65}\n", `f:3: nodes[1].cpus 65 does not suit: k3s needs 1 on an agent, and VirtualBox gives 64 at most`},
		"a number as text":    {nodes + "  - {name: w1, role: agent, address: 192.168.56.11, cpus: two}\n", `f:3: nodes[1].cpus must be a whole number, not the text "two"`},

		"all at once, in the file's order": {"name: Lab\nnetwork:\n  cidr: 10.42.0.0/24\n  hots: x\nk3s:\n  version: latest\nnodes:\n  - name: cp1\n    role: server\n    address: 10.42.0.1\n    cpus: one\n", strings.Join([]string{
			`f:1: name "Lab" is no lab name: use lower-case letters, digits and dashes, no dash at either end, 30 characters at most`,
			`f:3: network.cidr 10.42.0.0/24 overlaps k3s.podCIDR 10.42.0.0/16: choose networks that share no address`,
			`f:4: unknown field "network.hots": did you mean "host"?`,
			`f:6: k3s.version "latest" is no k3s release: write the release's tag, such as v1.34.3+k3s1`,
			`f:10: nodes[0].address 10.42.0.1 is this computer's own (network.host): take another from 10.42.0.2 to 10.42.0.254`,
			`f:11: nodes[0].cpus must be a whole number, not the text "one"`,
		}, "\n")},
		"a password":            {"k3s: {source: 'https://me:hunter2@mirror.example/k3s'}\n", `f:1: k3s.source holds a user name or a password, and addresses are shown and stored: use a mirror that asks for none, or a path`},
		"a password, badly put": {"k3s: {source: 'https://me:hun%ter2@mirror.example/k3s'}\n", `f:1: k3s.source holds a user name or a password, and addresses are shown and stored: use a mirror that asks for none, or a path`},
		"a bad network says nothing of the nodes": {"network:\n  cidr: 10.1.0.0\n" + "nodes:\n  - {name: cp1, role: server, address: 10.1.0.10}\n",
			`f:2: network.cidr must be a network with its prefix length, such as 192.168.56.0/24, not the text "10.1.0.0"`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			lab, err := Parse("f", []byte(test.in))
			if err == nil {
				t.Fatalf("accepted: %+v", lab)
			}
			if diff := cmp.Diff(test.want, err.Error()); diff != "" {
				t.Error(diff)
			}
			var problems yaml.Problems
			if lab != nil || !errors.As(err, &problems) {
				t.Errorf("lab %v, error of type %T", lab, err)
			}
		})
	}
}

func TestRedacted(t *testing.T) {
	lab := Default()
	lab.Registries.Configs = map[string]RegistryConfig{"m.example": {Auth: RegistryAuth{"me", "hush1"}}}
	lab.Proxy = Proxy{HTTP: "http://me:hush2@p.example:1", HTTPS: "http://me:hush3@p.example:1"}
	before, err := Marshal(lab)
	if err != nil {
		t.Fatal(err)
	}
	data, err := Marshal(lab.Redacted())
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(data), "hush") || strings.Count(string(data), "removed") != 3 {
		t.Errorf("not redacted:\n%s", data)
	}
	if _, err := Parse("f", data); err != nil {
		t.Errorf("what is redacted is no lab: %v", err)
	}
	if after, err := Marshal(lab); err != nil || string(before) != string(after) {
		t.Errorf("the lab itself was changed: %v\n%s", err, after)
	}
	if got := len(lab.Secrets()); got != 3 {
		t.Errorf("%d secrets, not 3", got)
	}
}

// A lab that is accepted has what the rest of labctl relies on.
func TestDefaultIsWhole(t *testing.T) {
	lab := Default()
	if lab.Server().Name != "cp1" || len(lab.Agents()) != 2 {
		t.Errorf("server %q, %d agents", lab.Server().Name, len(lab.Agents()))
	}
	if w2, ok := lab.Node("w2"); !ok || w2.Address != netip.MustParseAddr("192.168.56.12") {
		t.Errorf("w2: %v, %v", w2, ok)
	}
	if _, ok := lab.Node("w3"); ok {
		t.Error("w3 is there")
	}
	if lab == Default() || &lab.Nodes[0] == &Default().Nodes[0] {
		t.Error("two callers share a default lab")
	}
	noZeroFields(t, "lab", reflect.ValueOf(*lab))
}

func noZeroFields(t *testing.T, name string, v reflect.Value) {
	t.Helper()
	for i := range v.NumField() {
		f := v.Field(i)
		if f.Kind() == reflect.Bool || strings.Contains(v.Type().Field(i).Tag.Get("yaml"), "omitempty") {
			continue // off, or none, by default
		}
		if f.IsZero() {
			t.Errorf("%s.%s has no default", name, v.Type().Field(i).Name)
		}
		if f.Kind() == reflect.Struct && f.Type().PkgPath() == v.Type().PkgPath() {
			noZeroFields(t, name+"."+v.Type().Field(i).Name, f)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(""))
	f.Add(Template())
	f.Add([]byte("network: {cidr: 10.0.0.0/8, host: 10.255.255.254}\n"))
	f.Add([]byte("network: {cidr: 0.0.0.0/0}\nk3s: {podCIDR: ::ffff:10.0.0.0/104, serviceCIDR: 1.2.3.4/32}\n"))
	f.Add([]byte("network:\n  cidr: 0000000000\n  host: 192.168.56.10"))
	f.Add([]byte("proxy: a@b\nregistries: {mirrors: {a: {endpoint: [http://b:1], rewrite: {}}}, configs: {c: {auth: {}}}}\nk3s: {images: []}\n"))
	f.Add([]byte("nodes:\n  - name: a\n    role: server\n    address: 192.168.56.9\n  -\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		lab, err := Parse("f", data)
		if err != nil {
			for line := range strings.Lines(err.Error()) {
				if !strings.HasPrefix(line, "f:") {
					t.Errorf("a line without its place: %q", line)
				}
			}
			return
		}
		roundTrip(t, lab)
		if lab.Server().Name == "" || len(lab.Agents()) != len(lab.Nodes)-1 {
			t.Errorf("not one server: %+v", lab.Nodes)
		}
		for _, n := range lab.Nodes {
			if !lab.Network.CIDR.Contains(n.Address) || n.Address == lab.Network.Host {
				t.Errorf("node %q at %s", n.Name, n.Address)
			}
		}
	})
}
