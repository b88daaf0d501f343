package vbox

import (
	"errors"
	"strings"
	"testing"
)

func TestKinds(t *testing.T) {
	recorded := func(file, command string) output {
		for _, a := range answers(t, file, command) {
			if a.exit != 0 || printsError(a.stderr) {
				return a
			}
		}
		t.Fatalf("%s: %q did not fail", file, command)
		return output{}
	}
	failed := func(lines ...string) output { return refuses("", lines...).output }
	for name, test := range map[string]struct {
		out     output
		message string
		code    string
		kinds   []error
	}{
		"no machine": {recorded("life.txt", "showvminfo lab-w9 --machinereadable"),
			"Could not find a registered machine named 'lab-w9'", "VBOX_E_OBJECT_NOT_FOUND", []error{ErrNotFound}},
		"settings file exists": {recorded("life.txt", "createvm --name lab-cp1 --ostype Ubuntu_64 --register --basefolder /lab/vms --groups /lab"),
			"Machine settings file '/lab/vms/lab/lab-cp1/lab-cp1.vbox' already exists", "VBOX_E_FILE_ERROR", []error{ErrAlreadyExists}},
		"rule exists": {recorded("life.txt", "modifyvm lab-cp1 --nat-pf1 ssh,tcp,127.0.0.1,2210,,22"),
			"A NAT rule of this name already exists", "NS_ERROR_INVALID_ARG", []error{ErrAlreadyExists}},
		"port taken": {recorded("odd.txt", "modifyvm w1 --nat-pf1 other,tcp,127.0.0.1,2210,,23"),
			"A NAT rule for this host port and this host IP already exists", "NS_ERROR_INVALID_ARG", []error{ErrAlreadyExists}},
		"no rule": {recorded("life.txt", "modifyvm lab-cp1 --nat-pf1 delete ssh"),
			"Code NS_ERROR_INVALID_ARG (0x80070057) - Invalid argument value (extended info not available)", "NS_ERROR_INVALID_ARG", []error{ErrNotFound}},
		"controller exists": {recorded("life.txt", "storagectl lab-cp1 --name SATA --add sata --portcount 2 --bootable on"),
			"Storage controller named 'SATA' already exists", "VBOX_E_OBJECT_IN_USE", []error{ErrAlreadyExists}},
		"disk exists": {recorded("life.txt", "createmedium disk --filename /lab/vms/cp1.vdi --diffparent /lab/base.vdi"),
			"Could not create the differencing medium storage unit '/lab/vms/cp1.vdi'.", "VBOX_E_FILE_ERROR", []error{ErrAlreadyExists}},
		"no file": {recorded("life.txt", "storageattach lab-cp1 --storagectl SATA --port 1 --device 0 --type dvddrive --medium /lab/nope.iso"),
			"Could not find file for the medium '/lab/nope.iso' (VERR_FILE_NOT_FOUND)", "VBOX_E_FILE_ERROR", []error{ErrNotFound}},
		"no snapshot": {recorded("life.txt", "snapshot lab-cp1 restore nope"),
			"Could not find a snapshot named 'nope'", "VBOX_E_OBJECT_NOT_FOUND", []error{ErrNotFound}},
		"no snapshot of that UUID": {recorded("life.txt", "snapshot lab-cp1 delete 4f16547c-a771-4dbf-97cf-95841cf0b84a"),
			"Could not find a snapshot with UUID {4f16547c-a771-4dbf-97cf-95841cf0b84a}", "NS_ERROR_FAILURE", []error{ErrNotFound}},
		"no snapshots": {recorded("life.txt", "snapshot lab-cp1 list --machinereadable"),
			"This machine does not have any snapshots", "", nil},
		"not running": {recorded("life.txt", "controlvm lab-cp1 poweroff"),
			"Machine 'lab-cp1' is not currently running.", "", []error{ErrInvalidState}},
		"children": {recorded("life.txt", "closemedium disk /lab/base.vdi"),
			"Cannot close medium '/lab/base.vdi' because it has 1 child media", "VBOX_E_OBJECT_IN_USE", []error{ErrInUse}},
		"attached": {recorded("odd.txt", "closemedium disk /lab/w1.vdi --delete"),
			"Cannot delete storage: medium '/lab/w1.vdi' is still attached to the following 1 virtual machine(s): 5c30ffcd-9f78-4301-8b83-0dcdd98f72d3",
			"VBOX_E_OBJECT_IN_USE", []error{ErrInUse}},
		"no adapter": {recorded("life.txt", "hostonlyif ipconfig vboxnet0 --ip 192.168.56.1 --netmask 255.255.255.0"),
			"The host network interface named 'vboxnet0' could not be found", "NS_ERROR_INVALID_ARG", []error{ErrNotFound}},
		"no kernel module": {recorded("life.txt", "hostonlyif create"),
			"VBoxNetAdpCtl: Error while adding new interface: failed to open /dev/vboxnetctl: No such file or directory", "NS_ERROR_FAILURE", nil},
		"no image": {recorded("odd.txt", "showmediuminfo disk /lab/bad.vdi"),
			"Could not get the storage format of the medium '/lab/bad.vdi' (VERR_NOT_SUPPORTED)", "VBOX_E_IPRT_ERROR", []error{ErrBadMedium}},
		"not saved, exit 0": {recorded("odd.txt", "discardstate w1"),
			"Cannot discard the saved state as the machine is not in the Saved or Aborted-Saved state (machine state: PoweredOff)",
			"VBOX_E_INVALID_VM_STATE", []error{ErrInvalidState}},
		"settings file gone": {recorded("odd.txt", "showvminfo 5c30ffcd-9f78-4301-8b83-0dcdd98f72d3 --machinereadable"),
			"The object functionality is limited", "E_ACCESSDENIED", []error{ErrInaccessible}},
		"empty QCOW2": {failed("Could not open the medium '/lab/a.qcow2'.", "QCow: Reading the L1 table for image '/lab/a.qcow2' failed (VERR_EOF).",
			"VD: error VERR_EOF opening image file '/lab/a.qcow2' (VERR_EOF)", "Details: code NS_ERROR_FAILURE (0x80004005), component MediumWrap"),
			"QCow: Reading the L1 table for image '/lab/a.qcow2' failed (VERR_EOF).", "NS_ERROR_FAILURE", nil},
		"shrinking": {recorded("odd.txt", "modifymedium disk /lab/base.vdi --resize 10"),
			"Shrinking is not yet supported for medium '/lab/base.vdi'", "VBOX_E_NOT_SUPPORTED", nil},
		"usage": {recorded("life.txt", "list hostonlynets"), `Unknown subcommand "hostonlynets".`, "", nil},

		// The texts that other tools retry on.
		"locked": {failed("The machine 'x' is already locked by a session (or being locked or unlocked)", "Details: code VBOX_E_INVALID_OBJECT_STATE (0x80bb0007), component MachineWrap"),
			"The machine 'x' is already locked by a session (or being locked or unlocked)", "VBOX_E_INVALID_OBJECT_STATE", []error{ErrInvalidState, errTransient}},
		"unregistered too soon": {failed("Cannot unregister the machine 'x' while it is locked", "Details: code VBOX_E_INVALID_OBJECT_STATE (0x80bb0007), component MachineWrap"),
			"Cannot unregister the machine 'x' while it is locked", "VBOX_E_INVALID_OBJECT_STATE", []error{ErrInvalidState, errTransient}},
		"not ready": {failed("The object is not ready", "Details: code E_ACCESSDENIED (0x80070005), component SessionMachine"),
			"The object is not ready", "E_ACCESSDENIED", []error{errTransient}},
		"medium locked": {failed("Medium '/x.vdi' is locked for reading by another task"),
			"Medium '/x.vdi' is locked for reading by another task", "", []error{ErrInvalidState, errTransient}},
		"service starting": {failed("Failed to create the VirtualBox object!", "Code CO_E_SERVER_EXEC_FAILURE (0x80080005) - Server execution failed (extended info not available)"),
			"Code CO_E_SERVER_EXEC_FAILURE (0x80080005) - Server execution failed (extended info not available)", "CO_E_SERVER_EXEC_FAILURE", []error{errTransient}},
		"answer dropped": {failed("Code NS_ERROR_FAILURE (0x80004005) - Operation failed (extended info not available)"),
			"Code NS_ERROR_FAILURE (0x80004005) - Operation failed (extended info not available)", "NS_ERROR_FAILURE", []error{errTransient}},
		"lock pending": {failed("The machine 't1' already has a lock request pending", "Details: code VBOX_E_INVALID_OBJECT_STATE (0x80bb0007), component MachineWrap"),
			"The machine 't1' already has a lock request pending", "VBOX_E_INVALID_OBJECT_STATE", []error{ErrInvalidState, errTransient}},
		"session lost": {failed("The session is not locked (session state: Unlocked)", "Details: code NS_ERROR_UNEXPECTED (0x8000ffff), component SessionWrap"),
			"The session is not locked (session state: Unlocked)", "NS_ERROR_UNEXPECTED", []error{errTransient}},
		"address refused": {failed("Code E_ACCESSDENIED (0x80070005) - Access denied (extended info not available)", `Context: "EnableStaticIPConfig(Bstr(pszIp).raw(), Bstr(pszNetmask).raw())" at line 252 of file VBoxManageHostonly.cpp`),
			"Code E_ACCESSDENIED (0x80070005) - Access denied (extended info not available)", "E_ACCESSDENIED", []error{ErrAccessDenied}},
		"silent": {output{exit: 126}, "it printed nothing", "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			e := newError([]string{"VBoxManage"}, args{"x"}, test.out)
			if e.Message != test.message || e.Code != test.code {
				t.Errorf("got message %q and code %q, want %q and %q", e.Message, e.Code, test.message, test.code)
			}
			for _, kind := range []error{ErrNotFound, ErrAlreadyExists, ErrInvalidState, ErrInUse, ErrAccessDenied, ErrInaccessible, ErrBadMedium, errTransient, ErrForeign} {
				want := false
				for _, k := range test.kinds {
					want = want || k == kind
				}
				if got := errors.Is(e, kind); got != want {
					t.Errorf("is %q: %v, want %v", kind, got, want)
				}
			}
		})
	}
}

func TestErrorText(t *testing.T) {
	out := answers(t, "life.txt", "modifyvm lab-cp1 --nat-pf1 ssh,tcp,127.0.0.1,2210,,22")[0]
	e := newError([]string{"VBoxManage", "modifyvm"}, args{"modifyvm"}, out)
	if want := "VBoxManage modifyvm: exit status 1: A NAT rule of this name already exists"; e.Error() != want {
		t.Errorf("got %q, want %q", e, want)
	}
	if !strings.HasPrefix(e.Context, `"AddRedirect(`) || e.Stderr != out.stderr {
		t.Errorf("context %q, stderr %q", e.Context, e.Stderr)
	}
	e.Log = "last line"
	if !strings.HasSuffix(e.Error(), "already exists\nlast line") {
		t.Errorf("got %q", e)
	}
}
