package config

import "net/netip"

// natNetwork is what VirtualBox's NAT gives each machine: 10.0.2.15 with the gateway 10.0.2.2. Every machine has it on its first NIC.
func natNetwork() netip.Prefix { return netip.MustParsePrefix("10.0.2.0/24") }

// isNetwork says whether p is an IPv4 network: a prefix without host bits.
func isNetwork(p netip.Prefix) bool { return p.IsValid() && p.Addr().Is4() && p == p.Masked() }

// nth returns the address that is n above a network's own.
func nth(network netip.Prefix, n int) netip.Addr {
	a := network.Addr().As4()
	for i := len(a) - 1; i >= 0 && n > 0; i-- {
		n += int(a[i])
		a[i] = byte(n)
		n >>= 8
	}
	return netip.AddrFrom4(a)
}

// broadcast returns a network's last address.
func broadcast(network netip.Prefix) netip.Addr { return nth(network, addresses(network)-1) }

// addresses returns how many addresses a network has, its own and the broadcast address included.
func addresses(network netip.Prefix) int { return 1 << (32 - network.Bits()) }

// prefixLength returns the longest prefix length that leaves n or more networks of length bits; for addresses, bits is 32.
func prefixLength(bits, n int) int {
	length := bits
	for 1<<(bits-length) < n {
		length--
	}
	return length
}
