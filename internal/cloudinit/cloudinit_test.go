package cloudinit

import (
	"encoding/binary"
	"errors"
	"flag"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"github.com/labctl/labctl/internal/yaml"
)

var update = flag.Bool("update", false, "write the golden files anew")

func testSeed() Seed {
	return Seed{
		Hostname:      "w1",
		InstanceID:    "lab-w1-0a1b2c",
		User:          "ubuntu",
		AuthorizedKey: "ssh-ed25519 AAAAuser labctl",
		HostKey:       []byte("-----BEGIN OPENSSH PRIVATE KEY-----\nbm90IGEga2V5\n-----END OPENSSH PRIVATE KEY-----\n"),
		HostPublicKey: "ssh-ed25519 AAAAhost w1",
		MachineID:     "0123456789abcdef0123456789abcdef",
		NATMAC:        "08:00:27:AA:00:01",
		HostOnlyMAC:   "08:00:27:aa:00:02",
		HostOnly:      netip.MustParsePrefix("192.168.56.11/24"),
		Hosts: map[string]netip.Addr{
			"w2":  netip.MustParseAddr("192.168.56.12"),
			"cp1": netip.MustParseAddr("192.168.56.10"),
			"w1":  netip.MustParseAddr("192.168.56.11"),
		},
	}
}

func TestFilesGolden(t *testing.T) {
	const golden = "testdata/seed.txtar"
	files := testSeed().Files()
	if *update {
		archive := &txtar.Archive{Comment: []byte("synthetic: the files of testSeed, as Files makes them\n")}
		for _, name := range slices.Sorted(maps.Keys(files)) {
			archive.Files = append(archive.Files, txtar.File{Name: name, Data: files[name]})
		}
		if err := os.WriteFile(golden, txtar.Format(archive), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	archive, err := txtar.ParseFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	for _, f := range archive.Files {
		want[f.Name] = string(f.Data)
	}
	if diff := cmp.Diff(want, text(files)); diff != "" {
		t.Errorf("seed files (-golden +now), -update writes them:\n%s", diff)
	}
	if diff := cmp.Diff(text(files), text(testSeed().Files())); diff != "" {
		t.Errorf("the same seed gave other files:\n%s", diff)
	}
}

func text(files map[string][]byte) map[string]string {
	texts := map[string]string{}
	for name, content := range files {
		texts[name] = string(content)
	}
	return texts
}

// What a YAML 1.1 reader, cloud-init's, would take for a number or a bool must still be a string.
func TestFilesKeepStrings(t *testing.T) {
	s := testSeed()
	s.Hostname, s.User = "on", "no"
	s.MachineID = strings.Repeat("1234", 8)
	s.NATMAC = "52:54:00:12:34:56" // sexagesimal, in YAML 1.1
	files := s.Files()
	for _, want := range []struct{ file, line string }{
		{"user-data", `hostname: "on"`},
		{"user-data", `- name: "no"`},
		{"user-data", `- "12341234123412341234123412341234"`},
		{"meta-data", `local-hostname: "on"`},
		{"network-config", `macaddress: "52:54:00:12:34:56"`},
	} {
		if !strings.Contains(string(files[want.file]), want.line) {
			t.Errorf("%s lacks %q:\n%s", want.file, want.line, files[want.file])
		}
	}
	var back userData
	if err := yaml.Unmarshal(files["user-data"], &back); err != nil {
		t.Fatal(err)
	}
	if got := back.BootCmd[0][len(back.BootCmd[0])-1]; got != s.MachineID {
		t.Errorf("machine-id in bootcmd = %q, want %q", got, s.MachineID)
	}
	if got := back.SSHKeys["ed25519_private"]; got != string(s.HostKey) {
		t.Errorf("host key = %q, want %q", got, s.HostKey)
	}
}

func TestEtcHostsNamesTheMachineItself(t *testing.T) {
	s := testSeed()
	s.Hosts = nil
	want := "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n192.168.56.11 w1\n"
	if diff := cmp.Diff(want, s.etcHosts()); diff != "" {
		t.Errorf("/etc/hosts (-want +got):\n%s", diff)
	}
}

func TestWriteRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "seed.iso")
	s := testSeed()
	if err := Write(path, s); err != nil {
		t.Fatal(err)
	}
	first := checkSeed(t, path, s)

	if err := Write(path, s); err != nil {
		t.Fatal(err)
	}
	if again := checkSeed(t, path, s); !os.SameFile(first, again) {
		t.Error("the same seed was written again")
	}

	// What a killed run leaves must not be in the way.
	if err := os.WriteFile(path+".part", []byte("half"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(path+".files/old", 0o755); err != nil {
		t.Fatal(err)
	}
	s.InstanceID = "lab-w1-2"
	if err := Write(path, s); err != nil {
		t.Fatal(err)
	}
	if other := checkSeed(t, path, s); os.SameFile(first, other) {
		t.Error("another seed did not replace the file")
	}
	// A broken image is replaced too.
	if err := os.WriteFile(path, []byte("broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Write(path, s); err != nil {
		t.Fatal(err)
	}
	checkSeed(t, path, s)
}

// checkSeed checks that path holds s, is private and stands alone in its folder.
func checkSeed(t *testing.T, path string, s Seed) os.FileInfo {
	t.Helper()
	files, err := Read(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(text(s.Files()), text(files)); diff != "" {
		t.Errorf("files read back (-want +got):\n%s", diff)
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 1 {
		t.Errorf("folder holds %v, want the image alone", entries)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode = %v, want 0600", info.Mode())
	}
	return info
}

func TestWriteErrors(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*Seed)
		want   string
	}{
		{"empty host name", func(s *Seed) { s.Hostname = "" }, `host name "" is not a DNS label`},
		{"upper-case host name", func(s *Seed) { s.Hostname = "W1" }, `host name "W1"`},
		{"instance id of two lines", func(s *Seed) { s.InstanceID = "a\nb" }, "instance id"},
		{"no user", func(s *Seed) { s.User = "" }, `user ""`},
		{"two keys", func(s *Seed) { s.AuthorizedKey += "\nssh-ed25519 AAAAother" }, "authorized key is not one line"},
		{"host key is not PEM", func(s *Seed) { s.HostKey = []byte("AAAA") }, "host key is not PEM"},
		{"RSA host key", func(s *Seed) { s.HostPublicKey = "ssh-rsa AAAA" }, "host public key"},
		{"short machine-id", func(s *Seed) { s.MachineID = "abc" }, `machine-id "abc"`},
		{"MAC as VBoxManage prints it", func(s *Seed) { s.NATMAC = "080027AA0001" }, `MAC "080027AA0001"`},
		{"same MAC twice", func(s *Seed) { s.NATMAC = strings.ToUpper(s.HostOnlyMAC) }, "both NICs have the MAC"},
		{"no address", func(s *Seed) { s.HostOnly = netip.Prefix{} }, "host-only address"},
		{"hosts line", func(s *Seed) { s.Hosts["w2 evil"] = s.Hosts["w2"] }, `name "w2 evil"`},
		{"host without address", func(s *Seed) { s.Hosts["w3"] = netip.Addr{} }, `node "w3" has no address`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			s := testSeed()
			tt.change(&s)
			err := Write(filepath.Join(dir, "seed.iso"), s)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("err = %v, want %q in it", err, tt.want)
			}
			if entries, _ := os.ReadDir(dir); len(entries) != 0 {
				t.Errorf("left behind: %v", entries)
			}
		})
	}
	t.Run("no folder", func(t *testing.T) {
		err := Write(filepath.Join(t.TempDir(), "none", "seed.iso"), testSeed())
		if err == nil || !strings.Contains(err.Error(), "writing seed") {
			t.Errorf("err = %v, want one of writing", err)
		}
	})
}

// image returns the bytes of a good image and where its root folder begins.
func image(t testing.TB) (data []byte, root int) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "seed.iso")
	if err := Write(path, testSeed()); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data, int(binary.LittleEndian.Uint32(data[16*sectorSize+156+2:])) * sectorSize
}

func TestReadRefuses(t *testing.T) {
	const volume = 16 * sectorSize
	good, root := image(t)
	// The third record of the root folder is the first file's; before it come the folder itself and its parent.
	file := root
	for range 2 {
		file += int(good[file])
	}
	name := file + strings.Index(string(good[file:]), "NM")
	wholeSector := func(b []byte) []byte { // makes the root folder that large, and empty
		binary.LittleEndian.PutUint32(b[volume+156+10:], sectorSize)
		clear(b[root : root+sectorSize])
		return b[root : root+sectorSize]
	}
	for _, tt := range []struct {
		name   string
		change func(data []byte) []byte
		want   string
	}{
		{"empty", func([]byte) []byte { return nil }, "too short"},
		{"not an image", func([]byte) []byte { return make([]byte, 1<<20) }, "no primary volume descriptor"},
		{"too large", func(b []byte) []byte { return append(b, make([]byte, maxImageSize)...) }, "larger than"},
		{"other label", func(b []byte) []byte { copy(b[volume+40:], "config"); return b }, `volume label is "config"`},
		{"block size", func(b []byte) []byte { b[volume+128] = 1; return b }, "block size"},
		{"root folder outside", func(b []byte) []byte { b[volume+156+5] = 0xff; return b }, "root folder: "},
		{"root folder of 4 GiB", func(b []byte) []byte { b[volume+156+13] = 0xff; return b }, "root folder: "},
		{"short record", func(b []byte) []byte { b[file] = 33; return b }, "folder record of 33 bytes"},
		{"record over the end of the sector", func(b []byte) []byte {
			root := wholeSector(b)
			for at := 0; at+34 < len(root); at += 34 { // the folder itself, again and again
				root[at], root[at+32] = 34, 1
			}
			root[60*34] = 200
			return b
		}, "folder record of 200 bytes"},
		{"name longer than its record", func(b []byte) []byte { b[file+32] = 250; return b }, "shorter than its name"},
		{"name over all of its record", func(b []byte) []byte { b[file+32] = b[file] - 33; return b }, "without a Rock Ridge name"},
		{"endless entry", func(b []byte) []byte { b[name+2] = 0; return b }, "system use entry of 0 bytes"},
		{"entry over the end", func(b []byte) []byte { b[name+2] = 255; return b }, "system use entry of 255 bytes"},
		{"no entry for the name", func(b []byte) []byte { b[name] = 'X'; return b }, "without a Rock Ridge name"},
		{"name in parts", func(b []byte) []byte { b[name+4] = 1; return b }, "not in one plain entry"},
		{"path as name", func(b []byte) []byte { copy(b[name+5:], "../"); return b }, `name "../`},
		{"folder", func(b []byte) []byte { b[file+25] |= 2; return b }, "not a file in one piece"},
		{"file outside", func(b []byte) []byte { b[file+13] = 0x7f; return b }, "lie outside the image"},
		{"same file twice", func(b []byte) []byte {
			size := int(b[file])
			copy(b[file+size:], b[file:file+size])
			return b
		}, "is there twice"},
		{"many files", func(b []byte) []byte {
			record := slices.Clone(b[root : root+34])
			record[0], record[25], record[32], record[33] = 34+6, 0, 1, 'X'
			root := wholeSector(b)
			for i := range maxFiles + 1 {
				copy(root[i*40:], record)
				copy(root[i*40+34:], []byte{'N', 'M', 6, 1, 0, byte('a' + i)})
			}
			return b
		}, "more than 16 files"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "seed.iso")
			if err := os.WriteFile(path, tt.change(slices.Clone(good)), 0o600); err != nil {
				t.Fatal(err)
			}
			files, err := Read(path)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Read = %v, %v; want an error with %q", slices.Collect(maps.Keys(files)), err, tt.want)
			}
		})
	}
	t.Run("no file", func(t *testing.T) {
		if _, err := Read(filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("err = %v, want not exist", err)
		}
	})
}

// FuzzParseImage changes a folder record and the volume's descriptor: whatever they say, the reader ends without a
// panic and gives back no more than the image held, once for each file.
func FuzzParseImage(f *testing.F) {
	good, root := image(f)
	f.Add(good[16*sectorSize:16*sectorSize+256], good[root:root+sectorSize])
	f.Fuzz(func(t *testing.T, volume, folder []byte) {
		data := slices.Clone(good)
		copy(data[16*sectorSize:17*sectorSize], volume)
		copy(data[root:root+sectorSize], folder)
		files, err := parseImage(data)
		if err != nil && files != nil {
			t.Errorf("files beside the error %v", err)
		}
		for name, content := range files {
			if len(content) > len(data) || strings.Contains(name, "/") {
				t.Errorf("file %q of %d bytes", name, len(content))
			}
		}
	})
}
