package sim

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestVDIKeepsItsIdentity(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.do("convertfromraw LAB/base.img LAB/part.vdi --format VDI", "modifymedium disk LAB/part.vdi --resize 10240")
	field := func(path, name string) string {
		t.Helper()
		for line := range strings.Lines(f.do("showmediuminfo disk LAB/" + path)) {
			if value, ok := strings.CutPrefix(line, name); ok {
				return strings.TrimSpace(value)
			}
		}
		t.Fatalf("no %s in showmediuminfo of %s", name, path)
		return ""
	}
	uuid := field("part.vdi", "UUID:")
	rename := func(from, to string) {
		t.Helper()
		if err := os.Rename(f.path(from), f.path(to)); err != nil {
			t.Fatal(err)
		}
	}
	rename("part.vdi", "base.vdi")
	f.refuse("showmediuminfo disk LAB/base.vdi", "because a hard disk '"+f.path("part.vdi")+"' with UUID {"+uuid+"} already exists")
	rename("base.vdi", "part.vdi")
	f.do("closemedium disk LAB/part.vdi")
	rename("part.vdi", "base.vdi")
	if got := field("base.vdi", "UUID:"); got != uuid {
		t.Errorf("renamed while it was closed: UUID %s became %s", uuid, got)
	}
	if got := field("base.vdi", "Capacity:"); got != "10240 MBytes" {
		t.Errorf("capacity %q after closing and opening again", got)
	}
	f.refuse("modifymedium disk LAB/base.vdi --resize 5000", "Shrinking is not yet supported")

	f.do("createmedium disk --filename LAB/child.vdi --diffparent LAB/base.vdi")
	if got := field("base.vdi", "Child UUIDs:"); got != field("child.vdi", "UUID:") || field("child.vdi", "Parent UUID:") != uuid {
		t.Errorf("children of the base: %s", got)
	}
	f.do("closemedium disk LAB/child.vdi", "closemedium disk LAB/base.vdi")
	f.refuse("showmediuminfo disk LAB/child.vdi", "Parent medium with UUID {"+uuid+"}")
	f.do("showmediuminfo disk LAB/base.vdi", "showmediuminfo disk LAB/child.vdi", "closemedium disk LAB/child.vdi --delete")
	if exists(f.path("child.vdi")) {
		t.Error("closemedium --delete left the file")
	}
	f.do("showmediuminfo disk LAB/base.vdi")
	spoil := vdiImage(mediumState{UUID: newUUID(), Capacity: mib})
	writeTestFile(t, f.path("base.vdi"), spoil)
	if got := field("base.vdi", "Access Error:"); !strings.Contains(got, "does not match the value {"+uuid+"}") {
		t.Errorf("access error of a file that another one took the place of: %q", got)
	}
	f.refuse("createmedium disk --filename LAB/child.vdi --diffparent LAB/base.vdi", "does not match the value")
	writeTestFile(t, f.path("base.vdi"), []byte("spoilt"))
	if _, errs, exit := f.run("closemedium disk LAB/base.vdi --delete"); exit != 0 || !strings.Contains(errs, "VERR_VD_VDI_INVALID_HEADER") || !exists(f.path("base.vdi")) {
		t.Errorf("deleting a file that VirtualBox cannot read: exit status %d\n%s", exit, errs)
	}
	f.refuse("showmediuminfo disk LAB/base.vdi", "Could not get the storage format")
	writeTestFile(t, f.path("base.vdi"), spoil)
	f.do("internalcommands sethduuid LAB/base.vdi", "showmediuminfo disk LAB/base.vdi")
	if m, _ := probe("disk", f.path("base.vdi")); m.UUID == uuid {
		t.Error("sethduuid left the UUID as it was")
	}
	if err := os.Remove(f.path("base.vdi")); err != nil {
		t.Fatal(err)
	}
	f.do("closemedium disk LAB/base.vdi --delete") // its file is gone already
	f.refuse("closemedium disk LAB/base.vdi", "VERR_FILE_NOT_FOUND")
}

func TestProbe(t *testing.T) {
	t.Parallel()
	short := vdiImage(mediumState{UUID: newUUID(), Capacity: mib})[:100]
	for _, tc := range []struct {
		name, kind string
		data       []byte
		want       mediumState
		trouble    string
	}{
		{"qcow2", "disk", qcow2(3, 100), mediumState{Format: "QCOW", Capacity: 100 * mib}, ""},
		{"qcow2 of the future", "disk", qcow2(4, 100), mediumState{}, "VERR_NOT_SUPPORTED"},
		{"VMDK", "disk", vmdk(100, true), mediumState{Format: "VMDK", Capacity: 100 * mib, UUID: nullUUID}, ""},
		{"linked VDI", "disk", vdiImage(mediumState{UUID: "581fe1c5-3a5d-466b-b20f-b65c1a06a141", Parent: "ee662487-81fc-4f74-9659-5ed8db8b0aed", Capacity: 3 * mib}),
			mediumState{Format: "VDI", Capacity: 3 * mib, UUID: "581fe1c5-3a5d-466b-b20f-b65c1a06a141", Parent: "ee662487-81fc-4f74-9659-5ed8db8b0aed"}, ""},
		{"half a VDI header", "disk", short, mediumState{}, "VERR_NOT_SUPPORTED"},
		{"text", "disk", []byte("hello"), mediumState{}, "VERR_NOT_SUPPORTED"},
		{"empty", "disk", nil, mediumState{}, "VERR_NOT_SUPPORTED"},
		{"ISO", "dvd", make([]byte, 64*1024), mediumState{Format: "RAW", Capacity: 64 * 1024}, ""},
		{"ISO cut off", "dvd", make([]byte, 64*1024-1), mediumState{}, "VERR_NOT_SUPPORTED"},
		{"ISO empty", "dvd", nil, mediumState{}, "VERR_NOT_SUPPORTED"},
		{"ISO too small", "dvd", make([]byte, 2048), mediumState{}, "VERR_NOT_SUPPORTED"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			path := t.TempDir() + "/file"
			writeTestFile(t, path, tc.data)
			got, trouble := probe(tc.kind, path)
			if trouble != tc.trouble {
				t.Fatalf("trouble %q, want %q", trouble, tc.trouble)
			}
			tc.want.Kind, tc.want.Path = tc.kind, path
			if diff := cmp.Diff(tc.want, got); trouble == "" && diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestSetUUIDOfVMDK(t *testing.T) {
	t.Parallel()
	path := t.TempDir() + "/disk.vmdk"
	writeTestFile(t, path, vmdk(10, true))
	for _, uuid := range []string{newUUID(), newUUID()} { // one is added, then replaced
		data, err := withUUID(path, uuid)
		if err != nil {
			t.Fatal(err)
		}
		writeTestFile(t, path, data)
		if m, _ := probe("disk", path); m.UUID != uuid || bytes.Count(data, []byte("ddb.uuid.image")) != 1 {
			t.Errorf("UUID %q, want %q", m.UUID, uuid)
		}
	}
}
