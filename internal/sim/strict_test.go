package sim

import (
	"strings"
	"testing"
)

// Every command does what its arguments say or refuses them: one that was taken and ignored would be a wrong answer.
func TestArgumentsAreDoneOrRefused(t *testing.T) {
	l := newLab(t)
	l.cluster(2, correct)
	l.demo()
	pod := l.pod("app=probe", 1)
	for command, want := range map[string]string{
		// kubectl: flags of other commands, and what the model has nothing for.
		"sudo kubectl delete ns demo --dry-run=server":                                       "unrecognized option '--dry-run=server'",
		"sudo kubectl scale deploy/web -n demo --replicas=0 --dry-run=client":                "unrecognized option",
		"sudo kubectl delete deploy web -n demo --cascade=orphan":                            "unrecognized option '--cascade=orphan'",
		"sudo kubectl apply --server-side -f -":                                              "unrecognized option '--server-side'",
		"sudo kubectl get pods --replicas=3":                                                 "unrecognized option",
		"sudo kubectl get pods --show-labels":                                                "unrecognized option",
		"sudo kubectl get pods --field-selector=spec.nodeName=w1":                            "unrecognized option",
		"sudo kubectl get pods -w":                                                           "invalid option -- 'w'",
		"sudo kubectl get pods -l 'app in (web,hello)'":                                      "does not know the selector",
		"sudo kubectl get pods -l '!app'":                                                    "does not know the selector",
		"sudo kubectl get pods -- x":                                                         "knows nothing after --",
		"sudo kubectl get deployments.nosuch":                                                "doesn't have a resource type",
		"sudo kubectl rollout restart svc/hello-svc":                                         `no rollouter has been implemented for "Service"`,
		"sudo kubectl label node w1 kubernetes.io/hostname=other":                            "already has a value (w1), and --overwrite is false",
		"sudo kubectl label node w1 svccontroller.k3s.cattle.io/lbpool=a":                    "does not know what",
		"sudo kubectl annotate node w1 flannel.alpha.coreos.com/public-ip-overwrite=1.1.1.1": "does not know what",
		"sudo kubectl annotate svc hello-svc svccontroller.k3s.cattle.io/lbpool=a":           "does not know the annotation",
		"sudo kubectl taint nonsense w1 a=b:NoSchedule":                                      "does not know taint",
		"sudo kubectl drain w1":                                                              `does not know the command "drain"`,
		"sudo kubectl logs -n demo " + pod + " nosuch":                                       "asks one pod only",
		"sudo kubectl logs -n demo " + pod + " -c nosuch":                                    "container nosuch is not valid for pod",
		"sudo kubectl exec -n demo " + pod + " other -- true":                                "asks one pod only",
		"sudo kubectl exec -n demo " + pod + " -- nslookup -type=AAAA web-svc.demo":          "does not know",
		"sudo kubectl exec -n demo " + pod + " -- nslookup web-svc.demo.cluster.local":       "NXDOMAIN",
		"sudo kubectl exec -n demo " + pod + " -- wget -S -q -O - http://web-svc.demo/":      "bad usage",
		// iptables: what no packet here can match, and targets where the kernel refuses them.
		"sudo iptables -I INPUT -m set --match-set x src -j DROP":                     "does not know",
		"sudo iptables -I INPUT -m physdev --physdev-in x -j DROP":                    "unknown option",
		"sudo iptables -I INPUT -m limit --limit 1/s -j DROP":                         "Couldn't load match",
		"sudo iptables -I INPUT -o enp0s8 -j DROP":                                    "Can't use -o with INPUT",
		"sudo iptables -t nat -I POSTROUTING -i enp0s8 -j RETURN":                     "Can't use -i with POSTROUTING",
		"sudo iptables -t nat -I PREROUTING -j DROP":                                  "Invalid argument",
		"sudo iptables -I INPUT -p tcp --dport 80 -j DNAT --to-destination 1.2.3.4:5": "Invalid argument",
		"sudo iptables -t mangle -I FORWARD -j REJECT":                                "Invalid argument",
		"sudo iptables -I INPUT -p tcp -j REJECT --reject-with icmp-host-prohibited":  "does not know --reject-with",
		"sudo iptables -I INPUT ! -p tcp -j DROP":                                     "unknown protocol",
		"sudo iptables -I INPUT -m comment ! --comment x -j DROP":                     "does not know ! --comment",
		"sudo iptables -I INPUT 0 -j DROP":                                            "Invalid rule number",
		"sudo iptables -S INPUT 1":                                                    "does not know",
		"sudo iptables -P INPUT DROP":                                                 "does not know",
		// ip
		"ip -j route get 10.43.0.1":                             "does not know",
		"ip route get 10.43.0.1 from 10.42.0.1":                 "does not know",
		"ip -p addr":                                            "does not know",
		"ip addr show scope global":                             "does not know",
		"ip link show type nosuch":                              "does not know",
		"sudo ip route append 10.9.0.0/16 dev enp0s8":           "does not know",
		"sudo ip route add 10.9.0.0/16 dev enp0s8 metric x":     `"metric" value is invalid`,
		"sudo ip route add 10.9.0.0/16 dev enp0s8 mtu 1400":     "does not know",
		"sudo ip route add 10.9.0.0/16 dev nosuch":              `Cannot find device "nosuch"`,
		"sudo ip route add 10.9.0.0/16":                         "No such device",
		"sudo ip route add 10.9.0.0/16 via 10.8.0.1 dev enp0s8": "Nexthop has invalid gateway",
		"sudo ip route add 10.9.0.0/16 via x dev enp0s8":        "inet address is expected",
		"sudo ip route add nonsense dev enp0s8":                 "inet prefix is expected",
		"sudo ip route add 192.168.56.0/24 dev enp0s3":          "File exists",
		"sudo ip route add 10.9.0.0/16 dev enp0s8 src 10.7.7.7": "Invalid prefsrc address",
		"sudo ip link set dev flannel.1 mtu 1451":               "Invalid argument",
		// the rest of the system
		"sudo sysctl -w net.bridge.bridge-nf-call-iptables=0": "does not know",
		"sudo sysctl --system":                                "unrecognized option",
		"echo 0 | sudo tee /proc/sys/net/ipv4/ip_forward":     "Permission denied",
		"sudo sh -c 'echo 0 >/proc/sys/net/ipv4/ip_forward'":  "Permission denied",
		"systemctl --user status k3s":                         "unrecognized option",
		"systemctl show k3s -p MainPID":                       "does not know",
		"sudo systemctl reload k3s":                           "does not know",
		"sudo shutdown -c":                                    "does not know",
		"sudo shutdown +5":                                    "does not know",
		"journalctl -u k3s --since yesterday":                 "unrecognized option",
		"date +%j":                                            "does not know",
		"stat -c %i /etc/hosts":                               "does not know",
		"seq 9 | tail -n +5":                                  "does not know",
		"seq 9 | tail -n -5":                                  "does not know",
		"echo abc | tr -d a-c":                                "does not know",
		"echo abc | tr -d '[:alpha:]'":                        "does not know",
		"wc -l /etc/hosts /etc/hostname":                      "does not know",
		"id root":                                             "does not know",
		"uptime -p":                                           "does not know",
		"ls -h":                                               "invalid option",
		"chmod 4755 /tmp":                                     "set-user-ID",
		"ulimit -n 5":                                         "does not know",
		"type -t ls":                                          "does not know",
		"curl -sS -L http://192.168.56.10:31885/":             "invalid option",
		"curl -sS -w '%{remote_ip}' http://192.168.56.10:31885/": "does not know",
		"ss -tlnp": "does not know",
	} {
		r, err := l.exec(0, command, "")
		if err != nil || r.exit == 0 || !strings.Contains(r.err+r.out, want) {
			t.Errorf("$ %s\nexit %d, %v, %q, want %q", command, r.exit, err, r.out+r.err, want)
		}
	}
	// None of these changed anything.
	for command, want := range map[string]string{
		"sudo kubectl get deploy -n demo web --no-headers":       "web 2/2 ",
		"sudo iptables -S INPUT | grep -c DROP || true":          "0 ",
		"cat /proc/sys/net/ipv4/ip_forward":                      "1 ",
		"ip route | grep -c 10.9 || true":                        "0 ",
		"touch -c /tmp/none; ls /tmp/none 2>/dev/null || echo n": "n ",
		"seq 9 | tail -n 2; seq 9 | head -n -7":                  "8 9 1 2 ",
		"echo a.b | tr . -":                                      "a-b ",
		"grep -c cp1 /etc/hosts /etc/hostname":                   "/etc/hosts:1 /etc/hostname:1 ",
		"date -u -d @0 '+%F %T %%'":                              "1970-01-01 00:00:00 % ",
	} {
		if got := strings.Join(strings.Fields(l.run(0, command)), " ") + " "; !strings.HasPrefix(got, want) {
			t.Errorf("$ %s\n%q, want %q", command, got, want)
		}
	}
}

// The kernel's table has one route for a prefix and a metric, and of several metrics the lowest counts.
func TestRoutesTakeEachOthersPlace(t *testing.T) {
	l := newLab(t)
	l.cluster(2, correct)
	l.run(1, "sudo ip route replace 10.42.0.0/24 via 192.168.56.10 dev enp0s8")
	if got := l.run(1, "ip route | grep 10.42.0.0/24"); got != "10.42.0.0/24 via 192.168.56.10 dev enp0s8 \n" {
		t.Errorf("replaced: %q", got)
	}
	l.run(1, "sudo ip route add 10.42.0.0/24 via 192.168.56.10 dev enp0s8 metric 7")
	l.run(1, "sudo systemctl restart k3s-agent")
	l.ready(1)
	if got := l.run(1, "ip route | grep 10.42.0.0/24"); got != "10.42.0.0/24 via 10.42.0.0 dev flannel.1 onlink \n10.42.0.0/24 via 192.168.56.10 dev enp0s8 metric 7 \n" {
		t.Errorf("after flannel's start: %q", got)
	}
	by := func(want string) {
		t.Helper()
		if got := l.run(1, "ip route get 8.8.8.8"); !strings.Contains(got, " dev "+want+" ") {
			t.Errorf("the way out is %q, want %s", got, want)
		}
	}
	by("enp0s3")
	l.run(1, "sudo ip route add default via 192.168.56.1 dev enp0s8")
	by("enp0s8")
	l.run(1, "sudo ip route del default via 192.168.56.1 dev enp0s8")
	by("enp0s3")
}

// A packet meets every table that has a chain at its place, and inverted ports are matched inverted.
func TestPacketsMeetEveryTable(t *testing.T) {
	l := newLab(t)
	l.cluster(2, correct)
	l.demo()
	ask := "curl -sS -m 1 -o /dev/null http://192.168.56.10:31885/"
	for _, rule := range []string{
		"-t raw -I PREROUTING -p tcp --dport 31885 -j DROP", "-t mangle -I PREROUTING -p tcp --dport 31885 -j DROP",
		"-t mangle -I FORWARD -i enp0s8 -p tcp --dport 8080 -j DROP", "-t mangle -I POSTROUTING -p tcp --dport 8080 -j DROP",
		"-I FORWARD -p tcp -m tcp ! --dport 22 -j DROP", "-I FORWARD -p tcp -m multiport ! --dports 22,443 -j DROP",
	} {
		l.run(1, ask)
		l.run(0, "sudo iptables "+rule)
		l.fails(1, ask, 28, "timed out")
		l.run(0, "sudo iptables "+strings.NewReplacer("-I ", "-D ").Replace(rule))
	}
	l.run(0, "sudo iptables -t mangle -I INPUT -p tcp --dport 6443 -j DROP")
	l.fails(1, "curl -sS -k -m 1 https://192.168.56.10:6443/ping", 28, "timed out")
}

// An agent whose calls of the API server are dropped is not heard of any more, and none can join.
func TestFirewallCutsAgentsOff(t *testing.T) {
	l := newLab(t)
	l.cluster(2, correct)
	state := func(want string) {
		t.Helper()
		l.eventually(func() error { return has(l.run(0, "sudo kubectl get node w1 --no-headers"), "w1 "+want+" ") })
	}
	for n, rule := range map[int]string{0: "INPUT -i enp0s8 -p tcp --dport 6443 -j DROP", 1: "OUTPUT -p tcp --dport 6443 -j REJECT"} {
		l.run(n, "sudo iptables -I "+rule)
		state("NotReady")
		l.run(1, "sudo systemctl restart --no-block k3s-agent")
		l.fails(1, "systemctl is-active k3s-agent", 3, "activating")
		want := map[int]string{0: "i/o timeout", 1: "connection refused"}[n]
		if got := l.run(1, "journalctl -u k3s-agent -n 1 --no-pager"); !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", rule, got, want)
		}
		l.run(n, "sudo iptables -D "+rule)
		state("Ready")
	}
}

// Settings of k3s whose effect is not in the model end it, instead of making a cluster that is not what they say.
func TestSettingsAreDoneOrRefused(t *testing.T) {
	l := newLab(t)
	l.machine(0)
	l.up(0)
	for settings, want := range map[string]string{
		"flannel-backend: host-gw\n":                         "does not know what --flannel-backend changes",
		"disable-kube-proxy: true\n":                         "does not know what --disable-kube-proxy changes",
		"cluster-dns: 10.43.0.99\n":                          "does not know what --cluster-dns changes",
		"cluster-domain: example.com\n":                      "does not know what --cluster-domain changes",
		"node-taint: [a=b:NoSchedule]\n":                     "does not know what --node-taint changes",
		"node-label: [a=b]\n":                                "does not know what --node-label changes",
		"kubelet-arg: [max-pods=3]\n":                        "does not know what --kubelet-arg changes",
		"service-node-port-range: 20-30\n":                   "does not know what --service-node-port-range changes",
		"https-listen-port: 7443\n":                          "does not know what --https-listen-port changes",
		"agent-token: other\n":                               "does not know what --agent-token changes",
		"kube-proxy-arg: [nodeport-addresses=127.0.0.0/8]\n": "does not know what --nodeport-addresses changes",
		"egress-selector-mode: pod\n":                        `does not know the egress-selector-mode \"pod\"`,
		"disable: [nosuch]\n":                                `has no component \"nosuch\" to disable`,
	} {
		l.k3s(0, correct(0)+settings)
		if got := l.run(0, "systemctl is-active k3s || journalctl -u k3s -n 4 --no-pager"); !strings.Contains(got, want) {
			t.Errorf("%q: %s, want %q", settings, got, want)
		}
	}
	l.run(0, "sudo tee /etc/rancher/k3s/config.yaml", correct(0))
	unit := strings.ReplaceAll(testUnit, "ROLE", "server")
	l.run(0, "sudo tee /etc/systemd/system/k3s.service", strings.Replace(unit, "Type=notify", "Environment=K3S_NODE_NAME=x", 1))
	if got := l.run(0, "sudo systemctl restart k3s || journalctl -u k3s -n 4 --no-pager"); !strings.Contains(got, "variable K3S_NODE_NAME") {
		t.Errorf("a variable: %s", got)
	}
}

// A pod whose device on the node is switched off neither reaches anybody nor is reached.
func TestPodsAreUnplugged(t *testing.T) {
	l := newLab(t)
	l.cluster(2, correct)
	l.demo()
	pod := l.pod("app=probe", 1)
	ip := strings.TrimSpace(l.run(0, "sudo kubectl -n demo get pod "+pod+" -o jsonpath='{.status.podIP}'"))
	set := func(state string) {
		l.run(1, "for i in $(ip -br link show type veth | cut -d@ -f1); do sudo ip link set dev $i "+state+"; done")
	}
	from := "sudo kubectl exec -n demo " + pod + " -- wget -q -T 1 -O - http://" + l.clusterIP("demo", "web-svc") + "/"
	to := "sudo kubectl exec -n demo " + l.pod("app=probe", 0) + " -- wget -q -T 1 -O - http://" + ip + "/"
	for range 2 {
		l.run(0, from)
		l.run(0, to)
		set("down")
		l.fails(0, from, 1, "timed out")
		l.fails(0, to, 1, "wget: ")
		l.fails(1, "ping -c1 "+ip, 1, "Destination Host Unreachable")
		set("up")
	}
}
