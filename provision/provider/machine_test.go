package provider

import (
	"context"
	"errors"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"

	"github.com/labctl/labctl/internal/cloudinit"
	"github.com/labctl/labctl/internal/config"
	"github.com/labctl/labctl/internal/labdir"
	"github.com/labctl/labctl/vbox"
)

// power is VirtualBox with one machine, made by this lab. It records what is done to it.
type power struct {
	Hypervisor // everything else panics: a boot needs nothing else
	owner      string
	state      string
	calls      []string
}

func (v *power) Machine(context.Context, string) (vbox.Machine, error) {
	return vbox.Machine{UUID: "u", Name: "lab-cp1", State: v.state, CPUs: 2, MemoryMiB: 2048}, nil
}

func (v *power) Machines(context.Context) ([]vbox.MachineRef, error) {
	return []vbox.MachineRef{{Name: "lab-cp1", UUID: "u"}}, nil
}

func (v *power) ExtraData(context.Context, string, string) (string, bool, error) {
	return v.owner, true, nil
}

func (v *power) EnsureMachine(ctx context.Context, _ vbox.MachineSpec, _ func(string)) (vbox.Machine, error) {
	v.calls = append(v.calls, "ensure")
	return v.Machine(ctx, "u")
}

func (v *power) StopMachine(_ context.Context, _ string, grace time.Duration, _ func(string)) error {
	v.calls = append(v.calls, "stop "+grace.String())
	v.state = "poweroff"
	return nil
}

func (v *power) StartMachine(context.Context, string) error {
	v.calls = append(v.calls, "start")
	v.state = "running"
	return nil
}

// A first boot that cloud-init failed is done again, as another instance; waiting for a machine that runs would never end.
// One that was in use is left alone.
func TestSpoiltFirstBoot(t *testing.T) {
	for _, tt := range []struct {
		name     string
		seeded   bool
		calls    []string
		instance string
	}{
		{"first boot", false, []string{"stop 0s", "ensure", "start"}, "-1\n"},
		{"in use", true, nil, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v := &power{state: "running"}
			l := config.Default()
			f := labdir.At(t.TempDir(), l.Name)
			if err := f.Make(l); err != nil {
				t.Fatal(err)
			}
			var err error
			if v.owner, err = f.Owner(); err != nil {
				t.Fatal(err)
			}
			closed := func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("connection refused") }
			p := New(t.Context(), Options{
				Lab: l, Folder: f, Hypervisor: v, Dial: closed, Timeouts: Timeouts{Boot: 20 * time.Millisecond, Stop: time.Minute},
				FreePort: func(int, map[int]bool) (int, error) { return 2210, nil },
			})
			m := f.Machine("cp1")
			if err := os.MkdirAll(m.Path, 0o700); err != nil {
				t.Fatal(err)
			}
			if tt.seeded {
				if err := m.SetSeeded(); err != nil {
					t.Fatal(err)
				}
			}
			if err := p.spoilt("cp1"); err != nil {
				t.Fatal(err)
			}
			in := props{"name": "cp1", "cpus": float64(2), "memoryMiB": float64(2048), "network": "vboxnet0", "image": "base.vdi"}
			if _, err := p.ensureMachine(t.Context(), in, quiet); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("err = %v, want the wait for SSH to run out", err)
			}
			if !slices.Equal(v.calls, tt.calls) {
				t.Errorf("calls %q, want %q", v.calls, tt.calls)
			}
			if m.Spoilt() {
				t.Error("it is still spoilt: the next run would begin anew again")
			}
			if tt.instance == "" {
				return
			}
			seed, err := cloudinit.Read(m.Seed())
			if first, _, _ := strings.Cut(string(seed["meta-data"]), "local-hostname"); err != nil || !strings.HasSuffix(first, tt.instance) {
				t.Errorf("instance: %q %v, want it to end in %q", first, err, tt.instance)
			}
		})
	}
}

// stubborn is VirtualBox that removes no machine.
type stubborn struct{ Hypervisor }

func (stubborn) RemoveMachine(context.Context, string, string, string, func(string)) error {
	return errors.New("VBoxManage unregistervm: exit status 1: no")
}

// What failed is named once: by the failure, not by its error, and not by VirtualBox's id.
func TestFailureNamesTheMachineOnce(t *testing.T) {
	l := config.Default()
	f := labdir.At(t.TempDir(), l.Name)
	if err := f.Make(l); err != nil {
		t.Fatal(err)
	}
	p := New(t.Context(), Options{Lab: l, Folder: f, Hypervisor: stubborn{}})
	inputs, err := pack(resource.NewPropertyMapFromMap(props{"name": "cp1"}))
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.Delete(t.Context(), &pulumirpc.DeleteRequest{
		Urn: "urn:pulumi:lab::labctl::labctl:index:Machine::cp1", Id: "5c30ffcd-9f78-4301-8b83-0dcdd98f72d3", Properties: inputs,
	})
	all := p.Failures()
	if err == nil || len(all) != 1 {
		t.Fatalf("%v, %v", err, all)
	}
	if got := all[0]; got.Type != "Machine" || got.Name != "cp1" || got.Err.Error() != "removing it: VBoxManage unregistervm: exit status 1: no" {
		t.Errorf("got %+v", got)
	}
}
