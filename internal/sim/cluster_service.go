package sim

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
)

// servicePort is one port of a service.
type servicePort struct {
	Name     string
	Protocol string
	Port     int
	Target   any // number or name of a container's port
	NodePort int
}

func servicePorts(o *object) []servicePort {
	if o.Kind != "Service" {
		return nil
	}
	var all []servicePort
	list, _ := dig(o.Body, "spec", "ports").([]any)
	for _, p := range list {
		m, ok := p.(map[string]any)
		if !ok {
			continue
		}
		sp := servicePort{Protocol: "TCP", Target: m["targetPort"]}
		sp.Name, _ = m["name"].(string)
		if s, ok := m["protocol"].(string); ok {
			sp.Protocol = s
		}
		sp.Port, sp.NodePort = number(m["port"]), number(m["nodePort"])
		if sp.Target == nil {
			sp.Target = m["port"]
		}
		all = append(all, sp)
	}
	return all
}

func number(v any) int {
	n, _ := v.(float64)
	return int(n)
}

// endpoint is where a service leads to.
type endpoint struct {
	Addr  netip.Addr
	Port  int
	Pod   *podRecord // nil: not a pod, the API server
	Ready bool
}

// endpoints are a port's endpoints, ready or not, by address.
func (c *cluster) endpoints(o *object, p servicePort) []endpoint {
	if o.Namespace == "default" && o.Name == "kubernetes" {
		for _, n := range c.state.Nodes {
			if n.Settings.Role == "server" {
				return []endpoint{{Addr: n.InternalIP, Port: 6443, Ready: true}}
			}
		}
		return nil
	}
	selector := stringMap(dig(o.Body, "spec", "selector"))
	if len(selector) == 0 {
		return nil
	}
	var all []endpoint
	for _, pod := range c.state.Pods {
		if pod.Namespace != o.Namespace || !pod.IP.IsValid() || pod.Completed || !containsAll(pod.Labels, selector) {
			continue
		}
		if at, ok := c.podStart(pod); !ok || c.now.Before(at) {
			continue // it has no address yet
		}
		target := number(p.Target)
		if name, ok := p.Target.(string); ok {
			target = pod.namedPort(name)
		}
		if target != 0 {
			all = append(all, endpoint{pod.IP, target, pod, c.podReady(pod)})
		}
	}
	slices.SortFunc(all, func(a, b endpoint) int { return cmp.Or(a.Addr.Compare(b.Addr), cmp.Compare(a.Port, b.Port)) })
	return all
}

func (p *podRecord) namedPort(name string) int {
	for _, c := range p.containers() {
		list, _ := c["ports"].([]any)
		for _, port := range list {
			if dig(port, "name") == name {
				return number(dig(port, "containerPort"))
			}
		}
	}
	return 0
}

// ingress are the addresses that ServiceLB publishes for a LoadBalancer service: those of the nodes that run a ready pod of its
// DaemonSet, and of those only the external ones as soon as one of the nodes has any.
// Source: podIPs in https://github.com/k3s-io/k3s/blob/v1.34.3%2Bk3s1/pkg/cloudprovider/servicelb.go.
func (c *cluster) ingress(o *object) []netip.Addr {
	if dig(o.Body, "spec", "type") != "LoadBalancer" {
		return nil
	}
	var internal, external []netip.Addr
	for _, p := range c.state.Pods {
		if p.Labels["svccontroller.k3s.cattle.io/svcname"] == o.Name && p.Labels["svccontroller.k3s.cattle.io/svcnamespace"] == o.Namespace && c.podReady(p) {
			n := c.state.node(p.Node)
			internal = append(internal, n.InternalIP)
			if n.Settings.ExternalIP.IsValid() {
				external = append(external, n.Settings.ExternalIP)
			}
		}
	}
	all := internal
	if external != nil {
		all = external
	}
	slices.SortFunc(all, netip.Addr.Compare)
	return slices.Compact(all)
}

func (c *cluster) services() []*object {
	var all []*object
	for _, o := range c.state.Objects {
		if o.Kind == "Service" {
			all = append(all, o)
		}
	}
	return all
}

func clusterIP(o *object) (netip.Addr, bool) {
	s, _ := dig(o.Body, "spec", "clusterIP").(string)
	a, err := netip.ParseAddr(s)
	return a, err == nil
}

// serviceCIDRs are the networks that a ServiceCIDR object gives to services.
func serviceCIDRs(o *object) []netip.Prefix {
	var all []netip.Prefix
	list, _ := dig(o.Body, "spec", "cidrs").([]any)
	for _, v := range list {
		text, _ := v.(string)
		if p, err := netip.ParsePrefix(text); err == nil {
			all = append(all, p)
		}
	}
	return all
}

// refusedIP is why a service may not have a ClusterIP that it asks for; empty if it may.
func (st *clusterState) refusedIP(text string, have *object) string {
	if text == "None" || have != nil && dig(have.Body, "spec", "clusterIP") == text {
		return ""
	}
	refused := func(why string) string {
		return fmt.Sprintf("spec.clusterIPs: Invalid value: [%q]: failed to allocate IP %s: %s", text, text, why)
	}
	a, err := netip.ParseAddr(text)
	if err != nil {
		return fmt.Sprintf("spec.clusterIPs[0]: Invalid value: %q: must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)", text)
	}
	inside := false
	for _, o := range st.Objects {
		switch {
		case o.Kind == "ServiceCIDR":
			inside = inside || slices.ContainsFunc(serviceCIDRs(o), func(p netip.Prefix) bool { return p.Contains(a) })
		case o.Kind == "Service" && o != have && dig(o.Body, "spec", "clusterIP") == text:
			return refused("provided IP is already allocated")
		}
	}
	if !inside {
		return refused("the provided network does not match the current range")
	}
	return ""
}
