package collect

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/labctl/labctl/checks"
)

// parseLinks reads ip -j addr of iproute2 5 and 6. Older versions print empty objects for what they leave out.
func parseLinks(out []byte) ([]checks.Link, error) {
	var raw []struct {
		Name      string `json:"ifname"`
		MAC       string `json:"address"`
		MTU       int    `json:"mtu"`
		Addresses []struct {
			Local string `json:"local"`
			Bits  int    `json:"prefixlen"`
		} `json:"addr_info"`
	}
	if err := decodeIP(out, &raw); err != nil {
		return nil, err
	}
	var links []checks.Link
	for _, r := range raw {
		if r.Name == "" {
			continue
		}
		l := checks.Link{Name: r.Name, MTU: r.MTU}
		l.MAC, _ = checks.ParseMAC(r.MAC) // a tunnel's hardware address is an IP address
		for _, a := range r.Addresses {
			if a.Local == "" {
				continue
			}
			addr, err := parseAddr(a.Local)
			if err != nil {
				return nil, err
			}
			p := netip.PrefixFrom(addr.WithZone(""), a.Bits)
			if !p.IsValid() {
				return nil, fmt.Errorf("%s/%d is no address", addr, a.Bits)
			}
			l.Addresses = append(l.Addresses, p)
		}
		links = append(links, l)
	}
	if len(links) == 0 {
		return nil, errors.New("no device is listed")
	}
	return links, nil
}

// parseRoutes reads ip -j route of iproute2 5 and 6. A route over several next hops becomes one route for each.
func parseRoutes(out []byte) ([]checks.Route, error) {
	type hop struct {
		Gateway string   `json:"gateway"`
		Dev     string   `json:"dev"`
		Flags   []string `json:"flags"`
		Via     struct {
			Host string `json:"host"`
		} `json:"via"`
	}
	var raw []struct {
		hop
		To   string `json:"dst"`
		Src  string `json:"prefsrc"`
		Hops []hop  `json:"nexthops"`
	}
	if err := decodeIP(out, &raw); err != nil {
		return nil, err
	}
	routes := []checks.Route{}
	for _, r := range raw {
		if r.To == "" {
			continue
		}
		to, err := parseDestination(r.To)
		if err != nil {
			return nil, err
		}
		route := checks.Route{To: to}
		if r.Src != "" {
			if route.Src, err = parseAddr(r.Src); err != nil {
				return nil, err
			}
		}
		hops := r.Hops
		if len(hops) == 0 {
			hops = []hop{r.hop}
		}
		for _, h := range hops {
			one := route
			one.Dev = h.Dev
			one.Onlink = slices.Contains(h.Flags, "onlink")
			if gateway := h.Gateway + h.Via.Host; gateway != "" { // "via" is a gateway of another family
				if one.Via, err = parseAddr(gateway); err != nil {
					return nil, err
				}
			}
			routes = append(routes, one)
		}
	}
	return routes, nil
}

// parseDestination reads a route's destination: default, a network, or a single address.
func parseDestination(s string) (netip.Prefix, error) {
	if s == "default" {
		return netip.PrefixFrom(netip.IPv4Unspecified(), 0), nil
	}
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.PrefixFrom(a.WithZone(""), a.BitLen()), nil
	}
	p, err := parsePrefix(s)
	return p.Masked(), err
}

// parseVXLAN reads ip -j -d link show DEVICE.
func parseVXLAN(out []byte) (checks.VXLAN, error) {
	var raw []struct {
		Name string `json:"ifname"`
		MAC  string `json:"address"`
		Info struct {
			Kind string `json:"info_kind"`
			Data struct {
				Local string `json:"local"`
				Link  string `json:"link"`
			} `json:"info_data"`
		} `json:"linkinfo"`
	}
	if err := decodeIP(out, &raw); err != nil {
		return checks.VXLAN{}, err
	}
	for _, r := range raw {
		if r.Name == "" {
			continue
		}
		v := checks.VXLAN{Kind: r.Info.Kind, Device: r.Info.Data.Link}
		mac, ok := checks.ParseMAC(r.MAC)
		if !ok {
			return checks.VXLAN{}, fmt.Errorf("%q is no MAC", firstLine([]byte(r.MAC)))
		}
		v.MAC = mac
		if r.Info.Data.Local != "" {
			local, err := parseAddr(r.Info.Data.Local)
			if err != nil {
				return checks.VXLAN{}, err
			}
			v.Local = local
		}
		return v, nil
	}
	return checks.VXLAN{}, errors.New("no device is listed")
}

func decodeIP(out []byte, into any) error {
	if err := json.Unmarshal(out, into); err != nil {
		return fmt.Errorf("reading what ip printed: %w", err)
	}
	return nil
}
