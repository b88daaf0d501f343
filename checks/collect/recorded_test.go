package collect

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/labctl/labctl/checks"
	"github.com/labctl/labctl/checks/report"
	"github.com/labctl/labctl/internal/config"
)

// What must be concluded from each recorded cluster. Everything else of it stands in its golden file.

func recorded() map[string]struct {
	mode    config.ProxyMode
	passes  int      // at least so many checks pass
	fails   []string // exactly these fail
	unknown []string // exactly these are unknown; nil: any
} {
	return map[string]struct {
		mode    config.ProxyMode
		passes  int
		fails   []string
		unknown []string
	}{
		"correct": {mode: config.ProxyIPTables, passes: 35,
			// Not recorded: the machines, times, curl on the workers, a probe from a pod that works, a lookup on more than one node, which
			// pod answered, the LoadBalancer's node ports, an Ingress, a pod with hostNetwork, deployments.
			unknown: []string{
				"net.nics", "cluster.clocks", "pod.reach", "pod.host-network", "svc.from-nodes", "svc.from-pods", "svc.by-name", "proxy.conntrack", "proxy.balance",
				"nodeport.remote", "lb.node-ports", "lb.ingress", "dns.resolves", "demo.web", "demo.hello", "demo.probe", "demo.unchanged",
			}},
		"no-node-ip": {mode: config.ProxyIPTables, passes: 8,
			fails: []string{"net.internal-ip", "net.internal-ip-unique", "net.flannel-public-ip", "pod.machine-id", "pod.vxlan", "pod.vtep-mac"}},
		"same-machine-id": {mode: config.ProxyIPTables, passes: 18,
			// The rules were recorded while some pods of hello were being made anew.
			fails: []string{
				"pod.machine-id", "pod.vtep-mac", "svc.from-nodes", "proxy.chains", "nodeport.answers", "nodeport.remote", "lb.answers", "dns.resolves",
			}},
		// One node's tables, as people paste them: what they tell is right, and most is not told.
		"study-notes": {mode: config.ProxyIPTables, passes: 6},
		"ipvs-servicelb": {mode: config.ProxyIPVS, passes: 2,
			// Minutes after the change of the mode: the workers' rules are still the old ones, and cp1 has both.
			fails: []string{"proxy.mode", "proxy.ipvs-node-addresses"}},
	}
}

func TestVerdictsOnRecordings(t *testing.T) {
	for name, want := range recorded() {
		t.Run(name, func(t *testing.T) {
			lab := config.Default()
			lab.K3s.KubeProxyMode = want.mode
			folder := "k3s-v1.21.2/" + name
			if name == "study-notes" {
				folder = name
			}
			evidence := recording(t, folder, lab)
			r := checks.Evaluate(Parse(evidence), checks.Catalogue())
			var fails, unknown []string
			for _, v := range r.Verdicts {
				switch v.Status {
				case checks.Fail:
					fails = append(fails, v.ID)
				case checks.Unknown:
					unknown = append(unknown, v.ID)
				}
			}
			if diff := cmp.Diff(want.fails, fails); diff != "" {
				t.Errorf("what fails (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(want.unknown, unknown); want.unknown != nil && diff != "" {
				t.Errorf("what is unknown (-want +got):\n%s", diff)
			}
			if s := r.Summary(); s.Passed < want.passes {
				t.Errorf("%d checks pass, want at least %d", s.Passed, want.passes)
			}
			text, err := report.Text(r, false)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, name+".txt", append([]byte(fmt.Sprintf("recorded: what is concluded from %s\n\n", folder)), text...))

			// As a bundle it gives the same report, on any machine.
			var bundle bytes.Buffer
			if err := Write(&bundle, evidence, "recorded"); err != nil {
				t.Fatal(err)
			}
			file := filepath.Join("testdata", "bundles", name+".tar.gz")
			if os.Getenv("LABCTL_UPDATE_GOLDEN") != "" {
				if err := os.WriteFile(file, bundle.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			kept, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			read, err := Read(bytes.NewReader(kept))
			if err != nil {
				t.Fatal(err)
			}
			fromBundle, err := report.Text(checks.Evaluate(Parse(read), checks.Catalogue()), false)
			if err != nil {
				t.Fatal(err)
			}
			if diff := lineDiff(string(text), string(fromBundle)); diff != "" {
				t.Errorf("%s gives another report (set LABCTL_UPDATE_GOLDEN to write it):\n%s", file, diff)
			}
		})
	}
}
