package vbox

import (
	"net/netip"
	"strconv"
)

// args is one call of VBoxManage, without the program. Every call that this package makes is written as a literal of
// this type that starts with its sub-command: the conformance test finds them by that, and fails for one that has
// neither been tried on a real VBoxManage nor is excused by name.
type args []string

// controller is the name of the storage controller; the disk is on its port 0, the seed on port 1.
const controller = "SATA"

func versionArgs() args         { return args{"--version"} }
func listMachinesArgs() args    { return args{"list", "vms"} }
func listRunningArgs() args     { return args{"list", "runningvms"} }
func listDisksArgs() args       { return args{"list", "hdds"} }
func listDVDsArgs() args        { return args{"list", "dvds"} }
func listHostOnlyIfArgs() args  { return args{"list", "hostonlyifs"} }
func listHostOnlyNetArgs() args { return args{"list", "hostonlynets"} }

func showMachineArgs(id string) args { return args{"showvminfo", id, "--machinereadable"} }

func createMachineArgs(s MachineSpec) args {
	return args{
		"createvm", "--name", s.Name, "--ostype", s.OSType, "--register",
		"--basefolder", s.BaseFolder, "--groups", s.Group,
	}
}

// modifyArgs takes the flags of changed settings; see settings.go.
func modifyArgs(id string, flags []string) args { return append(args{"modifyvm", id}, flags...) }

func addForwardArgs(id string, nic int, f Forward) args {
	rule := f.Name + "," + f.Proto + "," + f.HostIP + "," + strconv.Itoa(f.HostPort) + "," + f.GuestIP + "," + strconv.Itoa(f.GuestPort)
	return args{"modifyvm", id, "--nat-pf" + strconv.Itoa(nic), rule}
}

func deleteForwardArgs(id string, nic int, name string) args {
	return args{"modifyvm", id, "--nat-pf" + strconv.Itoa(nic), "delete", name}
}

func unregisterArgs(id string) args { return args{"unregistervm", id, "--delete"} }

// forgetArgs takes a machine out of the registry and leaves its files alone.
func forgetArgs(id string) args { return args{"unregistervm", id} }

func addControllerArgs(id string) args {
	return args{"storagectl", id, "--name", controller, "--add", "sata", "--portcount", "2", "--bootable", "on"}
}

func attachDiskArgs(id, path string) args {
	return args{"storageattach", id, "--storagectl", controller, "--port", "0", "--device", "0", "--type", "hdd", "--medium", path}
}

func attachDVDArgs(id, path string) args {
	return args{"storageattach", id, "--storagectl", controller, "--port", "1", "--device", "0", "--type", "dvddrive", "--medium", path}
}

// detachArgs takes a medium out of the machine. The DVD drive goes with its disc.
func detachArgs(id, controller, port, device string) args {
	return args{"storageattach", id, "--storagectl", controller, "--port", port, "--device", device, "--medium", "none"}
}

// createLinkedDiskArgs makes an empty disk that reads through to base where nothing was written.
func createLinkedDiskArgs(path, base string) args {
	return args{"createmedium", "disk", "--filename", path, "--diffparent", base}
}

func showDiskArgs(path string) args { return args{"showmediuminfo", "disk", path} }
func showDVDArgs(path string) args  { return args{"showmediuminfo", "dvd", path} }

func closeDiskArgs(path string) args  { return args{"closemedium", "disk", path} }
func deleteDiskArgs(path string) args { return args{"closemedium", "disk", path, "--delete"} }
func closeDVDArgs(path string) args   { return args{"closemedium", "dvd", path} }

// convertRawArgs and cloneDiskArgs both write a VDI that grows with its contents.
func convertRawArgs(source, target string) args {
	return args{"convertfromraw", source, target, "--format", "VDI"}
}

func cloneDiskArgs(source, target string) args {
	return args{"clonemedium", "disk", source, target, "--format", "VDI"}
}

// setDiskUUIDArgs gives the image in a file a new UUID.
func setDiskUUIDArgs(path string) args { return args{"internalcommands", "sethduuid", path} }

// resizeDiskArgs takes MiB, which VirtualBox calls MB.
func resizeDiskArgs(path string, sizeMiB int) args {
	return args{"modifymedium", "disk", path, "--resize", strconv.Itoa(sizeMiB)}
}

func getExtraDataArgs(target, key string) args { return args{"getextradata", target, key} }
func setExtraDataArgs(target, key, value string) args {
	return args{"setextradata", target, key, value}
}
func deleteExtraDataArgs(target, key string) args { return args{"setextradata", target, key} }

func startArgs(id string) args        { return args{"startvm", id, "--type", "headless"} }
func resumeArgs(id string) args       { return args{"controlvm", id, "resume"} }
func powerButtonArgs(id string) args  { return args{"controlvm", id, "acpipowerbutton"} }
func powerOffArgs(id string) args     { return args{"controlvm", id, "poweroff"} }
func discardStateArgs(id string) args { return args{"discardstate", id} }

// linkArgs plugs the cable of a NIC of a running machine in or out; cableArgs does it while the machine is off.
func linkArgs(id string, slot int, on bool) args {
	return args{"controlvm", id, "setlinkstate" + strconv.Itoa(slot), onOff(on)}
}

func cableArgs(id string, slot int, on bool) args {
	return args{"modifyvm", id, "--cable-connected" + strconv.Itoa(slot), onOff(on)}
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}

func listSnapshotsArgs(id string) args { return args{"snapshot", id, "list", "--machinereadable"} }
func takeSnapshotArgs(id, name, description string) args {
	return args{"snapshot", id, "take", name, "--description", description}
}
func restoreSnapshotArgs(id, name string) args { return args{"snapshot", id, "restore", name} }
func deleteSnapshotArgs(id, name string) args  { return args{"snapshot", id, "delete", name} }

func createHostOnlyIfArgs() args            { return args{"hostonlyif", "create"} }
func removeHostOnlyIfArgs(name string) args { return args{"hostonlyif", "remove", name} }
func addressHostOnlyIfArgs(name string, host netip.Prefix) args {
	return args{"hostonlyif", "ipconfig", name, "--ip", host.Addr().String(), "--netmask", Netmask(host.Bits())}
}

// The host-only networks of macOS have no address of the host as such: the host takes the first of the range that their
// DHCP server hands out. The range is kept at two addresses, the host's and the next one.
func createHostOnlyNetArgs(name string, host netip.Prefix) args {
	return args{
		"hostonlynet", "add", "--name", name, "--netmask", Netmask(host.Bits()),
		"--lower-ip", host.Addr().String(), "--upper-ip", host.Addr().Next().String(), "--enable",
	}
}

func addressHostOnlyNetArgs(name string, host netip.Prefix) args {
	return args{
		"hostonlynet", "modify", "--name", name, "--netmask", Netmask(host.Bits()),
		"--lower-ip", host.Addr().String(), "--upper-ip", host.Addr().Next().String(), "--enable",
	}
}

func removeHostOnlyNetArgs(name string) args { return args{"hostonlynet", "remove", "--name", name} }

// Netmask writes the length of an IPv4 prefix as VBoxManage wants it: 24 is 255.255.255.0.
func Netmask(bits int) string {
	m := ^uint32(0) << (32 - bits)
	return netip.AddrFrom4([4]byte{byte(m >> 24), byte(m >> 16), byte(m >> 8), byte(m)}).String()
}
