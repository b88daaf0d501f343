package vbox

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// MachineRef names a registered machine.
type MachineRef struct{ Name, UUID string }

// Machine is what VirtualBox knows of one machine.
type Machine struct {
	Name, UUID string
	// State is VirtualBox's word: poweroff, running, paused, saved, aborted, aborted-saved, starting, stopping, …
	State      string
	CPUs       int
	MemoryMiB  int
	Groups     []string
	NICs       []NIC // those that are not "none", by slot
	Forwards   []Forward
	Media      map[string]string // "SATA-0-0" (controller, port, device) to the file there; empty drives are left out
	SerialLog  string            // the file that the first serial port writes to, if it does
	ConfigFile string
	LogFolder  string

	properties map[string]string
}

// NIC is a network adapter of a machine.
type NIC struct {
	Slot    int    // from 1
	Kind    string // as VBoxManage says: nat, hostonly, hostonlynetwork, bridged, …
	Network string // the host-only adapter or network; empty for nat
	MAC     string // lower case, with colons
	Cable   bool   // plugged in
}

// Forward is a rule of the NAT engine: connections to HostIP:HostPort of the host go to GuestPort of the guest.
type Forward struct {
	Name, Proto, HostIP string
	HostPort            int
	GuestIP             string // empty: whatever address the guest got
	GuestPort           int
}

// Machines lists the registered machines. Those whose settings file is gone are called "<inaccessible>".
func (c *Client) Machines(ctx context.Context) ([]MachineRef, error) {
	return c.machines(ctx, listMachinesArgs())
}

// RunningMachines lists those that have a process: running, paused, starting or stopping.
func (c *Client) RunningMachines(ctx context.Context) ([]MachineRef, error) {
	return c.machines(ctx, listRunningArgs())
}

func (c *Client) machines(ctx context.Context, a args) ([]MachineRef, error) {
	out, err := c.run(ctx, a)
	if err != nil {
		return nil, err
	}
	return parseMachines(out), nil
}

var machineLine = regexp.MustCompile(`^"(.*)" \{([0-9a-fA-F-]{36})\}$`)

func parseMachines(s string) []MachineRef {
	var refs []MachineRef
	for line := range strings.Lines(s) {
		if m := machineLine.FindStringSubmatch(strings.TrimRight(line, "\n")); m != nil {
			refs = append(refs, MachineRef{Name: m[1], UUID: m[2]})
		}
	}
	return refs
}

// Machine reads one machine. ErrNotFound if there is none of that name or UUID, ErrInaccessible if its settings file is gone.
func (c *Client) Machine(ctx context.Context, nameOrUUID string) (Machine, error) {
	out, err := c.run(ctx, showMachineArgs(nameOrUUID))
	if err != nil {
		return Machine{}, err
	}
	m, err := parseMachine(out)
	if err != nil {
		return Machine{}, fmt.Errorf("VBoxManage showvminfo %s: %w", nameOrUUID, err)
	}
	return m, nil
}

var (
	nicKey     = regexp.MustCompile(`^nic(\d+)$`)
	forwardKey = regexp.MustCompile(`^Forwarding\(\d+\)$`)
	mediumKey  = regexp.MustCompile(`^-\d+-\d+$`)
)

// parseMachine reads the output of showvminfo --machinereadable.
func parseMachine(s string) (Machine, error) {
	properties := parseProperties(s)
	p := map[string]string{}
	for _, kv := range properties {
		p[kv.key] = kv.value
	}
	m := Machine{
		Name:       p["name"],
		UUID:       p["UUID"],
		State:      p["VMState"],
		ConfigFile: p["CfgFile"],
		LogFolder:  p["LogFldr"],
		Media:      map[string]string{},
		properties: p,
	}
	if m.Name == "" || m.UUID == "" {
		return Machine{}, errors.New("the answer has no name and UUID")
	}
	if p["groups"] != "" {
		m.Groups = strings.Split(p["groups"], ",")
	}
	if mode, file, _ := strings.Cut(p["uartmode1"], ","); mode == "file" {
		m.SerialLog = file
	}
	for key, n := range map[string]*int{"cpus": &m.CPUs, "memory": &m.MemoryMiB} {
		var err error
		if *n, err = strconv.Atoi(p[key]); err != nil {
			return Machine{}, fmt.Errorf("%s=%q is no number", key, p[key])
		}
	}
	for _, kv := range properties {
		if match := nicKey.FindStringSubmatch(kv.key); match != nil && kv.value != "none" {
			m.NICs = append(m.NICs, parseNIC(match[1], kv.value, p))
		}
		if forwardKey.MatchString(kv.key) {
			f, err := parseForward(kv.value)
			if err != nil {
				return Machine{}, fmt.Errorf("%s=%q: %w", kv.key, kv.value, err)
			}
			m.Forwards = append(m.Forwards, f)
		}
	}
	for i := 0; ; i++ {
		name, ok := p["storagecontrollername"+strconv.Itoa(i)]
		if !ok {
			break
		}
		for _, kv := range properties {
			place, ok := strings.CutPrefix(kv.key, name)
			if ok && mediumKey.MatchString(place) && kv.value != "none" && kv.value != "emptydrive" {
				m.Media[kv.key] = kv.value
			}
		}
	}
	return m, nil
}

func parseNIC(slot, kind string, p map[string]string) NIC {
	n := NIC{Kind: kind, MAC: colons(p["macaddress"+slot]), Cable: p["cableconnected"+slot] == "on"}
	n.Slot, _ = strconv.Atoi(slot) // the pattern made sure of it
	switch kind {
	case "hostonly":
		n.Network = p["hostonlyadapter"+slot]
	case "hostonlynetwork":
		n.Network = p["hostonly-network"+slot]
	case "bridged":
		n.Network = p["bridgeadapter"+slot]
	}
	return n
}

// colons writes 0800274D69BE as 08:00:27:4d:69:be.
func colons(mac string) string {
	mac = strings.ToLower(mac)
	var b strings.Builder
	for i, r := range mac {
		if i > 0 && i%2 == 0 {
			b.WriteByte(':')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// parseForward reads name,tcp,127.0.0.1,2210,,22.
func parseForward(s string) (Forward, error) {
	f := strings.Split(s, ",")
	if len(f) != 6 {
		return Forward{}, fmt.Errorf("%d fields instead of 6", len(f))
	}
	host, err := strconv.Atoi(f[3])
	if err != nil {
		return Forward{}, fmt.Errorf("host port: %w", err)
	}
	guest, err := strconv.Atoi(f[5])
	if err != nil {
		return Forward{}, fmt.Errorf("guest port: %w", err)
	}
	return Forward{Name: f[0], Proto: f[1], HostIP: f[2], HostPort: host, GuestIP: f[4], GuestPort: guest}, nil
}

// running says whether the machine has a process of its own, so that its settings cannot be changed.
func (m Machine) running() bool {
	switch m.State {
	case "poweroff", "aborted", "saved", "aborted-saved", "teleported":
		return false
	}
	return true
}

// saved says whether the machine's memory lies on disk: it can be resumed, and must be discarded before a change.
func (m Machine) saved() bool { return m.State == "saved" || m.State == "aborted-saved" }
