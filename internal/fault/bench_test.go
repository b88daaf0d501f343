package fault

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/labctl/labctl/internal/config"
)

// world is a lab that understands "set NAME VALUE", "ask NAME" and "late" (which succeeds the third time), a cable and a route. After as many
// steps as killed says nothing is done any more, as if the process were gone.
type world struct {
	values map[string]string // by NODE.NAME
	cable  bool
	route  bool
	log    []string

	steps, killed int // killed 0: never
	afterwards    bool
	late          int
}

var errKilled = errors.New("killed")

// do does one step, unless the process is killed before it; one that is killed afterwards has done it.
func (w *world) do(what string, act func() error) error {
	w.steps++
	if w.killed > 0 && (w.steps > w.killed || w.steps == w.killed && !w.afterwards) {
		return errKilled
	}
	w.log = append(w.log, what)
	err := act()
	if w.steps == w.killed {
		return errKilled
	}
	return err
}

func (w *world) SetLink(_ context.Context, node string, slot int, on bool) error {
	return w.do(fmt.Sprintf("cable %s %d %v", node, slot, on), func() error { w.cable = on; return nil })
}

func (w *world) SetRoute(_ context.Context, r Route) error {
	return w.do(r.Command(), func() error { w.route = r.Present; return nil })
}

type node struct {
	w    *world
	name string
}

func (n node) Close() error { return nil }

func (n node) Run(_ context.Context, command string, _ io.Reader) (out []byte, err error) {
	err = n.w.do(n.name+": "+command, func() error {
		vars := map[string]string{}
		for {
			first, rest, ok := strings.Cut(command, "; ")
			if !ok {
				break
			}
			k, v, _ := strings.Cut(first, "=")
			vars["$"+k], command = strings.Trim(v, "'"), rest
		}
		words := strings.Split(command, " ")
		for i, word := range words {
			if v, ok := vars[word]; ok {
				words[i] = v
			}
		}
		switch words[0] {
		case "set":
			n.w.values[n.name+"."+words[1]] = words[2]
		case "ask":
			out = []byte(n.w.values[n.name+"."+words[1]] + "\n")
		case "late":
			if n.w.late++; n.w.late%3 != 0 {
				return errors.New("not yet")
			}
		default:
			return fmt.Errorf("unknown command %q", command)
		}
		return nil
	})
	return out, err
}

func newWorld() *world {
	return &world{cable: true, values: map[string]string{"w1.a": "/one=2", "w2.b": "2", "cp1.node": "w2"}}
}

// broken is what the world is like, in one line.
func (w *world) state() string {
	var s []string
	for _, k := range slices.Sorted(maps.Keys(w.values)) {
		s = append(s, k+"="+w.values[k])
	}
	return fmt.Sprintf("%s cable=%v route=%v", strings.Join(s, " "), w.cable, w.route)
}

func (w *world) bench(t *testing.T, path string) *Bench {
	return &Bench{
		Lab: config.Default(), Journal: Journal{Path: path}, Machines: w, Host: w, Now: func() time.Time { return time.Unix(1700000000, 0) },
		Connect: func(_ context.Context, name string) (Runner, io.Closer, error) {
			return node{w, name}, node{w, name}, nil
		},
		Step: func(string) {}, Pause: time.Microsecond, Limit: time.Minute,
	}
}

// sample has every kind of step.
func sample(id string) Fault {
	return Fault{ID: id, Fails: both("x"), script: func(places) Script {
		route := Route{To: netip.MustParsePrefix("10.43.0.0/16"), Via: netip.MustParseAddr("192.168.56.10")}
		set := route
		set.Present = true
		return Script{
			Ask: []Question{
				{Name: "OLD", Where: "w1", Command: "ask a"},
				{Name: "NODE", Where: "cp1", Command: "ask node"},
				{Name: "B", Where: "w2", Command: "ask b"},
			},
			Break: []Action{
				{Where: "w1", Command: "set a broken"}, {Where: "$NODE", Command: "set b broken"}, {Where: VirtualBox, Cable: &Cable{Node: "$NODE", Slot: 2}},
				{Where: Host, Route: &set}, {Where: "cp1", Command: "late", Until: true}, {Where: "w1", Command: "set a worse"},
			},
			Undo: []Action{
				{Where: VirtualBox, Cable: &Cable{Node: "$NODE", Slot: 2, Plugged: true}}, {Where: "w1", Command: "set a $OLD"},
				{Where: "$NODE", Command: "set b $B"}, {Where: Host, Route: &route},
			},
		}
	}}
}

func TestBreakAndFix(t *testing.T) {
	w := newWorld()
	healthy := w.state()
	b := w.bench(t, filepath.Join(t.TempDir(), "faults.json"))
	if err := b.Break(t.Context(), sample("one")); err != nil {
		t.Fatal(err)
	}
	if want := "cp1.node=w2 w1.a=worse w2.b=broken cable=false route=true"; w.state() != want {
		t.Errorf("broken: %s, want %s", w.state(), want)
	}
	before := len(w.log)
	if err := b.Break(t.Context(), sample("one")); !errors.Is(err, ErrPresent) || len(w.log) != before {
		t.Errorf("breaking twice: %v, and %d commands ran", err, len(w.log)-before)
	}
	if undone, err := b.Fix(t.Context(), "another"); err != nil || undone != nil || len(w.log) != before {
		t.Errorf("fixing another: %v %v", undone, err)
	}
	undone, err := b.Fix(t.Context())
	if diff := cmp.Diff([]string{"one"}, undone); diff != "" || err != nil || w.state() != healthy {
		t.Errorf("fix: %v %v: %s, want %s", undone, err, w.state(), healthy)
	}
	// Until the lab is known to be well, the fault that was undone is remembered, and not undone again.
	before = len(w.log)
	if undone, err := b.Fix(t.Context(), "another"); err != nil || !slices.Equal(undone, []string{"one"}) || len(w.log) != before {
		t.Errorf("fixing before it is settled: %v %v, and %d commands ran", undone, err, len(w.log)-before)
	}
	if err := b.Settle(); err != nil {
		t.Error(err)
	}
	if undone, err := b.Fix(t.Context()); err != nil || undone != nil || len(w.log) != before {
		t.Errorf("fixing twice: %v %v", undone, err)
	}
	if want := `w1: OLD='/one=2'; set a $OLD`; !slices.Contains(w.log, want) {
		t.Errorf("no %q in %q", want, w.log)
	}
}

// What was undone and not settled may be broken again, and is then to be undone again.
func TestBreakBeforeSettled(t *testing.T) {
	w := newWorld()
	healthy := w.state()
	b := w.bench(t, filepath.Join(t.TempDir(), "faults.json"))
	for range 2 {
		if err := b.Break(t.Context(), sample("one")); err != nil {
			t.Fatal(err)
		}
		if w.state() == healthy {
			t.Error("nothing is broken")
		}
		if undone, err := b.Fix(t.Context()); err != nil || !slices.Equal(undone, []string{"one"}) || w.state() != healthy {
			t.Errorf("%v %v: %s", undone, err, w.state())
		}
	}
	if entries, err := b.Journal.Entries(); err != nil || len(entries) != 1 {
		t.Errorf("left: %v %v", entries, err)
	}
}

// Settle forgets nothing that is still in the lab.
func TestSettle(t *testing.T) {
	w := newWorld()
	b := w.bench(t, filepath.Join(t.TempDir(), "faults.json"))
	for _, id := range []string{"one", "two"} {
		if err := b.Break(t.Context(), sample(id)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := b.Fix(t.Context(), "two"); err != nil {
		t.Fatal(err)
	}
	if err := b.Settle(); err != nil {
		t.Fatal(err)
	}
	entries, err := b.Journal.Entries()
	if err != nil || len(entries) != 1 || entries[0].ID != "one" || entries[0].Undone {
		t.Errorf("left: %+v %v", entries, err)
	}
}

// TestKilled kills Break, then Fix, before and after each of their steps: another Fix always restores the lab.
func TestKilled(t *testing.T) {
	rows := 0
	for _, afterwards := range []bool{false, true} {
		for _, fixToo := range []bool{false, true} {
			for kill := 1; kill <= 14; kill++ {
				rows++
				name := fmt.Sprintf("step %d, done %v, fix too %v", kill, afterwards, fixToo)
				w := newWorld()
				healthy := w.state()
				path := filepath.Join(t.TempDir(), "faults.json")
				w.killed, w.afterwards = kill, afterwards
				b := w.bench(t, path)
				b.Limit = 50 * time.Millisecond // the repeated step goes on until then
				broken := b.Break(t.Context(), sample("one")) == nil
				if fixToo {
					w.steps, w.killed = 0, kill%4+1
					_, _ = b.Fix(t.Context()) // killed: its error is nobody's
				}
				w.killed = 0
				undone, err := w.bench(t, path).Fix(t.Context())
				if err != nil || w.state() != healthy {
					t.Errorf("%s: %v: %s, want %s", name, err, w.state(), healthy)
				}
				if broken && !slices.Equal(undone, []string{"one"}) {
					t.Errorf("%s: undone %q", name, undone)
				}
				if err := w.bench(t, path).Settle(); err != nil {
					t.Errorf("%s: %v", name, err)
				}
				if _, err := os.Stat(path); !os.IsNotExist(err) {
					t.Errorf("%s: the journal is still there: %v", name, err)
				}
			}
		}
	}
	if rows < 50 {
		t.Errorf("only %d kills", rows)
	}
}

func TestLeave(t *testing.T) {
	w := newWorld()
	b := w.bench(t, filepath.Join(t.TempDir(), "faults.json"))
	if err := b.Break(t.Context(), sample("one")); err != nil {
		t.Fatal(err)
	}
	before := len(w.log)
	if err := b.Leave(t.Context()); err != nil || w.route || w.cable {
		t.Errorf("%v: %s", err, w.state())
	}
	if diff := cmp.Diff([]string{"sudo ip route del 10.43.0.0/16 via 192.168.56.10"}, w.log[before:]); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestFixOrder(t *testing.T) {
	w := newWorld()
	b := w.bench(t, filepath.Join(t.TempDir(), "faults.json"))
	for _, id := range []string{"first", "second", "third"} {
		f := sample(id)
		f.script = func(places) Script {
			return Script{Break: []Action{{Where: "w1", Command: "set a " + id}}, Undo: []Action{{Where: "w1", Command: "set undone " + id}}}
		}
		if id == "second" {
			f.script = func(places) Script { return Script{Undo: []Action{{Where: "w1", Command: "nonsense"}}} }
		}
		if err := b.Break(t.Context(), f); err != nil {
			t.Fatal(err)
		}
	}
	undone, err := b.Fix(t.Context())
	if diff := cmp.Diff([]string{"third", "first"}, undone); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if err == nil || !strings.Contains(err.Error(), `undoing fault "second": unknown command`) {
		t.Errorf("got %v", err)
	}
	if err := b.Settle(); err != nil {
		t.Error(err)
	}
	entries, err := b.Journal.Entries()
	if err != nil || len(entries) != 1 || entries[0].ID != "second" {
		t.Errorf("left: %v %v", entries, err)
	}
}

func TestRefused(t *testing.T) {
	ask := func(command, missing string) Fault {
		return Fault{ID: "f", Fails: both("x"), script: func(places) Script {
			return Script{Ask: []Question{{Name: "A", Where: "w1", Command: command, Missing: missing}}, Break: []Action{{Where: "w1", Command: "set a broken"}}}
		}}
	}
	for name, test := range map[string]struct {
		f    Fault
		lab  func(*config.Lab)
		want string
	}{
		"no answer":          {ask("ask none", ""), nil, `nothing was changed: node "w1" answers ""`},
		"no answer, and why": {ask("ask none", "somebody must be there"), nil, "nothing was changed: somebody must be there"},
		"the question fails": {ask("nonsense", "why"), nil, `nothing was changed: why: unknown command "nonsense"`},
		"another mode":       {Fault{ID: "f", Fails: map[config.ProxyMode][]string{config.ProxyIPVS: {"x"}}}, nil, "kube-proxy mode is iptables"},
		"too few workers": {Fault{ID: "f", Fails: both("x"), workers: 2}, func(l *config.Lab) { l.Nodes = l.Nodes[:2] },
			"needs 2 workers, and the lab has 1"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			healthy := w.state()
			b := w.bench(t, filepath.Join(t.TempDir(), "faults.json"))
			if test.lab != nil {
				test.lab(b.Lab)
			}
			err := b.Break(t.Context(), test.f)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
			if entries, err := b.Journal.Entries(); err != nil || len(entries) != 0 || w.state() != healthy {
				t.Errorf("%v %v: %s", entries, err, w.state())
			}
		})
	}
}

func TestUntilEnds(t *testing.T) {
	w := newWorld()
	b := w.bench(t, filepath.Join(t.TempDir(), "faults.json"))
	b.Limit = time.Millisecond
	f := Fault{ID: "f", Fails: both("x"), script: func(places) Script {
		return Script{Break: []Action{{Where: "w1", Command: "nonsense", Until: true}}}
	}}
	err := b.Break(t.Context(), f)
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), `unknown command "nonsense"`) {
		t.Errorf("got %v", err)
	}
}

func TestJournalOfAnotherVersion(t *testing.T) {
	for content, want := range map[string]string{`{"schema":"labctl/v9"}`: "labctl/v9", `{`: "unexpected end", "": "unexpected end"} {
		path := filepath.Join(t.TempDir(), "faults.json")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		b := newWorld().bench(t, path)
		if _, err := b.Fix(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v", content, err)
		}
		if err := b.Break(t.Context(), sample("one")); err == nil {
			t.Errorf("%q: broken on top of it", content)
		}
	}
}

// TestScripts looks at what every fault would run, in both modes.
func TestScripts(t *testing.T) {
	seen := 0
	for _, f := range Catalogue() {
		for mode := range f.Fails {
			seen++
			lab := config.Default()
			lab.K3s.KubeProxyMode = mode
			s, err := f.Script(lab)
			if err != nil {
				t.Error(err)
				continue
			}
			names := map[string]bool{"NOW": true, "": true}
			uses := func(what, text string) {
				for _, m := range variable.FindAllStringSubmatch(text, -1) {
					if !names[m[1]] {
						t.Errorf("%s, %s: %s uses %q, which is not asked for", f.ID, mode, what, m[1])
					}
				}
				if strings.Contains(text, "%!") {
					t.Errorf("%s, %s: %s is badly formatted: %s", f.ID, mode, what, text)
				}
			}
			for _, q := range s.Ask {
				uses("a question", q.Command)
				names[q.Name] = true
			}
			if len(s.Break) == 0 || len(s.Undo) == 0 {
				t.Errorf("%s, %s: nothing to break or to undo", f.ID, mode)
			}
			for _, a := range slices.Concat(s.Break, s.Undo) {
				uses("an action", a.Command+" "+a.Where)
				if _, isNode := lab.Node(a.Where); !isNode && a.Where != VirtualBox && a.Where != Host && !strings.HasPrefix(a.Where, "$") {
					t.Errorf("%s, %s: %q is no place", f.ID, mode, a.Where)
				}
			}
		}
	}
	if seen < 40 {
		t.Errorf("only %d scripts", seen)
	}
}

// The scheduler that is injected is another one than the lab's, whichever that is.
func TestOtherScheduler(t *testing.T) {
	f, err := Get("other-scheduler")
	if err != nil {
		t.Fatal(err)
	}
	for own, other := range map[config.Scheduler]string{"": "lc", "rr": "lc", "wlc": "lc", "lc": "rr"} {
		lab := config.Default()
		lab.K3s.KubeProxyMode, lab.K3s.IPVSScheduler = config.ProxyIPVS, own
		script, err := f.Script(lab)
		if err != nil {
			t.Fatal(err)
		}
		text := script.text()
		if !strings.Contains(text, "ipvs-scheduler="+other+"]") || !strings.Contains(text, "^TCP .* "+other+" ") {
			t.Errorf("in a lab with %q:\n%s", own, text)
		}
	}
}

func TestGet(t *testing.T) {
	if f, err := Get("wrong-mtu"); err != nil || f.ID != "wrong-mtu" {
		t.Errorf("%v %v", f.ID, err)
	}
	if _, err := Get("wrong"); !errors.Is(err, ErrUnknown) || !strings.Contains(err.Error(), "wrong-mtu") {
		t.Errorf("got %v", err)
	}
}
