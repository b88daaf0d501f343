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
	"controlvm":         "needs a machine that runs; tried only where it is refused",
	"discardstate":      "needs a machine that ran and was saved; tried only where it is refused",
	"hostonlyif":        "needs the kernel module vboxnetadp",
	"hostonlynet":       "exists on macOS only",
	"list hostonlynets": "exists on macOS only",
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
		errNotInstalled, ErrNotFound, ErrAlreadyExists, ErrInvalidState, ErrInUse, ErrAccessDenied, ErrInaccessible,
		ErrBadMedium, errTransient, ErrForeign,
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
