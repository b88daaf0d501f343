package sim

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// kubelet finds the pod that exec and logs name, by way of the kubelet that the API server reaches for it.
func (p *process) kubelet(c *cluster, r *request) (*podRecord, *guest, int) {
	switch {
	case len(r.words) == 0:
		return nil, nil, p.errorf("error: pod, type/name or --filename must be specified")
	case len(r.words) > 1:
		return nil, nil, p.errorf("error: the SIMULATED kubectl asks one pod only, and takes a container by -c: %q", r.words[1:])
	}
	name := strings.TrimPrefix(strings.TrimPrefix(r.words[0], "pod/"), "pods/")
	var pod *podRecord
	kindName, owned, isOwner := strings.Cut(name, "/")
	for _, q := range c.state.Pods {
		if q.Namespace != r.namespace {
			continue
		}
		if q.Name == name || isOwner && q.Owner.Name == owned && strings.HasPrefix(strings.ToLower(q.Owner.Kind), strings.TrimSuffix(strings.ToLower(kindName), "s")) && pod == nil {
			pod = q
		}
	}
	if pod == nil {
		return nil, nil, p.errorf("Error from server (NotFound): pods %q not found", name)
	}
	if name := r.flags["c"] + r.flags["container"]; name != "" && !slices.ContainsFunc(pod.containers(), func(c map[string]any) bool { return c["name"] == name }) {
		return nil, nil, p.errorf("Error from server (BadRequest): container %s is not valid for pod %s", name, pod.Name)
	}
	if pod.Node == "" || !c.podStarted(pod) {
		return nil, nil, p.errorf("Error from server (BadRequest): pod %s does not have a host assigned", pod.Name)
	}
	n := c.state.node(pod.Node)
	var host *guest
	var trouble string
	if c.state.Settings.tunnels() {
		host, trouble = c.kubeletByTunnel(n)
	} else {
		host, trouble = c.kubeletAt(n)
	}
	switch {
	case trouble != "":
		return nil, nil, p.errorf("Error from server: error dialing backend: %s", trouble)
	case host.disk != n.Disk:
		// The kubelet at that address is another node's.
		return nil, nil, p.errorf("error: unable to upgrade connection: pod does not exist")
	case !c.podRuns(pod):
		return nil, nil, p.errorf("error: unable to upgrade connection: container not found (%q)", fmt.Sprint(pod.containers()[0]["name"]))
	}
	return pod, host, 0
}

// tunnels reports whether the API server reaches kubelets through the connections that agents hold open to their server.
// Source: https://docs.k3s.io/networking/basic-network-options#control-plane-egress-selector-configuration, since v1.24.
func (s *k3sSettings) tunnels() bool {
	_, rest, _ := strings.Cut(s.Version, ".")
	minor, _, _ := strings.Cut(rest, ".")
	n, err := strconv.Atoi(minor)
	return (err != nil || n >= 24) && s.EgressMode != "disabled"
}

// kubeletByTunnel is the kubelet of whichever node the server knows by a node's INTERNAL-IP: of several with the same, the one that changed
// last. It is dialled on the far end's loopback, so that the address need lead nowhere.
// Source: dialBackend in https://github.com/k3s-io/k3s/blob/v1.34.3%2Bk3s1/pkg/daemons/control/tunnel.go.
func (c *cluster) kubeletByTunnel(n *nodeRecord) (host *guest, trouble string) {
	known := n
	for _, o := range c.state.Nodes {
		if o.InternalIP == n.InternalIP && o.Version > known.Version {
			known = o
		}
	}
	if host = c.up[known.Disk]; host == nil || !c.connected(known) {
		return nil, badGateway(n)
	}
	return host, ""
}

func badGateway(n *nodeRecord) string {
	return fmt.Sprintf("proxy error from 127.0.0.1:6443 while dialing %s:10250, code 502: 502 Bad Gateway", n.InternalIP)
}

// kubeletAt is the kubelet that answers the server at a node's INTERNAL-IP.
func (c *cluster) kubeletAt(n *nodeRecord) (host *guest, trouble string) {
	if host = c.up[c.disk].reach(n.InternalIP); host == nil {
		return nil, badGateway(n)
	}
	if _, _, ok := host.k3sUnit(); !ok {
		return nil, fmt.Sprintf("dial tcp %s:10250: connect: connection refused", n.InternalIP)
	}
	return host, ""
}
