package collect

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/labctl/labctl/checks"
	"github.com/labctl/labctl/internal/config"
)

// procIPVS is /proc/net/ip_vs, which has ipvsadm's columns and other addresses.
const procIPVS = `IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port Forward Weight ActiveConn InActConn
TCP  0A2B1FB3:0050 rr
  -> 0A2A0108:0050      Masq    1      0          0
  -> 0A2A020E:0050      Masq    0      1          2
UDP  0A2B000A:0035 rr persistent 10800
  -> 0A2A0002:0035      Masq    1      0          0
FWM  1 rr
  -> 0A2A0003:0035      Masq    1      0          0
`

const toolIPVS = `IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn
TCP  10.43.31.179:80 rr
  -> 10.42.1.8:80                 Masq    1      0          0
  -> 10.42.2.14:80                Masq    0      1          2
UDP  10.43.0.10:53 rr persistent 10800
  -> 10.42.0.2:53                 Masq    1      0          0
`

// The kernel's own table and ipvsadm's say the same.
func TestVirtualServers(t *testing.T) {
	port := netip.MustParseAddrPort
	want := []checks.VirtualServer{
		{Protocol: "tcp", Addr: port("10.43.31.179:80"), Scheduler: "rr", Real: []checks.RealServer{{Addr: port("10.42.1.8:80"), Weight: 1}, {Addr: port("10.42.2.14:80")}}},
		{Protocol: "udp", Addr: port("10.43.0.10:53"), Scheduler: "rr", Real: []checks.RealServer{{Addr: port("10.42.0.2:53"), Weight: 1}}},
	}
	for name, text := range map[string]string{"ipvsadm": toolIPVS, "/proc/net/ip_vs": procIPVS} {
		got, err := parseIPVS([]byte(text))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(want, got, comparePort()); diff != "" {
			t.Errorf("%s (-want +got)\n%s", name, diff)
		}
	}
	for _, bad := range []string{"", "ipvsadm: not found", toolIPVS + "TCP  10.43.31.179 rr\n", procIPVS + "TCP  0A2B:0050 rr\n", procIPVS + "TCP  0A2B1FB3:0050 rr\n  -> 0A2A0108:0050 Masq one 0 0\n"} {
		if got, err := parseIPVS([]byte(bad)); err == nil {
			t.Errorf("%q: no error, but %+v", bad, got)
		}
	}
}

// Which evidence tells of IPVS, and what its absence says.
func TestWhereVirtualServersAreRead(t *testing.T) {
	lab := config.Default()
	tool, proc := Item{Where: "w1", Command: cmdIPVS, Stdout: []byte(toolIPVS)}, Item{Where: "w1", Command: cmdIPVSProc, Stdout: []byte(procIPVS)}
	noTool := Item{Where: "w1", Command: cmdIPVS, Exit: 127, Stderr: []byte("sh: ipvsadm: not found\n")}
	noProc := Item{Where: "w1", Command: cmdIPVSProc, Exit: 1, Stderr: []byte("cat: /proc/net/ip_vs: No such file or directory\n")}
	for name, x := range map[string]struct {
		items []Item
		want  int // virtual servers; -1: unknown
	}{
		"ipvsadm": {[]Item{tool}, 2}, "the kernel's table where there is no ipvsadm": {[]Item{noTool, proc}, 2}, "neither": {[]Item{noTool}, -1},
		"no IPVS in the kernel": {[]Item{noProc}, 0}, "no tool, and no IPVS in the kernel": {[]Item{noTool, noProc}, 0}, "nothing": {nil, -1},
		"not to be read": {[]Item{{Where: "w1", Command: cmdIPVSProc, Exit: 1, Stderr: []byte("cat: Permission denied\n")}}, -1},
	} {
		fact := parseVirtualServers(&Evidence{Lab: lab, Items: x.items}, "w1", "w1: not collected")
		got := len(fact.Value)
		if !fact.Known {
			got = -1
		}
		if got != x.want {
			t.Errorf("%s: %d virtual servers, want %d (%s)", name, got, x.want, fact.Why)
		}
	}
}

// Both recorded versions' rules, of both back ends' shape, and both of iptables' ways to print them.
func TestRecordedRules(t *testing.T) {
	for folder, hello := range map[string]int{"k3s-v1.21.2/correct": 6, "k3s-v1.34.3": 6} {
		lab := config.Default()
		f := Parse(recording(t, folder, lab))
		for _, n := range lab.Nodes {
			nat := f.Nodes[n.Name].NAT
			if !nat.Known {
				t.Fatalf("%s %s: %s", folder, n.Name, nat.Why)
			}
			ends := 0
			for _, r := range nat.Value {
				if strings.HasPrefix(r.Chain, "KUBE-SVC-") && strings.Contains(r.Line, "hello-svc") && strings.HasPrefix(r.Jump, "KUBE-SEP-") {
					ends++
				}
				if strings.HasPrefix(r.Chain, "KUBE-SEP-") && (r.Jump == "DNAT") != r.DNAT.IsValid() {
					t.Errorf("%s %s: %+v", folder, n.Name, r)
				}
			}
			if ends != hello {
				t.Errorf("%s %s: %d rules for hello-svc's endpoints, want %d", folder, n.Name, ends, hello)
			}
		}
	}
}

func TestNATRules(t *testing.T) {
	for line, want := range map[string]checks.NATRule{
		`-A KUBE-SERVICES -d 10.43.0.1/32 -p tcp -m comment --comment "default/kubernetes:https cluster IP" -m tcp --dport 443 -j KUBE-SVC-NPX`: {
			Chain: "KUBE-SERVICES", Jump: "KUBE-SVC-NPX", Protocol: "tcp", To: prefix("10.43.0.1/32"), Port: 443, Probability: 1},
		`-A KUBE-SVC-NPX ! -s 10.42.0.0/16 -d 10.43.0.1/32 -p tcp --dport 443 -j KUBE-MARK-MASQ`: {
			Chain: "KUBE-SVC-NPX", Jump: "KUBE-MARK-MASQ", Protocol: "tcp", To: prefix("10.43.0.1/32"), Port: 443, Probability: 1, Narrow: true},
		`-A X ! -d 10.43.0.0/16 ! -p tcp ! --dport 80 -j Y`: {Chain: "X", Jump: "Y", Probability: 1, Narrow: true},
		`-A KUBE-SVC-A -m statistic --mode random --probability 0.16666666651 -j KUBE-SEP-B`: {
			Chain: "KUBE-SVC-A", Jump: "KUBE-SEP-B", Probability: 0.16666666651},
		`-A KUBE-SVC-A -m recent --name KUBE-SEP-B --rcheck --seconds 10800 --reap --mask 255.255.255.255 --rsource -j KUBE-SEP-B`: {
			Chain: "KUBE-SVC-A", Jump: "KUBE-SEP-B", Probability: 1, Sticky: true},
		`-A KUBE-SEP-B -p tcp -m tcp -j DNAT --to-destination 10.42.1.8:80`: {
			Chain: "KUBE-SEP-B", Jump: "DNAT", Protocol: "tcp", Probability: 1, DNAT: netip.MustParseAddrPort("10.42.1.8:80")},
		`-A KUBE-SEP-B -p tcp -m tcp -j DNAT [unsupported revision]`: {Chain: "KUBE-SEP-B", Jump: "DNAT", Protocol: "tcp", Probability: 1},
		`-A X -m comment --comment "a \"quoted\" -j TRAP" -j Y`:      {Chain: "X", Jump: "Y", Probability: 1},
		`-A PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT`: {
			Chain: "PREROUTING", Jump: "CNI-HOSTPORT-DNAT", Probability: 1, Local: true, Narrow: true},
		`-A OUTPUT -m addrtype ! --dst-type LOCAL -j Y`:        {Chain: "OUTPUT", Jump: "Y", Probability: 1, Narrow: true},
		`-A OUTPUT -m addrtype --dst-type BROADCAST -j RETURN`: {Chain: "OUTPUT", Jump: "RETURN", Probability: 1, Narrow: true},
		`-A X -p tcp --dport 30000:32767 -j Y`:                 {Chain: "X", Jump: "Y", Protocol: "tcp", Probability: 1, Narrow: true},
		`-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES`: {
			Chain: "PREROUTING", Jump: "KUBE-SERVICES", Probability: 1},
		`-A PREROUTING -i nosuch -j KUBE-SERVICES`:      {Chain: "PREROUTING", Jump: "KUBE-SERVICES", Probability: 1, Narrow: true},
		`-A PREROUTING -s 10.0.0.0/8 -j KUBE-SERVICES`:  {Chain: "PREROUTING", Jump: "KUBE-SERVICES", Probability: 1, Narrow: true},
		`-A OUTPUT -m mark --mark 0x1 -j KUBE-SERVICES`: {Chain: "OUTPUT", Jump: "KUBE-SERVICES", Probability: 1, Narrow: true},
		`-A KUBE-NODEPORTS -d 127.0.0.0/8 -p tcp -m comment --comment "default/hello-svc" -m tcp --dport 31885 -m nfacct --nfacct-name localhost_nps_accepted_pkts -j KUBE-EXT-A`: {
			Chain: "KUBE-NODEPORTS", Jump: "KUBE-EXT-A", Protocol: "tcp", To: prefix("127.0.0.0/8"), Port: 31885, Probability: 1},
	} {
		want.Line = line
		got, err := parseNATRule(line)
		if err != nil || got != want {
			t.Errorf("%s\n%+v, %v, want\n%+v", line, got, err, want)
		}
	}
	for _, bad := range []string{"", "*filter\n:INPUT ACCEPT [0:0]\nCOMMIT\n", "*nat\n-A X -d nowhere -j Y\nCOMMIT\n", "*nat\n-A X --dport http -j Y\nCOMMIT\n",
		"*nat\n-A X --probability 2 -j Y\nCOMMIT\n", "*nat\n-A \"\" -j Y\nCOMMIT\n", "iptables-save: not found"} {
		if rules, err := parseNAT([]byte(bad)); err == nil {
			t.Errorf("%q: no error, but %+v", bad, rules)
		}
	}
}

// A table that is cut short is no table, wherever it is cut: rules that would tell of a fault may be missing.
func TestNATCutShort(t *testing.T) {
	item, ok := recording(t, "k3s-v1.34.3", config.Default()).find("w1", cmdNAT)
	whole := item.Stdout
	end := bytes.Index(whole, []byte("COMMIT")) + len("COMMIT")
	if rules, err := parseNAT(whole); !ok || err != nil || len(rules) < 50 {
		t.Fatalf("%d rules of the whole table, %v", len(rules), err)
	}
	for cut := 0; cut < end; cut += 13 {
		if rules, err := parseNAT(whole[:cut]); err == nil {
			t.Fatalf("cut after %d bytes of %d: no error, but %d rules", cut, len(whole), len(rules))
		}
	}
	for name, text := range map[string]string{
		"another table before the end": "*nat\n-A X -j Y\n*filter\nCOMMIT\n",
		"the filter table's end only":  "*filter\nCOMMIT\n*nat\n-A X -j Y\n",
	} {
		if rules, err := parseNAT([]byte(text)); err == nil {
			t.Errorf("%s: no error, but %+v", name, rules)
		}
	}
	for name, text := range map[string]string{
		"another table after it":       "*nat\n-A X -j Y\nCOMMIT\n*filter\n-A Z -j Y\nCOMMIT\n",
		"as iptables -t nat -S has it": "-P PREROUTING ACCEPT\n-A X -j Y\n",
	} {
		if rules, err := parseNAT([]byte(text)); err != nil || len(rules) != 1 {
			t.Errorf("%s: %+v, %v", name, rules, err)
		}
	}
}

// Where both back ends hold rules, kube-proxy's count.
func TestLegacyRules(t *testing.T) {
	const none, own = "*nat\n:PREROUTING ACCEPT [0:0]\nCOMMIT\n", "*nat\n-A KUBE-SERVICES -j KUBE-NODEPORTS\nCOMMIT\n"
	for name, x := range map[string]struct{ nft, legacy, want string }{
		"nft": {own, "", "sudo iptables-save -t nat"}, "legacy": {none, own, "sudo iptables-legacy-save -t nat"}, "neither": {none, none, "sudo iptables-save -t nat"},
	} {
		e := &Evidence{Lab: config.Default(), Items: []Item{{Where: "w1", Command: cmdNAT, Stdout: []byte(x.nft)}}}
		if x.legacy != "" {
			e.Items = append(e.Items, Item{Where: "w1", Command: cmdNATLegacy, Stdout: []byte(x.legacy)})
		}
		if fact := parseNATTables(e, "w1", "?"); !fact.Known || fact.From.Command != x.want {
			t.Errorf("%s: taken from %q (%s)", name, fact.From.Command, fact.Why)
		}
	}
}

func TestFlows(t *testing.T) {
	end := netip.MustParseAddrPort
	for name, line := range map[string]string{
		"conntrack -L":            "tcp      6 119 TIME_WAIT src=192.168.56.10 dst=10.43.45.254 sport=51344 dport=80 src=10.42.1.10 dst=10.42.0.0 sport=8080 dport=51344 [ASSURED] mark=0 use=1",
		"/proc/net/nf_conntrack":  "ipv4     2 tcp      6 119 TIME_WAIT src=192.168.56.10 dst=10.43.45.254 sport=51344 dport=80 src=10.42.1.10 dst=10.42.0.0 sport=8080 dport=51344 [ASSURED] mark=0 zone=0 use=2",
		"not answered until now":  "tcp      6 119 SYN_SENT src=192.168.56.10 dst=10.43.45.254 sport=51344 dport=80 [UNREPLIED] src=10.42.1.10 dst=10.42.0.0 sport=8080 dport=51344 mark=0 use=1",
		"with counters of packet": "tcp      6 119 TIME_WAIT src=192.168.56.10 dst=10.43.45.254 sport=51344 dport=80 packets=6 bytes=410 src=10.42.1.10 dst=10.42.0.0 sport=8080 dport=51344 packets=5 bytes=900 [ASSURED] mark=0 use=1",
	} {
		want := []checks.Flow{{Src: end("192.168.56.10:51344"), Dst: end("10.43.45.254:80"), ReplySrc: end("10.42.1.10:8080"), ReplyDst: end("10.42.0.0:51344"), Line: line}}
		got, err := parseFlows([]byte(line + "\n"))
		if diff := cmp.Diff(want, got, comparePort()); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got)\n%s", name, err, diff)
		}
	}
	for _, bad := range []string{"tcp 6 119 src=10.42.1.10\n", "tcp src=a dst=b sport=1 dport=2 src=a dst=b sport=1 dport=2", "tcp src=1.1.1.1 dst=1.1.1.1 sport=x dport=2 src=1.1.1.1 dst=1.1.1.1 sport=1 dport=2"} {
		if got, err := parseFlows([]byte(bad)); err == nil {
			t.Errorf("%q: no error, but %+v", bad, got)
		}
	}
}

// A clock is known as a range: however long the batch took, what the two dates enclose does not widen it.
func TestClock(t *testing.T) {
	asked := time.Unix(1763819000, 0).UTC()
	item := func(date string) Item {
		return Item{Where: "w1", Command: cmdDate, Stdout: []byte(date + "\n"), Started: asked, Took: 20 * time.Second}
	}
	for name, x := range map[string]struct {
		items []Item
		want  checks.Clock
		known bool
	}{
		"right":              {[]Item{item("1763819000.100000000"), item("1763819019.900000000")}, checks.Clock{Low: -100 * time.Millisecond, High: 100 * time.Millisecond}, true},
		"an hour ahead":      {[]Item{item("1763822600.100000000"), item("1763822619.900000000")}, checks.Clock{Low: time.Hour - 100*time.Millisecond, High: time.Hour + 100*time.Millisecond}, true},
		"whole seconds":      {[]Item{item("1763819000"), item("1763819019")}, checks.Clock{Low: -time.Second, High: time.Second}, true},
		"busybox":            {[]Item{item("1763819000.%N"), item("1763819019.%N")}, checks.Clock{Low: -time.Second, High: time.Second}, true},
		"asked once":         {[]Item{item("1763819010.000000000")}, checks.Clock{Low: -10 * time.Second, High: 10 * time.Second}, true},
		"no time":            {[]Item{item("Mon Jan 26")}, checks.Clock{}, false},
		"not collected":      {nil, checks.Clock{}, false},
		"when, nobody knows": {[]Item{{Where: "w1", Command: cmdDate, Stdout: []byte("1763819000.1\n")}}, checks.Clock{}, false},
	} {
		got := parseClock(&Evidence{Lab: config.Default(), Items: x.items}, "w1", "w1: not collected")
		if got.Known != x.known || got.Value != x.want || !got.Known && got.Why == "" {
			t.Errorf("%s: %+v %v, want %+v (%s)", name, got.Value, got.Known, x.want, got.Why)
		}
	}
}
