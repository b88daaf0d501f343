package sim

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/labctl/labctl/internal/yaml"
)

// k3sSettings are what a k3s process was started with: the unit's arguments, its environment and config.yaml.
type k3sSettings struct {
	Role        string       `json:"role"` // server or agent
	Version     string       `json:"version"`
	NodeName    string       `json:"nodeName"`
	NodeIP      netip.Addr   `json:"nodeIP,omitzero"`
	ExternalIP  netip.Addr   `json:"externalIP,omitzero"`
	Iface       string       `json:"iface,omitempty"` // flannel-iface
	Server      string       `json:"server,omitempty"`
	Token       string       `json:"token,omitempty"`
	TLSSAN      []string     `json:"tlsSAN,omitempty"`
	ClusterCIDR netip.Prefix `json:"clusterCIDR,omitzero"`
	ServiceCIDR netip.Prefix `json:"serviceCIDR,omitzero"`
	Disable     []string     `json:"disable,omitempty"`
	ProxyMode   string       `json:"proxyMode"`
	Scheduler   string       `json:"scheduler,omitempty"`  // of IPVS mode; none in the notes of an older labctl is the default
	ConfigMode  string       `json:"configMode"`           // write-kubeconfig-mode
	EgressMode  string       `json:"egressMode,omitempty"` // egress-selector-mode
	Args        []string     `json:"args"`                 // for the annotation k3s.io/node-args
	MachineID   string       `json:"machineID"`
}

// Flags of `k3s server` and `k3s agent`; an agent skips the server's own, and both skip what they do not know, with a warning.
// Source: https://docs.k3s.io/cli/server, https://docs.k3s.io/cli/agent.
const (
	agentFlags = "token token-file server node-name with-node-id node-ip node-external-ip flannel-iface flannel-conf kubelet-arg " +
		"kube-proxy-arg node-label node-taint resolv-conf data-dir debug snapshotter private-registry selinux lb-server-port " +
		"protect-kernel-defaults prefer-bundled-bin pause-image bind-address config disable-apiserver-lb image-credential-provider-config"
	serverFlags = "tls-san tls-san-security cluster-cidr service-cidr service-node-port-range cluster-dns cluster-domain flannel-backend " +
		"write-kubeconfig write-kubeconfig-mode write-kubeconfig-group disable disable-scheduler disable-cloud-controller " +
		"disable-kube-proxy disable-network-policy disable-helm-controller kube-apiserver-arg kube-controller-manager-arg " +
		"kube-scheduler-arg cluster-init cluster-reset advertise-address advertise-port https-listen-port agent-token " +
		"embedded-registry egress-selector-mode default-local-storage-path secrets-encryption etcd-expose-metrics"
)

// What of these the model does something about, and what changes nothing that it shows. Anything else is refused: taken and ignored, it
// would make a lab look well that is not.
const (
	modelledFlags = "config token token-file server node-name node-ip node-external-ip flannel-iface kube-proxy-arg " +
		"tls-san cluster-cidr service-cidr write-kubeconfig-mode disable egress-selector-mode"
	harmlessFlags = "debug selinux snapshotter prefer-bundled-bin lb-server-port protect-kernel-defaults tls-san-security " +
		"disable-network-policy secrets-encryption etcd-expose-metrics default-local-storage-path"
	modelledProxyArgs = "proxy-mode ipvs-scheduler ipvs-sync-period iptables-sync-period"
)

// unmodelled says which setting the model cannot take; nil if there is none. An empty one is as good as none.
func unmodelled(flags map[string][]string, env map[string]string) error {
	for _, name := range sortedKeys(flags) {
		given := slices.ContainsFunc(flags[name], func(v string) bool { return v != "" })
		if given && !slices.Contains(strings.Fields(modelledFlags+" "+harmlessFlags), name) {
			return fmt.Errorf("the SIMULATED k3s does not know what --%s changes", name)
		}
	}
	for _, arg := range flags["kube-proxy-arg"] {
		name, _, _ := strings.Cut(strings.TrimPrefix(arg, "--"), "=")
		if !slices.Contains(strings.Fields(modelledProxyArgs), name) {
			return fmt.Errorf("the SIMULATED kube-proxy does not know what --%s changes", name)
		}
	}
	if mode := flags["egress-selector-mode"]; len(mode) > 0 && !slices.Contains([]string{"agent", "disabled"}, mode[len(mode)-1]) {
		return fmt.Errorf("the SIMULATED k3s does not know the egress-selector-mode %q", mode[len(mode)-1])
	}
	for _, name := range flags["disable"] {
		for _, part := range strings.Split(name, ",") {
			if !slices.ContainsFunc(addons(), func(a addon) bool { return a.name == part }) && part != "servicelb" {
				return fmt.Errorf("the SIMULATED k3s has no component %q to disable", part)
			}
		}
	}
	for _, name := range sortedKeys(env) {
		if strings.HasPrefix(name, "K3S_") && name != "K3S_TOKEN" && name != "K3S_URL" {
			return fmt.Errorf("the SIMULATED k3s does not know what the variable %s changes", name)
		}
	}
	return nil
}

// k3sVersion reads the version out of a k3s binary; an error if that file is none, or may not be executed.
func (g *guest) k3sVersion(p string) (string, error) {
	info, err := g.files.stat(p, true)
	if err != nil {
		return "", err
	}
	if info.Mode()&0o111 == 0 {
		return "", errors.New("permission denied")
	}
	data, err := g.files.read("root", p)
	if err != nil {
		return "", err
	}
	version, ok := binaryVersion(data)
	if !ok {
		return "", errors.New("exec format error")
	}
	return version, nil
}

// k3sSettings is how k3s reads its flags. The warnings are lines of its log.
func (g *guest) k3sSettings(version string, argv []string, env map[string]string) (*k3sSettings, []string, error) {
	if len(argv) == 0 || argv[0] != "server" && argv[0] != "agent" {
		return nil, nil, fmt.Errorf("the SIMULATED k3s does not know %q", argv)
	}
	role := argv[0]
	known := strings.Fields(agentFlags)
	if role == "server" {
		known = append(known, strings.Fields(serverFlags)...)
	}
	flags := map[string][]string{}
	var warnings []string
	configFile := "/etc/rancher/k3s/config.yaml"
	var given [][2]string
	for rest := argv[1:]; len(rest) > 0; rest = rest[1:] {
		name, value, ok := strings.Cut(strings.TrimLeft(rest[0], "-"), "=")
		if !strings.HasPrefix(rest[0], "-") {
			return nil, nil, fmt.Errorf("the SIMULATED k3s does not know the argument %q", rest[0])
		}
		if !slices.Contains(known, name) {
			return nil, nil, fmt.Errorf("flag provided but not defined: -%s", name)
		}
		if !ok && len(rest) > 1 && !strings.HasPrefix(rest[1], "-") {
			value, rest = rest[1], rest[1:]
		} else if !ok {
			value = "true"
		}
		if name == "config" {
			configFile = value
		}
		given = append(given, [2]string{name, value})
	}
	names := []string{configFile}
	if more, err := g.files.list("root", configFile+".d"); err == nil {
		for _, f := range more {
			names = append(names, path.Join(configFile+".d", f.Name()))
		}
	}
	for i, name := range names {
		data, err := g.files.read("root", name)
		if err != nil {
			if i == 0 && len(names) == 1 && configFile == "/etc/rancher/k3s/config.yaml" {
				continue // it need not exist
			}
			return nil, warnings, fmt.Errorf("open %s: %s", name, reason(err))
		}
		var values map[string]any
		if err := yaml.Unmarshal(data, &values); err != nil {
			return nil, warnings, fmt.Errorf("%s: %w", name, err)
		}
		for _, key := range sortedKeys(values) {
			flag, more := strings.CutSuffix(key, "+")
			if !slices.Contains(known, flag) {
				warnings = append(warnings, fmt.Sprintf("level=warning msg=%q", "Unknown flag --"+flag+" found in config.yaml, skipping\n"))
				continue
			}
			if !more {
				flags[flag] = nil
			}
			list, ok := values[key].([]any)
			if !ok {
				list = []any{values[key]}
			}
			for _, v := range list {
				flags[flag] = append(flags[flag], fmt.Sprint(v))
			}
		}
	}
	for _, f := range given {
		flags[f[0]] = append(flags[f[0]], f[1])
	}
	s := &k3sSettings{Role: role, Version: version, ProxyMode: "iptables", ConfigMode: "0600", MachineID: g.machineID()}
	s.Args = append(s.Args, role)
	for _, name := range sortedKeys(flags) {
		for _, v := range flags[name] {
			if name == "token" || name == "agent-token" {
				v = "********"
			}
			s.Args = append(s.Args, "--"+name, v)
		}
	}
	err := g.interpret(s, flags, env)
	return s, warnings, err
}

func (g *guest) interpret(s *k3sSettings, flags map[string][]string, env map[string]string) error {
	if err := unmodelled(flags, env); err != nil {
		return err
	}
	last := func(name, otherwise string) string {
		if v := flags[name]; len(v) > 0 {
			return v[len(v)-1]
		}
		return otherwise
	}
	list := func(name string) []string {
		var all []string
		for _, v := range flags[name] {
			all = append(all, strings.Split(v, ",")...)
		}
		return all
	}
	s.Token = strings.TrimSpace(last("token", env["K3S_TOKEN"]))
	if name := last("token-file", ""); name != "" {
		data, err := g.files.read("root", name)
		if err != nil {
			return fmt.Errorf("open %s: %s", name, reason(err))
		}
		s.Token = strings.TrimSpace(string(data))
	}
	s.NodeName = strings.ToLower(last("node-name", g.hostname()))
	s.Server = last("server", env["K3S_URL"])
	s.TLSSAN = list("tls-san")
	s.Disable = list("disable")
	s.ConfigMode = last("write-kubeconfig-mode", "0600")
	s.EgressMode = last("egress-selector-mode", "")
	var err error
	for name, cidr := range map[string]*netip.Prefix{"cluster-cidr": &s.ClusterCIDR, "service-cidr": &s.ServiceCIDR} {
		fallback := map[string]string{"cluster-cidr": "10.42.0.0/16", "service-cidr": "10.43.0.0/16"}[name]
		if *cidr, err = netip.ParsePrefix(last(name, fallback)); err != nil {
			return fmt.Errorf("invalid CIDR address: %s", last(name, fallback))
		}
	}
	if v := last("node-ip", ""); v != "" {
		if s.NodeIP, err = netip.ParseAddr(v); err != nil {
			return fmt.Errorf("invalid node-ip %q", v)
		}
		if !g.has(s.NodeIP) {
			return fmt.Errorf("failed to find interface with specified node ip %s", s.NodeIP)
		}
	}
	if v := last("node-external-ip", ""); v != "" {
		if s.ExternalIP, err = netip.ParseAddr(v); err != nil {
			return fmt.Errorf("invalid node-external-ip: invalid ip format '%s'", v)
		}
	}
	s.Iface = last("flannel-iface", "")
	if s.Iface != "" && !slices.ContainsFunc(g.nics(), func(l link) bool { return l.Name == s.Iface && len(l.Addresses) > 0 }) {
		return fmt.Errorf("unable to find interface %s", s.Iface)
	}
	for _, arg := range flags["kube-proxy-arg"] {
		switch k, v, _ := strings.Cut(strings.TrimPrefix(arg, "--"), "="); k {
		case "proxy-mode":
			s.ProxyMode = v
		case "ipvs-scheduler":
			s.Scheduler = v
		}
	}
	if s.ProxyMode != "iptables" && s.ProxyMode != "ipvs" {
		return fmt.Errorf("kube-proxy exited: invalid proxy mode %q", s.ProxyMode)
	}
	if s.ProxyMode == "ipvs" && !slices.Contains(g.state.Modules, "ip_vs") {
		return errors.New("kube-proxy exited: can't use the IPVS proxier: error getting ipset version, kernel module ip_vs is not loaded")
	}
	// kube-proxy knows no names of schedulers: it makes a virtual server with the one that it was given, for which the kernel loads the
	// module, and ends if that fails. Source: https://github.com/kubernetes/kubernetes/pull/114878 and pkg/proxy/ipvs/ipvs.go (v1.34.3).
	s.Scheduler = cmp.Or(s.Scheduler, defaultScheduler)
	if s.ProxyMode == "ipvs" && !slices.Contains(strings.Fields(schedulers), s.Scheduler) {
		return fmt.Errorf("kube-proxy exited: can't use the IPVS proxier: no such file or directory (the SIMULATED kernel has the schedulers %s)", schedulers)
	}
	if s.Role == "server" {
		return nil
	}
	if s.Server == "" {
		return errors.New("--server is required")
	}
	if s.Token == "" {
		return errors.New("--token is required")
	}
	if u, err := url.Parse(s.Server); err != nil || u.Scheme != "https" || u.Host == "" {
		return fmt.Errorf("Invalid server url, failed to parse: %s", s.Server)
	}
	return nil
}

// startK3s records that k3s runs, and makes what it makes on the disk at once. Everything else follows from the time.
func (g *guest) startK3s(name string, s *k3sSettings, warnings []string, at time.Time) error {
	// Each node proves with this password that it is the one that used its name before.
	const passwordFile = "/etc/rancher/node/password"
	if _, err := g.files.stat(passwordFile, true); err != nil {
		sum := sha256.Sum256([]byte("node password " + g.disk + at.String()))
		if err := g.files.write(passwordFile, "root", 0o600, []byte(hex.EncodeToString(sum[:16])+"\n")); err != nil {
			return err
		}
	}
	if s.Role == "server" {
		if err := g.initServer(s, at); err != nil {
			return err
		}
	}
	untouched := *g
	state := *g.state
	state.Chains = nil
	untouched.state, untouched.allRules = &state, nil
	base := untouched.findFirewall()
	return g.update(func(st *guestState) {
		if module := "ip_vs_" + s.Scheduler; s.ProxyMode == "ipvs" && !slices.Contains(st.Modules, module) {
			st.Modules = append(st.Modules, module)
		}
		st.rewriteChains(base)
		st.restoreNetwork(s.ClusterCIDR)
		st.log(name, at, warnings...)
		st.log(name, at, fmt.Sprintf("time=%q level=info msg=%q", at.UTC().Format(time.RFC3339), "Starting k3s "+s.Role+" "+s.Version+" (SIMULATED)"))
		st.setUnit(name, unit{State: "active", Since: at, K3s: s})
	})
}

// initServer makes the cluster's secrets, unless the disk has them already.
func (g *guest) initServer(s *k3sSettings, at time.Time) error {
	const server = "/var/lib/rancher/k3s/server"
	for _, dir := range []string{"/var/lib/rancher/k3s/server", "/etc/rancher/k3s"} {
		if err := g.makeDir(dir); err != nil {
			return err
		}
	}
	if err := g.files.setAttributes(server, attributes{Mode: 0o700, Owner: "root"}); err != nil {
		return err
	}
	ca, err := g.authority(at)
	if err != nil {
		return err
	}
	secret := s.Token
	if _, short, ok := strings.Cut(s.Token, "::server:"); ok {
		secret = short
	}
	if old, err := g.files.read("root", server+"/token"); err == nil && secret == "" {
		_, secret, _ = strings.Cut(strings.TrimSpace(string(old)), "::server:")
	}
	if secret == "" {
		sum := sha256.Sum256(append([]byte("token"), ca.certificate...))
		secret = hex.EncodeToString(sum[:16])
	}
	token := []byte("K10" + ca.hash() + "::server:" + secret + "\n")
	for _, name := range []string{"/token", "/node-token", "/agent-token"} {
		if err := g.files.write(server+name, "root", 0o600, token); err != nil {
			return err
		}
	}
	mode, err := parseMode(s.ConfigMode, 0)
	if err != nil {
		return unitError(fmt.Sprintf("invalid write-kubeconfig-mode %q", s.ConfigMode))
	}
	config, err := ca.kubeconfig("https://127.0.0.1:6443")
	if err != nil {
		return err
	}
	return g.files.write("/etc/rancher/k3s/k3s.yaml", "root", mode, config)
}

// restoreNetwork is what else k3s repairs when it starts: the virtual servers, kube-ipvs0, flannel.1 and the routes into it.
// flannel keeps a device that is there with its MAC, and announces that; it sets its routes in place of any others to other nodes' pods.
func (st *guestState) restoreNetwork(pods netip.Prefix) {
	st.Unserved = nil
	delete(st.Links, "kube-ipvs0")
	if c, ok := st.Links["flannel.1"]; ok {
		kept := linkChange{MAC: c.MAC, MTU: c.MTU}
		if c.Deleted {
			kept = linkChange{}
		}
		st.Links["flannel.1"] = kept
	}
	st.Routes = slices.DeleteFunc(st.Routes, func(c routeChange) bool {
		to := c.Route.prefix()
		return pods.Overlaps(to) && to.Bits() > 0 && (c.Delete || to.Bits() == 24 && c.Route.Metric == 0)
	})
}
