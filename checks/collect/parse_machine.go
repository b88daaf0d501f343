package collect

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"github.com/labctl/labctl/checks"
	"github.com/labctl/labctl/internal/config"
)

// machineCommand is the command whose lines formatMachine writes and parseNICs and parseState read.
func machineCommand(l *config.Lab, node string) string {
	return fmt.Sprintf("VBoxManage showvminfo %s-%s --machinereadable", l.Name, node)
}

// networkKey is the key that names a NIC's network, for the kinds that labctl uses.
func networkKey(kind string) string {
	if kind == "hostonlynetwork" {
		return "hostonly-network"
	}
	return "hostonlyadapter"
}

// formatMachine writes NICs and the state in the lines of showvminfo --machinereadable, and only those.
func formatMachine(nics []checks.NIC, state string) []byte {
	var b bytes.Buffer
	if state != "" {
		fmt.Fprintf(&b, "VMState=%q\n", state)
	}
	for _, n := range nics {
		cable := "off"
		if n.Cable {
			cable = "on"
		}
		if n.Network != "" {
			fmt.Fprintf(&b, "%s%d=%q\n", networkKey(n.Kind), n.Slot, n.Network)
		}
		fmt.Fprintf(&b, "macaddress%d=%q\ncableconnected%d=%q\nnic%d=%q\n", n.Slot, strings.ReplaceAll(string(n.MAC), ":", ""), n.Slot, cable, n.Slot, n.Kind)
	}
	return b.Bytes()
}

// parseState reads the state of showvminfo --machinereadable; empty if it does not tell.
func parseState(out []byte) string {
	for line := range strings.Lines(string(out)) {
		if state, ok := strings.CutPrefix(strings.TrimSpace(line), "VMState="); ok {
			return firstLine([]byte(strings.Trim(state, `"`)))
		}
	}
	return ""
}

// parseNICs reads the NICs of showvminfo --machinereadable; slots without a NIC are left out, other lines are skipped.
func parseNICs(out []byte) ([]checks.NIC, error) {
	const slots = 36 // of a machine with the ICH9 chipset
	found := map[int]*checks.NIC{}
	for line := range strings.Lines(string(out)) {
		key, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if !ok {
			continue
		}
		name := strings.TrimRight(key, "0123456789")
		slot, err := strconv.Atoi(key[len(name):])
		if err != nil || slot < 1 || slot > slots {
			continue
		}
		value = strings.Trim(value, `"`)
		nic := found[slot]
		if nic == nil {
			nic = &checks.NIC{Slot: slot}
			found[slot] = nic
		}
		switch name {
		case "nic":
			nic.Kind = value
		case "macaddress":
			mac, ok := checks.ParseMAC(value)
			if !ok {
				return nil, fmt.Errorf("NIC %d has the MAC %q", slot, value)
			}
			nic.MAC = mac
		case "cableconnected":
			nic.Cable = value == "on"
		case "hostonlyadapter", "hostonly-network":
			nic.Network = value
		}
	}
	var nics []checks.NIC
	for slot := 1; slot <= slots; slot++ {
		if n := found[slot]; n != nil && n.Kind != "" && n.Kind != "none" {
			nics = append(nics, *n)
		}
	}
	if len(nics) == 0 {
		return nil, fmt.Errorf("no NIC is named")
	}
	return nics, nil
}
