package doctor

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
)

// KVMFacts is what a Linux host says about KVM.
type KVMFacts struct {
	Modules    string // /proc/modules
	Kernel     string // /proc/sys/kernel/osrelease
	EnableVirt string // /sys/module/kvm/parameters/enable_virt_at_load: Y, N, or empty if there is no such parameter
	VirtualBox string // its version
}

// KVM asks whether the kernel's own hypervisor is in VirtualBox's way. From Linux 6.12 on, KVM holds the CPU's
// virtualization as soon as it is loaded, unless enable_virt_at_load is off; VirtualBox 7.2.10 learned to share it and needs
// it on, but for Linux 6.12 itself (https://github.com/VirtualBox/virtualbox/issues/81 and /713). Which
// combination works is known from reports only, so that this is never more than a warning.
func KVM(f KVMFacts) Finding {
	const name = "KVM"
	module := ""
	for _, candidate := range []string{"kvm_intel", "kvm_amd"} {
		if _, loaded := moduleUse(f.Modules, candidate); loaded {
			module = candidate
		}
	}
	if module == "" {
		return Finding{Name: name, Status: OK, Detail: "not loaded"}
	}
	unload := "sudo modprobe -r " + module
	warn := func(fix, format string, args ...any) Finding {
		return Finding{Name: name, Status: Warn, Detail: fmt.Sprintf(format, args...), Fix: fix}
	}
	if count, _ := moduleUse(f.Modules, module); count != "0" && count != "-" {
		return warn("stop the KVM machines (virsh list)", "%s is in use: VirtualBox's machines may not start beside KVM's", module)
	}
	kernel, okKernel := parseVersion(f.Kernel)
	box, okBox := parseVersion(f.VirtualBox)
	if !okKernel || !okBox {
		return unknown(name, fmt.Errorf("%s is loaded; kernel %q and VirtualBox %q do not tell whether that matters", module, f.Kernel, f.VirtualBox))
	}
	holds := slices.Compare(kernel, []int{6, 12, 0}) >= 0
	shares := slices.Compare(box, []int{7, 2, 10}) >= 0 && slices.Compare(kernel, []int{6, 13, 0}) >= 0
	switch {
	case holds && shares && f.EnableVirt == "N":
		return warn("remove kvm.enable_virt_at_load=0 from the kernel's command line and from /etc/modprobe.d, and boot again",
			"kvm.enable_virt_at_load is off, but VirtualBox %s needs it on (VERR_SVM_HOST_SVME_NOT_ENABLED)", f.VirtualBox)
	case holds && !shares && f.EnableVirt != "N":
		return warn(unload, "%s holds the CPU's virtualization on Linux %s: VirtualBox %s may not start machines (VERR_VMX_IN_VMX_ROOT_MODE, VERR_SVM_IN_USE)",
			module, f.Kernel, f.VirtualBox)
	}
	return Finding{Name: name, Status: OK, Detail: module + " is loaded and not in the way"}
}

// parseVersion reads the first three numbers of a version such as 6.12.9-amd64 or 7.1.12_Ubuntur169389.
func parseVersion(s string) ([]int, bool) {
	m := regexp.MustCompile(`^(\d{1,6})\.(\d{1,6})(?:\.(\d{1,6}))?`).FindStringSubmatch(s)
	if m == nil {
		return nil, false
	}
	var version []int
	for _, digits := range m[1:] {
		n, _ := strconv.Atoi(digits) // the pattern lets only an absent third one fail, which is 0
		version = append(version, n)
	}
	return version, true
}
