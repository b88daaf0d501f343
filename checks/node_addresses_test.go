package checks

import "net/netip"

func nodeAddressFixtures() map[string][]fixture {
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
			{"another node has it too", func(f *Facts) {
				f.link("w2", "enp0s8", func(l *Link) { l.Addresses = append(l.Addresses, prefix("192.168.56.10/24")) })
			}, Fail, "w2 has 192.168.56.10 too, on enp0s8"},
			{"another node keeps what is for it", func(f *Facts) {
				f.link("w1", "lo", func(l *Link) { l.Addresses = append(l.Addresses, prefix("192.168.56.10/32")) })
			}, Fail, "w1 has 192.168.56.10 too, on lo"},
			w2Unreached(),
		},
		"net.default-route": {
			asIs(),
			{"half of everything by the host-only NIC", func(f *Facts) {
				f.route("w1", Route{To: prefix("128.0.0.0/1"), Via: addr("192.168.56.1"), Dev: "enp0s8"})
			}, Fail, "w1 128.0.0.0/1 via 192.168.56.1 dev enp0s8"},
			{"both halves by the NAT NIC and nothing else", func(f *Facts) {
				f.unroute("w1", "0.0.0.0/0")
				f.route("w1", Route{To: prefix("0.0.0.0/1"), Via: addr("10.0.2.2"), Dev: "enp0s3"}, Route{To: prefix("128.0.0.0/1"), Via: addr("10.0.2.2"), Dev: "enp0s3"})
			}, Fail, "w1 has no default route"},
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
	}
}
