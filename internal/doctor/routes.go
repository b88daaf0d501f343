package doctor

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Route is one of the host's IPv4 routes.
type Route struct {
	To netip.Prefix
	// Via is the gateway; the zero value means directly attached.
	Via netip.Addr
	// Device is the interface's name; on Windows, whose table has no names, its address.
	Device string
}

func (r Route) String() string {
	if r.Via.IsValid() {
		return fmt.Sprintf("%s via %s on %s", r.To, r.Via, r.Device)
	}
	return fmt.Sprintf("%s on %s", r.To, r.Device)
}

// ClusterRange asks whether the host has a route of its own into a network that exists only inside the cluster. Such a route
// does not disturb the cluster, but what lies behind it may answer in the cluster's stead.
func ClusterRange(name string, cidr netip.Prefix, setting string, routes []Route) Finding {
	f := Finding{Name: name, Status: OK, Detail: fmt.Sprintf("no route to %s", cidr)}
	if overlaps := overlapping(cidr, routes, func(Route) bool { return false }); len(overlaps) > 0 {
		f.Status, f.Detail = Warn, fmt.Sprintf("%s overlaps the host's %s", cidr, list(overlaps))
		f.Fix = fmt.Sprintf("set %s in labctl.yaml to a network that is free, or end what made the route (a VPN?)", setting)
	}
	return f
}

// HostOnlyRoutes asks whether the way to the nodes is the host-only network's. own are its adapter's names, if it is there;
// adapters called vboxnet… are VirtualBox's in any case. host is the host's address in it.
func HostOnlyRoutes(cidr netip.Prefix, host netip.Addr, own []string, routes []Route) Finding {
	f := Finding{Name: "route to the nodes", Status: OK, Detail: fmt.Sprintf("nothing else claims %s", cidr)}
	mine := func(r Route) bool {
		return slices.Contains(own, r.Device) || strings.HasPrefix(r.Device, "vboxnet") || r.Device == host.String() ||
			r.To == netip.PrefixFrom(host, 32) // some systems list their own addresses, on the loopback device
	}
	overlaps := overlapping(cidr, routes, mine)
	stronger := slices.DeleteFunc(slices.Clone(overlaps), func(r Route) bool { return r.To.Bits() < cidr.Bits() })
	switch attached := adapters(cidr, routes, mine); {
	case len(stronger) > 0:
		f.Status, f.Detail = Blocker, fmt.Sprintf("packets for %s go elsewhere: %s", cidr, list(stronger))
	case len(attached) > 1:
		f.Status, f.Detail = Blocker, fmt.Sprintf("%s is on several adapters: %s", cidr, strings.Join(attached, ", "))
		f.Fix = "VBoxManage hostonlyif remove " + attached[len(attached)-1]
		return f
	case len(overlaps) > 0:
		f.Status, f.Detail = Warn, fmt.Sprintf("%s overlaps the host's %s: nodes that are off may seem to answer", cidr, list(overlaps))
	default:
		return f
	}
	f.Fix = "set network.cidr and the nodes' addresses in labctl.yaml to a network that is free, or end what made the route (a VPN?)"
	return f
}

// overlapping returns the routes into cidr, without default routes and those that are mine.
func overlapping(cidr netip.Prefix, routes []Route, mine func(Route) bool) []Route {
	var overlaps []Route
	for _, r := range routes {
		// 0.0.0.0/1 and 128.0.0.0/1 are how VPNs replace the default route.
		if r.To.Bits() > 1 && r.To.Overlaps(cidr) && !mine(r) {
			overlaps = append(overlaps, r)
		}
	}
	return overlaps
}

// adapters are the devices of mine to which the whole of cidr is attached.
func adapters(cidr netip.Prefix, routes []Route, mine func(Route) bool) []string {
	var devices []string
	for _, r := range routes {
		if r.To == cidr.Masked() && mine(r) && !r.Via.IsValid() && !slices.Contains(devices, r.Device) {
			devices = append(devices, r.Device)
		}
	}
	return devices
}

func list(routes []Route) string {
	texts := make([]string, len(routes))
	for i, r := range routes {
		texts[i] = r.String()
	}
	return strings.Join(texts, ", ")
}
