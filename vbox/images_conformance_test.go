//go:build conformance

package vbox

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestConformanceFormats lets the real VBoxManage convert an image of each format that people have, made by qemu-img and by
// VirtualBox itself. Every byte must be the original's.
func TestConformanceFormats(t *testing.T) {
	if os.Getenv(envDir) == "" || os.Getenv(envReal) == "" {
		t.Fatalf("%s and %s must be set: run .ci/conformance.sh", envReal, envDir)
	}
	dir := filepath.Join(os.Getenv(envDir), "formats")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	file := func(name string) string { return filepath.Join(dir, name) }
	run := func(program string, args ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), program, args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s %q: %v\n%s", program, args, err, out)
		}
	}
	manage := func(args ...string) { t.Helper(); run(os.Getenv(envReal), args...) }
	write := func(name string, data []byte) {
		t.Helper()
		if err := os.WriteFile(file(name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	read := func(name string) []byte {
		t.Helper()
		data, err := os.ReadFile(file(name))
		if err != nil {
			t.Fatal(err)
		}
		return data
	}

	const mib = 1 << 20
	raw := make([]byte, 24*mib)
	copy(raw[510:], "\x55\xaa")
	random := rand.NewChaCha8([32]byte{1})
	for _, at := range []int{4096, 5 * mib, 17*mib + 512, 24*mib - 8192} { // data between zeros, also at the end
		random.Read(raw[at : at+8192]) //nolint:errcheck // cannot fail
	}
	write("source.raw", raw)
	convert := func(name string, options ...string) {
		t.Helper()
		run("qemu-img", append(append([]string{"convert", "-f", "raw"}, options...), "source.raw", name)...)
	}
	write("raw.img", raw)
	convert("cow.qcow2", "-O", "qcow2")
	convert("compressed.img", "-O", "qcow2", "-c")
	convert("sparse.vmdk", "-O", "vmdk")
	convert("stream-null.vmdk", "-O", "vmdk", "-o", "subformat=streamOptimized")
	convert("qemu.vdi", "-O", "vdi")
	write("null.ova", archive(tarFile{name: "lab.ovf", data: []byte("<Envelope/>")}, tarFile{name: "../lab-disk1.vmdk", data: read("stream-null.vmdk")}))
	manage("convertfromraw", file("source.raw"), file("own.vdi"), "--format", "VDI")
	manage("clonemedium", "disk", file("own.vdi"), file("stream.vmdk"), "--format", "VMDK", "--variant", "Stream")
	manage("closemedium", "disk", file("stream.vmdk"))
	manage("createvm", "--name", "exported", "--ostype", "Ubuntu_64", "--register", "--basefolder", dir)
	manage("storagectl", "exported", "--name", "SATA", "--add", "sata")
	manage("storageattach", "exported", "--storagectl", "SATA", "--port", "0", "--device", "0", "--type", "hdd", "--medium", file("own.vdi"))
	manage("export", "exported", "--output", file("exported.ova"))
	write("known.vdi", read("own.vdi")) // the UUID of a disk that VirtualBox has, in use by a machine

	c := New(Options{Command: []string{os.Getenv(envReal)}, GOOS: "linux"})
	before, err := c.Media(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	names := []string{"raw.img", "cow.qcow2", "compressed.img", "sparse.vmdk", "stream-null.vmdk", "qemu.vdi", "null.ova", "stream.vmdk", "exported.ova", "known.vdi"}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			sum := sha256.Sum256(read(name))
			target := file(name + ".base.vdi")
			if err := c.ConvertDisk(t.Context(), file(name), target, 64, noStep); err != nil {
				t.Fatal(err)
			}
			run("qemu-img", "compare", "-f", "raw", "-F", "vdi", "source.raw", target)
			if err := WholeVDI(target); err != nil {
				t.Error(err)
			}
			if now := sha256.Sum256(read(name)); now != sum {
				t.Errorf("the source was changed: %s", hex.EncodeToString(now[:]))
			}
			for _, left := range []string{".part.vdi", ".part.vmdk"} {
				if exists(target + left) {
					t.Errorf("%s was left", left)
				}
			}
			after, err := c.Media(t.Context())
			if err != nil || len(after) != len(before) {
				t.Errorf("%v, registered before: %+v, after: %+v", err, before, after)
			}
			linked := file(name + ".linked.vdi")
			if _, err := c.run(t.Context(), createLinkedDiskArgs(linked, target)); err != nil {
				t.Error(err)
			}
			m, err := c.Medium(t.Context(), target)
			if err != nil || m.CapacityMiB != 64 || m.State != "created" {
				t.Errorf("%+v, %v", m, err)
			}
			for _, path := range []string{linked, target} {
				if err := c.CloseMedium(t.Context(), path, path == linked); err != nil {
					t.Error(err)
				}
			}
		})
	}
	// The comparison can fail, and so can the look at a VDI.
	if err := os.Truncate(file("raw.img.base.vdi"), int64(len(raw))/16); err != nil {
		t.Fatal(err)
	}
	if err := WholeVDI(file("raw.img.base.vdi")); err == nil {
		t.Error("a VDI that is cut off is whole")
	}
	if err := exec.CommandContext(t.Context(), "qemu-img", "compare", "-f", "raw", "-F", "vdi", file("source.raw"), file("raw.img.base.vdi")).Run(); err == nil {
		t.Error("a VDI that is cut off holds the same")
	}

	convert("flat.vmdk", "-O", "vmdk", "-o", "subformat=monolithicFlat")
	run("qemu-img", "create", "-f", "qcow2", "-b", file("cow.qcow2"), "-F", "qcow2", "backed.qcow2")
	run("sh", "-c", "gzip -k raw.img")
	for _, name := range []string{"flat.vmdk", "backed.qcow2", "raw.img.gz"} {
		if err := c.ConvertDisk(t.Context(), file(name), file(name+".base.vdi"), 64, noStep); !errors.Is(err, errRefused) {
			t.Errorf("%s: %v, want a refusal", name, err)
		}
	}
	manage("unregistervm", "exported", "--delete")
}
