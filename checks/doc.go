// Package checks knows what is true of a healthy lab: a catalogue of statements, each judged by a pure function over facts.
//
// It does no I/O: it imports no os, exec, net (but net/netip), net/http, log, and asks no clock. Package checks/collect gathers
// evidence and parses it into Facts; package checks/report renders a Report. A test walks the imports.
//
// A fact is known or missing, and a missing one says why. A check that lacks a fact is Unknown, which is the zero Status and
// never passes. What a check expects comes from the lab's configuration, never from a constant that the configuration could change;
// constants are only VirtualBox's NAT addresses, the demo's names and Kubernetes's own defaults. IPv6, veths, foreign services and pods,
// and the host routes that DHCP brings change no verdict.
//
// The areas and their checks; each file of the package holds the checks of one area:
//
//	node addresses  net.nics net.nat-address net.host-only-address net.default-route net.host-only-route
//	INTERNAL-IP     cluster.ready cluster.clocks cluster.logs cluster.exec net.internal-ip net.internal-ip-unique net.external-ip
//	                net.flannel-public-ip
//	pod network     pod.machine-id pod.cidr pod.flannel-subnet pod.cni0 pod.vxlan pod.mtu pod.vtep-mac pod.routes pod.ips pod.reach
//	                pod.host-network
//	ClusterIP       svc.cluster-ip svc.virtual svc.endpoints svc.old-endpoints svc.from-nodes svc.from-pods svc.by-name svc.isolated
//	kube-proxy      proxy.mode proxy.hooks proxy.chains proxy.shares (iptables mode) proxy.virtual-servers proxy.scheduler
//	                proxy.ipvs-node-addresses (IPVS mode) proxy.conntrack proxy.balance
//	NodePort        nodeport.mapping nodeport.policy nodeport.answers nodeport.remote nodeport.spread
//	LoadBalancer    lb.external-ip lb.answers (not where IPVS mode keeps ServiceLB out) lb.node-ports lb.ingress
//	DNS             dns.kube-dns dns.resolves
//	demo            demo.web demo.hello demo.probe demo.unchanged
//
// A test compares this list with the catalogue.
//
//	facts := collect.Parse(evidence)
//	selected, err := checks.Select(checks.Catalogue(), "net.internal-ip", "pod-network")
//	if err != nil {
//		return err
//	}
//	r := checks.Evaluate(facts, selected)
//	text, err := report.Text(r, false) // package checks/report
//	return print(text, r.ExitCode())
package checks
