package sim

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// moment is the world at one time: all guests that are up, and their clusters. Nothing in it changes.
type moment struct {
	w        *World
	now      time.Time
	lasts    time.Duration // how long it may stand for the present
	vbox     *vboxState
	epoch    string
	guests   []*guest
	byDisk   map[string]*guest
	at       map[netip.Addr][]*guest // by the addresses of their NICs
	clusters map[string]*cluster     // by the server's disk
}

// A look at the world is good for a while if nobody changes anything, so that many questions at once share one answer: what happens
// by itself, such as a pod that becomes ready, is seen that much later. The while grows with what the look costs, and is long if
// nothing is about to happen.
const (
	shortMoment = 5 * time.Millisecond
	longMoment  = 100 * time.Millisecond
	quietMoment = time.Second
)

// look is the world now. It boots machines whose time has come, and lets the clusters do what they do by themselves.
func (w *World) look() (*moment, error) {
	w.looking.Lock()
	defer w.looking.Unlock()
	now := time.Now()
	vbox, err := w.virtualBox()
	if err != nil {
		return nil, err
	}
	epoch, err := w.epoch()
	if err != nil {
		return nil, err
	}
	last := w.last
	if last != nil && (last.vbox != vbox || last.epoch != epoch) {
		last = nil
	}
	if last != nil && now.Sub(last.now) < last.lasts {
		return last, nil
	}
	m, err := w.collect(vbox, now, last)
	if err != nil {
		return nil, err
	}
	// What one does may be for another to act upon; after a quiet moment there is nothing to do.
	for settled := last == nil || last.lasts != quietMoment; settled; {
		if settled, err = m.settle(); err != nil {
			return nil, err
		}
		if settled {
			if m, err = w.collect(vbox, now, nil); err != nil {
				return nil, err
			}
		}
	}
	// What was read before the collecting is what it is compared with: a change in between makes it stale at once.
	m.epoch = epoch
	if m.lasts = min(max(shortMoment, 5*time.Since(now)), longMoment); m.quiet() {
		m.lasts = quietMoment
	}
	w.last = m
	return m, nil
}

// collect reads the guests and clusters as they are. If nothing was changed since an earlier moment, what was read then is not read again.
func (w *World) collect(vbox *vboxState, now time.Time, earlier *moment) (*moment, error) {
	m := &moment{w: w, now: now, vbox: vbox, byDisk: map[string]*guest{}, at: map[netip.Addr][]*guest{}, clusters: map[string]*cluster{}}
	for _, machine := range vbox.Machines {
		var before *guest
		if _, disk, ok := machine.disk(); ok && earlier != nil {
			before = earlier.byDisk[disk]
		}
		g, err := w.guest(machine, now, before)
		if err != nil {
			return nil, err
		}
		if g == nil {
			continue
		}
		g.peers = m
		if before != nil && before.state == g.state {
			g.ownNICs = before.ownNICs
		} else {
			g.ownNICs = g.findNICs()
		}
		g.allLinks, g.allRoutes, g.allRules = sync.OnceValue(g.findLinks), sync.OnceValue(g.findRoutes), sync.OnceValue(g.findFirewall)
		m.guests = append(m.guests, g)
		m.byDisk[g.disk] = g
		for _, l := range g.ownNICs {
			for _, a := range l.Addresses {
				if l.works() && l.Kind == "ether" {
					m.at[a.Addr()] = append(m.at[a.Addr()], g)
				}
			}
		}
	}
	for _, g := range m.guests {
		if disk := g.state.Cluster; disk != "" && m.clusters[disk] == nil {
			if err := m.addCluster(disk); err != nil {
				return nil, err
			}
		}
	}
	return m, nil
}

func (m *moment) addCluster(disk string) error {
	st, err := m.w.clusterState(disk)
	if err != nil || st == nil {
		return err
	}
	known, err := m.w.knowledge(disk)
	if err != nil {
		return err
	}
	m.clusters[disk] = &cluster{w: m.w, disk: disk, now: m.now, state: st, known: known, up: m.byDisk, rules: newProxyRules()}
	return nil
}

// quiet reports whether nothing is about to happen by itself: no machine boots or stops, no node joins, no pod starts.
func (m *moment) quiet() bool {
	for _, machine := range m.vbox.Machines {
		_, disk, _ := machine.disk()
		if machine.status(m.now) != machine.status(m.now.Add(24*time.Hour)) || machine.running(m.now) && m.byDisk[disk] == nil {
			return false
		}
	}
	for _, g := range m.guests {
		_, u, runs := g.k3sUnit()
		_, rec := g.dataplane()
		if runs && (rec == nil || !rec.Start.Equal(u.Since) || m.now.Before(rec.Ready)) {
			return false
		}
	}
	for _, c := range m.clusters {
		for _, p := range c.state.Pods {
			if p.Sandbox != "" {
				return false // somebody may mend it
			}
			if at, ok := c.podStart(p); ok && m.now.Before(at.Add(m.w.options.PodStart)) { // one that cannot pull its image says so twice
				return false
			}
		}
	}
	return true
}

// guest finds the guest of a disk; nil if it is not up. The caller may update it.
func (m *moment) guest(disk string) *guest {
	g := m.byDisk[disk]
	if g == nil {
		return nil
	}
	own := *g
	return &own
}

func (w *World) epochFile() string { return filepath.Join(w.dir, "guests", "epoch") }

// epoch is another one after every change of a guest or a cluster, by whatever process.
// It is the caller that holds w.looking.
func (w *World) epoch() (string, error) {
	stamp := stampOf(w.epochFile())
	if w.known.value != nil && w.known.stamp.same(stamp) {
		return *w.known.value, nil
	}
	data, err := os.ReadFile(w.epochFile())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("reading the SIMULATED world: %w", err)
	}
	text := string(data)
	w.known = cached[string]{stamp, &text}
	return text, nil
}

func (w *World) newEpoch() error { return writeFile(w.epochFile(), []byte(rand.Text())) }
