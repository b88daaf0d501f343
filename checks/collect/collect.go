package collect

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/labctl/labctl/checks"
	"github.com/labctl/labctl/internal/config"
)

// Machines tells the network cards of a node's machine.
type Machines interface {
	// NICs returns them, and VirtualBox's word for the machine's state: running, poweroff, ...
	NICs(ctx context.Context, node string) (nics []checks.NIC, state string, err error)
}

// Options say what is collected, and through what.
type Options struct {
	Lab       *config.Lab
	Simulated bool
	// Checks are what the evidence is for: what none of them needs is not asked. Nil: everything is.
	Checks []checks.Check
	// Connect opens a connection to a node, by its name. The Closer is closed when all has been collected.
	Connect func(ctx context.Context, node string) (Runner, io.Closer, error)
	// HTTP asks from the host; its transport's dialer decides what that is. It must use no proxy. Nil: the host's probes are unknown.
	HTTP *http.Client
	// Machines may be nil: then the machines' NICs are unknown.
	Machines Machines
	// HostRoutes returns the host's routes as ip -j route prints them. It may be nil.
	HostRoutes func(ctx context.Context) ([]byte, error)
	// Manifests are what labctl has applied, in one stream: applying them again is tried, without doing it. Nil: that is unknown.
	Manifests []byte
	// Timeout bounds each connection and each batch of commands of a node; by default 60 s.
	Timeout time.Duration
	// Step is told what is under way; it may be called from any goroutine.
	Step func(string)
}

const defaultTimeout = 60 * time.Second

// Collect asks the nodes, VirtualBox and the host, all at once, and returns what they said. What cannot be reached is evidence too:
// the error is only about options that make no sense, or the context's.
func Collect(ctx context.Context, o Options) (*Evidence, error) {
	if o.Lab == nil || o.Connect == nil {
		return nil, errors.New("collecting evidence needs a lab and a way to connect to its nodes")
	}
	if o.Timeout <= 0 {
		o.Timeout = defaultTimeout
	}
	if o.Step == nil {
		o.Step = func(string) {}
	}
	c := &collection{Options: o, needs: checks.NeedsOf(o.Checks), nodes: make([]nodeSession, len(o.Lab.Nodes))}
	defer c.close()

	o.Step("asking nodes and machines")
	for i := range o.Lab.Nodes {
		c.start(func() { c.nodes[i].first(ctx, c, o.Lab.Nodes[i]) })
	}
	if o.Machines != nil {
		for _, n := range o.Lab.Nodes {
			c.start(func() { c.add(c.machine(ctx, n.Name)) })
		}
	}
	if o.HostRoutes != nil {
		c.start(func() { c.add(c.hostRoutes(ctx)) })
	}
	c.wait()

	// Only now are the addresses known that the probes ask.
	known := checks.Facts{Lab: o.Lab, Cluster: parseCluster(c.evidence())}
	web, hello := targets(known)
	o.Step("probing services")
	if o.HTTP != nil { // before the nodes get busy with their own: these are timed
		turn := make(gate, hostAtOnce)
		if c.needs.Has(checks.NeedNodePorts) {
			c.start(func() { c.add(probeNodePorts(ctx, o.HTTP, known, turn)...) })
		}
		ask := func(urls []string, host string) {
			for _, url := range urls {
				c.start(func() {
					turn.enter()
					defer turn.leave()
					c.add(probeHostFor(ctx, o.HTTP, url, host, nodePortTimeout))
				})
			}
		}
		if c.needs.Has(checks.NeedLoadBalancer) {
			ask(loadBalancerURLs(known), "")
		}
		if c.needs.Has(checks.NeedIngress) {
			ask(ingressURLs(known), checks.IngressHost)
		}
		if c.needs.Has(checks.NeedHostNetwork) {
			ask(hostNetworkURLs(known), "")
		}
		if hello.IsValid() && c.needs.Has(checks.NeedIsolation) {
			c.start(func() { c.add(probeIsolation(ctx, o.HTTP, o.Lab, hello)...) })
		}
		c.wait()
	}
	for i, n := range o.Lab.Nodes {
		c.start(func() {
			c.nodes[i].probe(ctx, c, func(ctx context.Context, r Runner) []Item {
				return runBatch(ctx, r, n.Name, probeBatch(o.Lab, n, c.needs, web, hello))
			})
			if n.Role == config.RoleServer && c.needs.Has(checks.NeedPods) {
				c.nodes[i].probe(ctx, c, func(ctx context.Context, r Runner) []Item { return runApart(ctx, r, n.Name, podBatch(known, web)) })
			}
		})
	}
	c.wait()
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("collecting evidence: %w", err)
	}
	return c.evidence(), nil
}

// targets returns where the demo's services are asked; the zero AddrPort for one that is not there. The cluster names the addresses: one
// outside its service network is not asked, or a hostile cluster would choose what this machine asks.
func targets(f checks.Facts) (web, hello netip.AddrPort) {
	inside := func(a netip.AddrPort, _ bool) netip.AddrPort {
		if !f.Lab.K3s.ServiceCIDR.Contains(a.Addr()) {
			return netip.AddrPort{}
		}
		return a
	}
	if s, ok := f.Cluster.Service(checks.WebNamespace, checks.WebService); ok {
		web = inside(checks.ServiceTarget(s))
	}
	if s, ok := f.Cluster.Hello(f.Lab.Demo.NodePort); ok {
		hello = inside(checks.ServiceTarget(s))
	}
	return web, hello
}

// collection is a Collect under way.
type collection struct {
	Options
	needs checks.Needs
	nodes []nodeSession
	group sync.WaitGroup

	mu    sync.Mutex
	items []Item
}

func (c *collection) start(work func()) { c.group.Go(work) }
func (c *collection) wait()             { c.group.Wait() }

func (c *collection) add(items ...Item) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.items = append(c.items, items...)
}

// evidence returns the items so far, the nodes' first, in the lab's order.
func (c *collection) evidence() *Evidence {
	c.mu.Lock()
	defer c.mu.Unlock()
	items := slices.Clone(c.items)
	places := []string{checks.Host, VirtualBox}
	for i, n := range c.Lab.Nodes {
		places = slices.Insert(places, i, n.Name)
	}
	slices.SortStableFunc(items, func(a, b Item) int { return slices.Index(places, a.Where) - slices.Index(places, b.Where) })
	return &Evidence{Lab: c.Lab, Simulated: c.Simulated, Items: items}
}

func (c *collection) close() {
	for i := range c.nodes {
		if closer := c.nodes[i].closer; closer != nil {
			closer.Close() // nothing was written; an error here changes no evidence
		}
	}
}

// nodeSession is the connection to one node.
type nodeSession struct {
	runner Runner
	closer io.Closer
}

// first connects and runs the first batch.
func (s *nodeSession) first(ctx context.Context, c *collection, n config.Node) {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	started := time.Now()
	runner, closer, err := c.Connect(ctx, n.Name)
	if err != nil {
		c.Step(n.Name + " does not answer")
		c.add(Item{Where: n.Name, Command: fmt.Sprintf(cmdConnect, n.Name), Err: string(redact([]byte(err.Error()))), Started: started, Took: time.Since(started)})
		return
	}
	s.runner, s.closer = runner, closer
	items := runBatch(ctx, runner, n.Name, nodeBatch(c.Lab, n, c.needs, c.Manifests))
	c.add(items...)
	c.add(runBatch(ctx, runner, n.Name, legacyBatch(items))...)
}

// probe asks further, if the node is connected.
func (s *nodeSession) probe(ctx context.Context, c *collection, ask func(context.Context, Runner) []Item) {
	if s.runner == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	c.add(ask(ctx, s.runner)...)
}

// machine asks for the NICs of a node's machine and tells them as VBoxManage would.
func (c *collection) machine(ctx context.Context, node string) Item {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	item := Item{Where: VirtualBox, Command: machineCommand(c.Lab, node), Started: time.Now()}
	nics, state, err := c.Machines.NICs(ctx, node)
	item.Took = time.Since(item.Started)
	if err != nil {
		item.Err = err.Error()
		return item
	}
	item.Stdout = formatMachine(nics, state)
	return item
}

func (c *collection) hostRoutes(ctx context.Context) Item {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	item := Item{Where: checks.Host, Command: cmdRoute, Started: time.Now()}
	out, err := c.HostRoutes(ctx)
	item.Took = time.Since(item.Started)
	item.Stdout = out
	if err != nil {
		item.Err = err.Error()
	}
	return item
}
