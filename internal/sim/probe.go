package sim

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
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
	handler     http.Handler                    // nil: it is no HTTP server
	certificate func() (tls.Certificate, error) // nil: it does not speak TLS
	api         *guest                          // it is the API server on this guest
	raw         server                          // speaks itself
	client      netip.AddrPort                  // whom the server sees
}

// connect follows the first packet of a connection through guest g's kernel, to a process on g or on another guest, or to a pod.
// p.in is the device it came in by: empty for one that a process of g's sends, cni0 for one of a pod's.
//
// The error is errLost, or holds ECONNREFUSED, EHOSTUNREACH or ENETUNREACH.
func (g *guest) connect(p packet) (answer, error) {
	sent := p
	hook := "PREROUTING"
	if p.in == "" {
		hook = "OUTPUT"
	}
	c, rec := g.dataplane()
	if rec != nil && strings.HasPrefix(p.in, "cni") && c.unplugged(rec, p.from.Addr()) {
		return answer{}, errLost
	}
	if err := g.walkAll(hook, &p, "raw", "mangle", "nat"); err != nil {
		return answer{}, err
	}
	if err := g.balance(c, rec, &p); err != nil {
		return answer{}, err
	}
	a, err := g.deliver(c, rec, &p)
	if err == nil && sent.to != p.to && !p.untracked {
		err = g.remember(flow{At: g.now, Proto: p.proto, From: sent.from, To: sent.to, ReplyFrom: p.to, ReplyTo: p.from})
	}
	return a, err
}

func (v verdict) err() error {
	switch v {
	case dropped:
		return errLost
	case rejected:
		return refused()
	}
	return nil
}

// balance is IPVS's choice of a real server, for what is addressed to the guest. Connections take turns, whichever the scheduler.
func (g *guest) balance(c *cluster, rec *nodeRecord, p *packet) error {
	if rec == nil || !slices.Contains(rec.Modes, "ipvs") || !g.owns(p.to.Addr()) {
		return nil
	}
	for _, v := range g.virtualServers() {
		if v.proto != p.proto || v.addr != p.to {
			continue
		}
		if len(v.real) == 0 {
			return refused()
		}
		if err := g.walkAll("INPUT", p, "mangle", "filter"); p.in != "" && err != nil {
			return err
		}
		if !v.local && !p.untracked && !c.state.Settings.ClusterCIDR.Contains(p.from.Addr()) {
			p.mark |= 0x4000
		}
		if to, ok := g.stuck(p); v.sticky && ok && slices.Contains(v.real, to) {
			p.to = to
			return nil
		}
		p.to = v.real[g.w.turn(c.disk+"/"+v.key())%len(v.real)]
		return nil
	}
	return nil
}

// deliver routes a packet whose destination is settled.
func (g *guest) deliver(c *cluster, rec *nodeRecord, p *packet) (answer, error) {
	if g.isLocal(p.to.Addr()) {
		if p.in == "" {
			p.out = "lo"
			if err := g.walkAll("OUTPUT", p, "filter"); err != nil {
				return answer{}, err
			}
			if err := g.walkAll("POSTROUTING", p, "mangle"); err != nil {
				return answer{}, err
			}
			p.in, p.out = "lo", ""
			if err := g.walkAll("PREROUTING", p, "raw", "mangle"); err != nil {
				return answer{}, err
			}
		}
		if err := g.walkAll("INPUT", p, "mangle", "filter"); err != nil {
			return answer{}, err
		}
		return g.listener(*p)
	}
	r, ok := g.routeTo(p.to.Addr())
	if !ok {
		return answer{}, netUnreachable()
	}
	p.out = r.Dev
	bridged := p.in == "cni0" && p.out == "cni0"
	chain, tables := "OUTPUT", []string{"filter"}
	if p.in != "" {
		chain, tables = "FORWARD", []string{"mangle", "filter"}
		if !bridged && g.sysctls()["net.ipv4.ip_forward"] == "0" {
			return answer{}, errLost
		}
	}
	if err := g.walkAll(chain, p, tables...); err != nil {
		return answer{}, err
	}
	if err := g.walkAll("POSTROUTING", p, "mangle", "nat"); err != nil {
		return answer{}, err
	}
	// Without masquerading, the replies go to the sender by another way, and it does not know them.
	ofPods := rec != nil && c.state.Settings.ClusterCIDR.Contains(p.from.Addr())
	switch {
	case rec != nil && strings.HasPrefix(r.Dev, "cni"):
		return c.atPod(*p)
	case rec != nil && r.Dev == "flannel.1":
		if !ofPods {
			return answer{}, errLost
		}
		return g.overlay(c, rec, *p)
	}
	hop := p.to.Addr()
	if gateway, err := netip.ParseAddr(r.Gateway); err == nil {
		hop = gateway
	}
	if p.in != "" && p.in != "cni0" && !ofPods && !g.isLocal(p.from.Addr()) {
		return answer{}, errLost
	}
	other := g.reach(hop)
	if other == nil || other == g {
		if r.Gateway != "" {
			return answer{}, errLost // into the internet, which there is none of
		}
		return answer{}, hostUnreachable()
	}
	return other.connect(packet{proto: p.proto, from: p.from, to: p.to, in: other.deviceWith(hop)})
}

// deviceWith is the name of the device that holds an address.
func (g *guest) deviceWith(a netip.Addr) string {
	for _, l := range g.nics() {
		if l.holds(a) {
			return l.Name
		}
	}
	return "lo"
}

// open makes the packet of a process of the guest's, or of a pod on it.
func (g *guest) open(proto string, pod *podRecord, to netip.AddrPort) packet {
	p := packet{proto: proto, to: to}
	from := to.Addr()
	switch r, ok := g.routeTo(to.Addr()); {
	case pod != nil:
		from, p.in = pod.IP, cmp.Or(pod.Bridge, "cni0")
	case g.isLocal(to.Addr()):
	case ok && r.PrefSrc != "":
		if a, err := netip.ParseAddr(r.PrefSrc); err == nil {
			from = a
		}
	case ok:
		from = g.addressOn(r.Dev)
	}
	p.from = netip.AddrPortFrom(from, g.w.ephemeralPort())
	return p
}

// ephemeralPort is a client's port.
func (w *World) ephemeralPort() uint16 { return uint16(32768 + w.ports.Add(1)%28232) }

// overlay is flannel's tunnel to the pod with that address. A frame that is lost on either way is lost.
func (g *guest) overlay(c *cluster, rec *nodeRecord, p packet) (answer, error) {
	for _, peer := range c.state.Nodes {
		if peer == rec || peer.ghost() || !peer.subnet(c.state).Contains(p.to.Addr()) {
			continue
		}
		other := c.up[peer.Disk]
		if other == nil || !c.tunnel(g, rec, peer, p.to.Addr()) || !c.tunnel(other, peer, rec, rec.subnet(c.state).Addr()) {
			return answer{}, errLost
		}
		return other.connect(packet{proto: p.proto, from: p.from, to: p.to, in: "flannel.1"})
	}
	return answer{}, errLost
}

// vxlanPort is what flannel sends its VXLAN packets to.
const vxlanPort = 8472

// tunnel reports whether a VXLAN packet from one node arrives at another: its route leads into flannel.1, which is up at both ends;
// it goes to the other's announced address, out of the device that flannel chose; that address is the other node's; no firewall
// drops it; and the frame in it carries the announced MAC, which must be the other device's real one.
func (c *cluster) tunnel(from *guest, src, dst *nodeRecord, inner netip.Addr) bool {
	to := c.up[dst.Disk]
	if r, ok := from.routeTo(inner); to == nil || !ok || r.Dev != "flannel.1" {
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
	if _, ok := device(from, "flannel.1"); !ok {
		return false
	}
	if l, ok := device(to, "flannel.1"); !ok || l.MAC != dst.VtepMAC {
		return false
	}
	out, ok := device(from, src.Iface)
	if !ok || !out.holds(src.PublicIP) || from.owns(dst.PublicIP) ||
		!slices.ContainsFunc(out.Addresses, func(a address) bool { return a.Masked().Contains(dst.PublicIP) }) {
		return false
	}
	if at := from.reach(dst.PublicIP); at == nil || at.disk != dst.Disk {
		return false
	}
	return from.sends(packet{proto: "udp", from: netip.AddrPortFrom(src.PublicIP, vxlanPort), to: netip.AddrPortFrom(dst.PublicIP, vxlanPort), out: out.Name}, to) == nil
}

// sends is what the filters at both ends do to a packet between processes of two guests that are on one network; nil if it passes.
func (g *guest) sends(p packet, other *guest) error {
	if len(g.state.Chains) > 0 { // k3s's own rules drop nothing of this kind
		if err := errors.Join(g.walkAll("OUTPUT", &p, "raw", "mangle", "filter"), g.walkAll("POSTROUTING", &p, "mangle")); err != nil {
			return err
		}
	}
	if len(other.state.Chains) > 0 {
		p.in, p.out = other.deviceWith(p.to.Addr()), ""
		return errors.Join(other.walkAll("PREROUTING", &p, "raw", "mangle"), other.walkAll("INPUT", &p, "mangle", "filter"))
	}
	return nil
}

// walkAll sends a packet through the chain of several tables, in their order, until one of them ends its way.
func (g *guest) walkAll(chain string, p *packet, tables ...string) error {
	for _, table := range tables {
		if err := g.walk(table, chain, p).err(); err != nil {
			return err
		}
	}
	return nil
}

// atPod is the connection on the pod's own node.
func (c *cluster) atPod(p packet) (answer, error) {
	for _, pod := range c.state.Pods {
		if pod.IP != p.to.Addr() || !c.podRuns(pod) {
			continue
		}
		if c.unplugged(c.state.node(pod.Node), pod.IP) {
			return answer{}, hostUnreachable()
		}
		if p.proto == "icmp" {
			return answer{client: p.from}, nil
		}
		if svc := c.balanced(pod, int(p.to.Port())); svc.IsValid() {
			return c.up[c.state.node(pod.Node).Disk].connect(packet{proto: p.proto, from: netip.AddrPortFrom(pod.IP, p.from.Port()), to: svc, in: "cni0"})
		}
		h, ok := pod.listens(p.proto, int(p.to.Port()))
		if !ok {
			return answer{}, refused()
		}
		a := answer{handler: h, client: p.from}
		switch port := p.to.Port(); {
		case pod.Owner.Name != "traefik":
		case port == 8000:
			a.handler = c.traefik(pod, p, "web")
		case port == 8443:
			a.handler, a.certificate = c.traefik(pod, p, "websecure"), traefikCertificate
		}
		return a, nil
	}
	return answer{}, hostUnreachable()
}

// balanced is where a pod of ServiceLB sends what arrives at one of its ports: to the service's ClusterIP.
func (c *cluster) balanced(pod *podRecord, port int) netip.AddrPort {
	o := c.state.object("Service", pod.Labels["svccontroller.k3s.cattle.io/svcnamespace"], pod.Labels["svccontroller.k3s.cattle.io/svcname"])
	if o == nil || !strings.HasPrefix(pod.Owner.Name, "svclb-") {
		return netip.AddrPort{}
	}
	for _, p := range servicePorts(o) {
		if ip, ok := clusterIP(o); ok && p.Port == port {
			return netip.AddrPortFrom(ip, uint16(port))
		}
	}
	return netip.AddrPort{}
}

// listener is a process of the guest's own.
func (g *guest) listener(p packet) (answer, error) {
	a := answer{client: p.from}
	_, u, running := g.k3sUnit()
	switch port := p.to.Port(); {
	case p.proto == "icmp":
		return a, nil
	case p.proto != "tcp":
	case port == 22 && g.unit("ssh").State == "active":
		a.raw = func(ctx context.Context, c net.Conn) { g.w.serveSSH(ctx, g.disk, c) }
		return a, nil
	case port == 6443 && running && u.K3s.Role == "server":
		if ready, _ := g.serverReady(); !g.now.Before(ready) {
			a.handler, a.api, a.certificate = http.HandlerFunc(apiServer), g, g.apiCertificate
			return a, nil
		}
	case port == 10250 && running:
		return a, nil
	}
	for _, pod := range g.hostPods() {
		if h, ok := pod.listens(p.proto, int(p.to.Port())); ok {
			a.handler = h
			return a, nil
		}
	}
	return answer{}, refused()
}

// hostPods are the pods that run on the guest in its own network.
func (g *guest) hostPods() []*podRecord {
	c, rec := g.dataplane()
	if rec == nil {
		return nil
	}
	var all []*podRecord
	for _, p := range c.state.Pods {
		if p.Node == rec.Name && p.hostNetwork() && c.podRuns(p) {
			all = append(all, p)
		}
	}
	return all
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
func (g *guest) fromOutside(device string, from netip.Addr, to netip.AddrPort) (server, error) {
	a, err := g.connect(packet{proto: "tcp", from: netip.AddrPortFrom(from, g.w.ephemeralPort()), to: to, in: device})
	switch {
	case err != nil:
		return nil, err
	case a.raw != nil:
		return a.raw, nil
	case a.handler == nil:
		return func(ctx context.Context, c net.Conn) { <-ctx.Done() }, nil
	}
	serve := serveHTTP(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.RemoteAddr = a.client.String()
		a.handler.ServeHTTP(w, r)
	}))
	if a.certificate != nil {
		return serveTLS(a.certificate, serve)
	}
	return serve, nil
}

// listens is what a pod answers on a port, by the program in its image.
func (p *podRecord) listens(proto string, port int) (http.Handler, bool) {
	if proto == "udp" && port != 53 {
		return nil, false
	}
	for _, c := range p.containers() {
		repository, _ := imageOf(c)
		switch repository {
		case "nginx":
			if port == 80 {
				return http.HandlerFunc(nginx), true
			}
		case "traefik/whoami":
			args, _ := c["args"].([]any)
			if fmt.Sprint(port) == cmpString(whoamiPort(args), "80") {
				return p.whoami(), true
			}
		case "rancher/mirrored-library-traefik":
			if port == 8000 || port == 8443 {
				return http.HandlerFunc(http.NotFound), true // see traefik
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
	name := p.Name
	if p.hostNetwork() {
		name = p.Node // with its node's network a pod has its node's host name
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var b bytes.Buffer
		fmt.Fprintf(&b, "Hostname: %s\nIP: 127.0.0.1\nIP: ::1\nIP: %s\nRemoteAddr: %s\n", name, p.IP, r.RemoteAddr)
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
