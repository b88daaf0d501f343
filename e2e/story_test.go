//go:build linux && e2e

package e2e

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestStory is one lab's life on machines that really boot, from up to destroy.
func TestStory(t *testing.T) {
	l := newLab(t, 3)
	var base, sum string // the cached base disk and its checksum
	var boots map[string]string

	l.chapter("up makes three machines", func() {
		l.must("up", "--to", "machines", patience)
		base, sum = l.baseDisk()
		boots = l.boots()
		for _, n := range l.nodes {
			if got := l.property(n.name, "VMState"); got != "running" {
				l.t.Errorf("the machine of %s is %s", n.name, got)
			}
		}
	})

	l.chapter("exercise 01 is proved, and true of the guests", func() {
		l.must("verify", "01")
		l.checkGuests()
	})

	l.chapter("a second up changes nothing", func() {
		if got := l.changes(l.must("up", "--to", "machines", patience, "-o", "json")); len(got) != 0 {
			l.t.Errorf("changes: %q", got)
		}
		if diff := cmp.Diff(boots, l.boots()); diff != "" {
			l.t.Errorf("a machine was rebooted:\n%s", diff)
		}
	})

	l.chapter("more memory is wanted for one machine: plan would change that one alone", func() {
		l.nodes[1].memory = 1000
		l.configure()
		if diff := cmp.Diff([]string{"update Machine w1 memoryMiB"}, l.changes(l.must("plan", "--to", "machines", "-o", "json"))); diff != "" {
			l.t.Errorf("changes (-want +got):\n%s", diff)
		}
	})

	// All at once, because machines that boot side by side share two processors, and one alone leaves one of them idle.
	l.chapter("and behind labctl's back one was killed, another deleted: up puts all three right", func() {
		before := l.memory("w1")
		l.on("cp1", "echo kept | sudo tee /var/tmp/mark >/dev/null && sync")
		l.kill("cp1")
		l.vboxManage("controlvm", "lab-w2", "poweroff")
		l.vboxManage("unregistervm", "lab-w2", "--delete")
		got := l.changes(l.must("up", "--to", "machines", patience, "--yes", "-o", "json"))
		want := []string{"create Machine w2", "update Machine cp1 running", "update Machine w1 memoryMiB"}
		if diff := cmp.Diff(want, slices.Sorted(slices.Values(got))); diff != "" {
			l.t.Errorf("changes (-want +got):\n%s", diff)
		}
		boots = l.rebooted(boots, l.names()...)
		if after := l.memory("w1"); after-before < 150 || after > 1000 {
			l.t.Errorf("w1 had %d MiB, and has %d", before, after)
		}
		if got := l.on("cp1", "cat /var/tmp/mark"); got != "kept" {
			l.t.Errorf("cp1 lost its disk's content: %q", got)
		}
		l.must("verify", "01")
	})

	l.chapter("a node taken out of labctl.yaml: up to a stage deletes nothing, and says what to do", func() {
		all := l.nodes
		l.nodes = all[:2]
		l.configure()
		if r := l.labctl("up", "--to", "machines", patience, "--yes"); r.exit != 2 || !strings.Contains(r.stderr, `"w2"`) || !strings.Contains(r.stderr, "labctl: hint: ") {
			l.t.Errorf("exit status %d, want 2 with w2 named and a hint", r.exit)
		}
		l.nodes = all
		l.configure()
		boots = l.rebooted(boots)
	})

	l.chapter("destroy leaves nothing but the cache", func() {
		l.must("destroy", "--yes")
		l.nothingLeft()
		l.sameBase(base, sum)
	})
}

// TestSecondStory is the life of a lab that boots from the base image that the first one has left in the cache: it goes on to what is
// done with a lab, and to k3s.
func TestSecondStory(t *testing.T) {
	machines := 2
	if os.Getenv(envK3s) != "" {
		machines = 3
	}
	l := newLab(t, machines)
	var base, sum string
	var boots map[string]string

	l.chapter("up, from the cached base image", func() {
		cached, _ := filepath.Glob(l.bases())
		if len(cached) > 0 {
			base, sum = l.baseDisk()
		}
		l.must("up", "--to", "machines", patience)
		boots = l.boots()
		if len(cached) > 0 {
			l.sameBase(base, sum)
		}
		base, sum = l.baseDisk()
	})

	l.chapter("down, a snapshot, start", func() {
		l.on("w1", "echo before | sudo tee /var/tmp/mark >/dev/null")
		l.must("down")
		if got := l.vboxManage("list", "runningvms"); got != "" {
			l.t.Errorf("still running: %s", got)
		}
		for _, n := range l.nodes {
			if got := l.property(n.name, "VMState"); got != "poweroff" {
				l.t.Errorf("the machine of %s is %s", n.name, got)
			}
		}
		l.must("snapshot", "save", "clean")
		l.must("start", patience)
		boots = l.rebooted(boots, l.names()...)
	})

	l.chapter("a guest is damaged: restore takes it back", func() {
		l.on("w1", "echo after | sudo tee /var/tmp/mark >/dev/null; sudo rm -f /usr/bin/hostname /etc/hosts; sync")
		l.must("snapshot", "restore", "clean", "--yes")
		boots = l.rebooted(boots, l.names()...)
		if got := l.on("w1", "cat /var/tmp/mark"); got != "before" {
			l.t.Errorf("after the restore w1 has %q", got)
		}
		l.must("verify", "01")
		l.checkGuests()
		if r := l.must("snapshot", "list"); !strings.Contains(r.stdout, "clean") {
			l.t.Errorf("the snapshot is gone")
		}
	})

	l.k3sChapters()

	l.chapter("destroy leaves nothing", func() {
		l.must("destroy", "--yes")
		l.nothingLeft()
		l.sameBase(base, sum)
	})
}

// names are the nodes'.
func (l *lab) names() []string {
	var names []string
	for _, n := range l.nodes {
		names = append(names, n.name)
	}
	return names
}

// sameBase checks that the base disk is the one that it was.
func (l *lab) sameBase(path, sum string) {
	l.t.Helper()
	if again, same := l.baseDisk(); again != path || same != sum {
		l.t.Errorf("the base disk was %s (%s), and is %s (%s)", path, sum, again, same)
	}
}

// nothingLeft checks that VirtualBox and the data folder are empty.
func (l *lab) nothingLeft() {
	l.t.Helper()
	for _, list := range []string{"vms", "runningvms", "hdds", "dvds", "hostonlyifs"} {
		if got := l.vboxManage("list", list); got != "" {
			l.t.Errorf("list %s: %s", list, got)
		}
	}
	left, err := os.ReadDir(filepath.Join(l.data, "labctl"))
	if err != nil {
		l.t.Error(err)
	}
	for _, file := range left {
		if name := file.Name(); !strings.HasSuffix(name, ".lock") { // those are all labs' own
			l.t.Errorf("left in the data folder: %s", name)
		}
	}
}

// checkGuests looks at what exercise 01 teaches without labctl's checks: names of NICs, addresses, routes.
func (l *lab) checkGuests() {
	l.t.Helper()
	command := "ip -j addr && echo -- && ip route && echo -- && hostname && echo -- && cat /sys/class/block/sda/size"
	for _, n := range l.nodes {
		command += " && ping -c 1 -W 5 " + n.name + " >&2"
	}
	said := l.onAll(func(node) string { return command })
	for _, n := range l.nodes {
		l.checkGuest(n, said[n.name])
	}
}

func (l *lab) checkGuest(n node, output string) {
	l.t.Helper()
	var links []struct {
		Name  string `json:"ifname"`
		Addrs []struct {
			Family string
			Local  string
			Bits   int `json:"prefixlen"`
		} `json:"addr_info"`
	}
	said := strings.Split(output, "\n--\n")
	if len(said) != 4 {
		l.t.Fatalf("%s says %q", n.name, said)
	}
	addresses, routes, hostname, size := said[0], said[1], said[2], said[3]
	if err := json.Unmarshal([]byte(addresses), &links); err != nil {
		l.t.Fatal(err)
	}
	var got []string
	for _, link := range links {
		for _, a := range link.Addrs {
			if a.Family == "inet" {
				got = append(got, fmt.Sprintf("%s %s/%d", link.Name, a.Local, a.Bits))
			}
		}
	}
	want := []string{"lo 127.0.0.1/8", "enp0s3 10.0.2.15/24", "enp0s8 " + n.address + "/24"}
	if diff := cmp.Diff(want, got); diff != "" {
		l.t.Errorf("%s: addresses (-want +got):\n%s", n.name, diff)
	}
	for _, want := range []string{"default via 10.0.2.2 dev enp0s3 ", "192.168.56.0/24 dev enp0s8 "} {
		if strings.Count("\n"+routes, "\n"+want) != 1 {
			l.t.Errorf("%s: not one route %q in\n%s", n.name, want, routes)
		}
	}
	if hostname != n.name {
		l.t.Errorf("%s calls itself %q", n.name, hostname)
	}
	if want := strconv.Itoa(diskGiB << 30 / 512); size != want {
		l.t.Errorf("%s: its disk has %s sectors, want %s", n.name, size, want)
	}
}

// memory returns what a guest sees, in MiB.
func (l *lab) memory(node string) int {
	l.t.Helper()
	n, err := strconv.Atoi(l.on(node, "awk '/^MemTotal:/ { print int($2 / 1024) }' /proc/meminfo"))
	if err != nil {
		l.t.Fatal(err)
	}
	return n
}

// rebooted checks that exactly these nodes have booted since, and returns the boots by now.
func (l *lab) rebooted(before map[string]string, want ...string) map[string]string {
	l.t.Helper()
	now := l.boots()
	var got []string
	for _, n := range l.nodes {
		if now[n.name] != before[n.name] {
			got = append(got, n.name)
		}
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		l.t.Errorf("rebooted (-want +got):\n%s", diff)
	}
	return now
}

// bases is a pattern of the cached base disks.
func (l *lab) bases() string { return filepath.Join(l.cache, "labctl", "images", "*", "base-*.vdi") }

// baseDisk returns the one base disk in the cache, and its checksum.
func (l *lab) baseDisk() (path, sum string) {
	l.t.Helper()
	found, err := filepath.Glob(l.bases())
	if err != nil || len(found) != 1 {
		l.t.Fatalf("base disks in the cache: %v %v", found, err)
	}
	file, err := os.Open(found[0])
	if err != nil {
		l.t.Fatal(err)
	}
	defer file.Close()
	h := sha256.New()
	if _, err := io.Copy(h, file); err != nil {
		l.t.Fatal(err)
	}
	return found[0], hex.EncodeToString(h.Sum(nil))
}
