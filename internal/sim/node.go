package sim

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gofrs/flock"
)

// guest is a machine whose operating system is up, as it was at the time now.
type guest struct {
	w       *World
	now     time.Time
	machine machineState
	disk    string // UUID of its disk, which keys its files: a new disk is a new guest
	dir     string
	files   files
	state   *guestState // not to be changed; see update
	peers   *moment     // nil while it boots

	// Worked out once a moment; nil while it boots.
	ownNICs   []link
	allLinks  func() []link
	allRoutes func() []route
	allRules  func() firewall
}

// guestState is guest.json: what is not a file in the guest, yet outlives a command.
type guestState struct {
	Boot     time.Time               `json:"boot"`     // when the machine was started that this state belongs to
	Instance string                  `json:"instance"` // cloud-init's instance-id; another one is another first boot
	Accounts []account               `json:"accounts"`
	Network  map[string]netplan      `json:"network"` // by MAC
	UdevID   string                  `json:"udevID"`  // the machine-id that udevd read when it started
	Units    map[string]unit         `json:"units"`
	Modules  []string                `json:"modules"`
	Sysctl   map[string]string       `json:"sysctl"`
	Links    map[string]linkChange   `json:"links"`              // what `ip` changed since boot
	Routes   []routeChange           `json:"routes"`             // likewise
	Chains   map[string]chainChange  `json:"chains,omitempty"`   // what `iptables` changed since boot, by "table/chain"
	Unserved []string                `json:"unserved,omitempty"` // virtual and real servers that `ipvsadm` removed since boot
	Clock    time.Duration           `json:"clock,omitempty"`    // how far the clock is ahead of the host's
	Unsynced bool                    `json:"unsynced,omitempty"` // nothing sets the clock by the network's time
	Cluster  string                  `json:"cluster"`            // disk of the server whose cluster it joined
	Problems []string                `json:"problems"`
	Journal  map[string][]journalRow `json:"journal"` // by unit
}

type account struct {
	Name string `json:"name"`
	Sudo bool   `json:"sudo"` // without a password
}

// netplan is what network-config says of one NIC.
type netplan struct {
	DHCP4     bool           `json:"dhcp4"`
	Addresses []netip.Prefix `json:"addresses"`
}

type journalRow struct {
	At   time.Time `json:"at"`
	Text string    `json:"text"`
}

const journalRows = 200 // per unit

// bootTime is when the operating system was up after the machine's latest start.
func (g *guest) bootTime() time.Time { return g.machine.StartedAt.Add(g.w.options.Boot) }

func (w *World) guestDir(disk string) string { return guestDir(w.dir, disk) }

func guestFiles(dir string) files {
	return files{root: filepath.Join(dir, "root"), meta: filepath.Join(dir, "meta")}
}

// guest returns the guest of a machine, booted; nil while the machine is off, paused or still booting. If it is known that nothing was
// changed since it was looked at before, it is not read again.
func (w *World) guest(m machineState, now time.Time, before *guest) (*guest, error) {
	_, disk, ok := m.disk()
	if !ok || !m.bootsDisk() || !m.running(now) || now.Before(m.StartedAt.Add(w.options.Boot)) {
		return nil, nil
	}
	g := &guest{w: w, now: now, machine: m, disk: disk, dir: w.guestDir(disk)}
	g.files = guestFiles(g.dir)
	if before != nil && before.state.Boot.Equal(m.StartedAt) {
		g.state = before.state
		return g, nil
	}
	var err error
	if g.state, err = w.guestState(disk); err != nil {
		return nil, err
	}
	if !g.state.Boot.Equal(m.StartedAt) {
		if err := w.boot(g); err != nil {
			return nil, fmt.Errorf("booting SIMULATED %q: %w", m.Name, err)
		}
	}
	return g, nil
}

func (w *World) guestState(disk string) (*guestState, error) {
	return recall(w, w.guests, disk, filepath.Join(w.guestDir(disk), "guest.json"), readGuestState)
}

func readGuestState(name string) (*guestState, error) {
	st := &guestState{}
	data, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return st, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading a SIMULATED guest: %w", err)
	}
	if err := json.Unmarshal(data, st); err != nil {
		return nil, fmt.Errorf("reading the SIMULATED guest %q: %w", name, err)
	}
	return st, nil
}

// update changes a guest's state, one process at a time, and lets g see the result.
func (g *guest) update(change func(*guestState)) error {
	unlock, err := lockFile(filepath.Join(g.dir, "guest.lock"))
	if err != nil {
		return err
	}
	defer unlock()
	name := filepath.Join(g.dir, "guest.json")
	st, err := readGuestState(name)
	if err != nil {
		return err
	}
	change(st)
	data, err := json.Marshal(st)
	if err != nil {
		return err
	}
	g.state = st
	if err := writeFile(name, data); err != nil {
		return err
	}
	g.w.mu.Lock()
	g.w.guests[g.disk] = &cached[guestState]{stampOf(name), st}
	g.w.mu.Unlock()
	return g.w.newEpoch()
}

// lockFile waits for the lock of that file, which a killed process gives back.
func lockFile(name string) (unlock func(), err error) {
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return nil, err
	}
	l := flock.New(name)
	if err := l.Lock(); err != nil {
		return nil, fmt.Errorf("locking the SIMULATED world: %w", err)
	}
	return func() { _ = l.Unlock() }, nil // closing the file releases it in any case
}

// boot does what happens between power-on and the login prompt.
func (w *World) boot(g *guest) error {
	unlock, err := lockFile(filepath.Join(g.dir, "boot.lock"))
	if err != nil {
		return err
	}
	defer unlock()
	if g.state, err = w.guestState(g.disk); err != nil || g.state.Boot.Equal(g.machine.StartedAt) {
		return err
	}
	if err := w.installImage(g); err != nil {
		return err
	}
	for _, volatile := range []string{"/run", "/tmp"} {
		if err := os.RemoveAll(g.files.host(volatile)); err != nil {
			return err
		}
		if err := os.RemoveAll(filepath.Dir(g.files.metaFile(volatile))); err != nil {
			return err
		}
		if err := os.MkdirAll(g.files.host(volatile), 0o700); err != nil {
			return err
		}
	}
	if err := g.update(func(st *guestState) {
		st.UdevID = g.machineID()
		st.Modules = nil
		st.Sysctl, st.Links, st.Routes, st.Chains, st.Unserved, st.Clock = nil, nil, nil, nil, nil, 0
		for name, u := range st.Units {
			u.State, u.Result = "inactive", ""
			if slices.Contains(strings.Fields(imageUnits), name) && (name != timeSync || !st.Unsynced) {
				delete(st.Units, name) // it runs from boot on
			} else {
				st.Units[name] = u
			}
		}
	}); err != nil {
		return err
	}
	if err := g.cloudInit(); err != nil {
		return err
	}
	if err := g.startEnabled(); err != nil {
		return err
	}
	if err := g.writeSerialLog(); err != nil {
		return err
	}
	return g.update(func(st *guestState) { st.Boot = g.machine.StartedAt })
}

// installImage puts on a blank disk what the image carries.
func (w *World) installImage(g *guest) error {
	const last = "/etc/os-release" // with it the disk is complete: a process that was killed before is followed by another
	if _, err := os.Stat(g.files.host(last)); err == nil {
		return nil
	}
	for _, dir := range []string{"/bin", "/boot", "/dev", "/etc/systemd/system/multi-user.target.wants", "/etc/modules-load.d", "/etc/sysctl.d",
		"/etc/ssh", "/home", "/lib/modules/" + kernelVersion, "/media", "/mnt", "/opt", "/proc", "/root", "/run", "/sbin", "/srv", "/sys", "/tmp",
		"/usr/bin", "/usr/lib", "/usr/local/bin", "/usr/local/sbin", "/usr/sbin", "/usr/share", "/var/lib", "/var/log", "/var/tmp"} {
		if err := os.MkdirAll(g.files.host(dir), 0o700); err != nil {
			return err
		}
	}
	id := sha256.Sum256([]byte("machine-id " + g.disk))
	for name, content := range map[string]string{
		"/etc/machine-id":  hex.EncodeToString(id[:16]) + "\n",
		"/etc/hostname":    "ubuntu\n",
		"/etc/hosts":       "127.0.0.1 localhost\n",
		"/etc/environment": `PATH="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/games:/usr/local/games:/snap/bin"` + "\n",
		"/etc/fstab":       "LABEL=cloudimg-rootfs\t/\t ext4\tdiscard,errors=remount-ro\t0 1\n",
	} {
		if err := g.files.write(name, "root", 0o644, []byte(content)); err != nil {
			return err
		}
	}
	return g.files.write(last, "root", 0o644, []byte(osRelease))
}

const (
	kernelVersion = "5.15.0-164-generic"
	osImage       = "Ubuntu 22.04.5 LTS"
	osRelease     = `PRETTY_NAME="Ubuntu 22.04.5 LTS"
NAME="Ubuntu"
VERSION_ID="22.04"
VERSION="22.04.5 LTS (Jammy Jellyfish)"
VERSION_CODENAME=jammy
ID=ubuntu
ID_LIKE=debian
UBUNTU_CODENAME=jammy
`
)

func (g *guest) firstLine(p string) string {
	data, err := g.files.read("root", p)
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(string(data), "\n")
	return strings.TrimSpace(line)
}

func (g *guest) hostname() string  { return g.firstLine("/etc/hostname") }
func (g *guest) machineID() string { return g.firstLine("/etc/machine-id") }

func (g *guest) account(name string) (account, bool) {
	if name == "root" {
		return account{Name: "root", Sudo: true}, true
	}
	for _, a := range g.state.Accounts {
		if a.Name == name {
			return a, true
		}
	}
	return account{}, false
}

func home(user string) string {
	if user == "root" {
		return "/root"
	}
	return "/home/" + user
}

// log adds lines to a unit's journal.
func (st *guestState) log(unit string, at time.Time, lines ...string) {
	if st.Journal == nil {
		st.Journal = map[string][]journalRow{}
	}
	rows := st.Journal[unit]
	for _, l := range lines {
		rows = append(rows, journalRow{at, l})
	}
	st.Journal[unit] = rows[max(0, len(rows)-journalRows):]
}

func (g *guest) writeSerialLog() error {
	name, ok := g.machine.serialLog()
	if !ok {
		return nil
	}
	var b strings.Builder
	fmt.Fprintf(&b, "[    0.000000] Linux version %s (SIMULATED)\n", kernelVersion)
	fmt.Fprintf(&b, "[    2.000000] cloud-init[600]: Cloud-init v. 24.4 running 'modules:final' at %s.\n", g.bootTime().UTC().Format(time.RFC1123Z))
	for _, l := range g.links() {
		for _, a := range l.Addresses {
			fmt.Fprintf(&b, "[    2.000000] cloud-init[600]: ci-info: | %s | True | %s |\n", l.Name, a)
		}
	}
	for _, p := range g.state.Problems {
		fmt.Fprintf(&b, "[    2.000000] cloud-init[600]: ERROR %s\n", p)
	}
	fmt.Fprintf(&b, "\n%s %s ttyS0\n\n%s login: ", osImage, g.hostname(), g.hostname())
	f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("writing the serial log: %w", err)
	}
	_, err = f.WriteString(b.String())
	return errors.Join(err, f.Close())
}

// as runs a command line in the guest as root, as cloud-init and systemd do, and returns its output and exit status.
func (g *guest) as(ctx context.Context, argv []string) (string, int) {
	var out strings.Builder
	s := &session{world: g.w, disk: g.disk, booting: g, user: "root", env: map[string]string{"PATH": securePath, "HOME": "/root", "USER": "root"}}
	status := s.runArgs(ctx, argv, "/", nil, &out, &out)
	if fresh, err := g.w.guestState(g.disk); err == nil {
		g.state = fresh
	}
	return out.String(), status
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
