package fetch

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
)

const (
	// sumsLimit is the most bytes that a list of checksums may have; the longest known ones have some ten thousand.
	sumsLimit = 1 << 20
	// sumsFolder is where lists of checksums are kept, each in a folder named after its source.
	sumsFolder = "checksums"
)

// Checksum returns the SHA-256 that the source's file must have, 64 lower-case hexadecimal digits. checksum is that, also with
// sha256: before it, or the URL or path of a list of checksums in which the file stands by its name. A list that was
// fetched once is kept, so that it needs no network again; it is asked for anew with Refresh and where it lacks the name.
func (c *Cache) Checksum(ctx context.Context, source, checksum string, progress Progress) (string, error) {
	if sum, ok := ParseChecksum(checksum); ok {
		return sum, nil
	}
	u, err := parseSource(source)
	if err != nil {
		return "", fmt.Errorf("checksum of %q: %w", redacted(source), err)
	}
	name := path.Base(u.Path)
	sums, err := c.Sums(ctx, checksum, func(sums map[string]string) error {
		if sums[name] == "" {
			return fmt.Errorf("names no checksum of %q", name)
		}
		return nil
	}, progress)
	if err != nil {
		return "", fmt.Errorf("checksum of %q: %w", redacted(source), err)
	}
	return sums[name], nil
}

// KnownChecksum is Checksum without the network, and without changing anything: ok is false where a list would have to be
// fetched.
func (c *Cache) KnownChecksum(source, checksum string) (sum string, ok bool) {
	if sum, ok := ParseChecksum(checksum); ok {
		return sum, true
	}
	u, err := parseSource(source)
	if err != nil {
		return "", false
	}
	sum, ok = c.KnownSums(checksum)[path.Base(u.Path)]
	return sum, ok
}

// KnownSums is Sums without the network, and without changing anything: empty where the list would have to be fetched.
func (c *Cache) KnownSums(source string) map[string]string {
	u, err := parseSource(source)
	if err != nil {
		return nil
	}
	if u.Scheme == "file" {
		if sums := readList(filePath(u)); sums != nil {
			return sums
		}
	}
	return readList(c.keptList(u))
}

// ParseChecksum reads HEX or sha256:HEX; ok is false for everything else.
func ParseChecksum(s string) (sum string, ok bool) {
	sum = strings.ToLower(strings.TrimPrefix(s, "sha256:"))
	return sum, IsSHA256(sum)
}

// Sums returns a list of checksums, by file name. enough says what the caller lacks in one; nil: nothing. A list that was fetched once
// is kept, so that it needs no network again. It is asked for anew with Refresh, and where the kept one is not enough; a list on
// a disk is always read, unless that is gone by now. What is kept stays until another one is enough.
func (c *Cache) Sums(ctx context.Context, source string, enough func(sums map[string]string) error, progress Progress) (map[string]string, error) {
	u, err := parseSource(source)
	if err != nil {
		return nil, err
	}
	kept, lacks := c.keptList(u), error(nil)
	known := func() map[string]string {
		sums := readList(kept)
		if sums == nil {
			return nil
		}
		if lacks = enough(sums); lacks != nil {
			return nil
		}
		return sums
	}
	if u.Scheme != "file" && !c.Refresh {
		if sums := known(); sums != nil {
			return sums, nil
		}
	}
	text, err := c.fetchText(ctx, u, sumsLimit, progress)
	if u.Scheme == "file" && errors.Is(err, os.ErrNotExist) { // the disk that it was on may be gone by now
		if sums := known(); sums != nil {
			return sums, nil
		}
	}
	if err != nil {
		err = fmt.Errorf("fetching %q: %w", redacted(source), err)
		if lacks != nil {
			err = fmt.Errorf("the list that is kept %w; %w", lacks, err)
		}
		return nil, err
	}
	sums, err := ParseSums(text)
	if err != nil {
		return nil, fmt.Errorf("%q: %w", redacted(source), err)
	}
	if err := enough(sums); err != nil {
		return nil, fmt.Errorf("%q %w", redacted(source), err)
	}
	if err := c.keepList(ctx, kept, text, progress.say); err != nil {
		return nil, fmt.Errorf("keeping %q: %w", redacted(source), err)
	}
	return sums, nil
}

func (c *Cache) keepList(ctx context.Context, file string, text []byte, say func(string)) error {
	if have, err := os.ReadFile(file); err == nil && bytes.Equal(have, text) {
		return nil
	}
	dir := filepath.Dir(file)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	unlock, err := lockFolder(ctx, dir, say, func() {})
	if err != nil {
		return err
	}
	defer unlock()
	return writeFile(file, text)
}

// keptList is where the list from that source is kept.
func (c *Cache) keptList(u *url.URL) string {
	hash := sha256.Sum256([]byte(u.String()))
	return filepath.Join(c.Dir, sumsFolder, hex.EncodeToString(hash[:8]), c.fileName(u))
}

// readList reads a list that is kept; one that is not there, or damaged, holds nothing.
func readList(file string) map[string]string {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	sums, err := ParseSums(text)
	if err != nil {
		return nil
	}
	return sums
}

var (
	gnuLine = regexp.MustCompile(`^\\?([0-9A-Fa-f]{64}) [ *](.+)$`)
	bsdLine = regexp.MustCompile(`^([A-Z0-9]+) ?\((.+)\) ?= ?([0-9A-Fa-f]+)$`)
)

// ParseSums reads a list of checksums as sha256sum writes it, `HEX  NAME` or `HEX *NAME`, or with --tag, `SHA256 (NAME) = HEX`,
// where lines of other algorithms may stand too. It returns the checksums, in lower case, by file name. Empty lines and
// comments (#) mean nothing; an empty list, any other line, and two checksums of one name are errors.
func ParseSums(data []byte) (map[string]string, error) {
	sums := map[string]string{}
	lines := bufio.NewScanner(bytes.NewReader(data))
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimRight(lines.Text(), " \t\r")
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		var sum, name string
		if f := gnuLine.FindStringSubmatch(line); f != nil {
			sum, name = f[1], f[2]
		} else if f := bsdLine.FindStringSubmatch(line); f != nil && f[1] != "SHA256" {
			continue
		} else if f != nil && IsSHA256(f[3]) {
			sum, name = f[3], f[2]
		} else {
			return nil, fmt.Errorf("list of checksums, line %d: want a SHA-256 and a file name, have %q", n, clip(line))
		}
		sum, name = strings.ToLower(sum), strings.TrimPrefix(name, "./")
		if other, twice := sums[name]; twice && other != sum {
			return nil, fmt.Errorf("list of checksums, line %d: a second checksum for %q", n, name)
		}
		sums[name] = sum
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("list of checksums: %w", err)
	}
	if len(sums) == 0 {
		return nil, errors.New("list of checksums: it is empty")
	}
	return sums, nil
}

// clip shortens a line for an error.
func clip(s string) string {
	const most = 80
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}
