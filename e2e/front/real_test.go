//go:build linux && e2e

package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// rig is a machine, t1, of the real VBoxManage, run by the front. Its disk holds a boot sector that writes one B to the
// serial port and then does nothing.
type rig struct {
	t      *testing.T
	dir    string
	port   string // of the NAT rule ssh
	serial string
}

// TestReal is the life of one machine; .ci/e2e.sh runs it in namespaces of its own.
func TestReal(t *testing.T) {
	dir := os.Getenv("LABCTL_E2E_DIR")
	if dir == "" || os.Getenv(envReal) == "" {
		t.Fatalf("LABCTL_E2E_DIR and %s must be set: run .ci/e2e.sh", envReal)
	}
	r := &rig{t: t, dir: filepath.Join(dir, "front-test")}
	r.serial = filepath.Join(r.dir, "serial.log")
	r.create()
	for _, part := range []struct {
		name string
		do   func()
	}{
		{"starts and is locked", r.locked},
		{"pause, reset, cable, rules", r.control},
		{"saved and discarded", r.saved},
		{"killed", r.killed},
		{"started by two at once", r.twice},
		{"what cannot start", r.unable},
		{"snapshots", r.snapshots},
		{"removed", r.removed},
	} {
		if !t.Run(part.name, func(t *testing.T) {
			r.t = t
			part.do()
		}) {
			break
		}
	}
	r.t = t
	for _, m := range (&front{dir: filepath.Join(r.dir, "state")}).known() {
		if err := m.kill(context.Background()); err != nil {
			t.Error(err)
		}
	}
}

// answer is what one call gave.
type answer struct {
	stdout, stderr string
	exit           int
}

func (r *rig) call(args ...string) answer {
	var stdout, stderr bytes.Buffer
	f := &front{real: os.Getenv(envReal), dir: filepath.Join(r.dir, "state"), stdout: &stdout, stderr: &stderr}
	exit := f.main(r.t.Context(), args)
	return answer{stdout.String(), stderr.String(), exit}
}

func (r *rig) must(args ...string) string {
	r.t.Helper()
	a := r.call(args...)
	if a.exit != 0 || strings.Contains(a.stderr, "error:") {
		r.t.Fatalf("%q: exit %d: %s", args, a.exit, a.stderr)
	}
	return a.stdout
}

// refused checks that a call fails with these first words. VirtualBox's own exit status may be 0 all the same.
func (r *rig) refused(want string, args ...string) {
	r.t.Helper()
	a := r.call(args...)
	if got := strings.TrimPrefix(a.stderr, "VBoxManage: error: "); got == a.stderr || !strings.HasPrefix(got, want) {
		r.t.Errorf("%q: exit %d, want %q: %s", args, a.exit, want, a.stderr)
	}
}

func (r *rig) state(want string) {
	r.t.Helper()
	if got := r.property("VMState"); got != want {
		r.t.Errorf("VMState is %q, want %q", got, want)
	}
	lists := r.must("list", "runningvms")
	if listed := strings.Contains(lists, `"t1"`); listed != (want == running || want == paused) {
		r.t.Errorf("in state %q list runningvms says %q", want, lists)
	}
}

func (r *rig) property(key string) string {
	r.t.Helper()
	for line := range strings.Lines(r.must("showvminfo", "t1", "--machinereadable")) {
		if match := property.FindStringSubmatch(strings.TrimSuffix(line, "\n")); match != nil && match[1]+match[2] == key {
			return match[3] + match[4]
		}
	}
	return ""
}

func (r *rig) machine() *machine {
	r.t.Helper()
	return (&front{dir: filepath.Join(r.dir, "state")}).machine(r.property("UUID"))
}

// booted waits until the boot sector has run once.
func (r *rig) booted() {
	r.t.Helper()
	r.await("the boot sector to run", func() bool { return r.output() == "B" })
}

func (r *rig) output() string {
	data, err := os.ReadFile(r.serial)
	if err != nil {
		return err.Error()
	}
	return string(data)
}

func (r *rig) await(what string, so func() bool) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !so() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			r.t.Fatalf("waiting for %s: %v", what, ctx.Err())
		}
	}
}

func (r *rig) path(name string) string { return filepath.Join(r.dir, name) }

func (r *rig) create() {
	r.t.Helper()
	if err := os.MkdirAll(r.dir, 0o700); err != nil {
		r.t.Fatal(err)
	}
	disk := make([]byte, 8<<20)
	copy(disk, []byte{0xba, 0xf8, 0x03, 0xb0, 'B', 0xee, 0xf4, 0xeb, 0xfd}) // mov dx,0x3f8; mov al,'B'; out dx,al; l: hlt; jmp l
	disk[510], disk[511] = 0x55, 0xaa
	if err := os.WriteFile(r.path("disk.raw"), disk, 0o600); err != nil {
		r.t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		r.t.Fatal(err)
	}
	_, r.port, _ = net.SplitHostPort(l.Addr().String())
	l.Close()

	if a := r.call("hostonlyif", "create"); a.exit != 0 || a.stdout != "Interface 'vboxnet0' was successfully created\n" {
		r.t.Fatalf("hostonlyif create: %+v", a)
	}
	r.must("hostonlyif", "ipconfig", "vboxnet0", "--ip", "192.168.56.1", "--netmask", "255.255.255.0")
	r.must("convertfromraw", r.path("disk.raw"), r.path("base.vdi"), "--format", "VDI")
	r.must("createvm", "--name", "t1", "--ostype", "Ubuntu_64", "--register", "--basefolder", r.path("vms"))
	r.must("modifyvm", "t1", "--memory", "64", "--boot1", "disk", "--nic1", "nat", "--nic-type1", "82540EM", "--nat-pf1", "ssh,tcp,127.0.0.1,"+r.port+",,22",
		"--nic2", "hostonly", "--host-only-adapter2", "vboxnet0", "--nic-type2", "82540EM", "--cable-connected2", "off",
		"--uart1", "0x3f8", "4", "--uart-mode1", "file", r.serial)
	r.must("storagectl", "t1", "--name", "SATA", "--add", "sata", "--portcount", "2", "--bootable", "on")
	r.must("createmedium", "disk", "--filename", r.path("t1.vdi"), "--diffparent", r.path("base.vdi"))
	r.must("storageattach", "t1", "--storagectl", "SATA", "--port", "0", "--device", "0", "--type", "hdd", "--medium", r.path("t1.vdi"))
	r.state("poweroff")
}

func (r *rig) locked() {
	if got, want := r.must("startvm", "t1", "--type", "headless"),
		"Waiting for VM \"t1\" to power on...\nVM \"t1\" has been successfully started.\n"; got != want {
		r.t.Errorf("startvm said %q", got)
	}
	r.booted()
	r.state(running)
	uuid := r.property("UUID")
	r.refused("The machine 't1' is already locked by a session (or being locked or unlocked)\n", "startvm", uuid, "--type", "headless")
	r.refused("The machine 't1' is already locked for a session (or being unlocked)\n", "modifyvm", "t1", "--memory", "100")
	r.refused("The machine 't1' is already locked for a session (or being unlocked)\n", "storagectl", uuid, "--name", "SATA", "--portcount", "3")
	r.refused("The machine 't1' is already locked for a session (or being unlocked)\n", "discardstate", "t1")
	r.refused("Cannot unregister the machine 't1' while it is locked\n", "unregistervm", "t1", "--delete")
	r.refused("The device slot 0 on port 0 of controller 'SATA' does not support hot-plugging\n",
		"storageattach", "t1", "--storagectl", "SATA", "--port", "0", "--device", "0", "--medium", "none")
	r.refused("Cannot delete the current state of the running machine (machine state: Running)\n", "snapshot", "t1", "restore", "x")
	r.refused("front: snapshot take is not provided", "snapshot", "t1", "take", "x")
	r.refused("front: clonevm is not provided", "clonevm", "t1", "--register")
	r.refused("Cannot close medium", "closemedium", "disk", r.path("base.vdi"))
	r.must("setextradata", "t1", "k", "v") // which a running machine allows
	if _, err := net.DialTimeout("tcp", "127.0.0.1:"+r.port, time.Second); err != nil {
		r.t.Errorf("the NAT rule's port: %v", err)
	}
	if got := r.network(); !strings.Contains(got, "n2: ") {
		r.t.Errorf("no second adapter in %s", got)
	}
}

// network is what QEMU says of the adapters.
func (r *rig) network() string {
	r.t.Helper()
	q, err := r.machine().dial()
	if err != nil {
		r.t.Fatal(err)
	}
	defer q.close()
	var said string
	if err := q.call("human-monitor-command", map[string]string{"command-line": "info network"}, &said); err != nil {
		r.t.Fatal(err)
	}
	return said
}

func (r *rig) control() {
	r.must("controlvm", "t1", "pause")
	r.state(paused)
	r.refused("Already paused\n", "controlvm", "t1", "pause")
	r.refused("Invalid machine state: Paused\n", "controlvm", "t1", "acpipowerbutton")
	r.refused("Invalid machine state: Paused\n", "controlvm", "t1", "reset")
	r.must("controlvm", "t1", "resume")
	r.state(running)
	r.refused("Cannot resume the machine as it is not paused (machine state: Running)\n", "controlvm", "t1", "resume")
	r.must("controlvm", "t1", "reset")
	r.await("the boot sector to run again", func() bool { return r.output() == "BB" })
	r.must("controlvm", "t1", "acpipowerbutton") // nobody listens in there
	r.refused("front: controlvm teleport is not provided", "controlvm", "t1", "teleport")

	// A cable that is out lets the host see no carrier on the guest's side; QEMU is asked, because no guest looks.
	r.must("controlvm", "t1", "setlinkstate2", "on")
	if got := r.property("cableconnected2"); got != "on" {
		r.t.Errorf("cableconnected2 is %q after setlinkstate2 on", got)
	}

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		r.t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	l.Close()
	r.must("controlvm", "t1", "natpf1", "web,tcp,127.0.0.1,"+port+",,80")
	if !r.answers(port) {
		r.t.Errorf("the new rule's port %s is closed", port)
	}
	r.refused("A NAT rule of this name already exists\n", "controlvm", "t1", "natpf1", "web,tcp,127.0.0.1,"+port+",,80")
	r.must("controlvm", "t1", "natpf1", "delete", "web")
	if r.answers(port) {
		r.t.Errorf("the deleted rule's port %s is open", port)
	}
	if got := r.property("Forwarding(1)"); got != "" {
		r.t.Errorf("a second rule is left: %s", got)
	}
}

func (r *rig) answers(port string) bool {
	c, err := net.DialTimeout("tcp", "127.0.0.1:"+port, time.Second)
	if err == nil {
		c.Close()
	}
	return err == nil
}

func (r *rig) saved() {
	r.must("controlvm", "t1", "savestate")
	r.state(saved)
	r.refused("The machine is not mutable (state is Saved)\n", "modifyvm", "t1", "--memory", "100")
	r.refused("Machine 't1' is not currently running.\n", "controlvm", "t1", "poweroff")
	r.must("startvm", "t1", "--type", "headless")
	r.state(running)
	if got := r.output(); got != "" {
		r.t.Errorf("the machine booted instead of going on: %q", got)
	}
	r.must("controlvm", "t1", "savestate")
	r.must("discardstate", "t1")
	r.state("poweroff")
	r.refused("Cannot discard the saved state", "discardstate", "t1")
}

func (r *rig) killed() {
	r.must("startvm", "t1", "--type", "headless")
	r.booted()
	if err := syscall.Kill(r.machine().pid(), syscall.SIGKILL); err != nil {
		r.t.Fatal(err)
	}
	r.await("the machine to be gone", func() bool { return r.property("VMState") == aborted })
	r.must("modifyvm", "t1", "--memory", "80")
	r.must("startvm", "t1", "--type", "headless")
	r.booted()
	r.must("controlvm", "t1", "poweroff")
	r.state("poweroff")
	r.refused("Machine 't1' is not currently running.\n", "controlvm", "t1", "poweroff")
}

func (r *rig) twice() {
	var answers [4]answer
	var wg sync.WaitGroup
	for i := range answers {
		wg.Go(func() { answers[i] = r.call("startvm", "t1", "--type", "headless") })
	}
	wg.Wait()
	started := 0
	for _, a := range answers {
		if a.exit == 0 {
			started++
		} else if !strings.Contains(a.stderr, "is already locked by a session") {
			r.t.Errorf("startvm: %s", a.stderr)
		}
	}
	if started != 1 {
		r.t.Errorf("%d calls started the machine", started)
	}
	r.must("controlvm", "t1", "poweroff")
}

func (r *rig) unable() {
	// A port that is taken is no reason: VirtualBox notes it in the log.
	l, err := net.Listen("tcp", "127.0.0.1:"+r.port)
	if err != nil {
		r.t.Fatal(err)
	}
	r.must("startvm", "t1", "--type", "headless")
	r.must("controlvm", "t1", "poweroff")
	l.Close()
	log, err := os.ReadFile(filepath.Join(r.property("LogFldr"), "VBox.log"))
	if err != nil || !strings.Contains(string(log), "NAT#0: Failed to redirect TCP 127.0.0.1:"+r.port) {
		r.t.Errorf("VBox.log: %v\n%s", err, log)
	}

	r.must("hostonlyif", "remove", "vboxnet0")
	r.refused("The host network interface named 'vboxnet0' could not be found\n", "hostonlyif", "remove", "vboxnet0")
	r.refused("Nonexistent host networking interface, name 'vboxnet0' (VERR_INTERNAL_ERROR)\n", "startvm", "t1", "--type", "headless")
	r.state("poweroff")
	r.must("hostonlyif", "create") // and nobody gives it an address
	r.must("startvm", "t1", "--type", "headless")
	r.must("controlvm", "t1", "poweroff")
	if out, err := exec.Command("ip", "-4", "address", "show", "vboxnet0").Output(); err != nil || !strings.Contains(string(out), "inet 192.168.56.1/24 ") {
		r.t.Errorf("the adapter of a machine that was started has the address %s %v", out, err)
	}

	if err := os.Rename(r.path("t1.vdi"), r.path("away.vdi")); err != nil {
		r.t.Fatal(err)
	}
	if a := r.call("startvm", "t1", "--type", "headless"); a.exit == 0 {
		r.t.Error("a machine without its disk was started")
	}
	if err := os.Rename(r.path("away.vdi"), r.path("t1.vdi")); err != nil {
		r.t.Fatal(err)
	}
	r.refused("Could not find a registered machine named 't2'\n", "startvm", "t2", "--type", "headless")
}

// snapshots writes to the disk as a guest would, into the file that QEMU uses, between snapshots. Block 0 of the disk is the
// boot sector; the others are what was written last.
func (r *rig) snapshots() {
	r.write(1, 'a')
	r.must("snapshot", "t1", "take", "first")
	r.write(2, 'b')
	r.must("snapshot", "t1", "take", "second")
	r.write(1, 'c')
	r.must("snapshot", "t1", "take", "third") // whose disk is never used
	r.shows("cb")

	r.must("snapshot", "t1", "delete", "second") // in the middle of the chain
	r.shows("cb")
	r.must("snapshot", "t1", "restore", "third")
	r.shows("cb")
	r.must("snapshot", "t1", "restore", "first")
	r.shows("a.")
	r.write(2, 'd')
	r.shows("ad")
	r.must("snapshot", "t1", "delete", "third") // a branch that nobody uses
	r.shows("ad")
	r.must("snapshot", "t1", "delete", "first") // the last one
	r.shows("ad")
	if a := r.call("snapshot", "t1", "list"); !strings.HasSuffix(a.stdout, "This machine does not have any snapshots\n") {
		r.t.Errorf("snapshots are left: %+v", a)
	}
	r.must("startvm", "t1", "--type", "headless")
	r.booted()
	r.must("controlvm", "t1", "poweroff")

	files, err := filepath.Glob(filepath.Join(r.dir, "state", "disks", "*.qcow2"))
	if err != nil || len(files) != 2 { // the base's and the disk's
		r.t.Errorf("mirrors: %q %v", files, err)
	}
}

const block = 1 << 20

// file returns what QEMU uses as the machine's disk.
func (r *rig) file() string {
	r.t.Helper()
	f := &front{real: os.Getenv(envReal), dir: filepath.Join(r.dir, "state"), stdout: os.Stdout, stderr: os.Stderr}
	images, err := f.images(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	file, err := f.mirror(r.t.Context(), images, r.property("SATA-ImageUUID-0-0"))
	if err != nil {
		r.t.Fatal(err)
	}
	return file
}

func (r *rig) write(at int, pattern byte) {
	r.t.Helper()
	out, err := exec.Command("qemu-io", "-f", "qcow2", "-c", fmt.Sprintf("write -P %d %d %d", pattern, at*block, block), r.file()).CombinedOutput()
	if err != nil {
		r.t.Fatalf("qemu-io: %v: %s", err, out)
	}
}

// shows compares the beginnings of blocks 1 and 2.
func (r *rig) shows(want string) {
	r.t.Helper()
	raw := r.path("copy.raw")
	if out, err := exec.Command("qemu-img", "convert", "-f", "qcow2", "-O", "raw", r.file(), raw).CombinedOutput(); err != nil {
		r.t.Fatalf("qemu-img: %v: %s", err, out)
	}
	data, err := os.ReadFile(raw)
	if err != nil {
		r.t.Fatal(err)
	}
	got := strings.ReplaceAll(string([]byte{data[block], data[2*block]}), "\x00", ".")
	if diff := cmp.Diff(want, got); diff != "" {
		r.t.Errorf("the disk shows (-want +got):\n%s", diff)
	}
	if data[0] != 0xba {
		r.t.Errorf("the boot sector is gone: %x", data[:8])
	}
}

func (r *rig) removed() {
	disk := r.property("SATA-0-0") // merging snapshots may have left another file than the first
	r.must("storageattach", "t1", "--storagectl", "SATA", "--port", "0", "--device", "0", "--medium", "none")
	r.must("closemedium", "disk", disk, "--delete")
	r.must("unregistervm", "t1", "--delete")
	r.must("closemedium", "disk", r.path("base.vdi"))
	r.must("hostonlyif", "remove", "vboxnet0")
	for _, what := range []string{"vms", "hdds", "hostonlyifs"} {
		if got := r.must("list", what); strings.Contains(got, "UUID") || strings.Contains(got, "t1") || strings.Contains(got, "vboxnet0") {
			r.t.Errorf("list %s: %s", what, got)
		}
	}
	for pattern, want := range map[string]int{"disks/*.qcow2": 1, "vm/*": 0} { // the base is only closed: its file, and so its mirror, stays
		if left, err := filepath.Glob(filepath.Join(r.dir, "state", pattern)); err != nil || len(left) != want {
			r.t.Errorf("left: %q %v", left, err)
		}
	}
}
