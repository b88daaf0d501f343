package sim

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"
)

// acpiDelay is how long a machine takes to power off after its ACPI power button was pressed.
const acpiDelay = 200 * time.Millisecond

// vboxState is the whole of the simulated VirtualBox: dir/virtualbox.json.
type vboxState struct {
	Machines  []machineState    `json:"machines,omitempty"`
	Media     []mediumState     `json:"media,omitempty"`
	HostOnly  []hostOnlyState   `json:"hostOnly,omitempty"`
	DHCP      []dhcpState       `json:"dhcp,omitempty"`
	ExtraData map[string]string `json:"extraData,omitempty"` // the target "global"
	// Pending is what a call has promised to do to files. It is recorded with the call's result, and a call that
	// was killed before it kept the promise has it kept by the next one.
	Pending []fileChange `json:"pending,omitempty"`
}

// fileChange writes Data to Path, or removes Path: with everything below it, or only an empty folder.
type fileChange struct {
	Path        string `json:"path"`
	Data        []byte `json:"data,omitempty"`
	Remove      bool   `json:"remove,omitempty"`
	RemoveEmpty bool   `json:"removeEmpty,omitempty"`
}

func (c fileChange) apply() error {
	switch {
	case c.Remove:
		return os.RemoveAll(c.Path)
	case c.RemoveEmpty:
		os.Remove(c.Path) // fails if it is not empty, and then stays
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(c.Path), 0o700); err != nil {
		return err
	}
	return replaceFile(c.Path, c.Data)
}

// replaceFile writes a file that no reader ever sees half of.
func replaceFile(path string, data []byte) error {
	part := path + ".part~"
	if err := os.WriteFile(part, data, 0o600); err != nil {
		return err
	}
	return os.Rename(part, path)
}

func (s *vboxState) write(path string, data []byte) {
	if abs, err := filepath.Abs(path); err == nil { // the next call may be made elsewhere
		path = abs
	}
	s.Pending = append(s.Pending, fileChange{Path: path, Data: data})
}

func (s *vboxState) remove(path string) {
	s.Pending = append(s.Pending, fileChange{Path: path, Remove: true})
}

// machineState is one registered machine. State is what was last recorded; a machine whose power button was pressed
// stops without anybody writing that down, so ask running and status.
type machineState struct {
	Name       string            `json:"name"`
	UUID       string            `json:"uuid"`
	ConfigFile string            `json:"configFile"`
	Groups     string            `json:"groups"`
	OSType     string            `json:"osType"` // VirtualBox's id, such as Ubuntu_64
	State      string            `json:"state"`  // poweroff, running, paused or saved
	ChangedAt  time.Time         `json:"changedAt"`
	StartedAt  time.Time         `json:"startedAt,omitzero"` // of the latest start
	StopsAt    time.Time         `json:"stopsAt,omitzero"`   // powered off from then on; zero: stays on
	ExtraData  map[string]string `json:"extraData,omitempty"`
	Snapshots  []snapshotState   `json:"snapshots,omitempty"` // parents before children
	Current    string            `json:"current,omitempty"`   // UUID of the snapshot the machine's state descends from
	hardware
}

// hardware is the part of a machine that a snapshot keeps and a restore brings back.
type hardware struct {
	Memory      int               `json:"memory"` // MiB
	CPUs        int               `json:"cpus"`
	NICs        [8]nicState       `json:"nics"` // slot 1 is NICs[0]
	Controllers []controllerState `json:"controllers,omitempty"`
	Settings    map[string]string `json:"settings,omitempty"` // everything else, by the key of showvminfo --machinereadable
}

// nicState is one network adapter.
type nicState struct {
	Kind    string    `json:"kind"`              // as VBoxManage says: none, null, nat, hostonly
	Network string    `json:"network,omitempty"` // host-only adapter
	MAC     string    `json:"mac,omitempty"`     // lower case with colons
	Cable   bool      `json:"cable"`
	Type    string    `json:"type"`
	Rules   []natRule `json:"rules,omitempty"`
	// LocalhostReachable tells whether the guest may reach the host's 127.0.0.1 through NAT.
	LocalhostReachable bool `json:"localhostReachable,omitempty"`
}

// natRule forwards HostIP:HostPort of the host to the guest. An empty HostIP is any address, an empty GuestIP the guest's own.
type natRule struct {
	Name      string `json:"name"`
	Proto     string `json:"proto"` // tcp or udp
	HostIP    string `json:"hostIP,omitempty"`
	HostPort  int    `json:"hostPort"`
	GuestIP   string `json:"guestIP,omitempty"`
	GuestPort int    `json:"guestPort"`
}

type controllerState struct {
	Name     string            `json:"name"`
	Bus      string            `json:"bus"`
	Ports    int               `json:"ports"`
	Bootable bool              `json:"bootable"`
	Attached []attachmentState `json:"attached,omitempty"` // by port and device
}

// attachmentState is a drive of a controller; an empty Medium is a DVD drive without a disc.
type attachmentState struct {
	Port   int    `json:"port"`
	Device int    `json:"device"`
	Kind   string `json:"kind"`             // hdd or dvddrive
	Medium string `json:"medium,omitempty"` // UUID
	Path   string `json:"path,omitempty"`
}

// mediumState is an entry of the media registry; the file itself is at Path.
type mediumState struct {
	UUID     string `json:"uuid"`
	Parent   string `json:"parent,omitempty"` // UUID; empty for a base
	Kind     string `json:"kind"`             // disk or dvd
	Path     string `json:"path"`
	Format   string `json:"format"`
	Capacity int64  `json:"capacity"` // bytes
}

type snapshotState struct {
	UUID        string    `json:"uuid"`
	Name        string    `json:"name"`
	Description string    `json:"description,omitempty"`
	Parent      string    `json:"parent,omitempty"` // UUID
	Online      bool      `json:"online,omitempty"` // taken of a running machine
	TakenAt     time.Time `json:"takenAt"`
	Hardware    hardware  `json:"hardware"`
}

// hostOnlyState is a host-only adapter of the host.
type hostOnlyState struct {
	Name    string       `json:"name"`
	UUID    string       `json:"uuid"`
	MAC     string       `json:"mac"`
	Address netip.Prefix `json:"address,omitzero"` // of the host, with the network's length; invalid: none
	Up      bool         `json:"up"`
}

type dhcpState struct {
	Network string `json:"network"` // HostInterfaceNetworking-vboxnet0
	IP      string `json:"ip"`
	Lower   string `json:"lower"`
	Upper   string `json:"upper"`
	Netmask string `json:"netmask"`
	Enabled bool   `json:"enabled"`
}

// status is the state of the machine at the time now, in VirtualBox's words.
func (m machineState) status(now time.Time) string {
	if !m.StopsAt.IsZero() && !now.Before(m.StopsAt) {
		return "poweroff"
	}
	return m.State
}

// running tells whether the machine's processor turns at the time now (a paused machine's does not).
func (m machineState) running(now time.Time) bool { return m.status(now) == "running" }

// disk is the hard disk the machine would boot from. Its UUID is the key of the guest's file system: a new disk is a new guest.
func (m machineState) disk() (path, uuid string, ok bool) { return m.firstMedium("hdd") }

// bootsDisk tells whether the BIOS tries the hard disk. (What else it may try before is not bootable here, and it goes on.)
func (m machineState) bootsDisk() bool {
	for i, usual := range []string{"floppy", "dvd", "disk", "none"} {
		if cmpString(m.Settings[fmt.Sprintf("boot%d", i+1)], usual) == "disk" {
			return true
		}
	}
	return false
}

// seed is the path of the disc in the first DVD drive that has one.
func (m machineState) seed() (path string, ok bool) {
	path, _, ok = m.firstMedium("dvddrive")
	return path, ok
}

func (m machineState) firstMedium(kind string) (path, uuid string, ok bool) {
	for _, c := range m.Controllers {
		for _, a := range c.Attached {
			if a.Kind == kind && a.Medium != "" {
				return a.Path, a.Medium, true
			}
		}
	}
	return "", "", false
}

// serialLog is the file that the first serial port writes to.
func (m machineState) serialLog() (path string, ok bool) {
	const mode = "file,"
	if v := m.Settings["uartmode1"]; m.Settings["uart1"] != "off" && len(v) > len(mode) && v[:len(mode)] == mode {
		return v[len(mode):], true
	}
	return "", false
}

// folder is where the machine's settings file lies.
func (m machineState) folder() string { return filepath.Dir(m.ConfigFile) }

// stopMachine powers the machine off at the time now, as its guest does when it shuts itself down.
// A machine that is off or unknown is no error.
func stopMachine(dir, uuid string, now time.Time) error {
	return updateState(dir, func(s *vboxState) error {
		if m := s.machine(uuid); m != nil && m.status(now) != "poweroff" {
			m.StopsAt = now
		}
		return nil
	})
}

// restartMachine records that the guest rebooted at the time now. A machine that does not run is left alone.
func restartMachine(dir, uuid string, now time.Time) error {
	return updateState(dir, func(s *vboxState) error {
		if m := s.machine(uuid); m != nil && m.running(now) {
			m.StartedAt = now
		}
		return nil
	})
}

func stateFile(dir string) string { return filepath.Join(dir, "virtualbox.json") }

// readState reads the state as some writer left it. Writers rename, so no reader sees half a file. Without a file it is
// that of a fresh VirtualBox, which has a DHCP server for the host-only adapter that does not exist yet.
func readState(dir string) (vboxState, error) {
	var s vboxState
	data, err := os.ReadFile(stateFile(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return vboxState{DHCP: []dhcpState{{Network: hostOnlyNetworkName("vboxnet0"), IP: "192.168.56.100",
			Lower: "192.168.56.101", Upper: "192.168.56.254", Netmask: "255.255.255.0", Enabled: true}}}, nil
	}
	if err != nil {
		return s, fmt.Errorf("reading the simulated VirtualBox: %w", err)
	}
	if err := json.Unmarshal(data, &s); err != nil {
		return s, fmt.Errorf("reading the simulated VirtualBox %q: %w", stateFile(dir), err)
	}
	return s, nil
}

// updateState lets change alter the state, one process at a time. An error of change is returned and nothing is written,
// so a call that fails, or is killed, leaves the state as it was.
func updateState(dir string, change func(*vboxState) error) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("making the simulated VirtualBox: %w", err)
	}
	lock := flock.New(filepath.Join(dir, "virtualbox.lock"))
	if err := lock.Lock(); err != nil {
		return fmt.Errorf("locking the simulated VirtualBox: %w", err)
	}
	defer lock.Unlock()
	s, err := readState(dir)
	if err != nil {
		return err
	}
	if err := settleFiles(dir, &s); err != nil {
		return err
	}
	if err := change(&s); err != nil {
		return err
	}
	if err := writeState(dir, s); err != nil {
		return err
	}
	return settleFiles(dir, &s)
}

// settleFiles does the pending changes, in order, and records that they are done. One that cannot be done is told once
// and not tried again: its medium is inaccessible then. The caller holds the lock.
func settleFiles(dir string, s *vboxState) error {
	if len(s.Pending) == 0 {
		return nil
	}
	var failed error
	for _, c := range s.Pending {
		failed = errors.Join(failed, c.apply())
	}
	s.Pending = nil
	return errors.Join(failed, writeState(dir, *s))
}

// writeState replaces the file, unless it says just that.
func writeState(dir string, s vboxState) error {
	data, err := json.MarshalIndent(s, "", "\t")
	if err != nil {
		return fmt.Errorf("writing the simulated VirtualBox: %w", err)
	}
	if before, err := os.ReadFile(stateFile(dir)); err == nil && bytes.Equal(before, data) {
		return nil
	}
	if err := replaceFile(stateFile(dir), data); err != nil {
		return fmt.Errorf("writing the simulated VirtualBox: %w", err)
	}
	return nil
}

// machine finds a machine by name or UUID; nil if there is none.
func (s *vboxState) machine(id string) *machineState {
	for i := range s.Machines {
		if s.Machines[i].Name == id || s.Machines[i].UUID == id {
			return &s.Machines[i]
		}
	}
	return nil
}

// medium finds a registered medium by path or UUID; nil if there is none.
func (s *vboxState) medium(id string) *mediumState {
	for i := range s.Media {
		if s.Media[i].Path == id || s.Media[i].UUID == id {
			return &s.Media[i]
		}
	}
	return nil
}
