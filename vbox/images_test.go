package vbox

import (
	"archive/tar"
	"bytes"
	"encoding/binary"
	"fmt"
)

// qcow2 is an empty image of that many bytes, as qemu-img would make it: header, refcount table and block, L1 table.
func qcow2(size uint64) []byte {
	const cluster = 1 << 16
	image := make([]byte, 4*cluster)
	copy(image, "QFI\xfb")
	be := binary.BigEndian
	be.PutUint32(image[4:], 2)               // version
	be.PutUint32(image[20:], 16)             // cluster bits
	be.PutUint64(image[24:], size)           // virtual size
	be.PutUint32(image[36:], 1)              // entries of the L1 table
	be.PutUint64(image[40:], 3*cluster)      // L1 table
	be.PutUint64(image[48:], cluster)        // refcount table
	be.PutUint32(image[56:], 1)              // its clusters
	be.PutUint64(image[cluster:], 2*cluster) // refcount block
	for i := range 4 {
		be.PutUint16(image[2*cluster+2*i:], 1)
	}
	return image
}

// iso is the least that passes for a disc: sectors of 2048 bytes, with the signature of ISO 9660.
func iso() []byte {
	image := make([]byte, 32*2048)
	copy(image[16*2048:], "\x01CD001\x01")
	copy(image[17*2048:], "\xffCD001\x01")
	return image
}

// streamVMDK is an empty stream-optimised VMDK of that many bytes, as OVAs hold it: header, descriptor, grain directory, footer,
// the latter two each after a marker. uuid may be empty, as qemu-img leaves it.
func streamVMDK(size uint64, uuid string) []byte {
	const sector, grain, tableEntries, descriptorAt, descriptorSize, overhead = 512, 128, 512, 1, 20, 128
	sectors := size / sector
	descriptor := fmt.Sprintf("# Disk DescriptorFile\nversion=1\nCID=0000beef\nparentCID=ffffffff\ncreateType=\"streamOptimized\"\n\n"+
		"RW %d SPARSE \"disk.vmdk\"\n\n#DDB\n\nddb.virtualHWVersion = \"4\"\nddb.geometry.cylinders = \"%d\"\n"+
		"ddb.geometry.heads = \"16\"\nddb.geometry.sectors = \"63\"\nddb.adapterType = \"ide\"\n", sectors, sectors/(16*63))
	if uuid != "" {
		descriptor += fmt.Sprintf("ddb.uuid.image=\"%s\"\n", uuid)
	}
	le := binary.LittleEndian
	header := func(directory uint64) []byte {
		h := make([]byte, sector)
		copy(h, "KDMV")
		le.PutUint32(h[4:], 3)               // version
		le.PutUint32(h[8:], 1|1<<16|1<<17)   // line ends are tested, grains are compressed, there are markers
		le.PutUint64(h[12:], sectors)        //
		le.PutUint64(h[20:], grain)          // sectors of a grain
		le.PutUint64(h[28:], descriptorAt)   //
		le.PutUint64(h[36:], descriptorSize) //
		le.PutUint32(h[44:], tableEntries)   // of a grain table
		le.PutUint64(h[56:], directory)      //
		le.PutUint64(h[64:], overhead)       // sectors before the first grain
		copy(h[73:], "\n \r\n")              //
		le.PutUint16(h[77:], 1)              // deflate
		return h
	}
	marker := func(sectors uint64, kind uint32) []byte {
		m := make([]byte, sector)
		le.PutUint64(m, sectors)
		le.PutUint32(m[12:], kind)
		return m
	}
	entries := (sectors + grain*tableEntries - 1) / (grain * tableEntries)
	directory := make([]byte, (entries*4+sector-1)/sector*sector) // no table: nothing was ever written
	image := append(header(1<<64-1), descriptor...)
	image = append(image, make([]byte, overhead*sector-len(image))...)
	image = append(image, marker(uint64(len(directory)/sector), 2)...)
	at := uint64(len(image) / sector)
	image = append(image, directory...)
	image = append(image, marker(1, 3)...)
	image = append(image, header(at)...)
	return append(image, marker(0, 0)...)
}

// tarFile is a member of an archive.
type tarFile struct {
	name string
	data []byte
	kind byte  // 0: a file
	size int64 // if the header is to say something else than len(data)
}

// archive is a tar file, which is what an OVA is.
func archive(members ...tarFile) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, m := range members {
		h := &tar.Header{Name: m.name, Size: int64(len(m.data)), Typeflag: m.kind, Mode: 0o644, Format: tar.FormatUSTAR}
		if m.kind == 0 {
			h.Typeflag = tar.TypeReg
		}
		if m.kind == tar.TypeSymlink {
			h.Linkname = string(m.data)
			h.Size, m.data = 0, nil
		}
		if m.size > 0 {
			h.Size = m.size
		}
		if err := w.WriteHeader(h); err != nil {
			panic(err)
		}
		if _, err := w.Write(m.data); err != nil {
			panic(err)
		}
	}
	if err := w.Flush(); err != nil && len(members) > 0 && members[len(members)-1].size == 0 {
		panic(err)
	}
	return append(b.Bytes(), make([]byte, 1024)...)
}
