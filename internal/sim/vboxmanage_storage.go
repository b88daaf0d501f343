package sim

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
)

const maxPorts = 30 // of a SATA controller

func (c *call) storageCtl(args []string) error {
	words, options, err := parseOptions(2, args, map[string]arity{"--name": takes(1), "--add": takes(1),
		"--portcount": takes(1), "--bootable": takes(1)})
	if err == nil {
		err = wantWords(words, 1)
	}
	if err != nil {
		return err
	}
	ctl, bus := controllerState{Ports: maxPorts, Bootable: true}, ""
	for _, o := range options {
		switch o.name {
		case "--name":
			ctl.Name = o.value()
		case "--add":
			bus = o.value()
		case "--portcount":
			ctl.Ports, err = strconv.Atoi(o.value())
			if err != nil || ctl.Ports < 1 {
				return plainError("Invalid argument '" + o.value() + "' to option '--portcount'")
			}
		case "--bootable":
			if o.value() != "on" && o.value() != "off" {
				return plainError("Invalid argument '" + o.value() + "' to option '--bootable'")
			}
			ctl.Bootable = o.value() == "on"
		}
	}
	if ctl.Name == "" {
		return usageError(2, "Storage controller name not specified")
	}
	if bus != "sata" {
		return usageError(2, fmt.Sprintf("SIMULATED: a storage controller of kind '%s' is not modelled", bus))
	}
	m, err := c.find(words[0], `"FindMachine(Bstr(a->argv[0]).raw(), machine.asOutParam())" at line 1060 of file VBoxManageStorageController.cpp`)
	if err != nil {
		return err
	}
	if err := c.lock(m, `"LockMachine(a->session, LockType_Write)" at line 1058 of file VBoxManageStorageController.cpp`); err != nil {
		return err
	}
	if m.controller(ctl.Name) != nil {
		return comError(codeInUse, sessionMachine, `"AddStorageController(Bstr(pszCtl).raw(), StorageBus_SATA, ctl.asOutParam())" at line 1088 of file VBoxManageStorageController.cpp`,
			fmt.Sprintf("Storage controller named '%s' already exists", ctl.Name))
	}
	if len(m.Controllers) > 0 || ctl.Ports > maxPorts {
		return comError(codeInvalidArg, "component StorageControllerWrap, interface IStorageController",
			`"AddStorageController(Bstr(pszCtl).raw(), StorageBus_SATA, ctl.asOutParam())" at line 1088 of file VBoxManageStorageController.cpp`,
			"Too many storage controllers of this type")
	}
	m.Controllers = append(slices.Clone(m.Controllers), ctl)
	return nil
}

func (h *hardware) controller(name string) *controllerState {
	for i := range h.Controllers {
		if h.Controllers[i].Name == name {
			return &h.Controllers[i]
		}
	}
	return nil
}

func (c *call) storageAttach(args []string) error {
	words, options, err := parseOptions(2, args, map[string]arity{"--storagectl": takes(1), "--port": takes(1),
		"--device": takes(1), "--type": takes(1), "--medium": takes(1), "--mtype": takes(1)})
	if err == nil {
		err = wantWords(words, 1)
	}
	if err != nil {
		return err
	}
	o := map[string]string{"--device": "0"}
	for _, option := range options {
		o[option.name] = option.value()
	}
	m, err := c.find(words[0], `"FindMachine(Bstr(a->argv[0]).raw(), machine.asOutParam())" at line 290 of file VBoxManageStorageController.cpp`)
	if err != nil {
		return err
	}
	if m.State == "saved" {
		return c.lock(m, `"LockMachine(a->session, LockType_Shared)" at line 341 of file VBoxManageStorageController.cpp`)
	}
	ctl := m.controller(o["--storagectl"])
	if ctl == nil {
		return plainError(fmt.Sprintf("Could not find a controller named '%s'", o["--storagectl"]))
	}
	port, err := strconv.Atoi(o["--port"])
	at := slices.IndexFunc(ctl.Attached, func(a attachmentState) bool { return a.Port == port })
	if err == nil && o["--medium"] == "none" {
		return c.detach(m, ctl, at, port)
	}
	if err != nil || port < 0 || port >= ctl.Ports || o["--device"] != "0" {
		return comError(codeInvalidArg, sessionMachine, `"AttachDevice(Bstr(pszCtl).raw(), port, device, DeviceType_HardDisk, pMedium2Mount)" at line 782 of file VBoxManageStorageController.cpp`,
			fmt.Sprintf("The port and/or device parameter are out of range: port=%s (must be in range [0, %d]), device=%s (must be in range [0, 0])",
				o["--port"], ctl.Ports-1, o["--device"]))
	}
	// VirtualBox's own way to keep a base image out of reach, which it refuses for a medium without a machine.
	if o["--mtype"] != "" {
		return comError(codeObjectState, mediumWrap, `"COMSETTER(Type)(enmMediumType)" at line 718 of file VBoxManageStorageController.cpp`,
			fmt.Sprintf("Cannot change type for medium '%s': the media type 'MultiAttach' can only be used on media registered with a machine that was created with VirtualBox 4.0 or later", o["--medium"])).
			add("Failed to set the medium type")
	}
	return c.attach(m, ctl, at, port, o["--type"], o["--medium"])
}

// hotPlug refuses what a running machine's SATA controller cannot do.
func (c *call) hotPlug(m *machineState, ctl *controllerState) error {
	if m.State == "poweroff" {
		return nil
	}
	return comError(codeVMState, sessionMachine, `"DetachDevice(Bstr(pszCtl).raw(), port, device)" at line 345 of file VBoxManageStorageController.cpp`,
		fmt.Sprintf("Controller '%s' does not support hot-plugging", ctl.Name))
}

func (c *call) detach(m *machineState, ctl *controllerState, at, port int) error {
	if at < 0 {
		return comError(codeNotFound, sessionMachine, `"DetachDevice(Bstr(pszCtl).raw(), port, device)" at line 345 of file VBoxManageStorageController.cpp`,
			fmt.Sprintf("No storage device attached to device slot 0 on port %d of controller '%s'", port, ctl.Name))
	}
	if err := c.hotPlug(m, ctl); err != nil {
		return err
	}
	ctl.Attached = slices.Delete(ctl.Attached, at, at+1)
	return nil
}

func (c *call) attach(m *machineState, ctl *controllerState, at, port int, kind, medium string) error {
	a := attachmentState{Port: port, Kind: kind}
	switch kind {
	case "hdd":
		a.Medium = "disk"
	case "dvddrive":
		a.Medium = "dvd"
	default:
		return plainError(fmt.Sprintf("Invalid --type argument '%s'", kind))
	}
	replacesDisc := at >= 0 && ctl.Attached[at].Kind == "dvddrive" && kind == "dvddrive"
	if !replacesDisc {
		if err := c.hotPlug(m, ctl); err != nil {
			return err
		}
	}
	if kind == "dvddrive" && medium == "emptydrive" {
		a.Medium = ""
	} else {
		found, err := c.open(a.Medium, medium)
		if err != nil {
			return err.add(fmt.Sprintf("Invalid UUID or filename %q", medium))
		}
		if err := c.attachable(m, ctl, found, at); err != nil {
			return err
		}
		a.Medium, a.Path = found.UUID, found.Path
	}
	if at >= 0 {
		ctl.Attached[at] = a
		return nil
	}
	ctl.Attached = append(ctl.Attached, a)
	slices.SortFunc(ctl.Attached, func(a, b attachmentState) int { return cmp.Compare(a.Port, b.Port) })
	return nil
}

// attachable refuses a disk that the machine already has in another place. Another machine may have it too: VirtualBox
// minds that when they start.
func (c *call) attachable(m *machineState, ctl *controllerState, medium *mediumState, at int) error {
	if medium.Kind != "disk" || at >= 0 && ctl.Attached[at].Medium == medium.UUID {
		return nil
	}
	if slices.Contains(c.state.users(medium.UUID), m) {
		return comError(codeInUse, sessionMachine, `"AttachDevice(Bstr(pszCtl).raw(), port, device, DeviceType_HardDisk, pMedium2Mount)" at line 782 of file VBoxManageStorageController.cpp`,
			fmt.Sprintf("Medium '%s' is already attached to this virtual machine", medium.Path))
	}
	if c.state.children(medium.UUID) > 0 {
		return plainError(fmt.Sprintf("SIMULATED: attaching '%s', which has linked disks, is not modelled", medium.Path))
	}
	return nil
}
