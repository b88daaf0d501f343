package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/pulumi/pulumi/pkg/v3/backend"
	"github.com/pulumi/pulumi/pkg/v3/engine"
	pkgresource "github.com/pulumi/pulumi/pkg/v3/resource"
	"github.com/pulumi/pulumi/pkg/v3/resource/deploy"
	"github.com/pulumi/pulumi/pkg/v3/secrets"
	"github.com/pulumi/pulumi/pkg/v3/util/cancel"
	"github.com/pulumi/pulumi/sdk/v3"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/config"
	"github.com/pulumi/pulumi/sdk/v3/go/common/tokens"
	"github.com/pulumi/pulumi/sdk/v3/go/common/version"
	"github.com/pulumi/pulumi/sdk/v3/go/common/workspace"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
)

// project is the Pulumi project that every lab's stack belongs to.
const project = "labctl"

// parallel is how many resources may be made at once: more than a lab has machines.
const parallel = 64

// ErrState says that a stack's state file is there and can't be read.
var ErrState = errors.New("it is damaged")

// Options says which stack to open and who makes its resources.
type Options struct {
	Dir        string // the lab's folder, absolute; the caller holds its lock
	Stack      string // the stack's name: the lab's
	Passphrase string // protects the secrets in the state
	Package    string // the provider's package name, the first part of its resource types
	Provider   pulumirpc.ResourceProviderServer

	// Find looks for what a killed run was creating: the id of the resource of that type with those inputs, or false.
	Find func(ctx context.Context, kind, name string, inputs map[string]any) (id string, ok bool, err error)
	// Unfinished is the output that tells the provider that a resource's last change was not finished.
	Unfinished string
	// OnEvent is told of every step as it begins and ends; calls do not overlap.
	OnEvent func(Event)
}

// Stack is a lab's Pulumi stack: its state and the way to change it. It is not safe for concurrent use.
type Stack struct {
	o    Options
	sm   secrets.Manager
	snap *deploy.Snapshot
	host *providerServer

	destroying bool // see Save
}

// Open reads the stack's state and settles what a killed run has left open. A stack that doesn't exist yet is empty.
func Open(ctx context.Context, o Options) (*Stack, error) {
	if v := "v" + sdk.Version.String(); version.Version != v {
		version.Version = v // pulumi's release build sets it with a linker flag; the state file names it
	}
	// Without this the engine asks the network for a plugin called like our package whenever the state has a resource of it.
	if err := os.Setenv("PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION", "true"); err != nil {
		return nil, err
	}
	s := &Stack{o: o}
	locks, err := filepath.Glob(filepath.Join(o.Dir, "pulumi/state/.pulumi/locks/organization", project, o.Stack, "*.json"))
	if err != nil {
		return nil, err
	}
	if len(locks) > 0 {
		return nil, fmt.Errorf("the pulumi command is at work on this lab's state; if none is running, remove %q", locks[0])
	}
	if err := os.MkdirAll(filepath.Dir(s.file()), 0o700); err != nil {
		return nil, fmt.Errorf("making the folder of the lab's state: %w", err)
	}
	if err := s.load(ctx); err != nil {
		return nil, fmt.Errorf("reading the lab's state %q: %w: %w", s.file(), ErrState, err)
	}
	if err := s.settle(ctx); err != nil {
		return nil, fmt.Errorf("settling what an interrupted run left behind: %w", err)
	}
	if s.host, err = serveProvider(o.Provider); err != nil {
		return nil, err
	}
	return s, nil
}

// Close ends the connection to the provider.
func (s *Stack) Close() error { return s.host.close() }

// Plan says what Up would change, and changes nothing. only limits it to these resources (TYPE::NAME); nil means all.
func (s *Stack) Plan(ctx context.Context, run pulumi.RunFunc, only []string) ([]Change, error) {
	return s.do(ctx, "plan", run, only)
}

// Up makes the world what the program says. Resources that are not in only (TYPE::NAME) are left as they are, whether they
// exist or not; nil means all.
func (s *Stack) Up(ctx context.Context, run pulumi.RunFunc, only []string) ([]Change, error) {
	return s.do(ctx, "up", run, only)
}

// Refresh reads the world into the state and changes nothing in the world.
func (s *Stack) Refresh(ctx context.Context) ([]Change, error) {
	return s.do(ctx, "refresh", nil, nil)
}

// Destroy removes every resource of the state, dependents first. It also does where the state can't be written, on a full disk.
func (s *Stack) Destroy(ctx context.Context) ([]Change, error) {
	s.destroying = true
	defer func() { s.destroying = false }()
	return s.do(ctx, "destroy", nil, nil)
}

func (s *Stack) do(ctx context.Context, verb string, run pulumi.RunFunc, only []string) (changes []Change, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if run == nil {
		run = func(*pulumi.Context) error { return nil }
	}
	prog, err := serveProgram(run)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, prog.close()) }()

	info := engine.UpdateInfo{
		Root: s.o.Dir,
		Project: &workspace.Project{
			Name:    project,
			Runtime: workspace.NewProjectRuntimeInfo("client", map[string]any{"address": prog.address}),
		},
		Target: &deploy.Target{
			Name: tokens.MustParseStackName(s.o.Stack), Organization: "organization",
			Decrypter: config.NopDecrypter, Snapshot: s.snap,
		},
	}
	opts := engine.UpdateOptions{
		Parallel:             parallel,
		SkipPluginPreInstall: true,
		Targets:              s.targets(only),
		HostFactory:          s.host.factory(s.o.Package),
	}

	// The end of ctx asks the engine to stop after the steps under way; these end because the provider's contexts do.
	cctx, source := cancel.NewContext(context.WithoutCancel(ctx))
	defer context.AfterFunc(ctx, source.Cancel)()

	events := make(chan engine.Event)
	tell := s.o.OnEvent
	if verb == "plan" {
		tell = nil // nothing happens yet
	}
	seen := watch(events, tell)
	ectx := &engine.Context{Cancel: cctx, Events: events}
	var manager *backend.SnapshotManager
	if verb != "plan" {
		manager = backend.NewSnapshotManager(s, s.sm, s.snap, nil)
		ectx.SnapshotManager = manager
	}
	switch verb {
	case "plan":
		_, _, err = engine.Update(info, ectx, opts, true)
	case "up":
		_, _, err = engine.Update(info, ectx, opts, false)
	case "refresh":
		_, _, err = engine.Refresh(info, ectx, opts, false)
	case "destroy":
		_, _, err = engine.Destroy(info, ectx, opts, false)
	}
	close(events)
	result := <-seen
	if manager != nil {
		err = errors.Join(err, manager.Close())
	}
	// A plan, too, leaves its marks in the snapshot: what it would replace counts as deleted already.
	err = errors.Join(err, s.load(context.WithoutCancel(ctx)))
	if err == nil && ctx.Err() != nil {
		err = ctx.Err()
	}
	if err != nil {
		err = &Error{Verb: verb, Diagnostics: result.diagnostics, Err: err}
	}
	return result.changes, err
}

// targets turns TYPE::NAME into the URNs that the engine wants.
func (s *Stack) targets(only []string) deploy.UrnTargets {
	var urns []resource.URN
	for _, name := range only {
		urns = append(urns, resource.URN("urn:pulumi:"+s.o.Stack+"::"+project+"::"+name))
	}
	return deploy.NewUrnTargetsFromUrns(urns)
}

// settle deals with what a killed run has noted as begun but not as ended. The engine itself would carry a pending
// creation along for ever, and destroy would leave what was half made; it would forget a pending change, which may look finished
// to a refresh and not be: what was to be waited for has not been.
func (s *Stack) settle(ctx context.Context) error {
	if s.snap == nil || len(s.snap.PendingOperations) == 0 {
		return nil
	}
	known := map[resource.URN]*pkgresource.State{}
	for _, r := range s.snap.Resources {
		known[r.URN] = r
	}
	for _, op := range s.snap.PendingOperations {
		r := op.Resource
		if old := known[r.URN]; old != nil && op.Type == pkgresource.OperationTypeUpdating {
			outputs := old.Outputs.Copy()
			outputs[resource.PropertyKey(s.o.Unfinished)] = resource.NewProperty(true)
			old.Outputs = outputs
		}
		if op.Type != pkgresource.OperationTypeCreating || known[r.URN] != nil {
			continue
		}
		id, ok, err := s.o.Find(ctx, string(r.Type.Name()), r.URN.Name(), r.Inputs.Mappable())
		if err != nil {
			return fmt.Errorf("looking for %q: %w", r.URN.Name(), err)
		}
		if !ok {
			continue
		}
		r.ID, r.Outputs = resource.ID(id), r.Inputs
		r.InitErrors = []string{"the run that was making it was killed"}
		s.snap.Resources = append(s.snap.Resources, r)
	}
	s.snap.PendingOperations = nil
	return nil
}

// Resource is one thing that the state knows.
type Resource struct {
	Type string // the last part of the type: "Machine"
	Name string
	ID   string
}

// Resources lists what the state knows, in the order of making.
func (s *Stack) Resources() []Resource {
	if s.snap == nil {
		return nil
	}
	var rs []Resource
	for _, r := range s.snap.Resources {
		if r.Custom && r.Type.Package() == tokens.Package(s.o.Package) {
			rs = append(rs, Resource{Type: string(r.Type.Name()), Name: r.URN.Name(), ID: string(r.ID)})
		}
	}
	return rs
}

var _ backend.SnapshotPersister = (*Stack)(nil)
