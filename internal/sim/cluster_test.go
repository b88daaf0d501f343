package sim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
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
	out := l.run(0, "sudo kubectl get nodes,services,pods,endpointslices,deployments,daemonsets -A -o json")
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

func TestWithoutNodeIP(t *testing.T) {
	l := newLab(t)
	l.cluster(3, func(n int) string {
		s := "token: secret\n"
		if n > 0 {
			s += "server: https://192.168.56.10:6443\n"
		}
		return s
	})
	l.demo()
	nodes := l.run(0, "sudo kubectl get nodes -o wide")
	if got := strings.Count(nodes, " 10.0.2.15 "); got != 3 || strings.Count(nodes, " Ready ") != 3 {
		t.Errorf("want three Ready nodes with 10.0.2.15:\n%s", nodes)
	}
	if got := strings.Count(l.run(0, "sudo kubectl get nodes -o json"), `"flannel.alpha.coreos.com/public-ip": "10.0.2.15"`); got != 3 {
		t.Errorf("%d of 3 nodes have the public-ip 10.0.2.15", got)
	}
	if got := l.run(1, "ip -d link show flannel.1"); !strings.Contains(got, "local 10.0.2.15 dev enp0s3") {
		t.Errorf("flannel.1:\n%s", got)
	}
	if got := l.run(1, "ip route"); !strings.Contains(got, "10.42.0.0/24 via 10.42.0.0 dev flannel.1 onlink") {
		t.Errorf("the routes look right all the same:\n%s", got)
	}
	// Pods answer on their own node only.
	answers := l.tries(0, "http://"+l.clusterIP("default", "hello-svc")+"/")
	if !answers["28"] || !answers["0"] {
		t.Errorf("curl's exit statuses over a dead overlay: %v, want 0 and 28", answers)
	}
	l.fails(0, "sudo kubectl exec -n demo "+l.pod("app=probe", 1)+" -- hostname", 1, "error: unable to upgrade connection: pod does not exist")
}

// tries asks a URL from the nth node often enough to meet every endpoint, and collects curl's exit statuses.
func (l *lab) tries(n int, url string) map[string]bool {
	l.t.Helper()
	found := map[string]bool{}
	for range 6 {
		r, err := l.exec(n, "curl -sS -m 5 -o /dev/null -w '%{http_code} %{time_total}' "+url, "")
		if err != nil {
			l.t.Fatal(err)
		}
		found[fmt.Sprint(r.exit)] = true
		if r.exit == 28 && !strings.HasPrefix(r.out, "000 5.0") {
			l.t.Errorf("a curl that timed out says %q", r.out)
		}
	}
	return found
}

func TestManifests(t *testing.T) {
	l := newLab(t)
	l.cluster(3, correct)
	got := l.run(0, "sudo kubectl apply -f -", demo)
	want := "namespace/demo created\ndeployment.apps/web created\nservice/web-svc created\ndeployment.apps/hello created\nservice/hello-svc created\ndaemonset.apps/probe created\n"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("apply (-want +got):\n%s", diff)
	}
	if got := l.run(0, "sudo kubectl apply -f -", demo); strings.Count(got, " unchanged\n") != 6 {
		t.Errorf("apply again:\n%s", got)
	}
	l.demo()
	perNode := map[string]int{}
	for line := range strings.Lines(l.run(0, "sudo kubectl get pods -o wide --no-headers")) {
		f := strings.Fields(line)
		perNode[f[6]]++
		n := slices.Index([]string{"cp1", "w1", "w2"}, f[6])
		if !netip.MustParsePrefix(fmt.Sprintf("10.42.%d.0/24", n)).Contains(netip.MustParseAddr(f[5])) || f[1] != "1/1" || f[2] != "Running" {
			t.Errorf("pod: %s", line)
		}
	}
	if diff := cmp.Diff(map[string]int{"cp1": 2, "w1": 2, "w2": 2}, perNode); diff != "" {
		t.Errorf("hello's pods (-want +got):\n%s", diff)
	}
	for url, want := range map[string]string{"http://" + l.clusterIP("demo", "web-svc") + "/": "Welcome to nginx!", "http://" + l.clusterIP("default", "hello-svc") + "/?nonce=x": "GET /?nonce=x HTTP/1.1"} {
		for n := range 3 {
			if got := l.run(n, "curl -sS -m 5 "+url); !strings.Contains(got, want) {
				t.Errorf("%s from %s: %q", url, nodeName(n), got)
			}
			if got := l.run(0, "sudo kubectl exec -n demo "+l.pod("app=probe", n)+" -- wget -q -T 5 -O - "+url); !strings.Contains(got, want) {
				t.Errorf("%s from a pod on %s: %q", url, nodeName(n), got)
			}
		}
	}
	probe := l.pod("app=probe", 2)
	if got := l.run(0, "sudo kubectl exec -n demo "+probe+" -- hostname"); got != probe+"\n" {
		t.Errorf("hostname of %s: %q", probe, got)
	}
	if got := l.run(0, "sudo kubectl exec -n demo "+probe+" -- nslookup web-svc.demo.svc.cluster.local"); !strings.Contains(got, "Address: "+l.clusterIP("demo", "web-svc")) {
		t.Errorf("nslookup: %q", got)
	}
	l.fails(0, "sudo kubectl exec deploy/hello -- hostname", 1, "executable file not found in $PATH") // its image holds one program
	l.fails(0, "sudo kubectl exec -n demo "+probe+" -- wget -q -T 5 -O - http://nosuch.demo/", 1, "bad address")

	l.run(0, "sudo kubectl scale deployment/web -n demo --replicas=0")
	l.fails(0, "curl -sS http://"+l.clusterIP("demo", "web-svc")+"/", 7, "Connection refused")
	if got := l.run(0, "sudo kubectl delete --ignore-not-found -f -", demo); strings.Count(got, " deleted") < 3 {
		t.Errorf("delete:\n%s", got)
	}
	if got := l.run(0, "sudo kubectl get pods -A"); strings.Contains(got, "hello") || strings.Contains(got, "probe") {
		t.Errorf("pods after delete:\n%s", got)
	}
}

func TestApplyRefuses(t *testing.T) {
	l := newLab(t)
	l.cluster(1, correct)
	service := func(name, port string) string {
		return "apiVersion: v1\nkind: Service\nmetadata: {name: " + name + "}\nspec: {type: NodePort, selector: {a: b}, ports: [{port: 80, nodePort: " + port + "}]}\n"
	}
	l.run(0, "sudo kubectl apply -f -", service("one", "30001"))
	for name, tt := range map[string]struct{ manifest, want string }{
		"unknown kind":      {"apiVersion: v1\nkind: Gadget\nmetadata: {name: x}\n", `no matches for kind "Gadget" in version "v1"`},
		"not YAML":          {"a: [", "error parsing STDIN"},
		"nothing":           {"# nothing\n", "no objects passed to apply"},
		"no namespace":      {"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x, namespace: nosuch}\n", `namespaces "nosuch" not found`},
		"taken node port":   {service("two", "30001"), "provided port is already allocated"},
		"node port's range": {service("two", "80"), "provided port is not in the valid range"},
		"no containers":     {"apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x}\nspec: {selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {}}}\n", "spec.template.spec.containers: Required value"},
		"foreign selector":  {"apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x}\nspec: {selector: {matchLabels: {a: c}}, template: {metadata: {labels: {a: b}}}}\n", "`selector` does not match template `labels`"},
	} {
		r, err := l.exec(0, "sudo kubectl apply -f -", tt.manifest)
		if err != nil || r.exit != 1 || !strings.Contains(r.err, tt.want) {
			t.Errorf("%s: exit %d, %v, %q, want %q", name, r.exit, err, r.err, tt.want)
		}
	}
	image := strings.ReplaceAll(demo, "nginx:1.27-alpine", "nginx:nosuch")
	l.run(0, "sudo kubectl apply -f -", image)
	l.eventually(func() error {
		if got := l.run(0, "sudo kubectl get pods -n demo"); !strings.Contains(got, "ErrImagePull") && !strings.Contains(got, "ImagePullBackOff") {
			return errors.New(got)
		}
		return nil
	})
}

func TestNodePortFromTheHost(t *testing.T) {
	l := newLab(t)
	l.cluster(3, correct)
	l.demo()
	for n := range 3 {
		pods := map[string]bool{}
		for range 6 {
			body, err := l.get(t.Context(), fmt.Sprintf("http://%s:31885/?nonce=abc", nodeAddress(n)))
			if err != nil || !strings.Contains(body, "GET /?nonce=abc HTTP/1.1") {
				t.Fatalf("NodePort on %s: %q, %v", nodeName(n), body, err)
			}
			line, _, _ := strings.Cut(body, "\n")
			pods[line] = true
		}
		if len(pods) != 6 {
			t.Errorf("NodePort on %s met %d of 6 pods: %v", nodeName(n), len(pods), pods)
		}
	}
	if body, err := l.get(t.Context(), "http://192.168.56.11/"); err != nil || !strings.Contains(body, "404") {
		t.Errorf("traefik on a node's port 80: %q, %v", body, err)
	}
	ip := l.clusterIP("default", "hello-svc")
	if _, err := l.get(t.Context(), "http://"+ip+"/"); !errors.Is(err, syscall.ENETUNREACH) {
		t.Errorf("the ClusterIP from the host: %v, want unreachable", err)
	}
	dst := netip.MustParsePrefix("10.43.0.0/16")
	gateway := netip.MustParseAddr("192.168.56.11")
	if err := l.world.AddHostRoute(dst, gateway); err != nil {
		t.Fatal(err)
	}
	routes, err := l.world.HostRoutes(t.Context())
	want := `[{"dst":"10.43.0.0/16","gateway":"192.168.56.11","dev":"vboxnet0","flags":[]},{"dst":"192.168.56.0/24","dev":"vboxnet0","protocol":"kernel","scope":"link","prefsrc":"192.168.56.1","flags":[]}]`
	if err != nil || string(routes) != want {
		t.Errorf("the host's routes: %s, %v", routes, err)
	}
	if body, err := l.get(t.Context(), "http://"+ip+"/?nonce=abc"); err != nil || !strings.Contains(body, "nonce=abc") {
		t.Errorf("the ClusterIP with a route on the host: %q, %v", body, err)
	}
	if err := l.world.RemoveHostRoute(dst, gateway); err != nil {
		t.Fatal(err)
	}
	if _, err := l.get(t.Context(), "http://"+ip+"/"); !errors.Is(err, syscall.ENETUNREACH) {
		t.Errorf("the ClusterIP without the route again: %v", err)
	}
}

// A NodePort whose pod is on another node hangs if that node's tunnel is down, until the caller gives up.
func TestLostPackets(t *testing.T) {
	for name, command := range map[string]string{
		"device down":   "sudo ip link set flannel.1 down",
		"device gone":   "sudo ip link del flannel.1",
		"route deleted": "sudo ip route del 10.42.0.0/24",
		"machine-id":    "", // see below
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			if name == "machine-id" {
				// Both machines get one id before k3s starts: the first announces the MAC that both devices have.
				for n := range 2 {
					l.machine(n)
					l.up(n)
					l.run(n, "sudo sh -c 'printf %032d 0 >/etc/machine-id; systemctl restart systemd-udevd'")
					l.k3s(n, correct(n))
				}
				l.ready(0)
				l.ready(1)
				l.demo()
			} else {
				l.cluster(2, correct)
				l.demo()
				l.run(1, command)
			}
			lost := 0
			for range 6 {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				_, err := l.get(ctx, "http://192.168.56.10:31885/")
				cancel()
				if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) {
					lost++
				} else if err != nil {
					t.Errorf("NodePort: %v", err)
				}
			}
			if lost != 3 {
				t.Errorf("%d of 6 connections timed out, want the 3 to the other node's pods", lost)
			}
		})
	}
}

func TestAgentWithAWrongToken(t *testing.T) {
	l := newLab(t)
	l.cluster(1, correct)
	full := strings.TrimSpace(l.run(0, "sudo cat /var/lib/rancher/k3s/server/node-token"))
	if !strings.HasPrefix(full, "K10") || !strings.HasSuffix(full, "::server:secret") {
		t.Fatalf("node-token: %q", full)
	}
	l.machine(1)
	l.up(1)
	for token, why := range map[string]string{
		"wrong": "401 Unauthorized", "K10" + strings.Repeat("0", 64) + "::server:secret": "token CA hash does not match", strings.TrimSuffix(full, "secret") + "wrong": "401 Unauthorized",
	} {
		l.k3s(1, nodeSettings(1, token))
		l.fails(1, "systemctl is-active k3s-agent", 3, "activating")
		if got := l.run(1, "journalctl -u k3s-agent -n 5 --no-pager -o cat"); !strings.Contains(got, why) {
			t.Errorf("token %q: the journal has no %q:\n%s", token, why, got)
		}
	}
	if got := l.run(0, "sudo kubectl get nodes"); strings.Contains(got, "w1") {
		t.Errorf("w1 joined:\n%s", got)
	}
	l.k3s(1, nodeSettings(1, full))
	l.ready(1)
	if got := l.run(1, "systemctl is-active k3s-agent"); got != "active\n" {
		t.Errorf("is-active: %q", got)
	}
}

func TestServiceNeedsItsFiles(t *testing.T) {
	const start = "sudo systemctl restart k3s"
	for name, tt := range map[string]struct{ settings, spoil, want string }{
		"no unit":         {correct(0), "sudo rm /etc/systemd/system/k3s.service", "not found"},
		"no binary":       {correct(0), "sudo rm /usr/local/bin/k3s", "No such file or directory"},
		"not executable":  {correct(0), "sudo chmod 644 /usr/local/bin/k3s", ""},
		"truncated":       {correct(0), "head -c 100 /usr/local/bin/k3s | sudo tee /usr/local/bin/k3s", ""},
		"not YAML":        {"node-ip: [", "true", "reading YAML"},
		"foreign address": {"node-ip: 192.168.56.77\n", "true", "failed to find interface with specified node ip"},
		"no such NIC":     {"flannel-iface: eth9\n", "true", "unable to find interface eth9"},
		"no module":       {"kube-proxy-arg: [proxy-mode=ipvs]\n", "true", "can't use the IPVS proxier"},
		"bad CIDR":        {"service-cidr: x\n", "true", "invalid CIDR address: x"},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			l.machine(0)
			l.up(0)
			l.k3s(0, correct(0))
			l.eventually(func() error { _, err := l.exec(0, "systemctl is-active k3s", ""); return err })
			l.run(0, "sudo tee /etc/rancher/k3s/config.yaml; "+tt.spoil, tt.settings)
			r, err := l.exec(0, start, "")
			if err != nil || r.exit == 0 {
				t.Errorf("%s succeeded: %v", start, err)
			}
			if name == "no unit" {
				return
			}
			l.fails(0, "systemctl is-active k3s", 3, "failed")
			if got := l.run(0, "journalctl -u k3s --no-pager"); !strings.Contains(got, tt.want) {
				t.Errorf("the journal has no %q:\n%s", tt.want, got)
			}
		})
	}
}

func TestMachineStops(t *testing.T) {
	l := newLab(t)
	l.cluster(3, correct)
	l.demo()
	ip := l.clusterIP("default", "hello-svc")
	l.vbox(func(s *vboxState) { s.machine("lab-w2").StopsAt = time.Now() })
	l.eventually(func() error {
		if got := l.run(0, "sudo kubectl get nodes"); !strings.Contains(got, "w2     NotReady") {
			return errors.New(got)
		}
		return nil
	})
	if _, err := l.dial(2, "192.168.56.12:22"); !errors.Is(err, syscall.EHOSTUNREACH) {
		t.Errorf("dialling a stopped machine: %v", err)
	}
	if got := l.run(0, "sudo kubectl get endpointslices -o json"); strings.Count(got, `"ready": false`) != 2 {
		t.Errorf("want two endpoints that are not ready:\n%s", got)
	}
	if answers := l.tries(1, "http://"+ip+"/"); !cmp.Equal(answers, map[string]bool{"0": true}) {
		t.Errorf("curl's exit statuses: %v", answers)
	}
	l.fails(0, "sudo kubectl exec -n demo "+l.pod("app=probe", 2)+" -- hostname", 1, "error dialing backend")

	// After a start all comes back by itself.
	l.vbox(func(s *vboxState) {
		m := s.machine("lab-w2")
		m.State, m.StopsAt, m.StartedAt = "running", time.Time{}, time.Now()
	})
	l.up(2)
	l.ready(2)
	l.eventually(func() error {
		_, err := l.get(t.Context(), "http://192.168.56.12:31885/")
		return err
	})
	l.run(2, "cat /run/flannel/subnet.env")
	if got := l.run(2, "sudo systemctl stop k3s-agent; systemctl is-enabled k3s-agent"); got != "enabled\n" {
		t.Errorf("is-enabled: %q", got)
	}
	if got := l.run(0, "sudo kubectl get nodes"); !strings.Contains(got, "w2     NotReady") {
		t.Errorf("after systemctl stop:\n%s", got)
	}
	if _, err := l.get(t.Context(), "http://192.168.56.12:31885/"); err != nil {
		t.Errorf("kube-proxy's rules outlive k3s: %v", err)
	}
}

func TestRecreatedWorker(t *testing.T) {
	l := newLab(t)
	l.cluster(2, correct)
	l.machine(1) // with a new disk
	l.up(1)
	l.k3s(1, correct(1))
	l.fails(1, "systemctl is-active k3s-agent", 3, "activating")
	if got := l.run(1, "journalctl -u k3s-agent -n 40 --no-pager -o cat"); !strings.Contains(got, "Node password rejected, duplicate hostname") {
		t.Errorf("journal:\n%s", got)
	}
	if got := l.run(0, "sudo kubectl get nodes"); !strings.Contains(got, "w1     NotReady") {
		t.Errorf("the old node:\n%s", got)
	}
	l.run(0, "sudo kubectl delete --ignore-not-found node/w1")
	l.fails(1, "systemctl is-active k3s-agent", 3, "activating")
	l.run(0, "sudo kubectl delete --ignore-not-found -n kube-system secret/w1.node-password.k3s")
	l.ready(1)
}

func TestRecreatedServerIsAnEmptyCluster(t *testing.T) {
	l := newLab(t)
	l.cluster(2, func(n int) string {
		if n == 0 {
			return correct(0)
		}
		return nodeSettings(n, strings.TrimSpace(l.run(0, "sudo cat /var/lib/rancher/k3s/server/node-token")))
	})
	l.demo()
	l.machine(0)
	l.up(0)
	l.k3s(0, correct(0))
	l.ready(0)
	if got := l.run(0, "sudo kubectl get nodes; sudo kubectl get ns"); strings.Contains(got, "w1") || strings.Contains(got, "demo") {
		t.Errorf("the new server remembers:\n%s", got)
	}
	l.run(1, "sudo systemctl restart --no-block k3s-agent")
	if got := l.run(1, "journalctl -u k3s-agent -n 5 --no-pager -o cat"); !strings.Contains(got, "token CA hash does not match") {
		t.Errorf("an agent of the old cluster:\n%s", got)
	}
}

func TestIPVS(t *testing.T) {
	l := newLab(t)
	for n := range 2 {
		l.machine(n)
		l.up(n)
		l.run(n, "sudo modprobe -a ip_vs ip_vs_rr ip_vs_wrr ip_vs_sh")
		settings := correct(n) + "kube-proxy-arg: [proxy-mode=ipvs]\n"
		if n == 0 {
			settings += "disable: [servicelb]\n"
		}
		l.k3s(n, settings)
	}
	l.ready(0)
	l.ready(1)
	l.demo()
	ip := l.clusterIP("default", "hello-svc")
	for n := range 2 {
		line := l.run(n, "ip -br a show kube-ipvs0")
		if !strings.HasPrefix(line, "kube-ipvs0       DOWN ") || !strings.Contains(line, ip+"/32") || strings.Contains(line, "192.168.56") {
			t.Errorf("kube-ipvs0 of %s: %s", nodeName(n), line)
		}
	}
	if got := l.run(0, "sudo kubectl get svc -n kube-system traefik"); !strings.Contains(got, "<pending>") {
		t.Errorf("traefik without ServiceLB:\n%s", got)
	}
	if _, err := l.get(t.Context(), "http://192.168.56.11:31885/"); err != nil {
		t.Error(err)
	}
}

// Two processes that work on one folder see, and do not undo, each other's changes.
func TestTwoWorlds(t *testing.T) {
	l := newLab(t)
	l.cluster(1, correct)
	other := &lab{t: t, dir: l.dir, world: l.open(), user: l.user, userKey: l.userKey, hostKey: l.hostKey}
	var wait sync.WaitGroup
	for i := range 8 {
		w := []*lab{l, other}[i%2]
		wait.Go(func() {
			r, err := w.exec(0, fmt.Sprintf("sudo kubectl create namespace n%d && sudo modprobe %s", i, strings.Fields(kernelModules)[i]), "")
			if err != nil || r.exit != 0 {
				t.Errorf("exit %d, %v, %s", r.exit, err, r.err)
			}
		})
	}
	wait.Wait()
	for _, w := range []*lab{l, other} {
		got := w.run(0, "sudo kubectl get ns -o name; lsmod")
		for i := range 8 {
			if module := strings.Fields(kernelModules)[i]; !strings.Contains(got, fmt.Sprintf("namespace/n%d\n", i)) || !strings.Contains(got, "\n"+module+" ") {
				t.Errorf("namespace n%d or module %s is lost:\n%s", i, module, got)
			}
		}
	}
}

// What does not change is looked at once, however many ask.
func TestMomentIsShared(t *testing.T) {
	l := newLab(t)
	l.machine(0)
	l.up(0)
	first, err := l.world.look()
	if err != nil {
		t.Fatal(err)
	}
	first.lasts = time.Hour
	if again, err := l.world.look(); err != nil || again != first {
		t.Errorf("a second look was another one: %v", err)
	}
	if err := first.guest(first.guests[0].disk).update(func(st *guestState) { st.Modules = append(st.Modules, "overlay") }); err != nil {
		t.Fatal(err)
	}
	changed, err := l.world.look()
	if err != nil || changed == first || !slices.Contains(changed.guests[0].state.Modules, "overlay") {
		t.Errorf("a look after a change of a guest is an old one: %v", err)
	}
	changed.lasts = time.Hour
	l.vbox(func(s *vboxState) { s.machine("lab-cp1").StopsAt = time.Now() })
	if stopped, err := l.world.look(); err != nil || len(stopped.guests) != 0 {
		t.Errorf("a look after a change of a machine is an old one: %v", err)
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
