package sim

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

const demo = `apiVersion: v1
kind: Namespace
metadata:
  name: demo
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  namespace: demo
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
        - {name: nginx, image: "nginx:1.27-alpine"}
---
apiVersion: v1
kind: Service
metadata:
  name: web-svc
  namespace: demo
spec:
  selector: {app: web}
  ports: [{port: 80, targetPort: 80}]
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: hello
spec:
  replicas: 6
  selector: {matchLabels: {app: hello}}
  template:
    metadata: {labels: {app: hello}}
    spec:
      topologySpreadConstraints:
        - {maxSkew: 1, topologyKey: kubernetes.io/hostname, whenUnsatisfiable: DoNotSchedule, labelSelector: {matchLabels: {app: hello}}}
      containers:
        - {name: whoami, image: "traefik/whoami:v1.11", args: ["--port", "8080"]}
---
apiVersion: v1
kind: Service
metadata:
  name: hello-svc
spec:
  type: NodePort
  selector: {app: hello}
  ports: [{port: 80, targetPort: 8080, nodePort: 31885}]
---
apiVersion: apps/v1
kind: DaemonSet
metadata:
  name: probe
  namespace: demo
spec:
  selector: {matchLabels: {app: probe}}
  template:
    metadata: {labels: {app: probe}}
    spec:
      containers:
        - {name: nginx, image: "nginx:1.27-alpine"}
`

// demo applies the manifests and waits until their pods are ready.
func (l *lab) demo() {
	l.t.Helper()
	l.run(0, "sudo kubectl apply -f -", demo)
	l.run(0, "sudo kubectl rollout status deployment/web -n demo && sudo kubectl rollout status deployment/hello && sudo kubectl rollout status ds/probe -n demo")
}

func (l *lab) clusterIP(namespace, name string) string {
	l.t.Helper()
	return l.run(0, "sudo kubectl get svc -n "+namespace+" "+name+" -o jsonpath='{.spec.clusterIP}'")
}

// pod is the name of a pod with that label on the nth node.
func (l *lab) pod(label string, n int) string {
	l.t.Helper()
	for line := range strings.Lines(l.run(0, "sudo kubectl get pods -n demo -l "+label+" -o wide")) {
		if f := strings.Fields(line); f[6] == nodeName(n) {
			return f[0]
		}
	}
	l.t.Fatalf("no pod %s on %s", label, nodeName(n))
	return ""
}

func TestClusterOfThree(t *testing.T) {
	l := newLab(t)
	l.cluster(3, correct)
	nodes := l.run(0, "sudo kubectl get nodes -o wide")
	for _, want := range []string{
		"NAME   STATUS   ROLES           AGE", "cp1    Ready    control-plane   ", "w1     Ready    <none>          ",
		"v1.34.3+k3s1   192.168.56.12   <none>        Ubuntu 22.04.5 LTS   5.15.0-164-generic   containerd://2.1.5-k3s1",
	} {
		if !strings.Contains(nodes, want) {
			t.Errorf("kubectl get nodes -o wide has no %q:\n%s", want, nodes)
		}
	}
	for n := range 3 {
		routes := l.run(n, "ip route")
		for other := range 3 {
			if want := fmt.Sprintf("10.42.%d.0/24 via 10.42.%d.0 dev flannel.1 onlink", other, other); strings.Contains(routes, want) == (n == other) {
				t.Errorf("routes of %s, %q:\n%s", nodeName(n), want, routes)
			}
		}
		if got, want := l.run(n, "cat /run/flannel/subnet.env"), fmt.Sprintf("FLANNEL_SUBNET=10.42.%d.1/24\n", n); !strings.Contains(got, want) {
			t.Errorf("%s has no %s in %s", nodeName(n), want, got)
		}
		if got := l.run(n, "ip -d link show flannel.1"); !strings.Contains(got, "vxlan id 1 local "+nodeAddress(n)+" dev enp0s8") {
			t.Errorf("flannel.1 of %s:\n%s", nodeName(n), got)
		}
	}
	if got := l.run(0, "sudo kubectl get svc -n kube-system traefik"); !strings.Contains(got, "192.168.56.10,192.168.56.11,192.168.56.12") {
		t.Errorf("traefik's EXTERNAL-IP:\n%s", got)
	}
	if got := l.clusterIP("kube-system", "kube-dns"); got != "10.43.0.10" {
		t.Errorf("kube-dns is %s", got)
	}
	l.fails(0, "kubectl get nodes", 1, "permission denied") // the user has no kubeconfig of its own
	l.fails(1, "sudo kubectl get nodes", 1, "The connection to the server localhost:8080 was refused")
	l.fails(0, "sudo kubectl get nosuch", 1, `error: the server doesn't have a resource type "nosuch"`)
	l.fails(0, "sudo kubectl get svc -n demo nosuch", 1, `Error from server (NotFound): services "nosuch" not found`)
	l.fails(0, "sudo kubectl get nodes --nosuch", 1, "unrecognized option")
	if got := l.run(0, "k3s --version | head -n 1; sudo kubectl get --raw /readyz; systemctl is-active k3s"); !strings.HasPrefix(got, "k3s version v1.34.3+k3s1 (") || !strings.HasSuffix(got, "\nokactive\n") {
		t.Errorf("version, readyz and service: %q", got)
	}
}

// What kubectl prints as JSON has the fields that the recorded k3s has, but for those that came or went since its version.
func TestJSONHasTheRecordedFields(t *testing.T) {
	l := newLab(t)
	l.cluster(2, correct)
	l.demo()
	var list struct {
		Kind  string           `json:"kind"`
		Items []map[string]any `json:"items"`
	}
	out := l.run(0, "sudo kubectl get nodes,services,pods,endpointslices,endpoints,deployments,daemonsets -A -o json")
	if err := json.Unmarshal([]byte(out), &list); err != nil || list.Kind != "List" {
		t.Fatalf("%v, kind %q", err, list.Kind)
	}
	have := map[string]map[string]bool{}
	for _, i := range list.Items {
		kind := i["kind"].(string)
		if have[kind] == nil {
			have[kind] = map[string]bool{}
		}
		addPaths(have[kind], "", i)
	}
	var want map[string][]string
	data, err := os.ReadFile("testdata/k3s/fields.json")
	if err != nil {
		t.Fatal(err)
	}
	_, data, _ = cutLine(data)
	if err := json.Unmarshal(data, &want); err != nil {
		t.Fatal(err)
	}
	if len(want) < 4 {
		t.Fatalf("fields of %d kinds", len(want))
	}
	for kind, paths := range want {
		for _, p := range paths {
			if !have[kind][p] {
				t.Errorf("no %s has %s", kind, p)
			}
		}
	}
}

func cutLine(data []byte) (line, rest []byte, ok bool) {
	i := slices.Index(data, '\n')
	if i < 0 {
		return data, nil, false
	}
	return data[:i], data[i+1:], true
}

// addPaths collects the paths of all leaves; the keys of labels and annotations are not paths.
func addPaths(into map[string]bool, at string, v any) {
	switch v := v.(type) {
	case map[string]any:
		if strings.HasSuffix(at, ".labels") || strings.HasSuffix(at, ".annotations") || strings.HasSuffix(at, ".matchLabels") || strings.HasSuffix(at, ".selector") {
			into[at] = true
			return
		}
		for k, x := range v {
			addPaths(into, at+"."+k, x)
		}
	case []any:
		for _, x := range v {
			addPaths(into, at+"[]", x)
		}
	default:
		into[at] = true
	}
}

func TestFiftyNodes(t *testing.T) {
	const nodes = 50
	l := newLab(t)
	for n := range nodes {
		l.machine(n)
	}
	l.up(nodes - 1)
	m, err := l.world.look()
	if err != nil || len(m.guests) != nodes {
		t.Fatalf("%d guests, %v", len(m.guests), err)
	}
	for n, g := range m.guests {
		role, service := "server", "k3s"
		if n > 0 {
			role, service = "agent", "k3s-agent"
		}
		for name, content := range map[string]string{
			"/usr/local/bin/k3s": string(k3sBinary(testVersion, "amd64")), "/etc/rancher/k3s/config.yaml": correct(n),
			"/etc/systemd/system/" + service + ".service": strings.ReplaceAll(testUnit, "ROLE", role),
		} {
			if err := g.files.write(name, "root", 0o755, []byte(content)); err != nil {
				t.Fatal(err)
			}
		}
		if err := g.startUnit(t.Context(), service, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	l.eventually(func() error {
		r, err := l.exec(0, "sudo ln -sf k3s /usr/local/bin/kubectl && sudo kubectl get nodes", "")
		if err == nil && strings.Count(r.out, " Ready ") != nodes {
			err = errors.New(r.out + r.err)
		}
		return err
	})
	l.demo()
	seen := map[string]bool{}
	for line := range strings.Lines(l.run(0, "sudo kubectl get nodes -o json | grep podCIDR\\\"")) {
		seen[line] = true
	}
	if len(seen) != nodes {
		t.Errorf("%d different pod CIDRs of %d nodes", len(seen), nodes)
	}
	if got := strings.Count(l.run(nodes-1, "ip route"), " dev flannel.1 onlink"); got != nodes-1 {
		t.Errorf("%d routes over flannel.1", got)
	}
	for n := range nodes {
		if _, err := l.get(t.Context(), fmt.Sprintf("http://%s:31885/", nodeAddress(n))); err != nil {
			t.Errorf("NodePort on %s: %v", nodeName(n), err)
		}
	}
}
