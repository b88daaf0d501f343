package collect

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/labctl/labctl/checks"
	"github.com/labctl/labctl/internal/config"
)

// The tables of a recording say what its JSON says, as far as they go.
func TestTablesAgreeWithJSON(t *testing.T) {
	lab := config.Default()
	whole := recording(t, "k3s-v1.21.2/correct", lab)
	tables := &Evidence{Lab: lab}
	for _, i := range whole.Items {
		if !strings.Contains(i.Command, "json") && !strings.HasPrefix(i.Command, "ip -j") {
			tables.Items = append(tables.Items, i)
		}
	}
	want, got := Parse(whole), Parse(tables)
	for _, n := range lab.Nodes {
		links := want.Nodes[n.Name].Links.Value
		for i := range links {
			links[i].MAC, links[i].MTU = "", 0
		}
		if diff := cmp.Diff(links, got.Nodes[n.Name].Links.Value, compareNetip(), comparePrefix()); diff != "" {
			t.Errorf("%s links (-json +table)\n%s", n.Name, diff)
		}
		if diff := cmp.Diff(want.Nodes[n.Name].Routes.Value, got.Nodes[n.Name].Routes.Value, compareNetip(), comparePrefix()); diff != "" {
			t.Errorf("%s routes (-json +table)\n%s", n.Name, diff)
		}
	}
	for i, n := range want.Cluster.Nodes.Value {
		told := checks.Node{Name: n.Name, Ready: n.Ready, Internal: n.Internal, External: n.External}
		if diff := cmp.Diff(told, got.Cluster.Nodes.Value[i], compareNetip(), comparePrefix()); diff != "" {
			t.Errorf("node (-json +table)\n%s", diff)
		}
	}
	for _, s := range want.Cluster.Services.Value {
		s.ExternalPolicy = ""
		for i := range s.Ports {
			s.Ports[i].Target, s.Ports[i].Name = "", ""
		}
		table, ok := got.Cluster.Service(s.Namespace, s.Name)
		if diff := cmp.Diff(s, table, compareNetip(), comparePrefix()); !ok || diff != "" {
			t.Errorf("service (-json +table)\n%s", diff)
		}
	}
	if len(want.Cluster.Pods.Value) != len(got.Cluster.Pods.Value) {
		t.Errorf("%d pods, want %d", len(got.Cluster.Pods.Value), len(want.Cluster.Pods.Value))
	}
	for _, p := range got.Cluster.Pods.Value {
		if p.Node != podNode(want.Cluster, p.Namespace, p.Name) || !p.IP.IsValid() || !p.Running || !p.Ready || p.HostNetwork {
			t.Errorf("pod %+v", p)
		}
	}
	if got.Cluster.Nodes.Partial == "" || got.Cluster.Services.Partial == "" || got.Cluster.Pods.Partial == "" || want.Cluster.Nodes.Partial != "" {
		t.Error("a table does not say that it is one, or JSON does")
	}
	for _, v := range checks.Evaluate(got, checks.Catalogue()).Verdicts {
		if v.Status == checks.Fail {
			t.Errorf("%s fails on the tables of a good cluster: %s", v.ID, v.Actual)
		}
	}
}

func TestTableCells(t *testing.T) {
	pods, err := parsePodTable([]byte(`NAMESPACE   NAME    READY   STATUS             RESTARTS      AGE   IP              NODE     NOMINATED NODE   READINESS GATES
default     a       0/1     CrashLoopBackOff   7 (3m ago)    15m   10.42.1.9       w1       <none>           <none>
default     b       1/1     Terminating        0             15m   10.42.1.10      w1       <none>           <none>
default     c       0/1     Pending            0             15m   <none>          <none>   <none>           <none>
kube-system host    1/1     Running            0             15m   192.168.56.11   w1       <none>           <none>
`), &Evidence{Lab: config.Default()})
	want := []checks.Pod{
		{Namespace: "default", Name: "a", Node: "w1", IP: addr("10.42.1.9")},
		{Namespace: "default", Name: "b", Node: "w1", IP: addr("10.42.1.10"), Ready: true, Deleting: true},
		{Namespace: "default", Name: "c"},
		{Namespace: "kube-system", Name: "host", Node: "w1", IP: addr("192.168.56.11"), HostNetwork: true, Running: true, Ready: true},
	}
	if diff := cmp.Diff(want, pods, compareNetip()); err != nil || diff != "" {
		t.Errorf("%v (-want +got)\n%s", err, diff)
	}
	nodes, err := parseNodeTable([]byte(`NAME   STATUS                     ROLES           AGE   VERSION        INTERNAL-IP     EXTERNAL-IP
cp1    Ready,SchedulingDisabled   control-plane   21d   v1.34.3+k3s1   192.168.56.10   <none>
w1     NotReady                   <none>          21d   v1.34.3+k3s1   10.0.2.15       203.0.113.7
`))
	if err != nil || !nodes[0].Ready || nodes[1].Ready || nodes[1].Internal[0] != addr("10.0.2.15") || len(nodes[0].External) != 0 || len(nodes[1].External) != 1 {
		t.Errorf("nodes %+v, %v", nodes, err)
	}
	links, err := parseLinkTable([]byte("lo UNKNOWN 127.0.0.1/8 ::1/128\nenp0s3 UP 10.0.2.15/24 metric 100 fe80::1/64\nveth1@if2 UP\nenp0s8  UP  192.168.56.10/24 ...\n"))
	if err != nil || len(links) != 4 || links[2].Name != "veth1" || len(links[1].Addresses) != 2 {
		t.Errorf("links %+v, %v", links, err)
	}
	routes, err := parseRouteTable([]byte("default via 10.0.2.2 dev enp0s3 proto dhcp src 10.0.2.15 metric 100\nblackhole 10.9.0.0/16\n10.42.1.0/24 via 10.42.1.0 dev flannel.1 onlink \n1.2.3.4 dev enp0s3\n"))
	if err != nil || len(routes) != 3 || routes[1].String() != "10.42.1.0/24 via 10.42.1.0 dev flannel.1 onlink" || routes[2].To != prefix("1.2.3.4/32") {
		t.Errorf("routes %+v, %v", routes, err)
	}
}

func TestTablesThatMakeNoSense(t *testing.T) {
	e := &Evidence{Lab: config.Default()}
	const header = "NAMESPACE   NAME   TYPE        CLUSTER-IP   EXTERNAL-IP   PORT(S)   AGE   SELECTOR\n"
	for name, parse := range map[string]func([]byte) error{
		"":                          func(b []byte) error { _, err := parseNodeTable(b); return err },
		"No resources found\n":      func(b []byte) error { _, err := parsePodTable(b, e); return err },
		"NAME STATUS\ncp1 Ready\n":  func(b []byte) error { _, err := parseNodeTable(b); return err },
		header + "demo web-svc x\n": func(b []byte) error { _, err := parseServiceTable(b); return err },
		header + "demo        web    ClusterIP   nowhere      <none>        80/TCP    1d    <none>\n": func(b []byte) error { _, err := parseServiceTable(b); return err },
		header + "demo        web    ClusterIP   10.43.0.9    <none>        http      1d    <none>\n": func(b []byte) error { _, err := parseServiceTable(b); return err },
		"enp0s3 10.0.2.15/24\n":    func(b []byte) error { _, err := parseLinkTable(b); return err },
		"enp0s3 UP somewhere\n":    func(b []byte) error { _, err := parseLinkTable(b); return err },
		"to somewhere by train\n":  func(b []byte) error { _, err := parseRouteTable(b); return err },
		"default via nobody dev x": func(b []byte) error { _, err := parseRouteTable(b); return err },
	} {
		if parse([]byte(name)) == nil {
			t.Errorf("%q: no error", name)
		}
	}
}

func TestPodCommands(t *testing.T) {
	for command, want := range map[string]podCommand{
		"kubectl logs -n labctl labctl-probe-x --tail=1":                 {verb: "logs", namespace: "labctl", pod: "labctl-probe-x"},
		"kubectl logs --tail=1 hello-x":                                  {verb: "logs", namespace: "default", pod: "hello-x"},
		"kubectl exec -n labctl p -- nslookup web-svc":                   {verb: "exec", namespace: "labctl", pod: "p", inner: "nslookup web-svc"},
		"kubectl -n demo exec web-x -- wget -q -T 5 -O - http://1.2.3.4": {verb: "exec", namespace: "demo", pod: "web-x", inner: "wget -q -T 5 -O - http://1.2.3.4"},
		"sudo kubectl exec hello-x -- hostname":                          {verb: "exec", namespace: "default", pod: "hello-x", inner: "hostname"},
		"kubectl get pods":                                               {},
		"kubectl exec -n labctl p":                                       {},
		"kubectl logs p -- x":                                            {},
		"logs p":                                                         {},
	} {
		if got, ok := parsePodCommand(command); got != want || ok != (want != podCommand{}) {
			t.Errorf("%q: %+v %v, want %+v", command, got, ok, want)
		}
	}
}

func TestLookups(t *testing.T) {
	for name, x := range map[string]struct {
		item      Item
		addresses string
		known     bool
		why       string
	}{
		"found":         {Item{Stdout: []byte("Server:\t\t10.43.0.10\nAddress:\t10.43.0.10:53\n\nName:\tweb\nAddress: 10.43.31.179\n\n")}, "10.43.31.179", true, ""},
		"an older one":  {Item{Stdout: []byte("Server:    10.43.0.10\nAddress 1: 10.43.0.10 kube-dns\n\nName:      web\nAddress 1: 10.43.31.179 web-svc.demo\n")}, "10.43.31.179", true, ""},
		"no such name":  {Item{Exit: 1, Stderr: []byte("Server:\t\t10.43.0.10\nAddress:\t10.43.0.10:53\n\n** server can't find web: NXDOMAIN\n\ncommand terminated with exit code 1\n")}, "", true, "server can't find web: NXDOMAIN"},
		"no answer":     {Item{Exit: 1, Stdout: []byte(";; connection timed out; no servers could be reached\n\n"), Stderr: []byte("command terminated with exit code 1\n")}, "", true, "connection timed out; no servers could be reached"},
		"no exec":       {Item{Where: "cp1", Command: "c", Exit: 1, Stderr: []byte("error: unable to upgrade connection\n")}, "", false, "cp1: c: exit status 1: error: unable to upgrade connection"},
		"no nslookup":   {Item{Where: "cp1", Command: "c", Exit: 127, Stderr: []byte("sh: nslookup: not found\ncommand terminated with exit code 127\n")}, "", false, "cp1: c: exit status 127: sh: nslookup: not found"},
		"not run":       {Item{Where: "cp1", Err: "no answer"}, "", false, "cp1: no answer"},
		"an odd answer": {Item{Stdout: []byte("Server:\t\t10.43.0.10\nAddress:\t10.43.0.10:53\n")}, "", true, "the answer has no address"},
	} {
		var l checks.Lookup
		readLookup(&l, x.item)
		var all []string
		for _, a := range l.Addresses {
			all = append(all, a.String())
		}
		if strings.Join(all, ",") != x.addresses || l.Known != x.known || l.Why != x.why {
			t.Errorf("%s: %+v, want %q %v %q", name, l, x.addresses, x.known, x.why)
		}
	}
}

// What a dry run says of some objects counts although it ends with an error: but not that nothing would change.
func TestReapplied(t *testing.T) {
	for name, x := range map[string]struct {
		out   string
		exit  int
		known bool
		first string
	}{
		"unchanged":         {"namespace/demo unchanged (server dry run)\n", 0, true, "unchanged"},
		"changed":           {"deployment.apps/web configured (server dry run)\n", 0, true, "configured"},
		"a namespace gone":  {"namespace/demo created (server dry run)\n", 1, true, "created"},
		"an error, no news": {"namespace/demo unchanged (server dry run)\n", 1, false, ""},
		"an older kubectl":  {"namespace/demo unchanged (dry run)\n", 0, true, "unchanged"},
		"nothing":           {"", 0, false, ""},
		"something else":    {"Warning: x\n", 0, false, ""},
	} {
		fact := parseReapplied(&Evidence{Lab: config.Default(), Items: []Item{{Where: "cp1", Command: cmdReapply, Stdout: []byte(x.out), Exit: x.exit}}})
		if fact.Known != x.known || x.known && fact.Value[0].Outcome != x.first {
			t.Errorf("%s: %+v", name, fact)
		}
	}
}
