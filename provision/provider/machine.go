package provider

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"time"

	"github.com/labctl/labctl/internal/cloudinit"
	"github.com/labctl/labctl/internal/labdir"
	"github.com/labctl/labctl/vbox"
)

// Hypervisor is what the provider needs of VirtualBox: *vbox.Client. Every method's contract is in package vbox.
type Hypervisor interface {
	Machines
	Networks
	Disks
}

// Machines is the part of Hypervisor that makes virtual machines.
type Machines interface {
	Machine(ctx context.Context, nameOrUUID string) (vbox.Machine, error)
	Machines(ctx context.Context) ([]vbox.MachineRef, error)
	EnsureMachine(ctx context.Context, spec vbox.MachineSpec, step func(string)) (vbox.Machine, error)
	StartMachine(ctx context.Context, id string) error
	StopMachine(ctx context.Context, id string, grace time.Duration, step func(string)) error
	RemoveMachine(ctx context.Context, id, ownerKey, owner string, step func(string)) error
}

// Networks is the part of Hypervisor that makes host-only networks.
type Networks interface {
	HostOnlyNetworks(ctx context.Context) ([]vbox.HostOnly, error)
	CreateHostOnly(ctx context.Context, want netip.Prefix) (vbox.HostOnly, error)
	SetHostOnlyAddress(ctx context.Context, name string, want netip.Prefix) error
	RemoveHostOnly(ctx context.Context, name string) error
	ExtraData(ctx context.Context, target, key string) (value string, ok bool, err error)
	SetExtraData(ctx context.Context, target, key, value string) error
}

// Disks is the part of Hypervisor that makes disks.
type Disks interface {
	ConvertDisk(ctx context.Context, source, target string, sizeMiB int, step func(string)) error
	CloseMedium(ctx context.Context, path string, remove bool) error
}

var _ Hypervisor = (*vbox.Client)(nil)

// osType is what VirtualBox calls a 64-bit Ubuntu.
const osType = "Ubuntu_64"

// machine is a virtual machine that runs, answers over SSH on its host-only address and has finished cloud-init. Its id is
// VirtualBox's UUID, and so is its value. Another image, network or address makes it anew; memory and CPUs change in place,
// with a reboot.
func (p *Provider) machine() kind {
	return kind{
		required: []string{"name", "image", "network", "address", "cpus", "memoryMiB"},
		replace:  []string{"name", "image", "network", "address", "user"},
		ensure: func(ctx context.Context, in props, step func(string)) (string, string, error) {
			id, err := p.ensureMachine(ctx, in, step)
			return id, id, err
		},
		read: p.readMachine,
		find: func(ctx context.Context, in props) (string, bool, error) {
			m, ok, err := p.owned(ctx, p.o.Folder.VMName(in.text("name")))
			return m.UUID, ok, err
		},
		remove: p.removeMachine,
	}
}

// owned looks a machine up; ok is false where there is none of that name or id, or where it bears another owner's mark.
func (p *Provider) owned(ctx context.Context, nameOrUUID string) (m vbox.Machine, ok bool, err error) {
	m, err = p.o.Hypervisor.Machine(ctx, nameOrUUID)
	if errors.Is(err, vbox.ErrNotFound) {
		return m, false, nil
	}
	if err != nil {
		return m, false, err
	}
	ok, err = p.o.Folder.Owns(ctx, p.o.Hypervisor, m.UUID)
	return m, ok, err
}

// running tells whether the guest is at work; a paused or saved machine is not.
func running(m vbox.Machine) bool { return m.State == "running" }

func (p *Provider) readMachine(ctx context.Context, id string, in props) (props, error) {
	m, ok, err := p.owned(ctx, id)
	if err != nil || !ok {
		return nil, err
	}
	now := maps.Clone(in)
	now["cpus"], now["memoryMiB"] = float64(m.CPUs), float64(m.MemoryMiB)
	now["running"] = running(m)
	if running(m) && !p.o.Folder.Machine(in.text("name")).Booted() {
		now[driftKey] = "nobody has seen it boot" // the run that started it was killed
	}
	return now, nil
}

func (p *Provider) removeMachine(ctx context.Context, id string, in props, step func(string)) error {
	owner, err := p.o.Folder.Owner()
	if err != nil {
		return err
	}
	name := in.text("name")
	p.conns.forget(name)
	if err := p.o.Hypervisor.RemoveMachine(ctx, id, labdir.OwnerKey, owner, step); err != nil {
		return fmt.Errorf("removing it: %w", err)
	}
	return p.o.Folder.Machine(name).Remove()
}

func (p *Provider) ensureMachine(ctx context.Context, in props, step func(string)) (id string, err error) {
	node := in.text("name")
	spec, err := p.machineSpec(in)
	if err != nil {
		return "", err
	}
	m, ours, err := p.owned(ctx, spec.Name)
	if err != nil {
		return "", err
	}
	changed := m.CPUs != spec.CPUs || m.MemoryMiB != spec.MemoryMiB
	grace := p.o.Timeouts.Stop
	if p.o.Folder.Machine(node).Spoilt() {
		changed, grace = true, 0 // nothing in there is worth a shutdown, and nobody may be there to do it
	}
	if ours && running(m) && changed {
		p.conns.forget(node)
		if err := p.o.Hypervisor.StopMachine(ctx, m.UUID, grace, step); err != nil {
			return m.UUID, fmt.Errorf("stopping it: %w", err)
		}
	}
	if !ours || !running(m) || changed {
		if m, err = p.prepare(ctx, node, spec, step); err != nil {
			return m.UUID, err
		}
		if err := p.start(ctx, node, m.UUID, step); err != nil {
			return m.UUID, err
		}
	}
	return m.UUID, p.waitBooted(ctx, node, step)
}

// start starts a machine; until waitBooted has seen it boot, it counts as not booted.
func (p *Provider) start(ctx context.Context, node, id string, step func(string)) error {
	step("starting")
	if err := p.o.Folder.Machine(node).SetBooted(false); err != nil {
		return err
	}
	if err := p.o.Hypervisor.StartMachine(ctx, id); err != nil {
		return fmt.Errorf("starting the machine: %w", err)
	}
	return nil
}

// prepare makes the stopped machine what spec says.
func (p *Provider) prepare(ctx context.Context, node string, spec vbox.MachineSpec, step func(string)) (vbox.Machine, error) {
	step("writing the seed")
	if dir := p.o.Folder.Machine(node); dir.Spoilt() {
		if err := dir.TryAgain(); err != nil {
			return vbox.Machine{}, fmt.Errorf("writing its seed: %w", err)
		}
	}
	if err := p.writeSeed(node, spec); err != nil {
		return vbox.Machine{}, fmt.Errorf("writing its seed: %w", err)
	}
	if err := p.choosePort(ctx, node, &spec); err != nil {
		return vbox.Machine{}, err
	}
	m, err := p.o.Hypervisor.EnsureMachine(ctx, spec, step)
	if err != nil {
		// What exists by now must be known to the state, or destroy would leave it.
		if left, ours, lerr := p.owned(ctx, spec.Name); lerr == nil && ours {
			m = left
		}
		return m, fmt.Errorf("creating it: %w", err)
	}
	return m, nil
}

func (p *Provider) machineSpec(in props) (vbox.MachineSpec, error) {
	node := in.text("name")
	id, err := p.o.Folder.ID()
	if err != nil {
		return vbox.MachineSpec{}, err
	}
	owner, err := p.o.Folder.Owner()
	if err != nil {
		return vbox.MachineSpec{}, err
	}
	dir := p.o.Folder.Machine(node)
	return vbox.MachineSpec{
		Name: p.o.Folder.VMName(node), Group: "/labctl/" + p.o.Lab.Name, BaseFolder: dir.Path, OSType: osType,
		OwnerKey: labdir.OwnerKey, Owner: owner,
		CPUs: in.number("cpus"), MemoryMiB: in.number("memoryMiB"),
		NATMAC: labdir.MAC(id, node, 1), HostOnlyMAC: labdir.MAC(id, node, 2), HostOnlyNetwork: in.text("network"),
		BaseDisk: in.text("image"), Disk: dir.Disk(), Seed: dir.Seed(), SerialLog: dir.SerialLog(),
	}, nil
}

// choosePort picks the port of the NAT rule: the one of last time while it is free, because a stopped machine doesn't hold it.
func (p *Provider) choosePort(ctx context.Context, node string, spec *vbox.MachineSpec) (err error) {
	dir := p.o.Folder.Machine(node)
	last, err := dir.SSHPort()
	if err != nil {
		return err
	}
	// Another labctl may be choosing one for another lab.
	release, err := p.o.Folder.Shared(ctx, "ports")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, release()) }()
	taken, err := p.o.Folder.TakenPorts(node)
	if err != nil {
		return err
	}
	if err := p.otherRules(ctx, spec.Name, taken); err != nil {
		return err
	}
	port, err := p.o.FreePort(last, taken)
	if err != nil {
		return fmt.Errorf("a port for SSH: %w", err)
	}
	spec.SSHPort = port
	return dir.SetSSHPort(port)
}

// otherRules adds the host ports that other machines' NAT rules name, whether they run or not.
func (p *Provider) otherRules(ctx context.Context, self string, taken map[int]bool) error {
	refs, err := p.o.Hypervisor.Machines(ctx)
	if err != nil {
		return err
	}
	for _, ref := range refs {
		if ref.Name == self {
			continue
		}
		m, err := p.o.Hypervisor.Machine(ctx, ref.UUID)
		if errors.Is(err, vbox.ErrNotFound) || errors.Is(err, vbox.ErrInaccessible) {
			continue // deleted meanwhile, or broken: it holds no port
		}
		if err != nil {
			return err
		}
		for _, f := range m.Forwards {
			taken[f.HostPort] = true
		}
	}
	return nil
}

func (p *Provider) writeSeed(node string, spec vbox.MachineSpec) error {
	if err := os.MkdirAll(p.o.Folder.Machine(node).Path, 0o700); err != nil {
		return err
	}
	key, err := p.o.Folder.PublicKey()
	if err != nil {
		return err
	}
	hostKey, hostPublic, err := p.o.Folder.HostKey(node)
	if err != nil {
		return err
	}
	id, err := p.o.Folder.ID()
	if err != nil {
		return err
	}
	instance := spec.Name + "-" + id
	try, err := p.o.Folder.Machine(node).Try()
	if err != nil {
		return err
	}
	if try > 0 { // another instance: cloud-init does everything again
		instance += fmt.Sprintf("-%d", try)
	}
	n, err := p.node(node)
	if err != nil {
		return err
	}
	hosts := map[string]netip.Addr{}
	for _, n := range p.o.Lab.Nodes {
		hosts[n.Name] = n.Address
	}
	return cloudinit.Write(spec.Seed, cloudinit.Seed{
		Hostname: node, InstanceID: instance, User: p.o.Lab.Image.User,
		AuthorizedKey: key, HostKey: hostKey, HostPublicKey: hostPublic, MachineID: labdir.MachineID(id, node),
		NATMAC: spec.NATMAC, HostOnlyMAC: spec.HostOnlyMAC,
		HostOnly: netip.PrefixFrom(n.Address, p.o.Lab.Network.CIDR.Bits()), Hosts: hosts,
	})
}
