package vbox

import "encoding/binary"

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
