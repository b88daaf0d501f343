package vbox

import (
	"archive/tar"
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const someUUID = "11111111-2222-3333-4444-555555555555"

func TestInspect(t *testing.T) {
	vdi := append([]byte("<<< Oracle VM VirtualBox Disk Image >>>\n"), make([]byte, 24)...)
	differencing := append(append(bytes.Clone(vdi), "\x7f\x10\xda\xbe\x01\x00\x01\x00\x90\x01\x00\x00"...), 4, 0, 0, 0)
	backed := qcow2(1 << 20)
	binary.BigEndian.PutUint64(backed[8:], 4096)
	linked := bytes.Replace(streamVMDK(1<<20, someUUID), []byte("parentCID=ffffffff"), []byte("parentCID=0000beef"), 1)
	disc := make([]byte, 0x9000)
	copy(disc[0x8001:], "CD001")
	for name, test := range map[string]struct {
		head    []byte
		want    diskImage
		refusal string
	}{
		"qcow2": {head: qcow2(1 << 20), want: diskImage{format: formatOther}}, "a short one": {head: []byte("QFI\xfb\x00\x00"), want: diskImage{format: formatOther}},
		"VMDK":                     {head: []byte("KDMV\x03"), want: diskImage{format: formatVMDK}},
		"stream-optimised VMDK":    {head: streamVMDK(1<<20, someUUID), want: diskImage{format: formatVMDK}},
		"the same without a UUID":  {head: streamVMDK(1<<20, ""), want: diskImage{format: formatVMDK, noUUID: true}},
		"the same with a null one": {head: streamVMDK(1<<20, "00000000-0000-0000-0000-000000000000"), want: diskImage{format: formatVMDK, noUUID: true}},
		"VDI":                      {head: append(bytes.Clone(vdi), "\x7f\x10\xda\xbe\x01\x00"...), want: diskImage{format: formatOther}},
		"VHDX":                     {head: []byte("vhdxfileX"), want: diskImage{format: formatOther}},
		"QED":                      {head: []byte("QED\x00"), want: diskImage{format: formatOther}},
		"OVA":                      {head: archive(tarFile{name: "a.ovf", data: []byte("<Envelope/>")}), want: diskImage{format: formatOVA}},
		"raw":                      {head: make([]byte, 512), want: diskImage{format: formatRaw}},
		"empty":                    {want: diskImage{format: formatRaw}},
		"text like a VDI's only":   {head: vdi, want: diskImage{format: formatRaw}},

		"VMDK descriptor":    {head: []byte("# Disk DescriptorFile\nversion=1"), refusal: "data is in other files"},
		"qcow2 on another":   {head: backed, refusal: "on top of another file"},
		"VDI on another":     {head: differencing, refusal: "on top of another file"},
		"VMDK on another":    {head: linked, refusal: "on top of another file"},
		"gzip":               {head: []byte("\x1f\x8b\x08"), refusal: "gunzip"},
		"xz":                 {head: []byte("\xfd7zXZ\x00\x00"), refusal: "unxz"},
		"zstd":               {head: []byte("\x28\xb5\x2f\xfd"), refusal: "unzstd"},
		"bzip2":              {head: []byte("BZh9"), refusal: "bunzip2"},
		"zip":                {head: []byte("PK\x03\x04"), refusal: "zip archive"},
		"an installation CD": {head: disc, refusal: "cloud image"},
	} {
		got, err := inspectHead(test.head)
		if test.refusal != "" {
			if !errors.Is(err, errRefused) || !strings.Contains(err.Error(), test.refusal) {
				t.Errorf("%s: %v, want a refusal with %q", name, err, test.refusal)
			}
			continue
		}
		if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(diskImage{})); err != nil || diff != "" {
			t.Errorf("%s: %v, -want +got:\n%s", name, err, diff)
		}
	}
}

// What may be wrong with a VMDK's header must not lead outside the file.
func FuzzInspect(f *testing.F) {
	f.Add(streamVMDK(1<<20, someUUID))
	f.Add(qcow2(1 << 20))
	f.Fuzz(func(_ *testing.T, head []byte) { inspectHead(head) }) // it must not panic
}

func TestConvertOVA(t *testing.T) {
	disk := tarFile{name: "lab-disk001.vmdk", data: streamVMDK(8<<20, someUUID)}
	ovf := tarFile{name: "lab.ovf", data: []byte("<Envelope/>")}
	for _, tt := range []struct {
		name    string
		ova     []byte
		failure string
	}{
		{name: "one disk", ova: archive(ovf, disk, tarFile{name: "lab.mf", data: []byte("SHA256(…)")})},
		{name: "one disk without a UUID", ova: archive(ovf, tarFile{name: "x.VMDK", data: streamVMDK(8<<20, "")})},
		{name: "a name that leads outside", ova: archive(ovf, tarFile{name: "../../evil.vmdk", data: disk.data})},
		{name: "an absolute name", ova: archive(ovf, tarFile{name: "/tmp/labctl-evil.vmdk", data: disk.data})},
		{name: "two disks", ova: archive(ovf, disk, tarFile{name: "data.vmdk", data: disk.data}), failure: `holds 2 disks ["lab-disk001.vmdk" "data.vmdk"]`},
		{name: "no disk", ova: archive(ovf), failure: "holds 0 disks"},
		{name: "a link instead of a disk", ova: archive(ovf, tarFile{name: "disk.vmdk", kind: tar.TypeSymlink, data: []byte("/etc/passwd")}), failure: "holds 0 disks"},
		{name: "a disk that promises too much", ova: archive(ovf, tarFile{name: "disk.vmdk", data: disk.data, size: 4 << 30}), failure: "has 4294967296 bytes"},
		{name: "cut off", ova: archive(ovf, disk)[:2*1024+len(disk.data)/2], failure: "has 68096 bytes"},
		{name: "cut off after the disk", ova: archive(disk, tarFile{name: "big.bin", data: make([]byte, 90_000)})[:2*1024+len(disk.data)], failure: "reading the OVA"},
		{name: "a disk that is none", ova: archive(ovf, tarFile{name: "disk.vmdk", data: make([]byte, 4096)}), failure: "no VMDK"},
		{name: "a disk that names files", ova: archive(ovf, tarFile{name: "disk.vmdk", data: []byte("# Disk DescriptorFile\nRW 1 FLAT \"/etc/passwd\" 0\n")}), failure: "other files"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t)
			dir := filepath.Join(r.dir, "cache", "sum")
			source, target := filepath.Join(dir, "lab.ova"), filepath.Join(dir, "base-1GiB.vdi")
			if err := errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(source, tt.ova, 0o600)); err != nil {
				t.Fatal(err)
			}
			outside := list(t, r.dir, dir)
			err := r.client(-1, false).ConvertDisk(t.Context(), source, target, 16, noStep)
			want := []string{"lab.ova"}
			if tt.failure == "" {
				want = []string{"base-1GiB.vdi", "lab.ova"}
				if err != nil {
					t.Error(err)
				}
			} else if err == nil || !strings.Contains(err.Error(), tt.failure) {
				t.Errorf("%v, want %q", err, tt.failure)
			}
			if diff := cmp.Diff(want, list(t, dir, "")); diff != "" {
				t.Errorf("in the folder (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(outside, list(t, r.dir, dir)); diff != "" {
				t.Errorf("outside it (-before +after):\n%s", diff)
			}
			if got, err := os.ReadFile(source); err != nil || !bytes.Equal(got, tt.ova) {
				t.Errorf("the source was changed: %v", err)
			}
		})
	}
}

// list returns the files below dir, those of the simulation and below except left out.
func list(t *testing.T, dir, except string) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		rel, rerr := filepath.Rel(dir, path)
		if err != nil || rerr != nil {
			return errors.Join(err, rerr)
		}
		if d.IsDir() && (path == except || rel == "sim") {
			return filepath.SkipDir
		}
		if !d.IsDir() {
			files = append(files, rel)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// An image whose UUID VirtualBox knows already, perhaps because the user's own machine stands on the original, is converted all the
// same, and neither is changed.
func TestConvertKnownUUID(t *testing.T) {
	r := newRig(t)
	c := r.client(-1, false)
	original := filepath.Join(r.dir, "mine.vmdk")
	data := streamVMDK(8<<20, someUUID)
	if err := errors.Join(os.WriteFile(original, data, 0o600), os.WriteFile(filepath.Join(r.dir, "copy.vmdk"), data, 0o600)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Medium(t.Context(), original); err != nil { // registers it
		t.Fatal(err)
	}
	target := filepath.Join(r.dir, "base2.vdi")
	if err := c.ConvertDisk(t.Context(), filepath.Join(r.dir, "copy.vmdk"), target, 16, noStep); err != nil {
		t.Fatal(err)
	}
	media, err := c.Media(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(media) != 1 || media[0].Path != original {
		t.Errorf("registered: %+v, want the original alone", media)
	}
	if exists(target + ".part.vmdk") {
		t.Error("the copy was left")
	}
	for _, file := range []string{original, filepath.Join(r.dir, "copy.vmdk")} {
		if got, err := os.ReadFile(file); err != nil || !bytes.Equal(got, data) {
			t.Errorf("%s was changed: %v", file, err)
		}
	}
}

// TestConvertKilled ends the conversion of an OVA before and after each call; nothing half-done may pass for a base disk, and the
// next run finishes.
func TestConvertKilled(t *testing.T) {
	rows := 0
	for _, late := range []bool{false, true} {
		for calls := 1; ; calls++ {
			r := newRig(t)
			source, target := filepath.Join(r.dir, "lab.ova"), filepath.Join(r.dir, "killed.vdi")
			if err := os.WriteFile(source, archive(tarFile{name: "d.vmdk", data: streamVMDK(8<<20, "")}), 0o600); err != nil {
				t.Fatal(err)
			}
			err := r.client(calls, late).ConvertDisk(t.Context(), source, target, 16, noStep)
			if err == nil {
				break
			}
			rows++
			if exists(target) {
				t.Fatalf("killed after %d calls: %q looks finished", calls, target)
			}
			c := r.client(-1, false)
			if err := c.ConvertDisk(t.Context(), source, target, 16, noStep); err != nil {
				t.Fatalf("after a kill at call %d: %v", calls, err)
			}
			m, err := c.Medium(t.Context(), target)
			if err != nil || m.CapacityMiB != 16 {
				t.Errorf("after a kill at call %d: %+v, %v", calls, m, err)
			}
			if exists(target+".part.vdi") || exists(target+".part.vmdk") {
				t.Errorf("after a kill at call %d something is left", calls)
			}
		}
	}
	if rows < 10 {
		t.Errorf("only %d kills", rows)
	}
}
