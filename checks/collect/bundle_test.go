package collect

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/labctl/labctl/checks"
	"github.com/labctl/labctl/checks/report"
	"github.com/labctl/labctl/internal/config"
)

// jsonReport is the report on evidence, as verify -o json prints it.
func jsonReport(t *testing.T, e *Evidence) string {
	t.Helper()
	out, err := report.JSON(checks.Evaluate(Parse(e), checks.Catalogue()))
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// A bundle gives the report that the lab gave, to the byte.
func TestBundleGivesTheSameReport(t *testing.T) {
	f := newFakeLab(t)
	f.down["w2"] = errors.New("dial tcp 192.168.56.12:22: connect: no route to host")
	live, err := Collect(t.Context(), f.options())
	if err != nil {
		t.Fatal(err)
	}
	var bundle, again bytes.Buffer
	if err := Write(&bundle, live, "v1"); err != nil {
		t.Fatal(err)
	}
	if err := Write(&again, live, "v1"); err != nil || !bytes.Equal(bundle.Bytes(), again.Bytes()) {
		t.Errorf("the same evidence gives another bundle: %v", err)
	}
	read, err := Read(bytes.NewReader(bundle.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	if diff := lineDiff(jsonReport(t, live), jsonReport(t, read)); diff != "" {
		t.Error(diff)
	}
	if len(read.Items) != len(live.Items) || len(live.Items) == 0 {
		t.Errorf("%d items of %d", len(read.Items), len(live.Items))
	}
}

func TestBundleKeepsNoSecret(t *testing.T) {
	secret := "K10" + strings.Repeat("0a", 32) + "::server:verysecret"
	lab := config.Default()
	lab.Registries.Configs = map[string]config.RegistryConfig{"m.example": {Auth: config.RegistryAuth{Username: "me", Password: "verysecret1"}}}
	lab.Proxy = config.Proxy{HTTP: "http://me:verysecret2@p.example:3128"}
	e := &Evidence{Lab: lab, Items: []Item{{
		Where: "cp1", Command: "echo " + secret, Stdout: []byte(secret + " verysecret1"), Stderr: []byte("K3S_TOKEN=verysecret"), Err: "--token verysecret",
	}, {Where: "cp1", Command: "env", Stdout: []byte("HTTP_PROXY=http://me:verysecret2@p.example:3128")}}}
	var bundle bytes.Buffer
	if err := Write(&bundle, e, "v1"); err != nil {
		t.Fatal(err)
	}
	files, err := readFiles(&bundle)
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != 4 {
		t.Errorf("%d files, want 4", len(files))
	}
	for name, data := range files {
		if bytes.Contains(data, []byte("verysecret")) {
			t.Errorf("%q holds a secret: %s", name, data)
		}
	}
}

func TestEvidenceOfNoLab(t *testing.T) {
	if err := Write(io.Discard, &Evidence{}, "v1"); err == nil {
		t.Error("no error")
	}
}

// packed is a bundle of these files, as anybody could make it.
func packed(t testing.TB, files ...tar.Header) []byte {
	t.Helper()
	var out bytes.Buffer
	zipped, err := gzip.NewWriterLevel(&out, gzip.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	archive := tar.NewWriter(zipped)
	for _, h := range files {
		data := h.PAXRecords["LABCTL.data"]
		h.PAXRecords = nil
		if h.Typeflag == 0 {
			h.Typeflag = tar.TypeReg
		}
		if h.Size == 0 {
			h.Size = int64(len(data))
		}
		if err := archive.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeReg {
			io.Copy(archive, io.LimitReader(io.MultiReader(strings.NewReader(data), zeros{}), h.Size))
		}
	}
	archive.Close()
	zipped.Close()
	return out.Bytes()
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// sparse is a bundle of so many files of 32 MiB each, which are nothing but holes: a kilobyte each.
func sparse(t testing.TB, files int) []byte {
	t.Helper()
	var out bytes.Buffer
	zipped := gzip.NewWriter(&out)
	block := func(name string, kind byte, content string) {
		h := make([]byte, 512)
		copy(h, name)
		copy(h[100:], "0000644\x000000000\x000000000\x00"+fmt.Sprintf("%011o\x00", len(content))+"00000000000\x00        "+string(kind))
		copy(h[257:], "ustar\x0000")
		sum := 0
		for _, b := range h {
			sum += int(b)
		}
		copy(h[148:], fmt.Sprintf("%06o\x00 ", sum))
		zipped.Write(h)
		io.WriteString(zipped, content+strings.Repeat("\x00", (512-len(content)%512)%512))
	}
	record := func(key, value string) string {
		length := len(key) + len(value) + 3
		length += len(fmt.Sprint(length + len(fmt.Sprint(length))))
		return fmt.Sprintf("%d %s=%s\n", length, key, value)
	}
	for i := range files {
		block("pax", tar.TypeXHeader, record("GNU.sparse.major", "1")+record("GNU.sparse.minor", "0")+
			record("GNU.sparse.name", fmt.Sprint(i))+record("GNU.sparse.realsize", fmt.Sprint(maxOutput)))
		block("data", tar.TypeReg, fmt.Sprintf("%-512s", "1\n"+fmt.Sprint(maxOutput)+"\n0\n")) // the map of what is no hole: nothing, at the end
	}
	zipped.Write(make([]byte, 1024))
	zipped.Close()
	return out.Bytes()
}

// damaged is a gzip whose checksum is that of other bytes.
func damaged(zipped []byte) []byte {
	zipped[len(zipped)-8] ^= 1
	return zipped
}

func TestHostileBundles(t *testing.T) {
	lab, err := config.Marshal(config.Default())
	if err != nil {
		t.Fatal(err)
	}
	quoted := strings.NewReplacer("\n", `\n`, `"`, `\"`).Replace(string(lab))
	file := func(name, data string) tar.Header {
		return tar.Header{Name: name, Mode: 0o644, PAXRecords: map[string]string{"LABCTL.data": data}}
	}
	good := file("manifest.json", `{"schema":"labctl/v1","lab":"`+quoted+`","commands":[{"where":"cp1","command":"hostname","stdout":"0"}],"newer":1}`)
	if _, err := Read(bytes.NewReader(packed(t, good, file("0", "cp1\n")))); err != nil {
		t.Fatalf("a good bundle: %v", err)
	}
	for name, x := range map[string]struct {
		bundle []byte
		want   string
	}{
		"nothing":             {nil, "no gzipped tar"},
		"no gzip":             {[]byte("hello, I am no bundle"), "no gzipped tar"},
		"cut short":           {packed(t, good, file("0", strings.Repeat("cp1", 9999)))[:300], "EOF"},
		"cut in the checksum": {packed(t, good, file("0", "cp1\n"))[:len(packed(t, good, file("0", "cp1\n")))-2], "it is damaged: unexpected EOF"},
		"another checksum":    {damaged(packed(t, good, file("0", "cp1\n"))), "it is damaged: gzip: invalid checksum"},
		"more after the tar":  {append(packed(t, good, file("0", "cp1\n")), "hello"...), "it is damaged"},
		"a folder above":      {packed(t, good, file("../0", "x")), `"../0" is no name`},
		"a folder above, in":  {packed(t, good, file("a/../../0", "x")), "is no name"},
		"an absolute path":    {packed(t, good, file("/etc/passwd", "x")), "is no name"},
		"a hidden file":       {packed(t, good, file(".bashrc", "x")), "is no name"},
		"a symbolic link":     {packed(t, good, tar.Header{Name: "0", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"}), "not a plain file"},
		"a hard link":         {packed(t, good, tar.Header{Name: "0", Typeflag: tar.TypeLink, Linkname: "manifest.json"}), "not a plain file"},
		"a folder":            {packed(t, good, tar.Header{Name: "0", Typeflag: tar.TypeDir}), "not a plain file"},
		"a device":            {packed(t, good, tar.Header{Name: "0", Typeflag: tar.TypeChar}), "not a plain file"},
		"a file twice":        {packed(t, good, file("0", "x"), file("0", "y")), "twice"},
		"a huge file":         {packed(t, good, tar.Header{Name: "0", Size: maxOutput + 1}), "larger than 32 MiB"},
		"a huge bundle": {packed(t, good, tar.Header{Name: "0", Size: maxOutput}, tar.Header{Name: "1", Size: maxOutput}, tar.Header{Name: "2", Size: maxOutput},
			tar.Header{Name: "3", Size: maxOutput}, tar.Header{Name: "4", Size: maxOutput}, tar.Header{Name: "5", Size: maxOutput}, tar.Header{Name: "6", Size: maxOutput},
			tar.Header{Name: "7", Size: maxOutput}), "larger than 256 MiB"},
		"many sparse files": {sparse(t, 9), "larger than 256 MiB"},
		"an output of two commands": {packed(t, file("manifest.json", `{"schema":"labctl/v1","lab":"`+quoted+`","commands":[`+
			`{"where":"cp1","command":"a","stdout":"0"},{"where":"cp1","command":"b","stdout":"0"}]}`), file("0", "x")), `command 1 names "0", which is another output`},
		"too many commands": {packed(t, file("manifest.json", `{"schema":"labctl/v1","lab":"`+quoted+`","commands":[`+
			strings.Repeat(`{},`, maxBundleFiles)+`{}]}`)), "more than 100000 commands"},
		"no manifest":          {packed(t, file("0", "x")), `no "manifest.json"`},
		"no JSON":              {packed(t, file("manifest.json", "cp1")), "manifest.json"},
		"another schema":       {packed(t, file("manifest.json", `{"schema":"labctl/v9"}`)), `the schema is "labctl/v9"`},
		"no lab":               {packed(t, file("manifest.json", `{"schema":"labctl/v1","lab":"nodes: 3"}`)), "lab"},
		"an output is missing": {packed(t, good), `names "0", which is not in the bundle`},
		"an incomplete entry":  {packed(t, file("manifest.json", `{"schema":"labctl/v1","lab":"`+quoted+`","commands":[{"where":"cp1"}]}`)), "command 0 is incomplete"},
	} {
		t.Run(name, func(t *testing.T) {
			e, err := Read(bytes.NewReader(x.bundle))
			if err == nil || !strings.Contains(err.Error(), x.want) {
				t.Errorf("error %v, want %q (%v)", err, x.want, e)
			}
		})
	}
}

func FuzzBundle(f *testing.F) {
	var good bytes.Buffer
	e := &Evidence{Lab: config.Default(), Items: []Item{{Where: "cp1", Command: "hostname", Stdout: []byte("cp1\n"), Started: time.Unix(1763819224, 5)}}}
	if err := Write(&good, e, "v1"); err != nil {
		f.Fatal(err)
	}
	f.Add(good.Bytes())
	f.Add(packed(f, tar.Header{Name: "../x"}))
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := Read(bytes.NewReader(data))
		if (e == nil) != (err != nil) {
			t.Fatalf("evidence %v beside error %v", e, err)
		}
		if err != nil {
			return
		}
		var again bytes.Buffer
		if err := Write(&again, e, "v1"); err != nil {
			t.Fatal(err)
		}
		back, err := Read(&again)
		if err != nil {
			t.Fatalf("what was read does not read back: %v", err)
		}
		if diff := cmp.Diff(len(e.Items), len(back.Items)); diff != "" {
			t.Error(diff)
		}
	})
}
