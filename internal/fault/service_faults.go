package fault

import (
	"fmt"

	"github.com/labctl/labctl/internal/config"
)

// serviceFaults are those of services and their pods.
func serviceFaults() []Fault {
	return []Fault{
		{
			ID: "cluster-ip-on-nic", Exercise: "06", workers: 1,
			Title:       "a ClusterIP is bound to a NIC of a worker",
			Explanation: "Somebody tried to make a ClusterIP reachable by giving it to a card. It works no better than before: kube-proxy's rules alone make it work, and it belongs to no machine.",
			Fails:       both("svc.virtual"),
			script: func(p places) Script {
				return Script{
					Ask: []Question{
						p.hostOnlyNIC(p.one),
						{Name: "IP", Where: p.server.Name, Command: "kubectl -n demo get service web-svc -o jsonpath='{.spec.clusterIP}'"},
					},
					Break: []Action{on(p.one.Name, `sudo ip addr add "$IP/32" dev "$NIC"`)},
					Undo:  []Action{on(p.one.Name, `if ip -4 -br addr show dev "$NIC" | grep -qF " $IP/32"; then sudo ip addr del "$IP/32" dev "$NIC"; fi`)},
				}
			},
		},
		{
			ID: "second-service-network", Exercise: "06",
			Title: "a service has a ClusterIP outside of the service network",
			Explanation: "Kubernetes takes further networks for services, as ServiceCIDR objects. Nothing in the cluster minds; what was set up for the lab's own " +
				"service network (routes, firewalls, proxy exceptions, people's expectations) knows nothing of that address.",
			Fails: both("svc.cluster-ip"),
			script: func(p places) Script {
				const name = "labctl-second"
				return Script{
					// The question is whether there are such objects.
					Ask: []Question{{Name: "FIRST", Where: p.server.Name, Command: "kubectl get servicecidr kubernetes -o jsonpath='{.spec.cidrs[0]}'",
						Missing: "the cluster must know ServiceCIDR objects, as Kubernetes does since v1.33"}},
					Break: []Action{
						p.kubectl(`apply -f - <<'EOF'
{"apiVersion":"networking.k8s.io/v1","kind":"ServiceCIDR","metadata":{"name":"%s"},"spec":{"cidrs":["198.18.43.0/24"]}}
EOF`, name),
						// Until the new network is in use, the address is refused.
						until(p.server.Name, `kubectl apply -f - <<'EOF'
{"apiVersion":"v1","kind":"Service","metadata":{"name":"%s"},"spec":{"clusterIP":"198.18.43.10","ports":[{"port":80}]}}
EOF`, name),
					},
					Undo: []Action{
						p.kubectl("delete service %s --ignore-not-found", name),
						p.kubectl("delete servicecidr %s --ignore-not-found", name),
					},
				}
			},
		},
		{
			ID: "cluster-ip-leak", Exercise: "06",
			Title: "a route on the host leads the service network to a node",
			Explanation: "kube-proxy's rules hang in PREROUTING, so a node serves a ClusterIP to whoever sends it packets for it. With a route to a node " +
				"the host reaches every service inside the cluster, which is why a ClusterIP is no protection.",
			Fails: both("svc.isolated"),
			script: func(p places) Script {
				route := func(present bool) []Action {
					return []Action{{Where: Host, Route: &Route{To: p.lab.K3s.ServiceCIDR.Masked(), Via: p.server.Address, Present: present}}}
				}
				return Script{Break: route(true), Undo: route(false)}
			},
		},
		{
			ID: "selector-matches-nothing", Exercise: "06",
			Title:       "the selector of web-svc matches no pod",
			Explanation: "The service is there, its pods are Ready, and its EndpointSlice is empty: the selector and the pods' labels differ. Connections are refused.",
			Fails:       both("svc.endpoints", "svc.old-endpoints", "svc.from-nodes", "svc.from-pods", "svc.by-name", "demo.unchanged"),
			script: func(p places) Script {
				selector := func(app string) []Action {
					return []Action{p.kubectl(`-n demo patch service web-svc -p '{"spec":{"selector":{"app":"%s"}}}'`, app)}
				}
				return Script{Break: selector("nothing"), Undo: selector("web")}
			},
		},
		{
			ID: "pods-never-ready", Exercise: "06",
			Title:       "the pods of web run and never become ready",
			Explanation: "Their readiness probe always fails. They are Running, 0/1 ready, and no endpoints: a service sends to ready pods only.",
			Fails:       both("demo.web", "svc.endpoints", "svc.old-endpoints", "svc.from-nodes", "svc.from-pods", "svc.by-name"),
			script: func(p places) Script {
				patch := func(unavailable, probe string) Action {
					return p.kubectl(`-n demo patch deployment web -p '{"spec":{"strategy":{"rollingUpdate":{"maxUnavailable":"%s"}},`+
						`"template":{"spec":{"containers":[{"name":"nginx","readinessProbe":%s}]}}}}'`, unavailable, probe)
				}
				return Script{
					Break: []Action{
						patch("100%", `{"exec":{"command":["false"]}}`),
						until(p.server.Name, "! kubectl -n demo get pods -l app=web --no-headers | grep -q ' 1/1 '"),
					},
					Undo: []Action{patch("25%", "null"), p.rolledOut("demo deployment/web")},
				}
			},
		},
		{
			ID: "node-port-filtered", Exercise: "10", workers: 1,
			Title:       "a worker drops what comes in for the NodePort",
			Explanation: "The rule stands before kube-proxy's. The other nodes' addresses still answer, also by pods of this worker.",
			Fails:       both("nodeport.answers", "nodeport.remote"),
			script: func(p places) Script {
				return rule(p.last.Name, "raw", "PREROUTING", fmt.Sprintf("-d %s -p tcp --dport %d -j DROP", p.last.Address, p.lab.Demo.NodePort))
			},
		},
		{
			ID: "host-port-filtered", Exercise: "10",
			Title: "the server drops what comes in for the port of the pod in its network",
			Explanation: "The pod runs, is Ready, and listens. Its port is one of the node's, and so is the firewall in front of it; no Service and no rule of " +
				"kube-proxy's has a part in it, so nothing else notices.",
			Fails: both("pod.host-network"),
			script: func(p places) Script {
				return rule(p.server.Name, "filter", "INPUT", "-p tcp --dport 8090 -j DROP")
			},
		},
		{
			ID: "local-policy", Exercise: "10", workers: 1,
			Title: "hello-svc's externalTrafficPolicy is Local",
			Explanation: "A node hands connections from outside to its own pods only. While every node has pods of hello, nothing seems to be wrong; " +
				"on a node without one the NodePort is dead.",
			Fails: plus(both("nodeport.policy", "nodeport.remote"), config.ProxyIPVS, "proxy.virtual-servers"),
			script: func(p places) Script {
				policy := func(name string) []Action {
					return []Action{p.kubectl(`patch service hello-svc -p '{"spec":{"externalTrafficPolicy":"%s"}}'`, name)}
				}
				return Script{Break: policy("Local"), Undo: policy("Cluster")}
			},
		},
		{
			ID: "wrong-type", Exercise: "10",
			Title: "hello-svc is a LoadBalancer",
			Explanation: "Its NodePort goes on answering, as a LoadBalancer has one too. It gets no EXTERNAL-IP: its port is taken on every node by " +
				"Traefik's, or there is no ServiceLB.",
			Fails: both("nodeport.mapping", "demo.unchanged"),
			script: func(p places) Script {
				kind := func(name string) []Action {
					return []Action{p.kubectl(`patch service hello-svc -p '{"spec":{"type":"%s"}}'`, name)}
				}
				return Script{Break: kind("LoadBalancer"), Undo: kind("NodePort")}
			},
		},
		{
			ID: "ingress-https-only", Exercise: "11",
			Title: "Traefik serves hello's Ingress at its port for HTTPS only",
			Explanation: "An annotation, which means nothing to Kubernetes, ties the Ingress to one of Traefik's entry points. The pods, the Service, the Ingress " +
				"and Traefik are all there and well, and whoever calls for the host name by HTTP gets Traefik's 404.",
			Fails: both("lb.ingress"),
			script: func(p places) Script {
				const entryPoints = "traefik.ingress.kubernetes.io/router.entrypoints"
				// Traefik takes a moment. One that does not answer at all, for another reason, is not waited for.
				over := func(answer string) Action {
					return until(p.server.Name, `! curl -sS -m 5 -H 'Host: hello.lab.test' "http://$IP/" | grep -q '^%s'`, answer)
				}
				return Script{
					Ask: []Question{{Name: "IP", Where: p.server.Name, Command: "kubectl -n kube-system get svc traefik -o jsonpath='{.spec.clusterIP}'",
						Missing: "Traefik must be there"}},
					Break: []Action{p.kubectl("annotate ingress hello %s=websecure --overwrite", entryPoints), over("Hostname: ")},
					Undo:  []Action{p.kubectl("annotate ingress hello %s-", entryPoints), over("404 ")},
				}
			},
		},
		{
			ID: "dns-stopped", Exercise: "12",
			Title:       "CoreDNS is scaled to zero",
			Explanation: "Nobody answers at kube-dns's ClusterIP. Services go on answering by their ClusterIPs: names are another matter than addresses.",
			Fails:       both("dns.resolves", "svc.by-name"),
			script: func(p places) Script {
				return Script{
					Ask: []Question{{Name: "REPLICAS", Where: p.server.Name, Command: "kubectl -n kube-system get deployment coredns -o jsonpath='{.spec.replicas}'"}},
					Break: []Action{
						p.kubectl("-n kube-system scale deployment coredns --replicas=0"),
						until(p.server.Name, "! kubectl -n kube-system get pods -l k8s-app=kube-dns --no-headers | grep -q ' 1/1 '"),
					},
					Undo: []Action{
						p.kubectl(`-n kube-system scale deployment coredns --replicas="$REPLICAS"`),
						p.rolledOut("kube-system deployment/coredns"),
					},
				}
			},
		},
		{
			ID: "dns-moved", Exercise: "12",
			Title:       "kube-dns has another ClusterIP than the pods were told",
			Explanation: "Every pod's /etc/resolv.conf names the tenth address of the service network. CoreDNS runs and answers, at an address that nobody asks.",
			Fails:       both("dns.kube-dns", "dns.resolves", "svc.by-name"),
			script: func(p places) Script {
				at := func(n int) []Action {
					return []Action{
						p.kubectl("-n kube-system delete service kube-dns --ignore-not-found"),
						p.kubectl("apply -f - <<'EOF'\n%sEOF", fmt.Sprintf(kubeDNS, nth(p.lab.K3s.ServiceCIDR, n))),
					}
				}
				return Script{Break: at(11), Undo: at(10)}
			},
		},
	}
}

// kubeDNS is the service as k3s makes it, without its address.
const kubeDNS = `apiVersion: v1
kind: Service
metadata:
  name: kube-dns
  namespace: kube-system
  labels: {k8s-app: kube-dns, kubernetes.io/cluster-service: "true", kubernetes.io/name: CoreDNS}
spec:
  clusterIP: %s
  selector: {k8s-app: kube-dns}
  ports:
    - {name: dns, port: 53, protocol: UDP}
    - {name: dns-tcp, port: 53, protocol: TCP}
    - {name: metrics, port: 9153, protocol: TCP}
`
