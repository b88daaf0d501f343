package vbox

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"strings"
)

// HostOnly is a network between the host and its machines: an adapter (hostonlyif), or a network (hostonlynet) on macOS.
type HostOnly struct {
	Name    string
	Address netip.Prefix // the host's address in it and the length of the prefix; invalid if it has none
	// Up is what VirtualBox says. An adapter is down while no machine uses it: that is no fault.
	Up bool
}

// createPolls is how often CreateHostOnly looks for the new adapter.
const createPolls = 10

// HostOnlyNetworks lists the host-only networks.
func (c *Client) HostOnlyNetworks(ctx context.Context) ([]HostOnly, error) {
	a := listHostOnlyIfArgs()
	if c.goos == "darwin" {
		a = listHostOnlyNetArgs()
	}
	out, err := c.run(ctx, a)
	return parseHostOnly(out), err
}

// CreateHostOnly makes a host-only network in which the host has the given address. ErrAccessDenied if networks.conf does not allow
// that address: the new adapter is removed again.
func (c *Client) CreateHostOnly(ctx context.Context, want netip.Prefix) (HostOnly, error) {
	release, err := hold(ctx, c.serial)
	if err != nil {
		return HostOnly{}, err
	}
	defer release()
	return c.createHostOnly(ctx, want)
}

func (c *Client) createHostOnly(ctx context.Context, want netip.Prefix) (HostOnly, error) {
	before, err := c.HostOnlyNetworks(ctx)
	if err != nil {
		return HostOnly{}, err
	}
	create := createHostOnlyIfArgs()
	if c.goos == "darwin" {
		create = createHostOnlyNetArgs("labctl-"+strings.ReplaceAll(want.Masked().Addr().String(), ".", "-"), want)
	}
	out, createErr := c.run(ctx, create)
	name, err := c.newHostOnly(ctx, before, out)
	if err != nil {
		return HostOnly{}, errors.Join(createErr, err)
	}
	if name == "" {
		return HostOnly{}, errors.Join(createErr, errors.New("no new adapter appeared"))
	}
	if c.goos != "darwin" {
		if _, err := c.run(ctx, addressHostOnlyIfArgs(name, want)); err != nil {
			clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanLimit)
			defer cancel()
			_, undo := c.run(clean, removeHostOnlyIfArgs(name))
			return HostOnly{}, errors.Join(err, undo)
		}
	}
	h, err := c.hostOnly(ctx, name)
	if err == nil && h.Name == "" {
		err = fmt.Errorf("adapter %q vanished again", name)
	}
	return h, err
}

var createdName = regexp.MustCompile(`Interface '([^']+)' was successfully created`)

// newHostOnly returns the name of the network that was not there before; empty if none appears. `hostonlyif create` may
// fail and have created one all the same (https://www.virtualbox.org/ticket/14040), and a new one may take a moment to
// appear in the list.
func (c *Client) newHostOnly(ctx context.Context, before []HostOnly, out string) (string, error) {
	known := map[string]bool{}
	for _, h := range before {
		known[h.Name] = true
	}
	said := ""
	if m := createdName.FindStringSubmatch(out); m != nil {
		said = m[1]
	}
	for range createPolls {
		now, err := c.HostOnlyNetworks(ctx)
		if err != nil {
			return "", err
		}
		for _, h := range now {
			// Another program may be making one too: where VBoxManage named ours, no other will do.
			if !known[h.Name] && (said == "" || h.Name == said) {
				return h.Name, nil
			}
		}
		if err := wait(ctx, c.poll); err != nil {
			return "", err
		}
	}
	return "", nil
}

func (c *Client) hostOnly(ctx context.Context, name string) (HostOnly, error) {
	all, err := c.HostOnlyNetworks(ctx)
	for _, h := range all {
		if h.Name == name {
			return h, err
		}
	}
	return HostOnly{}, err
}

// SetHostOnlyAddress gives the host its address in a network. ErrNotFound, ErrAccessDenied.
func (c *Client) SetHostOnlyAddress(ctx context.Context, name string, want netip.Prefix) error {
	a := addressHostOnlyIfArgs(name, want)
	if c.goos == "darwin" {
		a = addressHostOnlyNetArgs(name, want)
	}
	_, err := c.alone(ctx, a)
	return err
}

// RemoveHostOnly removes a network. One that is gone is no error.
func (c *Client) RemoveHostOnly(ctx context.Context, name string) error {
	a := removeHostOnlyIfArgs(name)
	if c.goos == "darwin" {
		a = removeHostOnlyNetArgs(name)
	}
	_, err := c.alone(ctx, a)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

// parseHostOnly reads list hostonlyifs, and list hostonlynets, which has other words for the same. In the networks of the second the
// host takes the lowest address.
func parseHostOnly(s string) []HostOnly {
	var all []HostOnly
	for _, b := range parseBlocks(s) {
		if b["Name"] == "" {
			continue
		}
		all = append(all, HostOnly{
			Name:    b["Name"],
			Address: prefix(cmp.Or(b["IPAddress"], b["LowerIP"]), b["NetworkMask"]),
			Up:      b["Status"] == "Up" || b["State"] == "Enabled",
		})
	}
	return all
}

// prefix returns an invalid prefix for an adapter without an address, and for the mask 15.0.0.0 that a new adapter may
// show for a moment (https://github.com/docker/machine/issues/1843).
func prefix(address, mask string) netip.Prefix {
	a, err := netip.ParseAddr(address)
	m, err2 := netip.ParseAddr(mask)
	if err != nil || err2 != nil || !a.Is4() || !m.Is4() || a.IsUnspecified() {
		return netip.Prefix{}
	}
	bits, size := net.IPMask(m.AsSlice()).Size()
	if size == 0 {
		return netip.Prefix{}
	}
	return netip.PrefixFrom(a, bits)
}
