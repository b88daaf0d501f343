package sim

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// stateFilePath is where a server keeps its cluster: on its own disk, so that a new disk is a new, empty cluster.
const stateFilePath = "/var/lib/rancher/k3s/server/db/state.json"

// clusterState is what the API server's store holds. Whether a node or a pod is ready is not in it: that follows from
// the guests and the time.
type clusterState struct {
	Created  time.Time            `json:"created"`
	Settings *k3sSettings         `json:"settings"` // the server's
	Version  int64                `json:"version"`  // resourceVersion of the latest change
	Nodes    []*nodeRecord        `json:"nodes"`    // in order of joining
	Pods     []*podRecord         `json:"pods"`
	Objects  []*object            `json:"objects"`
	Deployed time.Time            `json:"deployed"` // the start of the server that last applied k3s's own manifests
	Deleted  map[string]serviceAt `json:"deleted"`  // nodes that were deleted while their service ran: it does not register again
}

// serviceAt identifies one run of k3s on one disk.
type serviceAt struct {
	Disk  string    `json:"disk"`
	Start time.Time `json:"start"`
}

// nodeRecord is a registered node.
type nodeRecord struct {
	serviceAt
	Name        string            `json:"name"`
	UID         string            `json:"uid"`
	Created     time.Time         `json:"created"`
	Version     int64             `json:"version"`
	Boot        time.Time         `json:"boot"`        // of the machine; flannel, rules and pods last until the next one
	Up          time.Time         `json:"up,omitzero"` // when it was Ready first since Boot
	Ready       time.Time         `json:"ready"`       // from when on, if the service still runs
	Settings    *k3sSettings      `json:"settings"`
	Modes       []string          `json:"modes"`               // of kube-proxy since Boot: another mode leaves what the one before wrote
	Scheduler   string            `json:"scheduler,omitempty"` // of the virtual servers, as kube-proxy set it last
	Subnet      int               `json:"subnet"`
	InternalIP  netip.Addr        `json:"internalIP"`
	PublicIP    netip.Addr        `json:"publicIP"` // flannel's end of the tunnels
	Iface       string            `json:"iface"`
	MAC         string            `json:"mac"`     // of flannel.1
	VtepMAC     string            `json:"vtepMAC"` // what flannel announced
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
	Cordoned    bool              `json:"cordoned"`
	Taints      []taint           `json:"taints,omitempty"`
	NextIP      int               `json:"nextIP"`
	Images      []string          `json:"images,omitempty"` // that containerd has
	CPUs        int               `json:"cpus"`
	Memory      int               `json:"memory"` // MiB
}

// subnet is the node's pod CIDR: the /24 of its number in the cluster's.
func (n *nodeRecord) subnet(st *clusterState) netip.Prefix {
	a := st.Settings.ClusterCIDR.Masked().Addr().As4()
	v := uint32(a[0])<<24 | uint32(a[1])<<16 | uint32(a[2])<<8 | uint32(a[3]) + uint32(n.Subnet)<<8
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)}), 24)
}

// object is anything that can be applied, and secrets. Body is its JSON without status.
type object struct {
	Kind       string         `json:"kind"`
	Namespace  string         `json:"namespace,omitempty"`
	Name       string         `json:"name"`
	UID        string         `json:"uid"`
	Created    time.Time      `json:"created"`
	Version    int64          `json:"version"`
	Generation int64          `json:"generation"`
	Body       map[string]any `json:"body"`
}

func (st *clusterState) object(kind, namespace, name string) *object {
	for _, o := range st.Objects {
		if o.Kind == kind && o.Namespace == namespace && o.Name == name {
			return o
		}
	}
	return nil
}

func (st *clusterState) node(name string) *nodeRecord {
	for _, n := range st.Nodes {
		if n.Name == name {
			return n
		}
	}
	return nil
}

// next is a new resourceVersion.
func (st *clusterState) next() int64 {
	st.Version++
	return st.Version
}

// uid is made up, and the same whenever the same is done.
func (st *clusterState) uid(parts ...string) string {
	h := hexOf(32, append([]string{st.Created.String(), fmt.Sprint(st.Version)}, parts...)...)
	return h[:8] + "-" + h[8:12] + "-4" + h[13:16] + "-a" + h[17:20] + "-" + h[20:32]
}

func hexOf(n int, parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:])[:n]
}

// wordOf is n letters in the way Kubernetes makes names up.
func wordOf(n int, parts ...string) string {
	const letters = "bcdfghjklmnpqrstvwxz2456789"
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	b := make([]byte, n)
	for i := range b {
		b[i] = letters[int(sum[i])%len(letters)]
	}
	return string(b)
}

// cluster is a cluster as it was at one time.
type cluster struct {
	w     *World
	disk  string
	now   time.Time
	state *clusterState     // not to be changed; see change
	up    map[string]*guest // guests by disk
	known *knowledge        // of kube-proxies
	rules *proxyRules
}

// derivedCluster tells what a state was last brought in line with.
type derivedCluster struct {
	stamp stamp
	facts string
}

func (w *World) stateFile(disk string) string {
	return guestFiles(w.guestDir(disk)).host(stateFilePath)
}

// clusterState reads the cluster on a server's disk; nil if there is none.
func (w *World) clusterState(disk string) (*clusterState, error) {
	return recall(w, w.states, disk, w.stateFile(disk), readClusterState)
}

func readClusterState(name string) (*clusterState, error) {
	data, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the SIMULATED cluster: %w", err)
	}
	st := &clusterState{}
	if err := json.Unmarshal(data, st); err != nil {
		return nil, fmt.Errorf("reading the SIMULATED cluster %q: %w", name, err)
	}
	return st, nil
}

// change alters the cluster's state, one process at a time, then brings the workloads in line.
// An error of alter is returned, and nothing is changed.
func (c *cluster) change(alter func(*clusterState) error) error {
	unlock, err := lockFile(filepath.Join(c.w.guestDir(c.disk), "cluster.lock"))
	if err != nil {
		return err
	}
	defer unlock()
	st, err := readClusterState(c.w.stateFile(c.disk))
	if err != nil {
		return err
	}
	if st == nil {
		st = &clusterState{}
	}
	before, err := json.Marshal(st)
	if err != nil {
		return err
	}
	if err := alter(st); err != nil {
		return err
	}
	c.control(st)
	c.state, c.rules = st, newProxyRules()
	after, err := json.Marshal(st)
	if err != nil || string(before) == string(after) {
		return err
	}
	if err := guestFiles(c.w.guestDir(c.disk)).write(stateFilePath, "root", 0o600, after); err != nil {
		return err
	}
	c.w.mu.Lock()
	delete(c.w.states, c.disk)
	c.w.mu.Unlock()
	return c.w.newEpoch()
}

// dataplane is the cluster that flannel, kube-proxy and the pods on this guest belong to, with the guest's node: from
// joining until the machine's next boot, also while k3s is stopped.
func (g *guest) dataplane() (*cluster, *nodeRecord) {
	c := g.cluster()
	if c == nil {
		return nil, nil
	}
	for _, n := range c.state.Nodes {
		if n.Disk == g.disk && n.Boot.Equal(g.state.Boot) {
			return c, n
		}
	}
	return nil, nil
}

// cluster is the one that this guest joined, now or before; nil if there is none, and while it boots.
func (g *guest) cluster() *cluster {
	if g.peers == nil {
		return nil
	}
	return g.peers.clusters[g.state.Cluster]
}

// serverReady is when the API of the k3s server on this guest answers; false if none runs here.
func (g *guest) serverReady() (time.Time, bool) {
	_, u, ok := g.k3sUnit()
	if !ok || u.K3s.Role != "server" {
		return time.Time{}, false
	}
	return u.Since.Add(g.w.options.K3sStart), true
}

// joinable finds the server that the agent on this guest may join, and from when on it is ready there; or the reason,
// in k3s's words, why it may not.
func (g *guest) joinable(u unit) (server *guest, ready time.Time, why string, err error) {
	target, err := url.Parse(u.K3s.Server)
	if err != nil {
		return nil, time.Time{}, fmt.Sprintf("Invalid server url, failed to parse: %s", u.K3s.Server), nil
	}
	address, err := netip.ParseAddr(target.Hostname())
	if err != nil {
		if address, err = g.lookup(target.Hostname()); err != nil {
			return nil, time.Time{}, fmt.Sprintf("failed to get CA certs: Get %q: dial tcp: lookup %s: no such host", u.K3s.Server+"/cacerts", target.Hostname()), nil
		}
	}
	server = g.reach(address)
	failed := func(why string) (*guest, time.Time, string, error) {
		return nil, time.Time{}, fmt.Sprintf("failed to validate connection to cluster at %s: failed to get CA certs: Get %q: dial tcp %s: %s",
			u.K3s.Server, "https://127.0.0.1:6444/cacerts", target.Host, why), nil
	}
	if server == nil {
		return failed("connect: no route to host")
	}
	from, ok := server.serverReady()
	if !ok || target.Port() != "6443" {
		return failed("connect: connection refused")
	}
	if err := g.calls(server, address); errors.Is(err, errLost) {
		return failed("i/o timeout")
	} else if err != nil {
		return failed("connect: connection refused")
	}
	ready = u.Since
	if from.After(ready) {
		ready = from
	}
	ready = ready.Add(g.w.options.K3sStart)
	if g.now.Before(from) {
		return failed("connect: connection refused")
	}
	have := server.firstLine("/var/lib/rancher/k3s/server/node-token")
	hash, secret, _ := strings.Cut(strings.TrimPrefix(have, "K10"), "::server:")
	givenHash, given, full := strings.Cut(strings.TrimPrefix(u.K3s.Token, "K10"), "::")
	switch {
	case full && givenHash != hash:
		return nil, time.Time{}, fmt.Sprintf("token CA hash does not match the Cluster CA certificate hash: %s != %s", givenHash, hash), nil
	case full && strings.TrimPrefix(strings.TrimPrefix(given, "server:"), "node:") != secret, !full && u.K3s.Token != secret:
		return nil, time.Time{}, fmt.Sprintf("failed to validate connection to cluster at %s: /v1-k3s/config: 401 Unauthorized", u.K3s.Server), nil
	}
	st, err := g.w.clusterState(server.disk)
	if err != nil {
		return nil, time.Time{}, "", err
	}
	if st != nil {
		if s := st.object("Secret", "kube-system", u.K3s.NodeName+".node-password.k3s"); s != nil && s.Body["hash"] != g.passwordHash() {
			return nil, time.Time{}, "Node password rejected, duplicate hostname or contents of '/etc/rancher/node/password' may not match " +
				"server node-passwd entry, try enabling a unique node name with the --with-node-id flag", nil
		}
	}
	return server, ready, "", nil
}

func (g *guest) passwordHash() string {
	return hexOf(64, "password", g.firstLine("/etc/rancher/node/password"))
}

// joined reports whether the k3s service on this guest has joined its cluster (or is it), and if not, why not.
func (w *World) joined(g *guest) (bool, string, error) {
	_, u, ok := g.k3sUnit()
	if !ok {
		return false, "", nil
	}
	if u.K3s.Role == "server" {
		ready, _ := g.serverReady()
		return !g.now.Before(ready), "", nil
	}
	if c := g.cluster(); c != nil {
		for _, n := range c.state.Nodes {
			if n.Disk == g.disk && n.Start.Equal(u.Since) {
				return true, "", nil
			}
		}
	}
	_, _, why, err := g.joinable(u)
	return false, why, err
}

// settle brings every cluster up to date: it registers nodes whose service has been running for long enough, and schedules.
// That nothing happens between two looks at the world is what makes it need no daemon. It reports whether it did anything.
func (m *moment) settle() (bool, error) {
	settled := false
	for _, g := range m.guests {
		if ready, ok := g.serverReady(); ok && !m.now.Before(ready) {
			did, err := m.settleCluster(g)
			if c := m.clusters[g.disk]; err == nil && !did && c != nil {
				did, err = c.spread() // else the next look does, at what the cluster is then
			}
			if err != nil {
				return false, fmt.Errorf("SIMULATED cluster of %q: %w", g.machine.Name, err)
			}
			settled = settled || did
		}
	}
	return settled, nil
}

// joining is a node that has to be in the cluster.
type joining struct {
	g     *guest
	unit  unit
	ready time.Time
}

func (m *moment) settleCluster(server *guest) (bool, error) {
	w := m.w
	_, u, _ := server.k3sUnit()
	ready, _ := server.serverReady()
	nodes := []joining{{server, u, ready}}
	var facts strings.Builder
	st, err := w.clusterState(server.disk)
	if err != nil {
		return false, err
	}
	for _, g := range m.guests {
		_, u, ok := g.k3sUnit()
		if !ok {
			continue
		}
		registered := st != nil && g.state.Cluster == server.disk &&
			slices.ContainsFunc(st.Nodes, func(n *nodeRecord) bool { return n.Disk == g.disk && n.Start.Equal(u.Since) })
		fmt.Fprintln(&facts, g.disk, u.Since.UnixNano(), registered)
		if c := m.clusters[server.disk]; registered && c != nil {
			for _, p := range c.state.Pods {
				if n := c.state.node(p.Node); n != nil && n.Disk == g.disk && c.networkMended(c.state, p) {
					fmt.Fprintln(&facts, p.UID, "has a network")
				}
			}
		}
		if registered || u.K3s.Role != "agent" {
			continue
		}
		to, ready, _, err := g.joinable(u)
		if err != nil {
			return false, err
		}
		if to != nil && to.disk == server.disk && !g.now.Before(ready) {
			fmt.Fprintln(&facts, "joins")
			nodes = append(nodes, joining{g, u, ready})
		}
	}
	stamp := stampOf(w.stateFile(server.disk))
	w.mu.Lock()
	last := w.derived[server.disk]
	w.mu.Unlock()
	if last != nil && last.facts == facts.String() && last.stamp.same(stamp) && stamp.info != nil {
		return false, nil
	}
	slices.SortStableFunc(nodes[1:], func(a, b joining) int { return a.ready.Compare(b.ready) })
	c := &cluster{w: w, disk: server.disk, now: m.now, up: m.byDisk, rules: newProxyRules()}
	var joined []joining
	if err := c.change(func(st *clusterState) error {
		if st.Settings == nil {
			st.Created = ready
		}
		st.Settings = u.K3s
		for _, n := range nodes {
			// A process that was killed may have left a node registered and not equipped.
			if c.register(st, n) || st.node(n.unit.K3s.NodeName) != nil && n.g.state.Cluster != server.disk {
				joined = append(joined, n)
			}
		}
		c.system(st, u.Since)
		return nil
	}); err != nil {
		return false, err
	}
	for _, n := range joined {
		if err := c.equip(n); err != nil {
			return false, err
		}
	}
	w.mu.Lock()
	w.derived[server.disk] = &derivedCluster{stampOf(w.stateFile(server.disk)), facts.String()}
	w.mu.Unlock()
	return true, nil
}

// register puts a node into the cluster, or renews what it says of itself after a restart.
func (c *cluster) register(st *clusterState, j joining) bool {
	at := serviceAt{j.g.disk, j.unit.Since}
	s := j.unit.K3s
	if d, ok := st.Deleted[s.NodeName]; ok && d == at {
		return false
	}
	n := st.node(s.NodeName)
	if n != nil && n.Disk == at.Disk && n.Start.Equal(at.Start) {
		return false
	}
	if n != nil && n.ghost() {
		n.Taints, n.Labels, n.NextIP = nil, nil, 2 // from now on somebody runs it
	}
	if n == nil {
		free := 0
		for slices.ContainsFunc(st.Nodes, func(n *nodeRecord) bool { return n.Subnet == free }) {
			free++
		}
		n = &nodeRecord{Name: s.NodeName, Created: j.ready, Subnet: free, NextIP: 2, UID: st.uid("node", s.NodeName)}
		st.Nodes = append(st.Nodes, n)
		delete(st.Deleted, s.NodeName)
	}
	if !n.Boot.Equal(j.g.state.Boot) {
		n.Modes, n.Up = nil, j.ready
	}
	if !slices.Contains(n.Modes, s.ProxyMode) {
		n.Modes = append(n.Modes, s.ProxyMode)
	}
	if s.ProxyMode == "ipvs" {
		n.Scheduler = s.Scheduler
	}
	if n.Disk != at.Disk {
		n.Images = nil
	}
	n.serviceAt, n.Ready, n.Boot, n.Settings = at, j.ready, j.g.state.Boot, s
	n.CPUs, n.Memory = j.g.machine.CPUs, j.g.machine.Memory
	n.Version = st.next()

	nics := j.g.nics()
	byDefault := func(l link) bool { return slices.ContainsFunc(l.Addresses, func(a address) bool { return a.Dynamic }) }
	n.InternalIP, n.PublicIP, n.Iface = s.NodeIP, netip.Addr{}, ""
	for _, l := range nics {
		ip, ok := firstIPv4(l)
		if !ok || l.Kind == "loopback" || !l.works() {
			continue
		}
		if !n.InternalIP.IsValid() && byDefault(l) {
			n.InternalIP = ip // the address of the default route
		}
		if s.Iface == l.Name || s.Iface == "" && byDefault(l) {
			n.PublicIP, n.Iface = ip, l.Name
		}
	}
	// systemd's policy makes flannel.1's MAC from the machine-id that udevd knows, and flannel announces what it reads back.
	// Of machines that share an id the first is right; each later one has flannel's own announcement overridden by udev
	// behind its back (transcript k3s-dual-nic/same-machine-id).
	n.MAC = macOf("flannel.1", j.g.state.UdevID)
	n.VtepMAC = n.MAC
	if slices.ContainsFunc(st.Nodes, func(o *nodeRecord) bool { return o != n && o.VtepMAC == n.MAC }) {
		n.VtepMAC = macOf("flannel.1", j.g.state.UdevID, n.Name)
	}
	if c := j.g.state.Links["flannel.1"]; c.MAC != "" {
		n.VtepMAC = c.MAC
	}
	if n.Labels == nil {
		n.Labels = map[string]string{
			"beta.kubernetes.io/arch": "amd64", "beta.kubernetes.io/instance-type": "k3s", "beta.kubernetes.io/os": "linux",
			"kubernetes.io/arch": "amd64", "kubernetes.io/hostname": n.Name, "kubernetes.io/os": "linux", "node.kubernetes.io/instance-type": "k3s",
		}
		n.Annotations = map[string]string{}
	}
	if s.Role == "server" {
		n.Labels["node-role.kubernetes.io/control-plane"] = "true"
	}
	args, _ := json.Marshal(s.Args) // strings always have JSON
	maps.Copy(n.Annotations, map[string]string{
		"flannel.alpha.coreos.com/backend-data":                  fmt.Sprintf(`{"VNI":1,"VtepMAC":"%s"}`, n.VtepMAC),
		"flannel.alpha.coreos.com/backend-type":                  "vxlan",
		"flannel.alpha.coreos.com/kube-subnet-manager":           "true",
		"flannel.alpha.coreos.com/public-ip":                     n.PublicIP.String(),
		"k3s.io/hostname":                                        j.g.hostname(),
		"k3s.io/internal-ip":                                     n.InternalIP.String(),
		"k3s.io/node-args":                                       string(args),
		"k3s.io/node-config-hash":                                strings.ToUpper(hexOf(52, s.Args...)) + "====",
		"k3s.io/node-env":                                        "{}",
		"node.alpha.kubernetes.io/ttl":                           "0",
		"volumes.kubernetes.io/controller-managed-attach-detach": "true",
	})
	delete(n.Annotations, "alpha.kubernetes.io/provided-node-ip")
	delete(n.Annotations, "k3s.io/external-ip")
	if s.ExternalIP.IsValid() {
		n.Annotations["k3s.io/external-ip"] = s.ExternalIP.String()
	}
	if s.NodeIP.IsValid() {
		n.Annotations["alpha.kubernetes.io/provided-node-ip"] = s.NodeIP.String()
	}
	secret := n.Name + ".node-password.k3s"
	if st.object("Secret", "kube-system", secret) == nil {
		c.put(st, &object{Kind: "Secret", Namespace: "kube-system", Name: secret, Created: j.ready, Body: map[string]any{
			"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "hash": j.g.passwordHash()}})
	}
	return true
}

func firstIPv4(l link) (netip.Addr, bool) {
	for _, a := range l.Addresses {
		if a.Addr().Is4() {
			return a.Addr(), true
		}
	}
	return netip.Addr{}, false
}

// equip writes what k3s writes on a node that has joined.
func (c *cluster) equip(j joining) error {
	n := c.state.node(j.unit.K3s.NodeName)
	subnet := n.subnet(c.state)
	env := fmt.Sprintf("FLANNEL_NETWORK=%s\nFLANNEL_SUBNET=%s\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n",
		c.state.Settings.ClusterCIDR, netip.PrefixFrom(subnet.Addr().Next(), subnet.Bits()))
	if err := j.g.files.write(subnetFile, "root", 0o644, []byte(env)); err != nil {
		return err
	}
	if err := j.g.files.write(cniFolder+"/10-flannel.conflist", "root", 0o600, []byte(flannelCNI)); err != nil {
		return err
	}
	return j.g.update(func(st *guestState) {
		st.Cluster = c.disk
		name, _, ok := j.g.k3sUnit()
		if ok {
			st.log(name, j.ready, fmt.Sprintf("time=%q level=info msg=%q", j.ready.UTC().Format(time.RFC3339), "k3s "+j.unit.K3s.Role+" is up and running"), "Started "+name+".")
		}
	})
}

// put adds an object, with a version and an identity.
func (c *cluster) put(st *clusterState, o *object) {
	o.Version = st.next()
	if o.UID == "" {
		o.UID = st.uid(o.Kind, o.Namespace, o.Name)
	}
	if o.Created.IsZero() {
		o.Created = c.now
	}
	if o.Generation == 0 {
		o.Generation = 1
	}
	st.Objects = append(st.Objects, o)
}

// nodeReady reports whether the kubelet of a node is heard of.
func (c *cluster) nodeReady(n *nodeRecord) bool { return c.connected(n) && !c.now.Before(n.Ready) }

// connected reports whether the k3s that registered a node still runs, and has its connection to the server.
func (c *cluster) connected(n *nodeRecord) bool {
	g := c.up[n.Disk]
	if g == nil || !g.state.Boot.Equal(n.Boot) {
		return false
	}
	_, u, ok := g.k3sUnit()
	if !ok || !u.Since.Equal(n.Start) {
		return false
	}
	server := c.up[c.disk]
	if server == nil || n.Disk == c.disk {
		return n.Disk == c.disk
	}
	return g.wired(server) && g.calls(server, g.serverAddress(u)) == nil
}

// serverAddress is where the agent on this guest looks for its server; the zero address if it finds none.
func (g *guest) serverAddress(u unit) netip.Addr {
	target, err := url.Parse(u.K3s.Server)
	if err != nil {
		return netip.Addr{}
	}
	if address, err := netip.ParseAddr(target.Hostname()); err == nil {
		return address
	}
	address, _ := g.lookup(target.Hostname()) // zero beside an error
	return address
}

// calls is what the filters of both guests do to an agent's call of the API server at an address; nil if it passes.
func (g *guest) calls(server *guest, address netip.Addr) error {
	if len(g.state.Chains) == 0 && len(server.state.Chains) == 0 { // the rules of k3s's own let it pass
		return nil
	}
	p := g.open("tcp", nil, netip.AddrPortFrom(address, 6443))
	if r, ok := g.routeTo(address); ok {
		p.out = r.Dev
	}
	return g.sends(p, server)
}

// lookup resolves a name by the guest's /etc/hosts.
func (g *guest) lookup(name string) (netip.Addr, error) {
	data, err := g.files.read("root", "/etc/hosts")
	if err != nil {
		return netip.Addr{}, err
	}
	for line := range strings.Lines(string(data)) {
		line, _, _ = strings.Cut(line, "#")
		if f := strings.Fields(line); len(f) > 1 && slices.Contains(f[1:], name) {
			if a, err := netip.ParseAddr(f[0]); err == nil && a.Is4() {
				return a, nil
			}
		}
	}
	return netip.Addr{}, fmt.Errorf("no address of %q", name)
}
