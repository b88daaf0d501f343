package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/labctl/labctl/internal/noquery"
)

// TestMain makes the test binary be labctl, too: testscript runs it under that name, and labctl runs itself as its own
// simulated VBoxManage. Where LABCTL_TEST_BINARY names a labctl, the scripts run that one: the race detector makes each start of the
// test binary take seconds, and what it can find, the tests that run labctl in this process show it.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == simulatedVBoxManage || os.Getenv(actAsLabctl) != "" {
		os.Exit(mainExit())
	}
	noquery.Done()
	testscript.Main(m, map[string]func(){
		"labctl":     func() { os.Exit(labctlOfTest()) },
		"vboxmanage": func() { os.Exit(runSimulatedVBoxManage(append([]string{worldOfTest()}, os.Args[1:]...))) },
	})
}

// labctlOfTest runs the labctl that LABCTL_TEST_BINARY names in this process's place, or is labctl itself.
func labctlOfTest() int {
	binary := os.Getenv(testBinary)
	if binary == "" {
		return mainExit()
	}
	err := syscall.Exec(binary, append([]string{"labctl"}, os.Args[1:]...), os.Environ())
	fmt.Fprintf(os.Stderr, "%s=%q: %v\n", testBinary, binary, err)
	return exitUnable
}

// binaryOfTest is what a test starts that needs labctl in a process of its own.
func binaryOfTest() string { return cmp.Or(os.Getenv(testBinary), os.Args[0]) }

// testBinary is the variable that names the labctl to test where a process of its own is needed.
const testBinary = "LABCTL_TEST_BINARY"

// actAsLabctl is the variable that makes the test binary be labctl and nothing else.
const actAsLabctl = "LABCTL_TEST_ACT_AS_LABCTL"

// worldOfTest is where a script's simulated VirtualBox keeps its state: the command vboxmanage goes behind labctl's back.
func worldOfTest() string {
	return filepath.Join(os.Getenv("XDG_DATA_HOME"), "labctl", "simulated", ".world")
}

func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			e.Setenv("XDG_DATA_HOME", filepath.Join(e.WorkDir, "data"))
			e.Setenv("XDG_CACHE_HOME", filepath.Join(e.WorkDir, "cache"))
			e.Setenv(testBinary, os.Getenv(testBinary))
			recordings, err := filepath.Abs(filepath.Join("..", "..", "checks", "collect", "testdata", "bundles"))
			if err != nil {
				return err
			}
			e.Setenv("RECORDINGS", recordings)
			e.Setenv("HOME", filepath.Join(e.WorkDir, "home"))
			return os.Mkdir(filepath.Join(e.WorkDir, "home"), 0o700)
		},
		Cmds:                map[string]func(*testscript.TestScript, bool, []string){"json": wantJSON, "private": wantPrivate},
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
	})
}

// wantJSON fails unless the file (or stdout) is one JSON document of labctl's schema.
func wantJSON(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: json FILE")
	}
	var doc struct{ Schema string }
	if err := json.Unmarshal([]byte(ts.ReadFile(args[0])), &doc); err != nil {
		ts.Fatalf("%s: %v", args[0], err)
	}
	if doc.Schema != schema {
		ts.Fatalf("%s: schema %q, not %q", args[0], doc.Schema, schema)
	}
}

// wantPrivate fails unless each file and folder, and all below it, is its owner's alone: folders 0700, files 0600. Public halves of
// keys may be read by whoever comes as far as them.
func wantPrivate(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: private PATH…")
	}
	for _, arg := range args {
		err := filepath.WalkDir(ts.MkAbs(arg), func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := d.Info()
			if err != nil {
				return err
			}
			want := fs.FileMode(0o600)
			switch {
			case d.IsDir():
				want = fs.ModeDir | 0o700
			case filepath.Ext(path) == ".pub":
				want = 0o644
			}
			if info.Mode() != want {
				return fmt.Errorf("%q has mode %v, not %v", path, info.Mode(), want)
			}
			return nil
		})
		ts.Check(err)
	}
}
