package provider

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/labctl/labctl/vbox"
)

// networkKey is the global extradata key under which the labs that use an adapter made by labctl are recorded:
// "NAME ID" separated by commas. An adapter without it is not ours, and is never changed or removed.
func networkKey(adapter string) string {
	return "labctl/network/" + strings.ReplaceAll(adapter, " ", "_")
}

// pendingKey is the global extradata key that says that the lab of this owner mark is creating an adapter: when, with which address,
// and which ones were there before, as "UNIX PREFIX NAME,NAME". A run that is killed before it could record the new one leaves it for the
// next run to find.
func pendingKey(owner string) string {
	return "labctl/network-pending/" + strings.ReplaceAll(owner, " ", "/")
}

// pendingLimit is how long a new adapter is taken for the one that a killed run was creating; after that it may be
// somebody else's.
const pendingLimit = time.Hour

// network is the host-only network, found by its subnet or created. Its id and its value are the adapter's name.
func (p *Provider) network() kind {
	return kind{
		required: []string{"cidr", "host"},
		replace:  []string{"cidr", "host"},
		ensure:   p.ensureNetwork,
		read: func(ctx context.Context, id string, in props) (props, error) {
			want, err := wanted(in)
			if err != nil {
				return nil, err
			}
			all, err := p.o.Hypervisor.HostOnlyNetworks(ctx)
			if err != nil {
				return nil, err
			}
			for _, n := range all {
				if n.Name == id && n.Address == want {
					return in, nil
				}
			}
			return nil, nil // gone, or without its address: ensure finds out
		},
		find: func(ctx context.Context, _ props) (string, bool, error) {
			all, err := p.o.Hypervisor.HostOnlyNetworks(ctx)
			if err != nil {
				return "", false, err
			}
			owner, err := p.o.Folder.Owner()
			if err != nil {
				return "", false, err
			}
			if err := p.claimPending(ctx, owner, all); err != nil {
				return "", false, err
			}
			for _, n := range all {
				users, _, err := p.networkUsers(ctx, n.Name)
				if err != nil || slices.Contains(users, owner) {
					return n.Name, err == nil, err
				}
			}
			return "", false, nil
		},
		remove: p.removeNetwork,
	}
}

// claimPending records the adapter that a killed run of the owner's lab created, if it is beyond doubt: the only one that wasn't there
// before and has no user, and nobody but that run or VirtualBox itself has set its address.
func (p *Provider) claimPending(ctx context.Context, owner string, all []vbox.HostOnly) error {
	text, ok, err := p.o.Hypervisor.ExtraData(ctx, "global", pendingKey(owner))
	if err != nil || !ok {
		return err
	}
	if since, want, before, ok := parsePending(text); ok && p.o.Now().Sub(since) < pendingLimit {
		fresh := slices.DeleteFunc(slices.Clone(all), func(n vbox.HostOnly) bool { return slices.Contains(before, n.Name) })
		if len(fresh) == 1 && (fresh[0].Address == want || untouched(fresh[0])) {
			_, made, err := p.networkUsers(ctx, fresh[0].Name)
			if err == nil && !made {
				err = p.recordNetwork(ctx, fresh[0].Name, owner)
			}
			if err != nil {
				return err
			}
		}
	}
	return p.o.Hypervisor.SetExtraData(ctx, "global", pendingKey(owner), "")
}

// parsePending reads the note that createNetwork writes.
func parsePending(text string) (since time.Time, want netip.Prefix, before []string, ok bool) {
	stamp, rest, _ := strings.Cut(text, " ")
	address, names, _ := strings.Cut(rest, " ") // Windows' names have spaces
	unix, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil {
		return time.Time{}, netip.Prefix{}, nil, false
	}
	want, err = netip.ParsePrefix(address)
	return time.Unix(unix, 0), want, strings.Split(names, ","), err == nil
}

var firstNumber = regexp.MustCompile(`\d+`)

// untouched tells whether an adapter has no address but what a new one begins with: none, the one that Windows gives an adapter without
// address, or VirtualBox's default, 192.168.56.1 and so on, counted by the number in its name (vboxnet1 has 192.168.57.1).
func untouched(n vbox.HostOnly) bool {
	if !n.Address.IsValid() || n.Address.Addr().IsLinkLocalUnicast() {
		return true
	}
	const first = 56
	number, _ := strconv.Atoi(firstNumber.FindString(n.Name)) // without a number it counts as 0
	return !n.Up && number <= 255-first && n.Address == netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 168, byte(first + number), 1}), 24)
}

// recordNetwork adds a lab to the users of an adapter that labctl made.
func (p *Provider) recordNetwork(ctx context.Context, adapter, owner string) error {
	users, _, err := p.networkUsers(ctx, adapter)
	if err != nil || slices.Contains(users, owner) {
		return err
	}
	return p.o.Hypervisor.SetExtraData(ctx, "global", networkKey(adapter), strings.Join(append(users, owner), ","))
}

// createNetwork creates an adapter in such a way that the next run finds it, whenever this one is killed.
func (p *Provider) createNetwork(ctx context.Context, owner string, want netip.Prefix, all []vbox.HostOnly) (string, error) {
	var names []string
	for _, n := range all {
		names = append(names, n.Name)
	}
	pending := fmt.Sprintf("%d %s %s", p.o.Now().Unix(), want, strings.Join(names, ","))
	if err := p.o.Hypervisor.SetExtraData(ctx, "global", pendingKey(owner), pending); err != nil {
		return "", err
	}
	n, err := p.o.Hypervisor.CreateHostOnly(ctx, want)
	if err == nil {
		err = p.recordNetwork(ctx, n.Name, owner)
	} else {
		err = errors.Join(err, p.forgetPending(ctx, owner, names))
	}
	if err != nil {
		return "", fmt.Errorf("creating one for %s: %w", want.Masked(), err)
	}
	return n.Name, p.o.Hypervisor.SetExtraData(ctx, "global", pendingKey(owner), "")
}

// forgetLimit is how long a creation that failed may take to forget about it; it does so after Ctrl-C, too.
const forgetLimit = 20 * time.Second

// forgetPending removes the note of a creation that has failed and left no adapter behind: the next new adapter will be somebody else's.
func (p *Provider) forgetPending(ctx context.Context, owner string, before []string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), forgetLimit)
	defer cancel()
	all, err := p.o.Hypervisor.HostOnlyNetworks(ctx)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(all, func(n vbox.HostOnly) bool { return !slices.Contains(before, n.Name) }) {
		return nil // removing it has failed too: the next run finds it
	}
	return p.o.Hypervisor.SetExtraData(ctx, "global", pendingKey(owner), "")
}

// wanted returns the host's address with the network's prefix length.
func wanted(in props) (netip.Prefix, error) {
	cidr, err := netip.ParsePrefix(in.text("cidr"))
	if err != nil {
		return netip.Prefix{}, err
	}
	host, err := netip.ParseAddr(in.text("host"))
	return netip.PrefixFrom(host, cidr.Bits()), err
}

func (p *Provider) ensureNetwork(ctx context.Context, in props, step func(string)) (id, value string, err error) {
	want, err := wanted(in)
	if err != nil {
		return "", "", err
	}
	owner, err := p.o.Folder.Owner()
	if err != nil {
		return "", "", err
	}
	// Another labctl may be creating the adapter that fits, for another lab.
	release, err := p.o.Folder.Shared(ctx, "network")
	if err != nil {
		return "", "", err
	}
	defer func() { err = errors.Join(err, release()) }()
	all, err := p.o.Hypervisor.HostOnlyNetworks(ctx)
	if err != nil {
		return "", "", fmt.Errorf("listing host-only networks: %w", err)
	}
	if err := p.claimPending(ctx, owner, all); err != nil {
		return "", "", err
	}
	var found []vbox.HostOnly
	ours := map[string][]string{}
	for _, n := range all {
		users, made, err := p.networkUsers(ctx, n.Name)
		if err != nil {
			return "", "", err
		}
		if made {
			ours[n.Name] = users
		}
		if n.Address.IsValid() && n.Address.Masked().Overlaps(want.Masked()) || made && slices.Contains(users, owner) {
			found = append(found, n)
		}
	}
	if len(found) > 1 {
		return "", "", fmt.Errorf("host-only networks %q and %q both cover %s: remove one (VBoxManage hostonlyif remove NAME)",
			found[0].Name, found[1].Name, want.Masked())
	}
	if len(found) == 0 {
		step("creating the host-only network " + want.Masked().String())
		name, err := p.createNetwork(ctx, owner, want, all)
		return name, name, err
	}
	n := found[0]
	_, made := ours[n.Name]
	if n.Address != want {
		if !made {
			return "", "", fmt.Errorf("host-only network %q has the address %s, the lab wants %s, and it was not made by labctl: "+
				"set it yourself (VBoxManage hostonlyif ipconfig %q --ip %s --netmask %s) or give the lab another network.cidr",
				n.Name, n.Address, want, n.Name, want.Addr(), vbox.Netmask(want.Bits()))
		}
		step("setting the address of " + n.Name)
		if err := p.o.Hypervisor.SetHostOnlyAddress(ctx, n.Name, want); err != nil {
			return "", "", fmt.Errorf("setting the address of %q: %w", n.Name, err)
		}
	}
	if made {
		err = p.recordNetwork(ctx, n.Name, owner)
	}
	return n.Name, n.Name, err
}

// networkUsers returns the owner marks of the labs that use an adapter, and whether labctl made it.
func (p *Provider) networkUsers(ctx context.Context, adapter string) (users []string, made bool, err error) {
	text, made, err := p.o.Hypervisor.ExtraData(ctx, "global", networkKey(adapter))
	if err != nil || !made {
		return nil, false, err
	}
	return strings.Split(text, ","), true, nil
}

// removeNetwork removes the adapter if labctl made it and this was the last lab that used it.
func (p *Provider) removeNetwork(ctx context.Context, id string, _ props, step func(string)) error {
	owner, err := p.o.Folder.Owner()
	if err != nil {
		return err
	}
	return p.leaveNetwork(ctx, id, owner, step)
}

func (p *Provider) leaveNetwork(ctx context.Context, id, owner string, step func(string)) (err error) {
	release, err := p.o.Folder.Shared(ctx, "network")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, release()) }()
	users, made, err := p.networkUsers(ctx, id)
	if err != nil || !made || !slices.Contains(users, owner) {
		return err
	}
	users = slices.DeleteFunc(users, func(u string) bool { return u == owner })
	if len(users) > 0 {
		step("leaving the host-only network to other labs")
		return p.o.Hypervisor.SetExtraData(ctx, "global", networkKey(id), strings.Join(users, ","))
	}
	step("removing the host-only network")
	if err := p.o.Hypervisor.RemoveHostOnly(ctx, id); err != nil {
		return fmt.Errorf("removing %q: %w", id, err)
	}
	return p.o.Hypervisor.SetExtraData(ctx, "global", networkKey(id), "")
}

// RemoveNetworks takes a lab out of the users of every adapter that labctl made, and removes those that nobody else uses: what is left
// when the state is lost. An adapter that a killed run of the lab was making is one of them. owner is the lab's mark.
func (p *Provider) RemoveNetworks(ctx context.Context, owner string, step func(string)) error {
	all, err := p.claimForRemoval(ctx, owner)
	if err != nil {
		return err
	}
	for _, n := range all {
		if err := p.leaveNetwork(ctx, n.Name, owner, step); err != nil {
			return err
		}
	}
	return nil
}

func (p *Provider) claimForRemoval(ctx context.Context, owner string) (all []vbox.HostOnly, err error) {
	release, err := p.o.Folder.Shared(ctx, "network")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, release()) }()
	all, err = p.o.Hypervisor.HostOnlyNetworks(ctx)
	if err != nil {
		return nil, fmt.Errorf("listing host-only networks: %w", err)
	}
	return all, p.claimPending(ctx, owner, all)
}
