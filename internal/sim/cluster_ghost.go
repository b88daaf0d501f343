package sim

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"time"
)

// A node that somebody wrote into the cluster, and that nothing runs as: it has no disk, no addresses, and is never Ready.

func (n *nodeRecord) ghost() bool { return n.Disk == "" }

// applyNode makes such a node. Those that registered themselves are not changed.
func (c *cluster) applyNode(st *clusterState, d document) (string, error) {
	if err := fieldProblem("Node", d.body); err != nil {
		return "", err
	}
	text, _ := dig(d.body, "spec", "podCIDR").(string)
	cidr, err := netip.ParsePrefix(text)
	if err != nil || cidr.Bits() != 24 || cidr != cidr.Masked() || !st.Settings.ClusterCIDR.Contains(cidr.Addr()) {
		return "", fmt.Errorf("error: the SIMULATED API server takes a Node with a podCIDR of 24 bits in %s only", st.Settings.ClusterCIDR)
	}
	first, own := st.Settings.ClusterCIDR.Masked().Addr().As4(), cidr.Addr().As4()
	subnet := int(binary.BigEndian.Uint32(own[:])-binary.BigEndian.Uint32(first[:])) >> 8
	if n := st.node(d.name); n != nil {
		if !n.ghost() || n.Subnet != subnet {
			return "", fmt.Errorf("The Node %q is invalid: spec.podCIDRs: Forbidden: node updates may not change podCIDR except from \"\" to valid", d.name)
		}
		return "unchanged", nil
	}
	st.Nodes = append(st.Nodes, &nodeRecord{Name: d.name, UID: st.uid("node", d.name), Created: c.now, Version: st.next(), Subnet: subnet, Settings: &k3sSettings{},
		Labels: stringMap(dig(d.body, "metadata", "labels")), Annotations: stringMap(dig(d.body, "metadata", "annotations")),
		Taints: []taint{{Key: "node.kubernetes.io/not-ready", Effect: "NoSchedule"}}})
	return "created", nil
}

// ghostView is such a node as the API shows it.
func (c *cluster) ghostView(n *nodeRecord, meta, spec map[string]any) map[string]any {
	var conditions []any
	for _, kind := range []string{"Ready", "MemoryPressure", "DiskPressure", "PIDPressure"} {
		conditions = append(conditions, map[string]any{"type": kind, "status": "Unknown", "reason": "NodeStatusNeverUpdated", "message": "Kubelet never posted node status.",
			"lastHeartbeatTime": stamped(n.Created), "lastTransitionTime": stamped(n.Created.Add(time.Second))})
	}
	delete(spec, "providerID")
	return map[string]any{"metadata": meta, "spec": spec, "status": map[string]any{"conditions": conditions,
		"daemonEndpoints": map[string]any{"kubeletEndpoint": map[string]any{"Port": 0}}, "nodeInfo": map[string]any{"kubeletVersion": "", "machineID": ""}}}
}
