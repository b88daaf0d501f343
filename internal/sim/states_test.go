//go:build slow

package sim

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/labctl/labctl/checks"
	"github.com/labctl/labctl/internal/config"
)

// TestStates changes one thing at a time, sees what fails, changes it back, and sees that all is well again.
func TestStates(t *testing.T) {
	restart := "sudo systemctl restart k3s-agent"
	tables := map[config.ProxyMode][]struct {
		name      string
		node      int
		do, undo  string
		fails     []string
		notFailed []string
	}{
		config.ProxyIPTables: {
			{name: "KUBE-SERVICES is empty", node: 1, do: "sudo iptables -t nat -F KUBE-SERVICES", undo: restart, fails: []string{"proxy.chains", "svc.from-nodes", "svc.from-pods", "nodeport.answers", "dns.resolves"}},
			{name: "no jump from OUTPUT", node: 1, do: `sudo iptables -t nat -D OUTPUT -m comment --comment "kubernetes service portals" -j KUBE-SERVICES`, undo: restart,
				fails: []string{"proxy.hooks", "svc.from-nodes"}, notFailed: []string{"svc.from-pods", "nodeport.answers"}},
			{name: "VXLAN is dropped", node: 2, do: "sudo iptables -I INPUT -p udp --dport 8472 -j DROP", undo: "sudo iptables -D INPUT -p udp --dport 8472 -j DROP",
				fails: []string{"pod.reach", "svc.from-pods"}, notFailed: []string{"pod.vtep-mac", "cluster.exec"}},
			{name: "the node port is dropped", node: 1, do: "sudo iptables -t raw -I PREROUTING -p tcp --dport 31885 -j DROP", undo: "sudo iptables -t raw -F PREROUTING", fails: []string{"nodeport.answers"}, notFailed: []string{"pod.reach"}},
			{name: "uneven shares", node: 0, do: `CHAIN=$(sudo iptables -t nat -S KUBE-SERVICES | grep demo/web-svc | sed 's/.*-j //'); TO=$(sudo iptables -t nat -S $CHAIN | grep statistic | head -n 1 | sed 's/.*-j //'); ` +
				`sudo iptables -t nat -D $CHAIN 2; sudo iptables -t nat -I $CHAIN 2 -m statistic --mode random --probability 0.9 -j $TO`,
				undo: "sudo systemctl restart k3s", fails: []string{"proxy.shares"}},
			{name: "ClusterIPs routed from the host", fails: []string{"svc.isolated"}},
			{name: "LoadBalancer pods gone", node: 0, do: "sudo kubectl scale deployment traefik -n kube-system --replicas=0", undo: "sudo kubectl scale deployment traefik -n kube-system --replicas=1",
				fails: []string{"lb.answers", "lb.node-ports"}},
			{name: "no DNS", node: 0, do: "sudo kubectl scale deployment coredns -n kube-system --replicas=0", undo: "sudo kubectl scale deployment coredns -n kube-system --replicas=1",
				fails: []string{"dns.resolves", "svc.by-name"}, notFailed: []string{"dns.kube-dns"}},
			{name: "externalTrafficPolicy Local", node: 0, do: `sudo kubectl patch svc hello-svc -p '{"spec":{"externalTrafficPolicy":"Local"}}'`, undo: `sudo kubectl patch svc hello-svc -p '{"spec":{"externalTrafficPolicy":"Cluster"}}'`,
				fails: []string{"nodeport.policy", "nodeport.remote"}},
			{name: "another selector", node: 0, do: `sudo kubectl patch svc web-svc -n demo -p '{"spec":{"selector":{"app":"nobody"}}}'`, undo: `sudo kubectl patch svc web-svc -n demo -p '{"spec":{"selector":{"app":"web"}}}'`,
				fails: []string{"svc.from-nodes", "demo.unchanged"}},
			{name: "the clock is wrong", node: 2, do: "sudo date -s '+1 hour'", undo: "sudo systemctl restart systemd-timesyncd", fails: []string{"cluster.clocks"}, notFailed: []string{"cluster.ready"}},
			{name: "flannel's MTU", node: 1, do: "sudo ip link set dev flannel.1 mtu 1400", undo: "sudo ip link set dev flannel.1 mtu 1450", fails: []string{"pod.mtu"}, notFailed: []string{"pod.reach"}},
			{name: "flannel's MAC", node: 1, do: "sudo ip link set dev flannel.1 address 02:00:00:00:00:01", undo: restart, fails: []string{"pod.vtep-mac", "pod.reach"}},
			{name: "an address is gone", node: 1, do: "sudo ip addr del 10.0.2.15/24 dev enp0s3", undo: "sudo netplan apply", fails: []string{"net.nat-address", "net.default-route"}},
			{name: "a route is gone", node: 1, do: "sudo ip route del 10.42.0.0/24", undo: restart, fails: []string{"pod.routes", "pod.reach"}},
			{name: "the cable is out", node: 2, fails: []string{"net.nics", "cluster.ready"}},
		},
		config.ProxyIPVS: {
			{name: "no virtual servers", node: 1, do: "sudo ipvsadm -C", undo: restart, fails: []string{"proxy.virtual-servers", "svc.from-nodes", "svc.from-pods", "nodeport.answers"}},
			{name: "an address of another node on kube-ipvs0", node: 1, do: "sudo ip addr add 192.168.56.12/32 dev kube-ipvs0", undo: restart, fails: []string{"proxy.ipvs-node-addresses", "pod.reach"}},
			{name: "VXLAN is dropped", node: 2, do: "sudo iptables -I INPUT -p udp --dport 8472 -j DROP", undo: "sudo iptables -D INPUT -p udp --dport 8472 -j DROP", fails: []string{"pod.reach"}},
			{name: "no endpoints", node: 0, do: "sudo kubectl scale deployment web -n demo --replicas=0", undo: "sudo kubectl scale deployment web -n demo --replicas=2", fails: []string{"demo.web", "svc.from-nodes"}},
		},
	}
	network, gateway := netip.MustParsePrefix("10.43.0.0/16"), netip.MustParseAddr("192.168.56.10")
	for mode, rows := range tables {
		l := newLab(t)
		c := configured(3, mode)
		l.settled(c)
		l.expect(c, "healthy")
		for _, row := range rows {
			t.Run(string(mode)+"/"+row.name, func(t *testing.T) {
				l.t = t
				change := func(command string, on bool) {
					var err error
					switch {
					case command != "":
						l.run(row.node, command)
					case row.name == "the cable is out":
						l.vbox(func(s *vboxState) { s.Machines[row.node].NICs[1].Cable = !on })
					case on:
						err = l.world.AddHostRoute(network, gateway)
					default:
						err = l.world.RemoveHostRoute(network, gateway)
					}
					if err != nil {
						t.Fatal(err)
					}
				}
				change(row.do, true)
				l.eventually(func() error {
					failed, unknown, r := l.verdicts(c)
					for _, id := range row.fails {
						if !slices.Contains(failed, id) {
							return fmt.Errorf("%s does not fail; %v do, %v are unknown\n%s", id, failed, unknown, explained(r))
						}
					}
					for _, id := range row.notFailed {
						if slices.Contains(failed, id) {
							return fmt.Errorf("%s fails\n%s", id, explained(r))
						}
					}
					t.Logf("%v fail, %v are unknown", failed, unknown)
					return nil
				})
				for _, v := range l.judge(c, row.fails...).Verdicts {
					if v.Status != checks.Fail {
						t.Errorf("%s is %s when only what %v need was collected: %s", v.ID, v.Status, row.fails, v.Actual)
					}
				}
				change(row.undo, false)
				l.expect(c, "after "+row.name)
			})
		}
	}
}
