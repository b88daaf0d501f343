package sim

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

func (r route) text() string {
	words := []string{r.Dst}
	add := func(name, value string) {
		if value != "" {
			words = append(words, name, value)
		}
	}
	add("via", r.Gateway)
	add("dev", r.Dev)
	add("proto", r.Protocol)
	add("scope", r.Scope)
	add("src", r.PrefSrc)
	if r.Metric != 0 {
		add("metric", strconv.Itoa(r.Metric))
	}
	words = append(words, r.Flags...)
	return strings.Join(words, " ") + " "
}

func (p *process) ipRoute(args []string, asJSON bool) int {
	if len(args) > 0 {
		switch args[0] {
		case "get":
			if len(args) != 2 || asJSON {
				return p.unknown(strings.Join(p.args, " "))
			}
			return p.routeGet(args[1])
		case "add", "replace", "del", "delete":
			return p.routeChange(args)
		}
	}
	args = slices.DeleteFunc(slices.Clone(args), func(a string) bool { return a == "show" || a == "list" || a == "sh" })
	routes := slices.Clone(p.guest.routes())
	for len(args) > 0 {
		switch {
		case args[0] == "default":
			routes = slices.DeleteFunc(routes, func(r route) bool { return r.Dst != "default" })
		case args[0] == "dev" && len(args) > 1:
			dev := args[1]
			routes = slices.DeleteFunc(routes, func(r route) bool { return r.Dev != dev })
			args = args[1:]
		default:
			return p.unknown("route " + strings.Join(args, " "))
		}
		args = args[1:]
	}
	if asJSON {
		return p.encode(append([]route{}, routes...))
	}
	for _, r := range routes {
		p.printf("%s\n", r.text())
	}
	return 0
}

func (p *process) routeGet(to string) int {
	a, err := netip.ParseAddr(to)
	if err != nil {
		fmt.Fprintf(p.stderr, "Error: any valid prefix is expected rather than \"%s\".\n", to)
		return 1
	}
	uid := 1000
	if p.session.user == "root" {
		uid = 0
	}
	if p.guest.owns(a) {
		p.printf("local %s dev lo src %s uid %d \n    cache <local> \n", a, a, uid)
		return 0
	}
	r, ok := p.guest.routeTo(a)
	if !ok {
		fmt.Fprintln(p.stderr, "RTNETLINK answers: Network is unreachable")
		return 2
	}
	via := ""
	if r.Gateway != "" {
		via = "via " + r.Gateway + " "
	}
	src := r.PrefSrc
	for _, l := range p.guest.links() {
		if ip, ok := firstIPv4(l); ok && src == "" && l.Name == r.Dev {
			src = ip.String()
		}
	}
	p.printf("%s %sdev %s src %s uid %d \n    cache \n", a, via, r.Dev, src, uid)
	return 0
}

// routeChange is ip route add|replace|del [to] PREFIX [via ADDRESS] [dev DEVICE] [proto NAME] [scope NAME] [src ADDRESS] [metric N] [onlink].
func (p *process) routeChange(args []string) int {
	if p.session.user != "root" {
		return p.notPermitted()
	}
	change := routeChange{Delete: strings.HasPrefix(args[0], "del"), Route: route{Flags: []string{}}}
	r := &change.Route
	wrong := func(status int, format string, words ...any) int {
		fmt.Fprintf(p.stderr, format+"\n", words...)
		return status
	}
	for rest := args[1:]; len(rest) > 0; rest = rest[1:] {
		option := rest[0]
		switch option {
		case "onlink":
			r.Flags = append(r.Flags, option)
			continue
		case "via", "dev", "src", "proto", "scope", "metric":
		default:
			if r.Dst != "" {
				return p.unknown("route " + strings.Join(args, " "))
			}
			if r.Dst = option; option != "default" && !isPrefix(option) {
				return wrong(1, "Error: inet prefix is expected rather than \"%s\".", option)
			}
			continue
		}
		if len(rest) < 2 {
			return wrong(255, "Command line is not complete. Try option \"help\"")
		}
		value := rest[1]
		rest = rest[1:]
		switch option {
		case "via", "src":
			if _, err := netip.ParseAddr(value); err != nil {
				return wrong(1, "Error: inet address is expected rather than \"%s\".", value)
			}
			*map[string]*string{"via": &r.Gateway, "src": &r.PrefSrc}[option] = value
		case "dev":
			r.Dev = value
		case "metric":
			n, err := strconv.ParseUint(value, 10, 32)
			if err != nil {
				return wrong(255, "Error: argument \"%s\" is wrong: \"metric\" value is invalid", value)
			}
			r.Metric = int(n)
		default:
			words := map[string]string{"proto": "kernel boot static dhcp", "scope": "global link host"}[option]
			if !slices.Contains(strings.Fields(words), value) {
				return p.unknown(option + " " + value)
			}
			*map[string]*string{"proto": &r.Protocol, "scope": &r.Scope}[option] = value
		}
	}
	if r.Dst == "" {
		return wrong(2, "Error: either \"to\" is duplicate, or \"%s\" is a garbage.", args[0])
	}
	if r.Dev != "" && !slices.ContainsFunc(p.guest.links(), func(l link) bool { return l.Name == r.Dev }) {
		return wrong(1, "Cannot find device \"%s\"", r.Dev)
	}
	routes := p.guest.routes()
	if change.Delete {
		at := slices.IndexFunc(routes, func(o route) bool { return sameRoute(o, *r) })
		if at < 0 {
			return wrong(2, "RTNETLINK answers: No such process")
		}
		r.Dev, r.Gateway, r.Metric = routes[at].Dev, routes[at].Gateway, routes[at].Metric
	} else if status := p.newRoute(r, args[0] == "replace"); status != 0 {
		return status
	}
	if err := p.guest.update(func(st *guestState) {
		st.Routes = slices.DeleteFunc(st.Routes, func(c routeChange) bool { return c.Route.inPlaceOf(*r) })
		st.Routes = append(st.Routes, change)
	}); err != nil {
		return p.fail("%v", err)
	}
	return 0
}

// newRoute completes a route that is to be added, unless the kernel would refuse it.
func (p *process) newRoute(r *route, replace bool) int {
	wrong := func(text string) int {
		fmt.Fprintln(p.stderr, text)
		return 2
	}
	routes := p.guest.routes()
	if !replace && slices.ContainsFunc(routes, func(o route) bool { return o.inPlaceOf(*r) }) {
		return wrong("RTNETLINK answers: File exists")
	}
	if r.PrefSrc != "" && !p.guest.owns(netip.MustParseAddr(r.PrefSrc)) {
		return wrong("Error: Invalid prefsrc address.")
	}
	if r.Gateway == "" && r.Dev == "" {
		return wrong("RTNETLINK answers: No such device")
	}
	if r.Gateway == "" || slices.Contains(r.Flags, "onlink") && r.Dev != "" {
		return 0
	}
	// A gateway must be a neighbour on the route's device.
	by, ok := p.guest.routeTo(netip.MustParseAddr(r.Gateway))
	if !ok || by.Gateway != "" || r.Dev != "" && by.Dev != r.Dev {
		return wrong("Error: Nexthop has invalid gateway.")
	}
	r.Dev = by.Dev
	return 0
}

func isPrefix(s string) bool {
	if _, err := netip.ParsePrefix(s); err == nil {
		return true
	}
	_, err := netip.ParseAddr(s)
	return err == nil
}
