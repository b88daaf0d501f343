package main

import (
	"bytes"
	"compress/gzip"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"github.com/labctl/labctl/internal/sim"
	"github.com/labctl/labctl/internal/yaml"
)

// life is labctl run again and again, in this process, on one simulated lab, with all that leaves it kept: what it prints, the
// arguments of VBoxManage, and the process lists of the machines.
type life struct {
	t          *testing.T
	dir        string
	simulation sim.Options

	mu    sync.Mutex
	heard []heard
}

// heard is something that others than labctl's user may get to see.
type heard struct{ where, text string }

func newLife(t *testing.T) *life {
	l := &life{t: t, dir: t.TempDir()}
	l.write(ownLab, ownLabText)
	l.simulation.Process = func(argv []string) { l.hear("the process list of a machine", strings.Join(argv, " ")) }
	return l
}

func (l *life) hear(where, text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.heard = append(l.heard, heard{where, text})
}

func (l *life) env(key string) string {
	switch key {
	case "XDG_DATA_HOME":
		return filepath.Join(l.dir, "data")
	case "XDG_CACHE_HOME":
		return filepath.Join(l.dir, "cache")
	case "KUBECONFIG":
		return filepath.Join(l.dir, "home", "kubeconfig")
	}
	return ""
}

func (l *life) root() string { return filepath.Join(l.dir, "data", "labctl", "simulated") }

// run runs labctl, which must end with that status, and returns its standard output.
func (l *life) run(want int, args ...string) string {
	l.t.Helper()
	var out, errs bytes.Buffer
	a := newApp(strings.NewReader(""), &out, &errs, l.env)
	a.simulation = l.simulation
	a.called = func(args []string) { l.hear("the arguments of VBoxManage", strings.Join(args, " ")) }
	flags := []string{"--simulate", "-v"}
	if args[0] != "--lab" {
		flags = append(flags, "--lab", filepath.Join(l.dir, ownLab))
	}
	status := a.run(l.t.Context(), append(flags, args...))
	if status != want {
		l.t.Fatalf("labctl %v: status %d, not %d\n%s\n%s", args, status, want, out.String(), errs.String())
	}
	what := "labctl " + strings.Join(args, " ")
	if args[0] != "kubeconfig" || len(args) > 1 { // which is asked for a secret
		l.hear("standard output of "+what, out.String())
	}
	l.hear("standard error of "+what, errs.String())
	return out.String()
}

// ownLab is the file of the lab that is lived, and registryPassword a secret that only such a file can hold.
const (
	ownLab           = "labctl.yaml"
	registryPassword = "pLs-k33p-th1s"
	ownLabText       = "registries:\n  configs:\n    registry.example:5000: {auth: {username: me, password: " + registryPassword + "}}\n"
)

// write writes a file of the user's.
func (l *life) write(name, text string) string {
	l.t.Helper()
	path := filepath.Join(l.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		l.t.Fatal(err)
	}
	return path
}

// secret is something that must be nowhere but in the files it is made for.
type secret struct {
	name    string
	forms   [][]byte               // how it may be written
	allowed func(file string) bool // the file's path below the life's folder
}

// inBase64 are the texts that stand for data wherever it begins in what is encoded.
func inBase64(data []byte) [][]byte {
	var all [][]byte
	for shift := range 3 {
		text := base64.RawStdEncoding.EncodeToString(append(make([]byte, shift), data...))
		// The characters at both ends hold bits of the neighbours, too.
		all = append(all, []byte(text[(shift*8+5)/6:len(text)-1]))
	}
	return all
}

func forms(data []byte) [][]byte {
	return append(inBase64(data), data, []byte(hex.EncodeToString(data)))
}

// pemForms are the lines of a PEM block and the block's content; of an ed25519 key, what is secret of it.
func pemForms(t *testing.T, text []byte) [][]byte {
	t.Helper()
	block, _ := pem.Decode(text)
	if block == nil {
		t.Fatal("no PEM")
	}
	all := [][]byte{block.Bytes}
	if key, err := gossh.ParseRawPrivateKey(text); err == nil {
		if key, ok := key.(*ed25519.PrivateKey); ok {
			all = append(all, forms(key.Seed())...)
		}
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	for _, line := range lines[2 : len(lines)-1] { // the first line of each key of a kind is alike
		if len(line) >= 16 {
			all = append(all, []byte(line))
		}
	}
	return all
}

// secrets reads the secrets of the lab that is there.
func (l *life) secrets(lab string, nodes ...string) []secret {
	l.t.Helper()
	read := func(name string) []byte {
		data, err := os.ReadFile(filepath.Join(l.root(), lab, name))
		if err != nil {
			l.t.Fatal(err)
		}
		return bytes.TrimSpace(data)
	}
	// What plays the machines' disks holds what is on the machines.
	disk := func(file string) bool { return strings.HasPrefix(file, "data/labctl/simulated/.world/guests/") }
	only := func(names ...string) func(string) bool {
		return func(file string) bool {
			inLab, ok := strings.CutPrefix(file, "data/labctl/simulated/"+lab+"/")
			return ok && slices.Contains(names, inLab)
		}
	}
	or := func(f, g func(string) bool) func(string) bool {
		return func(file string) bool { return f(file) || g(file) }
	}
	all := []secret{
		{"the cluster's token", forms(read("token")), or(disk, only("token"))},
		{"the passphrase", forms(read("passphrase")), only("passphrase")},
		{"the registry's password", forms([]byte(registryPassword)), or(disk, func(file string) bool { return file == ownLab || path.Base(file) == "lab.yaml" })},
		{"the user's key", pemForms(l.t, read("id_ed25519")), only("id_ed25519")},
	}
	for _, n := range nodes {
		all = append(all, secret{"the host key of " + n, pemForms(l.t, read("hostkeys/"+n)), or(disk, only("hostkeys/"+n, "machines/"+n+"/seed.iso"))})
	}
	if _, err := os.Stat(filepath.Join(l.root(), lab, "kubeconfig")); err == nil {
		var k struct {
			Users []struct {
				User struct {
					Key string `yaml:"client-key-data"`
				} `yaml:"user"`
			} `yaml:"users"`
		}
		if err := yaml.Unmarshal(read("kubeconfig"), &k); err != nil || len(k.Users) != 1 || k.Users[0].User.Key == "" {
			l.t.Fatalf("no key in the kubeconfig: %v", err)
		}
		key, err := base64.StdEncoding.DecodeString(k.Users[0].User.Key)
		if err != nil {
			l.t.Fatal(err)
		}
		all = append(all, secret{"the administrator's key", append(pemForms(l.t, key), []byte(k.Users[0].User.Key)),
			or(or(disk, only("kubeconfig")), func(file string) bool { return file == "home/kubeconfig" })})
	}
	return all
}

// files calls f with every file below the life's folder.
func (l *life) files(f func(path, name string, info fs.FileInfo)) {
	l.t.Helper()
	err := filepath.WalkDir(l.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		name, err := filepath.Rel(l.dir, path)
		f(path, filepath.ToSlash(name), info)
		return err
	})
	if err != nil {
		l.t.Fatal(err)
	}
}

// search looks for the secrets in every file and in all that was heard. It returns how many files it read.
func (l *life) search(when string, secrets []secret) (read int) {
	l.t.Helper()
	l.files(func(path, name string, info fs.FileInfo) {
		if !info.Mode().IsRegular() {
			return
		}
		data, err := os.ReadFile(path)
		if err != nil {
			l.t.Fatal(err)
		}
		if z, err := gzip.NewReader(bytes.NewReader(data)); err == nil {
			plain, err := io.ReadAll(z)
			if err != nil {
				l.t.Fatalf("%s: %v", name, err)
			}
			data = append(data, plain...)
		}
		read++
		for _, s := range secrets {
			if !s.allowed(name) && s.in(data) {
				l.t.Errorf("%s: %s is in the file %q", when, s.name, name)
			}
		}
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, h := range l.heard {
		for _, s := range secrets {
			if s.in([]byte(h.text)) {
				l.t.Errorf("%s: %s is in %s: %.200q", when, s.name, h.where, h.text)
			}
		}
	}
	return read
}

func (s secret) in(data []byte) bool {
	return slices.ContainsFunc(s.forms, func(form []byte) bool { return bytes.Contains(data, form) })
}

// count is how much was heard at a place.
func (l *life) count(where string) int {
	n := 0
	for _, h := range l.heard {
		if strings.HasPrefix(h.where, where) && h.text != "" {
			n++
		}
	}
	return n
}

// taken asks for a machine whose name somebody else's has; see the caller.
const taken = `
nodes:
  - {name: cp1, role: server, address: 192.168.56.10}
  - {name: w1, role: agent, address: 192.168.56.11}
  - {name: w2, role: agent, address: 192.168.56.12}
  - {name: w4, role: agent, address: 192.168.56.14}
`

// TestSecretsStayWhereTheyBelong lives the whole life of a lab, with what goes wrong in it, and searches all that comes of it.
func TestSecretsStayWhereTheyBelong(t *testing.T) {
	t.Parallel()
	l := newLife(t)
	if err := os.Mkdir(filepath.Join(l.dir, "home"), 0o700); err != nil {
		t.Fatal(err)
	}
	nodes := []string{"cp1", "w1", "w2"}
	bundle := filepath.Join(l.dir, "evidence.tar.gz")

	l.run(exitOK, "plan")
	l.run(exitOK, "up")
	l.run(exitOK, "up")
	secrets := l.secrets("lab", nodes...)
	if len(secrets) != 8 {
		t.Fatalf("%d secrets", len(secrets))
	}
	for _, s := range secrets {
		// Were a secret not where it belongs, the search would look for the wrong thing.
		found := false
		l.files(func(path, name string, info fs.FileInfo) {
			if info.Mode().IsRegular() && s.allowed(name) {
				data, err := os.ReadFile(path)
				found = found || err == nil && s.in(data)
			}
		})
		if !found {
			t.Errorf("%s is not in its own file", s.name)
		}
	}
	l.run(exitOK, "status")
	l.run(exitOK, "status", "-o", "json")
	for _, format := range []string{"text", "json", "junit", "tap"} {
		l.run(exitOK, "verify", "-o", format)
	}
	l.run(exitOK, "collect", "-o", bundle)
	l.run(exitOK, "verify", "--evidence", bundle)
	l.run(exitOK, "kubeconfig")
	l.run(exitOK, "kubeconfig", "--merge")
	l.run(exitOK, "logs", "cp1")
	l.run(exitOK, "logs", "cp1", "--k3s")
	l.run(exitOK, "ssh", "cp1", "--", "kubectl", "get", "nodes")
	l.run(exitOK, "labs", "02")
	l.run(exitOK, "break", "agent-stopped")
	l.run(exitFailed, "verify", "-o", "json")
	l.run(exitOK, "collect", "-o", bundle+".broken.tar.gz")
	l.run(exitOK, "fix")
	l.search("a lab that is up", secrets)

	// What fails: a name that is taken, a file that is none, machines that are off, an API that comes too late.
	var out bytes.Buffer
	if sim.VBoxManage(filepath.Join(l.root(), ".world"), []string{"createvm", "--name", "lab-w4", "--ostype", "Ubuntu_64", "--register", "--basefolder", l.dir}, &out, &out) != 0 {
		t.Fatal(out.String())
	}
	l.run(exitUnable, "--lab", l.write("taken.yaml", taken), "up")
	l.run(exitOK, "up")
	l.run(exitUsage, "--lab", l.write("bad.yaml", "name: [\n"), "up")
	l.run(exitOK, "down")
	if report := l.run(exitUnable, "verify", "-o", "json"); !strings.Contains(report, `"unknown"`) {
		t.Error("nothing is unknown in a lab that is down")
	}
	l.run(exitOK, "start")
	slow := l.write("slow.yaml", "name: slow\nnetwork: {cidr: 192.168.57.0/24}\n")
	l.simulation.K3sStart = time.Hour
	l.run(exitTimeout, "--lab", slow, "up", "--timeout", "3s")
	secrets = append(secrets, l.secrets("slow", nodes...)...)
	l.search("a lab that failed", secrets)
	l.run(exitOK, "--lab", slow, "destroy", "--yes")

	l.run(exitOK, "destroy", "--yes")
	for _, lab := range []string{"lab", "slow"} {
		if _, err := os.Lstat(filepath.Join(l.root(), lab)); err == nil {
			t.Errorf("the folder of lab %q is still there", lab)
		}
	}
	files := l.search("after destroy", secrets)
	processes, calls := l.count("the process list"), l.count("the arguments")
	if files < 10 || processes < 100 || calls < 100 {
		t.Errorf("%d files, %d processes and %d calls of VBoxManage were searched: too few to tell anything", files, processes, calls)
	}
	t.Logf("searched %d files, %d processes, %d calls of VBoxManage, %d outputs", files, processes, calls, l.count("standard"))
}
