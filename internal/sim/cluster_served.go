package sim

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// servedPort is one port of a service as kube-proxy is told of it.
type servedPort struct {
	Name     string           `json:"name"`  // NAMESPACE/NAME, and :PORT if that has a name
	Proto    string           `json:"proto"` // tcp or udp
	IP       netip.Addr       `json:"ip"`
	Port     int              `json:"port"`
	NodePort int              `json:"nodePort,omitempty"`
	Local    bool             `json:"local,omitempty"`  // externalTrafficPolicy
	Sticky   bool             `json:"sticky,omitempty"` // sessionAffinity
	Ingress  []netip.Addr     `json:"ingress,omitempty"`
	Ready    []servedEndpoint `json:"ready,omitempty"`
}

type servedEndpoint struct {
	Addr netip.AddrPort `json:"addr"`
	Node string         `json:"node,omitempty"` // of its pod
}

// on are the endpoints on one node.
func (p servedPort) on(node string) []servedEndpoint {
	return slices.DeleteFunc(slices.Clone(p.Ready), func(e servedEndpoint) bool { return e.Node != node })
}

// served is what the API server tells of services now, in the order of their names.
func (c *cluster) served() []servedPort {
	var all []servedPort
	services := c.services()
	slices.SortFunc(services, func(a, b *object) int { return strings.Compare(a.Namespace+"/"+a.Name, b.Namespace+"/"+b.Name) })
	for _, o := range services {
		ip, ok := clusterIP(o)
		if !ok {
			continue // headless
		}
		for _, p := range servicePorts(o) {
			s := servedPort{Name: o.Namespace + "/" + o.Name, Proto: strings.ToLower(p.Protocol), IP: ip, Port: p.Port, NodePort: p.NodePort, Ingress: c.ingress(o),
				Local: dig(o.Body, "spec", "externalTrafficPolicy") == "Local", Sticky: dig(o.Body, "spec", "sessionAffinity") == "ClientIP"}
			if p.Name != "" {
				s.Name += ":" + p.Name
			}
			for _, e := range c.endpoints(o, p) {
				if !e.Ready {
					continue
				}
				to := servedEndpoint{Addr: netip.AddrPortFrom(e.Addr, uint16(e.Port))}
				if e.Pod != nil {
					to.Node = e.Pod.Node
				}
				s.Ready = append(s.Ready, to)
			}
			all = append(all, s)
		}
	}
	return all
}

// knowledge is what the kube-proxies of a cluster know of its services. One that hears no more of the API server goes by what it heard last.
type knowledge struct {
	Served []servedPort            `json:"served"` // of those that hear of it
	Apart  map[string][]servedPort `json:"apart"`  // of nodes that had lost the server when Served changed
}

// hears reports whether a node's k3s hears of the API server.
func (c *cluster) hears(n *nodeRecord) bool {
	server := c.up[c.disk]
	if server == nil {
		return false
	}
	ready, ok := server.serverReady()
	return ok && !c.now.Before(ready) && c.connected(n)
}

// servedOn is what kube-proxy on a node knows of services, and whose knowledge that is: nobody's own, or the node's.
func (c *cluster) servedOn(n *nodeRecord) (served []servedPort, of string) {
	if apart, ok := c.known.Apart[n.Name]; ok {
		return apart, n.Name
	}
	return c.known.Served, ""
}

// ipvsAddresses are what kube-proxy on a node binds to kube-ipvs0: the services' addresses, and those that load balancers publish.
func (c *cluster) ipvsAddresses(n *nodeRecord) []netip.Addr {
	var all []netip.Addr
	served, _ := c.servedOn(n)
	for _, p := range served {
		all = append(append(all, p.IP), p.Ingress...)
	}
	slices.SortFunc(all, netip.Addr.Compare)
	return slices.Compact(all)
}

func (w *World) knowledgeFile(disk string) string {
	return filepath.Join(w.guestDir(disk), "kube-proxy.json")
}

// knowledge reads what the kube-proxies of the cluster on a server's disk know.
func (w *World) knowledge(disk string) (*knowledge, error) {
	return recall(w, w.heard, disk, w.knowledgeFile(disk), readKnowledge)
}

func readKnowledge(name string) (*knowledge, error) {
	k := &knowledge{}
	data, err := os.ReadFile(name)
	if err == nil {
		err = json.Unmarshal(data, k)
	} else if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading what SIMULATED kube-proxies know: %w", err)
	}
	return k, nil
}

// spread tells the kube-proxies that hear of it what is served now. It reports whether that was new to any.
func (c *cluster) spread() (bool, error) {
	served := c.served()
	next, err := c.learn(c.known, served)
	if err != nil || next == nil {
		return false, err
	}
	unlock, err := lockFile(filepath.Join(c.w.guestDir(c.disk), "kube-proxy.lock"))
	if err != nil {
		return false, err
	}
	defer unlock()
	latest, err := c.w.knowledge(c.disk)
	if err != nil {
		return false, err
	}
	if next, err = c.learn(latest, served); err != nil || next == nil { // another process did it
		return err == nil, err
	}
	data, err := json.Marshal(next)
	if err != nil {
		return false, err
	}
	return true, writeFile(c.w.knowledgeFile(c.disk), data)
}

// learn is what the kube-proxies know next; nil if nothing changes.
func (c *cluster) learn(have *knowledge, served []servedPort) (*knowledge, error) {
	before, err := json.Marshal(have)
	if err != nil {
		return nil, err
	}
	was, err := json.Marshal(have.Served)
	if err != nil {
		return nil, err
	}
	is, err := json.Marshal(served)
	if err != nil {
		return nil, err
	}
	next := &knowledge{Served: served, Apart: map[string][]servedPort{}}
	for _, n := range c.state.Nodes {
		if n.ghost() || c.hears(n) {
			continue
		}
		if apart, ok := have.Apart[n.Name]; ok {
			next.Apart[n.Name] = apart
		} else if !bytes.Equal(was, is) {
			next.Apart[n.Name] = have.Served
		}
	}
	after, err := json.Marshal(next)
	if err != nil || bytes.Equal(before, after) {
		return nil, err
	}
	return next, nil
}
