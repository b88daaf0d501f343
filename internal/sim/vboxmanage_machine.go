package sim

import (
	"crypto/rand"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// osTypes are the guest OS types that the model knows, with their descriptions.
func osTypes() map[string]string {
	return map[string]string{
		"Debian_64":       "Debian (64-bit)",
		"Debian11_64":     "Debian 11 Bullseye (64-bit)",
		"Debian12_64":     "Debian 12 Bookworm (64-bit)",
		"Linux_64":        "Other Linux (64-bit)",
		"Ubuntu_64":       "Ubuntu (64-bit)",
		"Ubuntu20_LTS_64": "Ubuntu 20.04 LTS (Focal Fossa) (64-bit)",
		"Ubuntu22_LTS_64": "Ubuntu 22.04 LTS (Jammy Jellyfish) (64-bit)",
		"Ubuntu24_LTS_64": "Ubuntu 24.04 LTS (Noble Numbat) (64-bit)",
	}
}

// newUUID makes a random (version 4) UUID.
func newUUID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// newMAC makes an address of VirtualBox's range.
func newMAC() string {
	var b [3]byte
	rand.Read(b[:])
	return fmt.Sprintf("08:00:27:%02x:%02x:%02x", b[0], b[1], b[2])
}

// find looks a machine up; where is VBoxManage's place of the call.
func (c *call) find(id, where string) (*machineState, error) {
	if m := c.state.machine(id); m != nil {
		return m, nil
	}
	return nil, comError(codeNotFound, virtualBoxWrap, where, fmt.Sprintf("Could not find a registered machine named '%s'", id))
}

func (c *call) createVM(args []string) error {
	words, options, err := parseOptions(2, args, map[string]arity{"--name": takes(1), "--ostype": takes(1),
		"--register": takes(0), "--basefolder": takes(1), "--groups": takes(1)})
	if err == nil {
		err = wantWords(words, 0)
	}
	if err != nil {
		return err
	}
	m := machineState{UUID: newUUID(), OSType: "Other_64", Groups: "/", State: "poweroff", ChangedAt: c.now,
		hardware: hardware{Memory: 1024, CPUs: 1}}
	base, register := filepath.Join(c.dir, "VirtualBox VMs"), false
	for _, o := range options {
		switch o.name {
		case "--name":
			m.Name = o.value()
		case "--ostype":
			m.OSType = o.value()
		case "--basefolder":
			base = o.value()
		case "--groups":
			m.Groups = o.value()
		case "--register":
			register = true
		}
	}
	const name = `"ComposeMachineFilename(bstrName.raw(), bstrPrimaryGroup.raw(), createFlags.raw(), bstrBaseFolder.raw(), bstrSettingsFile.asOutParam())" at line 402 of file VBoxManageMisc.cpp`
	const where = `"CreateMachine(bstrSettingsFile.raw(), bstrName.raw(), platformArch, ComSafeArrayAsInParam(groups), bstrOsTypeId.raw(), createFlags.raw(), bstrCipher.raw(), bstrPasswordId.raw(), Bstr(strPassword).raw(), machine.asOutParam())" at line 429 of file VBoxManageMisc.cpp`
	switch {
	case m.Name == "":
		return usageError(2, "Parameter --name is required")
	case !register:
		return usageError(2, "SIMULATED: createvm without --register is not modelled")
	case osTypes()[m.OSType] == "":
		return plainError("Unknown or invalid guest OS type given.")
	case !strings.HasPrefix(m.Groups, "/") || m.Groups != "/" && strings.HasSuffix(m.Groups, "/"):
		return comError(codeInvalidArg, virtualBoxWrap, name, fmt.Sprintf("Invalid machine group '%s'", m.Groups))
	case strings.ContainsAny(m.Name, "/\\"):
		return usageError(2, fmt.Sprintf("SIMULATED: the machine name '%s', which becomes another folder name, is not modelled", m.Name))
	}
	for i := range m.NICs {
		m.NICs[i] = nicState{Kind: "none", MAC: newMAC(), Cable: true, Type: "82540EM"}
	}
	m.NICs[0].Kind = "nat"
	m.ConfigFile = filepath.Join(base, m.Groups, m.Name, m.Name+".vbox")
	if exists(m.ConfigFile) {
		return comError(codeFile, machineWrap, where, fmt.Sprintf("Machine settings file '%s' already exists", m.ConfigFile))
	}
	c.state.Machines = append(c.state.Machines, m)
	c.state.write(m.ConfigFile, fmt.Appendf(nil, "<?xml version=\"1.0\"?>\n<!-- SIMULATED: machine %s, kept in virtualbox.json -->\n", m.UUID))
	c.printf("Virtual machine '%s' is created and registered.\nUUID: %s\nSettings file: '%s'\n", m.Name, m.UUID, m.ConfigFile)
	return nil
}

// lock is the write lock that changes of a machine need.
func (c *call) lock(m *machineState, where string) error {
	switch m.State {
	case "poweroff":
		return nil
	case "saved":
		return comError(codeVMState, sessionMachine, where, "The machine is not mutable (state is Saved)")
	}
	return comError(codeObjectState, machineWrap, where,
		fmt.Sprintf("The machine '%s' is already locked for a session (or being unlocked)", m.Name))
}

func (c *call) unregisterVM(args []string) error {
	words, options, err := parseOptions(2, args, map[string]arity{"--delete": takes(0)})
	if err == nil {
		err = wantWords(words, 1)
	}
	if err != nil {
		return err
	}
	m, err := c.find(words[0], `"FindMachine(Bstr(VMName).raw(), machine.asOutParam())" at line 228 of file VBoxManageMisc.cpp`)
	if err != nil {
		return err
	}
	if m.State != "poweroff" && m.State != "saved" {
		return comError(codeObjectState, machineWrap,
			`"Unregister(fDeleteAll ? CleanupMode_DetachAllReturnHardDisksAndVMRemovable :CleanupMode_DetachAllReturnHardDisksOnly, ComSafeArrayAsOutParam(aMedia))" at line 232 of file VBoxManageMisc.cpp`,
			fmt.Sprintf("Cannot unregister the machine '%s' while it is locked", m.Name))
	}
	name, folder := m.Name, m.folder()
	config, snapshots := m.ConfigFile, filepath.Join(folder, "Snapshots")
	disks := m.disks()
	c.state.Machines = slices.DeleteFunc(c.state.Machines, func(o machineState) bool { return o.Name == name && o.ConfigFile == config })
	c.state.releaseDisks(c.dir, disks, len(options) > 0)
	if len(options) > 0 {
		for _, path := range []string{config, snapshots, filepath.Join(folder, "Logs")} {
			c.state.remove(path)
		}
		c.state.Pending = append(c.state.Pending, fileChange{Path: folder, RemoveEmpty: true})
		c.showProgress()
	}
	return nil
}

// disks are the hard disks that the machine and its snapshots hold.
func (m *machineState) disks() []string {
	var uuids []string
	collect := func(h hardware) {
		for _, ctl := range h.Controllers {
			for _, a := range ctl.Attached {
				if a.Kind == "hdd" && !slices.Contains(uuids, a.Medium) {
					uuids = append(uuids, a.Medium)
				}
			}
		}
	}
	collect(m.hardware)
	// Children before their parents: the newest snapshot is the deepest.
	for _, s := range slices.Backward(m.Snapshots) {
		collect(s.Hardware)
	}
	return uuids
}

// releaseDisks closes the disks of an unregistered machine and, of each, every parent that is left without a child. This
// is VirtualBox's trap: the last machine with a linked disk takes the base image along, and with deletion its file.
func (s *vboxState) releaseDisks(dir string, uuids []string, deletion bool) {
	for _, uuid := range uuids {
		for m := s.medium(uuid); m != nil && s.children(m.UUID) == 0 && len(s.users(m.UUID)) == 0; {
			parent := m.Parent
			s.dropMedium(dir, m.UUID, deletion)
			m = nil
			if parent != "" {
				m = s.medium(parent)
			}
		}
	}
}

func (c *call) startVM(args []string) error {
	words, options, err := parseOptions(2, args, map[string]arity{"--type": takes(1)})
	if err == nil {
		err = wantWords(words, 1)
	}
	if err != nil {
		return err
	}
	if len(options) != 1 || options[0].value() != "headless" {
		return usageError(2, "SIMULATED: startvm without --type headless is not modelled")
	}
	m, err := c.find(words[0], `"FindMachine(Bstr(pszVM).raw(), machine.asOutParam())" at line 864 of file VBoxManageMisc.cpp`)
	if err != nil {
		return err
	}
	if m.State != "poweroff" && m.State != "saved" {
		return comError(codeObjectState, machineWrap,
			`"LaunchVMProcess(a->session, sessionType.raw(), ComSafeArrayAsInParam(aBstrEnv), progress.asOutParam())" at line 920 of file VBoxManageMisc.cpp`,
			fmt.Sprintf("The machine '%s' is already locked by a session (or being locked or unlocked)", m.Name))
	}
	c.printf("Waiting for VM %q to power on...\n", m.Name)
	log := filepath.Join(m.folder(), "Logs", "VBox.log")
	if err := c.powerUp(m); err != nil {
		// The real program leaves its reasons in the log although the start failed.
		c.keep = true
		c.state.write(log, fmt.Appendf(nil, "%s SIMULATED VirtualBox\n%s", c.now.Format("15:04:05.000000"), err.Error()))
		return err
	}
	m.enter("running", c.now)
	m.StartedAt = c.now
	c.state.write(log, fmt.Appendf(nil, "%s SIMULATED VirtualBox\nChanging the VM state from 'POWERING_ON' to 'RUNNING'\n", c.now.Format("15:04:05.000000")))
	c.printf("VM %q has been successfully started.\n", m.Name)
	return nil
}

// powerUp does what can fail before a machine runs: its networks and the files of its media must be there.
func (c *call) powerUp(m *machineState) error {
	refuse := func(code, object, text string) *failure {
		return plainError(text).add("Details: code " + code + ", " + object)
	}
	for _, nic := range m.NICs {
		if nic.Kind != "hostonly" {
			continue
		}
		adapter := c.state.hostOnly(nic.Network)
		if adapter == nil {
			return refuse(codeFailure, consoleWrap, fmt.Sprintf("Nonexistent host networking interface, name '%s' (VERR_INTERNAL_ERROR)", nic.Network))
		}
		adapter.Up = true
	}
	for _, ctl := range m.Controllers {
		for _, a := range ctl.Attached {
			if gone := c.missing(c.state.medium(a.Medium)); gone != "" {
				return refuse(codeFailure, mediumWrap, notFound(gone))
			}
			if a.Kind == "hdd" && c.inRunningMachine(a.Medium) {
				return refuse(codeObjectState, sessionMachine, "Locking of attached media failed. A possible reason is that one of the media is attached to a running VM")
			}
		}
	}
	return nil
}

func (c *call) controlVM(args []string) error {
	if len(args) < 2 {
		return usageError(2, "Not enough parameters")
	}
	m, err := c.find(args[0], `"FindMachine(Bstr(a->argv[0]).raw(), machine.asOutParam())" at line 441 of file VBoxManageControlVM.cpp`)
	if err != nil {
		return err
	}
	if m.State != "running" && m.State != "paused" {
		return plainError(fmt.Sprintf("Machine '%s' is not currently running.", m.Name))
	}
	verb, rest := args[1], args[2:]
	if link, ok := strings.CutPrefix(verb, "setlinkstate"); ok {
		n, err := strconv.Atoi(link)
		if err != nil || n < 1 || n > len(m.NICs) || len(rest) != 1 || rest[0] != "on" && rest[0] != "off" {
			return usageError(2, fmt.Sprintf("Invalid link state in '%s'", strings.Join(args[1:], " ")))
		}
		m.NICs[n-1].Cable = rest[0] == "on"
		return nil
	}
	if err := wantWords(rest, 0); err != nil {
		return err
	}
	invalidState := func(does string) error {
		word := strings.ToUpper(m.State[:1]) + m.State[1:]
		return comError(codeVMState, consoleWrap, `"`+does+`()" at line 500 of file VBoxManageControlVM.cpp`, "Invalid machine state: "+word)
	}
	switch verb {
	case "poweroff":
		m.enter("poweroff", c.now)
		c.showProgress()
	case "savestate":
		m.enter("saved", c.now)
		c.showProgress()
	case "acpipowerbutton":
		if m.State != "running" {
			return invalidState("PowerButton")
		}
		if m.StopsAt.IsZero() {
			m.StopsAt = c.now.Add(acpiDelay)
		}
	case "reset":
		if m.State != "running" {
			return invalidState("Reset")
		}
		m.StartedAt = c.now
	case "pause":
		if m.State != "running" {
			return invalidState("Pause")
		}
		m.enter("paused", c.now)
	case "resume":
		if m.State != "paused" {
			return invalidState("Resume")
		}
		m.enter("running", c.now)
	default:
		return usageError(2, fmt.Sprintf("Invalid parameter '%s'", verb))
	}
	return nil
}

func (c *call) discardState(args []string) error {
	if err := wantWords(args, 1); err != nil {
		return err
	}
	m, err := c.find(args[0], `"FindMachine(Bstr(a->argv[0]).raw(), machine.asOutParam())" at line 1010 of file VBoxManageMisc.cpp`)
	if err != nil {
		return err
	}
	if m.State != "poweroff" && m.State != "saved" {
		return c.lock(m, `"LockMachine(a->session, LockType_Write)" at line 1287 of file VBoxManageMisc.cpp`)
	}
	if m.State != "saved" {
		const state = "PoweredOff"
		f := comError(codeVMState, sessionMachine, `"DiscardSavedState(true )" at line 1292 of file VBoxManageMisc.cpp`,
			"Cannot discard the saved state as the machine is not in the Saved or Aborted-Saved state (machine state: "+state+")")
		f.exit = 0 // as the real one
		return f
	}
	m.enter("poweroff", c.now)
	return nil
}

// extraData returns the map of "global" or of a machine.
func (c *call) extraData(target, where string) (*map[string]string, error) {
	if target == "global" {
		return &c.state.ExtraData, nil
	}
	m, err := c.find(target, where)
	if err != nil {
		return nil, err
	}
	return &m.ExtraData, nil
}

func (c *call) setExtraData(args []string) error {
	if len(args) < 2 {
		return usageError(2, "Not enough parameters")
	}
	if len(args) > 3 {
		return usageError(2, "Too many parameters")
	}
	data, err := c.extraData(args[0], `"FindMachine(Bstr(a->argv[0]).raw(), machine.asOutParam())" at line 1148 of file VBoxManageMisc.cpp`)
	if err != nil {
		return err
	}
	if len(args) == 2 || args[2] == "" {
		delete(*data, args[1])
		return nil
	}
	if *data == nil {
		*data = map[string]string{}
	}
	(*data)[args[1]] = args[2]
	return nil
}

func (c *call) getExtraData(args []string) error {
	if err := wantWords(args, 2); err != nil {
		return err
	}
	data, err := c.extraData(args[0], `"FindMachine(Bstr(a->argv[0]).raw(), machine.asOutParam())" at line 1075 of file VBoxManageMisc.cpp`)
	if err != nil {
		return err
	}
	if args[1] == "enumerate" {
		for _, key := range slices.Sorted(maps.Keys(*data)) {
			c.printf("Key: %s, Value: %s\n", key, (*data)[key])
		}
		return nil
	}
	if value, ok := (*data)[args[1]]; ok {
		c.printf("Value: %s\n", value)
	} else {
		c.printf("No value set!\n")
	}
	return nil
}
