package doctor

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// routeCommand is what lists the routes of a system, and the parser of its output.
func routeCommand(goos string) (command []string, parse func([]byte) ([]Route, error)) {
	switch goos {
	case "darwin":
		return []string{"netstat", "-rn", "-f", "inet"}, ParseNetstat
	case "windows":
		return []string{"route", "print", "-4"}, ParseRoutePrint
	}
	return []string{"ip", "-j", "route"}, ParseIPRoute
}

// ParseIPRoute reads the output of Linux's `ip -j route`.
func ParseIPRoute(data []byte) ([]Route, error) {
	var entries []struct {
		Dst, Gateway, Dev string
	}
	if err := json.Unmarshal(data, &entries); err != nil {
		return nil, fmt.Errorf("output of ip -j route: %w", err)
	}
	var routes []Route
	for _, e := range entries {
		to, err := parsePrefix(strings.Replace(e.Dst, "default", "0.0.0.0/0", 1))
		if err != nil {
			return nil, fmt.Errorf("output of ip -j route: destination %q: %w", e.Dst, err)
		}
		via, _ := netip.ParseAddr(e.Gateway) // none: attached
		routes = append(routes, Route{To: to, Via: via, Device: e.Dev})
	}
	return routes, nil
}

// parsePrefix reads a network, or an address as a network of one.
func parsePrefix(s string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(s); err == nil {
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	prefix, err := netip.ParsePrefix(s)
	return prefix.Masked(), err
}

// ParseNetstat reads the output of macOS's `netstat -rn -f inet`.
func ParseNetstat(data []byte) ([]Route, error) {
	var routes []Route
	device := -1 // column of the interface's name
	for line := range strings.Lines(string(data)) {
		fields := strings.Fields(line)
		switch {
		case len(fields) > 0 && fields[0] == "Destination":
			device = slices.Index(fields, "Netif")
		case device < 0 || len(fields) <= device: // headings
		default:
			to, err := parseShortPrefix(fields[0])
			if err != nil {
				return nil, fmt.Errorf("output of netstat: destination %q: %w", fields[0], err)
			}
			via, _ := netip.ParseAddr(fields[1]) // link#6 and the like: attached
			routes = append(routes, Route{To: to, Via: via, Device: fields[device]})
		}
	}
	if device < 0 {
		return nil, errors.New("output of netstat has no column Netif")
	}
	return routes, nil
}

// parseShortPrefix reads a destination as BSD writes it, without zeros at its end: "default", "127", "10.42/16", "192.168.56",
// "192.168.56.1". Without a length, it has as many bits as are written.
func parseShortPrefix(s string) (netip.Prefix, error) {
	if s == "default" {
		return netip.PrefixFrom(netip.IPv4Unspecified(), 0), nil
	}
	s, length, hasLength := strings.Cut(s, "/")
	octets := strings.Split(s, ".")
	bits := 8 * len(octets)
	if hasLength {
		var err error
		if bits, err = strconv.Atoi(length); err != nil {
			return netip.Prefix{}, err
		}
	}
	for len(octets) < 4 {
		octets = append(octets, "0")
	}
	addr, err := netip.ParseAddr(strings.Join(octets, "."))
	if err != nil {
		return netip.Prefix{}, err
	}
	return addr.Prefix(bits)
}

// ParseRoutePrint reads the output of Windows' `route print -4`. Its words are in the system's language, so that lines are
// known by their shape: destination, mask, gateway or words for "attached", interface, metric.
func ParseRoutePrint(data []byte) ([]Route, error) {
	var routes []Route
	for line := range strings.Lines(string(data)) {
		fields := strings.Fields(line)
		if len(fields) < 5 {
			continue
		}
		last := len(fields) - 1
		to, errTo := netip.ParseAddr(fields[0])
		mask, errMask := netip.ParseAddr(fields[1])
		device, errDevice := netip.ParseAddr(fields[last-1])
		_, errMetric := strconv.Atoi(fields[last])
		if errors.Join(errTo, errMask, errDevice, errMetric) != nil {
			continue
		}
		bits, ok := maskBits(mask)
		if !ok {
			return nil, fmt.Errorf("output of route print: mask %q", fields[1])
		}
		prefix, err := to.Prefix(bits)
		if err != nil {
			return nil, fmt.Errorf("output of route print: %w", err)
		}
		via, _ := netip.ParseAddr(fields[2])
		routes = append(routes, Route{To: prefix, Via: via, Device: device.String()})
	}
	if len(routes) == 0 {
		return nil, errors.New("output of route print has no route")
	}
	return routes, nil
}

// maskBits is the length of a mask of ones followed by zeros.
func maskBits(mask netip.Addr) (bits int, ok bool) {
	if !mask.Is4() {
		return 0, false
	}
	for bits = range 33 {
		if prefix, err := netip.AddrFrom4([4]byte{255, 255, 255, 255}).Prefix(bits); err == nil && prefix.Addr() == mask {
			return bits, true
		}
	}
	return 0, false
}
