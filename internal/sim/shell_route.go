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
			if len(args) < 2 {
				return p.unknown("route get")
			}
			return p.routeGet(args[1])
		case "add", "replace", "append", "del", "delete":
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

func (p *process) routeChange(args []string) int {
	if p.session.user != "root" {
		return p.notPermitted()
	}
	change := routeChange{Delete: strings.HasPrefix(args[0], "del"), Route: route{Flags: []string{}}}
	r := &change.Route
	for rest := args[1:]; len(rest) > 0; rest = rest[1:] {
		var into *string
		switch rest[0] {
		case "via":
			into = &r.Gateway
		case "dev":
			into = &r.Dev
		case "src":
			into = &r.PrefSrc
		case "proto":
			into = &r.Protocol
		case "scope":
			into = &r.Scope
		case "onlink":
			r.Flags = append(r.Flags, "onlink")
			continue
		case "metric":
			if len(rest) > 1 {
				r.Metric, _ = strconv.Atoi(rest[1])
				rest = rest[1:]
			}
			continue
		default:
			if r.Dst != "" {
				return p.unknown("route " + strings.Join(args, " "))
			}
			r.Dst = rest[0]
			continue
		}
		if len(rest) < 2 {
			fmt.Fprintln(p.stderr, "Command line is not complete. Try option \"help\"")
			return 255
		}
		*into, rest = rest[1], rest[1:]
	}
	at := slices.IndexFunc(p.guest.routes(), func(o route) bool { return sameRoute(o, *r) })
	have := at >= 0
	if change.Delete && have {
		r.Dev = p.guest.routes()[at].Dev
	}
	switch {
	case change.Delete && !have:
		fmt.Fprintln(p.stderr, "RTNETLINK answers: No such process")
		return 2
	case args[0] == "add" && have:
		fmt.Fprintln(p.stderr, "RTNETLINK answers: File exists")
		return 2
	}
	if !change.Delete && r.Dev == "" {
		gateway, err := netip.ParseAddr(r.Gateway)
		by, ok := p.guest.routeTo(gateway)
		if err != nil || !ok || by.Gateway != "" {
			fmt.Fprintln(p.stderr, "Error: Nexthop has invalid gateway.")
			return 2
		}
		r.Dev = by.Dev
	}
	if err := p.guest.update(func(st *guestState) {
		st.Routes = slices.DeleteFunc(st.Routes, func(c routeChange) bool { return sameRoute(c.Route, *r) })
		st.Routes = append(st.Routes, change)
	}); err != nil {
		return p.fail("%v", err)
	}
	return 0
}
