// Package collect is the only I/O of a verification: it asks the nodes, VirtualBox and the host, keeps every command with its
// output as Evidence, and parses evidence into checks.Facts.
//
// It imports neither provision nor vbox; what it needs of VirtualBox is the interface Machines, wired by the caller.
//
// What only checks need that were not selected is not asked: see checks.Needs, and Options.Checks. All of the following is for all checks.
//
// # What runs on a node
//
// Each node gets one connection and, over it, scripts on the standard input of
//
//	sudo sh -s
//
// A script frames what every command prints, on each stream, between two lines that hold a word of its own. It writes no file, and
// needs no program: of the shell functions, $((...)), while, if and here documents, and printf. It appends the folders of
// k3s's own programs (/var/lib/rancher/k3s/data/current/bin and .../bin/aux, which hold iptables-save and conntrack) to PATH. The
// commands of the first script are
//
//	date +%s.%N
//	hostname
//	ip -j addr
//	ip -j route
//	ip -j -d link show flannel.1
//	cat /etc/machine-id
//	cat /run/flannel/subnet.env
//	iptables-save -t nat
//	cat /proc/net/ip_vs                  iptables mode: no such file, or no virtual server in it
//	ipvsadm -Ln                          IPVS mode
//	cat /proc/net/ip_vs                  IPVS mode, only if ipvsadm failed
//	date +%s.%N
//
// and on the server, before the last one (it runs as root, with no KUBECONFIG set; the second one reads labctl's manifests from its
// standard input, all of them in one stream, and prints "deployment.apps/web unchanged (server dry run)" for each object),
//
//	kubectl --request-timeout=20s get nodes,services,pods,endpointslices,endpoints,deployments,daemonsets -A -o json
//	kubectl --request-timeout=20s apply --dry-run=server -f -
//
// Where iptables-save shows no KUBE-SERVICES, another script follows:
//
//	iptables-legacy-save -t nat
//
// When the services' addresses are known, a second script asks web-svc up to eight times (kube-proxy picks a pod each time; less
// often where more than three nodes do), and on the server hello-svc: once as the positive control of the isolation probe, then four times over one connection that is kept alive,
// whose conntrack entry is then looked up (the second of these only if conntrack failed):
//
//	curl -sS --noproxy '*' -m 5 -o /dev/null -w '%{http_code} %{time_total}' http://CLUSTERIP/
//	curl -sS --noproxy '*' --fail-early -m 2 -w '\n%{local_port} %{num_connects}\n' http://CLUSTERIP/ http://CLUSTERIP/ http://CLUSTERIP/ http://CLUSTERIP/
//	conntrack -L -p tcp -d CLUSTERIP --dport 80
//	grep 'dst=CLUSTERIP ' /proc/net/nf_conntrack
//
// %{num_connects} is 1 for the first answer and 0 for those over the same connection.
//
// # What runs in pods
//
// Further scripts on the server, up to six beside each other, have two commands for one ready probe pod of each node. The second one feeds a script to
// a shell in the pod, so that one kubectl asks everything of a pod:
//
//	timeout 20 kubectl logs -n labctl labctl-probe-xxxxx --tail=1
//	timeout 40 kubectl exec -i -n labctl labctl-probe-xxxxx -- sh -s
//
// The script in the pod needs printf only and writes no file. It runs
//
//	hostname
//	wget -q -T 5 -O - http://CLUSTERIP/
//	wget -q -T 5 -O - http://web-svc.demo.svc.cluster.local/
//	nslookup web-svc.demo.svc.cluster.local
//	wget -q -T 3 -O - http://PODIP/      for the probe pods of other nodes: of all of them in a lab of up to six nodes; in a larger
//	                                     one of the next node in the lab's order (the last one asks the first) and of the server
//
// each as
//
//	printf 'labctl NONCE INDEX\n'
//	COMMAND 2>&1
//	printf '\nlabctl NONCE INDEX %d\n' $?
//
// and every one of them becomes evidence that reads as the kubectl exec that does the same.
//
// A node that cannot be reached is evidence too ("w2: dial ..."), and so is a command that fails. Tokens are cut from all output;
// the files that hold them are never read.
//
// # What the host does
//
// Before the nodes ask, labctl itself asks every node's NodePort eight times (less often in a lab of more than three nodes) and then on, up to forty times, until every pod of hello has
// answered by that node (in a lab of more than six nodes, until a pod of another one has); if some pod of hello has answered none of these, it asks on, up to 120 times in all, one node after the other. It asks
// hello-svc's ClusterIP eight times for every node, but not more than 64 times, all at once and each time with a new nonce in the query that
// whoami echoes. Traefik is asked once on every node, on each port of its
// service and on each of its node ports: port 80 in HTTP, 443 in HTTPS with any certificate (any answer will do, it is a 404). The
// evidence of such a probe reads as the curl that does the same:
//
//	curl -sS --noproxy '*' -m 5 -w '\n%{http_code} %{time_total}\n' 'http://192.168.56.10:31885/'
//	curl -sS -k --noproxy '*' -m 5 -w '\n%{http_code} %{time_total}\n' 'https://192.168.56.10/'
//
// # What reports name
//
// Evidence keeps commands as they were run. The facts' sources, which reports show, name what people type to see the same: with sudo
// where it takes root, and a kubectl get for each kind of object.
//
// # Bundles
//
// Write keeps evidence in a file, Read takes it back: Parse of what was read gives the same facts, on any machine. See bundle.go.
//
//	evidence, err := collect.Collect(ctx, collect.Options{Lab: lab, Connect: connect, HTTP: client})
//	if err != nil {
//		return err
//	}
//	r := checks.Evaluate(collect.Parse(evidence), checks.Catalogue())
package collect
