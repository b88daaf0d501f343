package sim

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// nullUUID stands in an image that never got one.
const nullUUID = "00000000-0000-0000-0000-000000000000"

const (
	vdiText      = "<<< Oracle VM VirtualBox Disk Image >>>\n"
	vdiSignature = 0xbeda107f
	vdiBlocks    = 512 // where the block map begins
	vdiHeader    = 0x48 + 0x190
)

// vdiImage is a VDI that holds nothing but zeros: its header and a map of unallocated blocks. VirtualBox and qemu-img
// read it; what the source of a conversion contained is not in it, since nothing in the simulation reads a disk's blocks.
func vdiImage(m mediumState) []byte {
	blocks := uint32((m.Capacity + mib - 1) / mib)
	data := (vdiBlocks + 4*int(blocks) + mib - 1) / mib * mib
	image := make([]byte, vdiBlocks+4*int(blocks))
	le := binary.LittleEndian
	copy(image, vdiText)
	le.PutUint32(image[0x40:], vdiSignature)
	le.PutUint32(image[0x44:], 0x00010001) // version 1.1
	le.PutUint32(image[0x48:], 0x190)      // the size of what follows
	kind := uint32(1)                      // dynamic
	if m.Parent != "" {
		kind = 4 // differencing
		putUUID(image[0x1a8:], m.Parent)
	}
	le.PutUint32(image[0x4c:], kind)
	le.PutUint32(image[0x154:], vdiBlocks)
	le.PutUint32(image[0x158:], uint32(data))
	le.PutUint32(image[0x168:], 512) // of the legacy geometry, otherwise zero
	le.PutUint64(image[0x170:], uint64(m.Capacity))
	le.PutUint32(image[0x178:], mib)
	le.PutUint32(image[0x180:], blocks)
	putUUID(image[0x188:], m.UUID)
	putUUID(image[0x198:], m.UUID) // of the last modification: there was none
	le.PutUint32(image[0x1d4:], 512)
	for i := vdiBlocks; i < len(image); i++ {
		image[i] = 0xff // a block that was never written
	}
	return image
}

// putUUID writes a UUID in the mixed byte order of VDI.
func putUUID(to []byte, uuid string) {
	b, err := hex.DecodeString(strings.ReplaceAll(uuid, "-", ""))
	if err != nil || len(b) != 16 {
		panic("malformed UUID " + uuid)
	}
	binary.LittleEndian.PutUint32(to, binary.BigEndian.Uint32(b))
	binary.LittleEndian.PutUint16(to[4:], binary.BigEndian.Uint16(b[4:]))
	binary.LittleEndian.PutUint16(to[6:], binary.BigEndian.Uint16(b[6:]))
	copy(to[8:], b[8:])
}

func getUUID(from []byte) string {
	var b [16]byte
	binary.BigEndian.PutUint32(b[:], binary.LittleEndian.Uint32(from))
	binary.BigEndian.PutUint16(b[4:], binary.LittleEndian.Uint16(from[4:]))
	binary.BigEndian.PutUint16(b[6:], binary.LittleEndian.Uint16(from[6:]))
	copy(b[8:], from[8:16])
	s := hex.EncodeToString(b[:])
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}

// probe reads a file's first bytes as VirtualBox does before it opens a medium. trouble is VirtualBox's name for what is
// wrong. A format that carries a UUID gives it, even if it is null; the others leave it empty.
func probe(kind, path string) (m mediumState, trouble string) {
	m = mediumState{Kind: kind, Path: path}
	f, err := os.Open(path)
	if err != nil {
		return m, "VERR_FILE_NOT_FOUND"
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return m, "VERR_NOT_A_FILE"
	}
	if kind == "dvd" {
		m.Format, m.Capacity = "RAW", info.Size()
		if info.Size()%2048 != 0 || info.Size() <= 32*1024 {
			return m, "VERR_NOT_SUPPORTED"
		}
		return m, ""
	}
	head := make([]byte, 64*1024)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return m, "VERR_READ_ERROR"
	}
	head = head[:n]
	switch {
	case len(head) >= vdiHeader && binary.LittleEndian.Uint32(head[0x40:]) == vdiSignature:
		m.Format, m.Capacity = "VDI", int64(binary.LittleEndian.Uint64(head[0x170:]))
		m.UUID = getUUID(head[0x188:])
		if binary.LittleEndian.Uint32(head[0x4c:]) == 4 {
			m.Parent = getUUID(head[0x1a8:])
		}
	case len(head) >= 72 && bytes.HasPrefix(head, []byte("QFI\xfb")):
		if v := binary.BigEndian.Uint32(head[4:]); v != 2 && v != 3 {
			return m, "VERR_NOT_SUPPORTED"
		}
		m.Format, m.Capacity = "QCOW", int64(binary.BigEndian.Uint64(head[24:]))
	case len(head) >= 512 && bytes.HasPrefix(head, []byte("KDMV")):
		m.Format, m.Capacity = "VMDK", int64(binary.LittleEndian.Uint64(head[12:]))*512
		if found := vmdkUUID().FindSubmatch(head); found != nil {
			m.UUID = string(found[1])
		} else {
			m.UUID = nullUUID
		}
	default:
		return m, "VERR_NOT_SUPPORTED"
	}
	return m, ""
}

// deviceType is what VirtualBox takes a file without a known signature for, by its name and size; empty: for nothing.
func deviceType(path string) string {
	info, err := os.Stat(path)
	if err != nil {
		return ""
	}
	switch size := info.Size(); strings.ToLower(filepath.Ext(path)) {
	case ".iso", ".cdr":
		if size%2048 == 0 && size > 32*1024 {
			return "DVD"
		}
	case ".img", ".ima", ".dsk", ".flp", ".vfd":
		if size%512 == 0 && size > 0 {
			return "floppy"
		}
	}
	return ""
}

// vmdkUUID finds the UUID in the text that describes a VMDK.
func vmdkUUID() *regexp.Regexp { return regexp.MustCompile(`ddb\.uuid\.image="([0-9a-f-]{36})"`) }

// vmdkCompressed tells a stream-optimised VMDK by its header's compression algorithm.
func vmdkCompressed(head []byte) bool { return binary.LittleEndian.Uint16(head[77:]) == 1 }

func streamOptimised(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	head := make([]byte, 512)
	_, err = io.ReadFull(f, head)
	return err == nil && bytes.HasPrefix(head, []byte("KDMV")) && vmdkCompressed(head)
}

// withUUID returns the image in a file with another UUID: of a VDI in its header, of a VMDK in its descriptor.
func withUUID(path, uuid string) ([]byte, error) {
	image, err := os.ReadFile(path)
	if err != nil {
		return nil, errors.New("VERR_FILE_NOT_FOUND")
	}
	m, trouble := probe("disk", path)
	switch {
	case trouble != "":
		return nil, errors.New(trouble)
	case m.Format == "VDI":
		putUUID(image[0x188:], uuid)
		return image, nil
	case m.Format != "VMDK":
		return nil, errors.New("VERR_NOT_SUPPORTED")
	}
	line := []byte(`ddb.uuid.image="` + uuid + `"`)
	if at := vmdkUUID().FindIndex(image); at != nil {
		copy(image[at[0]:], line)
		return image, nil
	}
	// The descriptor is padded with zeros up to its fixed size, in sectors.
	offset, size := 512*binary.LittleEndian.Uint64(image[28:]), 512*binary.LittleEndian.Uint64(image[36:])
	if offset+size > uint64(len(image)) {
		return nil, errors.New("VERR_VD_VMDK_INVALID_HEADER")
	}
	descriptor := image[offset : offset+size]
	end := len(bytes.TrimRight(descriptor, "\x00"))
	if end+len(line)+1 > len(descriptor) {
		return nil, errors.New("VERR_BUFFER_OVERFLOW")
	}
	copy(descriptor[end:], append(line, '\n'))
	return image, nil
}
