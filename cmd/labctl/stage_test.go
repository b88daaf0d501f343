package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/labctl/labctl/internal/sim"
)

// stage is a simulated lab in a folder of its own, beside things of VirtualBox's that are somebody else's, and the director of its
// world: what goes wrong is decided at each event of the simulation, by decide.
type stage struct {
	t    testing.TB
	dir  string
	root string // all that labctl and VirtualBox know of; what save and restore copy

	mu     sync.Mutex
	decide func(sim.Event) sim.Ruling // nil: nothing goes wrong

	foreign virtualBox        // as it was planted
	files   map[string]string // of the foreign machine, by name
}

// quick are the waits of the simulated machines, where nobody is interested in them.
func quick() sim.Options {
	return sim.Options{Boot: time.Millisecond, K3sStart: time.Millisecond, PodStart: time.Millisecond}
}

func newStage(t testing.TB) *stage {
	t.Helper()
	s := &stage{t: t, dir: t.TempDir()}
	s.root = filepath.Join(s.dir, "root")
	d, err := sim.Direct(s.world(), quick(), func(e sim.Event) sim.Ruling {
		s.mu.Lock()
		decide := s.decide
		s.mu.Unlock()
		if decide == nil {
			return sim.Ruling{}
		}
		return decide(e)
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	s.plant()
	return s
}

// direct says what goes wrong from now on.
func (s *stage) direct(decide func(sim.Event) sim.Ruling) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.decide = decide
}

func (s *stage) world() string  { return filepath.Join(s.root, "data", "labctl", "simulated", ".world") }
func (s *stage) folder() string { return filepath.Join(s.root, "data", "labctl", "simulated", "lab") }

func (s *stage) env(key string) string {
	switch key {
	case "XDG_DATA_HOME":
		return filepath.Join(s.root, "data")
	case "XDG_CACHE_HOME":
		return filepath.Join(s.root, "cache")
	case "HOME":
		return filepath.Join(s.root, "home")
	}
	return ""
}

// vboxmanage goes behind labctl's back, and the director's.
func (s *stage) vboxmanage(args ...string) string {
	s.t.Helper()
	var out, errs bytes.Buffer
	if exit := sim.VBoxManage(s.world(), args, &out, &errs); exit != 0 {
		s.t.Fatalf("VBoxManage %v: %s", args, errs.String())
	}
	return out.String()
}

// plant makes what is not labctl's: an adapter, and a machine with a name like the lab's, a NAT rule, a disk and a snapshot.
func (s *stage) plant() {
	s.t.Helper()
	vms := filepath.Join(s.root, "vms")
	disk := filepath.Join(vms, "lab-w9", "lab-w9.vdi")
	s.vboxmanage("hostonlyif", "create")
	s.vboxmanage("hostonlyif", "ipconfig", "vboxnet0", "--ip", "192.168.57.1", "--netmask", "255.255.255.0")
	s.vboxmanage("createvm", "--name", "lab-w9", "--ostype", "Ubuntu_64", "--register", "--basefolder", vms, "--groups", "/labctl/lab")
	s.vboxmanage("modifyvm", "lab-w9", "--nat-pf1", "ssh,tcp,127.0.0.1,2210,,22")
	s.vboxmanage("storagectl", "lab-w9", "--name", "SATA", "--add", "sata", "--portcount", "2", "--bootable", "on")
	raw := filepath.Join(s.dir, "blank.raw")
	if err := errors.Join(os.WriteFile(raw, make([]byte, 1<<20), 0o600), os.MkdirAll(filepath.Dir(disk), 0o700)); err != nil {
		s.t.Fatal(err)
	}
	s.vboxmanage("convertfromraw", raw, disk, "--format", "VDI")
	s.vboxmanage("storageattach", "lab-w9", "--storagectl", "SATA", "--port", "0", "--device", "0", "--type", "hdd", "--medium", disk)
	s.vboxmanage("snapshot", "lab-w9", "take", "mine")
	s.vboxmanage("setextradata", "global", "somebody/else", "is here")
	s.foreign = s.virtualBox()
	s.files = s.tree(vms)
}

// tree are the files below a folder.
func (s *stage) tree(dir string) map[string]string {
	s.t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		files[path] = string(b)
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return files
}

// virtualBox is the simulated VirtualBox's state, as far as it has owners.
type virtualBox struct {
	Machines, Media, HostOnly, DHCP []map[string]any
	ExtraData                       map[string]string
}

func (s *stage) virtualBox() (v virtualBox) {
	s.t.Helper()
	b, err := os.ReadFile(filepath.Join(s.world(), "virtualbox.json"))
	if err == nil {
		err = json.Unmarshal(b, &v)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return v
}

// things are what is in VirtualBox beside what was planted, in words that are the same for every lab. An error says what of the
// planted is gone or was changed.
func (s *stage) things() (ours []string, err error) {
	now := s.virtualBox()
	compare := func(what string, before, now []map[string]any, name func(map[string]any) string) {
		for _, b := range before {
			if !slices.ContainsFunc(now, func(n map[string]any) bool { return reflect.DeepEqual(b, n) }) {
				err = errors.Join(err, fmt.Errorf("the foreign %s %s is gone, or was changed", what, name(b)))
			}
		}
		for _, n := range now {
			if !slices.ContainsFunc(before, func(b map[string]any) bool { return reflect.DeepEqual(b, n) }) {
				ours = append(ours, what+" "+name(n))
			}
		}
	}
	compare("machine", s.foreign.Machines, now.Machines, nameOfMachine)
	compare("medium", s.foreign.Media, now.Media, func(m map[string]any) string {
		path, _ := m["path"].(string)
		return filepath.Base(filepath.Dir(path))[:2] + "/" + snapshotDisk.ReplaceAllString(filepath.Base(path), "{UUID}")
	})
	compare("adapter", s.foreign.HostOnly, now.HostOnly, func(m map[string]any) string { return fmt.Sprint(m["name"], " ", m["address"]) })
	compare("DHCP server", s.foreign.DHCP, now.DHCP, func(m map[string]any) string { return fmt.Sprint(m["network"]) })
	for key, value := range s.foreign.ExtraData {
		if now.ExtraData[key] != value {
			err = errors.Join(err, fmt.Errorf("the foreign note %s is gone, or was changed", key))
		}
	}
	for key := range now.ExtraData {
		if _, foreign := s.foreign.ExtraData[key]; !foreign {
			ours = append(ours, "note "+key)
		}
	}
	if !reflect.DeepEqual(s.files, s.tree(filepath.Join(s.root, "vms"))) {
		err = errors.Join(err, errors.New("the foreign machine's files are not what they were"))
	}
	slices.Sort(ours)
	return ours, err
}

// nameOfMachine is its name with its network cards and NAT rules.
func nameOfMachine(m map[string]any) string {
	text := fmt.Sprint(m["name"])
	nics, _ := m["nics"].([]any)
	for _, n := range nics {
		nic, _ := n.(map[string]any)
		if nic["kind"] == "none" {
			continue
		}
		text += fmt.Sprint(" ", nic["kind"])
		rules, _ := nic["rules"].([]any)
		for _, r := range rules {
			rule, _ := r.(map[string]any)
			text += fmt.Sprint("(", rule["name"], ")")
		}
	}
	return text
}

// save keeps the stage as it is under a name, and restore brings it back.
func (s *stage) save(name string) {
	s.t.Helper()
	s.copy(s.root, filepath.Join(s.dir, name))
}

func (s *stage) restore(name string) {
	s.t.Helper()
	if err := os.RemoveAll(s.root); err != nil {
		s.t.Fatal(err)
	}
	s.copy(filepath.Join(s.dir, name), s.root)
}

func (s *stage) copy(from, to string) {
	s.t.Helper()
	if out, err := exec.Command("cp", "-a", from, to).CombinedOutput(); err != nil {
		s.t.Fatalf("cp: %v: %s", err, out)
	}
}

// run runs labctl and returns its exit status and what it printed: the one that LABCTL_TEST_BINARY names, in a process of its own, or
// that of the test in this process.
func (s *stage) run(args ...string) (status int, stdout, stderr string) {
	s.t.Helper()
	binary := os.Getenv(testBinary)
	if binary == "" {
		return s.runLimited(0, args...)
	}
	cmd := exec.CommandContext(s.t.Context(), binary, append([]string{"--simulate"}, args...)...)
	cmd.Dir, cmd.Env = s.dir, s.environ()
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		s.t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

// environ is what a labctl in a process of its own is given.
func (s *stage) environ() []string {
	all := []string{actAsLabctl + "=1", "PATH=" + os.Getenv("PATH")}
	for _, key := range []string{"XDG_DATA_HOME", "XDG_CACHE_HOME", "HOME"} {
		all = append(all, key+"="+s.env(key))
	}
	return all
}

// runLimited runs labctl in this process, with another limit of each call of VBoxManage.
func (s *stage) runLimited(limit time.Duration, args ...string) (status int, stdout, stderr string) {
	var out, errs bytes.Buffer
	a := newApp(strings.NewReader(""), &out, &errs, s.env)
	a.callLimit = limit
	status = a.run(s.t.Context(), append([]string{"--simulate"}, args...))
	return status, out.String(), errs.String()
}

func (s *stage) must(args ...string) string {
	s.t.Helper()
	status, out, errs := s.run(args...)
	if status != exitOK {
		s.t.Fatalf("labctl %v: status %d\n%s\n%s", args, status, out, errs)
	}
	return out
}

var (
	uuidForm     = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)
	snapshotDisk = regexp.MustCompile(`^\{[0-9a-f-]{36}\}`)
	labID        = regexp.MustCompile(`/[0-9a-f]{16}$`)
	pushedFile   = regexp.MustCompile(` sh (?:\S*/)?(\S+) 0\d\d\d `)
)

// stepOf is an event in words that are the same in every run and for every worker.
func stepOf(e sim.Event) string {
	switch e.Kind {
	case sim.DialEvent:
		if strings.HasSuffix(e.Where, ":22") {
			return "dial a node's sshd"
		}
		return "dial " + e.Where
	case sim.SSHEvent:
		role := "server: "
		if e.Where != "cp1" {
			role = "agent: "
		}
		return role + remoteStep(e.Words[0])
	}
	return "VBoxManage " + callStep(e.Words)
}

func remoteStep(command string) string {
	for _, known := range []struct{ part, name string }{
		{"cloud-init/result.json", "read cloud-init's result"},
		{"for f in /usr/local/bin/.k3s-", "look which k3s is there"},
		{`mv -f "$1" "$2"`, "put k3s in its place"},
		{"for f in", "look at the files of k3s"},
		{"systemctl start --no-block", "start k3s"},
		{"is-active", "ask whether k3s is active"},
		{"ln -sf k3s", "let the user use kubectl"},
	} {
		if strings.Contains(command, known.part) {
			return known.name
		}
	}
	if m := pushedFile.FindStringSubmatch(command); m != nil {
		if strings.HasPrefix(m[1], ".k3s-") {
			return "push k3s" // beside its place
		}
		return "push " + strings.TrimPrefix(m[1], "k3s-agent.")
	}
	words := strings.Fields(strings.Replace(command, "--kubeconfig /etc/rancher/k3s/k3s.yaml ", "", 1))
	return strings.Join(words[:min(4, len(words))], " ")
}

func callStep(words []string) string {
	plain := make([]string, len(words))
	for i, w := range words {
		switch {
		case uuidForm.MatchString(w), strings.HasPrefix(w, "lab-"):
			w = "VM"
		case filepath.IsAbs(w):
			w = filepath.Base(w)
		}
		plain[i] = labID.ReplaceAllString(w, "")
	}
	most := 3
	switch words[0] {
	case "createvm", "createmedium":
		most = 1
	case "storageattach": // VM --storagectl SATA --port N --device N … --medium none
		plain = []string{"storageattach", "port", words[5]}
		if words[len(words)-1] == "none" {
			plain, most = append(plain, "none"), 4
		}
	case "closemedium":
		most = 4 // with --delete
	case "setextradata":
		if len(words) == 3 {
			plain, most = append(plain, "(delete)"), 4
		}
	}
	return strings.Join(plain[:min(most, len(plain))], " ")
}

// writeTable puts a table where LABCTL_TABLES says.
func writeTable(t *testing.T, name, text string) {
	t.Helper()
	if dir := os.Getenv("LABCTL_TABLES"); dir != "" {
		if err := os.WriteFile(filepath.Join(dir, name+".txt"), []byte(text), 0o644); err != nil {
			t.Error(err)
		}
	}
}
