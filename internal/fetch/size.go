package fetch

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// sizeName is the file that says how many bytes the file of its folder's checksum has: by it one that was cut off can be told from a whole
// one without being read. The folder of an older labctl has none until its file is used again.
const sizeName = ".size"

// noteSize notes the size of a file that has its checksum. The caller holds the folder's lock.
func noteSize(file, folder string) error {
	info, err := os.Stat(file)
	if err != nil {
		return err
	}
	if size, known := notedSize(folder); known && size == info.Size() {
		return nil
	}
	return writeFile(filepath.Join(folder, sizeName), fmt.Appendf(nil, "%d\n", info.Size()))
}

// notedSize returns what noteSize has noted. A note that can't be read is none.
func notedSize(folder string) (size int64, known bool) {
	text, err := os.ReadFile(filepath.Join(folder, sizeName))
	if err != nil {
		return 0, false
	}
	size, err = strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	return size, err == nil
}

// Has tells whether the source's file is in the cache, without reading it: Fetch checks it when it is used. One that does not have its
// size is not; where that was not noted, any file of the name is.
func (c *Cache) Has(source, sha256 string) bool {
	u, err := parseSource(source)
	if err != nil || !IsSHA256(strings.ToLower(sha256)) {
		return false
	}
	file := c.place(u, strings.ToLower(sha256))
	info, err := os.Stat(file)
	if err != nil || !info.Mode().IsRegular() {
		return false
	}
	size, known := notedSize(filepath.Dir(file))
	return !known || info.Size() == size
}

// KnowsSize tells whether Has can tell a whole file from a part.
func (c *Cache) KnowsSize(e Entry) bool {
	_, known := notedSize(filepath.Dir(e.Path))
	return known
}
