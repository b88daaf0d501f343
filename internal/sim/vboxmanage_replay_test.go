package sim

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// recordedCall is one call of a transcript.
type recordedCall struct {
	line           string // without "$ "
	stdout, stderr string
	exit           int
}

func readTranscript(t *testing.T, name string) []recordedCall {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "virtualbox", "7.2.22", name))
	if err != nil {
		t.Fatal(err)
	}
	var calls []recordedCall
	for line := range strings.Lines(string(data)) {
		kind, text, _ := strings.Cut(line, " ")
		if kind == "$" {
			calls = append(calls, recordedCall{line: strings.TrimSpace(text)})
			continue
		}
		if len(calls) == 0 {
			continue
		}
		c := &calls[len(calls)-1]
		switch kind {
		case "1>":
			c.stdout += text
		case "2>":
			c.stderr += text
		case "exit":
			if _, err := fmt.Sscan(text, &c.exit); err != nil {
				t.Fatalf("%s: %q: %v", name, line, err)
			}
		}
	}
	return calls
}

// numbering replaces what differs from run to run: what is the same each time it occurs gets a number, so that two runs
// agree only if they use the same UUID in the same places.
type numbering map[string]string

var (
	variable = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|080027[0-9A-F]{6}`)
	masked   = []struct {
		pattern *regexp.Regexp
		with    string
	}{
		{regexp.MustCompile(`VMStateChangeTime="\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}"`), `VMStateChangeTime="…"`},
		{regexp.MustCompile(`Size on disk:   \d+ MBytes`), `Size on disk:   … MBytes`},
		// As recorded, this is not the UUID that the medium then has in the registry.
		{regexp.MustCompile(`UUID changed to: [0-9a-f-]{36}\n`), "UUID changed to: …\n"},
		{regexp.MustCompile(`\('[^']*/(VirtualBox.xml|virtualbox.json)'\)`), `('REGISTRY')`},
	}
)

func (n numbering) mask(s string) string {
	for _, m := range masked {
		s = m.pattern.ReplaceAllString(s, m.with)
	}
	return variable.ReplaceAllStringFunc(s, func(found string) string {
		if found == nullUUID {
			return found
		}
		if n[found] == "" {
			n[found] = fmt.Sprintf("#%d", len(n)+1)
		}
		return n[found]
	})
}

// needsDriver are the calls that failed when recorded because the kernel modules were missing. The simulation has them.
func needsDriver(line string) bool {
	return strings.HasPrefix(line, "VBoxManage startvm ") || line == "VBoxManage hostonlyif create"
}

func TestVBoxManageRepeatsRecordings(t *testing.T) {
	t.Parallel()
	for name, promised := range map[string]int{
		"life.txt": 63, "base-image-survival.txt": 19, "image-formats.txt": 10, "bad-images.txt": 9,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, lab := t.TempDir(), t.TempDir()
			writeLab(t, lab)
			real, simulated := numbering{}, numbering{}
			compared := 0
			for _, want := range readTranscript(t, name) {
				if needsDriver(want.line) {
					continue
				}
				args := strings.Fields(strings.ReplaceAll(want.line, "/lab/", lab+"/"))
				var out, errs bytes.Buffer
				var exit int
				if args[0] == "ls" {
					exit = list(args[1], &out, &errs)
				} else {
					exit = VBoxManage(dir, args[1:], &out, &errs)
				}
				got := recordedCall{line: want.line, exit: exit,
					stdout: simulated.mask(strings.ReplaceAll(out.String(), lab+"/", "/lab/")),
					stderr: simulated.mask(strings.ReplaceAll(errs.String(), lab+"/", "/lab/"))}
				want.stdout, want.stderr = real.mask(want.stdout), real.mask(want.stderr)
				if diff := cmp.Diff(want, got, cmp.AllowUnexported(recordedCall{})); diff != "" {
					t.Errorf("%s (-recorded +simulated):\n%s", want.line, diff)
				}
				compared++
			}
			if compared < promised {
				t.Errorf("compared %d calls, want %d", compared, promised)
			}
		})
	}
}

// list is the transcripts' `ls FILE`.
func list(path string, out, errs *bytes.Buffer) int {
	if _, err := os.Stat(path); err != nil {
		fmt.Fprintf(errs, "ls: cannot access '%s': No such file or directory\n", path)
		return 2
	}
	fmt.Fprintln(out, path)
	return 0
}

// writeLab makes the files that the transcripts begin with.
func writeLab(t *testing.T, lab string) {
	t.Helper()
	for name, data := range map[string][]byte{
		"base.img":    make([]byte, 64*mib),
		"seed.iso":    make([]byte, 64*1024),
		"bad.vmdk":    []byte("no image"),
		"cloud.vmdk":  vmdk(64, true),
		"so.vmdk":     vmdk(3073, true),
		"sparse.vmdk": vmdk(3073, false),
		"c3.img":      qcow2(3, 3073),
		"c2.qcow2":    qcow2(2, 3073),
	} {
		writeTestFile(t, filepath.Join(lab, name), data)
	}
	if err := os.Mkdir(filepath.Join(lab, "vms"), 0o700); err != nil {
		t.Fatal(err)
	}
}

func writeTestFile(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// vmdk is the head of a VMDK as qemu-img writes it, without a UUID.
func vmdk(mebibytes int, stream bool) []byte {
	b := make([]byte, 22*512)
	copy(b, "KDMV")
	binary.LittleEndian.PutUint32(b[4:], 3)
	binary.LittleEndian.PutUint64(b[12:], uint64(mebibytes)*mib/512)
	binary.LittleEndian.PutUint64(b[28:], 1) // the descriptor's first sector
	binary.LittleEndian.PutUint64(b[36:], 20)
	if stream {
		b[77] = 1
	}
	copy(b[512:], "# Disk DescriptorFile\nversion=1\nddb.adapterType = \"ide\"\n")
	return b
}

func qcow2(version, mebibytes int) []byte {
	b := image()
	binary.BigEndian.PutUint32(b[4:], uint32(version))
	binary.BigEndian.PutUint64(b[24:], uint64(mebibytes)*mib)
	return b
}
