//go:build conformance

package vbox

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"
)

const ownerKey = "labctl/conformance"

func (l *life) spec(name string) MachineSpec {
	n := len(name) + int(name[len(name)-1])
	return MachineSpec{
		Name: name, Group: "/labctl/lab", BaseFolder: filepath.Join(l.dir, "vms"), OSType: "Ubuntu_64",
		OwnerKey: ownerKey, Owner: "lab 4711", CPUs: 2, MemoryMiB: 512,
		NATMAC: fmt.Sprintf("08:00:27:00:00:%02x", n), HostOnlyMAC: fmt.Sprintf("08:00:27:00:01:%02x", n),
		HostOnlyNetwork: "vboxnet0", SSHPort: 20000 + n,
		BaseDisk: filepath.Join(l.dir, "base.vdi"), Disk: filepath.Join(l.dir, name+".vdi"),
		Seed: filepath.Join(l.dir, name+".iso"), SerialLog: filepath.Join(l.dir, name+".log"),
	}
}

func (l *life) write(name string, data []byte) string {
	l.t.Helper()
	path := filepath.Join(l.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		l.t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		l.t.Fatal(err)
	}
	return path
}

// ensure makes a machine and notes its steps too.
func (l *life) ensure(step string, s MachineSpec) Machine {
	l.t.Helper()
	var steps []string
	m, err := l.c.EnsureMachine(l.ctx, s, func(s string) { steps = append(steps, s) })
	l.ok(step, struct {
		Machine Machine
		Steps   []string
	}{m, steps}, err)
	return m
}

func (l *life) remove(step, id string) {
	l.t.Helper()
	var steps []string
	err := l.c.RemoveMachine(l.ctx, id, ownerKey, "lab 4711", func(s string) { steps = append(steps, s) })
	l.ok(step, steps, err)
}

// raw makes a call as this package does in the middle of a longer step: a killed run got no further.
func (l *life) raw(step string, a args) error {
	l.t.Helper()
	out, err := l.c.run(l.ctx, a)
	l.add(step, out, err)
	return err
}

func (l *life) media(step string) []Medium {
	l.t.Helper()
	media, err := l.c.Media(l.ctx)
	// VBoxSVC ends some seconds after the last call, sooner or later on a machine at work, and forgets disks that were only looked
	// at: those may be there or not.
	all := slices.Clone(media)
	media = slices.DeleteFunc(media, func(m Medium) bool {
		onlyLookedAt := m.Path == filepath.Join(l.dir, "base.vdi") || m.Path == filepath.Join(l.dir, "other.vdi")
		return onlyLookedAt && !slices.ContainsFunc(all, func(child Medium) bool { return child.Parent == m.UUID })
	})
	// By path, where that holds no UUID; those keep the order in which they became known.
	place := func(m Medium) string {
		i := slices.Index(l.uuids, m.UUID)
		return uuidPattern.ReplaceAllString(m.Path, "") + fmt.Sprintf(" %04d", (i+len(l.uuids)+2)%(len(l.uuids)+2))
	}
	slices.SortStableFunc(media, func(a, b Medium) int { return strings.Compare(place(a), place(b)) })
	l.ok(step, media, err)
	return media
}

func (l *life) live() {
	l.empty()
	l.images()
	l.firstMachine()
	l.changes()
	l.snapshots()
	l.killedRuns()
	l.foreignMachines()
	l.otherErrors()
	l.removal()
}

func (l *life) empty() {
	v, err := l.c.Version(l.ctx)
	l.ok("version", []int{v.Major}, errors.Join(err, v.Supported()))
	machines, err := l.c.Machines(l.ctx)
	l.ok("no machines", machines, err)
	l.must("VirtualBox is empty at first", len(machines) == 0)
	machines, err = l.c.RunningMachines(l.ctx)
	l.ok("no running machines", machines, err)
	l.media("no media")
	networks, err := l.c.HostOnlyNetworks(l.ctx)
	l.ok("no host-only networks", networks, err)
	_, err = l.c.Machine(l.ctx, "w9")
	l.fails("no such machine", err, ErrNotFound)
}

func (l *life) images() {
	const mib = 1 << 20
	raw := l.write("raw.img", make([]byte, 16*mib))
	cow := l.write("cow.img", qcow2(16*mib))
	base := filepath.Join(l.dir, "base.vdi")

	l.ok("convert raw", nil, l.c.ConvertDisk(l.ctx, raw, base, 64, noStep))
	l.media("nothing stays registered after converting raw")
	m, err := l.c.Medium(l.ctx, base)
	l.ok("converted raw", m, err)
	l.must("it was resized", m.CapacityMiB == 64)

	other := filepath.Join(l.dir, "other.vdi")
	l.ok("convert qcow2", nil, l.c.ConvertDisk(l.ctx, cow, other, 32, noStep))
	m, err = l.c.Medium(l.ctx, other)
	l.ok("converted qcow2", m, err)
	l.must("it was resized", m.CapacityMiB == 32)
	l.media("the source is not registered")

	// As OVAs hold it, and as qemu-img writes it: without a UUID VirtualBox refuses it, until it is given one.
	stream := l.write("stream.vmdk", streamVMDK(16*mib, ""))
	third := filepath.Join(l.dir, "third.vdi")
	l.ok("convert a stream-optimised VMDK without a UUID", nil, l.c.ConvertDisk(l.ctx, stream, third, 32, noStep))
	m, err = l.c.Medium(l.ctx, third)
	l.ok("converted VMDK", m, err)
	l.ok("delete it", nil, l.c.CloseMedium(l.ctx, third, true))
	ova := l.write("lab.ova", archive(tarFile{name: "lab.ovf", data: []byte("<Envelope/>")}, tarFile{name: "lab.vmdk", data: streamVMDK(16*mib, "")}))
	l.ok("convert an OVA", nil, l.c.ConvertDisk(l.ctx, ova, third, 32, noStep))
	l.ok("delete that", nil, l.c.CloseMedium(l.ctx, third, true))
	l.media("neither is registered")

	n := len(l.allCalls())
	l.ok("convert again", nil, l.c.ConvertDisk(l.ctx, cow, other, 32, noStep))
	l.must("converting again calls nothing", len(l.allCalls()) == n)

	tooSmall := filepath.Join(l.dir, "small.vdi")
	l.must("a disk smaller than its image is refused", l.c.ConvertDisk(l.ctx, raw, tooSmall, 8, noStep) != nil)
	l.must("nothing is left of it", !exists(tooSmall) && !exists(tooSmall+".part.vdi"))
	broken := l.write("broken.img", []byte("QFI\xfbgarbage"))
	l.fails("convert a broken qcow2", l.c.ConvertDisk(l.ctx, broken, tooSmall, 64, noStep), ErrBadMedium)
	broken = l.write("broken2.img", append([]byte("QFI\xfb"), make([]byte, 1020)...))
	l.fails("convert a broken qcow2 of whole sectors", l.c.ConvertDisk(l.ctx, broken, tooSmall, 64, noStep), ErrBadMedium)
	l.fails("convert nothing", l.c.ConvertDisk(l.ctx, filepath.Join(l.dir, "none.img"), tooSmall, 64, noStep), ErrNotFound)
	l.media("failures leave nothing registered")

	// A target deleted behind VirtualBox's back, and the rest of a conversion that was killed.
	if err := os.Remove(other); err != nil {
		l.t.Fatal(err)
	}
	l.write("other.vdi.part.vdi", []byte("half"))
	l.ok("convert to a place still registered", nil, l.c.ConvertDisk(l.ctx, cow, other, 32, noStep))
	m, err = l.c.Medium(l.ctx, other)
	l.ok("converted once more", m, err)

	// Here, before there is any machine: later on the real one leaves out that the file exists, and says only
	// "File not accessible or erroneous file contents".
	linked := filepath.Join(l.dir, "linked.vdi")
	l.ok("linked disk", nil, l.raw("create linked disk", createLinkedDiskArgs(linked, base)))
	l.fails("the disk exists", l.raw("create it again", createLinkedDiskArgs(linked, base)), ErrAlreadyExists)
	l.ok("delete linked disk", nil, l.c.CloseMedium(l.ctx, linked, true))
	l.must("its file is gone", !exists(linked))
}

func (l *life) firstMachine() {
	for _, name := range []string{"cp1", "w1", "w2", "w3", "w4"} {
		l.write(name+".iso", iso())
	}
	s := l.spec("cp1")
	m := l.ensure("create machine", s)
	l.must("the disk is attached", m.Media["SATA-0-0"] == s.Disk && m.Media["SATA-1-0"] == s.Seed)
	l.must("the sizes are set", m.MemoryMiB == 512 && m.CPUs == 2 && m.SerialLog == s.SerialLog)
	l.must("the network is set", cmp.Equal(m.NICs, []NIC{
		{Slot: 1, Kind: "nat", MAC: s.NATMAC, Cable: true},
		{Slot: 2, Kind: "hostonly", Network: "vboxnet0", MAC: s.HostOnlyMAC, Cable: true},
	}))
	l.must("the rule is set", cmp.Equal(m.Forwards, []Forward{{"ssh", "tcp", "127.0.0.1", s.SSHPort, "", 22}}))
	machines, err := l.c.Machines(l.ctx)
	l.ok("one machine", machines, err)
	l.must("it is listed", cmp.Equal(machines, []MachineRef{{"cp1", m.UUID}}))
	mark, ok, err := l.c.ExtraData(l.ctx, m.UUID, ownerKey)
	l.ok("mark", []any{mark, ok}, err)
	l.must("it is marked", ok && mark == "lab 4711")
	disk, err := l.c.Medium(l.ctx, s.Disk)
	l.ok("linked disk", disk, err)
	l.must("it is linked, and used", disk.Parent != "" && cmp.Equal(disk.UsedBy, []string{"cp1"}))
	l.media("media of one machine")

	n := len(l.allCalls())
	again := l.ensure("second time", s)
	if diff := cmp.Diff(m, again, cmp.AllowUnexported(Machine{})); diff != "" {
		l.t.Errorf("the second time changes the machine: (-first +second)\n%s", diff)
	}
	l.must("the second time only looks", l.onlyReads(n))

	l.ok("stopping what is off", nil, l.c.StopMachine(l.ctx, m.UUID, time.Minute, noStep))
	l.must("stopping what is off only looks", l.onlyReads(n))
}

func (l *life) changes() {
	l.ok("unplug", nil, l.c.SetLink(l.ctx, "cp1", 2, false))
	unplugged, err := l.c.Machine(l.ctx, "cp1")
	l.ok("unplugged", unplugged, err)
	l.must("the cable is out", !unplugged.NICs[1].Cable)
	l.ok("plug in", nil, l.c.SetLink(l.ctx, "cp1", 2, true))
	s := l.spec("cp1")
	s.MemoryMiB, s.CPUs, s.SSHPort = 768, 1, 22222
	m := l.ensure("configure", s)
	l.must("it is configured", m.MemoryMiB == 768 && m.CPUs == 1 && m.Forwards[0].HostPort == 22222)

	f := m.Forwards[0]
	l.fails("a rule of this name", l.raw("add rule again", addForwardArgs("cp1", 1, f)), ErrAlreadyExists)
	f.Name = "other"
	l.fails("a rule for this port", l.raw("add rule for the same port", addForwardArgs("cp1", 1, f)), ErrAlreadyExists)
	l.fails("no such rule", l.raw("delete absent rule", deleteForwardArgs("cp1", 1, "other")), ErrNotFound)
	s.SSHPort = 0
	m = l.ensure("configure without rule", s)
	l.must("the rule is gone", len(m.Forwards) == 0)
	l.ensure("back to what it was", l.spec("cp1"))
	s.MemoryMiB = 1
	_, err = l.c.EnsureMachine(l.ctx, s, noStep)
	l.must("1 MiB is refused", err != nil)

	for _, target := range []string{"global", "cp1"} {
		l.ok("note on "+target, nil, l.c.SetExtraData(l.ctx, target, "labctl/note", "two words"))
		value, ok, err := l.c.ExtraData(l.ctx, target, "labctl/note")
		l.ok("noted on "+target, []any{value, ok}, err)
		l.must("the note can be read", ok && value == "two words")
		l.ok("no note on "+target, nil, l.c.SetExtraData(l.ctx, target, "labctl/note", ""))
		value, ok, err = l.c.ExtraData(l.ctx, target, "labctl/note")
		l.ok("note deleted on "+target, []any{value, ok}, err)
		l.must("the note is gone", !ok && value == "")
	}
}

func (l *life) snapshots() {
	list := func(step string, want ...string) {
		l.t.Helper()
		got, err := l.c.Snapshots(l.ctx, "cp1")
		l.ok(step, got, err)
		var names []string
		for _, s := range got {
			names = append(names, s.Name)
		}
		l.must(fmt.Sprintf("%s: %q are %q", step, names, want), cmp.Equal(names, want))
	}
	list("no snapshots")
	l.fails("delete none", l.c.DeleteSnapshot(l.ctx, "cp1", "clean"), ErrNotFound)
	l.ok("take", nil, l.c.TakeSnapshot(l.ctx, "cp1", "clean", "before the first exercise"))
	l.fails("take again", l.c.TakeSnapshot(l.ctx, "cp1", "clean", ""), ErrAlreadyExists)
	l.ok("take another", nil, l.c.TakeSnapshot(l.ctx, "cp1", "exercise 3", ""))
	list("two snapshots", "clean", "exercise 3")
	n := len(l.allCalls())
	l.ensure("a machine with snapshots", l.spec("cp1"))
	l.must("it is as it should be", l.onlyReads(n))
	l.ok("restore", nil, l.c.RestoreSnapshot(l.ctx, "cp1", "clean"))
	list("restored", "clean", "exercise 3")
	l.fails("restore none", l.c.RestoreSnapshot(l.ctx, "cp1", "none"), ErrNotFound)
	l.ok("take a branch", nil, l.c.TakeSnapshot(l.ctx, "cp1", "branch", ""))
	list("a tree", "clean", "exercise 3", "branch")
	l.ok("delete", nil, l.c.DeleteSnapshot(l.ctx, "cp1", "branch"))
	list("branch deleted", "clean", "exercise 3")
	l.fails("delete the current one, which has a child", l.c.DeleteSnapshot(l.ctx, "cp1", "clean"), ErrInvalidState)
	l.ok("take one with a label", nil, l.c.TakeSnapshot(l.ctx, "cp1", "labctl-clean", "labctl lab=0f3a save=ABC at=2026-11-22T16:00:00Z nodes=cp1,w1"))
	list("two branches", "clean", "exercise 3", "labctl-clean")
	l.fails("delete one with two children", l.c.DeleteSnapshot(l.ctx, "cp1", "clean"), ErrInvalidState)
	labelled, err := l.c.Snapshots(l.ctx, "cp1")
	l.must("it is listed", err == nil && len(labelled) == 3)
	l.ok("restore another branch by UUID", nil, l.c.RestoreSnapshot(l.ctx, "cp1", labelled[1].UUID))
	l.ok("delete by UUID", nil, l.c.DeleteSnapshot(l.ctx, "cp1", labelled[2].UUID))
	l.fails("delete by UUID again", l.c.DeleteSnapshot(l.ctx, "cp1", labelled[2].UUID), ErrNotFound)
	l.ok("back to the first", nil, l.c.RestoreSnapshot(l.ctx, "cp1", labelled[0].UUID))
	list("as before", "clean", "exercise 3")
	l.ensure("a machine after snapshots", l.spec("cp1"))
	l.media("media of a machine with snapshots")
}

func (l *life) killedRuns() {
	s := l.spec("w1")
	l.raw("killed after createvm", createMachineArgs(s))
	m := l.ensure("finish after createvm", s)
	l.must("it is complete", m.Media["SATA-0-0"] == s.Disk)
	mark, ok, err := l.c.ExtraData(l.ctx, "w1", ownerKey)
	l.ok("adopted machine's mark", []any{mark, ok}, err)
	l.must("it got the mark", ok && mark == s.Owner)

	s = l.spec("w2")
	l.raw("killed after createmedium: machine", createMachineArgs(s))
	l.raw("killed after createmedium: mark", setExtraDataArgs("w2", s.OwnerKey, s.Owner))
	l.raw("killed after createmedium: note", setExtraDataArgs("w2", diskKey(s.OwnerKey), s.Disk))
	l.raw("killed after createmedium: controller", addControllerArgs("w2"))
	l.raw("killed after createmedium: disk", createLinkedDiskArgs(s.Disk, s.BaseDisk))
	l.fails("the controller exists", l.raw("controller again", addControllerArgs("w2")), ErrAlreadyExists)
	l.ensure("finish after createmedium", s)
	l.remove("remove it", "w2")
	l.must("its disk is gone", !exists(s.Disk))

	l.raw("never attached: machine", createMachineArgs(s))
	l.raw("never attached: mark", setExtraDataArgs("w2", s.OwnerKey, s.Owner))
	l.raw("never attached: note", setExtraDataArgs("w2", diskKey(s.OwnerKey), s.Disk))
	l.raw("never attached: disk", createLinkedDiskArgs(s.Disk, s.BaseDisk))
	l.remove("remove before attaching", "w2")
	l.must("its disk is gone too", !exists(s.Disk))

	l.write("w2.vdi", []byte("half a disk"))
	l.ensure("half-written disk", s)
	l.raw("forget machine", forgetArgs("w2"))
	l.must("its settings file stays", exists(filepath.Join(l.dir, "vms/labctl/lab/w2/w2.vbox")))
	l.ensure("settings file without machine", s)
	l.remove("remove it again", "w2")
	l.media("media after killed runs")
}

func (l *life) foreignMachines() {
	s := l.spec("w3")
	elsewhere := s
	elsewhere.BaseFolder = filepath.Join(l.dir, "elsewhere")
	l.raw("somebody's machine", createMachineArgs(elsewhere))
	n := len(l.allCalls())
	_, err := l.c.EnsureMachine(l.ctx, s, noStep)
	l.fails("ensure somebody's machine", err, ErrForeign)
	l.fails("remove somebody's machine", l.c.RemoveMachine(l.ctx, "w3", ownerKey, s.Owner, noStep), ErrForeign)
	l.must("it is untouched", l.onlyReads(n))
	l.raw("another lab's mark", setExtraDataArgs("w3", ownerKey, "lab 4712"))
	n = len(l.allCalls())
	_, err = l.c.EnsureMachine(l.ctx, elsewhere, noStep)
	l.fails("ensure another lab's machine", err, ErrForeign)
	l.fails("remove another lab's machine", l.c.RemoveMachine(l.ctx, "w3", ownerKey, s.Owner, noStep), ErrForeign)
	l.must("it is untouched", l.onlyReads(n))
	l.ok("its owner removes it", nil, l.c.RemoveMachine(l.ctx, "w3", ownerKey, "lab 4712", noStep))
}

func (l *life) otherErrors() {
	s := l.spec("w1")
	l.fails("close a base in use", l.c.CloseMedium(l.ctx, s.BaseDisk, false), ErrInUse)
	l.fails("delete a base in use", l.c.CloseMedium(l.ctx, s.BaseDisk, true), ErrInUse)
	l.fails("delete a disk in use", l.c.CloseMedium(l.ctx, s.Disk, true), ErrInUse)
	l.fails("close a disc in use", l.c.CloseMedium(l.ctx, s.Seed, false), ErrInUse)
	l.ok("close what is not there", nil, l.c.CloseMedium(l.ctx, filepath.Join(l.dir, "none.vdi"), true))
	l.ok("close the disc that is not there", nil, l.c.CloseMedium(l.ctx, filepath.Join(l.dir, "none.iso"), false))
	l.write("wrong.vdi", []byte("no disk"))
	l.write("wrong.iso", nil)
	_, err := l.c.Medium(l.ctx, filepath.Join(l.dir, "wrong.vdi"))
	l.fails("look at no disk", err, ErrBadMedium)
	_, err = l.c.Medium(l.ctx, filepath.Join(l.dir, "none.vdi"))
	l.fails("look at nothing", err, ErrNotFound)
	disc, err := l.c.Medium(l.ctx, s.Seed)
	l.ok("look at a disc", disc, err)
	l.fails("attach no disk", l.raw("attach wrong disk", attachDiskArgs("w1", filepath.Join(l.dir, "wrong.vdi"))), ErrBadMedium)
	l.fails("attach an empty disc", l.raw("attach wrong disc", attachDVDArgs("w1", filepath.Join(l.dir, "wrong.iso"))), ErrBadMedium)
	l.fails("attach nothing", l.raw("attach absent disc", attachDVDArgs("w1", filepath.Join(l.dir, "none.iso"))), ErrNotFound)
	l.fails("link to nothing", l.raw("link to absent base", createLinkedDiskArgs(filepath.Join(l.dir, "x.vdi"), filepath.Join(l.dir, "none.vdi"))), ErrNotFound)
	l.fails("name is taken", l.raw("create again", createMachineArgs(s)), ErrAlreadyExists)
	other := s
	other.BaseDisk = filepath.Join(l.dir, "other.vdi")
	_, err = l.c.EnsureMachine(l.ctx, other, noStep)
	l.must("a disk linked to another image is refused", err != nil)
	l.add("another image", nil, err)
	l.fails("nothing to discard", l.raw("discard nothing", discardStateArgs("w1")), ErrInvalidState)
	l.fails("nothing to switch off", l.raw("switch off nothing", powerOffArgs("w1")), ErrInvalidState)
	l.fails("nothing to shut down", l.raw("shut down nothing", powerButtonArgs("w1")), ErrInvalidState)
	l.fails("nothing to resume", l.raw("resume nothing", resumeArgs("w1")), ErrInvalidState)
	l.fails("stop no machine", l.c.StopMachine(l.ctx, "w9", 0, noStep), ErrNotFound)
	l.fails("note on no machine", l.c.SetExtraData(l.ctx, "w9", "labctl/note", "x"), ErrNotFound)
	_, _, err = l.c.ExtraData(l.ctx, "w9", "labctl/note")
	l.fails("read no machine's note", err, ErrNotFound)
	_, err = l.c.Snapshots(l.ctx, "w9")
	l.fails("snapshots of no machine", err, ErrNotFound)
}

func (l *life) removal() {
	cp1, err := l.c.Machine(l.ctx, "cp1")
	l.ok("before removal", cp1, err)
	base := l.spec("cp1").BaseDisk
	l.remove("remove a machine with snapshots", cp1.UUID)
	l.must("its folder is gone", !exists(filepath.Dir(cp1.ConfigFile)) && !exists(l.spec("cp1").Disk))
	l.must("the seed stays", exists(l.spec("cp1").Seed))
	l.media("media after the first removal")
	l.remove("remove the last machine", "w1")
	m, err := l.c.Medium(l.ctx, base)
	l.ok("the base image survives", m, err)
	l.must("the base image survives as a file", exists(base) && m.State == "created" && m.CapacityMiB == 64)
	l.remove("remove by UUID again", cp1.UUID)
	l.remove("remove by name again", "w1")
	for _, disk := range []string{base, filepath.Join(l.dir, "other.vdi")} {
		l.ok("close "+disk[len(l.dir):], nil, l.c.CloseMedium(l.ctx, disk, false))
	}
	machines, err := l.c.Machines(l.ctx)
	l.ok("no machines in the end", machines, err)
	l.must("no machine is left", len(machines) == 0)
	l.must("no medium is left", len(l.media("no media in the end")) == 0)
}
