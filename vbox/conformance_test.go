//go:build conformance

package vbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/labctl/labctl/internal/sim"
)

// This test makes one life of several machines, through this package alone, first with a real VBoxManage and then with
// the simulated one, and compares everything that came back: results, kinds of errors, and their first lines. UUIDs, the
// folder and times are masked.
//
//	LABCTL_CONFORMANCE_VBOXMANAGE  the real program
//	LABCTL_CONFORMANCE_DIR         an empty folder that it can see, at the same path

// The process under test is this test binary, run again: it notes its arguments, then is the real or the simulated
// VBoxManage.
const (
	envCalls = "LABCTL_CONFORMANCE_CALLS" // the file that the arguments are appended to, a JSON array per line
	envState = "LABCTL_CONFORMANCE_STATE" // the simulated VirtualBox's folder; empty: the real one
	envReal  = "LABCTL_CONFORMANCE_VBOXMANAGE"
	envDir   = "LABCTL_CONFORMANCE_DIR"
)

func TestMain(m *testing.M) {
	if file := os.Getenv(envCalls); file != "" {
		os.Exit(recordedCall(file, os.Args[1:]))
	}
	os.Exit(m.Run())
}

func recordedCall(file string, args []string) int {
	line, err := json.Marshal(args)
	if err == nil {
		err = appendLine(file, line)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "VBoxManage: error: conformance test:", err)
		return 1
	}
	if dir := os.Getenv(envState); dir != "" {
		return sim.VBoxManage(dir, args, os.Stdout, os.Stderr)
	}
	cmd := exec.Command(os.Getenv(envReal), args...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	err = cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		fmt.Fprintln(os.Stderr, "VBoxManage: error: conformance test:", err)
		return 1
	}
	return cmd.ProcessState.ExitCode()
}

func appendLine(file string, line []byte) error {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.Write(append(line, '\n'))
	return err
}

// exceptions are the sub-commands that the life does not use, each with the reason.
var exceptions = map[string]string{
	"startvm":           "a machine cannot be started without VirtualBox's kernel modules",
	"controlvm":         "needs a machine that runs",
	"discardstate":      "needs a machine that ran and was saved",
	"hostonlyif":        "needs the kernel module vboxnetadp",
	"hostonlynet":       "exists on macOS only",
	"list hostonlynets": "exists on macOS only",
	"dhcpserver":        "belongs to host-only adapters",
}

func TestConformance(t *testing.T) {
	dir := os.Getenv(envDir)
	if dir == "" || os.Getenv(envReal) == "" {
		t.Fatalf("%s and %s must be set: run .ci/conformance.sh", envReal, envDir)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	run := func(t *testing.T, state, dir string) *life {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		l := &life{t: t, ctx: t.Context(), dir: dir, calls: dir + ".calls"}
		l.c = New(Options{Command: []string{self}, Env: []string{envCalls + "=" + l.calls, envState + "=" + state}, GOOS: "linux"})
		l.live()
		return l
	}
	var real, simulated *life
	t.Run("real", func(t *testing.T) { real = run(t, "", filepath.Join(dir, "real")) })
	t.Run("simulated", func(t *testing.T) { simulated = run(t, t.TempDir(), filepath.Join(dir, "simulated")) })
	if real == nil || simulated == nil {
		t.Fatal("both must have run")
	}
	t.Run("same", func(t *testing.T) {
		if diff := cmp.Diff(real.records, simulated.records); diff != "" {
			t.Errorf("real (-) and simulated (+) VBoxManage differ:\n%s", diff)
		}
		if len(real.records) < 60 {
			t.Errorf("only %d results were compared", len(real.records))
		}
	})
	t.Run("every call was tried", func(t *testing.T) {
		for _, l := range []*life{real, simulated} {
			for _, missing := range untried(t, readCalls(t, l.calls)) {
				t.Errorf("package vbox can call %q, which this test neither makes nor excuses", missing)
			}
		}
		if got := untried(t, nil); len(got) < 20 {
			t.Errorf("only %d kinds of calls found in the sources: %q", len(got), got)
		}
	})
}

// untried returns the words of each args literal in this package's sources that occur in none of the calls, in order.
func untried(t *testing.T, calls [][]string) []string {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("the sources must be in the working folder: %v", err)
	}
	var missing []string
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			lit, ok := n.(*ast.CompositeLit)
			if !ok {
				return true
			}
			if id, ok := lit.Type.(*ast.Ident); !ok || id.Name != "args" {
				return true
			}
			words := literals(lit)
			if len(words) == 0 {
				t.Errorf("%s: an args literal without a sub-command in words", name)
				return true
			}
			if _, ok := exceptions[words[0]]; ok {
				return true
			}
			if len(words) > 1 {
				if _, ok := exceptions[words[0]+" "+words[1]]; ok {
					return true
				}
			}
			if !slices.ContainsFunc(calls, func(call []string) bool { return holds(call, words) && len(call) == shortest(lit, call) }) {
				missing = append(missing, strings.Join(words, " "))
			}
			return true
		})
	}
	return missing
}

// literals returns the strings that stand in the source.
func literals(lit *ast.CompositeLit) []string {
	var words []string
	for _, e := range lit.Elts {
		if b, ok := e.(*ast.BasicLit); ok {
			if s, err := strconv.Unquote(b.Value); err == nil {
				words = append(words, s)
			}
		}
	}
	return words
}

// shortest is the number of words that a call made from this literal has; modifyvm's is open.
func shortest(lit *ast.CompositeLit, call []string) int {
	if call[0] == "modifyvm" && len(lit.Elts) == 2 {
		return len(call)
	}
	return len(lit.Elts)
}

// holds says whether words occur in call in this order, the first one at its start.
func holds(call, words []string) bool {
	if len(call) == 0 || call[0] != words[0] {
		return false
	}
	for _, w := range words {
		i := slices.Index(call, w)
		if i < 0 {
			return false
		}
		call = call[i+1:]
	}
	return true
}

// life is one run of the script.
type life struct {
	t       *testing.T
	ctx     context.Context
	c       *Client
	dir     string
	calls   string
	records []record
	uuids   []string
}

// record is what one step gave.
type record struct{ Step, Result, Error string }

var uuidPattern = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)

// add notes a result.
func (l *life) add(step string, result any, err error) {
	l.t.Helper()
	text, jsonErr := json.MarshalIndent(result, "", " ")
	if jsonErr != nil {
		l.t.Fatal(jsonErr)
	}
	l.records = append(l.records, record{step, l.mask(string(text)), l.mask(describe(err))})
}

// mask replaces what differs from run to run: the folder, and UUIDs by the order of their appearance.
func (l *life) mask(s string) string {
	s = strings.ReplaceAll(s, l.dir, "DIR")
	return uuidPattern.ReplaceAllStringFunc(s, func(u string) string {
		i := slices.Index(l.uuids, u)
		if i < 0 {
			i = len(l.uuids)
			l.uuids = append(l.uuids, u)
		}
		return "UUID" + strconv.Itoa(i)
	})
}

func describe(err error) string {
	if err == nil {
		return ""
	}
	var s []string
	for _, kind := range []error{
		ErrNotInstalled, ErrNotFound, ErrAlreadyExists, ErrInvalidState, ErrInUse, ErrAccessDenied, ErrInaccessible,
		ErrBadMedium, ErrTransient, ErrForeign,
	} {
		if errors.Is(err, kind) {
			s = append(s, kind.Error())
		}
	}
	var e *Error
	if errors.As(err, &e) {
		s = append(s, e.Code, strconv.Itoa(e.Exit))
	}
	return strings.Join(append(s, err.Error()), " | ")
}

// ok notes a step that must work.
func (l *life) ok(step string, result any, err error) {
	l.t.Helper()
	if err != nil {
		l.t.Errorf("%s: %v", step, err)
	}
	l.add(step, result, err)
}

// fails notes a step that must fail in this way.
func (l *life) fails(step string, err, kind error) {
	l.t.Helper()
	if !errors.Is(err, kind) {
		l.t.Errorf("%s: got %v, want an error of the kind %q", step, err, kind)
	}
	l.add(step, nil, err)
}

func (l *life) must(what string, holds bool) {
	l.t.Helper()
	if !holds {
		l.t.Errorf("%s does not hold", what)
	}
}

func (l *life) allCalls() [][]string {
	l.t.Helper()
	return readCalls(l.t, l.calls)
}

func readCalls(t *testing.T, file string) [][]string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var calls [][]string
	for line := range strings.Lines(string(data)) {
		var call []string
		if err := json.Unmarshal([]byte(line), &call); err != nil {
			t.Fatal(err)
		}
		calls = append(calls, call)
	}
	return calls
}

// reads are the sub-commands that change nothing.
var reads = []string{"--version", "list", "showvminfo", "showmediuminfo", "getextradata"}

// onlyReads says whether nothing but looking was done since the first n calls.
func (l *life) onlyReads(n int) bool {
	l.t.Helper()
	calls := l.allCalls()[n:]
	return len(calls) > 0 && !slices.ContainsFunc(calls, func(call []string) bool { return !slices.Contains(reads, call[0]) })
}

const ownerKey = "labctl/conformance"

func (l *life) spec(name string) MachineSpec {
	n := len(name) + int(name[len(name)-1])
	return MachineSpec{
		Name: name, Group: "/labctl/lab", BaseFolder: filepath.Join(l.dir, "vms"), OSType: "Ubuntu_64",
		OwnerKey: ownerKey, Owner: "lab 4711", CPUs: 2, MemoryMiB: 512,
		NATMAC: fmt.Sprintf("08:00:27:00:00:%02x", n), HostOnlyMAC: fmt.Sprintf("08:00:27:00:01:%02x", n),
		HostOnlyNetwork: "vboxnet0", SSHPort: 20000 + n,
		BaseDisk: filepath.Join(l.dir, "base.vdi"), Disk: filepath.Join(l.dir, name+".vdi"),
		Seed: filepath.Join(l.dir, name+".iso"), SerialLog: filepath.Join(l.dir, name+".log"),
	}
}

func (l *life) write(name string, data []byte) string {
	l.t.Helper()
	path := filepath.Join(l.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		l.t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		l.t.Fatal(err)
	}
	return path
}

// ensure makes a machine and notes its steps too.
func (l *life) ensure(step string, s MachineSpec) Machine {
	l.t.Helper()
	var steps []string
	m, err := l.c.EnsureMachine(l.ctx, s, func(s string) { steps = append(steps, s) })
	l.ok(step, struct {
		Machine Machine
		Steps   []string
	}{m, steps}, err)
	return m
}

func (l *life) remove(step, id string) {
	l.t.Helper()
	var steps []string
	err := l.c.RemoveMachine(l.ctx, id, ownerKey, "lab 4711", func(s string) { steps = append(steps, s) })
	l.ok(step, steps, err)
}

// raw makes a call as this package does in the middle of a longer step: a killed run got no further.
func (l *life) raw(step string, a args) error {
	l.t.Helper()
	out, err := l.c.run(l.ctx, a)
	l.add(step, out, err)
	return err
}

func (l *life) media(step string) []Medium {
	l.t.Helper()
	media, err := l.c.Media(l.ctx)
	// By path, where that holds no UUID; those keep the order in which they became known.
	place := func(m Medium) string {
		i := slices.Index(l.uuids, m.UUID)
		return uuidPattern.ReplaceAllString(m.Path, "") + fmt.Sprintf(" %04d", (i+len(l.uuids)+2)%(len(l.uuids)+2))
	}
	slices.SortStableFunc(media, func(a, b Medium) int { return strings.Compare(place(a), place(b)) })
	l.ok(step, media, err)
	return media
}

func (l *life) live() {
	l.empty()
	l.images()
	l.firstMachine()
	l.changes()
	l.snapshots()
	l.killedRuns()
	l.foreignMachines()
	l.otherErrors()
	l.removal()
}

func (l *life) empty() {
	v, err := l.c.Version(l.ctx)
	l.ok("version", []int{v.Major}, errors.Join(err, v.Supported()))
	machines, err := l.c.Machines(l.ctx)
	l.ok("no machines", machines, err)
	l.must("VirtualBox is empty at first", len(machines) == 0)
	machines, err = l.c.RunningMachines(l.ctx)
	l.ok("no running machines", machines, err)
	l.media("no media")
	networks, err := l.c.HostOnlyNetworks(l.ctx)
	l.ok("no host-only networks", networks, err)
	_, err = l.c.Machine(l.ctx, "w9")
	l.fails("no such machine", err, ErrNotFound)
}

func (l *life) images() {
	const mib = 1 << 20
	raw := l.write("raw.img", make([]byte, 16*mib))
	cow := l.write("cow.img", qcow2(16*mib))
	base := filepath.Join(l.dir, "base.vdi")

	l.ok("convert raw", nil, l.c.ConvertDisk(l.ctx, raw, base, 64, noStep))
	l.media("nothing stays registered after converting raw")
	m, err := l.c.Medium(l.ctx, base)
	l.ok("converted raw", m, err)
	l.must("it was resized", m.CapacityMiB == 64)

	other := filepath.Join(l.dir, "other.vdi")
	l.ok("convert qcow2", nil, l.c.ConvertDisk(l.ctx, cow, other, 32, noStep))
	m, err = l.c.Medium(l.ctx, other)
	l.ok("converted qcow2", m, err)
	l.must("it was resized", m.CapacityMiB == 32)
	l.media("the source is not registered")

	n := len(l.allCalls())
	l.ok("convert again", nil, l.c.ConvertDisk(l.ctx, cow, other, 32, noStep))
	l.must("converting again calls nothing", len(l.allCalls()) == n)

	tooSmall := filepath.Join(l.dir, "small.vdi")
	l.must("a disk smaller than its image is refused", l.c.ConvertDisk(l.ctx, raw, tooSmall, 8, noStep) != nil)
	l.must("nothing is left of it", !exists(tooSmall) && !exists(tooSmall+".part.vdi"))
	broken := l.write("broken.img", []byte("QFI\xfbgarbage"))
	l.fails("convert a broken qcow2", l.c.ConvertDisk(l.ctx, broken, tooSmall, 64, noStep), ErrBadMedium)
	broken = l.write("broken2.img", append([]byte("QFI\xfb"), make([]byte, 1020)...))
	l.fails("convert a broken qcow2 of whole sectors", l.c.ConvertDisk(l.ctx, broken, tooSmall, 64, noStep), ErrBadMedium)
	l.fails("convert nothing", l.c.ConvertDisk(l.ctx, filepath.Join(l.dir, "none.img"), tooSmall, 64, noStep), ErrNotFound)
	l.media("failures leave nothing registered")

	// A target deleted behind VirtualBox's back, and the rest of a conversion that was killed.
	if err := os.Remove(other); err != nil {
		l.t.Fatal(err)
	}
	l.write("other.vdi.part.vdi", []byte("half"))
	l.ok("convert to a place still registered", nil, l.c.ConvertDisk(l.ctx, cow, other, 32, noStep))
	m, err = l.c.Medium(l.ctx, other)
	l.ok("converted once more", m, err)

	// Here, before there is any machine: later on the real one leaves out that the file exists, and says only
	// "File not accessible or erroneous file contents".
	linked := filepath.Join(l.dir, "linked.vdi")
	l.ok("linked disk", nil, l.raw("create linked disk", createLinkedDiskArgs(linked, base)))
	l.fails("the disk exists", l.raw("create it again", createLinkedDiskArgs(linked, base)), ErrAlreadyExists)
	l.ok("delete linked disk", nil, l.c.CloseMedium(l.ctx, linked, true))
	l.must("its file is gone", !exists(linked))
}

func (l *life) firstMachine() {
	for _, name := range []string{"cp1", "w1", "w2", "w3", "w4"} {
		l.write(name+".iso", iso())
	}
	s := l.spec("cp1")
	m := l.ensure("create machine", s)
	l.must("the disk is attached", m.Media["SATA-0-0"] == s.Disk && m.Media["SATA-1-0"] == s.Seed)
	l.must("the sizes are set", m.MemoryMiB == 512 && m.CPUs == 2 && m.SerialLog == s.SerialLog)
	l.must("the network is set", cmp.Equal(m.NICs, []NIC{
		{Slot: 1, Kind: "nat", MAC: s.NATMAC, Cable: true},
		{Slot: 2, Kind: "hostonly", Network: "vboxnet0", MAC: s.HostOnlyMAC, Cable: true},
	}))
	l.must("the rule is set", cmp.Equal(m.Forwards, []Forward{{"ssh", "tcp", "127.0.0.1", s.SSHPort, "", 22}}))
	machines, err := l.c.Machines(l.ctx)
	l.ok("one machine", machines, err)
	l.must("it is listed", cmp.Equal(machines, []MachineRef{{"cp1", m.UUID}}))
	mark, ok, err := l.c.ExtraData(l.ctx, m.UUID, ownerKey)
	l.ok("mark", []any{mark, ok}, err)
	l.must("it is marked", ok && mark == "lab 4711")
	disk, err := l.c.Medium(l.ctx, s.Disk)
	l.ok("linked disk", disk, err)
	l.must("it is linked, and used", disk.Parent != "" && cmp.Equal(disk.UsedBy, []string{"cp1"}))
	l.media("media of one machine")

	n := len(l.allCalls())
	again := l.ensure("second time", s)
	l.must("the second time changes nothing", l.onlyReads(n) && cmp.Equal(m, again, cmp.AllowUnexported(Machine{})))

	l.ok("stopping what is off", nil, l.c.StopMachine(l.ctx, m.UUID, time.Minute, noStep))
	l.must("stopping what is off only looks", l.onlyReads(n))
}

func (l *life) changes() {
	s := l.spec("cp1")
	s.MemoryMiB, s.CPUs, s.SSHPort = 768, 1, 22222
	l.ok("configure", nil, l.c.ConfigureMachine(l.ctx, "cp1", s))
	m, err := l.c.Machine(l.ctx, "cp1")
	l.ok("configured", m, err)
	l.must("it is configured", m.MemoryMiB == 768 && m.CPUs == 1 && m.Forwards[0].HostPort == 22222)

	f := m.Forwards[0]
	l.fails("a rule of this name", l.raw("add rule again", addForwardArgs("cp1", 1, f)), ErrAlreadyExists)
	f.Name = "other"
	l.fails("a rule for this port", l.raw("add rule for the same port", addForwardArgs("cp1", 1, f)), ErrAlreadyExists)
	l.fails("no such rule", l.raw("delete absent rule", deleteForwardArgs("cp1", 1, "other")), ErrNotFound)
	s.SSHPort = 0
	l.ok("configure without rule", nil, l.c.ConfigureMachine(l.ctx, "cp1", s))
	m, err = l.c.Machine(l.ctx, "cp1")
	l.ok("no rule", m, err)
	l.must("the rule is gone", len(m.Forwards) == 0)
	l.ensure("back to what it was", l.spec("cp1"))
	s.MemoryMiB = 1
	l.must("1 MiB is refused", l.c.ConfigureMachine(l.ctx, "cp1", s) != nil)

	for _, target := range []string{"global", "cp1"} {
		l.ok("note on "+target, nil, l.c.SetExtraData(l.ctx, target, "labctl/note", "two words"))
		value, ok, err := l.c.ExtraData(l.ctx, target, "labctl/note")
		l.ok("noted on "+target, []any{value, ok}, err)
		l.must("the note can be read", ok && value == "two words")
		l.ok("no note on "+target, nil, l.c.SetExtraData(l.ctx, target, "labctl/note", ""))
		value, ok, err = l.c.ExtraData(l.ctx, target, "labctl/note")
		l.ok("note deleted on "+target, []any{value, ok}, err)
		l.must("the note is gone", !ok && value == "")
	}
}

func (l *life) snapshots() {
	list := func(step string, want ...string) {
		l.t.Helper()
		got, err := l.c.Snapshots(l.ctx, "cp1")
		l.ok(step, got, err)
		var names []string
		for _, s := range got {
			names = append(names, s.Name)
		}
		l.must(fmt.Sprintf("%s: %q are %q", step, names, want), cmp.Equal(names, want))
	}
	list("no snapshots")
	l.fails("delete none", l.c.DeleteSnapshot(l.ctx, "cp1", "clean"), ErrNotFound)
	l.ok("take", nil, l.c.TakeSnapshot(l.ctx, "cp1", "clean", "before the first exercise"))
	l.fails("take again", l.c.TakeSnapshot(l.ctx, "cp1", "clean", ""), ErrAlreadyExists)
	l.ok("take another", nil, l.c.TakeSnapshot(l.ctx, "cp1", "exercise 3", ""))
	list("two snapshots", "clean", "exercise 3")
	n := len(l.allCalls())
	l.ensure("a machine with snapshots", l.spec("cp1"))
	l.must("it is as it should be", l.onlyReads(n))
	l.ok("restore", nil, l.c.RestoreSnapshot(l.ctx, "cp1", "clean"))
	list("restored", "clean", "exercise 3")
	l.fails("restore none", l.c.RestoreSnapshot(l.ctx, "cp1", "none"), ErrNotFound)
	l.ok("take a branch", nil, l.c.TakeSnapshot(l.ctx, "cp1", "branch", ""))
	list("a tree", "clean", "exercise 3", "branch")
	l.ok("delete", nil, l.c.DeleteSnapshot(l.ctx, "cp1", "branch"))
	list("branch deleted", "clean", "exercise 3")
	l.ensure("a machine after snapshots", l.spec("cp1"))
	l.media("media of a machine with snapshots")
}

func (l *life) killedRuns() {
	s := l.spec("w1")
	l.raw("killed after createvm", createMachineArgs(s))
	m := l.ensure("finish after createvm", s)
	l.must("it is complete", m.Media["SATA-0-0"] == s.Disk)
	mark, ok, err := l.c.ExtraData(l.ctx, "w1", ownerKey)
	l.ok("adopted machine's mark", []any{mark, ok}, err)
	l.must("it got the mark", ok && mark == s.Owner)

	s = l.spec("w2")
	l.raw("killed after createmedium: machine", createMachineArgs(s))
	l.raw("killed after createmedium: mark", setExtraDataArgs("w2", s.OwnerKey, s.Owner))
	l.raw("killed after createmedium: note", setExtraDataArgs("w2", diskKey(s.OwnerKey), s.Disk))
	l.raw("killed after createmedium: controller", addControllerArgs("w2"))
	l.raw("killed after createmedium: disk", createLinkedDiskArgs(s.Disk, s.BaseDisk))
	l.fails("the controller exists", l.raw("controller again", addControllerArgs("w2")), ErrAlreadyExists)
	l.ensure("finish after createmedium", s)
	l.remove("remove it", "w2")
	l.must("its disk is gone", !exists(s.Disk))

	l.raw("never attached: machine", createMachineArgs(s))
	l.raw("never attached: mark", setExtraDataArgs("w2", s.OwnerKey, s.Owner))
	l.raw("never attached: note", setExtraDataArgs("w2", diskKey(s.OwnerKey), s.Disk))
	l.raw("never attached: disk", createLinkedDiskArgs(s.Disk, s.BaseDisk))
	l.remove("remove before attaching", "w2")
	l.must("its disk is gone too", !exists(s.Disk))

	l.write("w2.vdi", []byte("half a disk"))
	l.ensure("half-written disk", s)
	l.raw("forget machine", forgetArgs("w2"))
	l.must("its settings file stays", exists(filepath.Join(l.dir, "vms/labctl/lab/w2/w2.vbox")))
	l.ensure("settings file without machine", s)
	l.remove("remove it again", "w2")
	l.media("media after killed runs")
}

func (l *life) foreignMachines() {
	s := l.spec("w3")
	elsewhere := s
	elsewhere.BaseFolder = filepath.Join(l.dir, "elsewhere")
	l.raw("somebody's machine", createMachineArgs(elsewhere))
	n := len(l.allCalls())
	_, err := l.c.EnsureMachine(l.ctx, s, noStep)
	l.fails("ensure somebody's machine", err, ErrForeign)
	l.fails("remove somebody's machine", l.c.RemoveMachine(l.ctx, "w3", ownerKey, s.Owner, noStep), ErrForeign)
	l.must("it is untouched", l.onlyReads(n))
	l.raw("another lab's mark", setExtraDataArgs("w3", ownerKey, "lab 4712"))
	n = len(l.allCalls())
	_, err = l.c.EnsureMachine(l.ctx, elsewhere, noStep)
	l.fails("ensure another lab's machine", err, ErrForeign)
	l.fails("remove another lab's machine", l.c.RemoveMachine(l.ctx, "w3", ownerKey, s.Owner, noStep), ErrForeign)
	l.must("it is untouched", l.onlyReads(n))
	l.ok("its owner removes it", nil, l.c.RemoveMachine(l.ctx, "w3", ownerKey, "lab 4712", noStep))
}

func (l *life) otherErrors() {
	s := l.spec("w1")
	l.fails("close a base in use", l.c.CloseMedium(l.ctx, s.BaseDisk, false), ErrInUse)
	l.fails("delete a base in use", l.c.CloseMedium(l.ctx, s.BaseDisk, true), ErrInUse)
	l.fails("delete a disk in use", l.c.CloseMedium(l.ctx, s.Disk, true), ErrInUse)
	l.fails("close a disc in use", l.c.CloseMedium(l.ctx, s.Seed, false), ErrInUse)
	l.ok("close what is not there", nil, l.c.CloseMedium(l.ctx, filepath.Join(l.dir, "none.vdi"), true))
	l.ok("close the disc that is not there", nil, l.c.CloseMedium(l.ctx, filepath.Join(l.dir, "none.iso"), false))
	l.write("wrong.vdi", []byte("no disk"))
	l.write("wrong.iso", nil)
	_, err := l.c.Medium(l.ctx, filepath.Join(l.dir, "wrong.vdi"))
	l.fails("look at no disk", err, ErrBadMedium)
	_, err = l.c.Medium(l.ctx, filepath.Join(l.dir, "none.vdi"))
	l.fails("look at nothing", err, ErrNotFound)
	disc, err := l.c.Medium(l.ctx, s.Seed)
	l.ok("look at a disc", disc, err)
	l.fails("attach no disk", l.raw("attach wrong disk", attachDiskArgs("w1", filepath.Join(l.dir, "wrong.vdi"))), ErrBadMedium)
	l.fails("attach an empty disc", l.raw("attach wrong disc", attachDVDArgs("w1", filepath.Join(l.dir, "wrong.iso"))), ErrBadMedium)
	l.fails("attach nothing", l.raw("attach absent disc", attachDVDArgs("w1", filepath.Join(l.dir, "none.iso"))), ErrNotFound)
	l.fails("link to nothing", l.raw("link to absent base", createLinkedDiskArgs(filepath.Join(l.dir, "x.vdi"), filepath.Join(l.dir, "none.vdi"))), ErrNotFound)
	l.fails("name is taken", l.raw("create again", createMachineArgs(s)), ErrAlreadyExists)
	other := s
	other.BaseDisk = filepath.Join(l.dir, "other.vdi")
	_, err = l.c.EnsureMachine(l.ctx, other, noStep)
	l.must("a disk linked to another image is refused", err != nil)
	l.add("another image", nil, err)
	l.fails("configure no machine", l.c.ConfigureMachine(l.ctx, "w9", s), ErrNotFound)
	l.fails("stop no machine", l.c.StopMachine(l.ctx, "w9", 0, noStep), ErrNotFound)
	l.fails("note on no machine", l.c.SetExtraData(l.ctx, "w9", "labctl/note", "x"), ErrNotFound)
	_, _, err = l.c.ExtraData(l.ctx, "w9", "labctl/note")
	l.fails("read no machine's note", err, ErrNotFound)
	_, err = l.c.Snapshots(l.ctx, "w9")
	l.fails("snapshots of no machine", err, ErrNotFound)
}

func (l *life) removal() {
	cp1, err := l.c.Machine(l.ctx, "cp1")
	l.ok("before removal", cp1, err)
	base := l.spec("cp1").BaseDisk
	l.remove("remove a machine with snapshots", cp1.UUID)
	l.must("its folder is gone", !exists(filepath.Dir(cp1.ConfigFile)) && !exists(l.spec("cp1").Disk))
	l.must("the seed stays", exists(l.spec("cp1").Seed))
	l.media("media after the first removal")
	l.remove("remove the last machine", "w1")
	m, err := l.c.Medium(l.ctx, base)
	l.ok("the base image survives", m, err)
	l.must("the base image survives as a file", exists(base) && m.State == "created" && m.CapacityMiB == 64)
	l.remove("remove by UUID again", cp1.UUID)
	l.remove("remove by name again", "w1")
	for _, disk := range []string{base, filepath.Join(l.dir, "other.vdi")} {
		l.ok("close "+disk[len(l.dir):], nil, l.c.CloseMedium(l.ctx, disk, false))
	}
	machines, err := l.c.Machines(l.ctx)
	l.ok("no machines in the end", machines, err)
	l.must("no machine is left", len(machines) == 0)
	l.must("no medium is left", len(l.media("no media in the end")) == 0)
}
