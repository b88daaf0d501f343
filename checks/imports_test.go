package checks

import (
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// forbidden says why a pure package may not have an import; empty if it may.
func forbidden(path string) string {
	for _, bad := range []string{"os", "log", "syscall", "io/ioutil", "net", "runtime", "plugin", "unsafe"} {
		if path == "net/netip" {
			return ""
		}
		if path == bad || strings.HasPrefix(path, bad+"/") {
			return "it does I/O"
		}
	}
	switch {
	case strings.HasPrefix(path, "golang.org/x/crypto"), strings.HasPrefix(path, "golang.org/x/sys"), strings.Contains(path, "pulumi"):
		return "it does I/O"
	case strings.HasPrefix(path, "github.com/labctl/labctl/") && path != "github.com/labctl/labctl/internal/config":
		return "checks knows of labctl only the lab's configuration"
	}
	return ""
}

// impurities returns what in a package's own files (not its tests) is not pure: a forbidden import, or asking the clock.
func impurities(t *testing.T, dir fs.FS) []string {
	t.Helper()
	names, err := fs.Glob(dir, "*.go")
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		source, err := fs.ReadFile(dir, name)
		if err != nil {
			t.Fatal(err)
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, source, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range file.Imports {
			path := strings.Trim(i.Path.Value, `"`)
			if why := forbidden(path); why != "" {
				found[name+" imports "+path+": "+why] = true
			}
			if path == "time" && i.Name != nil {
				found[name+" renames time"] = true
			}
		}
		for _, clock := range []string{"time.Now", "time.Since", "time.Until", "time.Sleep", "time.After", "time.Tick", "time.NewT"} {
			if strings.Contains(string(source), clock) {
				found[name+" uses "+clock] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(found))
}

func TestChecksIsPure(t *testing.T) {
	if got := impurities(t, os.DirFS(".")); len(got) > 0 {
		t.Errorf("package checks is not pure:\n%s", strings.Join(got, "\n"))
	}
}

func TestImpuritiesAreSeen(t *testing.T) {
	for path, want := range map[string]bool{
		"os": true, "os/exec": true, "net": true, "net/http": true, "log": true, "log/slog": true, "syscall": true,
		"golang.org/x/crypto/ssh": true, "github.com/labctl/labctl/checks/collect": true, "github.com/labctl/labctl/vbox": true,
		"net/netip": false, "fmt": false, "time": false, "github.com/labctl/labctl/internal/config": false,
	} {
		dir := fstest.MapFS{"a.go": {Data: []byte("package a\nimport \"" + path + "\"\n")}}
		if got := impurities(t, dir); (len(got) > 0) != want {
			t.Errorf("an import of %s: %q, want it seen: %v", path, got, want)
		}
	}
	clock := fstest.MapFS{"a.go": {Data: []byte("package a\nimport \"time\"\nfunc f() time.Time { return time.Now() }\n")}}
	if got := impurities(t, clock); len(got) != 1 {
		t.Errorf("a use of the clock: %q", got)
	}
}
