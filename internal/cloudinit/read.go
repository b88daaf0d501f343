package cloudinit

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

const (
	sectorSize   = 2048
	maxImageSize = 4 << 20 // bytes; a seed is about 60 KiB
	maxFiles     = 16
)

// Read returns the files of a seed image by name. It reads only what Write makes: one folder of files with Rock
// Ridge names, on a volume labelled cidata, of at most 4 MiB. Anything else is an error.
//
// It is a reader of its own, because an image may come from elsewhere and iso9660's reader believes the sizes that an
// image states.
func Read(path string) (map[string][]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading seed: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxImageSize+1))
	if err != nil {
		return nil, fmt.Errorf("reading seed: %w", err)
	}
	if len(data) > maxImageSize {
		return nil, fmt.Errorf("reading seed %q: larger than %d bytes", path, maxImageSize)
	}
	files, err := parseImage(data)
	if err != nil {
		return nil, fmt.Errorf("reading seed %q: %w", path, err)
	}
	return files, nil
}

// parseImage follows ECMA-119: 16 sectors of nothing, then the primary volume descriptor (8.4), which holds the record
// of the root folder.
func parseImage(image []byte) (map[string][]byte, error) {
	if len(image) < 17*sectorSize {
		return nil, errors.New("too short for an ISO 9660 image")
	}
	volume := image[16*sectorSize : 17*sectorSize]
	if !bytes.Equal(volume[:7], []byte("\x01CD001\x01")) {
		return nil, errors.New("no primary volume descriptor")
	}
	if label := strings.TrimRight(string(volume[40:72]), " \x00"); label != volumeLabel {
		return nil, fmt.Errorf("volume label is %q, not %q", label, volumeLabel)
	}
	if size := binary.LittleEndian.Uint16(volume[128:]); size != sectorSize {
		return nil, fmt.Errorf("block size is %d, not %d", size, sectorSize)
	}
	root, err := extent(image, volume[156:190])
	if err != nil {
		return nil, fmt.Errorf("root folder: %w", err)
	}
	files := make(map[string][]byte)
	for len(root) > 0 {
		// Records do not cross sectors; the rest of a sector is zero.
		sector := root[:min(sectorSize, len(root))]
		root = root[len(sector):]
		for len(sector) > 0 && sector[0] != 0 {
			size := int(sector[0])
			if size < 34 || size > len(sector) {
				return nil, fmt.Errorf("folder record of %d bytes", size)
			}
			if err := readRecord(image, sector[:size], files); err != nil {
				return nil, err
			}
			sector = sector[size:]
		}
	}
	return files, nil
}

// extent returns the bytes that a folder record (ECMA-119, 9.1) points to.
func extent(image, record []byte) ([]byte, error) {
	start := int64(binary.LittleEndian.Uint32(record[2:])) * sectorSize
	size := int64(binary.LittleEndian.Uint32(record[10:]))
	if start+size > int64(len(image)) {
		return nil, fmt.Errorf("%d bytes at %d lie outside the image", size, start)
	}
	return image[start : start+size], nil
}

func readRecord(image, record []byte, files map[string][]byte) error {
	const isFolder, hasMore = 0x02, 0x80
	flags, idLen := record[25], int(record[32])
	if 33+idLen > len(record) {
		return errors.New("folder record is shorter than its name")
	}
	if id := record[33 : 33+idLen]; idLen == 1 && id[0] <= 1 {
		return nil // the folder itself, its parent
	}
	padding := 1 - idLen%2
	name, err := rockRidgeName(record[min(33+idLen+padding, len(record)):])
	if err != nil {
		return err
	}
	if flags&(isFolder|hasMore) != 0 {
		return fmt.Errorf("%q is not a file in one piece", name)
	}
	if _, ok := files[name]; ok {
		return fmt.Errorf("%q is there twice", name)
	}
	if len(files) == maxFiles {
		return fmt.Errorf("more than %d files", maxFiles)
	}
	content, err := extent(image, record)
	if err != nil {
		return fmt.Errorf("%q: %w", name, err)
	}
	files[name] = bytes.Clone(content)
	return nil
}

// rockRidgeName finds the NM entry among a record's system use entries (SUSP 1.12; RRIP 1.12, 4.1.4).
func rockRidgeName(entries []byte) (string, error) {
	for len(entries) >= 4 {
		size := int(entries[2])
		if size < 4 || size > len(entries) {
			return "", fmt.Errorf("system use entry of %d bytes", size)
		}
		if string(entries[:2]) == "NM" {
			if size < 6 || entries[4] != 0 {
				return "", errors.New("name is not in one plain entry")
			}
			name := string(entries[5:size])
			if strings.ContainsAny(name, "/\x00") || name == "." || name == ".." {
				return "", fmt.Errorf("name %q", name)
			}
			return name, nil
		}
		entries = entries[size:]
	}
	return "", errors.New("file without a Rock Ridge name")
}
