// Package collect is the only I/O of a verification: it asks the nodes, VirtualBox and the host, keeps every command with its
// output as Evidence, and parses evidence into checks.Facts.
//
// It imports neither provision nor vbox; what it needs of VirtualBox is the interface Machines, wired by the caller.
//
// # What runs on a node
//
// Each node gets one connection and, over it, scripts on the standard input of
//
//	sudo sh -s
//
// A script frames the output of every command with its length. Of the shell it needs functions, $(...), $((...)), while, &, wait
// and trap ... EXIT; of programs mktemp -d, wc -c, cat, printf, echo and rm -rf. The commands are
//
//	hostname
//	ip -j addr
//	ip -j route
//	ip -j -d link show flannel.1
//	cat /etc/machine-id
//	cat /run/flannel/subnet.env
//
// and on the server, in the same script (it runs as root, with no KUBECONFIG set),
//
//	kubectl --request-timeout=20s get nodes,services,pods,endpointslices,deployments,daemonsets -A -o json
//
// When the services' addresses are known, a second script asks web-svc up to eight times (kube-proxy picks a pod each time), and
// on the server hello-svc once, the positive control of the isolation probe:
//
//	curl -sS -m 5 -o /dev/null -w '%{http_code} %{time_total}' http://CLUSTERIP/
//
// and on the server a third one asks from one ready probe pod of each node, six at a time:
//
//	kubectl exec -n labctl labctl-probe-xxxxx -- wget -q -T 5 -O - http://CLUSTERIP/
//
// A node that cannot be reached is evidence too ("w2: dial ..."), and so is a command that fails. Tokens are cut from all output;
// the files that hold them are never read.
//
// # What the host does
//
// labctl itself asks every node's NodePort up to eight times, and hello-svc's ClusterIP once, with a nonce in the query that whoami
// echoes. The evidence of such a probe reads as the curl that does the same.
//
//	evidence, err := collect.Collect(ctx, collect.Options{Lab: lab, Connect: connect, HTTP: client})
//	if err != nil {
//		return err
//	}
//	r := checks.Evaluate(collect.Parse(evidence), checks.Catalogue())
package collect
