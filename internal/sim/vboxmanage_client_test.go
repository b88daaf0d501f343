package sim

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/sync/errgroup"

	"github.com/labctl/labctl/vbox"
)

// The life of a lab through the package that labctl itself uses.
func TestLabThroughPackageVBox(t *testing.T) {
	t.Parallel()
	dir, lab, ctx := t.TempDir(), t.TempDir(), t.Context()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := vbox.New(vbox.Options{GOOS: "linux",
		Command: []string{program, "-test.run=^TestVBoxManageProcess$", "--"},
		Env:     []string{"SIM_VBOXMANAGE_DIR=" + dir, "GORACE=atexit_sleep_ms=0"},
	})
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	mustBe := func(err, want error) {
		t.Helper()
		if !errors.Is(err, want) {
			t.Errorf("error %v, want %v", err, want)
		}
	}
	step := func(string) {}

	v, err := c.Version(ctx)
	must(err)
	must(v.Supported())

	host := netip.MustParsePrefix("192.168.57.1/24")
	network, err := c.CreateHostOnly(ctx, host)
	must(err)
	want := vbox.HostOnly{Name: "vboxnet0", Address: host, Up: true}
	if diff := cmp.Diff(want, network, cmpopts.EquateComparable(netip.Prefix{})); diff != "" {
		t.Errorf("host-only network (-want +got):\n%s", diff)
	}
	_, err = c.CreateHostOnly(ctx, netip.MustParsePrefix("10.0.0.1/24"))
	mustBe(err, vbox.ErrAccessDenied)

	source, base := filepath.Join(lab, "cloud.img"), filepath.Join(lab, "base.vdi")
	writeTestFile(t, source, image())
	must(c.ConvertDisk(ctx, source, base, 10240, step))
	media, err := c.Media(ctx)
	if err != nil || len(media) != 0 {
		t.Errorf("registered after converting: %v, %v", media, err)
	}
	disk, err := c.Medium(ctx, base)
	if err != nil || disk.CapacityMiB != 10240 {
		t.Errorf("base disk: %+v, %v", disk, err)
	}

	specs := make([]vbox.MachineSpec, 3)
	machines := make([]vbox.Machine, len(specs))
	var group errgroup.Group
	for i := range specs {
		name := fmt.Sprintf("lab-w%d", i)
		specs[i] = vbox.MachineSpec{Name: name, Group: "/labctl/lab", BaseFolder: filepath.Join(lab, "machines"), OSType: "Ubuntu_64",
			OwnerKey: "labctl/lab", Owner: "lab 1", CPUs: 2, MemoryMiB: 2048, NATMAC: fmt.Sprintf("08:00:27:00:01:%02x", i), HostOnlyMAC: fmt.Sprintf("08:00:27:00:02:%02x", i),
			HostOnlyNetwork: network.Name, SSHPort: 2210 + i, BaseDisk: base, Disk: filepath.Join(lab, name+".vdi"),
			Seed: filepath.Join(lab, name+".iso"), SerialLog: filepath.Join(lab, name+".log")}
		writeTestFile(t, specs[i].Seed, make([]byte, 64*1024))
		group.Go(func() (err error) {
			machines[i], err = c.EnsureMachine(ctx, specs[i], step)
			return err
		})
	}
	must(group.Wait())
	got, s := machines[1], specs[1]
	wantMachine := vbox.Machine{Name: "lab-w1", UUID: got.UUID, State: "poweroff", CPUs: 2, MemoryMiB: 2048, Groups: []string{"/labctl/lab"},
		NICs: []vbox.NIC{{Slot: 1, Kind: "nat", MAC: s.NATMAC, Cable: true},
			{Slot: 2, Kind: "hostonly", Network: "vboxnet0", MAC: s.HostOnlyMAC, Cable: true}},
		Forwards:   []vbox.Forward{{Name: "ssh", Proto: "tcp", HostIP: "127.0.0.1", HostPort: 2211, GuestPort: 22}},
		Media:      map[string]string{"SATA-0-0": s.Disk, "SATA-1-0": s.Seed},
		SerialLog:  s.SerialLog,
		ConfigFile: filepath.Join(lab, "machines/labctl/lab/lab-w1/lab-w1.vbox"), LogFolder: filepath.Join(lab, "machines/labctl/lab/lab-w1/Logs")}
	if diff := cmp.Diff(wantMachine, got, cmpopts.IgnoreUnexported(vbox.Machine{})); diff != "" {
		t.Errorf("machine (-want +got):\n%s", diff)
	}
	again, err := c.EnsureMachine(ctx, s, step)
	if err != nil || again.UUID != got.UUID {
		t.Errorf("making it again: UUID %s, was %s; %v", again.UUID, got.UUID, err)
	}
	_, err = c.Machine(ctx, "nope")
	mustBe(err, vbox.ErrNotFound)

	id := got.UUID
	must(c.StartMachine(ctx, id))
	must(c.StartMachine(ctx, id))
	s.MemoryMiB = 4096
	if got, err = c.EnsureMachine(ctx, s, step); err != nil || got.MemoryMiB != 2048 {
		t.Errorf("a running machine is left as it is: %d MiB, %v", got.MemoryMiB, err)
	}
	mustBe(c.CloseMedium(ctx, s.Disk, true), vbox.ErrInUse)
	running, err := c.RunningMachines(ctx)
	if err != nil || len(running) != 1 || running[0].UUID != id {
		t.Errorf("running machines: %v, %v", running, err)
	}
	must(c.StopMachine(ctx, id, 10*time.Second, step))
	if got, err = c.EnsureMachine(ctx, s, step); err != nil || got.MemoryMiB != 4096 {
		t.Errorf("changing the memory: %d MiB, %v", got.MemoryMiB, err)
	}
	must(c.StopMachine(ctx, id, 10*time.Second, step))

	must(c.TakeSnapshot(ctx, id, "clean", "before exercise 3"))
	mustBe(c.TakeSnapshot(ctx, id, "clean", ""), vbox.ErrAlreadyExists)
	must(c.TakeSnapshot(ctx, id, "later", ""))
	must(c.RestoreSnapshot(ctx, id, "clean"))
	mustBe(c.RestoreSnapshot(ctx, id, "nope"), vbox.ErrNotFound)
	snapshots, err := c.Snapshots(ctx, id)
	wantSnapshots := []vbox.Snapshot{{Name: "clean", Description: "before exercise 3", Current: true}, {Name: "later"}}
	if diff := cmp.Diff(wantSnapshots, snapshots, cmpopts.IgnoreFields(vbox.Snapshot{}, "UUID")); err != nil || diff != "" {
		t.Errorf("snapshots: %v (-want +got):\n%s", err, diff)
	}

	must(c.StartMachine(ctx, machines[0].UUID))
	mustBe(c.RemoveMachine(ctx, id, "labctl/lab", "lab 2", step), vbox.ErrForeign)
	for _, m := range machines {
		must(c.RemoveMachine(ctx, m.UUID, "labctl/lab", "lab 1", step))
		must(c.RemoveMachine(ctx, m.UUID, "labctl/lab", "lab 1", step))
	}
	if !exists(base) || exists(s.Disk) || exists(wantMachine.ConfigFile) {
		t.Error("after removing the machines: want the base image there, and disks and settings gone")
	}
	left, err := c.Machines(ctx)
	if err != nil || len(left) != 0 {
		t.Errorf("machines left: %v, %v", left, err)
	}
	must(c.RemoveHostOnly(ctx, network.Name))
	must(c.RemoveHostOnly(ctx, network.Name))
}
