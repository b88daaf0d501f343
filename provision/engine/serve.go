package engine

import (
	"context"
	"fmt"
	"net"

	pkghost "github.com/pulumi/pulumi/pkg/v3/host"
	"github.com/pulumi/pulumi/pkg/v3/resource/plugin"
	"github.com/pulumi/pulumi/sdk/v3/go/common/diag"
	"github.com/pulumi/pulumi/sdk/v3/go/common/env"
	"github.com/pulumi/pulumi/sdk/v3/go/common/util/rpcutil"
	"github.com/pulumi/pulumi/sdk/v3/go/common/workspace"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/types/known/emptypb"
)

// ---- the provider, over a connection in memory: no port that another user of this machine could reach

type providerServer struct {
	server *grpc.Server
	conn   *grpc.ClientConn
	client pulumirpc.ResourceProviderClient
}

func serveProvider(p pulumirpc.ResourceProviderServer) (*providerServer, error) {
	const buffer = 1 << 20
	l := bufconn.Listen(buffer)
	server := grpc.NewServer()
	pulumirpc.RegisterResourceProviderServer(server, p)
	go func() { _ = server.Serve(l) }() // ends with server.Stop; its error then says just that
	conn, err := grpc.NewClient("passthrough:provider",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()), rpcutil.GrpcChannelOptions())
	if err != nil {
		server.Stop()
		return nil, err
	}
	return &providerServer{server: server, conn: conn, client: pulumirpc.NewResourceProviderClient(conn)}, nil
}

func (p *providerServer) close() error {
	err := p.conn.Close()
	p.server.Stop()
	return err
}

// factory makes a plugin host that knows our provider and nothing else.
func (p *providerServer) factory(pkg string) func(context.Context, diag.Sink, diag.Sink, plugin.DebugContext) (plugin.Host, error) {
	return func(ctx context.Context, d, status diag.Sink, debug plugin.DebugContext) (plugin.Host, error) {
		h, err := pkghost.New(ctx, d, status, debug, nil, nil, nil, nil)
		return &host{Host: h, pkg: pkg, client: p.client}, err
	}
}

type host struct {
	plugin.Host
	pkg    string
	client pulumirpc.ResourceProviderClient
}

// Provider hands out our provider instead of looking for a plugin on disk.
func (h *host) Provider(ctx *plugin.Context, d workspace.PluginDescriptor, _ env.Env) (plugin.Provider, error) {
	if d.Name != h.pkg {
		return nil, fmt.Errorf("the state has resources of package %q, which labctl doesn't have", d.Name)
	}
	return plugin.NewProviderWithClient(ctx, h.client, false), nil
}

// ResolvePlugin keeps the engine from looking for our provider on disk.
func (h *host) ResolvePlugin(_ *plugin.Context, d workspace.PluginDescriptor) (*workspace.PluginInfo, error) {
	return &workspace.PluginInfo{Name: d.Name, Kind: d.Kind, Version: d.Version}, nil
}

// ---- the program, served as a language host: the engine knows no other way to run one

type program struct {
	pulumirpc.UnimplementedLanguageRuntimeServer
	run     pulumi.RunFunc
	address string
	close   func() error
}

func serveProgram(run pulumi.RunFunc) (*program, error) {
	p := &program{run: run}
	quit := make(chan bool)
	h, err := rpcutil.ServeWithOptions(rpcutil.ServeOptions{Cancel: quit, Init: func(s *grpc.Server) error {
		pulumirpc.RegisterLanguageRuntimeServer(s, p)
		return nil
	}})
	if err != nil {
		return nil, err
	}
	p.address = fmt.Sprintf("127.0.0.1:%d", h.Port)
	p.close = func() error { close(quit); return <-h.Done }
	return p, nil
}

func (p *program) Run(ctx context.Context, r *pulumirpc.RunRequest) (*pulumirpc.RunResponse, error) {
	var engineAddress string
	if len(r.GetArgs()) > 0 {
		engineAddress = r.GetArgs()[0]
	}
	c, err := pulumi.NewContext(ctx, pulumi.RunInfo{
		EngineAddr: engineAddress, MonitorAddr: r.GetMonitorAddress(),
		Project: r.GetProject(), Stack: r.GetStack(), Organization: r.GetOrganization(),
		Parallel: r.GetParallel(), DryRun: r.GetDryRun(),
	})
	if err != nil {
		return nil, err
	}
	defer c.Close() //nolint:errcheck // the program has ended, and its error is what counts
	if err := pulumi.RunWithContext(c, p.run); err != nil {
		return &pulumirpc.RunResponse{Error: err.Error()}, nil
	}
	return &pulumirpc.RunResponse{}, nil
}

func (*program) GetRequiredPlugins(context.Context, *pulumirpc.GetRequiredPluginsRequest) (*pulumirpc.GetRequiredPluginsResponse, error) {
	return &pulumirpc.GetRequiredPluginsResponse{}, nil
}

func (*program) GetPluginInfo(context.Context, *emptypb.Empty) (*pulumirpc.PluginInfo, error) {
	return &pulumirpc.PluginInfo{Version: "1.0.0"}, nil
}
