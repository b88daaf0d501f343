package sim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"syscall"
)

// answer is who takes a TCP connection in the end.
type answer struct {
	handler http.Handler // nil: accepts, and says nothing that the model knows
	tls     *guest       // the API server on this guest, which speaks TLS
}

// packetPath finds who answers a connection that guest g's kernel sends to an address: a process on g itself, on another
// guest, or a pod. inside says that it comes from g or a pod on it, not through one of its NICs.
//
// The error is errLost, or holds ECONNREFUSED, EHOSTUNREACH or ENETUNREACH.
func (g *guest) packetPath(to netip.AddrPort, inside bool) (answer, error) {
	c, rec := g.dataplane()
	if rec != nil {
		if o, p, ok := c.serviceAt(g, rec, to); ok {
			return g.viaService(c, o, p)
		}
		if rec.subnet(c.state).Contains(to.Addr()) {
			return c.atPod(to)
		}
	}
	if to.Addr().IsLoopback() || g.owns(to.Addr()) {
		return g.listener(to)
	}
	r, ok := g.routeTo(to.Addr())
	switch {
	case !ok:
		return answer{}, netUnreachable()
	case r.Dev == "flannel.1" && rec != nil:
		return g.overlay(c, rec, to)
	case r.Gateway != "" && !inside:
		return answer{}, errLost // the reply would not find back
	}
	other := g.reach(to.Addr())
	if other == nil {
		if r.Gateway != "" {
			return answer{}, errLost // into the internet, which there is none of
		}
		return answer{}, hostUnreachable()
	}
	return other.packetPath(to, false)
}

// serviceAt finds the service that kube-proxy on guest g has rules for.
func (c *cluster) serviceAt(g *guest, rec *nodeRecord, to netip.AddrPort) (*object, servicePort, bool) {
	local := g.owns(to.Addr())
	for _, o := range c.services() {
		ip, _ := clusterIP(o)
		published := slices.Contains(c.ingress(o), to.Addr())
		for _, p := range servicePorts(o) {
			if p.Protocol != "TCP" {
				continue
			}
			if ip == to.Addr() && p.Port == int(to.Port()) || published && p.Port == int(to.Port()) ||
				local && p.NodePort != 0 && p.NodePort == int(to.Port()) && !to.Addr().IsLoopback() {
				return o, p, true
			}
		}
	}
	return nil, servicePort{}, false
}

// viaService is kube-proxy's choice of an endpoint. Connections take turns, which is fair as the kernel's random choice is,
// and repeatable as that is not.
func (g *guest) viaService(c *cluster, o *object, p servicePort) (answer, error) {
	all := slices.DeleteFunc(c.endpoints(o, p), func(e endpoint) bool { return !e.Ready })
	if len(all) == 0 {
		return answer{}, refused()
	}
	key := c.disk + "/" + o.Namespace + "/" + o.Name + "/" + p.Name
	g.w.mu.Lock()
	turn := g.w.turns[key]
	g.w.turns[key]++
	g.w.mu.Unlock()
	e := all[turn%len(all)]
	to := netip.AddrPortFrom(e.Addr, uint16(e.Port))
	_, rec := g.dataplane()
	switch {
	case e.Pod == nil && g.owns(e.Addr):
		return g.listener(to)
	case e.Pod == nil:
		other := g.reach(e.Addr)
		if other == nil {
			return answer{}, errLost
		}
		return other.listener(to)
	case rec != nil && rec.subnet(c.state).Contains(e.Addr):
		return c.atPod(to)
	}
	if r, ok := g.routeTo(e.Addr); !ok || r.Dev != "flannel.1" {
		return answer{}, errLost
	}
	return g.overlay(c, rec, to)
}

// overlay is flannel's tunnel to the pod with that address. A frame that is lost on either way is lost.
func (g *guest) overlay(c *cluster, rec *nodeRecord, to netip.AddrPort) (answer, error) {
	for _, peer := range c.state.Nodes {
		if !peer.subnet(c.state).Contains(to.Addr()) {
			continue
		}
		other := c.up[peer.Disk]
		if other == nil {
			return answer{}, errLost
		}
		for _, way := range []struct {
			from     *guest
			src, dst *nodeRecord
			back     netip.Addr
		}{{g, rec, peer, to.Addr()}, {other, peer, rec, rec.subnet(c.state).Addr()}} {
			if !c.tunnel(way.from, way.src, way.dst, way.back) {
				return answer{}, errLost
			}
		}
		return c.atPod(to)
	}
	return answer{}, errLost
}

// tunnel reports whether a VXLAN packet from one node arrives at another: its route leads into flannel.1 and the device there
// is up; the packet goes to the other's announced address, out of the device that flannel chose; that address is the other
// node's; and the frame in it carries the announced MAC, which must be the other device's real one.
func (c *cluster) tunnel(from *guest, src, dst *nodeRecord, inner netip.Addr) bool {
	r, ok := from.routeTo(inner)
	if !ok || r.Dev != "flannel.1" || dst.MAC != dst.VtepMAC {
		return false
	}
	device := func(g *guest, name string) (link, bool) {
		for _, l := range g.links() {
			if l.Name == name && l.works() {
				return l, true
			}
		}
		return link{}, false
	}
	for _, end := range []struct {
		g   *guest
		rec *nodeRecord
	}{{from, src}, {c.up[dst.Disk], dst}} {
		if end.g == nil {
			return false
		}
		if l, ok := device(end.g, "flannel.1"); !ok || l.MAC != end.rec.MAC {
			return false
		}
	}
	out, ok := device(from, src.Iface)
	if !ok || !out.holds(src.PublicIP) || from.owns(dst.PublicIP) ||
		!slices.ContainsFunc(out.Addresses, func(a address) bool { return a.Masked().Contains(dst.PublicIP) }) {
		return false
	}
	to := from.reach(dst.PublicIP)
	return to != nil && to.disk == dst.Disk
}

// atPod is the connection on the pod's own node.
func (c *cluster) atPod(to netip.AddrPort) (answer, error) {
	for _, p := range c.state.Pods {
		if p.IP == to.Addr() && c.podRuns(p) {
			h, ok := p.listens(int(to.Port()))
			if !ok {
				return answer{}, refused()
			}
			return answer{handler: h}, nil
		}
	}
	return answer{}, hostUnreachable()
}

// listener is a process of the guest's own.
func (g *guest) listener(to netip.AddrPort) (answer, error) {
	_, u, running := g.k3sUnit()
	switch {
	case to.Port() == 22 && g.unit("ssh").State == "active":
		return answer{}, nil
	case to.Port() == 6443 && running && u.K3s.Role == "server":
		if ready, _ := g.serverReady(); !g.now.Before(ready) {
			return answer{handler: http.HandlerFunc(apiServer), tls: g}, nil
		}
	case to.Port() == 10250 && running:
		return answer{}, nil
	}
	return answer{}, refused()
}

// apiServer answers a client that shows no certificate.
func apiServer(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/ping" {
		fmt.Fprint(w, "pong")
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusUnauthorized)
	fmt.Fprint(w, `{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"Unauthorized","reason":"Unauthorized","code":401}`+"\n")
}

// fromOutside serves a connection that has come in through one of the guest's NICs.
func (g *guest) fromOutside(to netip.AddrPort) (server, error) {
	a, err := g.packetPath(to, false)
	switch {
	case err != nil:
		return nil, err
	case a.tls != nil:
		return serveTLS(a.tls, a.handler)
	case a.handler == nil:
		return func(ctx context.Context, c net.Conn) { <-ctx.Done() }, nil
	}
	return serveHTTP(a.handler), nil
}

// listens is what a pod answers on a port, by the program in its image.
func (p *podRecord) listens(port int) (http.Handler, bool) {
	for _, c := range p.containers() {
		repository, _ := imageOf(c)
		var args []string
		list, _ := c["args"].([]any)
		for _, a := range list {
			args = append(args, fmt.Sprint(a))
		}
		switch repository {
		case "nginx":
			if port == 80 {
				return http.HandlerFunc(nginx), true
			}
		case "traefik/whoami":
			own := "80"
			for i, a := range args {
				if v, ok := strings.CutPrefix(strings.TrimLeft(a, "-"), "port="); ok {
					own = v
				} else if strings.TrimLeft(a, "-") == "port" && i+1 < len(args) {
					own = args[i+1]
				}
			}
			if fmt.Sprint(port) == own {
				return p.whoami(), true
			}
		case "rancher/mirrored-library-traefik":
			if port == 8000 || port == 8443 {
				return http.HandlerFunc(http.NotFound), true // no ingress is defined
			}
		case "rancher/mirrored-coredns-coredns":
			if port == 53 || port == 9153 {
				return http.HandlerFunc(http.NotFound), true
			}
		case "rancher/mirrored-metrics-server":
			if port == 10250 {
				return http.HandlerFunc(apiServer), true
			}
		}
	}
	return nil, false
}

// whoami is traefik/whoami: it says who it is and what it was asked.
func (p *podRecord) whoami() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var b bytes.Buffer
		fmt.Fprintf(&b, "Hostname: %s\nIP: 127.0.0.1\nIP: ::1\nIP: %s\nRemoteAddr: %s\n", p.Name, p.IP, r.RemoteAddr)
		if err := r.Write(&b); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write(b.Bytes()) // the client may be gone
	})
}

const nginxPage = `<!DOCTYPE html>
<html>
<head>
<title>Welcome to nginx!</title>
</head>
<body>
<h1>Welcome to nginx!</h1>
<p>If you see this page, the nginx web server is successfully installed and
working. Further configuration is required.</p>
</body>
</html>
`

func nginx(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Server", "nginx/1.27.5")
	if r.URL.Path != "/" && r.URL.Path != "/index.html" {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "text/html")
	fmt.Fprint(w, nginxPage)
}

// errnoOf sorts a failed connection.
func errnoOf(err error) syscall.Errno {
	var e syscall.Errno
	if errors.As(err, &e) {
		return e
	}
	return 0
}
