package collect

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/labctl/labctl/checks"
	"github.com/labctl/labctl/internal/config"
)

// compareNetip lets addresses be compared by value.
func compareNetip() cmp.Option { return cmp.Comparer(func(a, b netip.Addr) bool { return a == b }) }
func comparePrefix() cmp.Option {
	return cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })
}
func comparePort() cmp.Option {
	return cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })
}

func addr(s string) netip.Addr     { return netip.MustParseAddr(s) }
func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

// What a recorded node says of itself, whole.
func TestRecordedNode(t *testing.T) {
	f := Parse(recording(t, "k3s-v1.21.2/correct", config.Default()))
	got := f.Nodes["w1"]
	got.NAT, got.IPVS = checks.Fact[[]checks.NATRule]{}, checks.Fact[[]checks.VirtualServer]{} // see TestRecordedRules
	from := func(command string) checks.Source { return checks.Source{Where: "w1", Command: command} }
	mac := func(s string) checks.MAC { m, _ := checks.ParseMAC(s); return m }
	want := checks.NodeFacts{
		Hostname:  checks.Known("w1", from("hostname")),
		MachineID: checks.Known("1274e9ed15c923fa4f009da2c93e68b9", from("cat /etc/machine-id")),
		Subnet:    checks.Known(checks.Subnet{Network: prefix("10.42.0.0/16"), Gateway: prefix("10.42.2.1/24")}, from("cat /run/flannel/subnet.env")),
		VXLAN:     checks.Known(checks.VXLAN{Kind: "vxlan", MAC: mac("b6:e2:b1:c2:d6:1d"), Local: addr("192.168.56.11"), Device: "enp0s8"}, from("ip -j -d link show flannel.1")),
		Routes: checks.Known([]checks.Route{
			{To: prefix("0.0.0.0/0"), Via: addr("10.0.2.2"), Dev: "enp0s3", Src: addr("10.0.2.15")},
			{To: prefix("10.0.2.0/24"), Dev: "enp0s3", Src: addr("10.0.2.15")},
			{To: prefix("10.0.2.2/32"), Dev: "enp0s3", Src: addr("10.0.2.15")},
			{To: prefix("10.0.2.3/32"), Dev: "enp0s3", Src: addr("10.0.2.15")},
			{To: prefix("10.42.0.0/24"), Via: addr("10.42.0.0"), Dev: "flannel.1", Onlink: true},
			{To: prefix("10.42.1.0/24"), Via: addr("10.42.1.0"), Dev: "flannel.1", Onlink: true},
			{To: prefix("10.42.2.0/24"), Dev: "cni0", Src: addr("10.42.2.1")},
			{To: prefix("192.168.56.0/24"), Dev: "enp0s8", Src: addr("192.168.56.11")},
		}, from("ip -j route")),
		Links: got.Links, // below
		Clock: got.Clock, // not recorded
	}
	if diff := cmp.Diff(want, got, compareNetip(), comparePrefix()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	links := []checks.Link{
		{Name: "lo", MAC: "00:00:00:00:00:00", MTU: 65536, Addresses: []netip.Prefix{prefix("127.0.0.1/8"), prefix("::1/128")}},
		{Name: "enp0s3", MAC: "08:00:27:00:00:11", MTU: 1500, Addresses: []netip.Prefix{prefix("10.0.2.15/24"), prefix("fec0::a00:27ff:fe00:11/64"), prefix("fe80::a00:27ff:fe00:11/64")}},
		{Name: "enp0s8", MAC: "08:00:27:00:01:11", MTU: 1500, Addresses: []netip.Prefix{prefix("192.168.56.11/24"), prefix("fe80::a00:27ff:fe00:111/64")}},
	}
	if diff := cmp.Diff(links, got.Links.Value[:3], compareNetip(), comparePrefix()); diff != "" {
		t.Errorf("links (-want +got)\n%s", diff)
	}
}

// One list of all kinds, as k3s v1.34 answers, and a list for each kind, as of v1.21, are read alike.
func TestClusterLists(t *testing.T) {
	for folder, want := range map[string]struct{ nodes, services, pods, slices, deployments int }{
		"k3s-v1.34.3":         {3, 6, 14, 3, 2},
		"k3s-v1.21.2/correct": {3, 5, 12, 5, -1},
	} {
		c := Parse(recording(t, folder, config.Default())).Cluster
		count := func(known bool, n int) int {
			if !known {
				return -1
			}
			return n
		}
		got := struct{ nodes, services, pods, slices, deployments int }{
			count(c.Nodes.Known, len(c.Nodes.Value)), count(c.Services.Known, len(c.Services.Value)), count(c.Pods.Known, len(c.Pods.Value)),
			count(c.Slices.Known, len(c.Slices.Value)), count(c.Deployments.Known, len(c.Deployments.Value)),
		}
		if got != want {
			t.Errorf("%s: %+v, want %+v", folder, got, want)
		}
	}
	c := Parse(recording(t, "k3s-v1.34.3", config.Default())).Cluster
	node := checks.Node{
		Name: "w1", Ready: true, Reason: "kubelet is posting ready status", Internal: []netip.Addr{addr("192.168.56.11")},
		PodCIDRs: []netip.Prefix{prefix("10.42.1.0/24")}, PublicIP: addr("192.168.56.11"), VtepMAC: "4e:10:33:c1:0d:51",
		MachineID: "6a2d8f30ae1c5b74c501d2e3f4051622",
	}
	if diff := cmp.Diff(node, c.Nodes.Value[1], compareNetip(), comparePrefix()); diff != "" {
		t.Errorf("node (-want +got)\n%s", diff)
	}
	hello, _ := c.Service("default", "hello-svc")
	wantService := checks.Service{Namespace: "default", Name: "hello-svc", Type: "NodePort", ClusterIP: addr("10.43.45.254"),
		Ports: []checks.ServicePort{{Protocol: "TCP", Port: 80, NodePort: 31885, Target: "8080"}}, Selector: map[string]string{"app": "hello"}, ExternalPolicy: "Cluster"}
	if diff := cmp.Diff(wantService, hello, compareNetip()); diff != "" {
		t.Errorf("service (-want +got)\n%s", diff)
	}
	traefik, _ := c.Service("kube-system", "traefik")
	if traefik.Ports[1] != (checks.ServicePort{Name: "websecure", Protocol: "TCP", Port: 443, NodePort: 31309, Target: "websecure"}) {
		t.Errorf("a port's name: %+v", traefik.Ports)
	}
	if headless, ok := c.Service("kubernetes-dashboard", "dashboard-headless"); !ok || headless.ClusterIP.IsValid() {
		t.Errorf("a headless service: %+v %v", headless, ok)
	}
	pod := checks.Pod{Namespace: "default", Name: "hello-6d4b75cb6d-mn9cd", Node: "w1", IP: addr("10.42.1.10"), Running: true, Ready: true,
		Labels: map[string]string{"app": "hello"}, Ports: []int{8080}}
	if diff := cmp.Diff(pod, c.Pods.Value[2], compareNetip()); diff != "" {
		t.Errorf("pod (-want +got)\n%s", diff)
	}
	slice := checks.EndpointSlice{Namespace: "demo", Service: "web-svc", Ports: []int{80}, Endpoints: []checks.Endpoint{{Addr: addr("10.42.2.14"), Ready: true}, {Addr: addr("10.42.1.8"), Ready: true}}}
	if diff := cmp.Diff(slice, c.Slices.Value[0], compareNetip()); diff != "" {
		t.Errorf("slice (-want +got)\n%s", diff)
	}
	if diff := cmp.Diff([]checks.Workload{
		{Namespace: "demo", Name: "web", Desired: 2, Updated: 2, Available: 2},
		{Namespace: "default", Name: "hello", Desired: 6, Updated: 6, Available: 6},
	}, c.Deployments.Value); diff != "" {
		t.Errorf("deployments (-want +got)\n%s", diff)
	}
	if diff := cmp.Diff([]checks.Workload{{Namespace: "labctl", Name: "labctl-probe", Desired: 3, Updated: 3, Available: 3}}, c.DaemonSets.Value); diff != "" {
		t.Errorf("daemonsets (-want +got)\n%s", diff)
	}
}

func TestObjectsInOddStates(t *testing.T) {
	ready := func(s string) checks.Pod {
		p, err := parsePod([]byte(s))
		if err != nil {
			t.Fatalf("%s: %v", s, err)
		}
		return p
	}
	if p := ready(`{"metadata":{"name":"a","deletionTimestamp":"2026-01-24T06:49:08Z"},"status":{"phase":"Running","conditions":[{"type":"Ready","status":"True"}]}}`); !p.Deleting || !p.Ready || !p.Running {
		t.Errorf("a pod that goes: %+v", p)
	}
	if p := ready(`{"metadata":{"name":"a"},"spec":{"hostNetwork":true},"status":{"phase":"Pending"}}`); !p.HostNetwork || p.Ready || p.Running || p.IP.IsValid() {
		t.Errorf("a pod that waits: %+v", p)
	}
	s, err := parseEndpointSlice([]byte(`{"metadata":{"labels":{"kubernetes.io/service-name":"x"}},"addressType":"IPv4","endpoints":[{"addresses":["10.42.0.1"],"conditions":{}},{"addresses":["10.42.0.2"],"conditions":{"ready":false}},{"addresses":["10.42.0.3"],"conditions":{"ready":null}}],"ports":[{"port":null}]}`))
	if err != nil || len(s.Endpoints) != 3 || !s.Endpoints[0].Ready || s.Endpoints[1].Ready || !s.Endpoints[2].Ready || len(s.Ports) != 0 {
		t.Errorf("conditions that are missing: %+v %v", s, err)
	}
	n, err := parseNodeObject([]byte(`{"metadata":{"name":"w1","annotations":{"flannel.alpha.coreos.com/backend-data":"null"}},"spec":{"podCIDR":"10.42.1.0/24"},"status":{"addresses":[{"type":"InternalIP","address":"10.0.2.15"},{"type":"ExternalIP","address":"192.0.2.1"},{"type":"Hostname","address":"w1"}]}}`))
	if err != nil || n.Ready || n.VtepMAC != "" || len(n.PodCIDRs) != 1 || len(n.External) != 1 {
		t.Errorf("a node of another backend: %+v %v", n, err)
	}
	d, err := parseDeployment([]byte(`{"metadata":{"name":"x"},"spec":{},"status":{}}`))
	if err != nil || d.Desired != 1 || d.Available != 0 || d.Stale {
		t.Errorf("a deployment by defaults: %+v %v", d, err)
	}
	for observed, stale := range map[string]bool{"6": true, "7": false} {
		d, err := parseDeployment([]byte(`{"metadata":{"name":"x","generation":7},"spec":{},"status":{"observedGeneration":` + observed + `}}`))
		if err != nil || d.Stale != stale {
			t.Errorf("generation 7, of which %s was observed: %+v %v", observed, d, err)
		}
	}
	for affinity, sticky := range map[string]bool{"None": false, "ClientIP": true} {
		s, err := parseService([]byte(`{"metadata":{"name":"x"},"spec":{"sessionAffinity":"` + affinity + `"}}`))
		if err != nil || s.Sticky != sticky {
			t.Errorf("sessionAffinity %s: %+v %v", affinity, s, err)
		}
	}
}

// Output that makes no sense is an error that says so, never a panic and never an empty value.
func TestGarbage(t *testing.T) {
	for name, x := range map[string]struct {
		parse func([]byte) error
		out   string
		err   string
	}{
		"addr: nothing":             {errOf(parseLinks), "", "reading what ip printed"},
		"addr: usage":               {errOf(parseLinks), `Option "-j" is unknown, try "ip -help".`, "reading what ip printed"},
		"addr: no device":           {errOf(parseLinks), "[]", "no device is listed"},
		"addr: only empty objects":  {errOf(parseLinks), "[{},{}]", "no device is listed"},
		"addr: no address":          {errOf(parseLinks), `[{"ifname":"a","addr_info":[{"local":"10.0.2","prefixlen":24}]}]`, `"10.0.2" is no address`},
		"addr: a length too long":   {errOf(parseLinks), `[{"ifname":"a","addr_info":[{"local":"10.0.2.15","prefixlen":33}]}]`, "is no address"},
		"addr: a negative length":   {errOf(parseLinks), `[{"ifname":"a","addr_info":[{"local":"10.0.2.15","prefixlen":-1}]}]`, "is no address"},
		"addr: cut short":           {errOf(parseLinks), `[{"ifname":"enp0s3","addr_in`, "unexpected end"},
		"addr: another type":        {errOf(parseLinks), `{"ifname":"a"}`, "reading what ip printed"},
		"route: no destination":     {errOf(parseRoutes), `[{"dst":"10.42.0.0/99"}]`, `"10.42.0.0/99" is no network`},
		"route: no gateway":         {errOf(parseRoutes), `[{"dst":"default","gateway":"gw"}]`, `"gw" is no address`},
		"route: no source":          {errOf(parseRoutes), `[{"dst":"default","prefsrc":"?"}]`, `"?" is no address`},
		"route: text":               {errOf(parseRoutes), "default via 10.0.2.2", "reading what ip printed"},
		"vxlan: none":               {errOf(parseVXLAN), "[{}]", "no device is listed"},
		"vxlan: no MAC":             {errOf(parseVXLAN), `[{"ifname":"flannel.1","address":"x"}]`, `"x" is no MAC`},
		"vxlan: no local":           {errOf(parseVXLAN), `[{"ifname":"flannel.1","address":"00:00:00:00:00:01","linkinfo":{"info_data":{"local":"any"}}}]`, `"any" is no address`},
		"hostname: none":            {errOf(parseWord), "\n", "is not one word"},
		"hostname: two words":       {errOf(parseWord), "a b", "is not one word"},
		"machine-id: fresh":         {errOf(parseMachineID), "uninitialized\n", "is no machine-id"},
		"machine-id: empty":         {errOf(parseMachineID), "", "is not one word"},
		"machine-id: upper case":    {errOf(parseMachineID), strings.Repeat("A", 32), "is no machine-id"},
		"subnet: empty":             {errOf(parseSubnet), "", "FLANNEL_NETWORK"},
		"subnet: half":              {errOf(parseSubnet), "FLANNEL_NETWORK=10.42.0.0/16\n", "FLANNEL_SUBNET"},
		"subnet: no network":        {errOf(parseSubnet), "FLANNEL_NETWORK=10.42/16\nFLANNEL_SUBNET=10.42.0.1/24", "FLANNEL_NETWORK"},
		"list: nothing":             {errOf(parseList), "", "reading what kubectl printed"},
		"list: an object":           {errOf(parseList), `{"kind":"Node","metadata":{}}`, `no list but "Node"`},
		"list: a status":            {errOf(parseList), `{"kind":"Status","status":"Failure"}`, `no list but "Status"`},
		"list: no items":            {errOf(parseList), `{"kind":"List"}`, "no list"},
		"list: items of no object":  {errOf(parseList), `{"kind":"List","items":[1]}`, "reading an object"},
		"list: cut short":           {errOf(parseList), `{"kind":"List","items":[{"kind":"No`, "unexpected end"},
		"curl: nothing":             {curlError, "", "no status and time"},
		"curl: body only":           {curlError, "<html>", "no status and time"},
		"curl: a long line":         {curlError, strings.Repeat("9", 100000), "no status and time"},
		"curl: a time that is none": {curlError, "200 fast", "no status and time"},
		"curl: not a number":        {curlError, "200 NaN", "no status and time"},
		"curl: a negative time":     {curlError, "200 -1", "no status and time"},
		"curl: a status too long":   {curlError, "2000 0.1", "no status and time"},
		"whoami: nginx":             {errOf(parseWhoami), "<title>Welcome to nginx!</title>", "names no host"},
		"whoami: control signs":     {errOf(parseWhoami), "Hostname: \x1b[2Jx\n", "names no host"},
		"nics: nothing":             {errOf(parseNICs), "", "no NIC is named"},
		"nics: none plugged":        {errOf(parseNICs), "nic1=\"none\"\nnic2=\"none\"\n", "no NIC is named"},
		"nics: no MAC":              {errOf(parseNICs), "nic1=\"nat\"\nmacaddress1=\"0800\"\n", `NIC 1 has the MAC "0800"`},
	} {
		err := x.parse([]byte(x.out))
		if err == nil || !strings.Contains(err.Error(), x.err) {
			t.Errorf("%s: error %v, want %q", name, err, x.err)
		}
		if err != nil && len(err.Error()) > 500 {
			t.Errorf("%s: the error has %d bytes", name, len(err.Error()))
		}
	}
}

func errOf[T any](parse func([]byte) (T, error)) func([]byte) error {
	return func(out []byte) error { _, err := parse(out); return err }
}

func curlError(out []byte) error { _, _, _, err := parseCurlOutput(out); return err }

func TestRoutesOfOtherShapes(t *testing.T) {
	got, err := parseRoutes([]byte(`[{},
		{"dst":"default","flags":[],"nexthops":[{"gateway":"10.0.2.2","dev":"enp0s3","weight":1,"flags":[]},{"gateway":"192.168.56.1","dev":"enp0s8","weight":1,"flags":["onlink"]}]},
		{"type":"blackhole","dst":"10.99.0.0/16","flags":[]},
		{"dst":"192.0.2.1","via":{"family":"inet6","host":"fe80::1"},"dev":"enp0s3","flags":[]}]`))
	want := []checks.Route{
		{To: prefix("0.0.0.0/0"), Via: addr("10.0.2.2"), Dev: "enp0s3"},
		{To: prefix("0.0.0.0/0"), Via: addr("192.168.56.1"), Dev: "enp0s8", Onlink: true},
		{To: prefix("10.99.0.0/16")},
		{To: prefix("192.0.2.1/32"), Via: addr("fe80::1"), Dev: "enp0s3"},
	}
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, compareNetip(), comparePrefix()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if none, err := parseRoutes([]byte("[]")); err != nil || none == nil || len(none) != 0 {
		t.Errorf("no routes are known to be none: %v %v", none, err)
	}
}

func TestCurlOutput(t *testing.T) {
	for out, want := range map[string]struct {
		body   string
		status int
		took   time.Duration
	}{
		"200 0.105201":                       {"", 200, 105201 * time.Microsecond},
		"200 0.079987\n":                     {"", 200, 79987 * time.Microsecond},
		"000 5.008164\n":                     {"", 0, 5008164 * time.Microsecond},
		"200 0,25":                           {"", 200, 250 * time.Millisecond},
		"Hostname: x\nIP: y\n\n200 0.012\n":  {"Hostname: x\nIP: y\n", 200, 12 * time.Millisecond},
		"404 page not found\n\n404 0.000500": {"404 page not found\n", 404, 500 * time.Microsecond},
	} {
		body, status, took, err := parseCurlOutput([]byte(out))
		if err != nil || string(body) != want.body && want.body != "" || status != want.status || (took-want.took).Abs() > time.Microsecond {
			t.Errorf("%q: %q %d %s %v, want %+v", out, body, status, took, err, want)
		}
	}
}

func TestProbeCommands(t *testing.T) {
	pods := checks.Cluster{Pods: checks.Known([]checks.Pod{{Namespace: "labctl", Name: "labctl-probe-x1x1x", Node: "w1"}}, checks.Source{})}
	const curl = "curl -sS -m 5 -o /dev/null -w '%{http_code} %{time_total}' http://10.43.31.179/"
	const wget = "kubectl exec -n labctl labctl-probe-x1x1x -- wget -q -T 5 -O - http://10.43.31.179/"
	web := netip.MustParseAddrPort("10.43.31.179:80")
	for name, x := range map[string]struct {
		item Item
		want checks.Probe // without From; Why only where it is not empty
		ok   bool
	}{
		"answers":      {Item{Where: "w1", Command: curl, Stdout: []byte("200 0.5")}, checks.Probe{Where: "w1", Target: web, Outcome: checks.Answered, Status: 200, Took: time.Second / 2}, true},
		"answers 500":  {Item{Where: "w1", Command: curl, Stdout: []byte("500 0.5")}, checks.Probe{Where: "w1", Target: web, Outcome: checks.Answered, Status: 500, Took: time.Second / 2}, true},
		"refused":      {Item{Where: "w1", Command: curl, Exit: 7, Stdout: []byte("000 0.5"), Stderr: []byte("curl: (7) x")}, checks.Probe{Where: "w1", Target: web, Outcome: checks.Refused, Took: time.Second / 2, Why: "curl: (7) x"}, true},
		"times out":    {Item{Where: "w1", Command: curl, Exit: 28, Stdout: []byte("000 5.0")}, checks.Probe{Where: "w1", Target: web, Outcome: checks.TimedOut, Took: 5 * time.Second, Why: "curl: exit status 28"}, true},
		"empty answer": {Item{Where: "w1", Command: curl, Exit: 52, Stdout: []byte("000 0.5"), Stderr: []byte("curl: (52) x")}, checks.Probe{Where: "w1", Target: web, Outcome: checks.Failed, Took: time.Second / 2, Why: "curl: (52) x"}, true},
		"no curl":      {Item{Where: "w1", Command: curl, Exit: 127, Stderr: []byte("sh: 1: curl: not found")}, checks.Probe{Where: "w1", Target: web, Why: `w1: "" is no status and time of curl`}, true},
		"not run":      {Item{Where: "w1", Command: curl, Err: "dial"}, checks.Probe{Where: "w1", Target: web, Why: "w1: dial"}, true},
		"no status": {Item{Where: "host", Command: "curl -sS -m 5 http://192.168.56.10:31885/", Stdout: []byte("Service Unavailable")}, checks.Probe{
			Where: "host", Target: netip.MustParseAddrPort("192.168.56.10:31885"), Body: "Service Unavailable",
			Why: `host: the answer's HTTP status was not told: add -w '\n%{http_code} %{time_total}\n' to curl -sS -m 5 http://192.168.56.10:31885/`}, true},
		"no status and no answer": {Item{Where: "w1", Command: curl, Stdout: []byte("000 0.5")}, checks.Probe{Where: "w1", Target: web, Took: time.Second / 2,
			Why: `w1: the answer's HTTP status was not told: add -w '\n%{http_code} %{time_total}\n' to ` + curl}, true},
		"no status, and whoami's page": {Item{Where: "host", Command: "curl http://192.168.56.10:31885/", Stdout: []byte("Hostname: hello-1\n")}, checks.Probe{
			Where: "host", Target: netip.MustParseAddrPort("192.168.56.10:31885"), Outcome: checks.Answered, Body: "Hostname: hello-1\n", By: "hello-1"}, true},
		"no status, and nginx's page": {Item{Where: "w1", Command: "curl http://10.43.31.179/", Stdout: []byte("<title>Welcome to nginx!</title>\n")}, checks.Probe{
			Where: "w1", Target: web, Outcome: checks.Answered, Body: "<title>Welcome to nginx!</title>\n"}, true},
		"in a pod":       {Item{Where: "cp1", Command: wget, Stdout: []byte("<title>")}, checks.Probe{Where: "w1", Pod: "labctl/labctl-probe-x1x1x", Target: web, Outcome: checks.Answered, Body: "<title>"}, true},
		"empty in a pod": {Item{Where: "cp1", Command: wget}, checks.Probe{Where: "w1", Pod: "labctl/labctl-probe-x1x1x", Target: web, Outcome: checks.Failed, Why: "the answer was empty"}, true},
		"times out in a pod": {Item{Where: "cp1", Command: wget, Exit: 1, Stderr: []byte("wget: download timed out\ncommand terminated with exit code 1\n")},
			checks.Probe{Where: "w1", Pod: "labctl/labctl-probe-x1x1x", Target: web, Outcome: checks.TimedOut, Why: "wget: download timed out"}, true},
		"refused in a pod": {Item{Where: "cp1", Command: wget, Exit: 1, Stderr: []byte("wget: can't connect to remote host (10.43.31.179): Connection refused\ncommand terminated with exit code 1\n")},
			checks.Probe{Where: "w1", Pod: "labctl/labctl-probe-x1x1x", Target: web, Outcome: checks.Refused, Why: "wget: can't connect to remote host (10.43.31.179): Connection refused"}, true},
		"another error in a pod": {Item{Where: "cp1", Command: wget, Exit: 1, Stderr: []byte("wget: server returned error: HTTP/1.1 502\ncommand terminated with exit code 1\n")},
			checks.Probe{Where: "w1", Pod: "labctl/labctl-probe-x1x1x", Target: web, Outcome: checks.Failed, Why: "wget: server returned error: HTTP/1.1 502"}, true},
		"exec does not work": {Item{Where: "cp1", Command: wget, Exit: 1, Stderr: []byte("error: unable to upgrade connection")},
			checks.Probe{Where: "w1", Pod: "labctl/labctl-probe-x1x1x", Target: web, Outcome: checks.NotAsked, Why: "error: unable to upgrade connection"}, true},
		"no API server": {Item{Where: "cp1", Command: wget, Exit: 1, Stderr: []byte("Unable to connect to the server: EOF")},
			checks.Probe{Where: "w1", Pod: "labctl/labctl-probe-x1x1x", Target: web, Why: "cp1: " + wget + ": exit status 1: Unable to connect to the server: EOF"}, true},
		"wget crashes": {Item{Where: "cp1", Command: wget, Exit: 139, Stderr: []byte("command terminated with exit code 139")},
			checks.Probe{Where: "w1", Pod: "labctl/labctl-probe-x1x1x", Target: web, Why: "cp1: " + wget + ": exit status 139: command terminated with exit code 139"}, true},
		"in a pod that nobody knows": {Item{Where: "cp1", Command: strings.ReplaceAll(wget, "x1x1x", "gone"), Stdout: []byte("x")},
			checks.Probe{Pod: "labctl/labctl-probe-gone", Target: web, Body: "x", Why: "cp1: pod labctl/labctl-probe-gone is on no known node"}, true},
		"another command": {Item{Where: "cp1", Command: "hostname"}, checks.Probe{}, false},
		"a name":          {Item{Where: "cp1", Command: "curl http://example.invalid/"}, checks.Probe{}, false},
		"a port too high": {Item{Where: "cp1", Command: "curl http://10.43.31.179:99999/"}, checks.Probe{}, false},
	} {
		got, ok := parseProbe(x.item, pods)
		got.From = checks.Source{}
		if ok != x.ok {
			t.Errorf("%s: it is a probe: %v, want %v", name, ok, x.ok)
		}
		if diff := cmp.Diff(x.want, got, comparePort()); diff != "" && ok {
			t.Errorf("%s: (-want +got)\n%s", name, diff)
		}
	}
}

func TestWhoami(t *testing.T) {
	host, err := parseWhoami([]byte("Hostname: hello-6d4b75cb6d-hdqsn\nIP: 127.0.0.1\nIP: 10.42.2.12\nRemoteAddr: 10.42.0.0:39212\nGET /?nonce=N0NCE HTTP/1.1\nHost: 10.43.45.254\nUser-Agent: Go-http-client/1.1\nConnection: close\n"))
	if host != "hello-6d4b75cb6d-hdqsn" || err != nil {
		t.Errorf("%q %v", host, err)
	}
}

// What formatMachine writes is what parseNICs and parseState read, for both kinds of host-only network.
func TestNICs(t *testing.T) {
	want := []checks.NIC{
		{Slot: 1, Kind: "nat", MAC: "08:00:27:4d:69:be", Cable: true},
		{Slot: 2, Kind: "hostonly", Network: "VirtualBox Host-Only Ethernet Adapter #2", MAC: "08:00:27:ba:a0:fb"},
		{Slot: 3, Kind: "hostonlynetwork", Network: "labctl", MAC: "08:00:27:ba:a0:fc", Cable: true},
	}
	text := formatMachine(want, "poweroff")
	if state := parseState(text); state != "poweroff" || parseState(formatMachine(want, "")) != "" {
		t.Errorf("the state is %q", state)
	}
	got, err := parseNICs(text)
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got)\n%s", err, diff)
	}
	// As VirtualBox 7.2.22 prints them, among other lines.
	got, err = parseNICs([]byte("name=\"x\"\nvrde=\"off\"\nnatnet1=\"nat\"\nmacaddress1=\"0800274D69BE\"\ncableconnected1=\"on\"\nnic1=\"nat\"\nnictype1=\"82540EM\"\nhostonlyadapter2=\"vboxnet0\"\nmacaddress2=\"080027BAA0FB\"\ncableconnected2=\"on\"\nnic2=\"hostonly\"\nnic3=\"none\"\r\n"))
	want = []checks.NIC{{Slot: 1, Kind: "nat", MAC: "08:00:27:4d:69:be", Cable: true}, {Slot: 2, Kind: "hostonly", Network: "vboxnet0", MAC: "08:00:27:ba:a0:fb", Cable: true}}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got)\n%s", err, diff)
	}
}

func TestAskedKinds(t *testing.T) {
	for command, want := range map[string][]string{
		cmdCluster:                       {"Node", "Service", "Pod", "EndpointSlice", "Endpoints", "Deployment", "DaemonSet"},
		"kubectl get svc -A -o json":     {"Service"},
		"kubectl get nodes -o json":      {"Node"},
		"kubectl get nodes -A -o json":   {"Node"},
		"kubectl get pods -o json":       nil, // of one namespace
		"kubectl get pods -A -o wide":    nil,
		"kubectl get secrets -A -o json": nil,
		"kubectl get pods,x -A -o json":  nil,
		"kubectl get":                    nil,
		"k get nodes -o json":            nil,
		"":                               nil,
	} {
		if diff := cmp.Diff(want, askedKinds(command)); diff != "" {
			t.Errorf("%q: (-want +got)\n%s", command, diff)
		}
	}
}

// An object of a kind that is broken makes that kind unknown, and no other.
func TestOneBrokenObject(t *testing.T) {
	e := &Evidence{Lab: config.Default(), Items: []Item{{Where: "cp1", Command: cmdCluster, Stdout: []byte(
		`{"kind":"List","items":[{"kind":"Pod","metadata":{"name":"a"},"status":{"podIP":"not an address"}},{"kind":"Node","metadata":{"name":"cp1"}},{"kind":"Unheard","x":1}]}`)}}}
	c := Parse(e).Cluster
	if c.Pods.Known || !strings.Contains(c.Pods.Why, `reading a Pod: "not an address" is no address`) {
		t.Errorf("pods: %+v", c.Pods)
	}
	if !c.Nodes.Known || len(c.Nodes.Value) != 1 || !c.Services.Known || len(c.Services.Value) != 0 {
		t.Errorf("nodes: %+v, services: %+v", c.Nodes, c.Services)
	}
}

// Evidence of a labctl that did not ask for Endpoints reads as it did then: of nothing else less is known.
func TestOlderEvidence(t *testing.T) {
	older := strings.Replace(cmdCluster, "endpoints,", "", 1)
	if older == cmdCluster {
		t.Fatal("nothing is left out")
	}
	list := []byte(`{"kind":"List","items":[{"kind":"Node","metadata":{"name":"cp1"}},{"kind":"Endpoints","metadata":{"name":"a"}}]}`)
	for command, known := range map[string]bool{cmdCluster: true, older: false} {
		c := Parse(&Evidence{Lab: config.Default(), Items: []Item{{Where: "cp1", Command: command, Stdout: list}}}).Cluster
		if !c.Slices.Known || c.Nodes.From.Command != showNodes {
			t.Errorf("%s: nodes: %+v, slices: %+v", command, c.Nodes, c.Slices)
		}
		if c.Endpoints.Known != known || c.Endpoints.Why != "" || known != (len(c.Endpoints.Value) == 1) {
			t.Errorf("%s: endpoints: %+v", command, c.Endpoints)
		}
		refused := Parse(&Evidence{Lab: config.Default(), Items: []Item{{Where: "cp1", Command: command, Exit: 1, Stderr: []byte("refused")}}})
		if problems := checks.Evaluate(refused, checks.Catalogue()).Problems; len(problems) != 1 || problems[0].What != "cp1: the cluster does not answer" {
			t.Errorf("%s: %+v", command, problems)
		}
	}
}

func TestEvidenceThatIsTooLarge(t *testing.T) {
	huge := make([]byte, maxOutput+1)
	e := &Evidence{Lab: config.Default(), Items: []Item{{Where: "w1", Command: cmdAddr, Stdout: huge}, {Where: "cp1", Command: cmdCluster, Stdout: huge}}}
	f := Parse(e)
	if links := f.Nodes["w1"].Links; links.Known || !strings.Contains(links.Why, "larger than 32 MiB") {
		t.Errorf("links: %+v", links.Why)
	}
	if pods := f.Cluster.Pods; pods.Known || !strings.Contains(pods.Why, "larger than 32 MiB") {
		t.Errorf("pods: %+v", pods.Why)
	}
}

// Evidence without a lab knows nothing, and says so everywhere.
func TestParseOfNothing(t *testing.T) {
	for name, e := range map[string]*Evidence{"no lab": {}, "no items": {Lab: config.Default()}} {
		if s := checks.Evaluate(Parse(e), checks.Catalogue()).Summary(); s.Passed != 0 || s.Failed != 0 || s.Unknown == 0 {
			t.Errorf("%s: %+v", name, s)
		}
	}
}
