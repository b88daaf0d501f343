//go:build linux

package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"

	"github.com/labctl/labctl/internal/yaml"
)

// settings are the flags of k3s that labctl may write to config.yaml. k3s ends with "flag provided but not defined" on others.
// Source: https://docs.k3s.io/cli/server and https://docs.k3s.io/cli/agent.
type settings struct {
	Server              string   `yaml:"server"`
	Token               string   `yaml:"token"`
	NodeName            string   `yaml:"node-name"`
	NodeIP              string   `yaml:"node-ip"`
	FlannelIface        string   `yaml:"flannel-iface"`
	TLSSAN              []string `yaml:"tls-san"`
	ClusterCIDR         string   `yaml:"cluster-cidr"`
	ServiceCIDR         string   `yaml:"service-cidr"`
	WriteKubeconfigMode string   `yaml:"write-kubeconfig-mode"`
	Disable             []string `yaml:"disable"`
	KubeProxyArg        []string `yaml:"kube-proxy-arg"`
}

func readSettings(agent bool) (settings, error) {
	var s settings
	data, err := os.ReadFile(settingsPath)
	if err != nil {
		return s, err
	}
	if err := parseSettings(data, agent, &s); err != nil {
		return s, err
	}
	return s, s.checkNIC()
}

func parseSettings(data []byte, agent bool, s *settings) error {
	if _, err := yaml.Decode(settingsPath, data, s); err != nil {
		return err
	}
	switch {
	case s.NodeName == "" || s.NodeIP == "" || s.FlannelIface == "" || s.Token == "":
		return errors.New("node-name, node-ip, flannel-iface or token is missing")
	case agent && s.Server == "":
		return errors.New("server is missing")
	case agent && (s.TLSSAN != nil || s.ClusterCIDR != "" || s.ServiceCIDR != "" || s.WriteKubeconfigMode != "" || s.Disable != nil):
		return errors.New("a flag of the server's is set for an agent: flag provided but not defined")
	case !agent && !slices.Contains(s.TLSSAN, s.NodeIP):
		return errors.New("tls-san lacks the node's address")
	}
	return nil
}

// checkNIC refuses an address that is not the NIC's: k3s would announce a node that nobody reaches.
func (s settings) checkNIC() error {
	nic, err := net.InterfaceByName(s.FlannelIface)
	if err != nil {
		return fmt.Errorf("flannel-iface %q: %w", s.FlannelIface, err)
	}
	addrs, err := nic.Addrs()
	if err != nil {
		return err
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && n.IP.String() == s.NodeIP {
			return nil
		}
	}
	return fmt.Errorf("node-ip %s is not on %s, which has %v", s.NodeIP, s.FlannelIface, addrs)
}
