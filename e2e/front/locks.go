//go:build linux

package main

import (
	"fmt"
	"slices"
	"strings"
)

// The words in which VirtualBox refuses; testdata/locks.txt has those that could be recorded.
const (
	objectState  = "VBOX_E_INVALID_OBJECT_STATE (0x80bb0007)"
	vmState      = "VBOX_E_INVALID_VM_STATE (0x80bb0002)"
	notSupported = "VBOX_E_NOT_SUPPORTED (0x80bb0009)"
	failure      = "NS_ERROR_FAILURE (0x80004005)"
)

// refuse is a call into VirtualBox that failed.
func refuse(text, code, object, where string) *refusal {
	lines := []string{text, "Details: code " + code + ", component " + object}
	if where != "" {
		lines[1] += ", callee nsISupports"
		lines = append(lines, "Context: "+where)
	}
	return &refusal{lines, 1}
}

// locked is what whoever wants to write to a machine that runs, or is saved, is told.
func (m *machine) locked(state, where string) *refusal {
	if state == saved {
		return refuse("The machine is not mutable (state is Saved)", vmState, "SessionMachine, interface IMachine", where)
	}
	return refuse(fmt.Sprintf("The machine '%s' is already locked for a session (or being unlocked)", m.name),
		objectState, "MachineWrap, interface IMachine", where)
}

// guard refuses a call about a machine that runs or is saved, in VirtualBox's words where they are known.
func (f *front) guard(args []string) error {
	var m *machine
	var state string
	for _, a := range args[1:] {
		if m, state = f.held(a); m != nil {
			break
		}
	}
	if m == nil || state == saved && args[0] == "unregistervm" { // the saved state goes with the machine
		return nil
	}
	return m.refusal(args, state)
}

// refusal is what the call is told whose machine runs or is saved.
func (m *machine) refusal(args []string, state string) error {
	switch args[0] {
	case "modifyvm":
		return m.locked(state, `"LockMachine(a->session, LockType_Write)" at line 901 of file VBoxManageModifyVM.cpp`)
	case "storagectl":
		return m.locked(state, `"LockMachine(a->session, LockType_Write)" at line 1058 of file VBoxManageStorageController.cpp`)
	case "storageattach":
		return m.hotPlug(args, state)
	case "unregistervm":
		return refuse(fmt.Sprintf("Cannot unregister the machine '%s' while it is locked", m.name),
			objectState, "MachineWrap, interface IMachine", `"`+unregisterCall+`" at line 232 of file VBoxManageMisc.cpp`)
	}
	return notProvided(args[0], m, state)
}

const unregisterCall = "Unregister(fDeleteAll ? CleanupMode_DetachAllReturnHardDisksAndVMRemovable :" +
	"CleanupMode_DetachAllReturnHardDisksOnly, ComSafeArrayAsOutParam(aMedia))"

// alreadyStarted is what startvm is told of a running machine.
func (m *machine) alreadyStarted() *refusal {
	return refuse(fmt.Sprintf("The machine '%s' is already locked by a session (or being locked or unlocked)", m.name),
		objectState, "MachineWrap, interface IMachine",
		`"LaunchVMProcess(a->session, sessionType.raw(), ComSafeArrayAsInParam(aBstrEnv), progress.asOutParam())" at line 920 of file VBoxManageMisc.cpp`)
}

// notDiscarded is what discardstate is told of a running machine.
func (m *machine) notDiscarded(state string) *refusal {
	return m.locked(state, `"LockMachine(a->session, LockType_Write)" at line 1287 of file VBoxManageMisc.cpp`)
}

// hotPlug refuses to attach and detach: a disk cannot be changed while the machine runs, and the front changes no disc.
func (m *machine) hotPlug(args []string, state string) error {
	const file = " of file VBoxManageStorageController.cpp"
	if state == saved {
		return m.locked(state, `"LockMachine(a->session, LockType_Shared)" at line 341`+file)
	}
	value := func(name string) string {
		if i := slices.Index(args, name); i >= 0 && i+1 < len(args) {
			return args[i+1]
		}
		return ""
	}
	call := `"AttachDevice(Bstr(pszCtl).raw(), port, device, DeviceType_HardDisk, pMedium2Mount)" at line 782`
	if value("--medium") == "none" {
		call = `"DetachDevice(Bstr(pszCtl).raw(), port, device)" at line 345`
	}
	return refuse(fmt.Sprintf("The device slot %s on port %s of controller '%s' does not support hot-plugging",
		value("--device"), value("--port"), value("--storagectl")), notSupported, "SessionMachine, interface IMachine", call+file)
}

// notProvided is the front's own refusal.
func notProvided(what string, m *machine, state string) error {
	return fmt.Errorf("%s is not provided for machine %q, which is %s", what, m.name, state)
}

// invalidState is what VirtualBox says of a command that does not fit the machine's state.
func invalidState(text, does string) *refusal {
	return refuse(text, vmState, "ConsoleWrap, interface IConsole", `"`+does+`()" at line 500 of file VBoxManageControlVM.cpp`)
}

// capital writes a state as VirtualBox's sentences do: Paused.
func capital(state string) string { return strings.ToUpper(state[:1]) + state[1:] }
