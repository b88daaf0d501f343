package sim

import (
	"strings"
	"testing"
)

// The first settings in the folder of the CNI plugins make the networks of new pods; those that run keep theirs.
func TestOtherCNIPlugin(t *testing.T) {
	l := newLab(t)
	l.cluster(2, correct)
	l.demo()
	put := func(file, text string) { l.run(1, "sudo tee "+cniFolder+"/"+file+" >/dev/null", text) }
	const bridge = `{"name":"x","plugins":[{"type":"bridge","bridge":"cni7","ipam":{"type":"host-local","subnet":"198.18.44.0/24"}}]}`
	if got := l.run(1, "sudo ls "+cniFolder); got != "10-flannel.conflist\n" {
		t.Errorf("the folder has %q", got)
	}
	put("00-nonsense.conflist", "{")
	put("01-readme.txt", bridge)
	put("20-late.conflist", bridge)
	l.run(0, "sudo kubectl -n demo delete pod "+l.pod("app=probe", 1))
	l.eventually(func() error { return has(l.run(1, "ip route"), "10.42.1.0/24 dev cni0") })
	if got := l.run(1, "ip route"); strings.Contains(got, "cni7") {
		t.Errorf("routes:\n%s", got)
	}
	put("05-early.conflist", bridge)
	l.run(0, "sudo kubectl -n demo delete pod "+l.pod("app=probe", 1))
	pod := ""
	l.eventually(func() error {
		pod = l.run(0, "sudo kubectl -n demo get pods -l app=probe -o wide --no-headers | grep w1")
		return has(pod, " 198.18.44.")
	})
	ip := strings.Fields(pod)[5]
	for _, want := range []string{"198.18.44.0/24 dev cni7 proto kernel scope link src 198.18.44.1", "10.42.1.0/24 dev cni0"} {
		if err := has(l.run(1, "ip route"), want); err != nil {
			t.Error(err)
		}
	}
	l.run(1, "curl -sS -m 2 -o /dev/null http://"+ip+"/")
	l.fails(0, "curl -sS -m 2 -o /dev/null http://"+ip+"/", 28, "timed out")
	put("05-early.conflist", `{"name":"x","type":"macvlan"}`)
	l.run(0, "sudo kubectl -n demo delete pod "+strings.Fields(pod)[0])
	l.eventually(func() error {
		return has(l.run(0, "sudo kubectl -n demo get pods -l app=probe --no-headers"), " 0/1 Pending ")
	})
}

// A new pod gets no network while flannel's note of its node's subnet is wrong, and gets one when that is mended.
func TestFlannelsNote(t *testing.T) {
	l := newLab(t)
	l.cluster(2, correct)
	l.demo()
	const pods = "sudo kubectl -n demo get pods -l app=probe -o wide --no-headers | grep ' w1 '"
	l.run(1, "sudo sed -i 's|^FLANNEL_SUBNET=.*|FLANNEL_SUBNET=10.42.250.1/24|' "+subnetFile)
	l.run(0, "sudo kubectl -n demo rollout status ds/probe && sudo kubectl -n demo delete pod "+l.pod("app=probe", 1))
	l.eventually(func() error { return has(l.run(0, pods), " 0/1 Pending 0 ") })
	l.fails(0, "sudo kubectl -n demo rollout status ds/probe --timeout=200ms", 1, "timed out")
	l.run(1, "sudo sed -i 's|^FLANNEL_SUBNET=.*|FLANNEL_SUBNET=10.42.1.1/24|' "+subnetFile)
	l.eventually(func() error { return has(l.run(0, pods), " 1/1 Running 0 ") })
	l.run(0, "sudo kubectl -n demo rollout status ds/probe --timeout=10s && curl -sS -o /dev/null http://"+strings.Fields(l.run(0, pods))[5]+"/")
}
