package provider

import (
	"context"
	"fmt"
	"maps"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/plugin"
	"github.com/pulumi/pulumi/sdk/v3/go/common/util/rpcutil/rpcerror"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/labctl/labctl/internal/config"
	"github.com/labctl/labctl/internal/labdir"
)

// Options is what the provider works with.
type Options struct {
	Lab        *config.Lab
	Folder     *labdir.Folder
	Hypervisor Hypervisor
	Images     Downloads
	Dial       func(ctx context.Context, network, addr string) (net.Conn, error)
	Arch       string // of the guests: amd64
	Timeouts   Timeouts
	Now        func() time.Time
	// Step is told what is being done to a resource, by its name. It may be called from several goroutines.
	Step func(name, text string)
	// Destroying says that every machine goes: what lives inside them needs no removal of its own.
	Destroying bool
	// FreePort returns a free TCP port on 127.0.0.1 that is none of taken: preferred, unless 0 or not free.
	FreePort func(preferred int, taken map[int]bool) (int, error)
}

// Timeouts bounds each wait.
type Timeouts struct {
	Boot  time.Duration // from power-on to SSH, and again to the end of cloud-init
	K3s   time.Duration // from installing k3s to a Ready node
	Demo  time.Duration // from applying a manifest to its pods being ready
	Stop  time.Duration // from ACPI's power button to pulling the plug
	Reach time.Duration // to see whether a machine that should run answers
}

// DefaultTimeouts suit a laptop that downloads container images over a slow line.
func DefaultTimeouts() Timeouts {
	return Timeouts{Boot: 10 * time.Minute, K3s: 10 * time.Minute, Demo: 15 * time.Minute, Stop: 2 * time.Minute, Reach: 10 * time.Second}
}

// Provider implements Pulumi's resource provider protocol, for one run. What it keeps is that run's: connections, what was fetched, whose
// turn it is, the errors it reported. What outlasts the run is in the engine's state, in the lab's folder and in VirtualBox.
type Provider struct {
	pulumirpc.UnimplementedResourceProviderServer
	o     Options
	run   context.Context // one run of the engine: a request's own context does not end on Ctrl-C
	kinds map[string]kind
	conns *connections
	// doomed are the nodes whose machines this run deletes or replaces: they need not be wiped first.
	doomed map[string]bool

	releases releases
	rolling  *rolling
	join     joinSecret

	mu       sync.Mutex
	failures []Failure
	archives map[string]map[string]string // of images on each node, with their checksums, as the last run put them there
}

// Failure is what went wrong with one resource. Err doesn't name the resource: Type and Name do.
type Failure struct {
	Type string // the last part of the type: "Machine"
	Name string
	Err  error
}

// kind is one resource type.
type kind struct {
	required []string                      // inputs that must be there
	replace  []string                      // inputs whose change needs a new resource
	refuse   func(old, wanted props) error // says that a change is impossible, before anything is changed; may be nil
	ensure   func(ctx context.Context, in props, step func(string)) (id, value string, err error)
	read     func(ctx context.Context, id string, in props) (now props, err error) // nil: gone
	remove   func(ctx context.Context, id string, in props, step func(string)) error
	find     func(ctx context.Context, in props) (id string, ok bool, err error)
}

// New returns a provider whose work ends with ctx.
func New(ctx context.Context, o Options) *Provider {
	p := &Provider{
		o: o, run: ctx, archives: map[string]map[string]string{}, rolling: newRolling(),
	}
	p.conns = newConnections(o)
	p.kinds = map[string]kind{
		"Image":           p.image(),
		"HostOnlyNetwork": p.network(),
		"Machine":         p.machine(),
		"NodeBinary":      p.nodeBinary(),
		"NodeImages":      p.nodeImages(),
		"Server":          p.server(),
		"Agent":           p.agent(),
		"Manifest":        p.manifest(),
	}
	return p
}

// Doom says which nodes' machines the run deletes or replaces.
func (p *Provider) Doom(nodes map[string]bool) { p.doomed = nodes }

// Close ends the connections to the nodes.
func (p *Provider) Close() { p.conns.close() }

// Failures returns the errors of this run, in the order in which they happened.
func (p *Provider) Failures() []Failure {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.failures)
}

// Find looks for something that a killed run was creating.
func (p *Provider) Find(ctx context.Context, typ, name string, inputs map[string]any) (id string, ok bool, err error) {
	k, ok := p.kinds[typ]
	if !ok || k.find == nil {
		return "", false, nil
	}
	return k.find(ctx, inputs)
}

// ---- the protocol

// Check refuses what cannot work before anything is made.
func (p *Provider) Check(_ context.Context, r *pulumirpc.CheckRequest) (*pulumirpc.CheckResponse, error) {
	k, err := p.kindOf(r.GetUrn())
	if err != nil {
		return nil, err
	}
	in, err := unpack(r.GetNews())
	if err != nil {
		return nil, err
	}
	res := &pulumirpc.CheckResponse{Inputs: r.GetNews()}
	for _, key := range k.required {
		if v, ok := in[resource.PropertyKey(key)]; !ok || v.IsNull() {
			res.Failures = append(res.Failures, &pulumirpc.CheckFailure{Property: key, Reason: "is required"})
		}
	}
	if r.GetOlds() != nil && k.refuse != nil {
		old, err := unpack(r.GetOlds())
		if err != nil {
			return nil, err
		}
		if err := k.refuse(old.Mappable(), in.Mappable()); err != nil {
			p.failed(r.GetUrn(), err)
			res.Failures = append(res.Failures, &pulumirpc.CheckFailure{Reason: err.Error()})
		}
	}
	return res, nil
}

// Diff compares the inputs of the last run, or what Read saw since, with the new ones.
func (p *Provider) Diff(_ context.Context, r *pulumirpc.DiffRequest) (*pulumirpc.DiffResponse, error) {
	k, err := p.kindOf(r.GetUrn())
	if err != nil {
		return nil, err
	}
	old, err := unpack(r.GetOldInputs())
	if err != nil {
		return nil, err
	}
	in, err := unpack(r.GetNews())
	if err != nil {
		return nil, err
	}
	d := old.Diff(in)
	if d == nil {
		return &pulumirpc.DiffResponse{Changes: pulumirpc.DiffResponse_DIFF_NONE}, nil
	}
	res := &pulumirpc.DiffResponse{Changes: pulumirpc.DiffResponse_DIFF_SOME, DeleteBeforeReplace: true}
	for _, key := range d.ChangedKeys() {
		res.Diffs = append(res.Diffs, string(key))
		if slices.Contains(k.replace, string(key)) {
			res.Replaces = append(res.Replaces, string(key))
		}
	}
	return res, nil
}

// Create makes a resource.
func (p *Provider) Create(req context.Context, r *pulumirpc.CreateRequest) (*pulumirpc.CreateResponse, error) {
	if r.GetPreview() { // the inputs as they are, the output not known yet
		out, err := unpack(r.GetProperties())
		if err != nil {
			return nil, err
		}
		out[valueKey] = resource.MakeComputed(resource.NewProperty(""))
		packed, err := pack(out)
		return &pulumirpc.CreateResponse{Properties: packed}, err
	}
	id, out, err := p.ensure(req, r.GetUrn(), "", r.GetProperties(), nil)
	return &pulumirpc.CreateResponse{Id: id, Properties: out}, err
}

// Update changes a resource, or finishes one that was left half made.
func (p *Provider) Update(req context.Context, r *pulumirpc.UpdateRequest) (*pulumirpc.UpdateResponse, error) {
	if r.GetPreview() {
		out, err := unpack(r.GetNews())
		if err != nil {
			return nil, err
		}
		old, err := unpack(r.GetOlds())
		if err != nil {
			return nil, err
		}
		if v, ok := old[valueKey]; ok {
			out[valueKey] = v
		}
		packed, err := pack(out)
		return &pulumirpc.UpdateResponse{Properties: packed}, err
	}
	_, out, err := p.ensure(req, r.GetUrn(), r.GetId(), r.GetNews(), r.GetOlds())
	return &pulumirpc.UpdateResponse{Properties: out}, err
}

func (p *Provider) ensure(req context.Context, urn, id string, inputs, olds *structpb.Struct) (string, *structpb.Struct, error) {
	k, err := p.kindOf(urn)
	if err != nil {
		return "", nil, err
	}
	in, err := unpack(inputs)
	if err != nil {
		return "", nil, err
	}
	old, err := unpack(olds)
	if err != nil {
		return "", nil, err
	}
	ctx, done := p.during(req)
	defer done()
	made, value, err := k.ensure(ctx, in.Mappable(), p.step(urn))
	if made != "" {
		id = made
	}
	in[valueKey] = resource.NewProperty(value)
	if err != nil {
		// The engine forgets that it failed as soon as a refresh can read the resource: this stays until it is finished.
		in[Unfinished] = resource.NewProperty(true)
		if v, ok := old[valueKey]; ok && value == "" {
			in[valueKey] = v
		}
	}
	out, perr := pack(in)
	if perr != nil {
		return "", nil, perr
	}
	if err == nil {
		return id, out, nil
	}
	p.failed(urn, err)
	if id == "" {
		return "", nil, status.Error(codes.Unknown, err.Error())
	}
	return "", nil, rpcerror.WithDetails(rpcerror.New(codes.Unknown, err.Error()),
		&pulumirpc.ErrorResourceInitFailed{Id: id, Properties: out, Inputs: inputs, Reasons: []string{err.Error()}})
}

// Read says what is there now; no id in the answer means that it is gone.
func (p *Provider) Read(req context.Context, r *pulumirpc.ReadRequest) (*pulumirpc.ReadResponse, error) {
	k, err := p.kindOf(r.GetUrn())
	if err != nil {
		return nil, err
	}
	in, err := unpack(r.GetInputs())
	if err != nil {
		return nil, err
	}
	old, err := unpack(r.GetProperties())
	if err != nil {
		return nil, err
	}
	ctx, done := p.during(req)
	defer done()
	given := in.Mappable()
	delete(given, driftKey) // what an earlier look found says nothing of now: it would stay for good
	now, err := k.read(ctx, r.GetId(), given)
	if err != nil {
		p.failed(r.GetUrn(), err)
		return nil, status.Error(codes.Unknown, err.Error())
	}
	if now == nil {
		return &pulumirpc.ReadResponse{}, nil
	}
	_, unfinished := old[Unfinished]
	value, known := old[valueKey]
	if unfinished || !known {
		now = maps.Clone(now)
		now[driftKey] = "was not finished"
	}
	inputs := resource.NewPropertyMapFromMap(now)
	out := maps.Clone(inputs)
	if known {
		out[valueKey] = value
	}
	if unfinished {
		out[Unfinished] = resource.NewProperty(true)
	}
	packedIn, err := pack(inputs)
	if err != nil {
		return nil, err
	}
	packedOut, err := pack(out)
	return &pulumirpc.ReadResponse{Id: r.GetId(), Properties: packedOut, Inputs: packedIn}, err
}

// Delete removes a resource; one that is gone is no error.
func (p *Provider) Delete(req context.Context, r *pulumirpc.DeleteRequest) (*emptypb.Empty, error) {
	k, err := p.kindOf(r.GetUrn())
	if err != nil {
		return nil, err
	}
	in, err := unpack(r.GetProperties())
	if err != nil {
		return nil, err
	}
	ctx, done := p.during(req)
	defer done()
	if err := k.remove(ctx, r.GetId(), in.Mappable(), p.step(r.GetUrn())); err != nil {
		p.failed(r.GetUrn(), err)
		return nil, status.Error(codes.Unknown, err.Error())
	}
	return &emptypb.Empty{}, nil
}

// Cancel is called at the end of every operation; the work is bound to the run's context instead.
func (*Provider) Cancel(context.Context, *emptypb.Empty) (*emptypb.Empty, error) {
	return &emptypb.Empty{}, nil
}

// Configure: secrets are not accepted, so the engine hands over plain values; labctl's inputs hold none.
func (*Provider) Configure(context.Context, *pulumirpc.ConfigureRequest) (*pulumirpc.ConfigureResponse, error) {
	return &pulumirpc.ConfigureResponse{SupportsPreview: true}, nil
}

// CheckConfig accepts the provider's own configuration, which is empty.
func (*Provider) CheckConfig(_ context.Context, r *pulumirpc.CheckRequest) (*pulumirpc.CheckResponse, error) {
	return &pulumirpc.CheckResponse{Inputs: r.GetNews()}, nil
}

// DiffConfig finds the provider's own configuration, which is empty, unchanged.
func (*Provider) DiffConfig(context.Context, *pulumirpc.DiffRequest) (*pulumirpc.DiffResponse, error) {
	return &pulumirpc.DiffResponse{Changes: pulumirpc.DiffResponse_DIFF_NONE}, nil
}

// GetPluginInfo names the version of the resource types.
func (*Provider) GetPluginInfo(context.Context, *emptypb.Empty) (*pulumirpc.PluginInfo, error) {
	return &pulumirpc.PluginInfo{Version: "1.0.0"}, nil
}

// ---- between the protocol and the resources

func (p *Provider) kindOf(urn string) (kind, error) {
	typ := resource.URN(urn).Type()
	k, ok := p.kinds[string(typ.Name())]
	if !ok {
		return k, status.Errorf(codes.InvalidArgument, "labctl has no resource type %q", typ)
	}
	return k, nil
}

// during returns a context that ends with the request (the engine gave up) and with the run (Ctrl-C).
func (p *Provider) during(req context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(req)
	stop := context.AfterFunc(p.run, func() { cancel(context.Cause(p.run)) })
	return ctx, func() { stop(); cancel(nil) }
}

func (p *Provider) step(urn string) func(string) {
	name := resource.URN(urn).Name()
	return func(text string) {
		if p.o.Step != nil {
			p.o.Step(name, text)
		}
	}
}

func (p *Provider) failed(urn string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	u := resource.URN(urn)
	p.failures = append(p.failures, Failure{Type: string(u.Type().Name()), Name: u.Name(), Err: err})
}

const (
	// valueKey is the one output of every resource.
	valueKey = resource.PropertyKey("value")
	// Unfinished is an output of a resource whose last change failed or was interrupted.
	Unfinished = "unfinished"
	// driftKey is an input that no program sets: Read sets it to say why a resource must be brought up to date.
	driftKey = "drift"
)

// props are a resource's inputs as plain Go values.
type props map[string]any

func (in props) text(key string) string {
	s, _ := in[key].(string)
	return s
}

func (in props) number(key string) int {
	f, _ := in[key].(float64)
	return int(f)
}

func unpack(s *structpb.Struct) (resource.PropertyMap, error) {
	return plugin.UnmarshalProperties(s, plugin.MarshalOptions{KeepUnknowns: true, SkipNulls: true})
}

func pack(m resource.PropertyMap) (*structpb.Struct, error) {
	return plugin.MarshalProperties(m, plugin.MarshalOptions{KeepUnknowns: true, SkipNulls: true})
}

// wait bounds what may take long, and says in its error how long that was, if that is why it ended.
func wait(ctx context.Context, d time.Duration, f func(context.Context) error) error {
	limited, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	err := f(limited)
	if err != nil && ctx.Err() == nil && limited.Err() != nil {
		return fmt.Errorf("not within %s: %w", d, err)
	}
	return err
}
