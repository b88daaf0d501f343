package collect

import (
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
	f.Add([]byte("labctl 0 0 4 0\ncp1\n\nlabctl 1 127 0 3\nerr\n"))
	f.Add([]byte("labctl 1 0 99999999 1\n"))
	for _, s := range seeds(f, cmdHostname) {
		f.Add(append([]byte("labctl 0 0 4 0\n"), append(s, '\n')...))
	}
	f.Fuzz(func(t *testing.T, out []byte) {
		frames, err := parseFrames(out, 3)
		total := 0
		for _, x := range frames {
			if x.index < 0 || x.index > 2 || x.exit < 0 || x.exit > 255 {
				t.Errorf("frame %+v", x)
			}
			total += len(x.stdout) + len(x.stderr)
		}
		if total > len(out) || err == nil && len(out) > 0 && len(frames) == 0 {
			t.Errorf("%d bytes of %d in %d frames, error %v", total, len(out), len(frames), err)
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
