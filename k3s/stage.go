package k3s

import (
	"context"
	"fmt"
)

// StageBinary puts the binary of a release on a node, beside its place, from where InstallServer and InstallAgent take it. It may run
// before there is any k3s, and while an older one is at work. A node that has those bytes, there or in place, is not sent them again;
// what was left there of other releases goes.
func StageBinary(ctx context.Context, r Runner, node, version string, a Artifacts, step func(string)) error {
	staged := stagedPath(a.SHA256)
	step("looking which k3s is there")
	out, err := r.Run(ctx, asRoot(unstage, staged, binaryPath), nil)
	if err != nil {
		return fmt.Errorf("looking which k3s is on %q: %w", node, err)
	}
	found, err := parseFiles(out)
	if err != nil {
		return fmt.Errorf("looking which k3s is on %q: %w", node, err)
	}
	if found[binaryPath] == a.SHA256 || found[staged] == a.SHA256 {
		return nil
	}
	f := file{path: staged, mode: "0755", sha256: a.SHA256, what: "k3s " + version, open: fromDisk(a.Binary)}
	return f.put(ctx, r, Node{Name: node}, step)
}

// stagedPath is where a binary with that checksum waits for its turn: in the folder of its place, so that it can be renamed, and hidden
// there from people.
func stagedPath(sha256 string) string { return stagedPrefix + sha256 }

// place renames a staged file to its place.
func (f file) place(ctx context.Context, r Runner, n Node, staged string, step func(string)) error {
	step("putting " + f.what + " in its place")
	if _, err := r.Run(ctx, asRoot(place, staged, f.path, f.marker()), nil); err != nil {
		return fmt.Errorf("putting %s in its place on %q: %w", f.what, n.Name, err)
	}
	return nil
}
