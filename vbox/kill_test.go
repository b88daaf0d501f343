package vbox

import (
	"bytes"
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/labctl/labctl/internal/sim"
)

// rig is a simulated VirtualBox with a base image.
type rig struct {
	t    *testing.T
	dir  string
	spec MachineSpec
}

const killOwnerKey = "labctl/lab"

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, dir: t.TempDir()}
	file := func(name string) string { return filepath.Join(r.dir, name) }
	r.spec = MachineSpec{
		Name: "lab-w1", Group: "/labctl/lab", BaseFolder: file("vms"), OSType: "Ubuntu_64", OwnerKey: killOwnerKey, Owner: "me",
		CPUs: 2, MemoryMiB: 512, NATMAC: "08:00:27:00:00:01", HostOnlyMAC: "08:00:27:00:00:02", HostOnlyNetwork: "vboxnet0",
		SSHPort: 2210, BaseDisk: file("base.vdi"), Disk: file("w1.vdi"), Seed: file("w1.iso"), SerialLog: file("w1.log"),
	}
	if err := errors.Join(os.WriteFile(file("w1.iso"), iso(), 0o600), os.WriteFile(file("cow.img"), qcow2(8<<20), 0o600)); err != nil {
		t.Fatal(err)
	}
	if err := r.client(-1, false).ConvertDisk(t.Context(), file("cow.img"), r.spec.BaseDisk, 16, noStep); err != nil {
		t.Fatal(err)
	}
	return r
}

var errKilled = errors.New("killed")

// client returns a Client that works for a number of calls and then no more; if late is set, what the last one did remains.
// A negative number never ends.
func (r *rig) client(calls int, late bool) *Client {
	c := New(Options{GOOS: "linux"})
	c.poll, c.retry = 1, 1
	c.exec = func(_ context.Context, command, _ []string) (output, error) {
		if calls == 0 && !late {
			return output{}, errKilled
		}
		if calls < 0 || calls > 0 {
			calls--
			var stdout, stderr bytes.Buffer
			exit := sim.VBoxManage(filepath.Join(r.dir, "sim"), command[1:], &stdout, &stderr)
			if calls == 0 && late {
				return output{}, errKilled
			}
			return output{stdout.String(), stderr.String(), exit}, nil
		}
		return output{}, errKilled
	}
	return c
}

// check holds the machine to what an undisturbed run makes.
func (r *rig) check(what string, got, want Machine) {
	r.t.Helper()
	same := cmp.Options{
		cmpopts.IgnoreUnexported(Machine{}), cmpopts.IgnoreFields(Machine{}, "UUID"),
		cmp.FilterPath(func(p cmp.Path) bool { return p.Last().Type().Kind().String() == "string" }, cmp.Transformer("dir", func(s string) string {
			if rel, err := filepath.Rel(r.dir, s); err == nil && filepath.IsAbs(s) {
				return filepath.Base(rel)
			}
			return s
		})),
	}
	if diff := cmp.Diff(want, got, same); diff != "" {
		r.t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// TestKilledAnywhere ends EnsureMachine and RemoveMachine before and after each of their calls, and lets the next run finish.
func TestKilledAnywhere(t *testing.T) {
	undisturbed := newRig(t)
	want, err := undisturbed.client(-1, false).EnsureMachine(t.Context(), undisturbed.spec, noStep)
	if err != nil {
		t.Fatal(err)
	}
	rows := 0
	for _, late := range []bool{false, true} {
		for calls := 0; ; calls++ {
			r := newRig(t)
			_, err := r.client(calls, late).EnsureMachine(t.Context(), r.spec, noStep)
			if err == nil {
				break
			}
			if !errors.Is(err, errKilled) {
				t.Fatalf("ensure ended at call %d: %v", calls, err)
			}
			rows++
			got, err := r.client(-1, false).EnsureMachine(t.Context(), r.spec, noStep)
			if err != nil {
				t.Errorf("ensure after a run that ended at call %d (late: %v): %v", calls, late, err)
				continue
			}
			r.check("machine", got, want)
			// Or the half-made machine is removed.
			r = newRig(t)
			_, _ = r.client(calls, late).EnsureMachine(t.Context(), r.spec, noStep)
			err = r.client(-1, false).RemoveMachine(t.Context(), r.spec.Name, killOwnerKey, "me", noStep)
			if errors.Is(err, ErrForeign) { // not marked yet: an ensure comes first
				_, err = r.client(-1, false).EnsureMachine(t.Context(), r.spec, noStep)
				err = errors.Join(err, r.client(-1, false).RemoveMachine(t.Context(), r.spec.Name, killOwnerKey, "me", noStep))
			}
			r.gone(err)
		}
		for calls := 0; ; calls++ {
			r := newRig(t)
			c := r.client(-1, false)
			m, err := c.EnsureMachine(t.Context(), r.spec, noStep)
			if err == nil {
				err = errors.Join(c.TakeSnapshot(t.Context(), m.UUID, "one", ""), c.TakeSnapshot(t.Context(), m.UUID, "two", ""))
			}
			if err != nil {
				t.Fatal(err)
			}
			err = r.client(calls, late).RemoveMachine(t.Context(), m.UUID, killOwnerKey, "me", noStep)
			if err == nil {
				break
			}
			if !errors.Is(err, errKilled) {
				t.Fatalf("remove ended at call %d: %v", calls, err)
			}
			rows++
			r.gone(c.RemoveMachine(t.Context(), m.UUID, killOwnerKey, "me", noStep))
		}
	}
	if rows < 60 {
		t.Errorf("only %d places to end were tried", rows)
	}
}

// gone makes sure that nothing but the base image is left.
func (r *rig) gone(err error) {
	r.t.Helper()
	c := r.client(-1, false)
	machines, err2 := c.Machines(r.t.Context())
	media, err3 := c.Media(r.t.Context())
	if err := errors.Join(err, err2, err3); err != nil {
		r.t.Errorf("removal: %v", err)
		return
	}
	for _, m := range media {
		if m.Path != r.spec.BaseDisk {
			r.t.Errorf("%s is still registered", m.Path)
		}
	}
	_, diskErr := os.Stat(r.spec.Disk)
	_, baseErr := os.Stat(r.spec.BaseDisk)
	if len(machines) > 0 || !errors.Is(diskErr, os.ErrNotExist) || baseErr != nil {
		r.t.Errorf("machines %v, linked disk: %v, base image: %v", machines, diskErr, baseErr)
	}
}

// TestConvertInterrupted ends ConvertDisk after each of its calls; nothing half-done may pass for a base image.
func TestConvertInterrupted(t *testing.T) {
	rows := 0
	for calls := 0; ; calls++ {
		r := newRig(t)
		source, target := filepath.Join(r.dir, "cow.img"), filepath.Join(r.dir, "other.vdi")
		err := r.client(calls, true).ConvertDisk(t.Context(), source, target, 16, noStep)
		if err == nil {
			break
		}
		rows++
		if _, err := os.Stat(target); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("call %d: the target is there: %v", calls, err)
		}
		c := r.client(-1, false)
		if err := c.ConvertDisk(t.Context(), source, target, 16, noStep); err != nil {
			t.Errorf("call %d: %v", calls, err)
			continue
		}
		m, err := c.Medium(t.Context(), target)
		if err != nil || m.CapacityMiB != 16 || m.State != "created" {
			t.Errorf("call %d: %+v, %v", calls, m, err)
		}
	}
	if rows < 6 {
		t.Errorf("only %d places to end were tried", rows)
	}
}

// TestLife starts and stops a machine of the simulated VirtualBox.
func TestLife(t *testing.T) {
	r := newRig(t)
	c := r.client(-1, false)
	m, err := c.EnsureMachine(t.Context(), r.spec, noStep)
	if err != nil {
		t.Fatal(err)
	}
	host := mustHostOnly(t, c)
	r.spec.HostOnlyNetwork = host.Name
	if _, err := c.EnsureMachine(t.Context(), r.spec, noStep); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(c.StartMachine(t.Context(), m.UUID), c.StartMachine(t.Context(), m.UUID)); err != nil {
		t.Fatal(err)
	}
	running, err := c.RunningMachines(t.Context())
	if diff := cmp.Diff([]MachineRef{{"lab-w1", m.UUID}}, running); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	r.spec.MemoryMiB = 1024
	if got, err := c.EnsureMachine(t.Context(), r.spec, noStep); err != nil || got.State != "running" || got.MemoryMiB != 512 {
		t.Errorf("a running machine is left as it is: %+v, %v", got, err)
	}
	if err := c.StopMachine(t.Context(), m.UUID, 0, noStep); err != nil {
		t.Fatal(err)
	}
	if got, err := c.EnsureMachine(t.Context(), r.spec, noStep); err != nil || got.State != "poweroff" || got.MemoryMiB != 1024 {
		t.Errorf("got %+v, %v", got, err)
	}
	if err := c.StartMachine(t.Context(), m.UUID); err != nil {
		t.Fatal(err)
	}
	r.gone(c.RemoveMachine(t.Context(), m.UUID, killOwnerKey, "me", noStep))
	if err := errors.Join(c.RemoveHostOnly(t.Context(), host.Name), c.RemoveHostOnly(t.Context(), host.Name)); err != nil {
		t.Error(err)
	}
}

func mustHostOnly(t *testing.T, c *Client) HostOnly {
	t.Helper()
	want := netip.MustParsePrefix("192.168.56.1/24")
	got, err := c.CreateHostOnly(t.Context(), want)
	if err != nil || got.Address != want || got.Name == "" {
		t.Fatalf("got %+v, %v", got, err)
	}
	all, err := c.HostOnlyNetworks(t.Context())
	if err != nil || len(all) != 1 {
		t.Fatalf("got %+v, %v", all, err)
	}
	return got
}
