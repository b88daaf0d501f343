//go:build linux

// Command front stands before a real VBoxManage on a machine that cannot load VirtualBox's kernel modules, so that what it
// configured can run all the same. It is for the end-to-end test, and takes the place of VBoxManage there:
//
//	LABCTL_FRONT_VBOXMANAGE=/usr/bin/VBoxManage LABCTL_FRONT_STATE=/tmp/state front startvm lab-cp1 --type headless
//
// Every call goes to the real VBoxManage, arguments, output, errors and exit status unchanged. The front answers itself only
// where it knows more than the real one:
//
//   - startvm runs the machine that showvminfo describes on QEMU: the same processors, memory, MACs, PCI slots, disks and
//     serial port. While it runs, or is saved, showvminfo and list runningvms say so, controlvm and discardstate work, and
//     what VirtualBox refuses for a locked machine is refused in VirtualBox's words (testdata/locks.txt).
//   - hostonlyif create and remove make and delete a Linux bridge. All else about it is real: VirtualBox takes any interface
//     called vboxnetN for its own. Machines get at it by taps that vanish with their QEMU.
//   - QEMU cannot write VirtualBox's differencing images. Each has a mirror, a qcow2 file, in the state's folder, and so has
//     the base they are linked to; deleting a snapshot merges the mirrors as VirtualBox merged the images.
//
// A call about a running machine that the front does not know is refused: it never pretends. Where KVM can run code it is
// used. Calls that change a machine stand in line. Everything lives in the state's folder, in QEMU processes and in the
// network namespace of the caller, which must be one made for the test.
package main
