// Package engine runs Pulumi's own deployment engine in this process: no pulumi command, no plugin on disk, no child process.
//
// It knows four verbs (Plan, Up, Refresh, Destroy), the state file, and nothing of machines or k3s: what to make is a
// program (package provision), how it is made is a resource provider (package provision/provider). It is the only importer
// of pulumi/pkg/v3, whose API may change between releases; both pulumi modules are pinned to the same version.
//
// The state is the file that Pulumi's own file backend would write, so that the pulumi command can read it:
//
//	DIR/pulumi/state/.pulumi/stacks/labctl/STACK.json
//
// It is saved before and after every step. A run that was killed leaves "pending operations" in it; Open settles them:
// what was being created and exists becomes a resource that still has to be finished, so does what was being changed, the rest is
// forgotten.
//
//	stack, err := engine.Open(ctx, engine.Options{Dir: dir, Stack: "lab", Passphrase: phrase, Package: "labctl", Provider: p, Find: p.Find})
//	...
//	defer stack.Close()
//	changes, err := stack.Up(ctx, provision.Program(lab, parts), nil)
package engine
