package snapshots

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/labctl/labctl/internal/sim"
	"github.com/labctl/labctl/vbox"
)

func TestNames(t *testing.T) {
	for _, good := range []string{"clean", "1", "before-04", "A.b_c", strings.Repeat("x", 40)} {
		if err := CheckName(good); err != nil {
			t.Error(err)
		}
	}
	for _, bad := range []string{"", "-x", "--help", ".", "my lab", "a/b", "a\nb", "a;b", `a"b`, "über", "x\x00", strings.Repeat("x", 41)} {
		if err := CheckName(bad); err == nil {
			t.Errorf("%q is taken for a name", bad)
		}
	}
}

// What a description says is read back; what somebody else wrote is nobody's label.
func TestLabels(t *testing.T) {
	want := label{lab: "0f3a", save: "ABC", taken: time.Unix(1763819000, 0).UTC(), nodes: []string{"cp1", "w1"}}
	if got, ok := parseLabel(want.String()); !ok || cmp.Diff(want, got, cmp.AllowUnexported(label{})) != "" {
		t.Errorf("%q is read as %+v", want, got)
	}
	for _, other := range []string{"", "before the update", "labctl", "labctl lab=0f3a", "labctl lab=0f3a save=A at=yesterday nodes=cp1", want.String() + "\nand more", "x " + want.String()} {
		if got, ok := parseLabel(other); ok {
			t.Errorf("%q is read as %+v", other, got)
		}
	}
}

func TestGather(t *testing.T) {
	nodes := []string{"cp1", "w1"}
	at := func(node, name, save string, second int64, current bool, planned ...string) part {
		return part{node: node, Snapshot: vbox.Snapshot{Name: prefix + name, Current: current}, owner: label{save: save, taken: time.Unix(second, 0), nodes: planned}}
	}
	for name, x := range map[string]struct {
		parts []part
		want  []string // NAME: PROBLEM, and * if the lab goes on from it
	}{
		"none":     {nil, nil},
		"complete": {[]part{at("cp1", "a", "1", 5, true, nodes...), at("w1", "a", "1", 5, true, nodes...)}, []string{"a: *"}},
		"the oldest first": {[]part{
			at("cp1", "b", "2", 9, true, nodes...), at("cp1", "a", "1", 5, false, nodes...),
			at("w1", "a", "1", 5, false, nodes...), at("w1", "b", "2", 9, true, nodes...),
		}, []string{"a: ", "b: *"}},
		"half":                       {[]part{at("cp1", "a", "1", 5, true, nodes...)}, []string{"a: it lacks w1"}},
		"of two saves":               {[]part{at("cp1", "a", "1", 5, true, nodes...), at("w1", "a", "2", 6, true, nodes...)}, []string{"a: its machines were saved at different times*"}},
		"before w1":                  {[]part{at("cp1", "a", "1", 5, true, "cp1")}, []string{"a: it was taken before there was w1"}},
		"when there was another":     {[]part{at("cp1", "a", "1", 5, false, "cp1", "w1", "w2"), at("w1", "a", "1", 5, false, "cp1", "w1", "w2")}, []string{"a: it was taken when there was w2"}},
		"one machine was taken back": {[]part{at("cp1", "a", "1", 5, true, nodes...), at("w1", "a", "1", 5, false, nodes...)}, []string{"a: "}},
	} {
		var got []string
		for _, s := range gather(x.parts, nodes) {
			line := s.Name + ": " + s.Problem
			if s.Current {
				line += "*"
			}
			if s.Complete() != (s.Problem == "") {
				t.Errorf("%s: complete: %v", name, s.Complete())
			}
			got = append(got, line)
		}
		if diff := cmp.Diff(x.want, got); diff != "" {
			t.Errorf("%s (-want +got)\n%s", name, diff)
		}
	}
}

// rig is a simulated VirtualBox with a lab of three machines. What a machine has in memory stands for its state.
type rig struct {
	t   *testing.T
	dir string
	set *Set
}

const killed = "VBoxManage: error: killed\n"

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, dir: t.TempDir()}
	for _, n := range []string{"cp1", "w1", "w2"} {
		r.must("createvm", "--name", "lab-"+n, "--ostype", "Ubuntu_64", "--basefolder", filepath.Join(r.dir, "vms"), "--register")
	}
	r.set = r.client(-1, false)
	r.memory(512)
	// Somebody else's, which stays as it is whatever happens.
	r.must("snapshot", "lab-w1", "take", "labctl-mine")
	return r
}

// must calls VBoxManage behind labctl's back.
func (r *rig) must(args ...string) string {
	r.t.Helper()
	var out, stderr bytes.Buffer
	if exit := sim.VBoxManage(filepath.Join(r.dir, "sim"), args, &out, &stderr); exit != 0 {
		r.t.Fatalf("VBoxManage %v: %d: %s", args, exit, stderr.String())
	}
	return out.String()
}

// client returns a Set that works for a number of calls of VBoxManage and then no more; if late is set, what the last one did
// remains. A negative number never ends.
func (r *rig) client(calls int, late bool) *Set {
	c := vbox.New(vbox.Options{GOOS: "linux", InProcess: func(_ context.Context, args []string, stdout, stderr io.Writer) int {
		if calls == 0 {
			io.WriteString(stderr, killed)
			return 1
		}
		if calls--; calls == 0 && late {
			sim.VBoxManage(filepath.Join(r.dir, "sim"), args, io.Discard, io.Discard)
			io.WriteString(stderr, killed)
			return 1
		}
		return sim.VBoxManage(filepath.Join(r.dir, "sim"), args, stdout, stderr)
	}})
	s := &Set{Hypervisor: c, LabID: "0f3a", Step: func(string, string) {}}
	for _, n := range []string{"cp1", "w1", "w2"} {
		s.Machines = append(s.Machines, Machine{Node: n, UUID: "lab-" + n})
	}
	return s
}

// memory gives all machines that much.
func (r *rig) memory(mib int) {
	for _, m := range r.set.Machines {
		r.must("modifyvm", m.UUID, "--memory", fmt.Sprint(mib))
	}
}

// wantMemory makes sure that all machines have that much.
func (r *rig) wantMemory(what string, mib int) {
	r.t.Helper()
	for _, m := range r.set.Machines {
		if !strings.Contains(r.must("showvminfo", m.UUID, "--machinereadable"), fmt.Sprintf("\nmemory=%d\n", mib)) {
			r.t.Errorf("%s: %s has not %d MiB", what, m.Node, mib)
		}
	}
}

// wantForeign makes sure that somebody else's snapshot is there.
func (r *rig) wantForeign(what string) {
	r.t.Helper()
	if !strings.Contains(r.must("snapshot", "lab-w1", "list", "--machinereadable"), `="labctl-mine"`) {
		r.t.Errorf("%s: somebody else's snapshot is gone", what)
	}
}

func (r *rig) save(name string) {
	r.t.Helper()
	if err := r.set.Save(r.t.Context(), name, time.Unix(1763819000, 0)); err != nil {
		r.t.Fatal(err)
	}
}

func TestLife(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	if all, err := r.set.List(ctx); err != nil || len(all) > 0 {
		t.Fatalf("a new lab has %v, %v", all, err)
	}
	r.save("clean")
	r.memory(1024)
	r.save("later")
	if err := r.set.Save(ctx, "clean", time.Now()); !errors.Is(err, ErrExists) {
		t.Errorf("saved twice: %v", err)
	}
	if err := r.set.CanSave(ctx, "mine"); !errors.Is(err, ErrForeign) {
		t.Errorf("somebody else's name: %v", err)
	}
	if err := r.set.CanSave(ctx, "my lab"); err == nil {
		t.Error("no name is one")
	}
	if _, err := r.set.Find(ctx, "mine"); !errors.Is(err, ErrForeign) {
		t.Errorf("somebody else's snapshot: %v", err)
	}
	if _, err := r.set.Find(ctx, "none"); !errors.Is(err, ErrNotFound) {
		t.Errorf("no snapshot: %v", err)
	}
	clean, err := r.set.Find(ctx, "clean")
	if err != nil || !clean.Complete() || clean.Current {
		t.Fatalf("%+v, %v", clean, err)
	}
	if err := r.set.Restore(ctx, clean); err != nil {
		t.Fatal(err)
	}
	r.wantMemory("restored", 512)
	later, err := r.set.Find(ctx, "later")
	if err == nil {
		err = r.set.Delete(ctx, later)
	}
	if err != nil {
		t.Fatal(err)
	}
	r.wantMemory("a deleted snapshot takes nothing along", 512)
	all, err := r.set.List(ctx)
	if err != nil || len(all) != 1 || all[0].Name != "clean" || !all[0].Current {
		t.Errorf("left: %+v, %v", all, err)
	}
	// Another lab's snapshots are somebody else's too.
	other := *r.set
	other.LabID = "ffff"
	if all, err := other.List(ctx); err != nil || len(all) > 0 {
		t.Errorf("another lab has %+v, %v", all, err)
	}
	if _, err := other.Find(ctx, "clean"); !errors.Is(err, ErrForeign) {
		t.Errorf("another lab finds it: %v", err)
	}
	r.wantForeign("at the end")
}

// VirtualBox lets snapshots of one machine have the same name: somebody else's is neither restored nor deleted in place of ours.
func TestSameName(t *testing.T) {
	r := newRig(t)
	r.save("clean")
	r.memory(1024)
	r.must("snapshot", "lab-cp1", "take", "labctl-clean", "--description", "theirs")
	r.memory(2048)
	clean, err := r.set.Find(t.Context(), "clean")
	if err == nil {
		err = r.set.Restore(t.Context(), clean)
	}
	if err != nil {
		t.Fatal(err)
	}
	r.wantMemory("restored", 512)
	r.must("snapshot", "lab-cp1", "restore", snapshotUUID(t, r, "theirs"))
	if err := r.set.Delete(t.Context(), clean); err != nil {
		t.Fatal(err)
	}
	if all, err := r.set.List(t.Context()); err != nil || len(all) > 0 {
		t.Errorf("left: %+v, %v", all, err)
	}
	snapshotUUID(t, r, "theirs")
}

// snapshotUUID finds the snapshot of cp1 with a description.
func snapshotUUID(t *testing.T, r *rig, description string) string {
	t.Helper()
	all, err := r.set.Hypervisor.Snapshots(t.Context(), "lab-cp1")
	i := slices.IndexFunc(all, func(s vbox.Snapshot) bool { return s.Description == description })
	if err != nil || i < 0 {
		t.Fatalf("no snapshot %q in %+v, %v", description, all, err)
	}
	return all[i].UUID
}

// TestKilledAnywhere ends every operation before and after each of its calls. What is half-done is called so and not restored; the same
// command again finishes it; what somebody else took is never touched.
func TestKilledAnywhere(t *testing.T) {
	find := func(ctx context.Context, s *Set, do func(context.Context, Snapshot) error) error {
		found, err := s.Find(ctx, "clean")
		if err != nil {
			return err
		}
		return do(ctx, found)
	}
	operations := map[string]struct {
		saved  bool // the snapshot is there before
		do     func(ctx context.Context, s *Set) error
		again  []error // what a second run may say because the first one had done it all
		memory int     // afterwards
		left   []string
	}{
		"save": {false, func(ctx context.Context, s *Set) error { return s.Save(ctx, "clean", time.Unix(1763819000, 0)) }, []error{ErrExists}, 1024, []string{"clean: *"}},
		"restore": {true, func(ctx context.Context, s *Set) error {
			return find(ctx, s, s.Restore)
		}, nil, 512, []string{"clean: *"}},
		"delete": {true, func(ctx context.Context, s *Set) error {
			return find(ctx, s, s.Delete)
		}, []error{ErrNotFound}, 1024, nil},
	}
	rows := 0
	for name, op := range operations {
		for _, late := range []bool{false, true} {
			for calls := 0; ; calls++ {
				if late && calls == 0 {
					continue
				}
				what := fmt.Sprintf("%s ended at call %d (late: %v)", name, calls, late)
				r := newRig(t)
				if op.saved {
					r.save("clean")
				}
				r.memory(1024)
				err := op.do(t.Context(), r.client(calls, late))
				if err == nil {
					break
				}
				if !strings.Contains(err.Error(), "killed") {
					t.Fatalf("%s: %v", what, err)
				}
				rows++
				r.wantForeign(what)
				all, err := r.set.List(t.Context())
				if err != nil || len(all) > 1 {
					t.Errorf("%s: %+v, %v", what, all, err)
				}
				for _, s := range all {
					parts := len(s.parts)
					if s.Complete() != (parts == 3) {
						t.Errorf("%s: with %d parts it is %q", what, parts, s.Problem)
					}
					if err := r.set.Restore(t.Context(), s); !s.Complete() && !errors.Is(err, ErrIncomplete) {
						t.Errorf("%s: a half snapshot is restored: %v", what, err)
					}
					if !s.Complete() {
						r.wantMemory(what+": a half snapshot", 1024)
					}
				}
				if op.memory == 1024 {
					r.memory(1024)
				}
				if err := op.do(t.Context(), r.set); err != nil && !slices.ContainsFunc(op.again, func(e error) bool { return errors.Is(err, e) }) {
					t.Errorf("%s: again: %v", what, err)
				}
				r.wantMemory(what, op.memory)
				r.wantForeign(what)
				all, err = r.set.List(t.Context())
				var left []string
				for _, s := range all {
					line := s.Name + ": " + s.Problem
					if s.Current {
						line += "*"
					}
					left = append(left, line)
				}
				if diff := cmp.Diff(op.left, left); diff != "" || err != nil {
					t.Errorf("%s: %v (-want +got)\n%s", what, err, diff)
				}
			}
		}
	}
	const least = 30
	if rows < least {
		t.Errorf("only %d places to end were tried, want %d", rows, least)
	}
	t.Logf("%d places", rows)
}

// A save that was killed is replaced as a whole: parts of two saves never pass for one.
func TestHalfASaveIsReplaced(t *testing.T) {
	r := newRig(t)
	const before = 3 + 2 // the lists of all machines, and one part with its own list
	if err := r.client(before, false).Save(t.Context(), "clean", time.Unix(1763819000, 0)); err == nil {
		t.Fatal("it was not killed")
	}
	half, err := r.set.Find(t.Context(), "clean")
	if err != nil || half.Problem != "it lacks w1, w2" {
		t.Fatalf("%+v, %v", half, err)
	}
	r.memory(1024)
	r.save("clean")
	r.memory(512)
	whole, err := r.set.Find(t.Context(), "clean")
	if err == nil {
		err = r.set.Restore(t.Context(), whole)
	}
	if err != nil {
		t.Fatal(err)
	}
	r.wantMemory("all parts are the second save's", 1024)
}

func FuzzLabel(f *testing.F) {
	f.Add("labctl lab=0f3a save=A at=2026-11-22T16:00:00Z nodes=cp1,w1")
	f.Add("before the update")
	f.Fuzz(func(t *testing.T, s string) {
		if l, ok := parseLabel(s); ok {
			again, ok := parseLabel(l.String())
			if !ok || !again.taken.Equal(l.taken.Truncate(time.Second)) || !slices.Equal(again.nodes, l.nodes) {
				t.Errorf("%q is %+v, and that is %+v", s, l, again)
			}
		}
	})
}
