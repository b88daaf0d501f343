package collect

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/labctl/labctl/checks"
	"github.com/labctl/labctl/internal/config"
)

// Limits of the host's own probes.
const (
	nodePortTimeout  = 5 * time.Second
	isolationTimeout = 3 * time.Second
	maxBody          = 64 << 10 // bytes of an answer that are kept
)

// Exit statuses of curl, which the host's probes are told in: they are made by labctl itself, and their evidence reads
// as if the curl beside it had been run.
const (
	curlNotConnected = 7
	curlTimedOut     = 28
	curlBroken       = 56
)

// probeHost asks a URL once from this machine, in a connection of its own.
func probeHost(ctx context.Context, client *http.Client, url string, timeout time.Duration) Item {
	return probeHostFor(ctx, client, url, "", timeout)
}

// probeHostFor asks for what a server has under a host name; without one under the URL's own.
func probeHostFor(ctx context.Context, client *http.Client, url, host string, timeout time.Duration) Item {
	insecure, header := "", ""
	if host != "" {
		header = fmt.Sprintf(hostHeader, host)
	}
	if strings.HasPrefix(url, "https:") {
		insecure, client = " -k", withAnyCertificate(client)
	}
	item := Item{
		Where:   checks.Host,
		Command: fmt.Sprintf(`curl -sS%s --noproxy '*' -m %d -w '\n%%{http_code} %%{time_total}\n'%s '%s'`, insecure, int(timeout.Seconds()), header, url),
		Started: time.Now(),
	}
	status, body, took, err := get(ctx, client, url, host, timeout)
	item.Took = took
	item.Stdout = fmt.Appendf(redact(body), "\n%03d %.6f\n", status, item.Took.Seconds())
	switch {
	case err == nil:
	case ctx.Err() != nil:
		item.Err = ctx.Err().Error()
	default:
		item.Exit = curlStatus(err)
		item.Stderr = []byte(err.Error() + "\n")
	}
	return item
}

// timekeeper is a connection, or the error of one that did not come about, that tells by itself how long it took: one of a simulated
// network, where the time that passes on this machine is the simulation's own and says nothing of that network.
type timekeeper interface{ Elapsed() time.Duration }

// hostHeader is how curl is told the host name that it asks for.
const hostHeader = " -H 'Host: %s'"

func get(ctx context.Context, client *http.Client, url, host string, timeout time.Duration) (status int, body []byte, took time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var keeper timekeeper
	begun := time.Now()
	defer func() {
		took = time.Since(begun)
		if err == nil && keeper != nil || err != nil && errors.As(err, &keeper) {
			took = min(keeper.Elapsed(), timeout)
		}
	}()
	request, err := http.NewRequestWithContext(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) {
		conn := i.Conn
		if secured, ok := conn.(*tls.Conn); ok {
			conn = secured.NetConn()
		}
		keeper, _ = conn.(timekeeper)
	}}), http.MethodGet, url, nil)
	if err != nil {
		return 0, nil, 0, err
	}
	request.Host = cmp.Or(host, request.Host)
	request.Close = true // kube-proxy chooses a pod for each connection, not for each request
	own := *client
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	response, err := own.Do(request)
	if err != nil {
		return 0, nil, 0, err
	}
	defer response.Body.Close()
	body, err = io.ReadAll(io.LimitReader(response.Body, maxBody))
	return response.StatusCode, body, 0, err
}

// curlStatus is the exit status that curl has for an error.
func curlStatus(err error) int {
	var timeout net.Error
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout() {
		return curlTimedOut
	}
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" {
		return curlNotConnected
	}
	return curlBroken
}

// withAnyCertificate returns a client that accepts Traefik's own certificate: it is asked whether it answers, not who it is.
func withAnyCertificate(client *http.Client) *http.Client {
	own := *client
	if t, ok := client.Transport.(*http.Transport); ok {
		t = t.Clone()
		t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: true}
		own.Transport = t
	}
	return &own
}

// gate lets so many through at a time as it has room for: many requests at once would make each other slow, and slow is a verdict.
type gate chan struct{}

func (g gate) enter() { g <- struct{}{} }
func (g gate) leave() { <-g }

// hostAtOnce is how many requests the host makes at a time.
const hostAtOnce = 12

// How often NodePorts are asked: on every node until a pod of another node has answered (in a small lab: until every pod has, or one that
// cannot be reached from that node would often be met by no try), and in all until every pod has.
const (
	nodePortTries = 40
	balanceTries  = 120
	smallLab      = 6 // nodes
)

// probeNodePorts asks every node's NodePort, in new connections each time. A node is asked until one try fails.
func probeNodePorts(ctx context.Context, client *http.Client, known checks.Facts, turn gate) []Item {
	nodeOf := known.HelloPods()
	lab := known.Lab
	all := make([][]Item, len(lab.Nodes))
	var group sync.WaitGroup
	for i, n := range lab.Nodes {
		group.Go(func() {
			due := maps.Clone(nodeOf) // the pods that are to answer by this node; in a large lab one of another node is enough
			if len(lab.Nodes) > smallLab {
				maps.DeleteFunc(due, func(_, node string) bool { return node == n.Name })
			}
			for try := 0; try < tries(lab) || len(due) > 0 && try < nodePortTries; try++ {
				turn.enter()
				item, by := askNodePort(ctx, client, lab, n)
				turn.leave()
				all[i] = append(all[i], item)
				if item.Err != "" || item.Exit != 0 {
					return
				}
				_, met := due[by]
				delete(due, by)
				if by == "" || met && len(lab.Nodes) > smallLab {
					clear(due) // the answer names no pod, and asking on tells nothing
				}
			}
		})
	}
	group.Wait()
	items := slices.Concat(all...)
	silent := maps.Clone(nodeOf)
	var alive []config.Node // that answered every time, and named the pod
	for i, n := range lab.Nodes {
		good := true
		for _, item := range all[i] {
			by := answeredBy(item)
			good = good && item.Err == "" && item.Exit == 0 && by != ""
			delete(silent, by)
		}
		if good {
			alive = append(alive, n)
		}
	}
	for i := 0; len(silent) > 0 && len(alive) > 0 && len(items) < balanceTries; i++ {
		at := i % len(alive)
		item, by := askNodePort(ctx, client, lab, alive[at])
		items = append(items, item)
		if by == "" {
			alive = slices.Delete(alive, at, at+1)
		}
		delete(silent, by)
	}
	return items
}

func askNodePort(ctx context.Context, client *http.Client, lab *config.Lab, n config.Node) (item Item, by string) {
	item = probeHost(ctx, client, targetURL(netip.AddrPortFrom(n.Address, uint16(lab.Demo.NodePort))), nodePortTimeout)
	return item, answeredBy(item)
}

// answeredBy is the pod that an answer names, or empty.
func answeredBy(item Item) string {
	by, err := parseWhoami(item.Stdout)
	if err != nil {
		return ""
	}
	return by
}

// loadBalancerURLs are what is asked of Traefik on every node: its ports where ServiceLB publishes them, and its node ports.
func loadBalancerURLs(known checks.Facts) []string {
	s, ok := known.Cluster.LoadBalancer()
	if !ok {
		return nil
	}
	var urls []string
	for _, n := range known.Lab.Nodes {
		for _, p := range s.Ports {
			if p.Protocol == "UDP" {
				continue
			}
			scheme := "http"
			if p.Port == 443 {
				scheme = "https"
			}
			if known.Lab.K3s.KubeProxyMode != config.ProxyIPVS || len(s.External) > 0 {
				urls = append(urls, schemeURL(scheme, netip.AddrPortFrom(n.Address, uint16(p.Port))))
			}
			if p.NodePort != 0 {
				urls = append(urls, schemeURL(scheme, netip.AddrPortFrom(n.Address, uint16(p.NodePort))))
			}
		}
	}
	return urls
}

// ingressURLs are where every node takes calls for the demo's Ingress.
func ingressURLs(known checks.Facts) []string {
	var urls []string
	for _, n := range known.Lab.Nodes {
		if target, ok := known.IngressTarget(n); ok {
			urls = append(urls, targetURL(target))
		}
	}
	return urls
}

// hostNetworkURLs are every node's port that the pod with hostNetwork has on its node.
func hostNetworkURLs(known checks.Facts) []string {
	var urls []string
	for _, n := range known.Lab.Nodes {
		urls = append(urls, targetURL(netip.AddrPortFrom(n.Address, checks.HostNetPort)))
	}
	return urls
}

// isolationTries is how often the ClusterIP is asked. kube-proxy picks a pod each time. In the worst of leaks only the pods of the node that
// the packets come to are in reach, one out of so many as there are nodes; then this many tries
// miss them all in one of 3000 labs of up to eight nodes.
func isolationTries(l *config.Lab) int {
	const each, most = 8, 64
	return min(most, each*len(l.Nodes))
}

// probeIsolation asks a ClusterIP from this machine, each time with a nonce that only the service behind it can send back. All tries are
// made at once, for in a good lab each one waits for its whole time.
func probeIsolation(ctx context.Context, client *http.Client, lab *config.Lab, target netip.AddrPort) []Item {
	items := make([]Item, isolationTries(lab))
	var group sync.WaitGroup
	for i := range items {
		group.Go(func() { items[i] = probeHost(ctx, client, targetURL(target)+"?nonce="+rand.Text(), isolationTimeout) })
	}
	group.Wait()
	return items
}
