package sim

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
)

// allowedHostOnly is where VirtualBox lets host-only adapters have addresses while there is no networks.conf.
func allowedHostOnly(p netip.Prefix) bool {
	allowed := netip.MustParsePrefix("192.168.56.0/21")
	return p.Bits() >= allowed.Bits() && allowed.Contains(p.Addr())
}

func hostOnlyNetworkName(adapter string) string { return "HostInterfaceNetworking-" + adapter }

// hostOnly finds an adapter by name; nil if there is none.
func (s *vboxState) hostOnly(name string) *hostOnlyState {
	for i := range s.HostOnly {
		if s.HostOnly[i].Name == name {
			return &s.HostOnly[i]
		}
	}
	return nil
}

func (c *call) hostOnlyIf(args []string) error {
	if len(args) == 0 {
		return usageError(2, "Not enough parameters")
	}
	switch args[0] {
	case "create":
		if err := wantWords(args, 1); err != nil {
			return err
		}
		return c.createHostOnly()
	case "ipconfig":
		return c.configureHostOnly(args[1:])
	case "remove":
		return c.removeHostOnly(args[1:])
	}
	return usageError(2, fmt.Sprintf("Unknown sub-command '%s'", args[0]))
}

// createHostOnly takes the first free name. The new adapter has the address that VirtualBox gives by default and is down.
func (c *call) createHostOnly() error {
	n := 0
	for c.state.hostOnly(fmt.Sprintf("vboxnet%d", n)) != nil {
		n++
	}
	if n > 7 {
		return progressError(codeFailure, "component HostNetworkInterfaceWrap, interface IHostNetworkInterface",
			`"RTEXITCODE handleCreate(HandlerArg*)" at line 105 of file VBoxManageHostonly.cpp`,
			"Failed to create the host-only adapter", "SIMULATED: more than 8 host-only adapters are not modelled")
	}
	c.state.HostOnly = append(c.state.HostOnly, hostOnlyState{
		Name: fmt.Sprintf("vboxnet%d", n),
		// VirtualBox builds the UUID from the adapter's name and its MAC.
		UUID:    fmt.Sprintf("786f6276-656e-4%d74-8000-0a002700000%d", n, n),
		MAC:     fmt.Sprintf("0a:00:27:00:00:%02x", n),
		Address: netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 168, byte(56 + n), 1}), 24),
	})
	c.showProgress()
	c.printf("Interface 'vboxnet%d' was successfully created\n", n)
	return nil
}

func (c *call) findHostOnly(name string, line int) (*hostOnlyState, error) {
	if a := c.state.hostOnly(name); a != nil {
		return a, nil
	}
	return nil, comError(codeInvalidArg, hostWrap,
		fmt.Sprintf(`"FindHostNetworkInterfaceByName(Bstr(pszName).raw(), hif.asOutParam())" at line %d of file VBoxManageHostonly.cpp`, line),
		fmt.Sprintf("The host network interface named '%s' could not be found", name))
}

func (c *call) configureHostOnly(args []string) error {
	words, options, err := parseOptions(2, args, map[string]arity{"--ip": takes(1), "--netmask": takes(1)})
	if err == nil {
		err = wantWords(words, 1)
	}
	if err != nil {
		return err
	}
	var ip, mask netip.Addr
	for _, o := range options {
		addr, err := netip.ParseAddr(o.value())
		if err != nil || !addr.Is4() {
			return usageError(2, "Invalid IPv4 address '"+o.value()+"'")
		}
		if o.name == "--ip" {
			ip = addr
		} else {
			mask = addr
		}
	}
	if !ip.IsValid() {
		return usageError(2, "Either --dhcp or --ip must be specified")
	}
	adapter, err := c.findHostOnly(words[0], 242)
	if err != nil {
		return err
	}
	bits := 24
	if mask.IsValid() {
		value := binary.BigEndian.Uint32(mask.AsSlice())
		for bits = 0; bits < 32 && value&(1<<(31-bits)) != 0; bits++ {
		}
	}
	address := netip.PrefixFrom(ip, bits)
	if !allowedHostOnly(address) {
		return bareError(codeAccessDenied, "Access denied", `"EnableStaticIPConfig(Bstr(pszIp).raw(), Bstr(pszNetmask).raw())" at line 252 of file VBoxManageHostonly.cpp`)
	}
	adapter.Address, adapter.Up = address, true
	return nil
}

func (c *call) removeHostOnly(args []string) error {
	if err := wantWords(args, 1); err != nil {
		return err
	}
	if _, err := c.findHostOnly(args[0], 150); err != nil {
		return err
	}
	c.state.HostOnly = slices.DeleteFunc(c.state.HostOnly, func(a hostOnlyState) bool { return a.Name == args[0] })
	c.showProgress()
	return nil
}

// netmask writes the length of a prefix as 255.255.255.0.
func netmask(bits int) string {
	return netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, ^uint32(0)<<(32-bits)))).String()
}

func (c *call) listHostOnly() {
	for _, a := range c.state.HostOnly {
		status, dhcp := "Down", "Disabled"
		if a.Up {
			status = "Up"
		}
		c.printf("Name:            %s\nGUID:            %s\nDHCP:            %s\nIPAddress:       %s\nNetworkMask:     %s\n",
			a.Name, a.UUID, dhcp, a.Address.Addr(), netmask(a.Address.Bits()))
		c.printf("IPV6Address:     \nIPV6NetworkMaskPrefixLength: 0\nHardwareAddress: %s\nMediumType:      Ethernet\nWireless:        No\nStatus:          %s\nVBoxNetworkName: %s\n\n",
			a.MAC, status, hostOnlyNetworkName(a.Name))
	}
}

func (c *call) listDHCP() {
	for _, d := range c.state.DHCP {
		enabled := "No"
		if d.Enabled {
			enabled = "Yes"
		}
		c.printf("NetworkName:    %s\nDhcpd IP:       %s\nLowerIPAddress: %s\nUpperIPAddress: %s\nNetworkMask:    %s\nEnabled:        %s\n",
			d.Network, d.IP, d.Lower, d.Upper, d.Netmask, enabled)
		c.printf("Global Configuration:\n    minLeaseTime:     default\n    defaultLeaseTime: default\n    maxLeaseTime:     default\n    Forced options:   None\n    Suppressed opts.: None\n        1/legacy: %s\nGroups:               None\nIndividual Configs:   None\n", d.Netmask)
	}
}

// dhcpServer knows `modify` (to switch a server on or off) and `remove`.
func (c *call) dhcpServer(args []string) error {
	words, options, err := parseOptions(2, args, map[string]arity{"--network": takes(1), "--interface": takes(1),
		"--enable": takes(0), "--disable": takes(0)})
	if err == nil {
		err = wantWords(words, 1)
	}
	if err != nil {
		return err
	}
	network, change := "", ""
	for _, o := range options {
		switch o.name {
		case "--network":
			network = o.value()
		case "--interface":
			network = hostOnlyNetworkName(o.value())
		default:
			change = o.name
		}
	}
	at := slices.IndexFunc(c.state.DHCP, func(d dhcpState) bool { return d.Network == network })
	switch {
	case network == "":
		return usageError(2, "You need to specify either --network or --interface to identify the DHCP server")
	case words[0] != "modify" && words[0] != "remove" || words[0] == "remove" && change != "" || words[0] == "modify" && change == "":
		return usageError(2, fmt.Sprintf("Invalid parameter '%s'", words[0]))
	case at < 0:
		f := plainError("DHCP server does not exist")
		f.exit = 2
		return f
	case words[0] == "remove":
		c.state.DHCP = slices.Delete(c.state.DHCP, at, at+1)
	default:
		c.state.DHCP[at].Enabled = change == "--enable"
	}
	return nil
}
