package sim

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
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
// DaemonSet, and with externalTrafficPolicy Local a ready endpoint; of those only the external ones as soon as one of the nodes has any.
// Source: podIPs in https://github.com/k3s-io/k3s/blob/v1.34.3%2Bk3s1/pkg/cloudprovider/servicelb.go.
func (c *cluster) ingress(o *object) []netip.Addr {
	if dig(o.Body, "spec", "type") != "LoadBalancer" {
		return nil
	}
	var internal, external []netip.Addr
	local := dig(o.Body, "spec", "externalTrafficPolicy") == "Local"
	for _, p := range c.state.Pods {
		if local && !c.serves(o, p.Node) {
			continue
		}
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

// serves reports whether a service has a ready endpoint on a node.
func (c *cluster) serves(o *object, node string) bool {
	return slices.ContainsFunc(servicePorts(o), func(p servicePort) bool {
		return slices.ContainsFunc(c.endpoints(o, p), func(e endpoint) bool { return e.Ready && e.Pod != nil && e.Pod.Node == node })
	})
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

// refusedIP is why a new service may not have the ClusterIP that it asks for; empty if it may.
func (st *clusterState) refusedIP(text string) string {
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
		case o.Kind == "Service" && dig(o.Body, "spec", "clusterIP") == text:
			return refused("provided IP is already allocated")
		}
	}
	if !inside {
		return refused("the provided network does not match the current range")
	}
	return ""
}

// admitService validates a service and fills in what the API server chooses. What a type has no use for goes when the type changes, and
// is refused otherwise. Source: https://github.com/kubernetes/kubernetes/blob/v1.34.3/pkg/registry/core/service/strategy.go.
func (st *clusterState) admitService(d document, body map[string]any, have *object) error {
	spec := maps.Clone(mapOf(body["spec"]))
	body["spec"] = spec
	var old map[string]any
	if have != nil {
		old = mapOf(have.Body["spec"])
	}
	name := d.namespace + "/" + d.name
	switch ip, _ := spec["clusterIP"].(string); {
	case ip == "None":
		return errors.New("spec.clusterIP: the SIMULATED API server does not know headless services")
	case have != nil && ip == "":
		spec["clusterIP"] = old["clusterIP"]
	case have != nil && ip != old["clusterIP"]:
		return fmt.Errorf("spec.clusterIPs[0]: Invalid value: [%q]: may not change once set", ip)
	case have != nil:
	case ip == "":
		spec["clusterIP"] = st.freeServiceIP(name)
	default:
		if why := st.refusedIP(ip); why != "" {
			return errors.New(why)
		}
	}
	exposed := spec["type"] == "NodePort" || spec["type"] == "LoadBalancer"
	if policy := spec["externalTrafficPolicy"]; policy != nil && !exposed {
		if policy != old["externalTrafficPolicy"] {
			return fmt.Errorf("spec.externalTrafficPolicy: Invalid value: %q: may only be set for externally-accessible services", policy)
		}
		delete(spec, "externalTrafficPolicy")
	}
	list, _ := spec["ports"].([]any)
	if len(list) == 0 {
		return errors.New("spec.ports: Required value")
	}
	ports := make([]any, len(list))
	spec["ports"] = ports
	seen := map[string]bool{}
	for n, raw := range list {
		problem := func(format string, args ...any) error {
			return fmt.Errorf("spec.ports[%d]%s", n, fmt.Sprintf(format, args...))
		}
		given, ok := raw.(map[string]any)
		if !ok {
			return problem(": Invalid value")
		}
		m := maps.Clone(given)
		ports[n] = m
		if m["protocol"] == nil {
			m["protocol"] = "TCP"
		}
		if m["targetPort"] == nil {
			m["targetPort"] = m["port"]
		}
		port := number(m["port"])
		if port < 1 || port > 65535 {
			return problem(".port: Invalid value: %v: must be between 1 and 65535, inclusive", m["port"])
		}
		if target, isNumber := m["targetPort"].(float64); isNumber && (target < 1 || target > 65535) {
			return problem(".targetPort: Invalid value: %v: must be between 1 and 65535, inclusive", target)
		}
		if m["name"] == nil && len(list) > 1 {
			return problem(".name: Required value")
		}
		own := []string{fmt.Sprint("name ", m["name"]), fmt.Sprint(m["protocol"], " ", port)}
		if wanted := number(m["nodePort"]); wanted != 0 {
			own = append(own, fmt.Sprint(m["protocol"], " node port ", wanted))
		}
		for _, key := range own {
			if seen[key] {
				return problem(": Duplicate value: %s", key)
			}
			seen[key] = true
		}
		if err := st.admitNodePort(m, exposed, name+fmt.Sprint(n), have); err != nil {
			return problem(".nodePort: %v", err)
		}
	}
	return nil
}

// admitNodePort validates the node port of a service's port, and chooses one where there must be one.
func (st *clusterState) admitNodePort(port map[string]any, exposed bool, name string, have *object) error {
	if _, isNumber := port["nodePort"].(float64); port["nodePort"] != nil && !isNumber {
		return fmt.Errorf("Invalid value: %v: must be a number", port["nodePort"])
	}
	wanted := number(port["nodePort"])
	user := st.nodePortUser(wanted)
	switch {
	case !exposed && wanted != 0 && (have == nil || user != have):
		return errors.New("Forbidden: may not be used when `type` is 'ClusterIP'")
	case !exposed:
		delete(port, "nodePort")
	case wanted != 0 && user != nil && user != have:
		return fmt.Errorf("Invalid value: %d: provided port is already allocated", wanted)
	case wanted != 0 && (wanted < 30000 || wanted > 32767):
		return fmt.Errorf("Invalid value: %d: provided port is not in the valid range. The range of valid ports is 30000-32767", wanted)
	case wanted == 0:
		port["nodePort"] = float64(st.freeNodePort(name))
	}
	return nil
}
