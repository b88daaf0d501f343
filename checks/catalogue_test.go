package checks

import (
	"maps"
	"strings"
	"testing"
)

// fixture is a lab with one thing about it changed, and what a check must make of it.
type fixture struct {
	name   string
	change func(*Facts)
	want   Status
	says   string // in Actual, or in Expected
}

const (
	webIP   = "10.43.31.179:80"
	helloIP = "10.43.45.254:80"
	w1Port  = "192.168.56.11:31885"
	w2Gone  = "no route to host"
)

// asIs is the fixture that every check has: the healthy lab, or what makes the check apply there.
func asIs() fixture { return fixture{name: "a healthy lab", change: func(*Facts) {}, want: Pass} }

func w2Unreached() fixture {
	return fixture{name: "w2 cannot be reached", change: func(f *Facts) { f.unreached("w2") }, want: Unknown, says: w2Gone}
}

func noCluster() fixture {
	return fixture{
		name: "the API server does not answer", want: Unknown, says: "connection refused",
		change: func(f *Facts) {
			why := "cp1: kubectl get: exit status 1: connection refused"
			f.Cluster = Cluster{
				Nodes: Missing[[]Node](why, Source{}), Services: Missing[[]Service](why, Source{}), Pods: Missing[[]Pod](why, Source{}),
				Slices: Missing[[]EndpointSlice](why, Source{}), Deployments: Missing[[]Workload](why, Source{}), DaemonSets: Missing[[]Workload](why, Source{}),
			}
			f.Reapplied = Missing[[]Applied](why, Source{})
		},
	}
}

func w1NotInCluster() fixture {
	return fixture{
		name: "w1 never joined", want: Fail, says: "w1 is not in the cluster",
		change: func(f *Facts) { f.Cluster.Nodes.Value = append(f.Cluster.Nodes.Value[:1:1], f.Cluster.Nodes.Value[2]) },
	}
}

// fixtures are those of every check, by its ID.
func fixtures() map[string][]fixture {
	all := map[string][]fixture{}
	for _, area := range []func() map[string][]fixture{
		nodeAddressFixtures, internalIPFixtures, podNetworkFixtures, hostNetworkFixtures, clusterIPFixtures, kubeProxyFixtures,
		nodePortFixtures, loadBalancerFixtures, dnsFixtures, demoFixtures,
	} {
		maps.Copy(all, area())
	}
	return all
}

func TestEveryCheckOnItsFixtures(t *testing.T) {
	all := fixtures()
	for _, c := range Catalogue() {
		t.Run(c.ID, func(t *testing.T) {
			seen := map[Status]bool{}
			for _, x := range all[c.ID] {
				f := healthy()
				x.change(f)
				got := c.Eval(*f)
				seen[x.want] = true
				if got.Status != x.want {
					t.Errorf("%s: %s, want %s: expected %q, actual %q", x.name, got.Status, x.want, got.Expected, got.Actual)
				}
				if !strings.Contains(got.Actual, x.says) {
					t.Errorf("%s: actual is %q, which does not say %q", x.name, got.Actual, x.says)
				}
				complete(t, x.name, got)
			}
			for _, s := range []Status{Pass, Fail, Unknown} {
				if !seen[s] {
					t.Errorf("no fixture gives %s", s)
				}
			}
		})
		delete(all, c.ID)
	}
	for id := range all {
		t.Errorf("there are fixtures for %q, which is no check", id)
	}
}

// complete says what a result of its status lacks.
func complete(t *testing.T, name string, r Result) {
	t.Helper()
	switch r.Status {
	case Pass:
		if r.Expected == "" || r.Actual == "" || len(r.Evidence) == 0 || r.Hint != "" {
			t.Errorf("%s: a pass says what was expected and found, and by what: %+v", name, r)
		}
	case Fail:
		if r.Expected == "" || r.Actual == "" || r.Hint == "" {
			t.Errorf("%s: a failure says what was expected, what was found and what to do: %+v", name, r)
		}
	case Unknown:
		if r.Actual == "" || r.Hint == "" {
			t.Errorf("%s: an unknown says why, and what to do: %+v", name, r)
		}
	}
}

// Without facts nothing passes, nothing fails, and nothing panics.
func TestNothingIsKnownOfEmptyFacts(t *testing.T) {
	lab := healthy().Lab
	ipvs := healthy()
	ipvs.inIPVS()
	for name, f := range map[string]Facts{"no lab": {}, "no facts": {Lab: lab}, "no facts, IPVS": {Lab: ipvs.Lab}} {
		r := Evaluate(f, Catalogue())
		for _, v := range r.Verdicts {
			if v.Status == Pass || v.Status == Fail {
				t.Errorf("%s: %s is %s: %s", name, v.ID, v.Status, v.Actual)
			}
		}
		if r.ExitCode() != 3 {
			t.Errorf("%s: exit code %d, want 3", name, r.ExitCode())
		}
	}
}

// A node that cannot be reached leaves verdicts on what does not depend on it.
func TestVerdictsForTheRest(t *testing.T) {
	f := healthy()
	f.unreached("w2")
	s := Evaluate(*f, Catalogue()).Summary()
	if s.Failed != 0 || s.Passed < 12 || s.Unknown < 8 {
		t.Errorf("with w2 unreached: %+v", s)
	}
	f.clusterNode("w1", func(n *Node) { n.VtepMAC = "02:00:00:00:00:01" })
	for _, c := range Catalogue() {
		if r := c.Eval(*f); c.ID == "pod.vtep-mac" && (r.Status != Fail || !strings.Contains(r.Actual, "unknown: w2: dial")) {
			t.Errorf("a failure beside a missing fact names both: %+v", r)
		}
	}
}

// A lab whose addresses are all others gives the same verdicts: nothing is hard-coded that the lab's file says.
func TestAnotherLab(t *testing.T) {
	f := healthy()
	f.Lab.Name = "other"
	f.Lab.Demo.NodePort = 30000
	for i := range f.Lab.Nodes {
		f.Lab.Nodes[i].Address = addr("172.20.0.20")
		for range i {
			f.Lab.Nodes[i].Address = f.Lab.Nodes[i].Address.Next()
		}
	}
	for _, v := range Evaluate(*f, Catalogue()).Verdicts {
		needsAddress := map[string]bool{
			"net.host-only-address": true, "net.internal-ip": true, "net.flannel-public-ip": true, "pod.vxlan": true, "nodeport.mapping": true,
			"lb.external-ip": true, "pod.host-network": true,
		}
		if needsAddress[v.ID] != (v.Status == Fail) {
			t.Errorf("%s is %s: %s", v.ID, v.Status, v.Actual)
		}
	}
}
