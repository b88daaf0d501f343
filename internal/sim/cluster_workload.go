package sim

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// podRecord is a pod. Whether it is ready follows from its node and the time.
type podRecord struct {
	Name      string            `json:"name"`
	Namespace string            `json:"namespace"`
	UID       string            `json:"uid"`
	Version   int64             `json:"version"`
	Created   time.Time         `json:"created"`
	Owner     owner             `json:"owner"`
	Hash      string            `json:"hash"` // of the template it was made from
	Labels    map[string]string `json:"labels"`
	Spec      map[string]any    `json:"spec"`
	Node      string            `json:"node,omitempty"` // empty: not scheduled
	For       string            `json:"for,omitempty"`  // the one node that a DaemonSet wants it on
	IP        netip.Addr        `json:"ip,omitzero"`
	Bridge    string            `json:"bridge,omitempty"`  // that its network is on; empty: cni0, which is flannel's
	Gateway   netip.Prefix      `json:"gateway,omitzero"`  // of such another bridge
	Sandbox   string            `json:"sandbox,omitempty"` // why it has no network yet, and does not start
	Scheduled time.Time         `json:"scheduled,omitzero"`
	Completed bool              `json:"completed,omitempty"`
	Problem   string            `json:"problem,omitempty"` // why it is not scheduled
}

// owner is the object of the cluster that keeps a pod alive.
type owner struct {
	Kind string `json:"kind"` // Deployment, DaemonSet or Job; a pod of a Deployment names a ReplicaSet instead
	Name string `json:"name"`
	UID  string `json:"uid"`
}

// control does what the controllers and the scheduler do until nothing is left to do.
func (c *cluster) control(st *clusterState) {
	st.Pods = slices.DeleteFunc(st.Pods, func(p *podRecord) bool {
		if p.Owner.Kind == "Job" {
			return false
		}
		o, on := st.object(p.Owner.Kind, p.Namespace, p.Owner.Name), cmp.Or(p.Node, p.For)
		if o == nil || o.UID != p.Owner.UID || on == "" {
			return o == nil || o.UID != p.Owner.UID
		}
		n := st.node(on)
		return n == nil || n.repels(p, "NoExecute")
	})
	c.serviceLB(st)
	for _, o := range st.Objects {
		switch o.Kind {
		case "Deployment":
			c.controlDeployment(st, o)
		case "DaemonSet":
			c.controlDaemonSet(st, o)
		}
	}
	for _, p := range st.Pods {
		switch {
		case p.Node == "":
			c.schedule(st, p)
		case c.networkMended(st, p):
			c.bind(st, p, st.node(p.Node))
		}
	}
	c.pull(st)
}

func (st *clusterState) podsOf(o *object) []*podRecord {
	var all []*podRecord
	for _, p := range st.Pods {
		if p.Namespace == o.Namespace && p.Owner.UID == o.UID {
			all = append(all, p)
		}
	}
	return all
}

// templateHash names a pod template as Kubernetes does in a ReplicaSet's name.
func templateHash(o *object) string {
	data, _ := json.Marshal(dig(o.Body, "spec", "template")) // it came from JSON
	return wordOf(10, o.UID, string(data))
}

// controlDeployment brings a deployment's pods to the end of its rolling update at once. If the new pods never become ready, that end is
// where the update is stuck: as many old ones stay as may not be missing, beside as many new ones as may be too many.
func (c *cluster) controlDeployment(st *clusterState, o *object) {
	want, kept := replicas(o), 0
	hash := templateHash(o)
	if templatePod(o, hash).hopeless() {
		healthy := 0
		for _, p := range st.podsOf(o) {
			if p.Hash != hash && !p.hopeless() {
				healthy++
			}
		}
		surge, missing := rollingUpdate(o, want)
		kept = min(healthy, want-missing)
		if kept > 0 {
			want = min(want, want+surge-kept)
		}
	}
	have := 0
	st.Pods = slices.DeleteFunc(st.Pods, func(p *podRecord) bool {
		switch {
		case p.Owner.UID != o.UID:
			return false
		case p.Hash == hash && have < want:
			have++
			return false
		case p.Hash != hash && !p.hopeless() && kept > 0:
			kept--
			return false
		}
		return true
	})
	for ; have < want; have++ {
		p := c.newPod(st, o, hash)
		p.Name = o.Name + "-" + hash + "-" + wordOf(5, p.UID)
		p.Labels["pod-template-hash"] = hash
	}
}

func replicas(o *object) int {
	if n, ok := dig(o.Body, "spec", "replicas").(float64); ok {
		return int(n)
	}
	return 1
}

// rollingUpdate is how many pods a deployment may have too many, and how many may be missing, while it is updated.
func rollingUpdate(o *object, want int) (surge, missing int) {
	if dig(o.Body, "spec", "strategy", "type") == "Recreate" {
		return 0, want
	}
	share := func(key string, up bool) int {
		v := dig(o.Body, "spec", "strategy", "rollingUpdate", key)
		text, ok := v.(string)
		if v != nil && !ok {
			return number(v)
		}
		percent, err := strconv.Atoi(strings.TrimSuffix(cmp.Or(text, "25%"), "%"))
		if err != nil {
			return 0
		}
		if up {
			return (want*percent + 99) / 100
		}
		return want * percent / 100
	}
	surge, missing = share("maxSurge", true), min(share("maxUnavailable", false), want)
	if surge == 0 && missing == 0 {
		missing = 1 // or nothing could ever be replaced
	}
	return surge, missing
}

// controlDaemonSet keeps a pod for each node that the set selects and that does not repel it. Whether the pod finds room there is another
// matter.
func (c *cluster) controlDaemonSet(st *clusterState, o *object) {
	hash, like := templateHash(o), templatePod(o, "")
	have := map[string]bool{}
	st.Pods = slices.DeleteFunc(st.Pods, func(p *podRecord) bool {
		if p.Owner.UID != o.UID {
			return false
		}
		on := cmp.Or(p.Node, p.For)
		keep := p.Hash == hash && !have[on] && selects(like.Spec["nodeSelector"], st.node(on).Labels)
		have[on] = have[on] || keep
		return !keep
	})
	for _, n := range st.Nodes {
		if !have[n.Name] && selects(like.Spec["nodeSelector"], n.Labels) && !n.repels(like, "NoSchedule", "NoExecute") {
			p := c.newPod(st, o, hash)
			p.Name, p.For = o.Name+"-"+wordOf(5, p.UID), n.Name
			p.Labels["controller-revision-hash"] = hash
			p.Labels["pod-template-generation"] = fmt.Sprint(o.Generation)
		}
	}
}

func (c *cluster) newPod(st *clusterState, o *object, hash string) *podRecord {
	p := templatePod(o, hash)
	p.Created, p.Version = c.now, st.next()
	p.UID = st.uid("pod", o.Namespace, o.Name)
	st.Pods = append(st.Pods, p)
	return p
}

// templatePod is a pod of a workload before it is made.
func templatePod(o *object, hash string) *podRecord {
	p := &podRecord{Namespace: o.Namespace, Hash: hash, Owner: owner{o.Kind, o.Name, o.UID}}
	p.Spec, _ = dig(o.Body, "spec", "template", "spec").(map[string]any)
	p.Labels = stringMap(dig(o.Body, "spec", "template", "metadata", "labels"))
	return p
}

// schedule puts a pod on the ready node that has the fewest pods of its kind, then the fewest pods, then comes first. So
// pods spread over the nodes, as the scheduler does by default; topologySpreadConstraints may keep a node from having any more.
func (c *cluster) schedule(st *clusterState, p *podRecord) {
	if n := st.node(p.For); n != nil { // one of a DaemonSet's, whatever its node is like
		if st.portsTaken(p, n) {
			p.Problem = fmt.Sprintf("0/%d nodes are available: 1 %s.", len(st.Nodes), noPorts)
			return
		}
		c.bind(st, p, n)
		return
	}
	type load struct{ own, all int }
	loads := map[string]load{}
	for _, other := range st.Pods {
		l := loads[other.Node]
		l.all++
		if other.Owner.UID == p.Owner.UID {
			l.own++
		}
		loads[other.Node] = l
	}
	var best *nodeRecord
	reasons := map[string]int{}
	for _, n := range st.Nodes {
		switch {
		case !c.nodeReady(n):
			reasons["node(s) had untolerated taint {node.kubernetes.io/unreachable: }"]++
		case n.Cordoned:
			reasons["node(s) were unschedulable"]++
		case n.repels(p, "NoSchedule", "NoExecute"):
			reasons["node(s) had untolerated taint(s)"]++
		case !selects(p.Spec["nodeSelector"], n.Labels):
			reasons["node(s) didn't match Pod's node affinity/selector"]++
		case st.portsTaken(p, n):
			reasons[noPorts]++
		case !st.maySpread(p, n):
			reasons["node(s) didn't match pod topology spread constraints"]++
		default:
			if best == nil || cmp.Or(cmp.Compare(loads[n.Name].own, loads[best.Name].own), cmp.Compare(loads[n.Name].all, loads[best.Name].all)) < 0 {
				best = n
			}
		}
	}
	if best == nil {
		var words []string
		for _, why := range sortedKeys(reasons) {
			words = append(words, fmt.Sprintf("%d %s", reasons[why], why))
		}
		p.Problem = fmt.Sprintf("0/%d nodes are available: %s.", len(st.Nodes), strings.Join(words, ", "))
		return
	}
	c.bind(st, p, best)
}

// hostNetwork reports whether a pod is in its node's network.
func (p *podRecord) hostNetwork() bool {
	own, _ := p.Spec["hostNetwork"].(bool)
	return own
}

const noPorts = "node(s) didn't have free ports for the requested pod ports"

// portsTaken reports whether a pod asks for a port of the node itself that another pod there has.
func (st *clusterState) portsTaken(p *podRecord, n *nodeRecord) bool {
	wanted := p.hostPorts()
	return len(wanted) > 0 && slices.ContainsFunc(st.Pods, func(o *podRecord) bool {
		return o.Node == n.Name && o != p && !o.Completed && slices.ContainsFunc(o.hostPorts(), func(have hostPort) bool {
			return slices.ContainsFunc(wanted, func(w hostPort) bool { return w.proto == have.proto && w.port == have.port })
		})
	})
}

// hostPort is a port of its node that a container asks for.
type hostPort struct {
	proto      string // tcp or udp
	port, into int
}

// hostPorts are the ports of its node that a pod asks for: in its node's network all that its containers declare.
func (p *podRecord) hostPorts() []hostPort {
	var all []hostPort
	for _, ctr := range p.containers() {
		list, _ := ctr["ports"].([]any)
		for _, port := range list {
			n := number(dig(port, "hostPort"))
			if n == 0 && p.hostNetwork() {
				n = number(dig(port, "containerPort"))
			}
			if n != 0 {
				proto, _ := dig(port, "protocol").(string)
				all = append(all, hostPort{strings.ToLower(cmp.Or(proto, "TCP")), n, number(dig(port, "containerPort"))})
			}
		}
	}
	return all
}

// maySpread reports whether a pod's topologySpreadConstraints that must hold still do with it on that node. As the scheduler does by default,
// a node that a pod may not go to for its taints counts as one without such pods.
func (st *clusterState) maySpread(p *podRecord, on *nodeRecord) bool {
	list, _ := p.Spec["topologySpreadConstraints"].([]any)
	for _, raw := range list {
		c := mapOf(raw)
		key, _ := c["topologyKey"].(string)
		switch {
		case c["whenUnsatisfiable"] == "ScheduleAnyway":
			continue
		case on.Labels[key] == "":
			return false
		}
		pods := map[string]int{}
		for _, n := range st.Nodes {
			if domain := n.Labels[key]; domain != "" && selects(p.Spec["nodeSelector"], n.Labels) {
				pods[domain] += 0
			}
		}
		for _, o := range st.Pods {
			if n := st.node(o.Node); n != nil && o.Namespace == p.Namespace && selects(dig(c, "labelSelector", "matchLabels"), o.Labels) {
				pods[n.Labels[key]]++
			}
		}
		fewest := slices.Min(slices.Collect(maps.Values(pods)))
		if pods[on.Labels[key]]+1-fewest > max(1, number(c["maxSkew"])) {
			return false
		}
	}
	return true
}

// bind gives a pod its node and the next address of the node's subnet.
func (c *cluster) bind(st *clusterState, p *podRecord, n *nodeRecord) {
	p.Node, p.Problem, p.Scheduled, p.Version = n.Name, "", c.now, st.next()
	if p.hostNetwork() {
		p.IP = n.InternalIP
		return
	}
	subnet := n.subnet(st)
	net, err := c.up[n.Disk].podNetwork(subnet)
	p.Sandbox = ""
	switch {
	case err != nil:
		p.IP, p.Sandbox = netip.Addr{}, err.Error()
		return
	case net.Bridge != "cni0":
		p.Bridge, p.Gateway, subnet = net.Bridge, netip.PrefixFrom(net.Subnet.Addr().Next(), net.Subnet.Bits()), net.Subnet
	}
	used := map[netip.Addr]bool{}
	for _, other := range st.Pods {
		used[other.IP] = true
	}
	for range 253 {
		a := subnet.Addr().As4()
		a[3] = byte(n.NextIP)
		if n.NextIP++; n.NextIP > 254 {
			n.NextIP = 2
		}
		if p.IP = netip.AddrFrom4(a); !used[p.IP] {
			return
		}
	}
}

// networkMended reports whether a pod waits for a network that could be made by now: the kubelet goes on trying.
func (c *cluster) networkMended(st *clusterState, p *podRecord) bool {
	n := st.node(p.Node)
	if n == nil || p.Sandbox == "" || c.up[n.Disk] == nil {
		return false
	}
	_, err := c.up[n.Disk].podNetwork(n.subnet(st))
	return err == nil
}

// podStart is when a pod's containers run, if its node does.
func (c *cluster) podStart(p *podRecord) (time.Time, bool) {
	n := c.state.node(p.Node)
	if n == nil || n.ghost() || p.Sandbox != "" {
		return time.Time{}, false
	}
	from := p.Scheduled
	if n.Up.After(from) && n.Boot.After(p.Scheduled) { // the machine was restarted since; a restart of k3s leaves containers alone
		from = n.Up
	}
	return from.Add(c.w.options.PodStart), true
}

// podRuns reports whether a pod's processes run and answer: also while the node's k3s is stopped.
func (c *cluster) podRuns(p *podRecord) bool {
	at, ok := c.podStart(p)
	if !ok || p.Completed || c.now.Before(at) || c.imageProblem(p) != "" {
		return false
	}
	n := c.state.node(p.Node)
	g := c.up[n.Disk]
	return g != nil && g.state.Boot.Equal(n.Boot)
}

// podReady reports whether the API says that a pod is ready.
func (c *cluster) podReady(p *podRecord) bool {
	return c.podRuns(p) && c.nodeReady(c.state.node(p.Node)) && p.unready() == nil
}

// podsOn are the pods that run on a node, and have a network of their own.
func (c *cluster) podsOn(node string) []*podRecord {
	var all []*podRecord
	n := c.state.node(node)
	for _, p := range c.state.Pods {
		if p.Node == node && p.IP.IsValid() && (p.Bridge != "" || n.subnet(c.state).Contains(p.IP)) && c.podRuns(p) {
			all = append(all, p)
		}
	}
	return all
}

// veth is the node's end of a pod's own network.
func (p *podRecord) veth() string { return "veth" + hexOf(8, "veth", p.UID) }

// unplugged reports whether somebody has switched off, or deleted, the device that connects one of the node's pods.
func (c *cluster) unplugged(n *nodeRecord, ip netip.Addr) bool {
	g := c.up[n.Disk]
	return g != nil && len(g.state.Links) > 0 && slices.ContainsFunc(c.state.Pods, func(p *podRecord) bool {
		if p.IP != ip || p.Node != n.Name {
			return false
		}
		change := g.state.Links[p.veth()]
		return change.Down || change.Deleted
	})
}

func (p *podRecord) containers() []map[string]any {
	var all []map[string]any
	list, _ := p.Spec["containers"].([]any)
	for _, c := range list {
		if m, ok := c.(map[string]any); ok {
			all = append(all, m)
		}
	}
	return all
}

// imageOf is what kind of program a container runs.
func imageOf(container map[string]any) (repository, tag string) {
	ref, _ := container["image"].(string)
	ref, _, _ = strings.Cut(ref, "@")
	repository, tag = ref, "latest"
	if i := strings.LastIndex(ref, ":"); i > strings.LastIndex(ref, "/") {
		repository, tag = ref[:i], ref[i+1:]
	}
	repository = strings.TrimPrefix(repository, "docker.io/")
	return strings.TrimPrefix(repository, "library/"), tag
}

// The images that the simulated registry has, by their tags.
var (
	nginxTags   = regexp.MustCompile(`^(latest|alpine|stable|mainline|1\.\d+(\.\d+)?)(-alpine(-slim)?)?$`)
	whoamiTags  = regexp.MustCompile(`^(latest|v1\.\d+(\.\d+)?)$`)
	busyboxTags = regexp.MustCompile(`^(latest|1\.\d+(\.\d+)?)$`)
)

// imageProblem is why the simulated registry does not have a pod's image; empty if it has.
func imageProblem(p *podRecord) string {
	for _, c := range p.containers() {
		repository, tag := imageOf(c)
		known := true
		switch {
		case repository == "nginx":
			known = nginxTags.MatchString(tag)
		case repository == "traefik/whoami":
			known = whoamiTags.MatchString(tag)
		case repository == "busybox":
			known = busyboxTags.MatchString(tag)
		case !strings.HasPrefix(repository, "rancher/"):
			return fmt.Sprintf("failed to pull and unpack image %q: failed to resolve reference %q: pull access denied, "+
				"repository does not exist or may require authorization: server message: insufficient_scope: authorization failed", fullImage(c), fullImage(c))
		}
		if !known {
			return fmt.Sprintf("failed to pull and unpack image %q: failed to resolve reference %q: %s: not found", fullImage(c), fullImage(c), fullImage(c))
		}
	}
	return ""
}

func fullImage(container map[string]any) string {
	repository, tag := imageOf(container)
	if !strings.Contains(repository, "/") {
		repository = "library/" + repository
	}
	return "docker.io/" + repository + ":" + tag
}

// system makes what k3s itself brings, and takes away what its settings disable. Its own manifests are applied each time the server
// starts: what somebody deletes of them stays away until then.
func (c *cluster) system(st *clusterState, started time.Time) {
	for _, ns := range []string{"default", "kube-system", "kube-public", "kube-node-lease"} {
		if st.object("Namespace", "", ns) == nil {
			c.put(st, &object{Kind: "Namespace", Name: ns, Body: map[string]any{"apiVersion": "v1", "kind": "Namespace",
				"metadata": map[string]any{"labels": map[string]any{"kubernetes.io/metadata.name": ns}}, "spec": map[string]any{"finalizers": []any{"kubernetes"}}}})
		}
	}
	if st.object("Service", "default", "kubernetes") == nil {
		c.put(st, &object{Kind: "Service", Namespace: "default", Name: "kubernetes", Body: service(st.Settings.serviceIP(1), "ClusterIP", nil,
			map[string]any{"component": "apiserver", "provider": "kubernetes"}, port("https", "TCP", 443, 6443, 0))})
	}
	if st.object("ServiceCIDR", "", "kubernetes") == nil {
		c.put(st, &object{Kind: "ServiceCIDR", Name: "kubernetes", Body: map[string]any{"apiVersion": "networking.k8s.io/v1", "kind": "ServiceCIDR",
			"metadata": map[string]any{}, "spec": map[string]any{"cidrs": []any{st.Settings.ServiceCIDR.String()}}}})
	}
	deployed := st.Deployed.Equal(started)
	st.Deployed = started
	for _, a := range addons() {
		disabled := slices.Contains(st.Settings.Disable, a.name)
		for _, o := range a.objects(st) {
			have := st.object(o.Kind, "kube-system", o.Name)
			switch {
			case disabled && have != nil:
				st.Objects = slices.DeleteFunc(st.Objects, func(x *object) bool { return x == have })
			case !disabled && have == nil && !deployed:
				o.Namespace = "kube-system"
				c.put(st, o)
			}
		}
	}
	// Traefik comes as a Helm chart, which two jobs install.
	for _, job := range []string{"helm-install-traefik-crd", "helm-install-traefik"} {
		there := slices.ContainsFunc(st.Pods, func(p *podRecord) bool { return p.Owner.Name == job })
		if there || slices.Contains(st.Settings.Disable, "traefik") || len(st.Nodes) == 0 {
			continue
		}
		st.Pods = append(st.Pods, &podRecord{Name: job + "-" + wordOf(5, job, st.Created.String()), Namespace: "kube-system", UID: st.uid(job), Version: st.next(),
			Created: c.now, Scheduled: c.now, Node: st.Nodes[0].Name, Completed: true, Owner: owner{"Job", job, st.uid("job", job)},
			Labels: map[string]string{"job-name": job, "helmcharts.helm.cattle.io/chart": strings.TrimPrefix(job, "helm-install-")},
			Spec:   map[string]any{"containers": []any{map[string]any{"name": "helm", "image": "rancher/klipper-helm:v0.9.10-build20251111"}}}})
	}
}

// serviceIP is the nth address of the services' network.
func (s *k3sSettings) serviceIP(n uint32) string {
	a := s.ServiceCIDR.Masked().Addr().As4()
	binary.BigEndian.PutUint32(a[:], binary.BigEndian.Uint32(a[:])+n)
	return netip.AddrFrom4(a).String()
}

// addon is one of k3s's own workloads, by the name that `disable` knows it by.
type addon struct {
	name    string
	objects func(*clusterState) []*object
}

func addons() []addon {
	labels := func(key, value string) map[string]any { return map[string]any{key: value} }
	return []addon{
		{"coredns", func(st *clusterState) []*object {
			l := labels("k8s-app", "kube-dns")
			return []*object{
				{Kind: "Deployment", Name: "coredns", Body: deployment(l, "coredns", "rancher/mirrored-coredns-coredns:1.13.1")},
				{Kind: "Service", Name: "kube-dns", Body: service(st.Settings.serviceIP(10), "ClusterIP", l,
					map[string]any{"k8s-app": "kube-dns", "kubernetes.io/cluster-service": "true", "kubernetes.io/name": "CoreDNS"},
					port("dns", "UDP", 53, 53, 0), port("dns-tcp", "TCP", 53, 53, 0), port("metrics", "TCP", 9153, 9153, 0))},
			}
		}},
		{"local-storage", func(st *clusterState) []*object {
			return []*object{{Kind: "Deployment", Name: "local-path-provisioner",
				Body: deployment(labels("app", "local-path-provisioner"), "local-path-provisioner", "rancher/local-path-provisioner:v0.0.32")}}
		}},
		{"metrics-server", func(st *clusterState) []*object {
			l := labels("k8s-app", "metrics-server")
			return []*object{
				{Kind: "Deployment", Name: "metrics-server", Body: deployment(l, "metrics-server", "rancher/mirrored-metrics-server:v0.8.0")},
				{Kind: "Service", Name: "metrics-server", Body: service(st.freeServiceIP("kube-system/metrics-server"), "ClusterIP", l, l, port("https", "TCP", 443, 10250, 0))},
			}
		}},
		{"traefik", func(st *clusterState) []*object {
			l := map[string]any{"app.kubernetes.io/instance": "traefik-kube-system", "app.kubernetes.io/name": "traefik"}
			return []*object{
				{Kind: "Deployment", Name: "traefik", Body: deployment(l, "traefik", "rancher/mirrored-library-traefik:3.5.1")},
				{Kind: "Service", Name: "traefik", Body: service(st.freeServiceIP("kube-system/traefik"), "LoadBalancer", l, l,
					port("web", "TCP", 80, 8000, st.freeNodePort("traefik/web")), port("websecure", "TCP", 443, 8443, st.freeNodePort("traefik/websecure")))},
			}
		}},
	}
}

func deployment(labels map[string]any, name, image string) map[string]any {
	return map[string]any{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": map[string]any{"labels": labels}, "spec": map[string]any{
		"replicas": 1.0, "selector": map[string]any{"matchLabels": labels},
		"template": map[string]any{"metadata": map[string]any{"labels": labels}, "spec": map[string]any{
			"containers": []any{map[string]any{"name": name, "image": image}}}}}}
}

func service(ip, kind string, selector, labels map[string]any, ports ...any) map[string]any {
	spec := map[string]any{"clusterIP": ip, "type": kind, "ports": ports}
	if selector != nil {
		spec["selector"] = selector
	}
	return map[string]any{"apiVersion": "v1", "kind": "Service", "metadata": map[string]any{"labels": labels}, "spec": spec}
}

func port(name, protocol string, number, target, nodePort int) map[string]any {
	p := map[string]any{"name": name, "protocol": protocol, "port": float64(number), "targetPort": float64(target)}
	if nodePort != 0 {
		p["nodePort"] = float64(nodePort)
	}
	return p
}

// enableLB is the label of nodes that take part in ServiceLB, once any node has it.
const enableLB = "svccontroller.k3s.cattle.io/enablelb"

// serviceLB keeps a DaemonSet for every LoadBalancer service, whose pods hold the service's ports on their nodes.
func (c *cluster) serviceLB(st *clusterState) {
	wanted := map[string]*object{}
	if !slices.Contains(st.Settings.Disable, "servicelb") {
		for _, o := range st.Objects {
			if o.Kind == "Service" && dig(o.Body, "spec", "type") == "LoadBalancer" {
				wanted["svclb-"+o.Name+"-"+hexOf(8, o.UID)] = o
			}
		}
	}
	st.Objects = slices.DeleteFunc(st.Objects, func(o *object) bool {
		return o.Kind == "DaemonSet" && o.Namespace == "kube-system" && strings.HasPrefix(o.Name, "svclb-") && wanted[o.Name] == nil
	})
	limited := slices.ContainsFunc(st.Nodes, func(n *nodeRecord) bool { return n.Labels[enableLB] == "true" })
	limit := func(body map[string]any) {
		if delete(mapOf(dig(body, "spec", "template", "spec")), "nodeSelector"); limited {
			set(body, map[string]any{enableLB: "true"}, "spec", "template", "spec", "nodeSelector")
		}
	}
	for _, name := range sortedKeys(wanted) {
		if have := st.object("DaemonSet", "kube-system", name); have != nil {
			limit(have.Body)
			continue
		}
		svc := wanted[name]
		labels := map[string]any{"app": name, "svccontroller.k3s.cattle.io/svcname": svc.Name, "svccontroller.k3s.cattle.io/svcnamespace": svc.Namespace}
		var containers []any
		for _, p := range servicePorts(svc) {
			name, port := fmt.Sprintf("lb-%s-%d", strings.ToLower(p.Protocol), p.Port), float64(p.Port)
			containers = append(containers, map[string]any{"name": name, "image": "rancher/klipper-lb:v0.4.13",
				"ports": []any{map[string]any{"name": name, "containerPort": port, "hostPort": port, "protocol": p.Protocol}}})
		}
		body := deployment(labels, "", "")
		body["kind"] = "DaemonSet"
		delete(body["spec"].(map[string]any), "replicas")
		set(body, containers, "spec", "template", "spec", "containers")
		limit(body)
		c.put(st, &object{Kind: "DaemonSet", Namespace: "kube-system", Name: name, Body: body})
	}
}

// freeServiceIP chooses an address for a service: always the same for the same name, unless it is taken.
func (st *clusterState) freeServiceIP(name string) string {
	used := map[string]bool{}
	for _, o := range st.Objects {
		if ip, ok := dig(o.Body, "spec", "clusterIP").(string); ok {
			used[ip] = true
		}
	}
	// Addresses below the 256th are left to those who choose their own, as the API server does.
	size := uint32(1) << (32 - st.Settings.ServiceCIDR.Bits())
	for try := 0; ; try++ {
		n := numberOf(name, fmt.Sprint(try)) % size
		if ip := st.Settings.serviceIP(n); n > min(256, size/4) && n < size-1 && !used[ip] {
			return ip
		}
	}
}

// freeNodePort chooses a node port in the same way.
func (st *clusterState) freeNodePort(name string) int {
	for try := 0; ; try++ {
		n := 30000 + int(numberOf(name, fmt.Sprint(try))%2768)
		if st.nodePortUser(n) == nil {
			return n
		}
	}
}

func numberOf(parts ...string) uint32 {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return binary.BigEndian.Uint32(sum[:])
}

func (st *clusterState) nodePortUser(n int) *object {
	for _, o := range st.Objects {
		for _, p := range servicePorts(o) {
			if p.NodePort == n && n != 0 {
				return o
			}
		}
	}
	return nil
}

// dig walks into nested maps; nil where the way ends.
func dig(v any, keys ...string) any {
	for _, k := range keys {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[k]
	}
	return v
}

func stringMap(v any) map[string]string {
	out := map[string]string{}
	m, _ := v.(map[string]any)
	for k, v := range m {
		out[k] = fmt.Sprint(v)
	}
	return out
}

// selects reports whether labels have all that a selector (a map, or nil for everything) asks for.
func selects(selector any, labels map[string]string) bool {
	return containsAll(labels, stringMap(selector))
}

func containsAll(labels, selector map[string]string) bool {
	for k, v := range selector {
		if labels[k] != v {
			return false
		}
	}
	return true
}
