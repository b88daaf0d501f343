package sim

import (
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Rules are worded as iptables-save words them, whatever iptables was given.
func TestRulesAreWordedAsIptablesDoes(t *testing.T) {
	for given, want := range map[string]string{
		`-p udp --dport 8472 -j DROP`:                         `-p udp -m udp --dport 8472 -j DROP`,
		`-p tcp -s 10.0.0.1 -i enp0s8 -j REJECT`:              `-s 10.0.0.1/32 -i enp0s8 -p tcp -j REJECT --reject-with icmp-port-unreachable`,
		`! -d 10.42.0.0/16 -m comment --comment "a b" -j X`:   `! -d 10.42.0.0/16 -m comment --comment "a b" -j X`,
		`-m statistic --mode random --probability 0.2 -j SEP`: `-m statistic --mode random --probability 0.20000000019 -j SEP`,
		`-p tcp --dport 30000:32767 -j ACCEPT`:                `-p tcp -m tcp --dport 30000:32767 -j ACCEPT`,
	} {
		r, err := parseRule(ruleWords(given))
		if err != nil || r.text != want {
			t.Errorf("%s\n got %s (%v)\nwant %s", given, r.text, err, want)
			continue
		}
		again, err := parseRule(ruleWords(r.text))
		if diff := cmp.Diff(r.text, again.text); err != nil || diff != "" {
			t.Errorf("%s: read again: %v %s", r.text, err, diff)
		}
	}
	for _, bad := range []string{"--dport 80 -j DROP", "-p tcp --nosuch", "-d 10.0.0.300 -j DROP", "-p tcp --dport http -j DROP", "-m nosuch", "-j"} {
		if r, err := parseRule(ruleWords(bad)); err == nil {
			t.Errorf("%s: no error, but %q", bad, r.text)
		}
	}
}

// The names are those that kube-proxy's hash gives; these two are in every cluster.
func TestChainNames(t *testing.T) {
	for want, parts := range map[string][]string{
		"KUBE-SVC-NPX46M4PTMTKRN6Y": {"KUBE-SVC-", "default/kubernetes:https", "tcp"},
		"KUBE-SVC-TCOU7JCQXEZGVUNU": {"KUBE-SVC-", "kube-system/kube-dns:dns", "udp"},
		"KUBE-SEP-7J3FZHL6MJULGV6U": {"KUBE-SEP-", "default/kubernetes:https", "tcp", "192.168.56.10:6443"},
	} {
		if got := chainName(parts[0], parts[1:]...); got != want {
			t.Errorf("%v: %s, want %s", parts, got, want)
		}
	}
}

func TestShares(t *testing.T) {
	w := &World{turns: map[string]int{}}
	g := &guest{w: w, state: &guestState{}}
	for _, probabilities := range [][]float64{{1.0 / 3, 0.5}, {0.9}} {
		var rules []rule
		for _, p := range probabilities {
			rules = append(rules, rule{probability: p})
		}
		rules = append(rules, rule{probability: 1})
		const turns = 300
		got := make([]int, len(rules))
		for range turns {
			d := w.draw(g, strings.Repeat("x", len(rules)), rules, nil)
			for i, r := range rules {
				if r.probability == 1 || d.takes(r.probability) {
					got[i]++
					break
				}
			}
		}
		left := 1.0
		for i, r := range rules {
			want := left * r.probability
			left -= want
			if share := float64(got[i]) / turns; share < want-0.02 || share > want+0.02 {
				t.Errorf("%v: rule %d took %.3f, want %.3f", probabilities, i, share, want)
			}
		}
	}
}

func TestNetworkPrograms(t *testing.T) {
	l := newLab(t)
	l.cluster(2, correct)
	l.demo()
	ip := l.clusterIP("demo", "web-svc")
	l.fails(0, "iptables -t nat -S", 4, "you must be root")
	l.fails(0, "sudo iptables -t nosuch -S", 3, "table `nosuch' does not exist")
	l.fails(0, "sudo iptables -S NOSUCH", 1, "No chain/target/match by that name")
	l.fails(0, "sudo iptables -D INPUT -j DROP", 1, "Bad rule")
	l.fails(0, "sudo iptables -A INPUT -j NOSUCH", 2, "Chain 'NOSUCH' does not exist")
	l.fails(0, "sudo iptables --frobnicate", 2, "does not know")
	l.run(0, "sudo iptables -N MINE && sudo iptables -A MINE -p tcp --dport 81 -j DROP && sudo iptables -I INPUT 1 -j MINE && sudo iptables -C INPUT -j MINE")
	l.fails(0, "sudo iptables -X MINE", 1, "Device or resource busy")
	if diff := cmp.Diff("-N MINE\n-A MINE -p tcp -m tcp --dport 81 -j DROP\n", l.run(0, "sudo iptables -S MINE")); diff != "" {
		t.Errorf("-S MINE (-want +got):\n%s", diff)
	}
	l.run(0, "sudo iptables -D INPUT 1 && sudo iptables -F MINE && sudo iptables -X MINE")
	l.fails(0, "sudo iptables -S MINE", 1, "No chain")
	saved := l.run(0, "sudo iptables-save -t nat")
	for _, want := range []string{
		`-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES`,
		`-A KUBE-SERVICES -d ` + ip + `/32 -p tcp -m comment --comment "demo/web-svc cluster IP" -m tcp --dport 80 -j KUBE-SVC-DX6MYXUNVCCZY4TT`,
		`-A KUBE-SVC-DX6MYXUNVCCZY4TT ! -s 10.42.0.0/16 -d ` + ip + `/32 -p tcp -m comment --comment "demo/web-svc cluster IP" -m tcp --dport 80 -j KUBE-MARK-MASQ`,
		`-A KUBE-NODEPORTS -p tcp -m comment --comment "default/hello-svc" -m tcp --dport 31885 -j KUBE-EXT-IB7I2RSMEITQLMEF`,
		`-A KUBE-EXT-IB7I2RSMEITQLMEF -m comment --comment "masquerade traffic for default/hello-svc external destinations" -j KUBE-MARK-MASQ`,
		"COMMIT\n# Completed on ",
	} {
		if !strings.Contains(saved, want) {
			t.Errorf("iptables-save has no %s", want)
		}
	}
	// One connection, one pod; conntrack remembers which; without affinity the next one goes elsewhere.
	url := "http://" + nodeAddress(0) + ":31885/"
	one := l.run(1, "curl -sS -w '%{num_connects}\\n' "+url+" "+url+" "+url+" | grep -E 'Hostname|^[01]$' | sort | uniq -c")
	if !regexp.MustCompile(`^ +2 0\n +1 1\n +3 Hostname: hello-`).MatchString(one) {
		t.Errorf("three requests over one connection:\n%s", one)
	}
	if got := l.run(0, "sudo conntrack -L -p tcp --orig-port-dst 31885"); !regexp.MustCompile(`^tcp +6 1[12]\d TIME_WAIT src=192\.168\.56\.11 dst=192\.168\.56\.10 sport=\d+ dport=31885 src=10\.42\.\d\.\d+ dst=10\.42\.0\.[01] sport=8080 `).MatchString(got) {
		t.Errorf("conntrack: %q", got)
	}
	count := "for i in $(seq 6); do curl -sS " + url + " | grep Hostname; done | sort -u | wc -l"
	if got := strings.TrimSpace(l.run(1, count)); got != "6" {
		t.Errorf("6 connections met %s pods", got)
	}
	l.run(0, `sudo kubectl patch svc hello-svc -p '{"spec":{"sessionAffinity":"ClientIP"}}'`)
	if got := strings.TrimSpace(l.run(1, count)); got != "1" {
		t.Errorf("with session affinity, 6 connections met %s pods", got)
	}
	for command, want := range map[string]string{
		"ping -c1 192.168.56.11":                               "1 packets transmitted, 1 received, 0% packet loss",
		"ip neigh show dev flannel.1 | sed 's/lladdr .* P/P/'": "10.42.1.0 PERMANENT \n",
		"bridge fdb show dev flannel.1":                        " dst 192.168.56.11 self permanent\n",
		"sudo kubectl describe svc hello-svc":                  "\nPort:                     <unset>  80/TCP\nTargetPort:               8080/TCP\nNodePort:                 <unset>  31885/TCP\n",
		"date -u -d @0 +%F":                                    "1970-01-01\n",
		"sudo kubectl get pods -l app=hello --sort-by=.spec.nodeName -o custom-columns=NODE:.spec.nodeName | tail -n 1":                                                                                                                                           "w1\n",
		"sudo kubectl taint node w1 a=b:NoSchedule && sudo kubectl scale deploy/web -n demo --replicas=0 && sudo kubectl scale deploy/web -n demo --replicas=4 && sudo kubectl get pods -n demo -l app=web -o wide | grep -c w1 || sudo kubectl taint node w1 a-": "0\nnode/w1 untainted\n",
		"sudo kubectl get endpoints hello-svc 2>&1 >/dev/null": "Warning: v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice\n",
		"cat /proc/net/nf_conntrack | head -n 1":               "ipv4     2 tcp",
	} {
		if got := l.run(0, command); !strings.Contains(got, want) {
			t.Errorf("$ %s\n%swant %q", command, got, want)
		}
	}
	patch := `sudo kubectl patch svc hello-svc --type=json -p '[{"op":"replace","path":"/spec/ports/0/nodePort","value":30001}]'`
	if got := l.run(0, patch+" && sudo kubectl get svc hello-svc"); !strings.Contains(got, " 80:30001/TCP ") {
		t.Errorf("after a JSON patch:\n%s", got)
	}
	l.fails(0, "ping -c1 "+ip, 1, "0 received, 100% packet loss")
	l.fails(0, "date -s 'not a date'", 1, "invalid date")
	l.fails(0, "cat /proc/net/ip_vs", 1, "No such file")
	l.fails(0, "sudo kubectl taint node w1 nosuch-", 1, "not found")
}

// One rule of a service's chain is replaced: its share changes, and k3s writes it anew when it starts.
func TestReplacedRule(t *testing.T) {
	l := newLab(t)
	l.cluster(2, correct)
	l.demo()
	const chain = "KUBE-SVC-DX6MYXUNVCCZY4TT"
	shares := "sudo iptables -t nat -S " + chain + " | grep -o 'probability [0-9.]*'"
	before := l.run(1, shares)
	pod := strings.TrimSpace(l.run(1, "sudo iptables -t nat -S "+chain+" | grep -o 'KUBE-SEP-[A-Z0-9]*' | head -n 1"))
	l.run(1, "sudo iptables -t nat -R "+chain+" 2 -m statistic --mode random --probability 0.9 -j "+pod)
	if got := l.run(1, shares); got != "probability 0.89999999991\n" || got == before {
		t.Errorf("replaced: %q, before %q", got, before)
	}
	if got := l.run(0, shares); got != before {
		t.Errorf("the other node's: %q, before %q", got, before)
	}
	l.fails(1, "sudo iptables -t nat -R "+chain+" -j "+pod, 2, "-R requires a rule number")
	l.fails(1, "sudo iptables -t nat -R "+chain+" 9 -j "+pod, 1, "Index of replacement too big.")
	l.run(1, "sudo systemctl restart k3s-agent")
	if got := l.run(1, shares); got != before {
		t.Errorf("after the restart: %q, before %q", got, before)
	}
}

// What conntrack does not see is translated to no pod, and conntrack remembers nothing of it.
func TestUntracked(t *testing.T) {
	l := newLab(t)
	l.cluster(2, correct)
	l.demo()
	ip := l.clusterIP("demo", "web-svc")
	ask := "curl -sS -m 1 -o /dev/null http://" + ip + "/"
	l.run(0, ask)
	rule := " OUTPUT -d " + ip + " -p tcp --dport 80 -j NOTRACK"
	l.run(0, "sudo iptables -t raw -I"+rule+" && sudo iptables -t raw -C"+rule)
	l.fails(0, ask, 28, "timed out")
	l.run(1, ask)
	l.fails(0, "sudo iptables -t nat -I"+rule, 4, "Invalid argument")
	l.run(0, "sudo iptables -t raw -D"+rule)
	l.run(0, ask)
}
