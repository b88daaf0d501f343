package k3s

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/labctl/labctl/internal/config"
	"github.com/labctl/labctl/internal/yaml"
)

// Node is a machine as k3s sees it.
type Node struct {
	Name    string     // the guest's host name, and the node's
	Address netip.Addr // on the host-only network
	MAC     string     // of the host-only NIC; tells which interface flannel uses
	User    string     // the login
}

// Settings are the cluster's. They are the same for all nodes but for Token.
type Settings struct {
	Version              string     // of the release, as in v1.34.3+k3s1; for messages: what is installed is Artifacts
	Server               netip.Addr // the server's address on the host-only network
	PodCIDR, ServiceCIDR netip.Prefix
	ProxyMode            string // iptables or ipvs; empty is iptables
	Scheduler            string // of IPVS mode, where it is not rr
	// Network is the host-only network. With Proxy, it is reached without it.
	Network    netip.Prefix
	Registries config.Registries // may hold secrets
	Proxy      config.Proxy      // may hold a secret
	// Token is a secret. For the server it is what agents must know; empty lets k3s choose. For an agent it is what JoinToken
	// returned, and required.
	Token string
}

// role is what k3s runs as.
type role string

const (
	server role = "server"
	agent  role = "agent"
)

func (r role) service() string {
	if r == agent {
		return "k3s-agent"
	}
	return "k3s"
}

// Service is the systemd unit that k3s is on a node of that role.
func Service(r config.Role) string { return role(r).service() }

// settingsFile is /etc/rancher/k3s/config.yaml: the flags of `k3s server` and `k3s agent`.
// Source: https://docs.k3s.io/installation/configuration and https://docs.k3s.io/cli/server.
type settingsFile struct {
	Server              string   `yaml:"server,omitempty"`
	Token               string   `yaml:"token,omitempty"`
	NodeName            string   `yaml:"node-name"`
	NodeIP              string   `yaml:"node-ip"`
	FlannelIface        string   `yaml:"flannel-iface"`
	TLSSAN              []string `yaml:"tls-san,omitempty"`
	ClusterCIDR         string   `yaml:"cluster-cidr,omitempty"`
	ServiceCIDR         string   `yaml:"service-cidr,omitempty"`
	WriteKubeconfigMode string   `yaml:"write-kubeconfig-mode,omitempty"`
	Disable             []string `yaml:"disable,omitempty"`
	KubeProxyArg        []string `yaml:"kube-proxy-arg,omitempty"`
}

// check finds what would only show as a node that never joins.
func (s Settings) check(n Node, as role) error {
	var problems []error
	problem := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	if n.Name == "" {
		problem("it has no name")
	}
	if !n.Address.IsValid() {
		problem("it has no address")
	}
	if _, err := net.ParseMAC(n.MAC); err != nil {
		problem("its host-only NIC's MAC %q is none", n.MAC)
	}
	switch config.ProxyMode(s.ProxyMode) {
	case "", config.ProxyIPTables, config.ProxyIPVS:
	default:
		problem("kube-proxy mode %q is neither %s nor %s", s.ProxyMode, config.ProxyIPTables, config.ProxyIPVS)
	}
	if scheduler := config.Scheduler(s.Scheduler); scheduler != "" && (!s.ipvs() || !slices.Contains(config.Schedulers(), scheduler)) {
		problem("kube-proxy in %s mode has no scheduler %q", s.proxyMode(), s.Scheduler)
	}
	switch as {
	case server:
		if n.User == "" {
			problem("it has no login user")
		}
		if !s.PodCIDR.IsValid() || !s.ServiceCIDR.IsValid() {
			problem("the pod or the service CIDR is missing")
		}
	case agent:
		if !s.Server.IsValid() {
			problem("the server's address is missing")
		}
		if s.Token == "" {
			problem("the join token is missing")
		}
	}
	if len(problems) > 0 {
		return fmt.Errorf("settings of node %q: %w", n.Name, errors.Join(problems...))
	}
	return nil
}

func (s Settings) ipvs() bool { return config.ProxyMode(s.ProxyMode) == config.ProxyIPVS }

// scheduler is what kube-proxy is told; empty where it needs no telling, so that older nodes' settings stay as they are.
func (s Settings) scheduler() string {
	if config.Scheduler(s.Scheduler).IsZero() {
		return ""
	}
	return s.Scheduler
}

func (s Settings) proxyMode() string {
	if s.ipvs() {
		return string(config.ProxyIPVS)
	}
	return string(config.ProxyIPTables)
}

// settingsOf renders config.yaml. Without node-ip and flannel-iface k3s takes the NIC of the default route: VirtualBox's NAT,
// where all nodes have 10.0.2.15.
func settingsOf(n Node, s Settings, as role, iface string) ([]byte, error) {
	f := settingsFile{
		Token:        s.Token,
		NodeName:     n.Name,
		NodeIP:       n.Address.String(),
		FlannelIface: iface,
	}
	switch as {
	case server:
		f.TLSSAN = []string{n.Address.String(), n.Name, "127.0.0.1"}
		f.ClusterCIDR, f.ServiceCIDR = s.PodCIDR.String(), s.ServiceCIDR.String()
		f.WriteKubeconfigMode = "0600"
	case agent:
		f.Server = apiURL(s.Server)
	}
	if s.ipvs() {
		f.KubeProxyArg = []string{"proxy-mode=ipvs"}
		if scheduler := s.scheduler(); scheduler != "" {
			f.KubeProxyArg = append(f.KubeProxyArg, "ipvs-scheduler="+scheduler)
		}
		if as == server {
			// IPVS binds LoadBalancer addresses to kube-ipvs0, and ServiceLB publishes the nodes' own: every node would take
			// the others' addresses for local, and the cluster falls apart.
			f.Disable = []string{"servicelb"}
		}
	}
	data, err := yaml.Marshal(f)
	if err != nil {
		return nil, fmt.Errorf("settings of node %q: %w", n.Name, err)
	}
	return append([]byte(mine+"\n"), data...), nil
}

// apiURL is where the API of the server at addr answers.
func apiURL(addr netip.Addr) string { return "https://" + netip.AddrPortFrom(addr, 6443).String() }
