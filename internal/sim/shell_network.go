package sim

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// runIP is ip [-j] [-br] [-d] [-4] OBJECT [show|get|add|del|set] …
func runIP(_ context.Context, p *process) int {
	args := p.args
	var asJSON, brief, details, only4 bool
	for len(args) > 0 && strings.HasPrefix(args[0], "-") {
		switch args[0] {
		case "-j", "-json":
			asJSON = true
		case "-br", "-brief":
			brief = true
		case "-d", "-details":
			details = true
		case "-4":
			only4 = true
		case "-o", "-oneline", "-p", "-pretty":
			return p.unknown(args[0])
		default:
			fmt.Fprintf(p.stderr, "Option \"%s\" is unknown, try \"ip -help\".\n", args[0])
			return 255
		}
		args = args[1:]
	}
	if len(args) == 0 {
		return p.unknown("no object")
	}
	object, rest := args[0], args[1:]
	abbreviates := func(full string) bool { return strings.HasPrefix(full, object) }
	switch {
	case abbreviates("address"), abbreviates("link"):
		addresses := abbreviates("address")
		if len(rest) > 0 && !strings.HasPrefix("show", rest[0]) && !strings.HasPrefix("list", rest[0]) && rest[0] != "dev" {
			return p.ipChange(addresses, rest)
		}
		return p.ipShow(rest, addresses, asJSON, brief, details, only4)
	case abbreviates("route"):
		return p.ipRoute(rest, asJSON)
	case abbreviates("neighbour"), object == "neighbor":
		return p.ipNeighbours(rest, asJSON)
	}
	fmt.Fprintf(p.stderr, "Object \"%s\" is unknown, try \"ip help\".\n", object)
	return 1
}

// encode writes JSON on one line, as ip does.
func (p *process) encode(v any) int {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return p.fail("%v", err)
	}
	p.printf("%s", b.String())
	return 0
}

func (p *process) notPermitted() int {
	fmt.Fprintln(p.stderr, "RTNETLINK answers: Operation not permitted")
	return 2
}

// runNetplan is netplan apply: systemd-networkd makes every NIC again what the network settings say, and takes away what they do not.
func runNetplan(_ context.Context, p *process) int {
	if !slices.Equal(p.args, []string{"apply"}) {
		return p.unknown(strings.Join(p.args, " "))
	}
	if p.session.user != "root" {
		fmt.Fprintln(p.stderr, "Permission denied: netplan apply needs root")
		return 1
	}
	nics := map[string]bool{}
	for i := range p.guest.machine.NICs {
		if i < len(nicNames) {
			nics[nicNames[i]] = true
		}
	}
	if err := p.guest.update(func(st *guestState) {
		for name := range nics {
			delete(st.Links, name)
		}
		st.Routes = slices.DeleteFunc(st.Routes, func(c routeChange) bool { return nics[c.Route.Dev] })
	}); err != nil {
		return p.fail("%v", err)
	}
	return 0
}

// runSS is ss -ltn.
func runSS(_ context.Context, p *process) int {
	if !slices.Equal(p.args, []string{"-ltn"}) {
		return p.unknown(strings.Join(p.args, " "))
	}
	p.printf("State  Recv-Q Send-Q Local Address:Port  Peer Address:PortProcess\n")
	for _, port := range []uint16{22, 6443, 10250} {
		if _, err := p.guest.listener(packet{proto: "tcp", to: netip.AddrPortFrom(netip.IPv4Unspecified(), port)}); err == nil {
			p.printf("LISTEN 0      4096   %17s      0.0.0.0:*          \n", fmt.Sprintf("0.0.0.0:%d", port))
		}
	}
	for _, pod := range p.guest.hostPods() {
		for _, port := range pod.hostPorts() {
			if _, ok := pod.listens("tcp", port.port); ok && port.proto == "tcp" {
				p.printf("LISTEN 0      4096   %17s            *:*          \n", fmt.Sprintf("*:%d", port.port)) // IPv6, too, as Go does
			}
		}
	}
	return 0
}
