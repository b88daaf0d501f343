package sim

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"path"
	"strings"
)

// cniFolder is where containerd looks for the plugins that make the pods' networks: the first file counts. k3s writes flannel's.
const cniFolder = "/var/lib/rancher/k3s/agent/etc/cni/net.d"

const flannelCNI = `{
  "name":"cbr0",
  "cniVersion":"1.0.0",
  "plugins":[
    {
      "type":"flannel",
      "delegate":{
        "hairpinMode":true,
        "forceAddress":true,
        "isDefaultGateway":true
      }
    },
    {
      "type":"portmap",
      "capabilities":{
        "portMappings":true
      }
    }
  ]
}
`

// podNetwork is where new pods get their addresses.
type podNetwork struct {
	Bridge string
	Subnet netip.Prefix // of other bridges than flannel's
}

// podNetwork reads the settings of the CNI plugins on a node with that pod CIDR. Until k3s has written any, flannel's are meant.
func (g *guest) podNetwork(subnet netip.Prefix) (podNetwork, error) {
	flannel := podNetwork{Bridge: "cni0"}
	if g == nil {
		return flannel, nil
	}
	files, err := g.files.list("root", cniFolder)
	if err != nil {
		return flannel, nil
	}
	for _, f := range files {
		if ext := path.Ext(f.Name()); ext != ".conf" && ext != ".conflist" && ext != ".json" {
			continue
		}
		data, err := g.files.read("root", path.Join(cniFolder, f.Name()))
		if err != nil {
			return podNetwork{}, err
		}
		type plugin struct {
			Type   string
			Bridge string
			IPAM   struct{ Type, Subnet string }
		}
		var list struct {
			plugin
			Plugins []plugin
		}
		if err := json.Unmarshal(data, &list); err != nil {
			continue // containerd goes on to the next one
		}
		first := list.plugin
		if len(list.Plugins) > 0 {
			first = list.Plugins[0]
		}
		if first.Type == "flannel" {
			return flannel, g.flannelProblem(subnet)
		}
		subnet, err := netip.ParsePrefix(first.IPAM.Subnet)
		if first.Type != "bridge" || first.IPAM.Type != "host-local" || err != nil || !strings.HasPrefix(first.Bridge, "cni") || first.Bridge == "cni0" {
			return podNetwork{}, fmt.Errorf("the SIMULATED CNI knows flannel, and bridge with host-local on another device than cni0: %s", f.Name())
		}
		return podNetwork{first.Bridge, subnet.Masked()}, nil
	}
	return flannel, nil
}

// subnetFile is flannel's note of the node's pod CIDR, for its plugin.
const subnetFile = "/run/flannel/subnet.env"

// flannelProblem is why flannel's plugin gives a new pod no network: its note names another subnet than cni0 has.
func (g *guest) flannelProblem(subnet netip.Prefix) error {
	data, err := g.files.read("root", subnetFile)
	if err != nil {
		return nil // k3s is about to write it
	}
	for line := range strings.Lines(string(data)) {
		noted, ok := strings.CutPrefix(strings.TrimSpace(line), "FLANNEL_SUBNET=")
		if own := netip.PrefixFrom(subnet.Addr().Next(), subnet.Bits()).String(); ok && noted != own {
			return fmt.Errorf(`plugin type="flannel" failed (add): failed to set bridge addr: "cni0" already has an IP address different from %s`, noted)
		}
	}
	return nil
}
