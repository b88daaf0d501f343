package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/structpb"
)

// shelf is a provider whose resources are entries of a map.
type shelf struct {
	pulumirpc.UnimplementedResourceProviderServer
	mu     sync.Mutex
	things map[string]*structpb.Struct
	refuse string // the name of a thing that can't be made
	// replaces says that another size needs another thing; deleted are the things that were deleted
	replaces bool
	deleted  []string
}

func (s *shelf) Handshake(context.Context, *pulumirpc.ProviderHandshakeRequest) (*pulumirpc.ProviderHandshakeResponse, error) {
	return &pulumirpc.ProviderHandshakeResponse{}, nil
}

func (s *shelf) Configure(context.Context, *pulumirpc.ConfigureRequest) (*pulumirpc.ConfigureResponse, error) {
	return &pulumirpc.ConfigureResponse{SupportsPreview: true}, nil
}

func (s *shelf) CheckConfig(_ context.Context, r *pulumirpc.CheckRequest) (*pulumirpc.CheckResponse, error) {
	return &pulumirpc.CheckResponse{Inputs: r.GetNews()}, nil
}

func (s *shelf) Check(_ context.Context, r *pulumirpc.CheckRequest) (*pulumirpc.CheckResponse, error) {
	return &pulumirpc.CheckResponse{Inputs: r.GetNews()}, nil
}

func (s *shelf) Diff(_ context.Context, r *pulumirpc.DiffRequest) (*pulumirpc.DiffResponse, error) {
	if proto.Equal(r.GetOldInputs(), r.GetNews()) {
		return &pulumirpc.DiffResponse{Changes: pulumirpc.DiffResponse_DIFF_NONE}, nil
	}
	d := &pulumirpc.DiffResponse{Changes: pulumirpc.DiffResponse_DIFF_SOME, Diffs: []string{"size"}, DeleteBeforeReplace: true}
	if s.replaces {
		d.Replaces = d.Diffs
	}
	return d, nil
}

func (s *shelf) Create(_ context.Context, r *pulumirpc.CreateRequest) (*pulumirpc.CreateResponse, error) {
	name := resource.URN(r.GetUrn()).Name()
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.GetPreview() {
		return &pulumirpc.CreateResponse{Properties: r.GetProperties()}, nil
	}
	if name == s.refuse {
		return nil, status.Error(codes.Unknown, "no room for "+name)
	}
	s.things[name] = r.GetProperties()
	return &pulumirpc.CreateResponse{Id: "id-" + name, Properties: r.GetProperties()}, nil
}

func (s *shelf) Read(_ context.Context, r *pulumirpc.ReadRequest) (*pulumirpc.ReadResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	in, ok := s.things[resource.URN(r.GetUrn()).Name()]
	if !ok {
		return &pulumirpc.ReadResponse{}, nil
	}
	return &pulumirpc.ReadResponse{Id: r.GetId(), Properties: in, Inputs: in}, nil
}

func (s *shelf) Update(_ context.Context, r *pulumirpc.UpdateRequest) (*pulumirpc.UpdateResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !r.GetPreview() {
		s.things[resource.URN(r.GetUrn()).Name()] = r.GetNews()
	}
	return &pulumirpc.UpdateResponse{Properties: r.GetNews()}, nil
}

func (s *shelf) Delete(_ context.Context, r *pulumirpc.DeleteRequest) (*emptypb.Empty, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.things, resource.URN(r.GetUrn()).Name())
	s.deleted = append(s.deleted, resource.URN(r.GetUrn()).Name())
	return &emptypb.Empty{}, nil
}

func (s *shelf) Cancel(context.Context, *emptypb.Empty) (*emptypb.Empty, error) {
	return &emptypb.Empty{}, nil
}

func (s *shelf) GetPluginInfo(context.Context, *emptypb.Empty) (*pulumirpc.PluginInfo, error) {
	return &pulumirpc.PluginInfo{Version: "1.0.0"}, nil
}

// things is a program of boxes: names and sizes.
func things(sizes map[string]int) pulumi.RunFunc {
	return func(ctx *pulumi.Context) error {
		for name, size := range sizes {
			var r pulumi.CustomResourceState
			if err := ctx.RegisterResource("test:index:Box", name, pulumi.Map{"size": pulumi.Int(size)}, &r); err != nil {
				return err
			}
		}
		return nil
	}
}

func open(t *testing.T, dir string, s *shelf) *Stack {
	t.Helper()
	stack, err := Open(t.Context(), Options{
		Dir: dir, Stack: "lab", Passphrase: "secret", Package: "test", Provider: s, Unfinished: "unfinished",
		Find: func(_ context.Context, kind, name string, _ map[string]any) (string, bool, error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			_, ok := s.things[name]
			return "id-" + name, ok && kind == "Box", nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := stack.Close(); err != nil {
			t.Error(err)
		}
	})
	return stack
}

func ops(changes []Change) map[string]Op {
	m := map[string]Op{}
	for _, c := range changes {
		m[c.Name] = c.Op
	}
	return m
}

func want(t *testing.T, what string, changes []Change, err error, expected map[string]Op) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	if d := cmp.Diff(expected, ops(changes)); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

func TestLife(t *testing.T) {
	dir, s := t.TempDir(), &shelf{things: map[string]*structpb.Struct{}}
	ctx := t.Context()
	stack := open(t, dir, s)
	boxes := map[string]int{"a": 1, "b": 2}

	changes, err := stack.Plan(ctx, things(boxes), nil)
	want(t, "plan", changes, err, map[string]Op{"a": Create, "b": Create})
	if len(s.things) != 0 {
		t.Errorf("plan made %v", s.things)
	}
	changes, err = stack.Up(ctx, things(boxes), []string{"test:index:Box::a"})
	want(t, "up to a", changes, err, map[string]Op{"a": Create})
	changes, err = stack.Up(ctx, things(boxes), nil)
	want(t, "up", changes, err, map[string]Op{"a": Same, "b": Create})

	// What lies beyond the targets is left as it is, even if the program no longer has it.
	changes, err = stack.Up(ctx, things(map[string]int{"a": 5}), []string{"test:index:Box::a"})
	want(t, "up of a alone", changes, err, map[string]Op{"a": Update})
	if len(s.things) != 2 {
		t.Errorf("b is gone: %v", s.things)
	}

	// A new process reads the state; what went away meanwhile is made again.
	stack = open(t, dir, s)
	delete(s.things, "b")
	if _, err := stack.Refresh(ctx); err != nil {
		t.Fatal(err)
	}
	changes, err = stack.Up(ctx, things(map[string]int{"a": 5, "b": 2}), nil)
	want(t, "up after a deletion by hand", changes, err, map[string]Op{"a": Same, "b": Create})
	changes, err = stack.Up(ctx, things(map[string]int{"a": 5}), nil)
	want(t, "up without b", changes, err, map[string]Op{"a": Same, "b": Delete})
	changes, err = stack.Destroy(ctx)
	want(t, "destroy", changes, err, map[string]Op{"a": Delete})
	if len(s.things) != 0 || len(stack.Resources()) != 0 {
		t.Errorf("left: %v, %v", s.things, stack.Resources())
	}
}

// On a full disk the state can't be written: up ends there, destroy goes on, and so does one after it.
func TestStateThatCannotBeWritten(t *testing.T) {
	dir, s := t.TempDir(), &shelf{things: map[string]*structpb.Struct{}}
	stack := open(t, dir, s)
	if _, err := stack.Up(t.Context(), things(map[string]int{"a": 1, "b": 2}), nil); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(stack.file()+".tmp", 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := stack.Up(t.Context(), things(map[string]int{"a": 1, "b": 2, "c": 3}), nil); err == nil {
		t.Error("up does not say that it could not write the state")
	}
	for _, which := range []string{"destroy", "destroy again"} {
		if _, err := open(t, dir, s).Destroy(t.Context()); err != nil {
			t.Errorf("%s: %v", which, err)
		}
		if len(s.things) != 0 {
			t.Errorf("%s leaves %v", which, s.things)
		}
	}
}

func TestFailureLeavesTheRest(t *testing.T) {
	s := &shelf{things: map[string]*structpb.Struct{}, refuse: "b"}
	stack := open(t, t.TempDir(), s)
	boxes := map[string]int{"a": 1, "b": 2}
	_, err := stack.Up(t.Context(), things(boxes), nil)
	var e *Error
	if !errors.As(err, &e) || !strings.Contains(e.Error(), "no room for b") {
		t.Fatalf("up: %v", err)
	}
	s.refuse = ""
	if _, err := stack.Up(t.Context(), things(boxes), nil); err != nil {
		t.Fatal(err)
	}
	if len(s.things) != 2 {
		t.Errorf("made %v", s.things)
	}
}

// TestKilledWhileCreating makes the state of a run that was killed: a creation noted as begun.
func TestKilledWhileCreating(t *testing.T) {
	for _, made := range []bool{false, true} {
		t.Run(fmt.Sprintf("made=%v", made), func(t *testing.T) {
			dir, s := t.TempDir(), &shelf{things: map[string]*structpb.Struct{}}
			stack := open(t, dir, s)
			if _, err := stack.Up(t.Context(), things(map[string]int{"a": 1}), nil); err != nil {
				t.Fatal(err)
			}
			state, err := os.ReadFile(stack.file())
			if err != nil {
				t.Fatal(err)
			}
			pending := strings.Replace(string(state), `"resources": [`, `"pending_operations": [{"type": "creating", "resource": {
				"urn": "urn:pulumi:lab::labctl::test:index:Box::b", "custom": true, "type": "test:index:Box", "inputs": {"size": 2},
				"provider": "`+providerOf(t, string(state))+`"}}], "resources": [`, 1)
			if err := os.WriteFile(stack.file(), []byte(pending), 0o600); err != nil {
				t.Fatal(err)
			}
			if made {
				s.things["b"] = &structpb.Struct{}
			}
			stack = open(t, dir, s)
			var names []string
			for _, r := range stack.Resources() {
				names = append(names, r.Name)
			}
			if got := strings.Contains(strings.Join(names, " "), "b"); got != made {
				t.Errorf("resources %v", names)
			}
			if _, err := stack.Destroy(t.Context()); err != nil {
				t.Fatal(err)
			}
			if len(s.things) != 0 {
				t.Errorf("destroy left %v", s.things)
			}
		})
	}
}

// TestKilledWhileUpdating: what a refresh finds to be as it should may still not be finished, and only the state knows.
func TestKilledWhileUpdating(t *testing.T) {
	dir, s := t.TempDir(), &shelf{things: map[string]*structpb.Struct{}}
	stack := open(t, dir, s)
	if _, err := stack.Up(t.Context(), things(map[string]int{"a": 1, "b": 1}), nil); err != nil {
		t.Fatal(err)
	}
	state, err := os.ReadFile(stack.file())
	if err != nil {
		t.Fatal(err)
	}
	pending := strings.Replace(string(state), `"resources": [`, `"pending_operations": [{"type": "updating", "resource": {
		"urn": "urn:pulumi:lab::labctl::test:index:Box::b", "custom": true, "type": "test:index:Box", "id": "id-b", "inputs": {"size": 2},
		"provider": "`+providerOf(t, string(state))+`"}}], "resources": [`, 1)
	if err := os.WriteFile(stack.file(), []byte(pending), 0o600); err != nil {
		t.Fatal(err)
	}
	stack = open(t, dir, s)
	marked := map[string]bool{}
	for _, r := range stack.snap.Resources {
		if r.Custom {
			marked[r.URN.Name()] = r.Outputs["unfinished"].IsBool() && r.Outputs["size"].IsNumber()
		}
	}
	if !marked["b"] || marked["a"] {
		t.Errorf("marked as unfinished: %v", marked)
	}
	changes, err := stack.Up(t.Context(), things(map[string]int{"a": 1, "b": 2}), nil)
	want(t, "up", changes, err, map[string]Op{"a": Same, "b": Update})
}

func providerOf(t *testing.T, state string) string {
	t.Helper()
	_, after, ok := strings.Cut(state, `"provider": "`)
	if !ok {
		t.Fatalf("no provider in\n%s", state)
	}
	ref, _, _ := strings.Cut(after, `"`)
	return ref
}

func TestDamagedState(t *testing.T) {
	dir, s := t.TempDir(), &shelf{things: map[string]*structpb.Struct{}}
	stack := open(t, dir, s)
	if _, err := stack.Up(t.Context(), things(map[string]int{"a": 1}), nil); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(stack.file(), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Open(t.Context(), Options{Dir: dir, Stack: "lab", Passphrase: "secret", Package: "test", Provider: s})
	if err == nil || !strings.Contains(err.Error(), stack.file()) {
		t.Errorf("%v does not name %q", err, stack.file())
	}
}

// TestDifferences: a change comes with what its inputs were and what they become, also where another thing is needed.
func TestDifferences(t *testing.T) {
	for _, replaces := range []bool{false, true} {
		s := &shelf{things: map[string]*structpb.Struct{}, replaces: replaces}
		stack := open(t, t.TempDir(), s)
		if _, err := stack.Up(t.Context(), things(map[string]int{"a": 1}), nil); err != nil {
			t.Fatal(err)
		}
		changes, err := stack.Plan(t.Context(), things(map[string]int{"a": 2}), nil)
		if err != nil || len(changes) != 1 {
			t.Fatalf("replaces=%v: %v, %v", replaces, changes, err)
		}
		if diff := cmp.Diff([]Difference{{"size", 1.0, 2.0}}, changes[0].Diff); diff != "" {
			t.Errorf("replaces=%v (-want +got):\n%s", replaces, diff)
		}
	}
}

// TestReplaceAfterPlan: a plan marks what it would replace, and an up that believed the mark would not delete it.
func TestReplaceAfterPlan(t *testing.T) {
	s := &shelf{things: map[string]*structpb.Struct{}, replaces: true}
	stack := open(t, t.TempDir(), s)
	if _, err := stack.Up(t.Context(), things(map[string]int{"a": 1}), nil); err != nil {
		t.Fatal(err)
	}
	bigger := things(map[string]int{"a": 2})
	changes, err := stack.Plan(t.Context(), bigger, nil)
	want(t, "plan", changes, err, map[string]Op{"a": Replace})
	changes, err = stack.Up(t.Context(), bigger, nil)
	want(t, "up", changes, err, map[string]Op{"a": Replace})
	if d := cmp.Diff([]string{"a"}, s.deleted); d != "" {
		t.Errorf("deleted (-want +got):\n%s", d)
	}
}
