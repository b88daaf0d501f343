package sim

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// setting is an option of modifyvm that only changes what showvminfo prints.
type setting struct {
	key    string            // of showvminfo --machinereadable
	values map[string]string // argument -> printed; nil: any number
}

func settings() map[string]setting {
	same := func(words ...string) map[string]string {
		m := map[string]string{}
		for _, w := range words {
			m[w] = w
		}
		return m
	}
	onOff, boot := same("on", "off"), same("none", "floppy", "dvd", "disk", "net")
	return map[string]setting{
		"--ioapic":             {"ioapic", onOff},
		"--pae":                {"pae", onOff},
		"--nested-hw-virt":     {"nested-hw-virt", onOff},
		"--rtc-use-utc":        {"rtcuseutc", onOff},
		"--boot1":              {"boot1", boot},
		"--boot2":              {"boot2", boot},
		"--boot3":              {"boot3", boot},
		"--boot4":              {"boot4", boot},
		"--vram":               {"vram", nil},
		"--graphicscontroller": {"graphicscontroller", same("none", "vboxvga", "vmsvga", "vboxsvga")},
		"--audio-driver":       {"audio", map[string]string{"none": "null", "null": "null", "default": "default"}},
		"--paravirt-provider":  {"paravirtprovider", same("none", "default", "legacy", "minimal", "hyperv", "kvm")},
		"--firmware":           {"firmware", map[string]string{"bios": "BIOS", "efi": "EFI"}},
		"--chipset":            {"chipset", same("piix3")},
		"--clipboard-mode":     {"clipboard", same("disabled")},
		"--drag-and-drop":      {"draganddrop", same("disabled")},
		"--usb-ohci":           {"usb", onOff},
		"--usb-ehci":           {"ehci", onOff},
		"--usb-xhci":           {"xhci", onOff},
		"--vrde":               {"vrde", same("off")},
	}
}

// modifyOptions are all options of modifyvm that the model knows.
func modifyOptions() map[string]arity {
	known := map[string]arity{"--memory": takes(1), "--cpus": takes(1), "--groups": takes(1), "--ostype": takes(1)}
	for name := range settings() {
		known[name] = takes(1)
	}
	// The first value says whether a second one follows.
	second := func(word string, with bool) arity {
		return func(rest []string) int {
			if len(rest) > 0 && (rest[0] == word) == with {
				return 2
			}
			return 1
		}
	}
	for n := range 8 {
		for _, name := range []string{"--nic", "--nictype", "--nic-type", "--host-only-adapter", "--hostonlyadapter", "--host-only-net",
			"--mac-address", "--macaddress", "--cable-connected", "--cableconnected", "--nat-localhostreachable"} {
			known[name+strconv.Itoa(n+1)] = takes(1)
		}
		known["--nat-pf"+strconv.Itoa(n+1)] = second("delete", true)
		known["--natpf"+strconv.Itoa(n+1)] = second("delete", true)
	}
	known["--uart1"] = second("off", false)
	known["--uart-mode1"] = second("disconnected", false)
	known["--uartmode1"] = known["--uart-mode1"]
	return known
}

// modifyVM applies its options in order; if one fails, none is kept.
func (c *call) modifyVM(args []string) error {
	words, options, err := parseOptions(1, args, modifyOptions())
	if err == nil {
		err = wantWords(words, 1)
	}
	if err != nil {
		return err
	}
	m, err := c.find(words[0], `"FindMachine(Bstr(a->argv[0]).raw(), machine.asOutParam())" at line 630 of file VBoxManageModifyVM.cpp`)
	if err != nil {
		return err
	}
	if err := c.lock(m, `"LockMachine(a->session, LockType_Write)" at line 901 of file VBoxManageModifyVM.cpp`); err != nil {
		return err
	}
	for _, o := range options {
		if err := c.modify(m, o); err != nil {
			return err
		}
	}
	return nil
}

func (c *call) modify(m *machineState, o option) error {
	if s, ok := settings()[o.name]; ok {
		value := o.value()
		if s.values != nil {
			value, ok = s.values[value]
		} else if _, err := strconv.ParseUint(value, 10, 32); err != nil {
			ok = false
		}
		if !ok {
			return plainError(fmt.Sprintf("Invalid argument '%s' to option '%s'", o.value(), o.name))
		}
		m.set(s.key, value)
		return nil
	}
	switch o.name {
	case "--memory":
		return c.number(&m.Memory, o, 4, 2097152, "Invalid RAM size: %d MB (must be in range [%d, %d] MB)",
			`"COMSETTER(MemorySize)(ValueUnion.u32)" at line 988 of file VBoxManageModifyVM.cpp`)
	case "--cpus":
		return c.number(&m.CPUs, o, 1, 64, "Invalid virtual CPU count: %d (must be in range [%d, %d])",
			`"COMSETTER(CPUCount)(ValueUnion.u32)" at line 1150 of file VBoxManageModifyVM.cpp`)
	case "--groups":
		m.Groups = o.value()
		return nil
	case "--ostype":
		if osTypes()[o.value()] == "" {
			return comError(codeInvalidArg, sessionMachine, `"COMSETTER(OSTypeId)(Bstr(ValueUnion.psz).raw())" at line 960 of file VBoxManageModifyVM.cpp`,
				fmt.Sprintf("Guest OS type '%s' is invalid", o.value()))
		}
		m.OSType = o.value()
		return nil
	case "--uart1", "--uart-mode1", "--uartmode1":
		return modifySerial(m, o)
	}
	name, slot := o.name[:len(o.name)-1], int(o.name[len(o.name)-1]-'0')
	return c.modifyNIC(&m.NICs[slot-1], slot, name, o.values)
}

// number stores a whole number within its bounds.
func (c *call) number(target *int, o option, low, high int, text, where string) error {
	n, err := strconv.Atoi(o.value())
	if err != nil || n < 0 {
		return plainError(fmt.Sprintf("Invalid argument '%s' to option '%s'", o.value(), o.name))
	}
	if n < low || n > high {
		return comError(codeInvalidArg, sessionMachine, where, fmt.Sprintf(text, n, low, high))
	}
	*target = n
	return nil
}

func modifySerial(m *machineState, o option) error {
	invalid := plainError(fmt.Sprintf("Invalid argument '%s' to option '%s'", o.value(), o.name))
	if o.name == "--uart1" {
		if o.value() == "off" {
			m.set("uart1", "off")
			return nil
		}
		base, err1 := strconv.ParseUint(o.values[0], 0, 16)
		irq, err2 := strconv.ParseUint(o.values[1], 0, 8)
		if err1 != nil || err2 != nil {
			return invalid
		}
		m.set("uart1", fmt.Sprintf("0x%04x,%d", base, irq))
		return nil
	}
	switch o.value() {
	case "disconnected":
		m.set("uartmode1", "disconnected")
	case "file":
		m.set("uartmode1", "file,"+o.values[1])
	default:
		return invalid
	}
	return nil
}

// set records a setting without touching the map that a snapshot may share.
func (h *hardware) set(key, value string) {
	changed := map[string]string{key: value}
	for k, v := range h.Settings {
		if k != key {
			changed[k] = v
		}
	}
	h.Settings = changed
}

func (c *call) modifyNIC(nic *nicState, slot int, name string, values []string) error {
	value := values[0]
	invalid := func(what string) error { return plainError(fmt.Sprintf("Invalid %s '%s'", what, value)) }
	switch name {
	case "--nic":
		if !slices.Contains([]string{"none", "null", "nat", "hostonly"}, value) {
			return plainError(fmt.Sprintf("Invalid type '%s' specfied for NIC %d", value, slot))
		}
		nic.Kind = value
	case "--nictype", "--nic-type":
		if !slices.Contains([]string{"Am79C970A", "Am79C973", "82540EM", "82543GC", "82545EM", "virtio"}, value) {
			return plainError(fmt.Sprintf("Invalid NIC type '%s' specified for NIC %d", value, slot))
		}
		nic.Type = value
	case "--host-only-adapter", "--hostonlyadapter":
		if c.state.hostOnly(value) == nil {
			c.warnf("VBoxManage: warning: Interface %q doesn't seem to exist\n", value)
		}
		nic.Network = value
	case "--mac-address", "--macaddress":
		if value == "auto" {
			nic.MAC = newMAC()
			return nil
		}
		if !regexp.MustCompile(`^[0-9A-Fa-f][02468ACEace][0-9A-Fa-f]{10}$`).MatchString(value) {
			return comError(codeInvalidArg, "component NetworkAdapterWrap, interface INetworkAdapter",
				`"COMSETTER(MACAddress)(Bstr(ValueUnion.psz).raw())" at line 2125 of file VBoxManageModifyVM.cpp`, "Invalid MAC address format")
		}
		nic.MAC = colons(value)
	case "--cable-connected", "--cableconnected":
		if value != "on" && value != "off" {
			return invalid("cable state")
		}
		nic.Cable = value == "on"
	case "--nat-localhostreachable":
		if value != "on" && value != "off" {
			return invalid("value")
		}
		nic.LocalhostReachable = value == "on"
	case "--nat-pf", "--natpf":
		return modifyForward(nic, values)
	default:
		return plainError("SIMULATED: option " + name + " is not modelled")
	}
	return nil
}

// colons writes VirtualBox's 0800274D69BE as 08:00:27:4d:69:be.
func colons(mac string) string {
	var pairs []string
	for pair := range slices.Chunk([]byte(strings.ToLower(mac)), 2) {
		pairs = append(pairs, string(pair))
	}
	return strings.Join(pairs, ":")
}

// modifyForward handles `delete NAME` and `NAME,PROTO,HOSTIP,HOSTPORT,GUESTIP,GUESTPORT`.
func modifyForward(nic *nicState, values []string) error {
	named := func(name string) func(natRule) bool { return func(r natRule) bool { return r.Name == name } }
	if values[0] == "delete" {
		if !slices.ContainsFunc(nic.Rules, named(values[1])) {
			return bareError(codeInvalidArg, "Invalid argument value", `"RemoveRedirect(Bstr(ValueUnion.psz).raw())" at line 2264 of file VBoxManageModifyVM.cpp`)
		}
		nic.Rules = slices.DeleteFunc(slices.Clone(nic.Rules), named(values[1]))
		return nil
	}
	f := strings.Split(values[0], ",")
	if len(f) != 6 {
		return plainError("Missing or invalid argument to '--nat-pf'")
	}
	r := natRule{Name: f[0], Proto: f[1], HostIP: f[2], GuestIP: f[4]}
	if r.Proto != "tcp" && r.Proto != "udp" {
		return plainError("Invalid proto '" + r.Proto + "' specfied for NIC")
	}
	refuse := func(text string) error {
		return comError(codeInvalidArg, natEngineWrap, `"AddRedirect(Bstr(strName).raw(), proto, Bstr(strHostIp).raw(), RTStrToUInt16(strHostPort), Bstr(strGuestIp).raw(), RTStrToUInt16(strGuestPort))" at line 2251 of file VBoxManageModifyVM.cpp`, text)
	}
	for i, port := range map[int]*int{3: &r.HostPort, 5: &r.GuestPort} {
		n, err := strconv.ParseUint(f[i], 10, 16)
		if err != nil || n == 0 {
			return refuse("Invalid port '" + f[i] + "'")
		}
		*port = int(n)
	}
	for _, ip := range []string{r.HostIP, r.GuestIP} {
		if _, err := netip.ParseAddr(ip); ip != "" && err != nil {
			return refuse("Invalid address '" + ip + "'")
		}
	}
	same := func(o natRule) bool {
		return o.Proto == r.Proto && o.HostIP == r.HostIP && o.HostPort == r.HostPort && o.GuestIP == r.GuestIP && o.GuestPort == r.GuestPort
	}
	switch {
	case r.Name == "":
		r.Name = fmt.Sprintf("%s_%d_%d", r.Proto, r.HostPort, r.GuestPort)
	case slices.ContainsFunc(nic.Rules, named(r.Name)):
		return refuse("A NAT rule of this name already exists")
	case slices.ContainsFunc(nic.Rules, same):
		return refuse("A NAT rule for this host port and this host IP already exists")
	}
	nic.Rules = append(slices.Clone(nic.Rules), r)
	return nil
}
