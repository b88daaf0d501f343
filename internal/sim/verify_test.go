package sim

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ssh"

	"github.com/labctl/labctl/checks"
	"github.com/labctl/labctl/checks/collect"
	"github.com/labctl/labctl/internal/config"
	"github.com/labctl/labctl/k3s"
)

// Every check of the catalogue is answered from the model: healthy in both modes, and after a change of its state what must fail fails.

// nodeRunner runs commands over one connection, as labctl does.
type nodeRunner struct{ client *ssh.Client }

type exitError struct {
	status int
	text   string
}

func (e exitError) Error() string   { return e.text }
func (e exitError) ExitStatus() int { return e.status }

func (r nodeRunner) Run(ctx context.Context, command string, stdin io.Reader) ([]byte, error) {
	out, _, err := r.Outputs(ctx, command, stdin)
	return out, err
}

func (r nodeRunner) Outputs(ctx context.Context, command string, stdin io.Reader) (stdout, stderr []byte, err error) {
	s, err := r.client.NewSession()
	if err != nil {
		return nil, nil, err
	}
	defer s.Close()
	var out, errs bytes.Buffer
	s.Stdin, s.Stdout, s.Stderr = stdin, &out, &errs
	stop := context.AfterFunc(ctx, func() { _ = r.client.Close() })
	defer stop()
	err = s.Run(command)
	if exit, ok := err.(*ssh.ExitError); ok {
		err = exitError{exit.ExitStatus(), errs.String()}
	}
	return out.Bytes(), errs.Bytes(), err
}

// configured is the lab as labctl.yaml would have it.
func configured(nodes int, mode config.ProxyMode) *config.Lab {
	c := config.Default()
	c.K3s.KubeProxyMode = mode
	c.Nodes = nil
	for n := range nodes {
		role := config.RoleAgent
		if n == 0 {
			role = config.RoleServer
		}
		c.Nodes = append(c.Nodes, config.Node{Name: nodeName(n), Role: role, Address: netip.MustParseAddr(nodeAddress(n))})
	}
	return c
}

func manifests(c *config.Lab) []byte {
	var all [][]byte
	for _, m := range k3s.Manifests(c) {
		all = append(all, m.YAML)
	}
	return bytes.Join(all, []byte("---\n"))
}

// settled makes the cluster that a lab's file describes, with the demo running.
func (l *lab) settled(c *config.Lab) {
	l.t.Helper()
	l.cluster(len(c.Nodes), func(n int) string {
		s := correct(n)
		if c.K3s.KubeProxyMode == config.ProxyIPVS {
			l.run(n, "sudo modprobe -a ip_vs ip_vs_rr")
			s += "kube-proxy-arg: [proxy-mode=ipvs]\n"
			if n == 0 {
				s += "disable: [servicelb]\n"
			}
		}
		return s
	})
	l.run(0, "sudo kubectl apply -f -", string(manifests(c)))
	l.run(0, "sudo kubectl rollout status deployment/web -n demo && sudo kubectl rollout status deployment/hello && sudo kubectl rollout status ds/labctl-probe -n labctl"+
		" && sudo kubectl rollout status deployment/traefik -n kube-system && sudo kubectl rollout status deployment/coredns -n kube-system")
}

type machineNICs struct{ w *World }

func (m machineNICs) NICs(_ context.Context, node string) ([]checks.NIC, string, error) {
	vbox, err := m.w.virtualBox()
	if err != nil {
		return nil, "", err
	}
	var all []checks.NIC
	for _, machine := range vbox.Machines {
		for i, n := range machine.NICs {
			if mac, ok := checks.ParseMAC(n.MAC); ok && machine.Name == "lab-"+node {
				all = append(all, checks.NIC{Slot: i + 1, Kind: n.Kind, Network: n.Network, MAC: mac, Cable: n.Cable})
			}
		}
	}
	return all, "running", nil
}

// evidence asks everything that labctl verify asks for these checks, or for all.
func (l *lab) evidence(c *config.Lab, selected ...checks.Check) *collect.Evidence {
	l.t.Helper()
	e, err := collect.Collect(l.t.Context(), collect.Options{
		Checks: selected, Lab: c, Simulated: true, Manifests: manifests(c), HostRoutes: l.world.HostRoutes, Machines: machineNICs{l.world},
		Connect: func(ctx context.Context, node string) (collect.Runner, io.Closer, error) {
			n := slices.IndexFunc(c.Nodes, func(n config.Node) bool { return n.Name == node })
			client, err := l.dial(n, nodeAddress(n)+":22")
			if err != nil {
				return nil, nil, err
			}
			return nodeRunner{client}, client, nil
		},
		HTTP: &http.Client{Timeout: 15 * time.Second, Transport: &http.Transport{DialContext: l.world.DialContext, DisableKeepAlives: true,
			TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}},
	})
	if err != nil {
		l.t.Fatal(err)
	}
	return e
}

// verdicts are the checks that fail and those that are unknown.
func (l *lab) verdicts(c *config.Lab) (failed, unknown []string, report checks.Report) {
	l.t.Helper()
	report = checks.Evaluate(collect.Parse(l.evidence(c)), checks.Catalogue())
	for _, v := range report.Verdicts {
		switch v.Status {
		case checks.Fail:
			failed = append(failed, v.ID)
		case checks.Unknown:
			unknown = append(unknown, v.ID)
		}
	}
	return failed, unknown, report
}

// judge asks what the named checks need, and nothing else, and returns their verdicts.
func (l *lab) judge(c *config.Lab, names ...string) checks.Report {
	l.t.Helper()
	selected, err := checks.Select(checks.Catalogue(), names...)
	if err != nil {
		l.t.Fatal(err)
	}
	return checks.Evaluate(collect.Parse(l.evidence(c, selected...)), selected)
}

func (l *lab) expect(c *config.Lab, what string, fails ...string) {
	l.t.Helper()
	var failed, unknown []string
	var r checks.Report
	l.eventually(func() error {
		failed, unknown, r = l.verdicts(c)
		if len(fails) == 0 && len(failed)+len(unknown) > 0 {
			return fmt.Errorf("%s: %s: %v fail, %v unknown:\n%s", c.K3s.KubeProxyMode, what, failed, unknown, explained(r))
		}
		return nil
	})
	for _, id := range fails {
		if !slices.Contains(failed, id) {
			l.t.Errorf("%s: %s: %s does not fail; %v do, %v are unknown", c.K3s.KubeProxyMode, what, id, failed, unknown)
		}
	}
	l.t.Logf("%s: %s: %v fail, %v unknown", c.K3s.KubeProxyMode, what, failed, unknown)
}

func explained(r checks.Report) string {
	var b strings.Builder
	for _, v := range r.Verdicts {
		if v.Status != checks.Pass && v.Status != checks.NotApplicable {
			fmt.Fprintf(&b, "%s: want %s\n  got %s\n", v.ID, v.Expected, v.Actual)
		}
	}
	return b.String()
}

func TestCatalogueIsAnswered(t *testing.T) {
	for _, mode := range []config.ProxyMode{config.ProxyIPTables, config.ProxyIPVS} {
		t.Run(string(mode), func(t *testing.T) {
			l := newLab(t)
			c := configured(3, mode)
			l.settled(c)
			l.expect(c, "healthy")
			_, _, r := l.verdicts(c)
			if diff := cmp.Diff(len(checks.Catalogue()), len(r.Verdicts)); diff != "" {
				t.Errorf("verdicts: %s", diff)
			}
			whole := map[string]checks.Status{}
			for _, v := range r.Verdicts {
				whole[v.ID] = v.Status
			}
			// What was collected for the checks that need the same is enough for each of them.
			alike := map[checks.Needs][]string{}
			for _, check := range checks.Catalogue() {
				n := checks.NeedsOf([]checks.Check{check})
				alike[n] = append(alike[n], check.ID)
			}
			if len(alike) < 9 {
				t.Errorf("only %d kinds of needs", len(alike))
			}
			for _, names := range alike {
				for _, v := range l.judge(c, names...).Verdicts {
					if v.Status != whole[v.ID] {
						t.Errorf("%s is %s when only what %v need was collected, and %s otherwise: %s", v.ID, v.Status, names, whole[v.ID], v.Actual)
					}
				}
			}
		})
	}
}
