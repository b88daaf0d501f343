package vbox

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
)

// WholeVDI looks whether a VDI is as long as its own map of blocks says. What the blocks hold is not judged: nothing in a VDI tells.
func WholeVDI(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	const signature, header, unallocated = 0xbeda107f, 0x48 + 0x190, 0xfffffffe // and 0xffffffff: never written
	head := make([]byte, header)
	if _, err := io.ReadFull(f, head); err != nil {
		return errors.New("it is too short for a VDI")
	}
	le := binary.LittleEndian
	if le.Uint32(head[0x40:]) != signature {
		return errors.New("it is no VDI")
	}
	table, data := int64(le.Uint32(head[0x154:])), int64(le.Uint32(head[0x158:]))
	size, count := int64(le.Uint32(head[0x178:])), int64(le.Uint32(head[0x180:]))
	if size == 0 || table < 72 || table+4*count > info.Size() {
		return errors.New("its map of blocks is cut off")
	}
	blocks := make([]byte, 4*count)
	if _, err := f.ReadAt(blocks, table); err != nil {
		return err
	}
	end := data
	for ; len(blocks) > 0; blocks = blocks[4:] {
		if b := le.Uint32(blocks); b < unallocated {
			end = max(end, data+(int64(b)+1)*size)
		}
	}
	if end > data && info.Size() < end {
		return fmt.Errorf("it has %d bytes, and its map of blocks speaks of %d", info.Size(), end)
	}
	return nil
}
