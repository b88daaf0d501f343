package sim

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
)

const mib = 1 << 20

const openWhere = `"OpenMedium(Bstr(pszFilenameOrUuid).raw(), enmDevType, enmAccessMode, fForceNewUuidOnOpen, pMedium.asOutParam())" at line 197 of file VBoxManageDisk.cpp`

// open finds a medium in the registry or, by the path of a file, enters it there, whether or not the call then succeeds.
func (c *call) open(kind, id string) (*mediumState, *failure) {
	path, err := filepath.Abs(id)
	if err != nil {
		return nil, plainError(err.Error())
	}
	for _, known := range []*mediumState{c.state.medium(id), c.state.medium(path)} {
		if known != nil && known.Kind == kind {
			return known, nil
		}
	}
	m, trouble := probe(kind, path)
	if detected := deviceType(path); trouble == "VERR_NOT_SUPPORTED" && kind == "disk" && detected != "" {
		return nil, comError(codeFailure, mediumWrap, openWhere, fmt.Sprintf("The medium '%s' can't be used as the requested device type (HDD, detected %s)", path, detected))
	}
	switch {
	case trouble == "VERR_FILE_NOT_FOUND":
		return nil, comError(codeFile, mediumWrap, openWhere, fmt.Sprintf("Could not find file for the medium '%s' (%s)", path, trouble))
	case trouble != "":
		return nil, comError(codeIPRT, mediumWrap, openWhere, fmt.Sprintf("Could not get the storage format of the medium '%s' (%s)", path, trouble))
	}
	if m.Parent != "" && c.state.medium(m.Parent) == nil {
		return nil, comError(codeFailure, mediumWrap, openWhere,
			fmt.Sprintf("Parent medium with UUID {%s} of the medium '%s' is not found in the media registry ('%s')", m.Parent, path, stateFile(c.dir)))
	}
	if m.UUID == "" || m.UUID == nullUUID {
		m.UUID = newUUID()
	}
	if other := c.state.medium(m.UUID); other != nil {
		return nil, comError(codeInvalidArg, virtualBoxWrap, openWhere,
			fmt.Sprintf("Cannot register the hard disk '%[1]s' {%[2]s} because a hard disk '%[3]s' with UUID {%[2]s} already exists", path, m.UUID, other.Path))
	}
	c.state.Media = append(c.state.Media, m)
	c.keep = true
	return &c.state.Media[len(c.state.Media)-1], nil
}

// accessError says what VirtualBox finds wrong with a registered medium; empty: nothing.
func (c *call) accessError(m *mediumState) string {
	found, trouble := probe(m.Kind, m.Path)
	switch {
	case trouble == "VERR_FILE_NOT_FOUND":
		return notFound(m.Path)
	case trouble != "":
		return fmt.Sprintf("Could not open the medium '%[1]s'.\n%[2]s", m.Path, spoilt(m.Path))
	case found.UUID != "" && found.UUID != m.UUID: // of a VMDK without one, too: the registry does not write into it
		return fmt.Sprintf("UUID {%s} of the medium '%s' does not match the value {%s} stored in the media registry ('%s')", found.UUID, m.Path, m.UUID, stateFile(c.dir))
	}
	return ""
}

func notFound(path string) string {
	return fmt.Sprintf("Could not open the medium '%[1]s'.\nVD: error VERR_FILE_NOT_FOUND opening image file '%[1]s' (VERR_FILE_NOT_FOUND)", path)
}

func spoilt(path string) string {
	return fmt.Sprintf("VDI: error reading pre-header in '%[1]s' (VERR_EOF).\nVD: error VERR_VD_VDI_INVALID_HEADER opening image file '%[1]s' (VERR_VD_VDI_INVALID_HEADER)", path)
}

// missing is the path of the first file that is not there, of a medium and those it stands on; empty if all are.
func (c *call) missing(m *mediumState) string {
	for ; m != nil; m = c.state.medium(m.Parent) {
		if !exists(m.Path) {
			return m.Path
		}
	}
	return ""
}

// children counts the differencing disks right on top of a medium.
func (s *vboxState) children(uuid string) int {
	n := 0
	for _, m := range s.Media {
		if m.Parent == uuid {
			n++
		}
	}
	return n
}

// childOf is the first differencing disk right on top of a medium; nil if there is none.
func (s *vboxState) childOf(uuid string) *mediumState {
	at := slices.IndexFunc(s.Media, func(m mediumState) bool { return m.Parent == uuid })
	if at < 0 {
		return nil
	}
	return &s.Media[at]
}

// users are the machines that hold a medium, now or in a snapshot.
func (s *vboxState) users(uuid string) []*machineState {
	var users []*machineState
	for i := range s.Machines {
		m := &s.Machines[i]
		if m.holds(uuid) || slices.ContainsFunc(m.Snapshots, func(n snapshotState) bool { return n.Hardware.holds(uuid) }) {
			users = append(users, m)
		}
	}
	return users
}

func (h *hardware) holds(medium string) bool {
	return slices.ContainsFunc(h.Controllers, func(ctl controllerState) bool {
		return slices.ContainsFunc(ctl.Attached, func(a attachmentState) bool { return a.Medium == medium })
	})
}

// dropMedium forgets a medium and, with deletion, its file and the files of the guest that lived on it.
func (s *vboxState) dropMedium(dir, uuid string, deletion bool) {
	m := s.medium(uuid)
	if deletion {
		s.remove(m.Path)
		s.remove(guestDir(dir, uuid))
	}
	s.Media = slices.DeleteFunc(s.Media, func(o mediumState) bool { return o.UUID == uuid })
}

// kindAndWords checks a command line that begins with `disk` or `dvd`, followed by n words.
func kindAndWords(args []string, n int, known map[string]arity) (kind string, words []string, options []option, err error) {
	words, options, err = parseOptions(2, args, known)
	if err == nil {
		err = wantWords(words, n+1)
	}
	if err != nil {
		return "", nil, nil, err
	}
	if words[0] != "disk" && words[0] != "dvd" {
		return "", nil, nil, usageError(2, fmt.Sprintf("Invalid parameter '%s'", words[0]))
	}
	return words[0], words[1:], options, nil
}

func (c *call) createMedium(args []string) error {
	kind, _, options, err := kindAndWords(args, 0, map[string]arity{"--filename": takes(1), "--diffparent": takes(1)})
	if err != nil {
		return err
	}
	o := map[string]string{}
	for _, option := range options {
		o[option.name] = option.value()
	}
	if kind != "disk" || o["--filename"] == "" || o["--diffparent"] == "" {
		return usageError(2, "SIMULATED: only createmedium disk with --filename and --diffparent is modelled")
	}
	parent, refused := c.open("disk", o["--diffparent"])
	if refused != nil {
		return refused
	}
	path, err := filepath.Abs(o["--filename"])
	if err != nil {
		return err
	}
	const handler = `"RTEXITCODE handleCreateMedium(HandlerArg*)" at line 630 of file VBoxManageDisk.cpp`
	child := mediumState{UUID: newUUID(), Parent: parent.UUID, Kind: "disk", Path: path, Format: "vdi", Capacity: parent.Capacity}
	// VirtualBox creates the file before it looks into its registry, and leaves it there.
	if exists(path) {
		return progressError(codeFile, mediumWrap, handler, "Failed to create medium",
			fmt.Sprintf("Could not create the differencing medium storage unit '%[1]s'.\nVDI: cannot create image '%[1]s' (VERR_ALREADY_EXISTS)", path))
	}
	if c.state.medium(path) != nil {
		c.state.write(path, vdiImage(child))
		c.keep = true
		f := &failure{stderr: "Progress object failure: NS_ERROR_ABORT\n", exit: 1}
		return f.add("Failed to create medium").add("Code NS_ERROR_ABORT (0x80004004) - Operation aborted (extended info not available)").add("Context: " + handler)
	}
	if text := c.accessError(parent); text != "" {
		return progressError(codeFile, mediumWrap, handler, "Failed to create medium", text)
	}
	c.state.Media = append(c.state.Media, child)
	c.state.write(path, vdiImage(child))
	c.printf("Medium created. UUID: %s\n", child.UUID)
	c.showProgress()
	return nil
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// wantVDI refuses every other format.
func wantVDI(options []option) error {
	for _, o := range options {
		if o.name == "--format" && o.value() != "VDI" {
			return usageError(2, fmt.Sprintf("SIMULATED: format '%s' is not modelled", o.value()))
		}
	}
	return nil
}

// convertFromRaw writes a VDI but does not register it.
func (c *call) convertFromRaw(args []string) error {
	words, options, err := parseOptions(2, args, map[string]arity{"--format": takes(1)})
	if err == nil {
		err = wantWords(words, 2)
	}
	if err == nil {
		err = wantVDI(options)
	}
	if err != nil {
		return err
	}
	source, target := words[0], words[1]
	c.warnf("Converting from raw image file=%q to file=%q...\n", source, target)
	info, err := os.Stat(source)
	if err != nil {
		return plainError(fmt.Sprintf("Cannot open file %q: VERR_FILE_NOT_FOUND", source))
	}
	size := info.Size()
	c.warnf("Creating dynamic image with size %d bytes (%dMB)...\n", size, (size+mib-1)/mib)
	if size%512 != 0 {
		return plainError(fmt.Sprintf("VD: The given disk size %d is not aligned on a sector boundary (512 bytes)", size)).
			add(fmt.Sprintf("Cannot create the disk image %q: VERR_VD_INVALID_SIZE", target))
	}
	trouble := ""
	if exists(target) {
		trouble = "VERR_ALREADY_EXISTS"
	} else if !exists(filepath.Dir(target)) {
		trouble = "VERR_FILE_NOT_FOUND"
	}
	if trouble != "" {
		return plainError(fmt.Sprintf("VDI: cannot create image '%s'", target)).add(fmt.Sprintf("Cannot create the disk image %q: %s", target, trouble))
	}
	c.state.write(target, vdiImage(mediumState{UUID: newUUID(), Capacity: size}))
	return nil
}

func (c *call) cloneMedium(args []string) error {
	kind, words, options, err := kindAndWords(args, 2, map[string]arity{"--format": takes(1)})
	if err == nil {
		err = wantVDI(options)
	}
	if err != nil {
		return err
	}
	if kind != "disk" {
		return usageError(2, "SIMULATED: only disks are cloned")
	}
	known := c.state.medium(words[0]) != nil
	source, refused := c.open("disk", words[0])
	if refused != nil {
		return refused
	}
	target, err := filepath.Abs(words[1])
	if err != nil {
		return err
	}
	const where = `"CloneTo(pDstMedium, ComSafeArrayAsInParam(l_variants), NULL, pProgress.asOutParam())" at line 1203 of file VBoxManageDisk.cpp`
	// As recorded: a sparse VMDK without a UUID can be cloned by the call that opens it, a stream-optimised one never.
	if text := c.accessError(source); text != "" && (known || streamOptimised(source.Path)) {
		return comError(codeFailure, mediumWrap, where, text)
	}
	const handler = `"RTEXITCODE handleCloneMedium(HandlerArg*)" at line 1208 of file VBoxManageDisk.cpp`
	if exists(target) {
		return progressError(codeFile, mediumWrap, handler, "Failed to clone medium",
			fmt.Sprintf("Could not create the clone medium '%[1]s'.\nVDI: cannot create image '%[1]s' (VERR_ALREADY_EXISTS)", target))
	}
	clone := mediumState{UUID: newUUID(), Kind: "disk", Path: target, Format: "VDI", Capacity: source.Capacity}
	if other := c.state.medium(target); other != nil {
		c.state.write(target, vdiImage(clone)) // and it stays, though nobody knows it
		c.keep = true
		return progressError(codeInvalidArg, virtualBoxWrap, handler, "Failed to clone medium",
			fmt.Sprintf("Cannot register the hard disk '%[1]s' {%[2]s} because a hard disk '%[1]s' with UUID {%[3]s} already exists", target, clone.UUID, other.UUID))
	}
	c.state.Media = append(c.state.Media, clone)
	c.state.write(target, vdiImage(clone))
	c.printf("Clone medium created in format 'VDI'. UUID: %s\n", clone.UUID)
	c.showProgress()
	return nil
}

func (c *call) modifyMedium(args []string) error {
	kind, words, options, err := kindAndWords(args, 1, map[string]arity{"--resize": takes(1)})
	if err != nil {
		return err
	}
	if kind != "disk" || len(options) != 1 {
		return usageError(2, "SIMULATED: only modifymedium disk with --resize is modelled")
	}
	megabytes, err := strconv.ParseInt(options[0].value(), 10, 32)
	if err != nil || megabytes <= 0 {
		return usageError(2, fmt.Sprintf("Invalid value for option '--resize': '%s'", options[0].value()))
	}
	m, refused := c.open("disk", words[0])
	if refused != nil {
		return refused
	}
	size := megabytes * mib
	const where = `"Resize((LONG64)cbResize, pProgress.asOutParam())" at line 931 of file VBoxManageDisk.cpp`
	const handler = `"RTEXITCODE handleModifyMedium(HandlerArg*)" at line 937 of file VBoxManageDisk.cpp`
	resizing := fmt.Sprintf("Resizing to new size %d is not yet supported for medium '%s'", size, m.Path)
	switch {
	case c.accessError(m) != "":
		return comError(codeFailure, mediumWrap, where, fmt.Sprintf("Failed to create medium lock list when resizing '%s'", m.Path)).add("Failed to resize medium!")
	case c.inRunningMachine(m.UUID):
		return comError(codeObjectState, mediumWrap, where, fmt.Sprintf("Failed to lock media when resizing '%s'", m.Path)).add("Failed to resize medium!")
	case m.Format != "VDI" && m.Format != "vdi":
		return progressError(codeNotSupported, mediumWrap, handler, "Failed to resize medium", resizing)
	case size < m.Capacity:
		return progressError(codeNotSupported, mediumWrap, handler, "Failed to resize medium",
			fmt.Sprintf("Shrinking is not yet supported for medium '%s'", m.Path))
	}
	m.Capacity = size
	c.state.write(m.Path, vdiImage(*m))
	c.showProgress()
	return nil
}

func (c *call) inRunningMachine(uuid string) bool {
	return slices.ContainsFunc(c.state.users(uuid), func(m *machineState) bool { return m.State == "running" || m.State == "paused" })
}

func (c *call) closeMedium(args []string) error {
	kind, words, options, err := kindAndWords(args, 1, map[string]arity{"--delete": takes(0)})
	if err != nil {
		return err
	}
	m, refused := c.open(kind, words[0])
	if refused != nil {
		return refused
	}
	deletion := len(options) > 0
	inUse, cannotDelete := "", ""
	if n := c.state.children(m.UUID); n > 0 {
		inUse = fmt.Sprintf("Cannot close medium '%s' because it has %d child media", m.Path, n)
		cannotDelete = inUse
	} else if users := c.state.users(m.UUID); len(users) > 0 {
		inUse = fmt.Sprintf("Medium '%s' cannot be closed because it is still attached to %d virtual machines", m.Path, len(users))
		cannotDelete = fmt.Sprintf("Cannot delete storage: medium '%s' is still attached to the following %d virtual machine(s): %s", m.Path, len(users), users[0].UUID)
	}
	const where = `"Close()" at line 1877 of file VBoxManageDisk.cpp`
	switch {
	case inUse != "" && deletion:
		f := comError(codeInUse, mediumWrap, `"DeleteStorage(pProgress.asOutParam())" at line 1868 of file VBoxManageDisk.cpp`, cannotDelete)
		f.add("Failed to delete medium. Error code VBOX_E_OBJECT_IN_USE")
		f.stderr += comError(codeInUse, mediumWrap, where, inUse).stderr
		return f
	case inUse != "":
		return comError(codeInUse, mediumWrap, where, inUse)
	}
	// A file that is gone is as good as deleted. One that cannot be read is not deleted, but is out of the registry after that.
	if _, trouble := probe(kind, m.Path); deletion && trouble != "" && trouble != "VERR_FILE_NOT_FOUND" {
		f := progressError(codeFile, mediumWrap, `"RTEXITCODE handleCloseMedium(HandlerArg*)" at line 1871 of file VBoxManageDisk.cpp`,
			"Failed to delete medium", fmt.Sprintf("Could not delete the medium storage unit '%s'.\n%s", m.Path, spoilt(m.Path)))
		c.state.dropMedium(c.dir, m.UUID, false)
		c.keep = true
		f.exit = 0 // as the real one
		return f
	}
	if deletion {
		c.showProgress()
	}
	c.state.dropMedium(c.dir, m.UUID, deletion)
	return nil
}

// listMedia prints the media of a kind below parent, each followed by what stands on it.
func (c *call) listMedia(kind, parent string) {
	for i := range c.state.Media {
		m := &c.state.Media[i]
		if m.Kind != kind || m.Parent != parent {
			continue
		}
		c.showMedium(m, false)
		c.printf("\n")
		c.listMedia(kind, m.UUID)
	}
}

func (c *call) showMediumInfo(args []string) error {
	kind, words, _, err := kindAndWords(args, 1, nil)
	if err != nil {
		return err
	}
	m, refused := c.open(kind, words[0])
	if refused != nil {
		return refused
	}
	c.showMedium(m, true)
	return nil
}

func (c *call) showMedium(m *mediumState, long bool) {
	field := func(name, format string, args ...any) { c.printf("%-16s%s\n", name, fmt.Sprintf(format, args...)) }
	field("UUID:", "%s", m.UUID)
	if m.Kind == "disk" || long {
		field("Parent UUID:", "%s", orElse(m.Parent, "base"))
	}
	trouble := c.accessError(m)
	if trouble == "" {
		field("State:", "created")
	} else {
		field("State:", "inaccessible")
		if long {
			field("Access Error:", "%s", trouble)
		}
	}
	switch {
	case m.Kind == "dvd":
		field("Type:", "readonly")
	case m.Parent == "":
		field("Type:", "normal (base)")
	default:
		field("Type:", "normal (differencing)")
		if long {
			field("Auto-Reset:", "off")
		}
	}
	field("Location:", "%s", m.Path)
	field("Storage format:", "%s", m.Format)
	if long {
		field("Format variant:", "%s", variant(m))
	}
	field("Capacity:", "%d MBytes", m.Capacity/mib)
	if long {
		var size int64
		if info, err := os.Stat(m.Path); err == nil {
			size = info.Size()
		}
		field("Size on disk:", "%d MBytes", size/mib)
	}
	field("Encryption:", "disabled")
	if !long {
		return
	}
	switch m.Format {
	case "VDI", "vdi":
		field("Property:", "AllocationBlockSize=1048576")
	case "VMDK":
		c.printf("Property:       BootSector=\n                Partitions=\n                RawDrive=\n                Relative=\n")
	}
	label := "In use by VMs:"
	for _, user := range c.state.users(m.UUID) {
		text := fmt.Sprintf("%s (UUID: %s)", user.Name, user.UUID)
		for _, s := range user.Snapshots {
			if s.Hardware.holds(m.UUID) {
				text += fmt.Sprintf(" [%s (UUID: %s)]", s.Name, s.UUID)
			}
		}
		field(label, "%s", text)
		label = ""
	}
	label = "Child UUIDs:"
	for _, child := range c.state.Media {
		if child.Parent == m.UUID {
			field(label, "%s", child.UUID)
			label = ""
		}
	}
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// variant is what showmediuminfo says of a disk's layout.
func variant(m *mediumState) string {
	if m.Kind == "dvd" {
		return "fixed default"
	}
	if m.Parent != "" {
		return "differencing default"
	}
	if streamOptimised(m.Path) {
		return "dynamic streamOptimized"
	}
	return "dynamic default"
}

// internalCommands knows sethduuid, which gives the image in a file a new UUID.
func (c *call) internalCommands(args []string) error {
	if err := wantWords(args, 2); err != nil {
		return err
	}
	if args[0] != "sethduuid" {
		return usageError(2, fmt.Sprintf("Invalid command '%s'", args[0]))
	}
	uuid := newUUID()
	data, err := withUUID(args[1], uuid)
	if err != nil {
		return plainError(fmt.Sprintf("Cannot set a new UUID for '%s': %v", args[1], err))
	}
	c.state.write(args[1], data)
	c.printf("UUID changed to: %s\n", uuid)
	return nil
}
