// Package provider makes a lab's resources: it is the Pulumi resource provider "labctl", served to the engine inside this
// process.
//
// provider.go speaks Pulumi's protocol and knows no resource. image.go, network.go, machine.go, node_binary.go, node_images.go,
// cluster.go (server and agents) and manifest.go are the resource types; the other files are what these share. A resource type has
// three verbs: ensure (make it, or finish or change what is there), read (what is there now) and remove. ensure serves both creation
// and update, so a run that was killed anywhere is simply run again. The rules the protocol sets, each found by a failing run:
//
//   - a failed creation of something that exists says so (ErrorResourceInitFailed), so that the next run finishes it and
//     destroy finds it;
//   - an update in a plan returns the old outputs, or all dependents would be shown as changed;
//   - reading what is gone returns no id, and is no error;
//   - names are fixed, so a replacement deletes first; deleting what is gone is no error;
//   - the engine calls Cancel at the end of every operation, not only on Ctrl-C, so work is bound to the run's context.
//
// It owns the interface Hypervisor, which *vbox.Client satisfies, and reaches k3s through package k3s. It must not import
// pulumi/pkg/v3 or cmd.
//
//	p := provider.New(ctx, provider.Options{Lab: lab, Folder: folder, Hypervisor: vbox.New(...), Images: cache, Dial: dial})
//	stack, err := engine.Open(ctx, engine.Options{Provider: p, Find: p.Find, Unfinished: provider.Unfinished, ...})
package provider
