package vbox

import (
	"net/netip"
	"strings"
)

// NetworksConfPath is where Linux and macOS keep the ranges that host-only adapters may have. Windows has no such file.
const NetworksConfPath = "/etc/vbox/networks.conf"

// NetworksConf is the list of ranges that host-only adapters may have addresses of.
type NetworksConf struct{ Ranges []netip.Prefix }

// ParseNetworksConf reads networks.conf. nil means that there is no such file: then 192.168.56.0/21 alone is allowed. A
// file that is there replaces this range, even if it is empty. Like VirtualBox's VBoxNetAdpCtl, it takes no notice of
// lines whose first word is not a star on its own.
func ParseNetworksConf(data []byte) NetworksConf {
	if data == nil {
		return NetworksConf{Ranges: []netip.Prefix{netip.MustParsePrefix("192.168.56.0/21")}}
	}
	var c NetworksConf
	for line := range strings.Lines(plainLines(string(data))) {
		words := strings.Fields(line)
		if len(words) == 0 || words[0] != "*" {
			continue
		}
		for _, w := range words[1:] {
			if p, err := netip.ParsePrefix(w); err == nil {
				c.Ranges = append(c.Ranges, p)
			}
		}
	}
	return c
}

// Allows says whether a host-only adapter may have this address and length: its network must be inside a range.
func (c NetworksConf) Allows(p netip.Prefix) bool {
	if !p.IsValid() || p.Addr().IsMulticast() || p.Addr().IsLoopback() {
		return false
	}
	for _, r := range c.Ranges {
		if p.Bits() >= r.Bits() && r.Contains(p.Addr()) {
			return true
		}
	}
	return false
}
