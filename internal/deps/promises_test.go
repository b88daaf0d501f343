package deps

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// fewestFuzzTargets is how many fuzz targets there must at least be.
const fewestFuzzTargets = 25

// sources calls f with every Go file of the module. Names are slashed and relative to the module's root.
func sources(t *testing.T, f func(name string, file *ast.File)) {
	t.Helper()
	const root = "../.."
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != "." && strings.HasPrefix(d.Name(), "."):
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(name, ".go"):
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		f(filepath.ToSlash(name), file)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// functions are the names of the test functions that begin so, each with the number of files that have one.
func functions(t *testing.T, prefix string) map[string]int {
	found := map[string]int{}
	sources(t, func(name string, file *ast.File) {
		if !strings.HasSuffix(name, "_test.go") {
			return
		}
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && strings.HasPrefix(f.Name.Name, prefix) {
				found[f.Name.Name]++
			}
		}
	})
	return found
}

func TestFuzzTargets(t *testing.T) {
	if found := functions(t, "Fuzz"); len(found) < fewestFuzzTargets {
		t.Errorf("there are %d fuzz targets, not %d: %v", len(found), fewestFuzzTargets, found)
	}
}

// TestNobodyIsTrustedBlindly: no host key and no certificate goes unchecked, but where a probe asks whether anybody answers at all.
func TestNobodyIsTrustedBlindly(t *testing.T) {
	allowed := map[string]string{
		"internal/sim/verify_test.go InsecureSkipVerify":   "the probe above, in the simulation's own test",
		"checks/collect/host.go InsecureSkipVerify":        "Traefik's own certificate: it is asked whether it answers, and told nothing",
		"e2e/standin/client.go InsecureSkipVerify":         "the stand-in for k3s, as k3s itself, checks the CA against the hash in the join token",
		"internal/config/registries.go InsecureSkipVerify": "what the user's labctl.yaml tells containerd of a registry of theirs; labctl itself asks none",
	}
	used := map[string]bool{}
	files := 0
	sources(t, func(name string, file *ast.File) {
		files++
		if strings.HasPrefix(name, "internal/deps/") {
			return
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if id, ok := n.(*ast.Ident); ok && (id.Name == "InsecureIgnoreHostKey" || id.Name == "InsecureSkipVerify") {
				use := name + " " + id.Name
				used[use] = true
				if _, ok := allowed[use]; !ok {
					t.Errorf("%s trusts whoever answers: %s", name, id.Name)
				}
			}
			return true
		})
	})
	for use := range allowed {
		if !used[use] {
			t.Errorf("%s is allowed and not used: take it off the list", use)
		}
	}
	if files < 100 {
		t.Errorf("only %d files were read", files)
	}
}

// TestPromisesAreTested: SECURITY.md names the test of each promise, and each test that it names exists.
func TestPromisesAreTested(t *testing.T) {
	text, err := os.ReadFile("../../SECURITY.md")
	if err != nil {
		t.Fatal(err)
	}
	_, promises, ok := strings.Cut(string(text), "\n## What is promised")
	promises, _, ok2 := strings.Cut(promises, "\n## ")
	if !ok || !ok2 {
		t.Fatal("SECURITY.md has no part \"What is promised\" with another behind it")
	}
	exists := functions(t, "")
	name := regexp.MustCompile("`((?:Test|Fuzz)[A-Za-z0-9]+)`")
	for _, m := range name.FindAllStringSubmatch(string(text), -1) {
		if exists[m[1]] == 0 {
			t.Errorf("SECURITY.md names the test %s, which does not exist", m[1])
		}
	}
	rows := 0
	for line := range strings.Lines(promises) {
		if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| promise") || strings.HasPrefix(line, "| ---") {
			continue
		}
		if rows++; !name.MatchString(line) {
			t.Errorf("a promise without a test: %s", line)
		}
	}
	if rows < 10 {
		t.Errorf("SECURITY.md has %d promises", rows)
	}
}
