package sim

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// internalWait is how long a program of a guest waits, in the host's time, for what never comes. It reports the time that
// it would have waited: in the model only its timeouts take time.
const internalWait = 50 * time.Millisecond

// fetched is the end of one request from inside the cluster.
type fetched struct {
	status    int
	body      []byte
	header    http.Header
	err       error
	took      time.Duration // of the guest's time
	connects  int           // 0: over a connection that was there
	localPort uint16
}

// client is a program's connections: as long as it runs, it keeps the one to each host.
type client struct {
	p     *process
	agent string
	limit time.Duration
	host  string                // that is asked for; empty: the URL's
	open  map[string]connection // by scheme and host
}

type connection struct {
	answer
	port uint16
}

// fetch asks an HTTP URL from a guest, or from a pod on it.
func (c *client) fetch(ctx context.Context, target *url.URL) fetched {
	key := target.Scheme + "://" + target.Host
	conn, kept := c.open[key]
	connects := 0
	if !kept {
		to, err := c.p.target(target)
		if err != nil {
			return fetched{err: err}
		}
		sent := c.p.guest.open("tcp", c.p.session.pod, to)
		connects, conn.port = 1, sent.from.Port()
		conn.answer, err = c.p.guest.connect(sent)
		if errors.Is(err, errLost) || err == nil && conn.handler == nil {
			if err := wait(ctx, min(c.limit, internalWait)); err != nil {
				return fetched{err: err}
			}
			return fetched{err: errLost, took: c.limit}
		}
		if err != nil {
			return fetched{err: err}
		}
		if c.open == nil {
			c.open = map[string]connection{}
		}
		c.open[key] = conn
	}
	r := fetched{status: http.StatusOK, took: answerTime, connects: connects, localPort: conn.port}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	if err != nil {
		return fetched{err: err}
	}
	request.Host = cmpString(c.host, request.Host)
	request.Header.Set("User-Agent", c.agent)
	request.Header.Set("Accept", "*/*")
	request.RemoteAddr = conn.client.String()
	if conn.certificate != nil && target.Scheme != "https" {
		r.status, r.body = http.StatusBadRequest, []byte("Client sent an HTTP request to an HTTPS server.\n")
		return r
	}
	w := &memoryResponse{header: http.Header{}, status: http.StatusOK}
	conn.handler.ServeHTTP(w, request)
	r.status, r.body, r.header = w.status, w.body.Bytes(), w.header
	return r
}

// errNoName says that a name does not resolve.
var errNoName = errors.New("no such host")

func (p *process) target(u *url.URL) (netip.AddrPort, error) {
	port := uint16(80)
	if u.Scheme == "https" {
		port = 443
	}
	if s := u.Port(); s != "" {
		n, err := portOf(s)
		if err != nil {
			return netip.AddrPort{}, err
		}
		port = n
	}
	if a, err := netip.ParseAddr(u.Hostname()); err == nil {
		return netip.AddrPortFrom(a, port), nil
	}
	if p.session.pod != nil {
		a, err := p.resolve(u.Hostname())
		return netip.AddrPortFrom(a, port), err
	}
	a, err := p.guest.lookup(u.Hostname())
	if err != nil {
		return netip.AddrPort{}, errNoName
	}
	return netip.AddrPortFrom(a, port), nil
}

// resolve asks the cluster's DNS from a pod: SERVICE[.NAMESPACE[.svc[.cluster.local]]].
func (p *process) resolve(name string) (netip.Addr, error) {
	c, _ := p.guest.dataplane()
	if c == nil {
		return netip.Addr{}, errNoName
	}
	server, err := netip.ParseAddr(p.guest.dnsServer())
	if err != nil {
		return netip.Addr{}, err
	}
	if _, err := p.guest.connect(p.guest.open("udp", p.session.pod, netip.AddrPortFrom(server, 53))); err != nil {
		return netip.Addr{}, errLost
	}
	name = strings.TrimSuffix(name, ".")
	if inside, whole := strings.CutSuffix(name, ".svc.cluster.local"); whole {
		name = inside
	} else {
		name = strings.TrimSuffix(name, ".svc")
	}
	service, namespace, ok := strings.Cut(name, ".")
	if !ok {
		namespace = p.session.pod.Namespace
	}
	if o := c.state.object("Service", namespace, service); o != nil {
		if a, ok := clusterIP(o); ok {
			return a, nil
		}
	}
	return netip.Addr{}, errNoName
}

// memoryResponse is an http.ResponseWriter without a connection.
type memoryResponse struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (m *memoryResponse) Header() http.Header         { return m.header }
func (m *memoryResponse) WriteHeader(status int)      { m.status = status }
func (m *memoryResponse) Write(b []byte) (int, error) { return m.body.Write(b) }
