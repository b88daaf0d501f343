package sim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"
)

// DialContext connects to an address of the simulated network: a guest's host-only address, 127.0.0.1 at the port of a
// NAT rule, a pod or a service that the host has a route to, or the servers of images and of k3s releases by their names.
//
// It fails as a real dial does, with a *net.OpError that holds ECONNREFUSED, EHOSTUNREACH or ENETUNREACH, or, where a
// real packet would be lost, the timeout that ctx's deadline would end in, some time before that. Everything else is refused: nothing
// outside loopback is ever dialled.
//
// The connection, or the error of a lost packet, has a method Elapsed: how long it takes on the simulated network.
func (w *World) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	fail := func(err error) (net.Conn, error) {
		var to net.Addr
		if ap, perr := netip.ParseAddrPort(addr); perr == nil {
			to = net.TCPAddrFromAddrPort(ap)
		}
		return nil, &net.OpError{Op: "dial", Net: network, Addr: to, Err: err}
	}
	if err := ctx.Err(); err != nil {
		return fail(dialTimeout(err))
	}
	switch w.ask(Event{Kind: DialEvent, Where: addr}).Do {
	case Refuse:
		return fail(refused())
	case Hang:
		return w.connect(ctx, netip.AddrPort{}, mute)
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return fail(err)
	}
	if network != "tcp" && network != "tcp4" {
		return fail(fmt.Errorf("SIMULATED network has no %q", network))
	}
	if h := artifactServer(host); h != nil && w.offline() {
		return fail(&net.DNSError{Err: "no such host", Name: host, IsNotFound: true})
	} else if h != nil {
		if port != "80" {
			return fail(refused())
		}
		return w.connect(ctx, netip.MustParseAddrPort("127.0.0.1:80"), serveHTTP(h))
	}
	to, err := netip.ParseAddrPort(addr)
	if err != nil {
		return fail(fmt.Errorf("SIMULATED network has no host %q", host))
	}
	m, err := w.look()
	if err != nil {
		return fail(err)
	}
	serve, err := m.route(to)
	if err == nil {
		return w.connect(ctx, to, serve)
	}
	if errors.Is(err, errLost) {
		return fail(w.unanswered(ctx))
	}
	return fail(err)
}

// unanswered is what becomes of a packet that nobody answers.
func (w *World) unanswered(ctx context.Context) error {
	after := connectLimit
	if deadline, ok := ctx.Deadline(); ok {
		after = min(after, time.Until(deadline))
	}
	timer := time.NewTimer(min(after, internalWait))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return dialTimeout(ctx.Err())
	case <-w.done:
		return net.ErrClosed
	case <-timer.C:
		return lateError{after}
	}
}

// connectLimit is how long Linux tries to connect.
const connectLimit = 127 * time.Second

// lateError is a timeout, told before its time has come.
type lateError struct{ after time.Duration }

func (e lateError) Error() string          { return os.ErrDeadlineExceeded.Error() }
func (e lateError) Is(target error) bool   { return target == os.ErrDeadlineExceeded }
func (e lateError) Timeout() bool          { return true }
func (e lateError) Temporary() bool        { return true }
func (e lateError) Elapsed() time.Duration { return e.after }

// errLost says that a packet, or the answer to it, is dropped somewhere.
var errLost = errors.New("packet lost")

// dialTimeout is what net.Dialer makes of its context's error: a deadline becomes "i/o timeout".
func dialTimeout(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return os.ErrDeadlineExceeded
	}
	return err
}

func refused() error         { return os.NewSyscallError("connect", syscall.ECONNREFUSED) }
func hostUnreachable() error { return os.NewSyscallError("connect", syscall.EHOSTUNREACH) }
func netUnreachable() error  { return os.NewSyscallError("connect", syscall.ENETUNREACH) }

// server speaks on a connection until it, or the context, ends.
type server func(ctx context.Context, c net.Conn)

// route finds who answers the host at an address.
func (m *moment) route(to netip.AddrPort) (server, error) {
	if to.Addr().IsLoopback() {
		return m.forwarded(to)
	}
	adapters := m.vbox.hostAddresses()
	for _, a := range adapters {
		if a.Address.Masked().Contains(to.Addr()) {
			return m.neighbour(a, to.Addr(), to)
		}
	}
	routes, err := m.w.readHostRoutes()
	if err != nil {
		return nil, err
	}
	for _, r := range routes {
		if !r.Dst.Contains(to.Addr()) {
			continue
		}
		for _, a := range adapters {
			if a.Address.Masked().Contains(r.Gateway) {
				return m.neighbour(a, r.Gateway, to)
			}
		}
	}
	return nil, netUnreachable()
}

// forwarded follows a NAT rule of a running machine. VirtualBox accepts the connection itself, and drops it if the guest does not answer.
func (m *moment) forwarded(to netip.AddrPort) (server, error) {
	for _, machine := range m.vbox.Machines {
		if !machine.running(m.now) {
			continue
		}
		for slot, nic := range machine.NICs {
			for _, r := range nic.Rules {
				if nic.Kind != "nat" || r.Proto != "tcp" || r.HostPort != int(to.Port()) || r.HostIP != "" && r.HostIP != to.Addr().String() {
					continue
				}
				_, disk, _ := machine.disk()
				if g := m.guest(disk); g != nil && g.hasLease(slot+1) && (r.GuestIP == "" || r.GuestIP == natAddress.String()) {
					if serve, err := g.fromOutside(nicNames[slot], natGateway, netip.AddrPortFrom(natAddress, uint16(r.GuestPort))); err == nil {
						return serve, nil
					}
				}
				return func(context.Context, net.Conn) {}, nil
			}
		}
	}
	return nil, refused()
}

// neighbour hands a packet for `to` to whoever has the address hop on a host-only adapter.
func (m *moment) neighbour(a hostOnlyState, hop netip.Addr, to netip.AddrPort) (server, error) {
	if hop == a.Address.Addr() {
		return nil, refused() // the host itself, on which nothing listens
	}
	booting := false
	for _, machine := range m.vbox.Machines {
		if !machine.running(m.now) || !slices.ContainsFunc(machine.NICs[:], func(n nicState) bool { return n.Kind == "hostonly" && n.Network == a.Name }) {
			continue
		}
		_, disk, _ := machine.disk()
		g := m.guest(disk)
		if g == nil {
			booting = true
		} else if g.has(hop) {
			return g.fromOutside(g.deviceWith(hop), a.Address.Addr(), to)
		}
	}
	if booting {
		return nil, refused()
	}
	return nil, hostUnreachable()
}

// serveHTTP answers on one connection.
func serveHTTP(h http.Handler) server {
	return func(ctx context.Context, c net.Conn) {
		stop := context.AfterFunc(ctx, func() { _ = c.Close() }) // the reads and writes below fail
		defer stop()
		srv := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
		l := &oneConn{conn: c, done: make(chan struct{})}
		srv.ConnState = func(_ net.Conn, s http.ConnState) {
			if s == http.StateClosed || s == http.StateHijacked {
				l.finish()
			}
		}
		_ = srv.Serve(l) // ends with the listener's error once the connection is done
	}
}

// oneConn is a listener that accepts one connection and ends with it.
type oneConn struct {
	conn net.Conn
	done chan struct{}
}

func (l *oneConn) Accept() (net.Conn, error) {
	if c := l.conn; c != nil {
		l.conn = nil
		return c, nil
	}
	<-l.done
	return nil, net.ErrClosed
}

func (l *oneConn) finish() { close(l.done) }

func (l *oneConn) Close() error { return nil }

func (l *oneConn) Addr() net.Addr { return &net.TCPAddr{} }

// hostRoute is a route of the simulated host beyond its adapters' own networks.
type hostRoute struct {
	Dst     netip.Prefix `json:"dst"`
	Gateway netip.Addr   `json:"gateway"`
}

func (w *World) hostRouteFile() string { return filepath.Join(w.dir, "hostroutes.json") }

func (w *World) readHostRoutes() ([]hostRoute, error) {
	data, err := os.ReadFile(w.hostRouteFile())
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the SIMULATED host's routes: %w", err)
	}
	var routes []hostRoute
	if err := json.Unmarshal(data, &routes); err != nil {
		return nil, fmt.Errorf("reading the SIMULATED host's routes: %w", err)
	}
	return routes, nil
}

// AddHostRoute gives the simulated host a route, as `ip route add DST via GATEWAY` does. A route that is there is no error.
func (w *World) AddHostRoute(dst netip.Prefix, gateway netip.Addr) error {
	return w.changeHostRoutes(func(routes []hostRoute) []hostRoute {
		r := hostRoute{dst, gateway}
		if slices.Contains(routes, r) {
			return routes
		}
		return append(routes, r)
	})
}

// RemoveHostRoute takes a route away again. A route that is not there is no error.
func (w *World) RemoveHostRoute(dst netip.Prefix, gateway netip.Addr) error {
	return w.changeHostRoutes(func(routes []hostRoute) []hostRoute {
		return slices.DeleteFunc(routes, func(r hostRoute) bool { return r == hostRoute{dst, gateway} })
	})
}

func (w *World) changeHostRoutes(change func([]hostRoute) []hostRoute) error {
	unlock, err := lockFile(filepath.Join(w.dir, "hostroutes.lock"))
	if err != nil {
		return err
	}
	defer unlock()
	routes, err := w.readHostRoutes()
	if err != nil {
		return err
	}
	data, err := json.Marshal(change(routes))
	if err != nil {
		return err
	}
	return writeFile(w.hostRouteFile(), data)
}

// HostRoutes is the simulated host's `ip -j route`.
func (w *World) HostRoutes(ctx context.Context) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	vbox, err := w.virtualBox()
	if err != nil {
		return nil, err
	}
	adapters := vbox.hostAddresses()
	routes, err := w.readHostRoutes()
	if err != nil {
		return nil, err
	}
	all := []route{}
	for _, r := range routes {
		for _, a := range adapters {
			if a.Address.Masked().Contains(r.Gateway) {
				all = append(all, route{Dst: r.Dst.String(), Gateway: r.Gateway.String(), Dev: a.Name, Flags: []string{}})
			}
		}
	}
	for _, a := range adapters {
		all = append(all, route{Dst: a.Address.Masked().String(), Dev: a.Name, Protocol: "kernel", Scope: "link",
			PrefSrc: a.Address.Addr().String(), Flags: []string{}})
	}
	return json.Marshal(all)
}

func portOf(s string) (uint16, error) {
	n, err := strconv.ParseUint(s, 10, 16)
	return uint16(n), err
}
