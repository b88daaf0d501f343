package sim

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// flow is a connection whose destination the guest's kernel has changed, as conntrack remembers it: what was sent, and where the
// replies come from.
type flow struct {
	At        time.Time      `json:"at"`
	Proto     string         `json:"proto"`
	From      netip.AddrPort `json:"from"`
	To        netip.AddrPort `json:"to"`
	ReplyFrom netip.AddrPort `json:"replyFrom"`
	ReplyTo   netip.AddrPort `json:"replyTo"`
}

const (
	flowLife  = 120 * time.Second // how long conntrack shows a connection that is over
	flowBytes = 64 << 10          // of the file, from which on old entries go
)

// flows is a file of its own: connections change nothing else of the world.
func (g *guest) flowFile() string { return filepath.Join(g.dir, "conntrack.jsonl") }

// remember adds a connection.
func (g *guest) remember(f flow) error {
	data, err := json.Marshal(f)
	if err != nil {
		return err
	}
	g.w.tracking.Lock()
	defer g.w.tracking.Unlock()
	if info, err := os.Stat(g.flowFile()); err == nil && info.Size() > flowBytes {
		var kept []byte
		all := g.flowsLocked()
		for _, f := range all[len(all)/2:] {
			line, err := json.Marshal(f)
			if err != nil {
				return err
			}
			kept = append(append(kept, line...), '\n')
		}
		if err := writeFile(g.flowFile(), kept); err != nil {
			return err
		}
	}
	file, err := os.OpenFile(g.flowFile(), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if _, err := file.Write(append(data, '\n')); err != nil {
		_ = file.Close() // the write's error says more
		return err
	}
	return file.Close()
}

// flows are the connections that the guest remembers since its boot, oldest first.
func (g *guest) flows() []flow {
	g.w.tracking.Lock()
	defer g.w.tracking.Unlock()
	return slices.DeleteFunc(g.flowsLocked(), func(f flow) bool { return f.At.Before(g.machine.StartedAt) })
}

func (g *guest) flowsLocked() []flow {
	data, err := os.ReadFile(g.flowFile())
	if err != nil {
		return nil // there was none yet
	}
	var all []flow
	for line := range bytes.Lines(data) {
		var f flow
		if json.Unmarshal(line, &f) == nil { // a line that another process is about to finish is none yet
			all = append(all, f)
		}
	}
	return all
}

// stuck is where the sender's latest connection to the same address went, for services with session affinity.
func (g *guest) stuck(p *packet) (netip.AddrPort, bool) {
	all := g.flows()
	for _, f := range slices.Backward(all) {
		if f.From.Addr() == p.from.Addr() && f.To == p.to && g.now.Sub(f.At) < stickySeconds*time.Second {
			return f.ReplyFrom, true
		}
	}
	return netip.AddrPort{}, false
}

// remembers reports whether a sender was sent where this chain of an endpoint sends to.
func (w *World) remembers(g *guest, p *packet, chain []rule) bool {
	to, ok := g.stuck(p)
	return ok && slices.ContainsFunc(chain, func(r rule) bool { return r.dnat == to })
}
