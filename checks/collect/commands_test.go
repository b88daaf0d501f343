package collect

import (
	"slices"
	"strings"
	"testing"

	"github.com/labctl/labctl/checks"
	"github.com/labctl/labctl/internal/config"
)

// A pod's name goes into a command that root runs: one that Kubernetes would not accept is not used.
func TestHostilePodNames(t *testing.T) {
	lab := config.Default()
	from := checks.Source{}
	for name, want := range map[string]int{
		"labctl-probe-x1x1x": 2, "labctl-probe-$(reboot)": 0, "labctl-probe-x; reboot": 0, "labctl-probe-x\nreboot": 0, "labctl-probe-": 0, "other-x1x1x": 0,
	} {
		f := checks.Facts{Lab: lab, Cluster: checks.Cluster{Pods: checks.Known([]checks.Pod{{Namespace: "labctl", Name: name, Node: "w1", Ready: true, Running: true}}, from)}}
		if got := podBatch(f, mustTarget(t, "http://10.43.31.179/")); len(got) != want {
			t.Errorf("%q gives %d commands, want %d", name, len(got), want)
		}
	}
}

// Every command that a report names can be typed as it stands: by somebody who is not root, with nothing on standard input, and beside a
// proxy in the environment.
func TestReportedCommandsCanBeTyped(t *testing.T) {
	for _, mode := range []config.ProxyMode{config.ProxyIPTables, config.ProxyIPVS} {
		f := newFakeLab(t)
		o := f.options()
		lab := *o.Lab
		lab.K3s.KubeProxyMode = mode
		o.Lab = &lab
		evidence, err := Collect(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		seen := map[string]bool{}
		for _, v := range checks.Evaluate(Parse(evidence), checks.Catalogue()).Verdicts {
			for _, e := range v.Evidence {
				words := strings.Fields(e.Command)
				if len(words) == 0 {
					t.Fatalf("%s: evidence without a command", v.ID)
				}
				seen[words[0]] = true
				switch {
				case slices.Contains([]string{"iptables-save", "iptables-legacy-save", "ipvsadm", "conntrack", "grep"}, words[0]):
					t.Errorf("%s: %q takes root", v.ID, e.Command)
				case words[0] == "sudo" && words[1] == "conntrack":
					t.Errorf("%s: %q is not in root's PATH", v.ID, e.Command)
				case strings.HasSuffix(e.Command, " -f -"), strings.Contains(e.Command, "--request-timeout"), strings.Count(e.Command, ",") > 0 && words[0] == "kubectl":
					t.Errorf("%s: %q is not what people type", v.ID, e.Command)
				case words[0] == "curl" && !strings.Contains(e.Command, "--noproxy '*'"):
					t.Errorf("%s: %q asks a proxy", v.ID, e.Command)
				}
			}
		}
		for _, program := range []string{"sudo", "kubectl", "curl"} {
			if !seen[program] {
				t.Errorf("%s: no evidence is of %s: this test reaches nothing", mode, program)
			}
		}
	}
}

func TestShown(t *testing.T) {
	for command, want := range map[string]string{
		"ip -j addr":                          "ip -j addr",
		cmdNAT:                                "sudo iptables-save -t nat",
		"sudo " + cmdNAT:                      "sudo iptables-save -t nat",
		cmdIPVS:                               "sudo ipvsadm -Ln",
		cmdIPVSProc:                           "cat /proc/net/ip_vs",
		"conntrack -L -p tcp":                 "sudo /var/lib/rancher/k3s/data/current/bin/aux/conntrack -L -p tcp",
		"grep 'dst=1' /proc/net/nf_conntrack": "sudo grep 'dst=1' /proc/net/nf_conntrack",
	} {
		if got := shown(command); got != want {
			t.Errorf("%q is shown as %q, want %q", command, got, want)
		}
	}
}
