package sim

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

func (c *call) snapshot(args []string) error {
	if len(args) < 2 {
		return usageError(2, "Not enough parameters")
	}
	m, err := c.find(args[0], `"FindMachine(bstrMachine.raw(), pMachine.asOutParam())" at line 365 of file VBoxManageSnapshot.cpp`)
	if err != nil {
		return err
	}
	switch rest := args[2:]; args[1] {
	case "list":
		return c.listSnapshots(m, rest)
	case "take":
		return c.takeSnapshot(m, rest)
	case "restore":
		return c.restoreSnapshot(m, rest)
	case "delete":
		return c.deleteSnapshot(m, rest)
	}
	return usageError(2, fmt.Sprintf("Invalid parameter '%s'", args[1]))
}

func (c *call) listSnapshots(m *machineState, args []string) error {
	words, options, err := parseOptions(2, args, map[string]arity{"--machinereadable": takes(0)})
	if err == nil {
		err = wantWords(words, 0)
	}
	if err != nil {
		return err
	}
	if len(options) == 0 {
		return usageError(2, "SIMULATED: snapshot list without --machinereadable is not modelled")
	}
	if len(m.Snapshots) == 0 {
		c.printf("This machine does not have any snapshots\n")
		return &failure{exit: 1}
	}
	c.showSnapshots(m)
	return nil
}

// showSnapshots prints the tree depth first; a child's key is its parent's with its own number behind.
func (c *call) showSnapshots(m *machineState) {
	var show func(parent, suffix string)
	show = func(parent, suffix string) {
		number := 0
		for _, s := range m.Snapshots {
			if s.Parent != parent {
				continue
			}
			at := suffix
			if parent != "" {
				number++
				at = fmt.Sprintf("%s-%d", suffix, number)
			}
			c.printf("SnapshotName%s=%q\nSnapshotUUID%s=%q\n", at, s.Name, at, s.UUID)
			if s.Description != "" {
				c.printf("SnapshotDescription%s=%q\n", at, s.Description)
			}
			if s.UUID == m.Current {
				c.printf("CurrentSnapshotName=%q\nCurrentSnapshotUUID=%q\nCurrentSnapshotNode=\"SnapshotName%s\"\n", s.Name, s.UUID, at)
			}
			show(s.UUID, at)
		}
	}
	show("", "")
}

var uuidWord = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

func (m *machineState) findSnapshot(id string) (int, error) {
	at := slices.IndexFunc(m.Snapshots, func(s snapshotState) bool { return s.Name == id || s.UUID == id })
	if at < 0 {
		code, text := codeNotFound, fmt.Sprintf("Could not find a snapshot named '%s'", id)
		switch {
		case len(m.Snapshots) == 0:
			text = "This machine does not have any snapshots"
		case uuidWord.MatchString(id):
			code, text = codeFailure, fmt.Sprintf("Could not find a snapshot with UUID {%s}", id)
		}
		return at, comError(code, sessionMachine,
			`"FindSnapshot(Bstr(a->argv[2]).raw(), pSnapshot.asOutParam())" at line 537 of file VBoxManageSnapshot.cpp`, text)
	}
	return at, nil
}

func (c *call) takeSnapshot(m *machineState, args []string) error {
	words, options, err := parseOptions(2, args, map[string]arity{"--description": takes(1), "--live": takes(0)})
	if err == nil {
		err = wantWords(words, 1)
	}
	if err != nil {
		return err
	}
	s := snapshotState{UUID: newUUID(), Name: words[0], Parent: m.Current, Online: m.State != "poweroff", TakenAt: c.now, Hardware: m.hardware.clone()}
	for _, o := range options {
		if o.name == "--description" {
			s.Description = o.value()
		}
	}
	if err := c.branch(m, "Failed to take snapshot"); err != nil {
		return err
	}
	m.Snapshots = append(m.Snapshots, s)
	m.Current = s.UUID
	c.printf("Snapshot taken. UUID: %s\n", s.UUID)
	c.showProgress()
	return nil
}

// branch puts a new differencing disk on top of each of the machine's disks. The guest goes on from a copy of its files.
// what names the operation that needs it.
func (c *call) branch(m *machineState, what string) error {
	for i := range m.Controllers {
		for j := range m.Controllers[i].Attached {
			a := &m.Controllers[i].Attached[j]
			parent := c.state.medium(a.Medium)
			if a.Kind != "hdd" || parent == nil {
				continue
			}
			if gone := c.missing(parent); gone != "" {
				return progressError(codeFile, mediumWrap, `"RTEXITCODE handleSnapshot(HandlerArg*)" at line 492 of file VBoxManageSnapshot.cpp`, what,
					fmt.Sprintf("Could not open the medium storage unit '%[1]s'.\nVD: error VERR_FILE_NOT_FOUND opening image file '%[1]s' (VERR_FILE_NOT_FOUND)", gone))
			}
			child := mediumState{UUID: newUUID(), Parent: parent.UUID, Kind: "disk", Format: parent.Format, Capacity: parent.Capacity}
			child.Path = filepath.Join(m.folder(), "Snapshots", "{"+child.UUID+"}.vdi")
			if err := copyGuest(c.dir, parent.UUID, child.UUID); err != nil {
				return err
			}
			c.state.Media = append(c.state.Media, child)
			c.state.write(child.Path, vdiImage(child))
			a.Medium, a.Path = child.UUID, child.Path
		}
	}
	return nil
}

func (c *call) restoreSnapshot(m *machineState, args []string) error {
	if err := wantWords(args, 1); err != nil {
		return err
	}
	if m.State == "running" || m.State == "paused" {
		// The lock is shared with the machine's own process: it is the restore itself that is refused.
		return comError(codeVMState, sessionMachine, `"RestoreSnapshot(pSnapshot, pProgress.asOutParam())" at line 541 of file VBoxManageSnapshot.cpp`,
			"Cannot delete the current state of the running machine (machine state: "+strings.ToUpper(m.State[:1])+m.State[1:]+")")
	}
	at, err := m.findSnapshot(args[0])
	if err != nil {
		return err
	}
	s := m.Snapshots[at]
	c.printf("Restoring snapshot '%s' (%s)\n", s.Name, s.UUID)
	old := m.hardware
	m.hardware = s.Hardware.clone()
	for _, ctl := range old.Controllers {
		for _, a := range ctl.Attached {
			// What the machine wrote since its last snapshot is lost; a disk that a snapshot holds is not its own.
			if a.Kind == "hdd" && len(c.state.users(a.Medium)) == 0 {
				if medium := c.state.medium(a.Medium); medium != nil {
					c.state.dropMedium(c.dir, medium.UUID, true)
				}
			}
		}
	}
	for _, ctl := range m.Controllers {
		for _, a := range ctl.Attached {
			if a.Kind == "hdd" && c.state.medium(a.Medium) == nil {
				return comError(codeNotFound, sessionMachine, `"RestoreSnapshot(pSnapshot, pProgress.asOutParam())" at line 541 of file VBoxManageSnapshot.cpp`,
					fmt.Sprintf("Could not find an open hard disk with UUID {%s}", a.Medium))
			}
		}
	}
	if err := c.branch(m, "Snapshot operation failed"); err != nil {
		return err
	}
	m.Current = s.UUID
	state := "poweroff"
	if s.Online {
		state = "saved"
	}
	m.enter(state, c.now)
	c.showProgress()
	return nil
}

func (c *call) deleteSnapshot(m *machineState, args []string) error {
	if err := wantWords(args, 1); err != nil {
		return err
	}
	at, err := m.findSnapshot(args[0])
	if err != nil {
		return err
	}
	s := m.Snapshots[at]
	const where = `"DeleteSnapshot(bstrSnapGuid.raw(), pProgress.asOutParam())" at line 554 of file VBoxManageSnapshot.cpp`
	children := 0
	for _, o := range m.Snapshots {
		if o.Parent == s.UUID {
			children++
		}
	}
	c.printf("Deleting snapshot '%s' (%s)\n", s.Name, s.UUID)
	cannot := ""
	switch {
	case children > 1:
		cannot = fmt.Sprintf("it has %d child snapshots, which is more than the one snapshot allowed for deletion", children)
	case children == 1 && m.Current == s.UUID:
		cannot = "it is the current snapshot and has one child snapshot"
	}
	if cannot != "" {
		return comError(codeObjectState, sessionMachine, where,
			fmt.Sprintf("Snapshot '%s' of the machine '%s' cannot be deleted, because %s", s.Name, m.Name, cannot))
	}
	for _, ctl := range s.Hardware.Controllers {
		for _, a := range ctl.Attached {
			if a.Kind != "hdd" {
				continue
			}
			if err := c.merge(a.Medium, where); err != nil {
				return err
			}
		}
	}
	m.Snapshots = slices.Delete(slices.Clone(m.Snapshots), at, at+1)
	for i := range m.Snapshots {
		if m.Snapshots[i].Parent == s.UUID {
			m.Snapshots[i].Parent = s.Parent
		}
	}
	if m.Current == s.UUID {
		m.Current = s.Parent
	}
	c.showProgress()
	return nil
}

// merge removes a snapshot's disk. One without a child goes; one with a child is merged into that, which so gets a
// new parent. (The real VirtualBox merges the smaller file into the larger one. Here they are all the same size, which means
// to the real one what is done here: the machine's disk stays where it is, and its first linked disk goes at last.)
func (c *call) merge(uuid, where string) error {
	medium := c.state.medium(uuid)
	if medium == nil {
		return nil
	}
	switch children := c.state.children(uuid); children {
	case 0:
	case 1:
		child := c.state.childOf(uuid)
		child.Parent = medium.Parent
		c.state.write(child.Path, vdiImage(*child))
	default:
		return comError(codeObjectState, sessionMachine, where,
			fmt.Sprintf("Hard disk '%s' has more than one child hard disk (%d)", medium.Path, children))
	}
	c.state.dropMedium(c.dir, uuid, true)
	return nil
}

// clone is a copy that shares nothing.
func (h hardware) clone() hardware {
	data, err := json.Marshal(h)
	if err != nil {
		panic(err) // plain data always has a JSON form
	}
	var out hardware
	if err := json.Unmarshal(data, &out); err != nil {
		panic(err)
	}
	return out
}
