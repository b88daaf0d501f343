package checks

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

// fixture is a lab with one thing about it changed, and what a check must make of it.
type fixture struct {
	name   string
	change func(*Facts)
	want   Status
	says   string // in Actual, or in Expected
}

const (
	webIP   = "10.43.31.179:80"
	helloIP = "10.43.45.254:80"
	w1Port  = "192.168.56.11:31885"
	w2Gone  = "no route to host"
)

// asIs is the fixture that every check has: the healthy lab, or what makes the check apply there.
func asIs() fixture { return fixture{name: "a healthy lab", change: func(*Facts) {}, want: Pass} }

func w2Unreached() fixture {
	return fixture{name: "w2 cannot be reached", change: func(f *Facts) { f.unreached("w2") }, want: Unknown, says: w2Gone}
}

func noCluster() fixture {
	return fixture{
		name: "the API server does not answer", want: Unknown, says: "connection refused",
		change: func(f *Facts) {
			why := "cp1: kubectl get: exit status 1: connection refused"
			f.Cluster = Cluster{
				Nodes: Missing[[]Node](why, Source{}), Services: Missing[[]Service](why, Source{}), Pods: Missing[[]Pod](why, Source{}),
				Slices: Missing[[]EndpointSlice](why, Source{}), Deployments: Missing[[]Workload](why, Source{}), DaemonSets: Missing[[]Workload](why, Source{}),
			}
			f.Reapplied = Missing[[]Applied](why, Source{})
		},
	}
}

func w1NotInCluster() fixture {
	return fixture{
		name: "w1 never joined", want: Fail, says: "w1 is not in the cluster",
		change: func(f *Facts) { f.Cluster.Nodes.Value = append(f.Cluster.Nodes.Value[:1:1], f.Cluster.Nodes.Value[2]) },
	}
}

func fixtures() map[string][]fixture {
	return map[string][]fixture{
		"net.nics": {
			asIs(),
			{"macOS's kind of host-only network", func(f *Facts) { f.Machines["w1"].Value[1].Kind = "hostonlynetwork" }, Pass, ""},
			{"wrong kind", func(f *Facts) { f.Machines["w1"].Value[1].Kind = "bridged" }, Fail, `w1 NIC 2 is "bridged"`},
			{"NAT where host-only belongs", func(f *Facts) { f.Machines["w1"].Value[0].Kind = "hostonly" }, Fail, `w1 NIC 1 is "hostonly"`},
			{"no second NIC", func(f *Facts) {
				f.Machines["w1"] = Known(f.Machines["w1"].Value[:1], f.Machines["w1"].From)
			}, Fail, "w1 has no NIC 2"},
			{"unplugged", func(f *Facts) { f.Machines["w2"].Value[1].Cable = false }, Fail, "w2 NIC 2 is unplugged"},
			{"another MAC in the guest", func(f *Facts) { f.link("cp1", "enp0s8", func(l *Link) { l.MAC = "08:00:27:ff:ff:ff" }) }, Fail, "no device of its guest has MAC 08:00:27:00:01:10"},
			{"one MAC twice", func(f *Facts) {
				f.Machines["w1"].Value[1].MAC = f.Machines["cp1"].Value[1].MAC
				f.link("w1", "enp0s8", func(l *Link) { l.MAC = f.Machines["cp1"].Value[1].MAC })
			}, Fail, "w1 NIC 2 has MAC 08:00:27:00:01:10, as cp1 has"},
			{"VirtualBox was not asked", func(f *Facts) { f.Machines = nil }, Unknown, "not collected"},
			w2Unreached(),
		},
		"net.nat-address": {
			asIs(),
			{"no address", func(f *Facts) { f.link("w1", "enp0s3", func(l *Link) { l.Addresses = nil }) }, Fail, "w1 enp0s3"},
			{"another address", func(f *Facts) {
				f.link("w1", "enp0s3", func(l *Link) { l.Addresses = []netip.Prefix{prefix("10.0.3.15/24")} })
			}, Fail, "w1 enp0s3 10.0.3.15/24"},
			{"another length", func(f *Facts) {
				f.link("w1", "enp0s3", func(l *Link) { l.Addresses = []netip.Prefix{prefix("10.0.2.15/16")} })
			}, Fail, "w1 enp0s3 10.0.2.15/16"},
			{"on the host-only NIC too", func(f *Facts) {
				f.link("w1", "enp0s8", func(l *Link) { l.Addresses = append(l.Addresses, prefix("10.0.2.15/24")) })
			}, Fail, "w1 has it on 2 devices"},
			{"found by address where VirtualBox was not asked", func(f *Facts) { f.Machines = nil }, Pass, ""},
			{"absent where VirtualBox was not asked", func(f *Facts) {
				f.Machines = nil
				f.link("w1", "enp0s3", func(l *Link) { l.Addresses = nil })
			}, Fail, "w1 has it on no NIC"},
			w2Unreached(),
		},
		"net.host-only-address": {
			asIs(),
			{"another address", func(f *Facts) {
				f.link("w2", "enp0s8", func(l *Link) { l.Addresses = []netip.Prefix{prefix("192.168.56.101/24")} })
			}, Fail, "w2 enp0s8 192.168.56.101/24"},
			{"the network is down", func(f *Facts) {
				f.Machines = nil
				f.link("w2", "enp0s8", func(l *Link) { l.Addresses = nil })
			}, Fail, "w2 has it on no NIC"},
			{"on kube-ipvs0 only", func(f *Facts) {
				f.inIPVS("192.168.56.12")
				f.Machines = nil
				f.link("w2", "enp0s8", func(l *Link) { l.Addresses = nil })
			}, Fail, "w2 has it on no NIC"},
			{"another network in the lab's file", func(f *Facts) { f.Lab.Network.CIDR = prefix("192.168.0.0/16") }, Fail, "192.168.56.10/24"},
			w2Unreached(),
		},
		"net.default-route": {
			asIs(),
			{"by the host-only NIC too", func(f *Facts) {
				f.route("w1", Route{To: prefix("0.0.0.0/0"), Via: addr("192.168.56.1"), Dev: "enp0s8"})
			}, Fail, "default via 192.168.56.1 dev enp0s8"},
			{"none", func(f *Facts) { f.unroute("w1", "0.0.0.0/0") }, Fail, "w1 has no default route"},
			{"by another gateway", func(f *Facts) { f.reroute("w1", "0.0.0.0/0", func(r *Route) { r.Via = addr("10.0.2.3") }) }, Fail, "default via 10.0.2.3"},
			{"no NAT NIC", func(f *Facts) { f.Machines = nil; f.without("w1", "enp0s3") }, Fail, "w1 default via 10.0.2.2"},
			{"IPv6's default route changes nothing", func(f *Facts) {
				f.route("w1", Route{To: prefix("::/0"), Via: addr("fe80::2"), Dev: "enp0s8"})
			}, Pass, ""},
			{"no addresses", func(f *Facts) {
				f.node("w1", func(n *NodeFacts) { n.Links = Missing[[]Link]("w1: ip -j addr: garbage", Source{}) })
			}, Unknown, "garbage"},
			w2Unreached(),
		},
		"net.host-only-route": {
			asIs(),
			{"by a gateway", func(f *Facts) {
				f.reroute("w1", "192.168.56.0/24", func(r *Route) { r.Via = addr("10.0.2.2"); r.Dev = "enp0s3" })
			}, Fail, "192.168.56.0/24 via 10.0.2.2 dev enp0s3"},
			{"by a gateway on the host-only NIC", func(f *Facts) {
				f.reroute("w1", "192.168.56.0/24", func(r *Route) { r.Via = addr("192.168.56.1") })
			}, Fail, "192.168.56.0/24 via 192.168.56.1 dev enp0s8"},
			{"none", func(f *Facts) { f.unroute("w1", "192.168.56.0/24") }, Fail, "w1 has no such route"},
			{"no addresses", func(f *Facts) {
				f.node("w1", func(n *NodeFacts) { n.Links = Missing[[]Link]("w1: ip -j addr: garbage", Source{}) })
			}, Unknown, "garbage"},
			{"one neighbour by the NAT NIC", func(f *Facts) {
				f.route("w1", Route{To: prefix("192.168.56.12/32"), Via: addr("10.0.2.2"), Dev: "enp0s3"})
			}, Fail, "192.168.56.12/32 via 10.0.2.2"},
			{"no NIC with the address", func(f *Facts) { f.Machines = nil; f.without("w1", "enp0s8") }, Fail, "w1 has no host-only NIC"},
			w2Unreached(),
		},
		"cluster.ready": {
			asIs(),
			{"w2 NotReady", func(f *Facts) {
				f.clusterNode("w2", func(n *Node) { n.Ready, n.Reason = false, "Kubelet stopped posting node status." })
			}, Fail, "w2 NotReady Kubelet stopped"},
			{"a foreign node changes nothing", func(f *Facts) { f.Cluster.Nodes.Value = append(f.Cluster.Nodes.Value, Node{Name: "other"}) }, Pass, ""},
			w1NotInCluster(),
			noCluster(),
		},
		"net.internal-ip": {
			asIs(),
			{"the NAT address", func(f *Facts) { f.clusterNode("w1", func(n *Node) { n.Internal = []netip.Addr{addr("10.0.2.15")} }) }, Fail, "w1 10.0.2.15 (the NAT address"},
			{"both addresses", func(f *Facts) {
				f.clusterNode("w1", func(n *Node) { n.Internal = append(n.Internal, addr("10.0.2.15")) })
			}, Fail, "w1 192.168.56.11,10.0.2.15"},
			{"none", func(f *Facts) { f.clusterNode("w1", func(n *Node) { n.Internal = nil }) }, Fail, "w1 <none>"},
			{"IPv6 changes nothing", func(f *Facts) {
				f.clusterNode("w1", func(n *Node) { n.Internal = append(n.Internal, addr("fd00::1")) })
			}, Pass, ""},
			w1NotInCluster(),
			noCluster(),
		},
		"net.internal-ip-unique": {
			asIs(),
			{"w1 and w2 the same", func(f *Facts) {
				for _, w := range []string{"w1", "w2"} {
					f.clusterNode(w, func(n *Node) { n.Internal = []netip.Addr{addr("10.0.2.15")} })
				}
			}, Fail, "10.0.2.15 is of w1, w2"},
			{"a foreign node has w1's", func(f *Facts) {
				f.Cluster.Nodes.Value = append(f.Cluster.Nodes.Value, Node{Name: "w1-old", Internal: []netip.Addr{addr("192.168.56.11")}})
			}, Fail, "192.168.56.11 is of w1, w1-old"},
			{"none", func(f *Facts) { f.clusterNode("w1", func(n *Node) { n.Internal = nil }) }, Fail, "w1 has none"},
			noCluster(),
		},
		"net.external-ip": {
			asIs(),
			{"one", func(f *Facts) {
				f.clusterNode("w1", func(n *Node) { n.External = []netip.Addr{addr("192.168.56.11")} })
			}, Fail, "w1 192.168.56.11"},
			noCluster(),
		},
		"net.flannel-public-ip": {
			asIs(),
			{"the NAT address, as INTERNAL-IP too", func(f *Facts) {
				f.clusterNode("w1", func(n *Node) { n.PublicIP = addr("10.0.2.15"); n.Internal = []netip.Addr{n.PublicIP} })
			}, Fail, "w1 10.0.2.15"},
			{"no annotation", func(f *Facts) { f.clusterNode("w1", func(n *Node) { n.PublicIP = netip.Addr{} }) }, Fail, "w1 <none>"},
			{"unlike INTERNAL-IP", func(f *Facts) { f.clusterNode("w1", func(n *Node) { n.Internal = []netip.Addr{addr("10.0.2.15")} }) }, Fail, "w1 192.168.56.11, unlike its INTERNAL-IP 10.0.2.15"},
			noCluster(),
		},
		"pod.machine-id": {
			asIs(),
			{"the same on two nodes", func(f *Facts) {
				f.node("w2", func(n *NodeFacts) { n.MachineID.Value = f.Nodes["cp1"].MachineID.Value })
			}, Fail, "which cp1 has too"},
			{"the same, by the kubelets' word", func(f *Facts) {
				f.node("cp1", func(n *NodeFacts) { n.MachineID = Fact[string]{} })
				f.node("w2", func(n *NodeFacts) { n.MachineID = Fact[string]{} })
				f.clusterNode("w2", func(n *Node) { n.MachineID = strings.Repeat("0", 32) })
			}, Fail, "which cp1 has too"},
			{"neither the node nor its kubelet says", func(f *Facts) {
				for _, w := range []string{"w1", "w2"} { // nothing known of two nodes does not make them the same
					f.unreached(w)
					f.clusterNode(w, func(n *Node) { n.MachineID = "" })
				}
			}, Unknown, w2Gone},
			{"w2 cannot be reached, its kubelet said", func(f *Facts) { f.unreached("w2") }, Pass, ""},
		},
		"pod.cidr": {
			asIs(),
			{"in another order of joining", func(f *Facts) {
				f.clusterNode("w1", func(n *Node) { n.PodCIDRs = []netip.Prefix{prefix("10.42.7.0/24")} })
			}, Pass, ""},
			{"outside", func(f *Facts) {
				f.clusterNode("w1", func(n *Node) { n.PodCIDRs = []netip.Prefix{prefix("10.52.1.0/24")} })
			}, Fail, "w1 10.52.1.0/24 is not inside"},
			{"the whole network", func(f *Facts) {
				f.clusterNode("w1", func(n *Node) { n.PodCIDRs = []netip.Prefix{prefix("10.42.0.0/16")} })
			}, Fail, "w1 10.42.0.0/16 is not inside"},
			{"overlap", func(f *Facts) {
				f.clusterNode("w1", func(n *Node) { n.PodCIDRs = []netip.Prefix{prefix("10.42.2.128/25")} })
			}, Fail, "overlaps 10.42.2.0/24 of w2"},
			{"none", func(f *Facts) { f.clusterNode("w1", func(n *Node) { n.PodCIDRs = nil }) }, Fail, "w1 <none>"},
			{"another pod network in the lab's file", func(f *Facts) { f.Lab.K3s.PodCIDR = prefix("10.44.0.0/16") }, Fail, "is not inside"},
			noCluster(),
		},
		"pod.flannel-subnet": {
			asIs(),
			{"that of another node", func(f *Facts) {
				f.node("w1", func(n *NodeFacts) { n.Subnet.Value.Gateway = prefix("10.42.2.1/24") })
			}, Fail, "w1 10.42.2.1/24"},
			{"another network", func(f *Facts) {
				f.node("w1", func(n *NodeFacts) { n.Subnet.Value.Network = prefix("10.52.0.0/16") })
			}, Fail, "of 10.52.0.0/16"},
			w2Unreached(),
			noCluster(),
		},
		"pod.cni0": {
			asIs(),
			{"an old gateway", func(f *Facts) {
				f.link("w1", "cni0", func(l *Link) { l.Addresses = []netip.Prefix{prefix("10.42.5.1/24")} })
			}, Fail, "w1 cni0 10.42.5.1/24"},
			{"no cni0", func(f *Facts) { f.without("w1", "cni0") }, Fail, "w1 has no cni0"},
			{"no pod CIDR", func(f *Facts) { f.clusterNode("w1", func(n *Node) { n.PodCIDRs = nil }) }, Fail, "w1 <none>"},
			w2Unreached(),
			noCluster(),
		},
		"pod.vxlan": {
			asIs(),
			{"over the NAT NIC", func(f *Facts) { f.node("w1", func(n *NodeFacts) { n.VXLAN.Value.Device = "enp0s3" }) }, Fail, "dev enp0s3"},
			{"from the NAT address", func(f *Facts) {
				f.node("w1", func(n *NodeFacts) { n.VXLAN.Value.Local = addr("10.0.2.15") })
			}, Fail, "local 10.0.2.15"},
			{"no VXLAN", func(f *Facts) { f.node("w1", func(n *NodeFacts) { n.VXLAN.Value.Kind = "dummy" }) }, Fail, "w1 dummy"},
			{"no flannel.1", func(f *Facts) {
				f.without("w1", "flannel.1")
				f.node("w1", func(n *NodeFacts) { n.VXLAN = Missing[VXLAN](`w1: Device "flannel.1" does not exist.`, Source{}) })
			}, Fail, "w1 has no flannel.1"},
			{"no host-only NIC", func(f *Facts) { f.Machines = nil; f.without("w1", "enp0s8") }, Fail, "w1 vxlan local"},
			{"unreadable", func(f *Facts) { f.node("w1", func(n *NodeFacts) { n.VXLAN = Missing[VXLAN]("w1: garbage", Source{}) }) }, Unknown, "garbage"},
			w2Unreached(),
		},
		"pod.vtep-mac": {
			asIs(),
			{"another than announced", func(f *Facts) { f.node("w1", func(n *NodeFacts) { n.VXLAN.Value.MAC = "a2:4e:3c:82:5b:36" }) }, Fail, "w1 flannel.1 a2:4e:3c:82:5b:36"},
			{"the same on two nodes, as announced", func(f *Facts) {
				for _, w := range []string{"w1", "w2"} {
					f.node(w, func(n *NodeFacts) { n.VXLAN.Value.MAC = "a2:4e:3c:82:5b:36" })
					f.clusterNode(w, func(n *Node) { n.VtepMAC = "a2:4e:3c:82:5b:36" })
				}
			}, Fail, "which w1 has too"},
			{"no annotation", func(f *Facts) { f.clusterNode("w1", func(n *Node) { n.VtepMAC = "" }) }, Fail, "w1 flannel.1"},
			{"no flannel.1", func(f *Facts) {
				f.without("w1", "flannel.1")
				f.node("w1", func(n *NodeFacts) { n.VXLAN = Fact[VXLAN]{} })
			}, Fail, "w1 has no flannel.1"},
			w2Unreached(),
			noCluster(),
		},
		"pod.routes": {
			asIs(),
			{"none to w2", func(f *Facts) { f.unroute("w1", "10.42.2.0/24") }, Fail, "w1 has no route to 10.42.2.0/24 of w2"},
			{"by another device", func(f *Facts) {
				f.reroute("w1", "10.42.2.0/24", func(r *Route) { r.Dev = "enp0s8"; r.Via = addr("192.168.56.12") })
			}, Fail, "dev enp0s8"},
			{"not onlink", func(f *Facts) { f.reroute("w1", "10.42.2.0/24", func(r *Route) { r.Onlink = false }) }, Fail, "w1 10.42.2.0/24 via 10.42.2.0 dev flannel.1"},
			{"a lab of one node", func(f *Facts) {
				f.Lab.Nodes = f.Lab.Nodes[:1]
			}, NotApplicable, "one node"},
			w2Unreached(),
			noCluster(),
		},
		"pod.ips": {
			asIs(),
			{"of another node's", func(f *Facts) { f.pod("web-w1", func(p *Pod) { p.IP = addr("10.42.2.77") }) }, Fail, "demo/web-w1 10.42.2.77 on w1"},
			{"of another node's, but going", func(f *Facts) {
				f.pod("web-w1", func(p *Pod) { p.IP = addr("10.42.2.77"); p.Deleting = true })
			}, Pass, ""},
			{"no pods at all", func(f *Facts) { f.Cluster.Pods.Value = nil }, Unknown, "nothing to look at"},
			noCluster(),
		},
		"svc.cluster-ip": {
			asIs(),
			{"outside", func(f *Facts) { f.changeService("web-svc", func(s *Service) { s.ClusterIP = addr("10.53.0.7") }) }, Fail, "demo/web-svc 10.53.0.7"},
			{"another service network in the lab's file", func(f *Facts) { f.Lab.K3s.ServiceCIDR = prefix("10.53.0.0/16") }, Fail, "10.43.31.179"},
			{"no web-svc", func(f *Facts) { f.noService("web-svc") }, Fail, "there is no such service"},
			noCluster(),
		},
		"svc.virtual": {
			asIs(),
			{"on a NIC", func(f *Facts) {
				f.link("w1", "enp0s8", func(l *Link) { l.Addresses = append(l.Addresses, prefix("10.43.31.179/32")) })
			}, Fail, "w1 enp0s8 has 10.43.31.179 of demo/web-svc"},
			{"in a route", func(f *Facts) { f.route("w2", Route{To: prefix("10.43.0.0/16"), Dev: "enp0s8"}) }, Fail, "w2 routes 10.43.0.1"},
			{"IPVS", func(f *Facts) { f.inIPVS("10.43.0.1", "10.43.31.179") }, Pass, ""},
			{"IPVS, and on a NIC", func(f *Facts) {
				f.inIPVS("10.43.0.1", "10.43.31.179")
				f.link("w1", "cni0", func(l *Link) { l.Addresses = append(l.Addresses, prefix("10.43.31.179/32")) })
			}, Fail, "w1 cni0 has 10.43.31.179"},
			{"kube-ipvs0 left over in iptables mode", func(f *Facts) {
				f.inIPVS("10.43.31.179")
				f.Lab.K3s.KubeProxyMode = "iptables"
			}, Fail, "kube-ipvs0 has 10.43.31.179"},
			{"nothing to look for", func(f *Facts) { f.noService("web-svc") }, Unknown, `no service "web-svc"`},
			w2Unreached(),
			noCluster(),
		},
		"svc.endpoints": {
			asIs(),
			{"one pod is missing", func(f *Facts) { f.slice("web-svc", func(s *EndpointSlice) { s.Endpoints = s.Endpoints[:1] }) }, Fail, "the endpoints 10.42.1.8"},
			{"a pod that is not ready", func(f *Facts) { f.pod("web-w1", func(p *Pod) { p.Ready = false }) }, Fail, "10.42.1.8"},
			{"an endpoint that is not ready", func(f *Facts) { f.slice("web-svc", func(s *EndpointSlice) { s.Endpoints[0].Ready = false }) }, Fail, "the endpoints 10.42.2.8"},
			{"one address twice, in two slices", func(f *Facts) {
				f.Cluster.Slices.Value = append(f.Cluster.Slices.Value, EndpointSlice{Namespace: "demo", Service: "web-svc", Endpoints: []Endpoint{{Addr: addr("10.42.1.8"), Ready: true}}})
			}, Pass, ""},
			{"a selector that matches nothing", func(f *Facts) {
				f.changeService("web-svc", func(s *Service) { s.Selector = map[string]string{"app": "wbe"} })
				f.slice("web-svc", func(s *EndpointSlice) { s.Endpoints = nil })
			}, Fail, "<none>"},
			{"a dead endpoint of hello", func(f *Facts) {
				f.slice("hello-svc", func(s *EndpointSlice) {
					s.Endpoints = append(s.Endpoints, Endpoint{Addr: addr("10.42.1.99"), Ready: true})
				})
			}, Fail, "hello-svc: the endpoints 10.42.0.10, 10.42.0.11, 10.42.1.10, 10.42.1.11, 10.42.1.99"},
			{"a pod of hello that is no endpoint", func(f *Facts) { f.slice("hello-svc", func(s *EndpointSlice) { s.Endpoints = s.Endpoints[1:] }) }, Fail, "hello-svc: the endpoints 10.42.0.11"},
			{"hello by another name", func(f *Facts) {
				f.changeService("hello-svc", func(s *Service) { s.Name = "my-helloworld-rs-service" })
				f.slice("hello-svc", func(s *EndpointSlice) { s.Service = "my-helloworld-rs-service" })
			}, Pass, "my-helloworld-rs-service"},
			{"no web-svc", func(f *Facts) { f.noService("web-svc") }, Fail, "there is no such service"},
			{"no hello-svc", func(f *Facts) { f.noService("hello-svc") }, Fail, "there is no such service"},
			{"pods unknown", func(f *Facts) { f.Cluster.Pods = Fact[[]Pod]{} }, Unknown, "not collected"},
			noCluster(),
		},
		"svc.from-nodes": {
			asIs(),
			{"times out on w1", func(f *Facts) {
				f.probe("w1", false, webIP, func(p *Probe) { p.Outcome, p.Status = TimedOut, 0 })
			}, Fail, "w1: 10.43.31.179:80 timed out"},
			{"refused on w1", func(f *Facts) {
				f.probe("w1", false, webIP, func(p *Probe) { p.Outcome, p.Status = Refused, 0 })
			}, Fail, "w1: 10.43.31.179:80 not connected"},
			{"fails after good tries", func(f *Facts) {
				f.Probes = append(f.Probes, Probe{Where: "w1", Target: netip.MustParseAddrPort(webIP), Outcome: TimedOut})
			}, Fail, "w1: 10.43.31.179:80 timed out"},
			{"answers 502", func(f *Facts) { f.probe("w1", false, webIP, func(p *Probe) { p.Status = 502 }) }, Fail, "status 502"},
			{"no curl on w1", func(f *Facts) {
				f.probe("w1", false, webIP, func(p *Probe) { p.Outcome, p.Why = Inconclusive, "w1: curl: not found" })
			}, Unknown, "curl: not found"},
			{"one try each, which a dead pod may be missed by", func(f *Facts) { f.fewProbes(false, webIP) }, Unknown, "3 answers are too few to have met each of the 2 pods"},
			{"one try each, and one pod", func(f *Facts) {
				f.fewProbes(false, webIP)
				f.pod("web-w1", func(p *Pod) { p.Ready = false })
			}, Pass, ""},
			{"one try each, and pods that a table tells in part", func(f *Facts) {
				f.fewProbes(false, webIP)
				f.Cluster.Pods.Partial = "namespace demo only"
			}, Unknown, "3 answers are too few to have met each of the 2 pods"},
			{"a headless web-svc", func(f *Facts) { f.changeService("web-svc", func(s *Service) { s.ClusterIP = netip.Addr{} }) }, Fail, "demo/web-svc ClusterIP <none>"},
			{"no web-svc", func(f *Facts) { f.noService("web-svc") }, Fail, "there is no such service"},
			w2Unreached(),
			noCluster(),
		},
		"svc.from-pods": {
			asIs(),
			{"times out in a pod of w1", func(f *Facts) { f.probe("w1", true, webIP, func(p *Probe) { p.Outcome = TimedOut }) }, Fail, "w1: 10.43.31.179:80 timed out"},
			{"wget crashed", func(f *Facts) {
				f.probe("w1", true, webIP, func(p *Probe) { p.Outcome, p.Why = Inconclusive, "exit status 139" })
			}, Unknown, "w1: exit status 139"},
			{"not asked on w1", func(f *Facts) { f.noProbe("w1", true, webIP) }, Unknown, "w1: no such probe was made"},
			{"fails after good tries", func(f *Facts) {
				f.Probes = append(f.Probes, Probe{Where: "w1", Pod: "labctl/labctl-probe-w1", Target: netip.MustParseAddrPort(webIP), Outcome: TimedOut})
			}, Fail, "w1: 10.43.31.179:80 timed out"},
			{"one try each, which a dead pod may be missed by", func(f *Facts) { f.fewProbes(true, webIP) }, Unknown, "3 answers are too few to have met each of the 2 pods"},
			{"one try each, and one pod", func(f *Facts) {
				f.fewProbes(true, webIP)
				f.pod("web-w1", func(p *Pod) { p.Ready = false })
			}, Pass, ""},
			{"one try each, and pods that a table tells in part", func(f *Facts) {
				f.fewProbes(true, webIP)
				f.Cluster.Pods.Partial = "namespace demo only"
			}, Unknown, "3 answers are too few to have met each of the 2 pods"},
			{"exec is refused", func(f *Facts) {
				f.probe("w1", true, webIP, func(p *Probe) { p.Outcome, p.Why = NotAsked, "Error from server: error dialing backend" })
			}, Fail, "w1: its pod cannot be asked: kubectl exec fails: Error from server: error dialing backend"},
			{"no probe pod on w1", func(f *Facts) { f.noProbePod("w1") }, Fail, "w1: no pod of labctl/labctl-probe runs there"},
			{"a probe pod that waits", func(f *Facts) {
				f.noProbe("w1", true, webIP)
				f.pod("labctl-probe-w1", func(p *Pod) { p.Running = false })
			}, Fail, "w1: no pod of labctl/labctl-probe runs there"},
			{"the DaemonSet is gone", func(f *Facts) { f.noProbePod("cp1", "w1", "w2") }, Fail, "cp1: no pod of labctl/labctl-probe runs there"},
			{"a cluster without labctl's DaemonSet, recorded", func(f *Facts) {
				f.noProbePod("cp1", "w1", "w2")
				f.Cluster.DaemonSets = Fact[[]Workload]{}
			}, Unknown, "w1: no such probe was made"},
			{"pods that a table tells in part", func(f *Facts) {
				f.noProbePod("w1")
				f.Cluster.Pods.Partial = "namespace demo only"
			}, Unknown, "w1: no such probe was made"},
			noCluster(),
		},
		"svc.isolated": {
			asIs(),
			{"times out", func(f *Facts) { f.probe(Host, false, helloIP, func(p *Probe) { p.Outcome = TimedOut }) }, Pass, ""},
			{"something else answers", func(f *Facts) {
				f.probe(Host, false, helloIP, func(p *Probe) { p.Outcome, p.Status, p.Body = Answered, 200, "the office printer" })
			}, Pass, ""},
			{"our nonce comes back", func(f *Facts) {
				f.HostRoutes = Known([]Route{{To: prefix("0.0.0.0/0"), Dev: "eth0"}, {To: prefix("10.43.0.0/16"), Via: addr("192.168.56.10"), Dev: "vboxnet0"}}, Source{})
				f.probe(Host, false, helloIP, func(p *Probe) { p.Outcome, p.Status, p.Body = Answered, 200, "GET /?nonce=N0NCE HTTP/1.1" })
			}, Fail, "10.43.45.254:80 answers, with our nonce"},
			{"our nonce comes back although a control failed", func(f *Facts) {
				f.noProbe("cp1", false, helloIP)
				f.probe(Host, false, helloIP, func(p *Probe) { p.Outcome, p.Body = Answered, "N0NCE" })
			}, Fail, "with our nonce"},
			{"our nonce comes back, and the connection breaks", func(f *Facts) {
				f.probe(Host, false, helloIP, func(p *Probe) { p.Outcome, p.Status, p.Body = Failed, 200, "GET /?nonce=N0NCE HTTP/1.1" })
			}, Fail, "10.43.45.254:80 answers, with our nonce"},
			{"our nonce comes back, and the end never does", func(f *Facts) {
				f.probe(Host, false, helloIP, func(p *Probe) { p.Outcome, p.Status, p.Body = TimedOut, 200, "GET /?nonce=N0NCE HTTP/1.1" })
			}, Fail, "10.43.45.254:80 answers, with our nonce"},
			{"connections are taken, and there is no answer", func(f *Facts) {
				f.probe(Host, false, helloIP, func(p *Probe) { p.Outcome = Failed })
			}, Unknown, "something takes connections at 10.43.45.254:80"},
			{"our nonce comes back once in four tries", func(f *Facts) {
				f.isolationTries(3, func(i int, p *Probe) {
					p.Outcome = TimedOut
					if i == 1 {
						p.Outcome, p.Body = Answered, "GET /?nonce="+p.Nonce+" HTTP/1.1"
					}
				})
			}, Fail, "10.43.45.254:80 answers, with our nonce"},
			{"in four tries", func(f *Facts) { f.isolationTries(3, func(_ int, p *Probe) { p.Outcome = TimedOut }) }, Pass, "10.43.45.254:80 timed out"},
			{"one of four tries did not work", func(f *Facts) {
				f.isolationTries(3, func(i int, p *Probe) {
					if i == 2 {
						p.Outcome, p.Why = Inconclusive, "host: interrupted"
					}
				})
			}, Unknown, "interrupted"},
			{"an answer to a request without nonce", func(f *Facts) {
				f.probe(Host, false, helloIP, func(p *Probe) { p.Outcome, p.Nonce = Answered, "" })
			}, Unknown, "carried no nonce"},
			{"no NodePort answers the host", func(f *Facts) {
				for i := range f.Probes {
					if f.Probes[i].Where == Host {
						f.Probes[i].Outcome = TimedOut
					}
				}
			}, Unknown, "control: the host was not seen to reach any NodePort"},
			{"it does not answer inside either", func(f *Facts) {
				f.probe("cp1", false, helloIP, func(p *Probe) { p.Outcome = TimedOut })
			}, Unknown, "control: 10.43.45.254:80 was not seen to answer inside"},
			{"it does not answer inside on cp1 alone", func(f *Facts) {
				f.probe("cp1", false, helloIP, func(p *Probe) { p.Outcome = TimedOut })
				f.Probes = append(f.Probes, Probe{Where: "w2", Target: netip.MustParseAddrPort(helloIP), Outcome: Answered, Status: 200})
			}, Pass, ""},
			{"another ClusterIP answers inside", func(f *Facts) { f.noProbe("cp1", false, helloIP) }, Unknown, "control"},
			{"the probe did not work", func(f *Facts) {
				f.probe(Host, false, helloIP, func(p *Probe) { p.Outcome, p.Why = Inconclusive, "host: interrupted" })
			}, Unknown, "interrupted"},
			{"no probe", func(f *Facts) { f.noProbe(Host, false, helloIP) }, Unknown, "no probe of a ClusterIP was made"},
			noCluster(),
		},
		"cluster.clocks": {
			asIs(),
			{"an hour ahead", func(f *Facts) {
				f.node("w1", func(n *NodeFacts) { n.Clock.Value = Clock{Low: time.Hour, High: time.Hour + time.Second} })
			}, Fail, "w1 is 3600 s ahead of cp1: w1 +3600.5 s from the host's clock, cp1 +0.1 s from the host's clock"},
			{"an hour behind", func(f *Facts) {
				f.node("w2", func(n *NodeFacts) { n.Clock.Value = Clock{Low: -time.Hour - time.Second, High: -time.Hour} })
			}, Fail, "w2 -3600.5 s"},
			{"all wrong by the same", func(f *Facts) {
				for _, node := range []string{"cp1", "w1", "w2"} {
					f.node(node, func(n *NodeFacts) { n.Clock.Value = Clock{Low: -time.Hour - time.Second, High: -time.Hour} })
				}
			}, Fail, "cp1 -3600.5 s from the host's clock\nw1 -3600.5"},
			{"all ahead by two minutes", func(f *Facts) {
				for _, node := range []string{"cp1", "w1", "w2"} {
					f.node(node, func(n *NodeFacts) { n.Clock.Value = Clock{Low: 2 * time.Minute, High: 2*time.Minute + time.Second} })
				}
			}, Pass, "w1 +120.5 s"},
			{"two that are near enough to cp1, and not to each other", func(f *Facts) {
				f.node("cp1", func(n *NodeFacts) { n.Clock.Value = Clock{} })
				f.node("w1", func(n *NodeFacts) { n.Clock.Value = Clock{Low: 5 * time.Second, High: 5 * time.Second} })
				f.node("w2", func(n *NodeFacts) { n.Clock.Value = Clock{Low: -5 * time.Second, High: -5 * time.Second} })
			}, Fail, "w1 is 10 s ahead of w2"},
			{"one node, an hour ahead", func(f *Facts) {
				f.Lab.Nodes = f.Lab.Nodes[:1]
				f.node("cp1", func(n *NodeFacts) { n.Clock.Value = Clock{Low: time.Hour, High: time.Hour} })
			}, Fail, "cp1 +3600.0 s"},
			{"a slow answer tells less", func(f *Facts) {
				f.node("w1", func(n *NodeFacts) { n.Clock.Value = Clock{Low: -30 * time.Second, High: 10 * time.Second} })
			}, Pass, ""},
			{"it was not asked", func(f *Facts) { f.node("w1", func(n *NodeFacts) { n.Clock = Fact[Clock]{} }) }, Unknown, "w1: not collected"},
			w2Unreached(),
		},
		"cluster.logs": {
			asIs(),
			{"no answer of w1's kubelet", func(f *Facts) {
				f.access("w1", VerbLogs, func(a *Access) { a.OK, a.Why = false, "dial tcp 10.0.2.15:10250" })
			}, Fail, "w1: kubectl logs fails: dial tcp 10.0.2.15:10250"},
			{"not tried", func(f *Facts) { f.access("w1", VerbLogs, func(a *Access) { a.Known, a.Why = false, "interrupted" }) }, Unknown, "w1: interrupted"},
			{"not tried anywhere", func(f *Facts) { f.Access = nil }, Unknown, "w1: no such probe was made"},
			{"no probe pod on w1", func(f *Facts) { f.noProbePod("w1") }, Fail, "w1: no pod of labctl/labctl-probe runs there"},
		},
		"cluster.exec": {
			asIs(),
			{"no answer of w1's kubelet", func(f *Facts) { f.access("w1", VerbExec, func(a *Access) { a.OK, a.Why = false, "502 Bad Gateway" }) }, Fail, "w1: kubectl exec fails: 502"},
			{"not tried anywhere", func(f *Facts) { f.Access = nil }, Unknown, "w1: no such probe was made"},
			{"no probe pod on w1", func(f *Facts) { f.noProbePod("w1") }, Fail, "w1: no pod of labctl/labctl-probe runs there"},
		},
		"pod.mtu": {
			asIs(),
			{"flannel.1 as large as the NIC", func(f *Facts) { f.link("w1", "flannel.1", func(l *Link) { l.MTU = 1500 }) }, Fail, "w1 enp0s8 mtu 1500, flannel.1 mtu 1500"},
			{"too small", func(f *Facts) { f.link("w1", "flannel.1", func(l *Link) { l.MTU = 1400 }) }, Fail, "flannel.1 mtu 1400"},
			{"a NIC that differs", func(f *Facts) {
				f.link("w2", "enp0s8", func(l *Link) { l.MTU = 9000 })
				f.link("w2", "flannel.1", func(l *Link) { l.MTU = 8950 })
			}, Fail, "w2 enp0s8 mtu 9000"},
			{"no flannel.1", func(f *Facts) { f.without("w1", "flannel.1") }, Fail, "w1 has no flannel.1"},
			{"no host-only NIC", func(f *Facts) { f.Machines = nil; f.without("w1", "enp0s8") }, Fail, "w1 has no host-only NIC"},
			{"from a table", func(f *Facts) { f.link("w1", "enp0s8", func(l *Link) { l.MTU = 0 }) }, Unknown, "MTUs are not told"},
			w2Unreached(),
		},
		"pod.reach": {
			asIs(),
			{"w1's pod does not answer w2's", func(f *Facts) { f.probe("w2", true, "10.42.1.20:80", func(p *Probe) { p.Outcome = TimedOut }) }, Fail, "w2 -> w1: 10.42.1.20:80 timed out"},
			{"no exec", func(f *Facts) {
				f.probe("w2", true, "10.42.1.20:80", func(p *Probe) { p.Outcome, p.Why = Inconclusive, "cp1: kubectl exec: exit status 1" })
			}, Unknown, "w2 -> w1: cp1: kubectl exec"},
			{"not asked", func(f *Facts) { f.noProbe("w2", true, "10.42.1.20:80") }, Unknown, "w2 -> w1: no such probe"},
			{"no probe pod on w1", func(f *Facts) { f.pod("labctl-probe-w1", func(p *Pod) { p.Running = false }) }, Fail, "w1: no pod of labctl/labctl-probe runs there"},
			{"nothing of labctl runs on w1", func(f *Facts) { f.noProbePod("w1") }, Fail, "w1: no pod of labctl/labctl-probe runs there"},
			{"a cluster without labctl's DaemonSet, recorded", func(f *Facts) {
				f.noProbePod("cp1", "w1", "w2")
				f.Cluster.DaemonSets = Fact[[]Workload]{}
			}, Unknown, "cp1 -> w1: no probe pod runs on w1"},
			{"exec is refused", func(f *Facts) {
				f.probe("w2", true, "10.42.1.20:80", func(p *Probe) { p.Outcome, p.Why = NotAsked, "error: unable to upgrade connection: pod does not exist" })
			}, Fail, "w2: its pod cannot be asked: kubectl exec fails: error: unable to upgrade connection: pod does not exist"},
			{"one node", func(f *Facts) { f.Lab.Nodes = f.Lab.Nodes[:1] }, NotApplicable, "one node"},
			noCluster(),
		},
		"svc.by-name": {
			asIs(),
			{"not from w1", func(f *Facts) {
				for i, p := range f.Probes {
					if p.Where == "w1" && p.Name == WebName {
						f.Probes[i].Outcome = Refused
					}
				}
			}, Fail, "w1: web-svc.demo.svc.cluster.local not connected"},
			{"not asked", func(f *Facts) {
				f.Probes = slices.DeleteFunc(f.Probes, func(p Probe) bool { return p.Name != "" })
			}, Unknown, "cp1: no such probe"},
			{"exec is refused", func(f *Facts) {
				for i, p := range f.Probes {
					if p.Where == "w1" && p.Name == WebName {
						f.Probes[i].Outcome, f.Probes[i].Why = NotAsked, "Error from server: error dialing backend"
					}
				}
			}, Fail, "w1: its pod cannot be asked: kubectl exec fails: Error from server"},
			{"no probe pod on w1", func(f *Facts) { f.noProbePod("w1") }, Fail, "w1: no pod of labctl/labctl-probe runs there"},
			{"no web-svc", func(f *Facts) { f.noService("web-svc") }, Fail, "there is no such service"},
			noCluster(),
		},
		"proxy.mode": {
			asIs(),
			{"IPVS", func(f *Facts) { f.inIPVS() }, Pass, "w1 ipvs"},
			{"IPVS is in force", func(f *Facts) { f.inIPVS(); f.Lab.K3s.KubeProxyMode = "iptables" }, Fail, "w1 ipvs"},
			{"iptables is in force", func(f *Facts) { f.Lab.K3s.KubeProxyMode = "ipvs" }, Fail, "w1 iptables"},
			{"rules of the old mode are left", func(f *Facts) {
				f.node("w1", func(n *NodeFacts) { n.IPVS.Value = f.virtualServers(f.Lab.Nodes[1]) })
			}, Fail, "w1 both modes"},
			{"flushed", func(f *Facts) { f.noRule("w1", "KUBE-SERVICES", "") }, Fail, "w1 rules of neither mode"},
			{"no iptables-save", func(f *Facts) {
				f.node("w1", func(n *NodeFacts) { n.NAT = Missing[[]NATRule]("w1: iptables-save: not found", Source{}) })
			}, Unknown, "iptables-save: not found"},
			w2Unreached(),
		},
		"proxy.hooks": {
			asIs(),
			{"not in OUTPUT", func(f *Facts) { f.noRule("w1", "OUTPUT", "") }, Fail, "w1 OUTPUT does not lead to KUBE-SERVICES"},
			{"in PREROUTING for what comes by one NIC only", func(f *Facts) { f.narrow("w1", "PREROUTING") }, Fail, "w1 PREROUTING leads to KUBE-SERVICES under a condition only"},
			{"in OUTPUT for one destination only", func(f *Facts) {
				f.nat("w1", func(rules []NATRule) []NATRule {
					rules[1].To = prefix("10.43.0.1/32")
					return rules
				})
			}, Fail, "w1 OUTPUT leads to KUBE-SERVICES under a condition only"},
			{"under a condition, and then without", func(f *Facts) {
				f.nat("w1", func(rules []NATRule) []NATRule {
					return append([]NATRule{{Chain: "PREROUTING", Jump: "KUBE-SERVICES", Probability: 1, Narrow: true}}, rules...)
				})
			}, Pass, ""},
			{"not in PREROUTING", func(f *Facts) { f.noRule("w1", "PREROUTING", "") }, Fail, "w1 PREROUTING does not lead"},
			{"IPVS", func(f *Facts) { f.inIPVS() }, NotApplicable, "ipvs"},
			w2Unreached(),
		},
		"proxy.chains": {
			asIs(),
			{"one endpoint too few", func(f *Facts) { f.noRule("w1", "", "KUBE-SEP-web-svc-1") }, Fail, "w1 web-svc -> 10.42.1.8:80"},
			{"one endpoint too many", func(f *Facts) {
				f.slice("hello-svc", func(s *EndpointSlice) { s.Endpoints[0].Ready = false })
			}, Fail, "hello-svc -> 10.42.0.10:8080"},
			{"the wrong port", func(f *Facts) {
				f.nat("w1", func(rules []NATRule) []NATRule {
					for i, r := range rules {
						if r.Chain == "KUBE-SEP-web-svc-0" && r.Jump == "DNAT" {
							rules[i].DNAT = netip.AddrPortFrom(r.DNAT.Addr(), 8080)
						}
					}
					return rules
				})
			}, Fail, "10.42.1.8:8080"},
			{"the service's rule under a condition", func(f *Facts) { f.narrow("w1", "KUBE-SERVICES") }, Fail, "w1 has no rule for web-svc 10.43.31.179:80"},
			{"an endpoint's rule under a condition", func(f *Facts) { f.narrow("w1", "KUBE-SVC-WEB") }, Fail, "w1 web-svc -> <none>"},
			{"a new destination under a condition", func(f *Facts) { f.narrow("w1", "KUBE-SEP-web-svc-1") }, Fail, "w1 web-svc -> 10.42.1.8:80"},
			{"the node port's rules under a condition", func(f *Facts) { f.narrow("w1", "KUBE-NODEPORTS") }, Fail, "w1 has no rule of KUBE-NODEPORTS that leads port 31885 to hello-svc"},
			{"no rule for the service", func(f *Facts) { f.noRule("w1", "KUBE-SERVICES", "KUBE-SVC-WEB") }, Fail, "w1 has no rule for web-svc 10.43.31.179:80"},
			{"no endpoints, no rule", func(f *Facts) {
				f.slice("web-svc", func(s *EndpointSlice) { s.Endpoints = nil })
				for _, n := range f.Lab.Nodes {
					f.noRule(n.Name, "KUBE-SERVICES", "KUBE-SVC-WEB")
				}
			}, Pass, ""},
			{"no rule for the node port", func(f *Facts) { f.noRule("w1", "KUBE-NODEPORTS", "") }, Fail, "w1 has no rule of KUBE-NODEPORTS that leads port 31885"},
			{"nothing leads to the node ports", func(f *Facts) { f.noRule("w1", "", "KUBE-NODEPORTS") }, Fail, "KUBE-SERVICES does not lead to KUBE-NODEPORTS"},
			{"a node port of loopback only", func(f *Facts) {
				f.nat("w1", func(rules []NATRule) []NATRule {
					return slices.DeleteFunc(rules, func(r NATRule) bool { return r.Chain == "KUBE-NODEPORTS" && !r.To.IsValid() })
				})
			}, Fail, "no rule of KUBE-NODEPORTS"},
			{"chains that run in circles", func(f *Facts) {
				f.nat("w1", func(rules []NATRule) []NATRule {
					return append(slices.DeleteFunc(rules, func(r NATRule) bool { return r.Chain == "KUBE-EXT-HELLO" }), NATRule{Chain: "KUBE-EXT-HELLO", Jump: "KUBE-EXT-HELLO"})
				})
			}, Fail, "no rule of KUBE-NODEPORTS"},
			{"an iptables-save that is too old", func(f *Facts) {
				f.nat("w1", func(rules []NATRule) []NATRule {
					for i := range rules {
						rules[i].DNAT = netip.AddrPort{}
					}
					return rules
				})
			}, Unknown, "w1: the node's iptables-save cannot tell where KUBE-SEP-web-svc-0 sends"},
			{"IPVS", func(f *Facts) { f.inIPVS() }, NotApplicable, "ipvs"},
			{"no web-svc", func(f *Facts) { f.noService("web-svc") }, Fail, "there is no such service"},
			{"endpoints unknown", func(f *Facts) { f.Cluster.Slices = Fact[[]EndpointSlice]{} }, Unknown, "not collected"},
			w2Unreached(),
			noCluster(),
		},
		"proxy.shares": {
			asIs(),
			{"all to the first", func(f *Facts) {
				f.nat("w1", func(rules []NATRule) []NATRule {
					for i := range rules {
						rules[i].Probability = 1
					}
					return rules
				})
			}, Fail, "w1 web-svc: 1.000 0.000"},
			{"session affinity's own rules", func(f *Facts) {
				f.nat("w1", func(rules []NATRule) []NATRule {
					return append([]NATRule{{Chain: "KUBE-SVC-WEB", Jump: "KUBE-SEP-web-svc-0", Probability: 1, Sticky: true}}, rules...)
				})
			}, Pass, ""},
			{"no rules", func(f *Facts) { f.nat("w1", func([]NATRule) []NATRule { return nil }) }, Fail, "w1 hello-svc: no rule gives it any"},
			{"IPVS", func(f *Facts) { f.inIPVS() }, NotApplicable, "ipvs"},
			w2Unreached(),
			noCluster(),
		},
		"proxy.virtual-servers": {
			{"iptables mode", func(*Facts) {}, NotApplicable, "iptables"},
			{"IPVS", func(f *Facts) { f.inIPVS() }, Pass, "w1 hello-svc 192.168.56.11:31885 -> 10.42.0.10:8080"},
			{"none", func(f *Facts) { f.inIPVS(); f.node("w1", func(n *NodeFacts) { n.IPVS.Value = nil }) }, Fail, "w1 has no virtual server 10.43.31.179:80 for web-svc"},
			{"a real server too few", func(f *Facts) {
				f.inIPVS()
				f.node("w1", func(n *NodeFacts) { n.IPVS.Value[0].Real = n.IPVS.Value[0].Real[:1] })
			}, Fail, "w1 web-svc 10.43.31.179:80 -> 10.42.1.8:80"},
			{"one that takes no new connections", func(f *Facts) {
				f.inIPVS()
				f.node("w1", func(n *NodeFacts) { n.IPVS.Value[0].Real[0].Weight = 0 })
			}, Fail, "w1 web-svc 10.43.31.179:80 -> 10.42.2.8:80"},
			{"UDP", func(f *Facts) { f.inIPVS(); f.node("w1", func(n *NodeFacts) { n.IPVS.Value[0].Protocol = "udp" }) }, Fail, "w1 has no virtual server"},
			{"no ipvsadm", func(f *Facts) {
				f.inIPVS()
				f.node("w1", func(n *NodeFacts) { n.IPVS = Missing[[]VirtualServer]("w1: ipvsadm: not found", Source{}) })
			}, Unknown, "ipvsadm: not found"},
		},
		"proxy.conntrack": {
			asIs(),
			{"two pods over one connection", func(f *Facts) { f.Kept.Value.By = []string{"hello-w1-0", "hello-w2-0"} }, Fail, "was answered by hello-w1-0, hello-w2-0"},
			{"a new connection each time", func(f *Facts) { f.Kept.Value.Connects = 4 }, Unknown, "did not keep the connection alive"},
			{"no answer", func(f *Facts) {
				f.Kept.Value = KeptConnection{Target: f.Kept.Value.Target, Connects: 0, Failure: "curl: (28) timed out"}
			}, Fail, "no answer: curl: (28)"},
			{"no entry", func(f *Facts) { f.Flows.Value = nil }, Fail, "conntrack has no entry from port 51344"},
			{"an entry of another connection", func(f *Facts) { f.Flows.Value[0].Src = netip.MustParseAddrPort("192.168.56.10:51345") }, Fail, "no entry from port 51344"},
			{"an entry with another pod", func(f *Facts) { f.Flows.Value[0].ReplySrc = netip.MustParseAddrPort("10.42.2.10:8080") }, Fail, "is answered by 10.42.2.10"},
			{"no conntrack", func(f *Facts) { f.Flows = Missing[[]Flow]("cp1: conntrack: not found", Source{}) }, Unknown, "conntrack: not found"},
			{"pods unknown", func(f *Facts) { f.Cluster.Pods = Fact[[]Pod]{} }, Unknown, "which IP hello-w1-0 has"},
			{"not asked", func(f *Facts) { f.Kept = Fact[KeptConnection]{} }, Unknown, "not collected"},
		},
		"proxy.balance": {
			asIs(),
			{"one pod is left out", func(f *Facts) { f.answers(120, "hello-w1-0", "hello-w1-1", "hello-w2-0", "hello-w2-1", "hello-cp1-0") }, Fail, "in 360 connections these never did: hello-cp1-1"},
			{"too few to tell", func(f *Facts) { f.answers(3, "hello-w1-0") }, Unknown, "9 answers that name their pod are too few"},
			{"few, and some lost", func(f *Facts) {
				f.answers(3, "hello-w1-0")
				f.probe(Host, false, w1Port, func(p *Probe) { *p = Probe{Where: Host, Target: p.Target, Outcome: TimedOut} })
			}, Fail, "and 1 got no answer at all"},
			{"answers that name nobody", func(f *Facts) { f.answers(9, "") }, Unknown, "do not name their pod"},
			{"no ready pods", func(f *Facts) { f.Cluster.Pods.Value = nil }, Fail, "there are none"},
			{"no hello-svc", func(f *Facts) { f.noService("hello-svc") }, Fail, "there is no such service"},
			{"by another name", func(f *Facts) { f.changeService("hello-svc", func(s *Service) { s.Name = "my-helloworld-rs-service" }) }, Pass, ""},
			noCluster(),
		},
		"nodeport.policy": {
			asIs(),
			{"Local", func(f *Facts) { f.changeService("hello-svc", func(s *Service) { s.ExternalPolicy = "Local" }) }, Fail, "hello-svc externalTrafficPolicy Local"},
			{"no NodePort service", func(f *Facts) { f.changeService("hello-svc", func(s *Service) { s.ExternalPolicy = "" }) }, Fail, "externalTrafficPolicy <none>"},
			{"from a table", func(f *Facts) { f.Cluster.Services.Partial = "a table tells no policy" }, Unknown, "a table tells no policy"},
			{"no hello-svc", func(f *Facts) { f.noService("hello-svc") }, Fail, "there is no such service"},
			noCluster(),
		},
		"nodeport.remote": {
			asIs(),
			{"each node its own pods only", func(f *Facts) {
				f.answers(0)
				for _, n := range f.Lab.Nodes {
					f.answersOf(n, 12, "hello-"+n.Name+"-0", "hello-"+n.Name+"-1")
				}
			}, Fail, "w1: only its own pods did, in 12 tries"},
			{"too few to tell", func(f *Facts) { f.answers(0); f.answersOf(f.Lab.Nodes[1], 2, "hello-w1-0") }, Unknown, "w1: 2 answers that name their pod are too few"},
			{"lost", func(f *Facts) {
				f.answers(0)
				for _, n := range f.Lab.Nodes {
					f.Probes = append(f.Probes, Probe{Where: Host, Target: netip.AddrPortFrom(n.Address, 31885), Outcome: TimedOut})
				}
			}, Fail, "w1: none did, and a try got no answer at all (timed out)"},
			{"answers that name nobody", func(f *Facts) { f.answers(9, "") }, Unknown, "w1: the answers do not name their pod"},
			{"all pods on one node", func(f *Facts) {
				for i, p := range f.Cluster.Pods.Value {
					if p.Labels["app"] == "hello" {
						f.Cluster.Pods.Value[i].Node = "w1"
					}
				}
			}, Pass, ""},
			{"one node", func(f *Facts) { f.Lab.Nodes = f.Lab.Nodes[:1] }, NotApplicable, "one node"},
			noCluster(),
		},
		"lb.external-ip": {
			asIs(),
			{"pending", func(f *Facts) { f.changeService("traefik", func(s *Service) { s.External = nil }) }, Fail, "EXTERNAL-IP <none>"},
			{"one node is missing", func(f *Facts) { f.changeService("traefik", func(s *Service) { s.External = s.External[:2] }) }, Fail, "192.168.56.10,192.168.56.11"},
			{"NAT addresses", func(f *Facts) {
				f.changeService("traefik", func(s *Service) { s.External = []netip.Addr{addr("10.0.2.15")} })
			}, Fail, "EXTERNAL-IP 10.0.2.15"},
			{"no LoadBalancer", func(f *Facts) { f.noService("traefik") }, Fail, "there is no such service"},
			{"another one", func(f *Facts) { f.changeService("traefik", func(s *Service) { s.Name = "web-lb" }) }, Fail, "there is no such service"},
			{"another one, in records of a cluster that labctl never asked", func(f *Facts) {
				f.changeService("traefik", func(s *Service) { s.Name = "web-lb" })
				f.noProbePod("cp1", "w1", "w2")
				f.Cluster.DaemonSets = Fact[[]Workload]{}
			}, Pass, "kube-system/web-lb"},
			{"IPVS", func(f *Facts) { f.inIPVS() }, NotApplicable, "ServiceLB is kept out"},
			{"IPVS, and ServiceLB is not kept out", func(f *Facts) {
				f.inIPVS()
				f.changeService("traefik", func(s *Service) { s.External = []netip.Addr{addr("192.168.56.10")} })
			}, Fail, "kube-system/traefik LoadBalancer EXTERNAL-IP 192.168.56.10"},
			{"IPVS, and the services are not known", func(f *Facts) {
				f.inIPVS()
				f.Cluster.Services = Missing[[]Service]("connection refused", Source{})
			}, Unknown, "connection refused"},
			{"IPVS, and no traefik", func(f *Facts) { f.inIPVS(); f.noService("traefik") }, Fail, "there is no such service"},
			noCluster(),
		},
		"lb.answers": {
			asIs(),
			{"not on w1", func(f *Facts) { f.probe(Host, false, "192.168.56.11:443", func(p *Probe) { p.Outcome = Refused }) }, Fail, "192.168.56.11:443 not connected"},
			{"502", func(f *Facts) { f.probe(Host, false, "192.168.56.11:80", func(p *Probe) { p.Status = 502 }) }, Fail, "192.168.56.11:80 answers with status 502"},
			{"the probe did not work", func(f *Facts) {
				f.probe(Host, false, "192.168.56.11:80", func(p *Probe) { p.Outcome, p.Why = Inconclusive, "interrupted" })
			}, Unknown, "w1: interrupted"},
			{"not asked", func(f *Facts) { f.noProbe(Host, false, "192.168.56.11:80") }, Unknown, "w1: port 80 was not probed"},
			{"no LoadBalancer", func(f *Facts) { f.noService("traefik") }, Fail, "there is no such service"},
			{"IPVS", func(f *Facts) { f.inIPVS() }, NotApplicable, "ServiceLB is kept out"},
			{"IPVS, and ServiceLB is not kept out", func(f *Facts) {
				f.inIPVS()
				f.changeService("traefik", func(s *Service) { s.External = []netip.Addr{addr("192.168.56.10")} })
				f.noProbe(Host, false, "192.168.56.11:80")
			}, Unknown, "w1: port 80 was not probed"},
			{"IPVS, and the services are not known", func(f *Facts) {
				f.inIPVS()
				f.Cluster.Services = Missing[[]Service]("connection refused", Source{})
			}, Unknown, "connection refused"},
			noCluster(),
		},
		"lb.node-ports": {
			asIs(),
			{"IPVS", func(f *Facts) { f.inIPVS() }, Pass, ""},
			{"not on w1", func(f *Facts) { f.probe(Host, false, "192.168.56.11:31300", func(p *Probe) { p.Outcome = TimedOut }) }, Fail, "192.168.56.11:31300 timed out"},
			{"it has none", func(f *Facts) { f.changeService("traefik", func(s *Service) { s.Ports[0].NodePort = 0 }) }, Fail, "kube-system/traefik LoadBalancer 10.43.121.230 80,443:31309"},
			{"not asked", func(f *Facts) { f.noProbe(Host, false, "192.168.56.11:31300") }, Unknown, "w1: port 31300 was not probed"},
			noCluster(),
		},
		"dns.resolves": {
			asIs(),
			{"another address", func(f *Facts) { f.Lookups[1].Addresses = []netip.Addr{addr("10.43.0.99")} }, Fail, "w1: web-svc.demo.svc.cluster.local is 10.43.0.99"},
			{"no such name", func(f *Facts) { f.Lookups[1].Addresses, f.Lookups[1].Why = nil, "server can't find it: NXDOMAIN" }, Fail, "w1: server can't find it: NXDOMAIN"},
			{"no exec", func(f *Facts) { f.Lookups[1].Known, f.Lookups[1].Why = false, "502" }, Unknown, "w1: 502"},
			{"not asked", func(f *Facts) { f.Lookups = nil }, Unknown, "w1: no such probe"},
			{"exec is refused", func(f *Facts) {
				f.Lookups[1].Known, f.Lookups[1].Refused, f.Lookups[1].Why = false, true, "Error from server: error dialing backend"
			}, Fail, "w1: its pod cannot be asked: kubectl exec fails: Error from server"},
			{"no probe pod on w1", func(f *Facts) { f.noProbePod("w1") }, Fail, "w1: no pod of labctl/labctl-probe runs there"},
			{"no web-svc", func(f *Facts) { f.noService("web-svc") }, Fail, "there is no such service"},
			noCluster(),
		},
		"demo.unchanged": {
			asIs(),
			{"somebody scaled web", func(f *Facts) { f.Reapplied.Value[1].Outcome = "configured" }, Fail, "deployment.apps/web configured"},
			{"something is gone", func(f *Facts) { f.Reapplied.Value[2].Outcome = "created" }, Fail, "service/web-svc created"},
			{"an answer that stops after the first object", func(f *Facts) { f.Reapplied.Value = f.Reapplied.Value[:1] }, Unknown, "kubectl says nothing of service/hello-svc"},
			{"an answer without the last object", func(f *Facts) { f.Reapplied.Value = f.Reapplied.Value[:6] }, Unknown, "kubectl says nothing of daemonset.apps/labctl-probe"},
			{"not tried", func(f *Facts) { f.Reapplied = Fact[[]Applied]{} }, Unknown, "not collected"},
			noCluster(),
		},
		"proxy.ipvs-node-addresses": {
			{"iptables mode", func(*Facts) {}, NotApplicable, "iptables"},
			{"IPVS", func(f *Facts) { f.inIPVS("10.43.0.1", "10.43.31.179") }, Pass, ""},
			{"ServiceLB published the nodes' addresses", func(f *Facts) { f.inIPVS("10.43.0.1", "192.168.56.12") }, Fail, "cp1 has 192.168.56.12 of w2 on kube-ipvs0"},
			{"no kube-ipvs0", func(f *Facts) { f.inIPVS(); f.without("w1", "kube-ipvs0") }, Fail, "w1 has none"},
			{"w2 cannot be reached", func(f *Facts) { f.inIPVS("10.43.0.1"); f.unreached("w2") }, Unknown, w2Gone},
		},
		"nodeport.mapping": {
			asIs(),
			{"another NodePort", func(f *Facts) { f.changeService("hello-svc", func(s *Service) { s.Ports[0].NodePort = 30080 }) }, Fail, "80:30080"},
			{"out of range, though the lab's file says so", func(f *Facts) {
				f.Lab.Demo.NodePort = 8080
				f.changeService("hello-svc", func(s *Service) { s.Ports[0].NodePort = 8080 })
			}, Fail, "80:8080"},
			{"the wrong target", func(f *Facts) {
				f.changeService("hello-svc", func(s *Service) { s.Ports[0].Target = "80" })
				f.slice("hello-svc", func(s *EndpointSlice) { s.Ports = []int{80} })
			}, Fail, "to 80"},
			{"a target by name", func(f *Facts) { f.changeService("hello-svc", func(s *Service) { s.Ports[0].Target = "http" }) }, Pass, ""},
			{"endpoints that do not follow the target", func(f *Facts) { f.changeService("hello-svc", func(s *Service) { s.Ports[0].Target = "9090" }) }, Fail, "to 9090 (endpoints: 8080)"},
			{"a target by name, and no endpoints", func(f *Facts) {
				f.changeService("hello-svc", func(s *Service) { s.Ports[0].Target = "http" })
				f.Cluster.Pods.Value = nil
				f.slice("hello-svc", func(s *EndpointSlice) { s.Ports = nil })
			}, Fail, "(endpoints: <none>)"},
			{"a pod that is not ready listens elsewhere", func(f *Facts) {
				f.pod("hello-w1-0", func(p *Pod) { p.Ready = false; p.Ports = []int{80} })
			}, Pass, ""},
			{"no endpoints", func(f *Facts) { f.slice("hello-svc", func(s *EndpointSlice) { s.Ports = nil }) }, Fail, "(endpoints: <none>)"},
			{"pods that declare no port", func(f *Facts) {
				for i := range f.Cluster.Pods.Value {
					f.Cluster.Pods.Value[i].Ports = nil
				}
			}, Pass, ""},
			{"no NodePort service", func(f *Facts) {
				f.changeService("hello-svc", func(s *Service) { s.Type = "ClusterIP"; s.Ports[0].NodePort = 0 })
			}, Fail, "ClusterIP 80:0"},
			{"another service port", func(f *Facts) { f.changeService("hello-svc", func(s *Service) { s.Ports[0].Port = 8000 }) }, Fail, "8000:31885"},
			{"no hello-svc", func(f *Facts) { f.noService("hello-svc") }, Fail, "there is no such service"},
			{"endpoints unknown", func(f *Facts) { f.Cluster.Slices = Fact[[]EndpointSlice]{} }, Unknown, "not collected"},
			noCluster(),
		},
		"nodeport.answers": {
			asIs(),
			{"times out on w1", func(f *Facts) { f.probe(Host, false, w1Port, func(p *Probe) { p.Outcome = TimedOut }) }, Fail, "w1: 192.168.56.11:31885 timed out"},
			{"slow on w1", func(f *Facts) { f.probe(Host, false, w1Port, func(p *Probe) { p.Took = 3100 * time.Millisecond }) }, Fail, "answers after 3.1 s"},
			{"no time is told", func(f *Facts) { f.probe(Host, false, w1Port, func(p *Probe) { p.Took = 0 }) }, Unknown, "w1: 192.168.56.11:31885 answers, and nothing tells after how long"},
			{"another NodePort in the lab's file", func(f *Facts) { f.Lab.Demo.NodePort = 30080 }, Unknown, "no probe of its NodePort"},
			{"not probed on w1", func(f *Facts) { f.noProbe(Host, false, w1Port) }, Unknown, "w1: no probe of its NodePort"},
			{"the probe did not work", func(f *Facts) {
				f.probe(Host, false, w1Port, func(p *Probe) { p.Outcome, p.Why = Inconclusive, "interrupted" })
			}, Unknown, "w1: interrupted"},
		},
		"nodeport.spread": {
			asIs(),
			{"all on one node", func(f *Facts) {
				for i, p := range f.Cluster.Pods.Value {
					if p.Labels["app"] == "hello" {
						f.Cluster.Pods.Value[i].Node = "w1"
					}
				}
			}, Fail, "cp1 0, w1 6, w2 0"},
			{"one is missing on w1", func(f *Facts) { f.pod("hello-w1-0", func(p *Pod) { p.Ready = false }) }, Fail, "cp1 2, w1 1, w2 2, 5 of 6"},
			{"five, as is wanted", func(f *Facts) {
				f.pod("hello-w1-0", func(p *Pod) { p.Ready = false })
				f.Cluster.Deployments.Value[1].Desired = 5
			}, Pass, ""},
			{"five, and nobody said how many, as in records", func(f *Facts) {
				f.pod("hello-w1-0", func(p *Pod) { p.Ready = false })
				f.Cluster.Deployments = Fact[[]Workload]{}
			}, Pass, ""},
			{"none ready", func(f *Facts) { f.Cluster.Pods.Value = nil }, Fail, "there are none"},
			{"no hello-svc", func(f *Facts) { f.noService("hello-svc") }, Fail, "there is no such service"},
			{"pods unknown", func(f *Facts) { f.Cluster.Pods = Fact[[]Pod]{} }, Unknown, "not collected"},
			noCluster(),
		},
		"dns.kube-dns": {
			asIs(),
			{"another address", func(f *Facts) { f.changeService("kube-dns", func(s *Service) { s.ClusterIP = addr("10.43.0.11") }) }, Fail, "kube-dns 10.43.0.11"},
			{"another service network in the lab's file", func(f *Facts) { f.Lab.K3s.ServiceCIDR = prefix("10.53.0.0/16") }, Fail, "kube-dns 10.43.0.10"},
			{"none", func(f *Facts) { f.noService("kube-dns") }, Fail, "there is no such service"},
			noCluster(),
		},
		"demo.web": {
			asIs(),
			{"one of two", func(f *Facts) { f.Cluster.Deployments.Value[0].Available = 1 }, Fail, "web 1/2 available"},
			{"three of three", func(f *Facts) {
				f.Cluster.Deployments.Value[0] = Workload{Namespace: "demo", Name: "web", Desired: 3, Updated: 3, Available: 3}
			}, Fail, "web 3/3 available"},
			{"one is of an older make", func(f *Facts) { f.Cluster.Deployments.Value[0].Updated = 1 }, Fail, "web 2/2 available, 1 up to date"},
			{"none", func(f *Facts) { f.Cluster.Deployments.Value = nil }, Fail, `there is no deployment "web"`},
			noCluster(),
		},
		"demo.hello": {
			asIs(),
			{"five of six", func(f *Facts) { f.Cluster.Deployments.Value[1].Available = 5 }, Fail, "hello 5/6 available"},
			{"one of six", func(f *Facts) { f.Cluster.Deployments.Value[1].Available = 1 }, Fail, "hello 1/6 available"},
			{"scaled to three", func(f *Facts) {
				f.Cluster.Deployments.Value[1] = Workload{Namespace: "default", Name: "hello", Desired: 3, Updated: 3, Available: 3}
			}, Fail, "hello 3/3 available"},
			{"one that cannot be made anew", func(f *Facts) { f.Cluster.Deployments.Value[1].Updated = 5 }, Fail, "hello 6/6 available, 5 up to date"},
			{"none", func(f *Facts) { f.Cluster.Deployments.Value = f.Cluster.Deployments.Value[:1] }, Fail, `there is no deployment "hello" in namespace "default"`},
			noCluster(),
		},
		"demo.probe": {
			asIs(),
			{"none runs on w1", func(f *Facts) { f.noProbePod("w1") }, Fail, "w1: no pod of labctl/labctl-probe runs there"},
			{"that of w1 is not ready", func(f *Facts) { f.pod("labctl-probe-w1", func(p *Pod) { p.Ready = false }) }, Fail, "w1: labctl/labctl-probe-w1 is not ready"},
			{"the DaemonSet is gone, and its pods are not yet", func(f *Facts) { f.Cluster.DaemonSets.Value = nil }, Fail, "there is no such daemonset"},
			{"a node that is none of the lab's has none", func(f *Facts) {
				f.Cluster.DaemonSets.Value[0].Desired, f.Cluster.DaemonSets.Value[0].Updated = 4, 4
			}, Pass, ""},
			{"a cluster without labctl's DaemonSet, recorded", func(f *Facts) { f.Cluster.DaemonSets = Fact[[]Workload]{} }, Unknown, "not collected"},
			{"pods that a table tells in part", func(f *Facts) { f.Cluster.Pods.Partial = "namespace demo only" }, Unknown, "namespace demo only"},
			noCluster(),
		},
	}
}

func TestEveryCheckOnItsFixtures(t *testing.T) {
	all := fixtures()
	for _, c := range Catalogue() {
		t.Run(c.ID, func(t *testing.T) {
			seen := map[Status]bool{}
			for _, x := range all[c.ID] {
				f := healthy()
				x.change(f)
				got := c.Eval(*f)
				seen[x.want] = true
				if got.Status != x.want {
					t.Errorf("%s: %s, want %s: expected %q, actual %q", x.name, got.Status, x.want, got.Expected, got.Actual)
				}
				if !strings.Contains(got.Actual, x.says) {
					t.Errorf("%s: actual is %q, which does not say %q", x.name, got.Actual, x.says)
				}
				complete(t, x.name, got)
			}
			for _, s := range []Status{Pass, Fail, Unknown} {
				if !seen[s] {
					t.Errorf("no fixture gives %s", s)
				}
			}
		})
		delete(all, c.ID)
	}
	for id := range all {
		t.Errorf("there are fixtures for %q, which is no check", id)
	}
}

// complete says what a result of its status lacks.
func complete(t *testing.T, name string, r Result) {
	t.Helper()
	switch r.Status {
	case Pass:
		if r.Expected == "" || r.Actual == "" || len(r.Evidence) == 0 || r.Hint != "" {
			t.Errorf("%s: a pass says what was expected and found, and by what: %+v", name, r)
		}
	case Fail:
		if r.Expected == "" || r.Actual == "" || r.Hint == "" {
			t.Errorf("%s: a failure says what was expected, what was found and what to do: %+v", name, r)
		}
	case Unknown:
		if r.Actual == "" || r.Hint == "" {
			t.Errorf("%s: an unknown says why, and what to do: %+v", name, r)
		}
	}
}

// Without facts nothing passes, nothing fails, and nothing panics.
func TestNothingIsKnownOfEmptyFacts(t *testing.T) {
	lab := healthy().Lab
	ipvs := healthy()
	ipvs.inIPVS()
	for name, f := range map[string]Facts{"no lab": {}, "no facts": {Lab: lab}, "no facts, IPVS": {Lab: ipvs.Lab}} {
		r := Evaluate(f, Catalogue())
		for _, v := range r.Verdicts {
			if v.Status == Pass || v.Status == Fail {
				t.Errorf("%s: %s is %s: %s", name, v.ID, v.Status, v.Actual)
			}
		}
		if r.ExitCode() != 3 {
			t.Errorf("%s: exit code %d, want 3", name, r.ExitCode())
		}
	}
}

// A node that cannot be reached leaves verdicts on what does not depend on it.
func TestVerdictsForTheRest(t *testing.T) {
	f := healthy()
	f.unreached("w2")
	s := Evaluate(*f, Catalogue()).Summary()
	if s.Failed != 0 || s.Passed < 12 || s.Unknown < 8 {
		t.Errorf("with w2 unreached: %+v", s)
	}
	f.clusterNode("w1", func(n *Node) { n.VtepMAC = "02:00:00:00:00:01" })
	for _, c := range Catalogue() {
		if r := c.Eval(*f); c.ID == "pod.vtep-mac" && (r.Status != Fail || !strings.Contains(r.Actual, "unknown: w2: dial")) {
			t.Errorf("a failure beside a missing fact names both: %+v", r)
		}
	}
}

// A lab whose addresses are all others gives the same verdicts: nothing is hard-coded that the lab's file says.
func TestAnotherLab(t *testing.T) {
	f := healthy()
	f.Lab.Name = "other"
	f.Lab.Demo.NodePort = 30000
	for i := range f.Lab.Nodes {
		f.Lab.Nodes[i].Address = addr("172.20.0.20")
		for range i {
			f.Lab.Nodes[i].Address = f.Lab.Nodes[i].Address.Next()
		}
	}
	for _, v := range Evaluate(*f, Catalogue()).Verdicts {
		needsAddress := map[string]bool{
			"net.host-only-address": true, "net.internal-ip": true, "net.flannel-public-ip": true, "pod.vxlan": true, "nodeport.mapping": true,
			"lb.external-ip": true,
		}
		if needsAddress[v.ID] != (v.Status == Fail) {
			t.Errorf("%s is %s: %s", v.ID, v.Status, v.Actual)
		}
	}
}
