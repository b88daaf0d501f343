package collect

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/labctl/labctl/checks"
	"github.com/labctl/labctl/internal/config"
)

// seeds returns every output of the recordings' commands that begin so.
func seeds(t testing.TB, command string) [][]byte {
	t.Helper()
	var out [][]byte
	for _, pattern := range []string{"testdata/k3s-*/*.txt", "testdata/k3s-*/*/*.txt"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			for _, i := range transcript(t, file, "cp1") {
				if strings.HasPrefix(i.Command, command) && len(i.Stdout) > 0 {
					out = append(out, i.Stdout)
				}
			}
		}
	}
	if len(out) == 0 {
		t.Fatalf("nothing of %q was recorded", command)
	}
	return out
}

func seed(f *testing.F, command string) {
	for _, s := range seeds(f, command) {
		f.Add(s)
		f.Add(s[:len(s)/2])
	}
	f.Add([]byte(nil))
	f.Add([]byte("[{}]"))
}

func FuzzLinks(f *testing.F) {
	seed(f, cmdAddr)
	f.Fuzz(func(t *testing.T, out []byte) {
		links, err := parseLinks(out)
		if (err == nil) != (len(links) > 0) {
			t.Errorf("%d links and error %v", len(links), err)
		}
		for _, l := range links {
			for _, a := range l.Addresses {
				if !a.IsValid() {
					t.Errorf("an address of %q is not valid", l.Name)
				}
			}
		}
	})
}

func FuzzRoutes(f *testing.F) {
	seed(f, cmdRoute)
	f.Fuzz(func(t *testing.T, out []byte) {
		routes, err := parseRoutes(out)
		for _, r := range routes {
			if err != nil || !r.To.IsValid() {
				t.Errorf("route %+v beside error %v", r, err)
			}
		}
	})
}

func FuzzVXLAN(f *testing.F) {
	seed(f, cmdVXLAN)
	f.Fuzz(func(t *testing.T, out []byte) {
		if v, err := parseVXLAN(out); err == nil && len(v.MAC) != 17 {
			t.Errorf("no error, and MAC %q", v.MAC)
		}
	})
}

func FuzzSubnet(f *testing.F) {
	seed(f, cmdSubnet)
	f.Fuzz(func(t *testing.T, out []byte) {
		if s, err := parseSubnet(out); err == nil && (!s.Network.IsValid() || !s.Gateway.IsValid()) {
			t.Errorf("no error, and %+v", s)
		}
	})
}

func FuzzMachineID(f *testing.F) {
	seed(f, cmdMachineID)
	f.Fuzz(func(t *testing.T, out []byte) {
		if id, err := parseMachineID(out); err == nil && len(id) != 32 {
			t.Errorf("no error, and %q", id)
		}
	})
}

// Whatever kubectl prints, no kind is known with an object that could not be read, and no check panics on it.
func FuzzCluster(f *testing.F) {
	seed(f, "kubectl")
	f.Fuzz(func(t *testing.T, out []byte) {
		facts := Parse(&Evidence{Lab: config.Default(), Items: []Item{{Where: "cp1", Command: cmdCluster, Stdout: out}}})
		if _, err := parseList(out); err != nil && facts.Cluster.Nodes.Known {
			t.Errorf("nodes are known although the list is broken: %v", err)
		}
		checks.Evaluate(facts, checks.Catalogue())
	})
}

func FuzzFrames(f *testing.F) {
	f.Add([]byte("labctl N 0\ncp1\n\nlabctl N 0 0\nlabctl N 1\n\nlabctl N 1 127\n"), []byte("labctl N 0\n\nlabctl N 0 0\nlabctl N 1\nerr\n\nlabctl N 1 127\n"))
	f.Add([]byte("labctl N 1\n\nlabctl N 1 999\n"), []byte("labctl N 1\n"))
	for _, s := range seeds(f, cmdHostname) {
		f.Add(fmt.Appendf(nil, "labctl N 0\n%s\nlabctl N 0 0\n", s), []byte("x\nlabctl N 0\n\nlabctl N 0 0\n"))
	}
	f.Fuzz(func(t *testing.T, out, errs []byte) {
		frames, err := framing{make([]command, 3), "N"}.parse(out, errs)
		total := 0
		for _, x := range frames {
			if x.index < 0 || x.index > 2 || x.exit < 0 || x.exit > 255 {
				t.Errorf("frame %+v", x)
			}
			total += len(x.stdout) + len(x.stderr)
		}
		if total > len(out)+len(errs) || err == nil && len(out) > 0 && len(frames) == 0 {
			t.Errorf("%d bytes of %d in %d frames, error %v", total, len(out)+len(errs), len(frames), err)
		}
	})
}

func FuzzCurl(f *testing.F) {
	seed(f, "curl")
	f.Fuzz(func(t *testing.T, out []byte) {
		body, status, took, err := parseCurlOutput(out)
		if err == nil && (status < 0 || status > 999 || took < 0 || len(body) > len(out)) {
			t.Errorf("%d bytes, status %d, %s", len(body), status, took)
		}
	})
}

func FuzzWhoami(f *testing.F) {
	f.Add([]byte("Hostname: hello-1\nIP: 10.42.0.1\nGET /?nonce=x HTTP/1.1\n"))
	f.Fuzz(func(t *testing.T, out []byte) {
		if host, err := parseWhoami(out); err == nil && (host == "" || strings.ContainsFunc(host, func(r rune) bool { return r < 0x21 || r > 0x7e })) {
			t.Errorf("no error, and host %q", host)
		}
	})
}

func FuzzNICs(f *testing.F) {
	f.Add([]byte("macaddress1=\"0800274D69BE\"\ncableconnected1=\"on\"\nnic1=\"nat\"\n"))
	f.Fuzz(func(t *testing.T, out []byte) {
		nics, err := parseNICs(out)
		if (err == nil) != (len(nics) > 0) {
			t.Errorf("%d NICs and error %v", len(nics), err)
		}
	})
}

func FuzzNAT(f *testing.F) {
	seed(f, "sudo "+cmdNAT)
	seed(f, cmdNAT)
	f.Add([]byte("-P PREROUTING ACCEPT\n-A KUBE-SERVICES ! -d 10.43.0.1/32 -p tcp -m comment --comment \"a \\\"b\\\" c\" --dport 1:2 -j X\n"))
	f.Fuzz(func(t *testing.T, out []byte) {
		rules, err := parseNAT(out)
		for _, r := range rules {
			if err != nil || r.Chain == "" || !(r.Probability >= 0 && r.Probability <= 1) {
				t.Errorf("rule %+v beside error %v", r, err)
			}
		}
	})
}

func FuzzVirtualServers(f *testing.F) {
	seed(f, "sudo "+cmdIPVS)
	f.Add([]byte(procIPVS))
	f.Fuzz(func(t *testing.T, out []byte) {
		servers, err := parseIPVS(out)
		for _, v := range servers {
			if err != nil || !v.Addr.IsValid() {
				t.Errorf("virtual server %+v beside error %v", v, err)
			}
		}
	})
}

func FuzzFlows(f *testing.F) {
	seed(f, "sudo conntrack")
	f.Fuzz(func(t *testing.T, out []byte) {
		flows, err := parseFlows(out)
		for _, flow := range flows {
			if err != nil || !flow.Src.IsValid() || !flow.ReplySrc.IsValid() {
				t.Errorf("flow %+v beside error %v", flow, err)
			}
		}
	})
}

func FuzzLookup(f *testing.F) {
	seed(f, "kubectl -n demo exec web-b948698f8-6gbdr -- nslookup")
	f.Add([]byte(";;\n"))
	f.Fuzz(func(t *testing.T, out []byte) {
		for _, exit := range []int{0, 1} {
			var l checks.Lookup
			readLookup(&l, Item{Where: "cp1", Command: "nslookup", Exit: exit, Stdout: out, Stderr: []byte(inPod + " 1\n")})
			if l.Known && len(l.Addresses) == 0 && l.Why == "" {
				t.Errorf("no address, and no reason: %+v", l)
			}
		}
	})
}

func FuzzTables(f *testing.F) {
	for _, command := range []string{cmdNodesTable, cmdServicesTable, cmdPodsTable, cmdAddrTable, cmdRouteTable} {
		seed(f, command)
	}
	e := &Evidence{Lab: config.Default()}
	f.Fuzz(func(t *testing.T, out []byte) {
		if links, err := parseLinkTable(out); (err == nil) != (len(links) > 0) {
			t.Errorf("%d links and error %v", len(links), err)
		}
		if routes, err := parseRouteTable(out); (err == nil) != (len(routes) > 0) {
			t.Errorf("%d routes and error %v", len(routes), err)
		}
		nodes, err := parseNodeTable(out)
		services, serr := parseServiceTable(out)
		pods, perr := parsePodTable(out, e)
		if err != nil && nodes != nil || serr != nil && services != nil || perr != nil && pods != nil {
			t.Error("rows beside an error")
		}
	})
}

func FuzzPodScript(f *testing.F) {
	f.Add([]byte("labctl N 0\nx\nlabctl N 0 0\nlabctl N 1\n\nlabctl N 1 1\n"), 0)
	f.Add([]byte("labctl N 0\nx\nlabctl N 0 256\n"), 1)
	f.Add([]byte("labctl N 0\nx\nlabctl N 0 0\nlabctl N 1\nx\nlabctl N 1 0\nlabctl N 1\nx\nlabctl N 1 0\nlabctl N 1\nx\nlabctl N 1 0\n"), 0)
	f.Fuzz(func(t *testing.T, out []byte, exit int) {
		s := &podScript{namespace: "labctl", pod: "p", commands: []podLine{{text: "a"}, {text: "b", times: 3}}, nonce: "N"}
		if items := s.items(Item{Where: "cp1", Stdout: out, Exit: exit}); len(items) < 2 || len(items) > 4 {
			t.Errorf("%d items of a command and of another that is run up to three times", len(items))
		}
	})
}
