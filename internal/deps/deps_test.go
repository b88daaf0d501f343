// Package deps holds the test that keeps labctl's packages apart: who may import whom.
package deps

import (
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/labctl/labctl"

// rule forbids imports. Packages of labctl and of Pulumi are forbidden transitively, others directly.
type rule struct {
	pkg    string   // the package, or with /... it and all below
	forbid []string // a package, or with /... it and all below
	why    string
}

var io = []string{"os", "os/exec", "net", "net/http", "log", "log/slog", "syscall", "golang.org/x/crypto/ssh"}

var rules = []rule{
	{"internal/config", ours("cmd/...", "provision/...", "vbox", "k3s", "checks/...", "labs", "internal/sim", "internal/ssh", "internal/fetch", "internal/ui"), "configuration knows nothing below it"},
	{"provision", ours("vbox", "k3s", "cmd/..."), "the program names resources; the provider makes them"},
	{"provision/provider", append(ours("cmd/..."), "github.com/pulumi/pulumi/pkg/v3/..."), "the provider doesn't know how it is run"},
	{"vbox", ours("internal/config", "provision/...", "k3s", "checks/..."), "vbox knows VBoxManage only"},
	{"k3s", ours("vbox", "provision/..."), "k3s reaches nodes through a Runner"},
	{"checks", append(io, ours("provision/...", "vbox", "k3s", "checks/collect", "internal/ssh", "internal/fetch", "internal/sim", "internal/ui")...), "verdicts are pure"},
	{"checks/report", append(io, ours("provision/...", "vbox", "k3s", "checks/collect", "internal/ssh", "internal/ui")...), "reports are pure"},
	{"checks/collect", ours("provision/...", "vbox"), "collect asks through interfaces"},
	{"internal/fault", ours("vbox", "provision/...", "internal/sim", "checks/...", "cmd/..."), "faults reach machines and nodes through interfaces"},
	{"internal/sim", ours("cmd/...", "provision/...", "vbox", "k3s", "checks/...", "internal/config", "internal/fault", "labs"), "the simulation learns only what a real machine would"},
	{"labs", ours("cmd/...", "provision/...", "vbox", "k3s", "checks/...", "internal/sim", "internal/ssh", "internal/fetch", "internal/fault", "internal/ui"), "exercises are texts; what they name is the caller's"},
	{"internal/doctor", ours("cmd/...", "provision/...", "vbox", "k3s", "checks/...", "internal/sim", "internal/ssh", "internal/fetch", "internal/ui"), "what only package vbox can tell is passed in"},
	{"internal/labdir", ours("cmd/...", "provision/...", "vbox", "k3s", "checks/...", "internal/sim", "internal/fetch", "internal/ui"), "a folder knows nothing of VirtualBox or k3s"},
	{"internal/snapshots", ours("cmd/...", "provision/...", "k3s", "checks/...", "internal/sim", "internal/config", "internal/ssh", "internal/ui"), "snapshots are VirtualBox's alone"},
	{"internal/cloudinit", ours("cmd/...", "provision/...", "vbox", "k3s", "checks/...", "internal/sim", "internal/config", "internal/ssh", "internal/fetch", "internal/ui"), "the small packages don't know each other"},
	{"internal/noquery", append([]string{"fmt", "strings"}, ours("...")...), "it must be initialised right after os"},
	{"internal/atomicfile", ours("..."), "it knows nothing but files"},
	{"internal/yaml", ours("internal/ssh", "internal/fetch", "internal/cloudinit", "internal/ui", "internal/config"), "the small packages don't know each other"},
	{"internal/ssh", ours("internal/fetch", "internal/cloudinit", "internal/ui", "internal/config"), "the small packages don't know each other"},
	{"internal/fetch", ours("internal/ssh", "internal/cloudinit", "internal/ui", "internal/config"), "the small packages don't know each other"},
	{"internal/ui", ours("internal/ssh", "internal/fetch", "internal/cloudinit", "internal/config"), "the small packages don't know each other"},
}

// only are the packages with a single importer.
var only = map[string]string{
	"gopkg.in/yaml.v3":                    "internal/yaml",
	"github.com/pulumi/pulumi/pkg/v3/...": "provision/engine",
	"github.com/hashicorp/go-getter/v2":   "internal/fetch",
}

func ours(pkgs ...string) []string {
	var all []string
	for _, p := range pkgs {
		all = append(all, module+"/"+p)
	}
	return all
}

func TestImports(t *testing.T) {
	imports := read(t, "../..")
	if len(imports) < 15 {
		t.Fatalf("read only %d packages: %v", len(imports), slices.Sorted(maps.Keys(imports)))
	}
	for _, r := range rules {
		if _, ok := imports[r.pkg]; !ok {
			t.Errorf("there is a rule for %s, and no such package", r.pkg)
		}
	}
	for _, problem := range check(imports) {
		t.Error(problem)
	}
}

// TestRulesFail proves that a forbidden import is found, direct and by way of another package.
func TestRulesFail(t *testing.T) {
	for name, tt := range map[string]struct {
		imports map[string][]string
		want    string
	}{
		"direct":     {map[string][]string{"checks": {"os"}}, `checks imports "os"`},
		"transitive": {map[string][]string{"k3s": ours("labs"), "labs": ours("vbox"), "vbox": nil}, `k3s imports "github.com/labctl/labctl/vbox"`},
		"below":      {map[string][]string{"provision/provider": {"github.com/pulumi/pulumi/pkg/v3/engine"}}, `provision/provider imports "github.com/pulumi/pulumi/pkg/v3/engine"`},
		"single":     {map[string][]string{"labs": {"gopkg.in/yaml.v3"}}, `labs imports "gopkg.in/yaml.v3"`},
	} {
		t.Run(name, func(t *testing.T) {
			problems := check(tt.imports)
			if !slices.ContainsFunc(problems, func(p string) bool { return strings.Contains(p, tt.want) }) {
				t.Errorf("no %q in %q", tt.want, problems)
			}
		})
	}
}

func check(imports map[string][]string) []string {
	var problems []string
	for _, r := range rules {
		for _, imported := range reach(imports, r.pkg) {
			for _, f := range r.forbid {
				if matches(f, imported.path) && (imported.direct || strings.HasPrefix(imported.path, module) || strings.Contains(imported.path, "pulumi")) {
					problems = append(problems, r.pkg+" imports "+strconv.Quote(imported.path)+": "+r.why)
				}
			}
		}
	}
	for pkg, list := range imports {
		for _, imported := range list {
			for f, importer := range only {
				if matches(f, imported) && pkg != importer {
					problems = append(problems, pkg+" imports "+strconv.Quote(imported)+": only "+importer+" may")
				}
			}
		}
	}
	return problems
}

type reached struct {
	path   string
	direct bool
}

// reach lists what a package imports, itself or through other packages of this module.
func reach(imports map[string][]string, pkg string) []reached {
	var all []reached
	seen := map[string]bool{}
	var walk func(pkg string, direct bool)
	walk = func(pkg string, direct bool) {
		for _, p := range imports[pkg] {
			if seen[p] {
				continue
			}
			seen[p] = true
			all = append(all, reached{p, direct})
			if inner, ok := strings.CutPrefix(p, module+"/"); ok {
				walk(inner, false)
			}
		}
	}
	walk(pkg, true)
	return all
}

func matches(pattern, pkg string) bool {
	if prefix, ok := strings.CutSuffix(pattern, "/..."); ok {
		return pkg == prefix || strings.HasPrefix(pkg, prefix+"/")
	}
	return pkg == pattern
}

// read returns the imports of every package of the module, tests left out.
func read(t *testing.T, root string) map[string][]string {
	t.Helper()
	imports := map[string][]string{}
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".") && file != root) {
			return fs.SkipDir
		}
		if !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, filepath.Dir(file))
		if err != nil {
			return err
		}
		pkg := path.Clean(filepath.ToSlash(rel))
		for _, i := range f.Imports {
			p, err := strconv.Unquote(i.Path.Value)
			if err != nil {
				return err
			}
			if !slices.Contains(imports[pkg], p) {
				imports[pkg] = append(imports[pkg], p)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return imports
}
