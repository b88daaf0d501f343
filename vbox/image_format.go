package vbox

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"regexp"
	"strings"
)

// diskFormat is what a disk image is, by its first bytes.
type diskFormat string

const (
	formatRaw   diskFormat = "raw" // none of the signatures
	formatOVA   diskFormat = "OVA"
	formatVMDK  diskFormat = "VMDK"
	formatOther diskFormat = "other" // qcow2, VDI, VHD, …: VirtualBox clones it
)

// diskImage is what has to be known of an image before VirtualBox is asked to read it.
type diskImage struct {
	format diskFormat
	// noUUID says that a VMDK is stream-optimised and has no UUID: as qemu-img writes it, and VirtualBox refuses it.
	noUUID bool
}

// signatures are what formats begin with. A format with a refusal is none that can be used.
var signatures = []struct {
	offset  int
	text    string
	format  diskFormat
	refusal string
}{
	{0, "QFI\xfb", formatOther, ""},
	{0, "QED\x00", formatOther, ""},
	{0, "KDMV", formatVMDK, ""},
	{0, "conectix", formatOther, ""}, // VHD
	{0, "vhdxfile", formatOther, ""},
	{64, "\x7f\x10\xda\xbe", formatOther, ""}, // VDI
	{257, "ustar", formatOVA, ""},
	{0, "# Disk DescriptorFile", "", "it only describes a disk whose data is in other files; " +
		"make one file of it: qemu-img convert -O qcow2 FILE.vmdk FILE.qcow2"},
	{0, "\x1f\x8b", "", "it is compressed with gzip: unpack it (gunzip) and give the checksum of the result"},
	{0, "\xfd7zXZ\x00", "", "it is compressed with xz: unpack it (unxz) and give the checksum of the result"},
	{0, "\x28\xb5\x2f\xfd", "", "it is compressed with zstd: unpack it (unzstd) and give the checksum of the result"},
	{0, "BZh", "", "it is compressed with bzip2: unpack it (bunzip2) and give the checksum of the result"},
	{0, "PK\x03\x04", "", "it is a zip archive: unpack it and give the checksum of the disk image in it"},
	{0x8001, "CD001", "", "it is a CD or DVD, from which systems are installed: take the cloud image of the system"},
}

// errRefused is an image that cannot become a base disk, whatever is tried.
var errRefused = errors.New("the image cannot be used")

// inspect looks at an image. One that would make VirtualBox read other files is refused: a download names no files on this computer.
func inspect(file string) (diskImage, error) {
	f, err := os.Open(file)
	if err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return diskImage{}, fmt.Errorf("%w: %w", ErrNotFound, err)
		}
		return diskImage{}, err
	}
	defer f.Close()
	head := make([]byte, 64*1024)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return diskImage{}, err
	}
	return inspectHead(head[:n])
}

func inspectHead(head []byte) (diskImage, error) {
	image := diskImage{format: formatRaw}
	for _, s := range signatures {
		if end := s.offset + len(s.text); len(head) < end || string(head[s.offset:end]) != s.text {
			continue
		}
		if s.refusal != "" {
			return image, fmt.Errorf("%w: %s", errRefused, s.refusal)
		}
		image.format = s.format
		break
	}
	const flatten = "another file, which is not there; make one file of it: qemu-img convert -O qcow2 FILE NEWFILE.qcow2"
	switch {
	case bytes.HasPrefix(head, []byte("QFI\xfb")) && len(head) >= 16 && binary.BigEndian.Uint64(head[8:]) != 0:
		return image, fmt.Errorf("%w: it is a qcow2 image on top of %s", errRefused, flatten)
	case len(head) >= 0x50 && string(head[64:68]) == "\x7f\x10\xda\xbe" && binary.LittleEndian.Uint32(head[0x4c:]) == 4:
		return image, fmt.Errorf("%w: it is a differencing VDI on top of %s", errRefused, flatten)
	case image.format == formatVMDK:
		text := vmdkDescriptor(head)
		if parent := parentCID.FindSubmatch(text); parent != nil && !strings.EqualFold(string(parent[1]), "ffffffff") {
			return image, fmt.Errorf("%w: it is a VMDK on top of %s", errRefused, flatten)
		}
		uuid := vmdkUUID.FindSubmatch(text)
		compressed := len(head) >= 79 && binary.LittleEndian.Uint16(head[77:]) == 1
		image.noUUID = compressed && (uuid == nil || strings.Trim(string(uuid[1]), "0-") == "")
	}
	return image, nil
}

var (
	parentCID = regexp.MustCompile(`(?m)^\s*parentCID\s*=\s*([0-9A-Fa-f]+)`)
	vmdkUUID  = regexp.MustCompile(`(?m)^\s*ddb\.uuid\.image\s*=\s*"([0-9A-Fa-f-]*)"`)
)

// vmdkDescriptor is the text inside a VMDK that describes it: as much of it as is within head.
func vmdkDescriptor(head []byte) []byte {
	const sector = 512
	if len(head) < sector {
		return nil
	}
	offset, size := binary.LittleEndian.Uint64(head[28:]), binary.LittleEndian.Uint64(head[36:])
	most := uint64(len(head)) / sector
	if offset > most || size > most {
		return nil
	}
	return bytes.TrimRight(head[offset*sector:min(offset+size, most)*sector], "\x00")
}

// extractDisk writes the one disk in an OVA to target. Names in the archive decide nothing else, and its headers are not
// believed where they promise more than the archive has.
func extractDisk(ctx context.Context, ova, target string) error {
	f, err := os.Open(ova)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	var disks []string
	if err := eachDisk(f, func(h *tar.Header, _ io.Reader) error {
		disks = append(disks, h.Name)
		if h.Size > info.Size() {
			return fmt.Errorf("%w: the OVA says that %q in it has %d bytes, and has %d itself", errRefused, h.Name, h.Size, info.Size())
		}
		return nil
	}); err != nil {
		return err
	}
	if len(disks) != 1 {
		return fmt.Errorf("%w: the OVA holds %d disks %q, and a machine of a lab has one; "+
			"unpack it (tar -xf) and name the .vmdk that the system is on", errRefused, len(disks), disks)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	return eachDisk(f, func(h *tar.Header, disk io.Reader) error {
		out, err := os.OpenFile(target, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		_, err = io.Copy(out, until{ctx, disk})
		return errors.Join(err, out.Close())
	})
}

// eachDisk calls what for each disk in the archive.
func eachDisk(f io.Reader, what func(*tar.Header, io.Reader) error) error {
	archive := tar.NewReader(f)
	for {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%w: reading the OVA: %w", ErrBadMedium, err)
		}
		if h.Typeflag == tar.TypeReg && strings.EqualFold(path.Ext(path.Clean(h.Name)), ".vmdk") {
			if err := what(h, archive); err != nil {
				return err
			}
		}
	}
}

// until reads until ctx ends.
type until struct {
	ctx context.Context
	io.Reader
}

func (u until) Read(p []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	return u.Reader.Read(p)
}

func copyFile(ctx context.Context, source, target string) error {
	in, err := os.Open(source)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(target, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, until{ctx, in})
	return errors.Join(err, out.Close())
}
