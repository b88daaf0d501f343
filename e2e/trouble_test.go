//go:build linux && e2e

package e2e

import (
	"bytes"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// troubled makes a lab of one machine. All tests of this file are part of `make e2e-full` alone.
func troubled(t *testing.T) *lab {
	if os.Getenv(envFull) == "" {
		t.Skip("not run: " + envFull + " is not set")
	}
	return newLab(t, 1)
}

// TestTrouble is the life of a machine to which bad things happen; each ends with a clear word, and an up that works.
func TestTrouble(t *testing.T) {
	l := troubled(t)
	var boot string
	good := l.image

	l.chapter("the disk is full: up says so, and leaves no half of an image", func() {
		room := l.ownDisk("64M")
		r := l.labctl("up", "--to", "image")
		if r.exit != 3 || !strings.Contains(r.stderr, "no space left on device") && !strings.Contains(r.stderr, "VERR_DISK_FULL") {
			l.t.Errorf("exit status %d, want 3 and that there is no space", r.exit)
		}
		if left, _ := filepath.Glob(l.bases()); len(left) > 0 {
			l.t.Errorf("left: %q", left)
		}
		room("8G")
	})

	l.chapter("a guest that never gets SSH: up gives up in time, and shows where its console is", func() {
		l.image = l.blankImage()
		l.configure()
		r := l.labctl("up", "--to", "machines", "--timeout", "25s")
		if r.exit != 4 || !strings.Contains(r.stderr, "machine cp1: not within 25s: waiting for SSH on \"192.168.56.10:22\"") ||
			!strings.Contains(r.stderr, filepath.Join("machines", "cp1", "serial.log")) {
			l.t.Errorf("exit status %d, want 4, the wait and the console's path", r.exit)
		}
	})

	l.chapter("Ctrl-C while the machine boots", func() {
		l.image = good
		l.configure()
		r := l.interrupt("waiting for sshd", syscall.SIGINT, "up", "--to", "machines", "--yes")
		if r.exit != 130 || !strings.Contains(r.stderr, "labctl: hint: what was made so far is kept") {
			l.t.Errorf("exit status %d", r.exit)
		}
		if got := l.property("cp1", "VMState"); got != "running" {
			l.t.Errorf("the machine is %s", got)
		}
	})

	l.chapter("kill -9 while the machine boots", func() {
		l.interrupt("waiting for sshd", syscall.SIGKILL, "up", "--to", "machines")
	})

	l.chapter("the next up waits until it has booted", func() {
		l.must("up", "--to", "machines", patience)
		l.checkGuests()
		boot = l.boots()["cp1"]
	})

	l.chapter("the host-only cable is pulled: labctl says so, and gets in through NAT", func() {
		l.vboxManage("controlvm", "lab-cp1", "setlinkstate2", "off")
		if got := l.ssh(); got != "nat" {
			l.t.Errorf("status says %q of SSH, want nat", got)
		}
		r := l.labctl("ssh", "cp1", "--", "cat", "/sys/class/net/enp0s8/carrier")
		if r.exit != 0 || r.stdout != "0\n" || !strings.Contains(r.stderr, "the host-only network is down for cp1") {
			l.t.Errorf("exit status %d, carrier %q", r.exit, r.stdout)
		}
		r = l.labctl("up", "--to", "machines", patience)
		if r.exit != 3 && r.exit != 4 || !strings.Contains(r.stderr, `the host-only network is down: "cp1" answers through its NAT rule (127.0.0.1:`) {
			l.t.Errorf("up: exit status %d, want 3 or 4 and that the host-only network is down", r.exit)
		}
		l.vboxManage("controlvm", "lab-cp1", "setlinkstate2", "on")
		l.await("the cable to work again", func() bool { return l.ssh() == "ok" })
		l.must("up", "--to", "machines", patience)
	})

	l.chapter("its state is saved: up goes on with it", func() {
		l.vboxManage("controlvm", "lab-cp1", "savestate")
		l.must("up", "--to", "machines", patience, "--yes")
		if got := l.boots()["cp1"]; got != boot {
			l.t.Errorf("the machine was booted anew")
		}
	})

	l.chapter("its port is taken while it is down: up takes another", func() {
		rule := strings.Split(l.property("cp1", "Forwarding(0)"), ",")
		l.must("down")
		taken, err := net.Listen("tcp", net.JoinHostPort(rule[2], rule[3]))
		if err != nil {
			l.t.Fatal(err)
		}
		defer taken.Close()
		l.must("up", "--to", "machines", patience)
		if again := strings.Split(l.property("cp1", "Forwarding(0)"), ","); again[3] == rule[3] {
			l.t.Errorf("the rule is still %q", again)
		}
	})

	l.chapter("destroy", func() {
		l.must("destroy", "--yes")
		l.nothingLeft()
	})
}

// TestSeed boots guests whose seed is broken on its way into the machine: labctl shows what cloud-init says, and where the
// console is; the next up begins the first boot again.
func TestSeed(t *testing.T) {
	l := troubled(t)
	for _, broken := range []struct{ what, old, new, want string }{
		{"is no YAML", "\nusers:\n", "\nusers[\n", "cloud-init said: "},
		{"cannot be carried out", "path: /etc/hosts\n", "path: /proc/hst1\n", "machine cp1: cloud-init failed: "},
	} {
		l.chapter("user-data that "+broken.what, func() {
			front := l.vbox
			l.vbox = l.breakSeed(broken.old, broken.new)
			r := l.labctl("up", "--to", "machines", patience)
			l.vbox = front
			if r.exit != 3 || !strings.Contains(r.stderr, broken.want) || !strings.Contains(r.stderr, filepath.Join("machines", "cp1", "serial.log")) {
				l.t.Errorf("exit status %d, want 3, %q and the console's path", r.exit, broken.want)
			}
		})
		l.chapter("the next up works", func() {
			l.must("up", "--to", "machines", patience)
			l.checkGuests()
			l.must("destroy", "--yes")
		})
	}
	l.nothingLeft()
}

// breakSeed returns a program in VBoxManage's place that, before a machine starts, replaces a text in its seed by another one as long.
func (l *lab) breakSeed(old, new string) string {
	l.t.Helper()
	if len(old) != len(new) {
		l.t.Fatalf("%q is not as long as %q", new, old)
	}
	return l.between(`case $1 in startvm)
	for seed in "$XDG_DATA_HOME"/labctl/lab/machines/*/seed.iso; do
		LC_ALL=C perl -0777 -pi -e 'BEGIN { ($old, $new) = map { s/\\n/\n/gr } splice(@ARGV, 0, 2) } s/\Q$old\E/$new/ or die "no such text"' \
			'` + escaped(old) + `' '` + escaped(new) + `' "$seed" || exit 9
	done ;;
esac
exec "$FRONT" "$@"
`)
}

func escaped(s string) string { return strings.ReplaceAll(s, "\n", `\n`) }

// between writes a shell script that labctl takes for VBoxManage; $FRONT is what stands behind it.
func (l *lab) between(script string) string {
	l.t.Helper()
	file := filepath.Join(l.dir, "VBoxManage")
	text := "#!/bin/sh\nFRONT='" + filepath.Join(l.bin, "front") + "'\n" + script
	if err := os.WriteFile(file, []byte(text), 0o700); err != nil {
		l.t.Fatal(err)
	}
	return file
}

// ownDisk gives the lab a cache on a small file system of its own, and returns what changes its size. The namespace takes it away
// at the end.
func (l *lab) ownDisk(size string) (resize func(size string)) {
	l.t.Helper()
	l.cache = filepath.Join(filepath.Dir(l.dir), "small")
	if err := os.MkdirAll(l.cache, 0o700); err != nil {
		l.t.Fatal(err)
	}
	mount := func(args ...string) {
		l.t.Helper()
		if out, err := exec.CommandContext(l.t.Context(), "mount", args...).CombinedOutput(); err != nil {
			l.t.Fatalf("mount %q: %v: %s", args, err, out)
		}
	}
	mount("-t", "tmpfs", "-o", "size="+size, "labctl", l.cache)
	// VirtualBox's chroot must see it too.
	mount("--bind", l.cache, filepath.Join(os.Getenv("LABCTL_VBOX_ROOT"), l.cache))
	return func(size string) { mount("-o", "remount,size="+size, l.cache) }
}

// blankImage is a disk on which nothing can boot. It has one byte, because VirtualBox can't read a QCOW2 without any.
func (l *lab) blankImage() string {
	l.t.Helper()
	dir := filepath.Join(filepath.Dir(l.dir), "blank")
	image := filepath.Join(dir, "blank.qcow2")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		l.t.Fatal(err)
	}
	raw := make([]byte, 16<<20)
	raw[5<<20] = 1
	if err := os.WriteFile(image+".raw", raw, 0o600); err != nil {
		l.t.Fatal(err)
	}
	if out, err := exec.CommandContext(l.t.Context(), "qemu-img", "convert", "-f", "raw", "-O", "qcow2", image+".raw", image).CombinedOutput(); err != nil {
		l.t.Fatalf("qemu-img: %v: %s", err, out)
	}
	data, err := os.ReadFile(image)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "SHA256"), []byte(sumOf(data)+"\n"), 0o600)
	}
	if err != nil {
		l.t.Fatal(err)
	}
	return image
}

// ssh is what status says of the server's SSH.
func (l *lab) ssh() string {
	l.t.Helper()
	var status struct{ Nodes []struct{ SSH string } }
	if err := json.Unmarshal([]byte(l.must("status", "-o", "json").stdout), &status); err != nil || len(status.Nodes) != 1 {
		l.t.Fatalf("status: %v %+v", err, status)
	}
	return status.Nodes[0].SSH
}

// point is where labctl is killed: at its first call of that form in a run.
type point struct {
	command string // of labctl
	call    string // a pattern of sh's case
	when    string // before or after the call
}

// TestKilled kills labctl at calls of VBoxManage. It goes on from wherever that left things, so each point costs seconds, and one boot
// is enough for all. In the end there is one lab, as from a single up, or nothing.
func TestKilled(t *testing.T) {
	l := troubled(t)
	const image, up, down, destroy = "up --to image", "up --to machines --timeout=20m --yes", "down", "destroy --yes"
	var points []point
	add := func(command string, calls ...string) {
		for _, call := range calls {
			points = append(points, point{command, call, "before"}, point{command, call, "after"})
		}
	}
	died := 0
	die := func(all []point) {
		for _, p := range all {
			if r := l.killAt(p); r.exit != -1 {
				l.t.Errorf("%s: it never made the call %q: exit status %d", p.command, p.call, r.exit)
				continue
			}
			died++
			l.t.Logf("killed  %-36s %-6s %s", p.command, p.when, p.call)
		}
	}

	l.chapter("up is killed until the machine boots", func() {
		add(image, "clonemedium*", "modifymedium*") // an up to machines makes the network beside it: either may be first
		add(up, "hostonlyif\\ create*", "createvm*", "setextradata*labctl/lab\\ lab*", "modifyvm*--memory*",
			"modifyvm*--nat-pf1*", "storagectl*", "createmedium*", "storageattach*hdd*", "storageattach*dvddrive*", "startvm*")
		die(points)
	})

	l.chapter("the next up makes one lab", func() {
		l.must("up", "--to", "machines", patience)
		l.checkGuests()
		for list, want := range map[string]int{"vms": 1, "hdds": 2, "hostonlyifs": 1} { // hdds: the base and the linked one
			text := l.vboxManage("list", list)
			got := strings.Count("\n"+text, "\nUUID:")
			if list == "vms" {
				got = strings.Count(text, "\n")
			}
			if list == "hostonlyifs" {
				got = strings.Count("\n"+text, "\nName:")
			}
			if got != want {
				l.t.Errorf("%d %s, want %d:\n%s", got, list, want, text)
			}
		}
		if got := strings.Count(l.vboxManage("showvminfo", "lab-cp1", "--machinereadable"), "Forwarding("); got != 1 {
			l.t.Errorf("%d NAT rules", got)
		}
	})

	l.chapter("down is killed, then done", func() {
		points = nil
		add(down, "controlvm*acpipowerbutton")
		die(points)
		l.must("down")
		if got := l.property("cp1", "VMState"); got != "poweroff" {
			l.t.Errorf("the machine is %s", got)
		}
	})

	l.chapter("destroy is killed, then done", func() {
		points = nil
		add(destroy, "storageattach*none*", "closemedium*", "unregistervm*", "hostonlyif\\ remove*")
		die(points)
		l.must("destroy", "--yes")
		l.nothingLeft()
	})
	if died < 10 {
		t.Errorf("labctl was killed at %d points, want 10 or more", died)
	}
}

// killAt runs labctl until it is killed at that point.
func (l *lab) killAt(p point) result {
	l.t.Helper()
	front := l.vbox
	defer func() { l.vbox = front }()
	script := "case \"$*\" in " + p.call + ")\n"
	if p.when == "after" {
		script += "\t\"$FRONT\" \"$@\"\n"
	}
	l.vbox = l.between(script + "\tkill -KILL $PPID\n\texit 9 ;;\nesac\nexec \"$FRONT\" \"$@\"\n")
	cmd := l.command(filepath.Join(l.bin, "labctl"), strings.Fields(p.command)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Run(); err == nil {
		l.t.Logf("%s was not killed", p.command)
	}
	if cmd.ProcessState.ExitCode() != -1 {
		l.t.Logf("%s", indent(stderr.String()))
	}
	return result{stderr: stderr.String(), exit: cmd.ProcessState.ExitCode()}
}
