package collect

import (
	"fmt"
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
		"correct": {mode: config.ProxyIPTables, passes: 22,
			// Not recorded: the machines, curl on the workers, a probe from a pod that works, deployments.
			unknown: []string{"net.nics", "svc.from-nodes", "svc.from-pods", "demo.web"}},
		"no-node-ip": {mode: config.ProxyIPTables, passes: 8,
			fails: []string{"net.internal-ip", "net.internal-ip-unique", "net.flannel-public-ip", "pod.machine-id", "pod.vxlan", "pod.vtep-mac"}},
		"same-machine-id": {mode: config.ProxyIPTables, passes: 18,
			fails: []string{"pod.machine-id", "pod.vtep-mac", "svc.from-nodes", "nodeport.answers"}},
		"ipvs-servicelb": {mode: config.ProxyIPVS, passes: 2,
			fails: []string{"proxy.ipvs-node-addresses"}},
	}
}

func TestVerdictsOnRecordings(t *testing.T) {
	for name, want := range recorded() {
		t.Run(name, func(t *testing.T) {
			lab := config.Default()
			lab.K3s.KubeProxyMode = want.mode
			r := checks.Evaluate(Parse(recording(t, "k3s-v1.21.2/"+name, lab)), checks.Catalogue())
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
			text, err := report.Text(r)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, name+".txt", append([]byte(fmt.Sprintf("recorded: what is concluded from k3s-v1.21.2/%s\n\n", name)), text...))
		})
	}
}
