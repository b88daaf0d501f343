package checks

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/labctl/labctl/internal/config"
)

// healthy returns the facts of the default lab when all is well. Every call makes them anew: fixtures change them.
func healthy() *Facts {
	lab := config.Default()
	f := &Facts{Lab: lab, Nodes: map[string]NodeFacts{}, Machines: map[string]Fact[[]NIC]{}}
	var nodes []Node
	var pods []Pod
	pod := func(namespace, name string, labels map[string]string, node, ip string, ports ...int) Pod {
		p := Pod{Namespace: namespace, Name: name, Node: node, IP: addr(ip), Running: true, Ready: true, Labels: labels, Ports: ports}
		pods = append(pods, p)
		return p
	}
	web, hello := map[string]string{"app": "web"}, map[string]string{"app": "hello"}
	webSlice := EndpointSlice{Namespace: "demo", Service: "web-svc", Ports: []int{80}}
	helloSlice := EndpointSlice{Namespace: "default", Service: "hello-svc", Ports: []int{8080}}
	webTarget, helloTarget := netip.MustParseAddrPort("10.43.31.179:80"), netip.MustParseAddrPort("10.43.45.254:80")

	for i, n := range lab.Nodes {
		cidr := prefix(fmt.Sprintf("10.42.%d.0/24", i))
		natMAC, ownMAC, vtep := MAC(fmt.Sprintf("08:00:27:00:00:%02d", 10+i)), MAC(fmt.Sprintf("08:00:27:00:01:%02d", 10+i)), MAC(fmt.Sprintf("6a:1b:72:a5:9b:%02d", i))
		routes := []Route{
			{To: prefix("0.0.0.0/0"), Via: addr("10.0.2.2"), Dev: "enp0s3", Src: addr("10.0.2.15")},
			{To: prefix("10.0.2.0/24"), Dev: "enp0s3"},
			{To: prefix("164.124.101.2/32"), Via: addr("10.0.2.2"), Dev: "enp0s3"},
			{To: cidr, Dev: "cni0", Src: gateway(cidr).Addr()},
			{To: prefix("192.168.56.0/24"), Dev: "enp0s8", Src: n.Address},
		}
		for j := range lab.Nodes {
			if to := prefix(fmt.Sprintf("10.42.%d.0/24", j)); j != i {
				routes = append(routes, Route{To: to, Via: to.Addr(), Dev: "flannel.1", Onlink: true})
			}
		}
		from := func(command string) Source { return Source{Where: n.Name, Command: command} }
		f.Nodes[n.Name] = NodeFacts{
			Hostname: Known(n.Name, from("hostname")),
			Links: Known([]Link{
				{Name: "lo", Addresses: []netip.Prefix{prefix("127.0.0.1/8")}},
				{Name: "enp0s3", MAC: natMAC, MTU: 1500, Addresses: []netip.Prefix{prefix("10.0.2.15/24"), prefix("fe80::1/64")}},
				{Name: "enp0s8", MAC: ownMAC, MTU: 1500, Addresses: []netip.Prefix{netip.PrefixFrom(n.Address, 24)}},
				{Name: "flannel.1", MAC: vtep, MTU: 1450, Addresses: []netip.Prefix{netip.PrefixFrom(cidr.Addr(), 32)}},
				{Name: "cni0", MTU: 1450, Addresses: []netip.Prefix{gateway(cidr)}},
			}, from("ip -j addr")),
			Routes:    Known(routes, from("ip -j route")),
			VXLAN:     Known(VXLAN{Kind: "vxlan", MAC: vtep, Local: n.Address, Device: "enp0s8"}, from("ip -j -d link show flannel.1")),
			MachineID: Known(strings.Repeat(fmt.Sprint(i), 32), from("cat /etc/machine-id")),
			Subnet:    Known(Subnet{Network: lab.K3s.PodCIDR, Gateway: gateway(cidr)}, from("cat /run/flannel/subnet.env")),
			Clock:     Known(Clock{Low: -100 * time.Millisecond, High: 200 * time.Millisecond}, from("date +%s.%N")),
			IPVS:      Known([]VirtualServer{}, from("cat /proc/net/ip_vs")),
		}
		f.Machines[n.Name] = Known([]NIC{
			{Slot: 1, Kind: "nat", MAC: natMAC, Cable: true},
			{Slot: 2, Kind: "hostonly", Network: "vboxnet0", MAC: ownMAC, Cable: true},
		}, Source{Where: "virtualbox", Command: "VBoxManage showvminfo lab-" + n.Name + " --machinereadable"})
		nodes = append(nodes, Node{
			Name: n.Name, Ready: true, Internal: []netip.Addr{n.Address}, PodCIDRs: []netip.Prefix{cidr},
			PublicIP: n.Address, VtepMAC: vtep, MachineID: strings.Repeat(fmt.Sprint(i), 32),
		})
		for k := range 2 {
			p := pod("default", fmt.Sprintf("hello-%s-%d", n.Name, k), hello, n.Name, fmt.Sprintf("10.42.%d.%d", i, 10+k), 8080)
			helloSlice.Endpoints = append(helloSlice.Endpoints, Endpoint{Addr: p.IP, Ready: true})
		}
		probe := pod("labctl", "labctl-probe-"+n.Name, map[string]string{"app": "labctl-probe"}, n.Name, fmt.Sprintf("10.42.%d.20", i))
		if n.Role == config.RoleAgent {
			p := pod("demo", "web-"+n.Name, web, n.Name, fmt.Sprintf("10.42.%d.8", i))
			webSlice.Endpoints = append(webSlice.Endpoints, Endpoint{Addr: p.IP, Ready: true})
		}
		in := func(command string) Source {
			return Source{Where: "cp1", Command: "kubectl exec -n labctl " + probe.Name + " -- " + command}
		}
		for other := range lab.Nodes {
			if other != i {
				target := netip.AddrPortFrom(addr(fmt.Sprintf("10.42.%d.20", other)), 80)
				f.Probes = append(f.Probes, Probe{Where: n.Name, Pod: "labctl/" + probe.Name, Target: target, Outcome: Answered, From: in("wget -q -T 3 -O - http://" + target.Addr().String() + "/")})
			}
		}
		f.Access = append(f.Access,
			Access{Node: n.Name, Pod: "labctl/" + probe.Name, Verb: VerbLogs, OK: true, Known: true, From: Source{Where: "cp1", Command: "kubectl logs -n labctl " + probe.Name + " --tail=1"}},
			Access{Node: n.Name, Pod: "labctl/" + probe.Name, Verb: VerbExec, OK: true, Known: true, From: in("hostname")})
		f.Lookups = append(f.Lookups, Lookup{Where: n.Name, Pod: "labctl/" + probe.Name, Name: WebName, Addresses: []netip.Addr{webTarget.Addr()}, Known: true, From: in("nslookup " + WebName)})
		for _, port := range []uint16{80, 443, 31300, 31309} {
			target := netip.AddrPortFrom(n.Address, port)
			f.Probes = append(f.Probes, Probe{Where: Host, Target: target, Outcome: Answered, Status: 404, From: Source{Where: Host, Command: "curl http://" + target.String() + "/"}})
		}
		hostNet := Probe{Where: Host, Target: netip.AddrPortFrom(n.Address, HostNetPort), Outcome: Refused, Why: "connection refused",
			From: Source{Where: Host, Command: fmt.Sprintf("curl http://%s:%d/", n.Address, HostNetPort)}}
		if n.Role == config.RoleServer {
			hostNet.Outcome, hostNet.Status, hostNet.By, hostNet.Why = Answered, 200, n.Name, ""
			pods = append(pods, Pod{Namespace: "default", Name: "hostnet-x", Node: n.Name, IP: n.Address, HostNetwork: true, Running: true, Ready: true,
				Labels: map[string]string{"app": "hostnet"}, Ports: []int{HostNetPort}})
		}
		f.Probes = append(f.Probes, hostNet)
		for _, port := range []uint16{80, 31300} { // the other one is asked in IPVS mode
			target := netip.AddrPortFrom(n.Address, port)
			f.Probes = append(f.Probes, Probe{Where: Host, Target: target, Asked: IngressHost, Outcome: Answered, Status: 200, By: fmt.Sprintf("hello-%s-0", lab.Nodes[(i+1)%3].Name),
				From: Source{Where: Host, Command: "curl -H 'Host: hello.lab.test' http://" + target.String() + "/"}})
		}
		for k := range 2 { // answers of both of the next node's pods
			f.Probes = append(f.Probes, Probe{
				Where: Host, Target: netip.AddrPortFrom(n.Address, 31885), Outcome: Answered, Status: 200, Took: 12 * time.Millisecond,
				By: fmt.Sprintf("hello-%s-%d", lab.Nodes[(i+1)%3].Name, k), From: Source{Where: Host, Command: "curl http://" + n.Address.String() + ":31885/"},
			})
		}
		f.Probes = append(f.Probes,
			Probe{Where: n.Name, Pod: "labctl/" + probe.Name, Name: WebName, Outcome: Answered, From: in("wget -q -T 5 -O - http://" + WebName + "/")},
		)
		for range 4 {
			f.Probes = append(f.Probes,
				Probe{Where: n.Name, Target: webTarget, Outcome: Answered, Status: 200, Took: 2 * time.Millisecond, From: from("curl http://10.43.31.179/")},
				Probe{Where: n.Name, Pod: "labctl/" + probe.Name, Target: webTarget, Outcome: Answered, From: Source{Where: "cp1", Command: "kubectl exec -n labctl " + probe.Name + " -- wget -q -T 5 -O - http://10.43.31.179/"}})
		}
	}
	f.Probes = append(f.Probes,
		Probe{Where: "cp1", Target: helloTarget, Outcome: Answered, Status: 200, From: Source{Where: "cp1", Command: "curl http://10.43.45.254/"}},
		Probe{Where: Host, Target: helloTarget, Nonce: "N0NCE", Outcome: Refused, Why: "no route to host", From: Source{Where: Host, Command: "curl 'http://10.43.45.254/?nonce=N0NCE'"}},
	)
	from := Source{Where: "cp1", Command: "kubectl get nodes,services,pods,endpointslices,endpoints,deployments,daemonsets -A -o json"}
	f.Cluster = Cluster{
		Nodes: Known(nodes, from),
		Services: Known([]Service{
			{Namespace: "default", Name: "kubernetes", Type: "ClusterIP", ClusterIP: addr("10.43.0.1"), Ports: []ServicePort{{Port: 443, Target: "6443"}}},
			{Namespace: "kube-system", Name: "kube-dns", Type: "ClusterIP", ClusterIP: addr("10.43.0.10"), Ports: []ServicePort{{Port: 53, Target: "53"}}},
			{Namespace: "demo", Name: "web-svc", Type: "ClusterIP", ClusterIP: addr("10.43.31.179"), Ports: []ServicePort{{Port: 80, Target: "80"}}, Selector: web},
			{Namespace: "default", Name: "hello-svc", Type: "NodePort", ClusterIP: addr("10.43.45.254"), Ports: []ServicePort{{Port: 80, NodePort: 31885, Target: "8080"}}, Selector: hello, ExternalPolicy: "Cluster"},
			{Namespace: "kube-system", Name: "traefik", Type: "LoadBalancer", ClusterIP: addr("10.43.121.230"), Ports: []ServicePort{{Port: 80, NodePort: 31300}, {Port: 443, NodePort: 31309}}, External: []netip.Addr{addr("192.168.56.10"), addr("192.168.56.11"), addr("192.168.56.12")}, ExternalPolicy: "Cluster"},
			{Namespace: "default", Name: "headless", Type: "ClusterIP"},
		}, from),
		Pods: Known(append(pods,
			// What changes no verdict: a pod in the node's network, a finished one, one that waits, one of somebody else.
			Pod{Namespace: "kube-system", Name: "host-networked", Node: "w1", IP: addr("192.168.56.11"), HostNetwork: true, Running: true, Ready: true},
			Pod{Namespace: "kube-system", Name: "helm-install", Node: "cp1", IP: addr("10.42.9.9")},
			Pod{Namespace: "demo", Name: "web-waiting", Labels: web},
			Pod{Namespace: "foreign", Name: "web", Node: "w2", IP: addr("10.42.2.99"), Running: true, Ready: true, Labels: web},
		), from),
		Slices: Known([]EndpointSlice{webSlice, helloSlice, {Namespace: "default", Service: "kubernetes", Ports: []int{6443}, Endpoints: []Endpoint{{Addr: addr("192.168.56.10"), Ready: true}}}}, from),
		Endpoints: Known([]Endpoints{
			{Namespace: "default", Name: "kubernetes", Ready: []netip.Addr{addr("192.168.56.10")}}, olderOf(webSlice), olderOf(helloSlice),
		}, from),
		Deployments: Known([]Workload{
			{Namespace: "demo", Name: "web", Desired: 2, Updated: 2, Available: 2},
			{Namespace: "default", Name: "hello", Desired: 6, Updated: 6, Available: 6},
			{Namespace: "foreign", Name: "hello", Desired: 9},
		}, from),
		DaemonSets: Known([]Workload{{Namespace: "labctl", Name: "labctl-probe", Desired: 3, Updated: 3, Available: 3}}, from),
	}
	f.Kept = Known(KeptConnection{Target: helloTarget, LocalPort: 51344, Connects: 1, By: []string{"hello-w1-0", "hello-w1-0", "hello-w1-0", "hello-w1-0"}},
		Source{Where: "cp1", Command: "curl http://10.43.45.254/ http://10.43.45.254/"})
	end := netip.MustParseAddrPort
	f.Flows = Known([]Flow{{Src: end("192.168.56.10:51344"), Dst: helloTarget, ReplySrc: end("10.42.1.10:8080"), ReplyDst: end("10.42.0.0:51344"), Line: "tcp 6 119 TIME_WAIT"}},
		Source{Where: "cp1", Command: "conntrack -L -p tcp -d 10.43.45.254 --dport 80"})
	var applied []Applied
	for _, object := range []string{
		"namespace/demo", "deployment.apps/web", "service/web-svc", "deployment.apps/hello", "service/hello-svc", "ingress.networking.k8s.io/hello", "deployment.apps/hostnet",
		"namespace/labctl", "daemonset.apps/labctl-probe",
	} {
		applied = append(applied, Applied{object, "unchanged"})
	}
	f.Reapplied = Known(applied, Source{Where: "cp1", Command: "kubectl apply --dry-run=server -f -"})
	for _, n := range lab.Nodes {
		f.node(n.Name, func(facts *NodeFacts) {
			facts.NAT = Known(f.natRules(), Source{Where: n.Name, Command: "iptables-save -t nat"})
		})
	}
	return f
}

// natRules are kube-proxy's rules for the demo's services, in the shape of newer versions.
func (f *Facts) natRules() []NATRule {
	rule := func(r NATRule) NATRule {
		if r.Probability == 0 {
			r.Probability = 1
		}
		r.Line = fmt.Sprintf("-A %s ... -j %s", r.Chain, r.Jump)
		return r
	}
	rules := []NATRule{
		rule(NATRule{Chain: "PREROUTING", Jump: "KUBE-SERVICES"}),
		rule(NATRule{Chain: "OUTPUT", Jump: "KUBE-SERVICES"}),
		rule(NATRule{Chain: "KUBE-NODEPORTS", Jump: "KUBE-EXT-HELLO", Protocol: "tcp", Port: 31885, To: prefix("127.0.0.0/8")}),
		rule(NATRule{Chain: "KUBE-NODEPORTS", Jump: "KUBE-EXT-HELLO", Protocol: "tcp", Port: 31885}),
		rule(NATRule{Chain: "KUBE-EXT-HELLO", Jump: "KUBE-MARK-MASQ"}),
		rule(NATRule{Chain: "KUBE-EXT-HELLO", Jump: "KUBE-SVC-HELLO"}),
	}
	for _, s := range []struct{ service, chain string }{{"web-svc", "KUBE-SVC-WEB"}, {"hello-svc", "KUBE-SVC-HELLO"}} {
		service := f.Cluster.Services.Value[slices.IndexFunc(f.Cluster.Services.Value, func(x Service) bool { return x.Name == s.service })]
		ready := f.Cluster.readyEndpoints(service)
		rules = append(rules,
			rule(NATRule{Chain: "KUBE-SERVICES", Jump: s.chain, Protocol: "tcp", To: netip.PrefixFrom(service.ClusterIP, 32), Port: 80}),
			rule(NATRule{Chain: s.chain, Jump: "KUBE-MARK-MASQ"}))
		for i, e := range ready {
			own := fmt.Sprintf("KUBE-SEP-%s-%d", s.service, i)
			rules = append(rules,
				rule(NATRule{Chain: s.chain, Jump: own, Probability: 1 / float64(len(ready)-i)}),
				rule(NATRule{Chain: own, Jump: "KUBE-MARK-MASQ"}),
				rule(NATRule{Chain: own, Jump: "DNAT", Protocol: "tcp", DNAT: e}))
		}
	}
	return append(rules, rule(NATRule{Chain: "KUBE-SERVICES", Jump: "KUBE-NODEPORTS"}))
}

// nat changes a node's rules.
func (f *Facts) nat(node string, change func([]NATRule) []NATRule) {
	f.node(node, func(n *NodeFacts) { n.NAT.Value = change(n.NAT.Value) })
}

// before puts a rule of a node's before the first one of a chain that jumps there; an empty jump is any.
func (f *Facts) before(node, jump string, r NATRule) {
	r.Line = fmt.Sprintf("-I %s ... -j %s", r.Chain, r.Jump)
	if r.Probability == 0 {
		r.Probability = 1
	}
	f.nat(node, func(rules []NATRule) []NATRule {
		i := slices.IndexFunc(rules, func(o NATRule) bool { return o.Chain == r.Chain && (jump == "" || o.Jump == jump) })
		return slices.Insert(rules, i, r)
	})
}

// narrow gives every rule of a node's chain a condition that the other fields don't tell.
func (f *Facts) narrow(node, chain string) {
	f.nat(node, func(rules []NATRule) []NATRule {
		for i := range rules {
			rules[i].Narrow = rules[i].Narrow || rules[i].Chain == chain
		}
		return rules
	})
}

// noRule removes the rules of a node's chain that jump there; an empty chain or jump is any.
func (f *Facts) noRule(node, chain, jump string) {
	f.nat(node, func(rules []NATRule) []NATRule {
		return slices.DeleteFunc(rules, func(r NATRule) bool {
			return (chain == "" || r.Chain == chain) && (jump == "" || r.Jump == jump)
		})
	})
}

// virtualServers are what IPVS has for the demo on a node.
func (f *Facts) virtualServers(n config.Node) []VirtualServer {
	var all []VirtualServer
	for _, name := range []string{"web-svc", "hello-svc"} {
		s := f.Cluster.Services.Value[slices.IndexFunc(f.Cluster.Services.Value, func(x Service) bool { return x.Name == name })]
		at := []netip.AddrPort{netip.AddrPortFrom(s.ClusterIP, 80)}
		if name == "hello-svc" {
			at = append(at, netip.AddrPortFrom(n.Address, 31885))
		}
		for _, a := range at {
			v := VirtualServer{Protocol: "tcp", Addr: a, Scheduler: "rr"}
			for _, e := range f.Cluster.readyEndpoints(s) {
				v.Real = append(v.Real, RealServer{Addr: e, Weight: 1})
			}
			all = append(all, v)
		}
	}
	return all
}

func addr(s string) netip.Addr     { return netip.MustParseAddr(s) }
func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

// inIPVS changes facts to those of a lab in IPVS mode, with these addresses on kube-ipvs0 of every node.
func (f *Facts) inIPVS(addresses ...string) {
	f.Lab.K3s.KubeProxyMode = config.ProxyIPVS
	f.changeService("traefik", func(s *Service) { s.External = nil })
	dummy := Link{Name: "kube-ipvs0"}
	for _, a := range addresses {
		dummy.Addresses = append(dummy.Addresses, prefix(a+"/32"))
	}
	for _, n := range f.Lab.Nodes {
		facts := f.Nodes[n.Name]
		facts.Links.Value = append(facts.Links.Value, dummy)
		facts.IPVS = Known(f.virtualServers(n), Source{Where: n.Name, Command: "ipvsadm -Ln"})
		facts.NAT.Value = []NATRule{{Chain: "PREROUTING", Jump: "KUBE-SERVICES"}, {Chain: "KUBE-SERVICES", Jump: "KUBE-MARK-MASQ"}}
		f.Nodes[n.Name] = facts
	}
}

// olderOf is the object of the older API that goes with a slice.
func olderOf(s EndpointSlice) Endpoints {
	e := Endpoints{Namespace: s.Namespace, Name: s.Service}
	for _, x := range s.Endpoints {
		e.Ready = append(e.Ready, x.Addr)
	}
	return e
}

// endpoints changes a service's object of the older API.
func (f *Facts) endpoints(service string, change func(*Endpoints)) {
	all := f.Cluster.Endpoints.Value
	change(&all[slices.IndexFunc(all, func(e Endpoints) bool { return e.Name == service })])
}

// noEndpoints removes it.
func (f *Facts) noEndpoints(service string) {
	f.Cluster.Endpoints.Value = slices.DeleteFunc(f.Cluster.Endpoints.Value, func(e Endpoints) bool { return e.Name == service })
}

// schedule gives all virtual servers of a node a scheduler.
func (f *Facts) schedule(node, scheduler string) {
	f.node(node, func(n *NodeFacts) {
		for i := range n.IPVS.Value {
			n.IPVS.Value[i].Scheduler = scheduler
		}
	})
}

func (f *Facts) node(name string, change func(*NodeFacts)) {
	n := f.Nodes[name]
	change(&n)
	f.Nodes[name] = n
}

// link changes one device of a node.
func (f *Facts) link(node, device string, change func(*Link)) {
	links := f.Nodes[node].Links.Value
	change(&links[slices.IndexFunc(links, func(l Link) bool { return l.Name == device })])
}

// without removes a device of a node.
func (f *Facts) without(node, device string) {
	f.node(node, func(n *NodeFacts) {
		n.Links.Value = slices.DeleteFunc(n.Links.Value, func(l Link) bool { return l.Name == device })
	})
}

func (f *Facts) route(node string, r ...Route) {
	f.node(node, func(n *NodeFacts) { n.Routes.Value = append(n.Routes.Value, r...) })
}

// reroute changes the route of a node to a destination.
func (f *Facts) reroute(node, to string, change func(*Route)) {
	routes := f.Nodes[node].Routes.Value
	change(&routes[slices.IndexFunc(routes, func(r Route) bool { return r.To == prefix(to) })])
}

func (f *Facts) unroute(node, to string) {
	f.node(node, func(n *NodeFacts) {
		n.Routes.Value = slices.DeleteFunc(n.Routes.Value, func(r Route) bool { return r.To == prefix(to) })
	})
}

func (f *Facts) clusterNode(name string, change func(*Node)) {
	nodes := f.Cluster.Nodes.Value
	change(&nodes[slices.IndexFunc(nodes, func(n Node) bool { return n.Name == name })])
}

func (f *Facts) changeService(name string, change func(*Service)) {
	services := f.Cluster.Services.Value
	change(&services[slices.IndexFunc(services, func(s Service) bool { return s.Name == name })])
}

func (f *Facts) noService(name string) {
	f.Cluster.Services.Value = slices.DeleteFunc(f.Cluster.Services.Value, func(s Service) bool { return s.Name == name })
}

func (f *Facts) pod(name string, change func(*Pod)) {
	pods := f.Cluster.Pods.Value
	change(&pods[slices.IndexFunc(pods, func(p Pod) bool { return p.Name == name })])
}

func (f *Facts) slice(service string, change func(*EndpointSlice)) {
	all := f.Cluster.Slices.Value
	change(&all[slices.IndexFunc(all, func(s EndpointSlice) bool { return s.Service == service })])
}

// probe changes the first probe that was made at a place, in a pod or not, of a target.
func (f *Facts) probe(where string, inPod bool, target string, change func(*Probe)) {
	i := slices.IndexFunc(f.Probes, func(p Probe) bool {
		return p.Where == where && (p.Pod != "") == inPod && p.Target.String() == target
	})
	change(&f.Probes[i])
}

// ingressProbe changes what came of a call for the Ingress's host name.
func (f *Facts) ingressProbe(target string, change func(*Probe)) {
	change(&f.Probes[slices.IndexFunc(f.Probes, func(p Probe) bool { return p.Asked != "" && p.Target.String() == target })])
}

func (f *Facts) noIngressProbe() {
	f.Probes = slices.DeleteFunc(f.Probes, func(p Probe) bool { return p.Asked != "" })
}

func (f *Facts) noProbe(where string, inPod bool, target string) {
	f.Probes = slices.DeleteFunc(f.Probes, func(p Probe) bool {
		return p.Where == where && (p.Pod != "") == inPod && p.Target.String() == target && p.Asked == ""
	})
}

// fewProbes leaves only the first probe of a target at each place, in a pod or not.
func (f *Facts) fewProbes(inPod bool, target string) {
	seen := map[string]bool{}
	f.Probes = slices.DeleteFunc(f.Probes, func(p Probe) bool {
		if (p.Pod != "") != inPod || p.Target.String() != target {
			return false
		}
		again := seen[p.Where]
		seen[p.Where] = true
		return again
	})
}

// noProbePod takes the probe pods off these nodes, and what was asked of them.
func (f *Facts) noProbePod(nodes ...string) {
	gone := func(pod string) bool {
		return slices.ContainsFunc(nodes, func(n string) bool { return pod == "labctl-probe-"+n || pod == "labctl/labctl-probe-"+n })
	}
	f.Cluster.Pods.Value = slices.DeleteFunc(f.Cluster.Pods.Value, func(p Pod) bool { return gone(p.Name) })
	f.Probes = slices.DeleteFunc(f.Probes, func(p Probe) bool { return gone(p.Pod) })
	f.Lookups = slices.DeleteFunc(f.Lookups, func(l Lookup) bool { return gone(l.Pod) })
	f.Access = slices.DeleteFunc(f.Access, func(a Access) bool { return gone(a.Pod) })
}

// unreached makes a node one that could not be asked, as collect tells it.
func (f *Facts) unreached(name string) {
	why := name + ": dial tcp 192.168.56.12:22: connect: no route to host"
	f.Nodes[name] = NodeFacts{
		Problem: why, Hostname: Missing[string](why, Source{}), Links: Missing[[]Link](why, Source{}), Routes: Missing[[]Route](why, Source{}),
		VXLAN: Missing[VXLAN](why, Source{}), MachineID: Missing[string](why, Source{}), Subnet: Missing[Subnet](why, Source{}),
		Clock: Missing[Clock](why, Source{}), NAT: Missing[[]NATRule](why, Source{}), IPVS: Missing[[]VirtualServer](why, Source{}),
	}
	f.Probes = slices.DeleteFunc(f.Probes, func(p Probe) bool { return p.Where == name })
}

func (f *Facts) access(node, verb string, change func(*Access)) {
	change(&f.Access[slices.IndexFunc(f.Access, func(a Access) bool { return a.Node == node && a.Verb == verb })])
}

// isolationTries adds tries of hello-svc's ClusterIP from the host, each with a nonce of its own.
func (f *Facts) isolationTries(more int, change func(i int, p *Probe)) {
	first := f.Probes[slices.IndexFunc(f.Probes, func(p Probe) bool { return p.Where == Host && p.Target.String() == helloIP })]
	for i := range more {
		p := first
		p.Nonce = fmt.Sprintf("N0NCE%d", i)
		p.From.Command = fmt.Sprintf("curl 'http://10.43.45.254/?nonce=%s'", p.Nonce)
		change(i, &p)
		f.Probes = append(f.Probes, p)
	}
}

// answers replaces the NodePort's answers: so many of every node, of these pods in turn.
func (f *Facts) answers(each int, pods ...string) {
	f.Probes = slices.DeleteFunc(f.Probes, func(p Probe) bool { return p.Where == Host && p.Target.Port() == 31885 })
	for _, n := range f.Lab.Nodes {
		f.answersOf(n, each, pods...)
	}
}

func (f *Facts) answersOf(n config.Node, count int, pods ...string) {
	for i := range count {
		f.Probes = append(f.Probes, Probe{
			Where: Host, Target: netip.AddrPortFrom(n.Address, 31885), Outcome: Answered, Status: 200, By: pods[i%len(pods)],
			From: Source{Where: Host, Command: "curl http://" + n.Address.String() + ":31885/"},
		})
	}
}
