package checks

// Needs is evidence that takes a lab time and that only some checks rest on. What every node says of its devices and routes, what
// VirtualBox says of the machines, and the cluster's objects are no needs: they are always there.
type Needs uint

// The needs.
const (
	NeedRules        Needs = 1 << iota // kube-proxy's rules or virtual servers, on every node
	NeedApplied                        // what applying labctl's manifests again would do
	NeedFromNodes                      // web-svc's ClusterIP, asked by every node
	NeedControl                        // hello-svc's ClusterIP, asked by every node
	NeedConnection                     // a connection that is kept alive, and conntrack's word on it
	NeedPods                           // logs of, and commands in, a pod of every node
	NeedNodePorts                      // the NodePort on every node, asked by the host
	NeedIsolation                      // hello-svc's ClusterIP, asked by the host
	NeedLoadBalancer                   // Traefik on every node, asked by the host
	NeedIngress                        // Traefik on every node, asked by the host for the Ingress's host name
	NeedHostNetwork                    // the port of the pod with hostNetwork, on every node, asked by the host

	needAll = NeedHostNetwork<<1 - 1
)

// Has tells whether all of want is needed.
func (n Needs) Has(want Needs) bool { return n&want == want }

// NeedsOf is what the checks need together. Without checks it is everything.
func NeedsOf(selected []Check) Needs {
	if len(selected) == 0 {
		return needAll
	}
	known := needs()
	var all Needs
	for _, c := range selected {
		if n, ok := known[c.ID]; ok {
			all |= n
		} else {
			all |= needAll
		}
	}
	return all
}

// needs lists the checks that can do with less than everything. One that is missing here is asked for everything, and one that names too
// little here is unknown: it never passes for want of evidence.
func needs() map[string]Needs {
	isolation := NeedIsolation | NeedControl | NeedNodePorts // both controls
	return map[string]Needs{
		"net.nics":                  0,
		"net.nat-address":           0,
		"net.host-only-address":     0,
		"net.default-route":         0,
		"net.host-only-route":       0,
		"cluster.ready":             0,
		"cluster.clocks":            0,
		"cluster.logs":              NeedPods,
		"cluster.exec":              NeedPods,
		"net.internal-ip":           0,
		"net.internal-ip-unique":    0,
		"net.external-ip":           0,
		"net.flannel-public-ip":     0,
		"pod.machine-id":            0,
		"pod.cidr":                  0,
		"pod.flannel-subnet":        0,
		"pod.cni0":                  0,
		"pod.vxlan":                 0,
		"pod.mtu":                   0,
		"pod.vtep-mac":              0,
		"pod.routes":                0,
		"pod.ips":                   0,
		"pod.reach":                 NeedPods,
		"pod.host-network":          NeedHostNetwork,
		"svc.cluster-ip":            0,
		"svc.virtual":               0,
		"svc.endpoints":             0,
		"svc.old-endpoints":         0,
		"svc.from-nodes":            NeedFromNodes,
		"svc.from-pods":             NeedPods,
		"svc.by-name":               NeedPods,
		"svc.isolated":              isolation,
		"proxy.conntrack":           NeedConnection,
		"proxy.balance":             NeedNodePorts,
		"nodeport.mapping":          0,
		"nodeport.policy":           0,
		"nodeport.answers":          NeedNodePorts,
		"nodeport.remote":           NeedNodePorts,
		"nodeport.spread":           0,
		"lb.external-ip":            0,
		"lb.answers":                NeedLoadBalancer,
		"lb.node-ports":             NeedLoadBalancer,
		"lb.ingress":                NeedIngress,
		"dns.kube-dns":              0,
		"dns.resolves":              NeedPods,
		"demo.web":                  0,
		"demo.hello":                0,
		"demo.probe":                0,
		"demo.unchanged":            NeedApplied,
		"proxy.mode":                NeedRules,
		"proxy.hooks":               NeedRules,
		"proxy.chains":              NeedRules,
		"proxy.shares":              NeedRules,
		"proxy.virtual-servers":     NeedRules,
		"proxy.scheduler":           NeedRules,
		"proxy.ipvs-node-addresses": 0,
	}
}
