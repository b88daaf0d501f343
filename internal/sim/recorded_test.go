package sim

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/labctl/labctl/checks"
	"github.com/labctl/labctl/checks/collect"
	"github.com/labctl/labctl/internal/config"
)

// What is parsed from the model equals what is parsed from the recording of a cluster of the same settings, but for what allowed
// takes out of both.

// recordedManifests are the objects of the recordings, with the addresses and ports that were drawn there.
const recordedManifests = `apiVersion: v1
kind: Service
metadata: {name: web-svc, namespace: demo}
spec: {selector: {app: web}, clusterIP: 10.43.124.203, ports: [{port: 80, targetPort: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: web-lb, namespace: demo}
spec: {type: LoadBalancer, selector: {app: web}, clusterIP: 10.43.47.54, ports: [{port: 8088, targetPort: 80, nodePort: 31767}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: hello}
spec:
  replicas: 6
  selector: {matchLabels: {app: hello}}
  template:
    metadata: {labels: {app: hello}}
    spec: {containers: [{name: nginx, image: "nginx:1.27-alpine"}]}
---
apiVersion: v1
kind: Service
metadata: {name: hello-svc}
spec: {type: NodePort, selector: {app: hello}, clusterIP: 10.43.220.254, ports: [{port: 80, targetPort: 80, nodePort: 31885}]}
`

const recordedWeb = `apiVersion: v1
kind: Namespace
metadata: {name: demo}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: demo}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: nginx, image: "nginx:1.27-alpine"}]}
`

// allowed says what differs for a reason.
var allowed = []struct{ line, why string }{
	{` KUBE-MARK-MASQ `, "v1.34 marks for masquerading in other chains than v1.21"},
	{` KUBE-(MARK-DROP|FW-\S*|EXT-\S*) `, "v1.21 has a chain KUBE-FW for a LoadBalancer, v1.34 one KUBE-EXT for all that comes from outside"},
	{` (CNI-|FLANNEL-)\S* `, "flannel's and the CNI plugin's own chains; theirs have drawn names"},
	{` POSTROUTING | KUBE-POSTROUTING `, "flannel v0.14 writes its rules into POSTROUTING itself"},
	{`^link \S+ veth`, "drawn names"},
	{`^pod .*svclb-`, "v1.21 runs ServiceLB's pods in the service's namespace"},
}

func TestFactsEqualTheRecorded(t *testing.T) {
	c := configured(3, config.ProxyIPTables)
	for name, settings := range map[string]func(n int) string{
		"correct": correct,
		"no-node-ip": func(n int) string {
			return strings.NewReplacer("node-ip: "+nodeAddress(n)+"\n", "", "flannel-iface: enp0s8\n", "").Replace(correct(n))
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			for n := range 3 {
				l.machine(n)
			}
			order := map[string][]int{"correct": {0, 2, 1}, "no-node-ip": {0, 1, 2}}[name] // in which they joined
			for _, n := range order {
				l.up(n)
				s := settings(n)
				if n == 0 {
					s += "disable: [traefik, metrics-server, local-storage]\n"
				}
				l.k3s(n, s)
				l.ready(n)
			}
			if name == "no-node-ip" {
				l.run(0, "sudo kubectl apply -f -", recordedWeb+"---\n"+recordedManifests)
			} else {
				l.run(0, "sudo kubectl cordon cp1 && sudo kubectl cordon w1 && sudo kubectl delete pods -n kube-system -l k8s-app=kube-dns && sudo kubectl uncordon cp1 && sudo kubectl uncordon w1")
				l.run(0, "sudo kubectl cordon w2 && sudo kubectl apply -f - && sudo kubectl uncordon w2 && sudo kubectl rollout status deploy/web -n demo && sudo kubectl rollout status deploy/coredns -n kube-system", recordedWeb)
				l.run(0, "sudo kubectl apply -f - && sudo kubectl rollout status deploy/hello", recordedManifests)
			}
			var diff string
			want := factLines(collect.Parse(recording(t, name, c)), name)
			l.eventually(func() error {
				if diff = cmp.Diff(want, factLines(collect.Parse(l.evidence(c)), name)); diff != "" {
					return fmt.Errorf("facts (-recorded +model):\n%s", diff)
				}
				return nil
			})
			if least := map[string]int{"correct": 80, "no-node-ip": 30}[name]; len(want) < least {
				t.Errorf("only %d facts were compared, fewer than %d", len(want), least)
			}
		})
	}
}

// factLines are facts as lines, one pod's address written as the pod's, without what is allowed to differ.
func factLines(f checks.Facts, recording string) []string {
	var lines []string
	add := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	for _, n := range f.Lab.Nodes {
		facts := f.Nodes[n.Name]
		if recording == "correct" { // else it was not recorded
			add("hostname %s", facts.Hostname.Value)
		}
		for _, link := range facts.Links.Value {
			add("link %s %s mtu %d", n.Name, link, link.MTU)
		}
		for _, r := range facts.Routes.Value {
			add("route %s %s", n.Name, r)
		}
		v := facts.VXLAN.Value
		add("vxlan %s %s %s %s", n.Name, v.Kind, v.Local, v.Device)
		if recording == "correct" && n.Role == config.RoleServer { // likewise
			add("subnet %s %v", n.Name, facts.Subnet.Value)
		}
		if recording == "correct" {
			for _, r := range facts.NAT.Value {
				add("nat %s %s -> %s %s %v:%d %.4f %v", n.Name, r.Chain, r.Jump, r.Protocol, r.To, r.Port, r.Probability, r.DNAT)
			}
		}
	}
	for _, n := range f.Cluster.Nodes.Value {
		add("node %s ready %v internal %v external %v cidr %v public-ip %s", n.Name, n.Ready, n.Internal, n.External, n.PodCIDRs, n.PublicIP)
	}
	pods := map[string][]netip.Addr{}
	if recording == "correct" {
		for _, s := range f.Cluster.Services.Value {
			add("service %v %v %v", s, s.Selector, s.External)
		}
		for _, s := range f.Cluster.Slices.Value {
			slices.Sort(s.Ports)
			for _, e := range s.Endpoints {
				add("slice %s/%s %v ready %v %s", s.Namespace, s.Service, s.Ports, e.Ready, e.Addr)
			}
		}
		for _, p := range f.Cluster.Pods.Value {
			app := p.Labels["app"] + p.Labels["k8s-app"] + "@" + p.Node
			pods[app] = append(pods[app], p.IP)
			add("pod %s/%s on %s ready %v %s", p.Namespace, p.Labels["app"]+p.Labels["k8s-app"], p.Node, p.Ready, p.IP)
		}
	}
	var words []string
	for app, addresses := range pods {
		slices.SortFunc(addresses, netip.Addr.Compare)
		for i, a := range addresses {
			words = append(words, a.String()+" ", fmt.Sprintf("%s#%d ", app, i), a.String()+":", fmt.Sprintf("%s#%d:", app, i), a.String()+"\n", fmt.Sprintf("%s#%d\n", app, i))
		}
	}
	text := strings.NewReplacer(words...).Replace(strings.Join(lines, "\n") + "\n")
	// The names of endpoints' chains are a hash of their addresses.
	text = regexp.MustCompile(`KUBE-SEP-\S+`).ReplaceAllString(text, "KUBE-SEP")
	// v1.34 goes from a node port to its service by another chain, v1.21 straight.
	text = strings.ReplaceAll(text, "KUBE-NODEPORTS -> KUBE-EXT-", "KUBE-NODEPORTS -> KUBE-SVC-")
	lines = slices.DeleteFunc(strings.Split(strings.TrimSpace(text), "\n"), func(line string) bool {
		for _, a := range allowed {
			if regexp.MustCompile(a.line).MatchString(line) {
				return true
			}
		}
		return false
	})
	slices.Sort(lines)
	return lines
}

// recording reads package collect's transcripts of a cluster.
func recording(t *testing.T, name string, c *config.Lab) *collect.Evidence {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", "..", "checks", "collect", "testdata", "k3s-v1.21.2", name, "*.txt"))
	if err != nil || len(files) < 4 {
		t.Fatalf("%d transcripts of %q: %v", len(files), name, err)
	}
	e := &collect.Evidence{Lab: c}
	start := regexp.MustCompile(`^(host)?\$ (.*)$`)
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		where, isNode := strings.CutPrefix(strings.TrimSuffix(filepath.Base(file), ".txt"), "node-")
		if !isNode {
			where = c.Server().Name
		}
		var item *collect.Item
		for line := range bytes.Lines(data) {
			text := strings.TrimSuffix(string(line), "\n")
			if m := start.FindStringSubmatch(text); m != nil && item == nil {
				item = &collect.Item{Where: where, Command: m[2]}
				if m[1] != "" {
					item.Where = checks.Host
				}
			}
			if item == nil {
				continue
			}
			if out, ok := strings.CutPrefix(string(line), "1> "); ok {
				item.Stdout = append(item.Stdout, out...)
			}
			if status, ok := strings.CutPrefix(text, "exit "); ok {
				if _, err := fmt.Sscan(status, &item.Exit); err != nil {
					t.Fatal(err)
				}
				e.Items = append(e.Items, *item)
				item = nil
			}
		}
	}
	return e
}
