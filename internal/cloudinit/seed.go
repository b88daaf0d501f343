package cloudinit

import (
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"strings"
)

// Seed is what one machine must know at its first boot. All fields are required but Hosts.
type Seed struct {
	Hostname      string
	InstanceID    string // a new one makes cloud-init take the machine for a new one
	User          string // the login that labctl uses
	AuthorizedKey string // public key of that login, one authorized_keys line
	HostKey       []byte // the machine's private SSH host key: ed25519, PEM
	HostPublicKey string // its public half, "ssh-ed25519 AAAA…"
	MachineID     string // 32 lower-case hexadecimal digits, different for each machine
	NATMAC        string // with colons
	HostOnlyMAC   string // with colons
	HostOnly      netip.Prefix
	Hosts         map[string]netip.Addr // every node's name and host-only address, for /etc/hosts
}

// validate refuses what would end in a machine that boots and cannot be reached, or in a second line of a file.
func (s Seed) validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	label := regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	check(label.MatchString(s.Hostname), "host name %q is not a DNS label", s.Hostname)
	check(regexp.MustCompile(`^[A-Za-z0-9._-]+$`).MatchString(s.InstanceID), "instance id %q is not a plain word", s.InstanceID)
	check(regexp.MustCompile(`^[a-z_][a-z0-9_-]{0,31}$`).MatchString(s.User), "user %q is not a login name", s.User)
	check(oneLine(s.AuthorizedKey), "authorized key is not one line")
	check(oneLine(s.HostPublicKey) && strings.HasPrefix(s.HostPublicKey, "ssh-ed25519 "), "host public key is not one ssh-ed25519 line")
	block, _ := pem.Decode(s.HostKey)
	check(block != nil, "host key is not PEM")
	check(regexp.MustCompile(`^[0-9a-f]{32}$`).MatchString(s.MachineID), "machine-id %q is not 32 hexadecimal digits", s.MachineID)
	for _, mac := range []string{s.NATMAC, s.HostOnlyMAC} {
		hw, err := net.ParseMAC(mac)
		check(err == nil && len(hw) == 6 && strings.Contains(mac, ":"), "MAC %q is not six bytes with colons", mac)
	}
	check(!strings.EqualFold(s.NATMAC, s.HostOnlyMAC), "both NICs have the MAC %q", s.NATMAC)
	check(s.HostOnly.IsValid() && s.HostOnly.Addr().Is4(), "host-only address %q is not an IPv4 address with its prefix", s.HostOnly)
	for name, addr := range s.Hosts {
		check(label.MatchString(name), "name %q of another node is not a DNS label", name)
		check(addr.IsValid(), "node %q has no address", name)
	}
	return errors.Join(errs...)
}

func oneLine(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' })
}
