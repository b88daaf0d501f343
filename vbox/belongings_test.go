package vbox

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/labctl/labctl/internal/sim"
)

// TestRemoveWithForeignMedia: nothing is touched while a disk that somebody else has made would be lost with the machine. Without it,
// the machine goes.
func TestRemoveWithForeignMedia(t *testing.T) {
	const settings = "vms/labctl/lab/lab-w1"
	for name, x := range map[string]struct {
		plant  func(r *rig)
		file   string // below the rig's folder
		says   []string
		detach bool
		parent string
	}{
		"a second disk in the machine's folder": {func(r *rig) {
			r.disk(settings + "/data.vdi")
			r.vboxmanage("storageattach", "lab-w1", "--storagectl", "SATA", "--port", "1", "--device", "0", "--type", "hdd", "--medium", r.file(settings+"/data.vdi"))
		}, settings + "/data.vdi", []string{"machine lab-w1 uses it", "would be lost"}, true, ""},
		"attached to nobody": {func(r *rig) { r.disk(settings + "/data.vdi") }, settings + "/data.vdi", []string{"would be lost"}, false, ""},
		"linked to the machine's disk": {func(r *rig) {
			r.vboxmanage("createmedium", "disk", "--filename", r.file("mine.vdi"), "--diffparent", r.spec.Disk)
		}, "mine.vdi", []string{"is linked to", "w1.vdi"}, false, ""},
		"linked to the disk of a snapshot": {func(r *rig) {
			r.vboxmanage("snapshot", "lab-w1", "take", "mine")
			r.vboxmanage("createmedium", "disk", "--filename", r.file("mine.vdi"), "--diffparent", r.attached())
		}, "mine.vdi", []string{"is linked to", "Snapshots"}, false, ""},
		"called like a disk of the machine's snapshots": {func(r *rig) {
			r.disk("elsewhere/data.vdi")
			r.vboxmanage("createmedium", "disk", "--filename", r.file(settings+"/Snapshots/data.vdi"), "--diffparent", r.file("elsewhere/data.vdi"))
		}, settings + "/Snapshots/data.vdi", []string{"would be lost"}, false, "elsewhere/data.vdi"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			c := r.client(-1, false)
			if _, err := c.EnsureMachine(t.Context(), r.spec, noStep); err != nil {
				t.Fatal(err)
			}
			r.vboxmanage("storageattach", "lab-w1", "--storagectl", "SATA", "--port", "1", "--device", "0", "--medium", "none")
			x.plant(r)
			before, err := os.ReadFile(r.file("sim/virtualbox.json"))
			if err != nil {
				t.Fatal(err)
			}
			err = c.RemoveMachine(t.Context(), "lab-w1", killOwnerKey, "me", noStep)
			if !errors.Is(err, ErrForeignMedium) || !strings.Contains(err.Error(), r.file(x.file)) ||
				slices.ContainsFunc(x.says, func(part string) bool { return !strings.Contains(err.Error(), part) }) {
				t.Errorf("got %v", err)
			}
			after, err := os.ReadFile(r.file("sim/virtualbox.json"))
			if err != nil || string(after) != string(before) {
				t.Errorf("something was touched: %v", err)
			}
			if _, err := os.Stat(r.file(x.file)); err != nil {
				t.Error(err)
			}
			if x.detach {
				r.vboxmanage("storageattach", "lab-w1", "--storagectl", "SATA", "--port", "1", "--device", "0", "--medium", "none")
			}
			r.vboxmanage("closemedium", "disk", r.file(x.file), "--delete")
			if x.parent != "" {
				r.vboxmanage("closemedium", "disk", r.file(x.parent))
			}
			r.gone(c.RemoveMachine(t.Context(), "lab-w1", killOwnerKey, "me", noStep))
		})
	}
}

// A disk that a deleted snapshot has left in the place of the machine's own is the machine's, also where it is attached no more.
func TestRemoveMergedDisk(t *testing.T) {
	r := newRig(t)
	c := r.client(-1, false)
	if _, err := c.EnsureMachine(t.Context(), r.spec, noStep); err != nil {
		t.Fatal(err)
	}
	r.vboxmanage("snapshot", "lab-w1", "take", "one")
	merged := r.attached()
	r.vboxmanage("storageattach", "lab-w1", "--storagectl", "SATA", "--port", "0", "--device", "0", "--medium", "none")
	r.vboxmanage("snapshot", "lab-w1", "delete", "one")
	b, err := c.Belongings(t.Context(), "lab-w1", killOwnerKey)
	if err != nil || len(b.Foreign) > 0 {
		t.Errorf("%s and others: %+v, %v", merged, b, err)
	}
	r.gone(c.RemoveMachine(t.Context(), "lab-w1", killOwnerKey, "me", noStep))
}

func (r *rig) file(name string) string { return filepath.Join(r.dir, name) }

// disk makes an empty disk of somebody's.
func (r *rig) disk(name string) {
	r.t.Helper()
	raw := r.file("blank.raw")
	if err := errors.Join(os.WriteFile(raw, make([]byte, 1<<16), 0o600), os.MkdirAll(filepath.Dir(r.file(name)), 0o700)); err != nil {
		r.t.Fatal(err)
	}
	r.vboxmanage("convertfromraw", raw, r.file(name), "--format", "VDI")
	r.vboxmanage("showmediuminfo", "disk", r.file(name)) // and so it is registered
}

// attached is the disk that the machine has now.
func (r *rig) attached() string {
	r.t.Helper()
	m, err := r.client(-1, false).Machine(context.WithoutCancel(r.t.Context()), "lab-w1")
	if err != nil {
		r.t.Fatal(err)
	}
	return m.Media[controller+"-0-0"]
}

// vboxmanage goes behind labctl's back.
func (r *rig) vboxmanage(args ...string) {
	r.t.Helper()
	var out, stderr strings.Builder
	if exit := sim.VBoxManage(r.file("sim"), args, &out, &stderr); exit != 0 {
		r.t.Fatalf("VBoxManage %v: %s", args, stderr.String())
	}
}
