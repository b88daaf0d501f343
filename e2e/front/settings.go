//go:build linux

package main

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// settings are what showvminfo --machinereadable says of a machine, as far as QEMU needs it.
type settings struct {
	Name, UUID, Hardware string
	CPUs, MemoryMiB      int
	LogFolder            string
	Serial               string // file of the first serial port; empty: none
	NICs                 []nic
	Media                []medium
}

type nic struct {
	Slot     int // from 1
	Kind     string
	Bridge   string // of a host-only adapter
	Type     string
	MAC      string
	Cable    bool
	Forwards []forward
}

// forward is a rule of the NAT engine.
type forward struct{ Name, Proto, HostIP, HostPort, GuestIP, GuestPort string }

// medium is something attached to the SATA controller.
type medium struct {
	Port int
	Path string
	UUID string
	DVD  bool
}

var (
	property = regexp.MustCompile(`^(?:"([^"]+)"|([^"=]+))=(?:"(.*)"|(.*))$`)
	slotKey  = regexp.MustCompile(`^(.+)-(\d+)-(\d+)$`)
	ruleKey  = regexp.MustCompile(`^Forwarding\((\d+)\)$`)
)

// readSettings refuses whatever the front could not run as VirtualBox would.
func readSettings(text string) (settings, error) {
	p := map[string]string{}
	var keys []string
	rules := map[string][]forward{} // by NIC slot: they are numbered from 0 behind each adapter's line nicN
	slot := ""
	for line := range strings.Lines(text) {
		match := property.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
		if match == nil {
			continue
		}
		key, value := match[1]+match[2], match[3]+match[4]
		p[key] = value
		keys = append(keys, key)
		if ruleKey.MatchString(key) {
			f := strings.Split(value, ",")
			if len(f) != 6 {
				return settings{}, fmt.Errorf("NAT rule %q has %d fields", value, len(f))
			}
			rules[slot] = append(rules[slot], forward{f[0], f[1], f[2], f[3], f[4], f[5]})
		}
		if n, ok := strings.CutPrefix(key, "nic"); ok && isNumber(n) {
			slot = n
		}
	}
	s := settings{Name: p["name"], UUID: p["UUID"], Hardware: p["hardwareuuid"], LogFolder: p["LogFldr"]}
	if s.Name == "" || s.UUID == "" || s.LogFolder == "" {
		return s, fmt.Errorf("showvminfo tells no name, UUID or log folder")
	}
	for key, n := range map[string]*int{"cpus": &s.CPUs, "memory": &s.MemoryMiB} {
		var err error
		if *n, err = strconv.Atoi(p[key]); err != nil {
			return s, fmt.Errorf("%s=%q is no number", key, p[key])
		}
	}
	for key, want := range map[string]string{"firmware": "BIOS", "chipset": "piix3", "boot1": "disk"} {
		if p[key] != want {
			return s, fmt.Errorf("%s=%q is not provided, only %q", key, p[key], want)
		}
	}
	if mode, file, _ := strings.Cut(p["uartmode1"], ","); mode == "file" {
		s.Serial = file
	} else if p["uart1"] != "off" {
		return s, fmt.Errorf("uartmode1=%q is not provided, only a file", p["uartmode1"])
	}
	for slot := 1; slot <= 8; slot++ {
		n := strconv.Itoa(slot)
		if p["nic"+n] == "" || p["nic"+n] == "none" {
			continue
		}
		card := nic{slot, p["nic"+n], p["hostonlyadapter"+n], p["nictype"+n], colons(p["macaddress"+n]), p["cableconnected"+n] == "on", rules[n]}
		if card.Kind != "nat" && card.Kind != "hostonly" {
			return s, fmt.Errorf("nic%d=%q is not provided", slot, card.Kind)
		}
		if card.Type != "82540EM" {
			return s, fmt.Errorf("nictype%d=%q is not provided", slot, card.Type)
		}
		if slot > len(nicSlots) {
			return s, fmt.Errorf("nic%d: only %d adapters are provided", slot, len(nicSlots))
		}
		s.NICs = append(s.NICs, card)
	}
	for _, key := range keys {
		match := slotKey.FindStringSubmatch(key)
		if match == nil || p[match[1]+"-ImageUUID-"+match[2]+"-"+match[3]] == "" {
			continue
		}
		if match[1] != p["storagecontrollername0"] || p["storagecontrollertype0"] != "IntelAhci" {
			return s, fmt.Errorf("%s: only one controller is provided, of type IntelAhci", key)
		}
		port, _ := strconv.Atoi(match[2]) // digits
		m := medium{Port: port, Path: p[key], UUID: p[match[1]+"-ImageUUID-"+match[2]+"-"+match[3]]}
		_, m.DVD = p[match[1]+"-tempeject-"+match[2]+"-"+match[3]] // only drives can eject
		s.Media = append(s.Media, m)
	}
	return s, nil
}

func isNumber(s string) bool {
	_, err := strconv.Atoi(s)
	return err == nil
}

// colons writes 0800274D69BE as 08:00:27:4d:69:be.
func colons(mac string) string {
	var parts []string
	for i := 0; i+2 <= len(mac); i += 2 {
		parts = append(parts, strings.ToLower(mac[i:i+2]))
	}
	return strings.Join(parts, ":")
}
