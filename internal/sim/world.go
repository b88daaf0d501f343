package sim

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

// Options are how long the simulated machines take. A zero field stands for what a Director of the same folder said, or
// for its default.
type Options struct {
	Boot     time.Duration `json:"boot"`     // from VBoxManage startvm until sshd answers; default 800 ms
	K3sStart time.Duration `json:"k3sStart"` // from the start of the k3s service until the node is Ready; default 400 ms
	PodStart time.Duration `json:"podStart"` // from scheduling until a pod is Ready; default 300 ms
	// Process, if not nil, is told of every program that is started on a guest, as the guest's process list shows it. It may be
	// called from any goroutine.
	Process func(argv []string) `json:"-"`
}

// World is everything that answers on the simulated network: the guests of the machines that VBoxManage made in the
// same folder, and the host they run on.
//
// Nothing runs in the background. What a guest looks like follows from files in the folder and from the time, so any
// number of processes may have a World of one folder and see the same. Mutations are guarded by a file lock per guest.
type World struct {
	dir      string
	options  Options
	director string // where to ask what goes wrong; empty: nothing

	pairs    pairs
	programs map[string]program
	done     chan struct{} // closed by Close
	serving  sync.WaitGroup

	looking sync.Mutex
	last    *moment        // guarded by looking
	known   cached[string] // the epoch; guarded by looking

	tracking sync.Mutex    // guards the files of conntrack
	ports    atomic.Uint32 // of clients; see ephemeralPort

	mu      sync.Mutex // guards what follows
	vbox    cached[vboxState]
	guests  map[string]*cached[guestState] // by disk
	states  map[string]*cached[clusterState]
	turns   map[string]int // how many choices each chain and virtual server has made
	derived map[string]*derivedCluster
	heard   map[string]*cached[knowledge]
}

// cached is a parsed file together with the file it was parsed from.
type cached[T any] struct {
	stamp stamp
	value *T // not to be changed
}

// recall reads a file, unless it is as it was when it was read last.
func recall[T any](w *World, known map[string]*cached[T], key, name string, read func(name string) (*T, error)) (*T, error) {
	now := stampOf(name)
	w.mu.Lock()
	defer w.mu.Unlock()
	if c := known[key]; c != nil && c.stamp.same(now) {
		return c.value, nil
	}
	value, err := read(name)
	if err != nil {
		return nil, err
	}
	known[key] = &cached[T]{now, value}
	return value, nil
}

// Open makes the world of a folder. Nothing listens until somebody dials.
func Open(dir string, o Options) (*World, error) {
	if o.Process == nil {
		o.Process = func([]string) {}
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("opening the SIMULATED world: %w", err)
	}
	c, err := readCircumstances(dir)
	if err != nil {
		return nil, fmt.Errorf("opening the SIMULATED world: %w", err)
	}
	o.Boot = cmp.Or(o.Boot, c.Waits.Boot, 800*time.Millisecond)
	o.K3sStart = cmp.Or(o.K3sStart, c.Waits.K3sStart, 400*time.Millisecond)
	o.PodStart = cmp.Or(o.PodStart, c.Waits.PodStart, 300*time.Millisecond)
	if err := os.MkdirAll(filepath.Join(dir, "guests"), 0o700); err != nil {
		return nil, fmt.Errorf("opening the SIMULATED world: %w", err)
	}
	w := &World{
		dir: dir, options: o, director: c.Director,
		guests:  map[string]*cached[guestState]{},
		states:  map[string]*cached[clusterState]{},
		turns:   map[string]int{},
		derived: map[string]*derivedCluster{},
		heard:   map[string]*cached[knowledge]{},
	}
	w.programs = programs()
	w.done = make(chan struct{})
	w.ports.Store(uint32(time.Now().UnixNano() % 28232)) // not those of the process before
	return w, nil
}

// Close ends every connection into the world.
func (w *World) Close() error {
	close(w.done)
	err := w.pairs.close()
	w.serving.Wait()
	return err
}

// virtualBox is VirtualBox's state, which must not be changed.
func (w *World) virtualBox() (*vboxState, error) {
	now := stampOf(stateFile(w.dir))
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.vbox.value != nil && w.vbox.stamp.same(now) {
		return w.vbox.value, nil
	}
	s, err := readState(w.dir)
	if err != nil {
		return nil, err
	}
	w.vbox = cached[vboxState]{now, &s}
	return &s, nil
}

// hostAddresses are the host's networks that guests are on: the host-only adapters that are up.
func (s *vboxState) hostAddresses() []hostOnlyState {
	var up []hostOnlyState
	for _, h := range s.HostOnly {
		if h.Up && h.Address.IsValid() {
			up = append(up, h)
		}
	}
	return up
}

// wait lasts d of the simulated machines' time, or until ctx ends.
func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// pairs makes connected pairs of TCP connections over loopback, which behave (deadlines, half-closing, buffers) as a
// connection to a real machine does. net.Pipe does not: two sides that both write first, as SSH does, block forever.
type pairs struct {
	mu       sync.Mutex
	listener net.Listener
	open     map[net.Conn]bool
	closed   bool
}

func (p *pairs) connect(ctx context.Context) (client, server net.Conn, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, nil, net.ErrClosed
	}
	if p.listener == nil {
		if p.listener, err = net.Listen("tcp4", "127.0.0.1:0"); err != nil {
			return nil, nil, err
		}
		p.open = map[net.Conn]bool{}
	}
	var d net.Dialer
	client, err = d.DialContext(ctx, "tcp4", p.listener.Addr().String())
	if err != nil {
		return nil, nil, err
	}
	for {
		server, err = p.listener.Accept()
		if err != nil {
			return nil, nil, errors.Join(err, client.Close())
		}
		if server.RemoteAddr().String() == client.LocalAddr().String() {
			break
		}
		_ = server.Close() // somebody else on this machine, who is not spoken to
	}
	p.open[server] = true
	return client, server, nil
}

func (p *pairs) done(server net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.open, server)
	_ = server.Close() // both sides may close first
}

func (p *pairs) close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for c := range p.open {
		_ = c.Close() // its server ends with an error of its own
	}
	if p.listener == nil {
		return nil
	}
	return p.listener.Close()
}

// lifetime is the context of what outlives the call that began it, such as a connection. It ends with the world.
type lifetime struct{ done chan struct{} }

func (w *World) context() context.Context { return lifetime{w.done} }

func (lifetime) Deadline() (time.Time, bool) { return time.Time{}, false }
func (l lifetime) Done() <-chan struct{}     { return l.done }
func (lifetime) Value(any) any               { return nil }
func (l lifetime) Err() error {
	select {
	case <-l.done:
		return context.Canceled
	default:
		return nil
	}
}

// conn is a connection that names the simulated address it was dialled to.
type conn struct {
	*net.TCPConn
	remote net.Addr
}

func (c conn) RemoteAddr() net.Addr { return c.remote }

// answerTime is how long a request and its answer take on the simulated network.
const answerTime = 1500 * time.Microsecond

func (c conn) Elapsed() time.Duration { return answerTime }

// connect gives the caller one end and serve, in its own goroutine, the other.
func (w *World) connect(ctx context.Context, to netip.AddrPort, serve server) (net.Conn, error) {
	client, server, err := w.pairs.connect(ctx)
	if err != nil {
		return nil, fmt.Errorf("dialling SIMULATED %s: %w", to, err)
	}
	w.serving.Go(func() {
		defer w.pairs.done(server)
		serve(w.context(), server)
	})
	return conn{client.(*net.TCPConn), net.TCPAddrFromAddrPort(to)}, nil
}
