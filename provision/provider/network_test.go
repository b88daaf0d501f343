package provider

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/labctl/labctl/internal/config"
	"github.com/labctl/labctl/internal/labdir"
	"github.com/labctl/labctl/vbox"
)

// adapters is VirtualBox as far as host-only adapters go. It records what is changed.
type adapters struct {
	Hypervisor // everything else panics: the network needs nothing else
	all        []vbox.HostOnly
	extra      map[string]string
	calls      []string
	denied     error // of CreateHostOnly
	stays      bool  // and the adapter is made all the same
}

func (a *adapters) HostOnlyNetworks(context.Context) ([]vbox.HostOnly, error) { return a.all, nil }

func (a *adapters) CreateHostOnly(_ context.Context, want netip.Prefix) (vbox.HostOnly, error) {
	n := vbox.HostOnly{Name: fmt.Sprintf("vboxnet%d", len(a.all)), Address: want}
	if a.denied != nil {
		if a.stays {
			a.all = append(a.all, n)
		}
		return vbox.HostOnly{}, a.denied
	}
	a.all = append(a.all, n)
	a.calls = append(a.calls, "create "+want.String())
	return n, nil
}

func (a *adapters) SetHostOnlyAddress(_ context.Context, name string, want netip.Prefix) error {
	for i := range a.all {
		if a.all[i].Name == name {
			a.all[i].Address = want
		}
	}
	a.calls = append(a.calls, "address "+name+" "+want.String())
	return nil
}

func (a *adapters) RemoveHostOnly(_ context.Context, name string) error {
	a.calls = append(a.calls, "remove "+name)
	return nil
}

func (a *adapters) ExtraData(_ context.Context, target, key string) (string, bool, error) {
	v, ok := a.extra[target+" "+key]
	return v, ok, nil
}

func (a *adapters) SetExtraData(_ context.Context, target, key, value string) error {
	if a.extra[target+" "+key] = value; value == "" {
		delete(a.extra, target+" "+key)
	}
	return nil
}

func lab(t *testing.T, root, name string, a *adapters) *Provider {
	t.Helper()
	l := config.Default()
	l.Name = name
	f := labdir.At(root, name)
	if err := f.Make(l); err != nil {
		t.Fatal(err)
	}
	return New(t.Context(), Options{Lab: l, Folder: f, Hypervisor: a, Timeouts: DefaultTimeouts(), Now: time.Now})
}

var networkInputs = props{"cidr": "192.168.56.0/24", "host": "192.168.56.1"}

func quiet(string) {}

func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

func TestNetworkIsCreatedSharedAndRemovedByTheLast(t *testing.T) {
	a := &adapters{extra: map[string]string{}}
	root := t.TempDir()
	one, two := lab(t, root, "one", a), lab(t, root, "two", a)
	for _, p := range []*Provider{one, two, one} {
		if id, _, err := p.ensureNetwork(t.Context(), networkInputs, quiet); err != nil || id != "vboxnet0" {
			t.Fatalf("ensure: %q, %v", id, err)
		}
	}
	if err := one.removeNetwork(t.Context(), "vboxnet0", networkInputs, quiet); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"create 192.168.56.1/24"}, a.calls); d != "" {
		t.Errorf("the first lab's destroy touched what the second uses:\n%s", d)
	}
	if err := two.removeNetwork(t.Context(), "vboxnet0", networkInputs, quiet); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"create 192.168.56.1/24", "remove vboxnet0"}, a.calls); d != "" {
		t.Error(d)
	}
	if len(a.extra) != 0 {
		t.Errorf("left in VirtualBox's extradata: %v", a.extra)
	}
}

func TestNetworkOfOursGetsItsAddressBack(t *testing.T) {
	a := &adapters{extra: map[string]string{}}
	p := lab(t, t.TempDir(), "one", a)
	if _, _, err := p.ensureNetwork(t.Context(), networkInputs, quiet); err != nil {
		t.Fatal(err)
	}
	a.all[0].Address = netip.Prefix{} // as after a reboot of the host
	if now, err := p.network().read(t.Context(), "vboxnet0", networkInputs); err != nil || now != nil {
		t.Errorf("read finds it in order: %v, %v", now, err)
	}
	if _, _, err := p.ensureNetwork(t.Context(), networkInputs, quiet); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"create 192.168.56.1/24", "address vboxnet0 192.168.56.1/24"}, a.calls); d != "" {
		t.Error(d)
	}
}

func TestForeignNetwork(t *testing.T) {
	for name, tt := range map[string]struct {
		all  []vbox.HostOnly
		want string // part of the error; empty: it is used
	}{
		"fits":              {[]vbox.HostOnly{{Name: "vboxnet3", Address: prefix("192.168.56.1/24")}}, ""},
		"other address":     {[]vbox.HostOnly{{Name: "vboxnet3", Address: prefix("192.168.56.2/24")}}, `VBoxManage hostonlyif ipconfig "vboxnet3" --ip 192.168.56.1 --netmask 255.255.255.0`},
		"other prefix":      {[]vbox.HostOnly{{Name: "vboxnet3", Address: prefix("192.168.56.1/16")}}, "not made by labctl"},
		"two of one subnet": {[]vbox.HostOnly{{Name: "vboxnet3", Address: prefix("192.168.56.1/24")}, {Name: "vboxnet4", Address: prefix("192.168.56.1/24")}}, "both cover"},
	} {
		t.Run(name, func(t *testing.T) {
			a := &adapters{all: tt.all, extra: map[string]string{}}
			p := lab(t, t.TempDir(), "one", a)
			id, _, err := p.ensureNetwork(t.Context(), networkInputs, quiet)
			if tt.want == "" && (err != nil || id != "vboxnet3") {
				t.Errorf("%q, %v", id, err)
			}
			if tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("no %q in %v", tt.want, err)
			}
			if err := p.removeNetwork(t.Context(), "vboxnet3", networkInputs, quiet); err != nil {
				t.Error(err)
			}
			if len(a.calls) != 0 || len(a.extra) != 0 {
				t.Errorf("a foreign adapter was touched: %v %v", a.calls, a.extra)
			}
		})
	}
}

// TestNetworkOfAKilledRun: a run was killed after VirtualBox made the adapter and before labctl could record it.
func TestNetworkOfAKilledRun(t *testing.T) {
	const asked, untouched = "192.168.56.1/24", "192.168.57.1/24" // of the adapter with the number 1
	fresh := func(address string) vbox.HostOnly { return vbox.HostOnly{Name: "vboxnet1", Address: prefix(address)} }
	up := fresh(untouched)
	up.Up = true
	for name, tt := range map[string]struct {
		age     time.Duration
		fresh   vbox.HostOnly
		another bool // somebody made another adapter meanwhile
		used    bool // another lab has recorded it
		claimed bool
	}{
		"killed before it had its address": {time.Minute, fresh(untouched), false, false, true},
		"killed after it had its address":  {time.Minute, fresh(asked), false, false, true},
		"without an address":               {time.Minute, vbox.HostOnly{Name: "vboxnet1"}, false, false, true},
		"as Windows makes it":              {time.Minute, fresh("169.254.7.9/16"), false, false, true},
		"somebody's address":               {time.Minute, fresh("192.168.60.1/24"), false, false, false},
		"another's number":                 {time.Minute, fresh("192.168.58.1/24"), false, false, false},
		"somebody uses it":                 {time.Minute, up, false, false, false},
		"another lab's":                    {time.Minute, fresh(untouched), false, true, false},
		"too long ago":                     {2 * time.Hour, fresh(untouched), false, false, false},
		"which of the two?":                {time.Minute, fresh(untouched), true, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			a := &adapters{all: []vbox.HostOnly{{Name: "vboxnet0", Address: prefix("192.168.99.1/24")}}, extra: map[string]string{}}
			p := lab(t, t.TempDir(), "one", a)
			begun := time.Now()
			owner := killedCreating(t, p, a)
			a.all = append(a.all, tt.fresh)
			if tt.used {
				a.extra["global "+networkKey("vboxnet1")] = "two 0123456789abcdef"
			}
			if tt.another {
				a.all = append(a.all, vbox.HostOnly{Name: "vboxnet2", Address: prefix("192.168.58.1/24")})
			}
			p.o.Now = func() time.Time { return begun.Add(tt.age) }
			id, _, err := p.ensureNetwork(t.Context(), networkInputs, quiet)
			if err != nil {
				t.Fatal(err)
			}
			if claimed := id == "vboxnet1"; claimed != tt.claimed {
				t.Errorf("uses %q; calls %q", id, a.calls)
			}
			if !tt.claimed && slices.ContainsFunc(a.calls, func(c string) bool { return strings.Contains(c, "vboxnet1") }) {
				t.Errorf("an adapter that may be somebody else's was touched: %q", a.calls)
			}
			if _, left := a.extra["global "+pendingKey(owner)]; left {
				t.Error("the note of the creation was left behind")
			}
			if found, ok, err := p.network().find(t.Context(), networkInputs); err != nil || !ok || found != id {
				t.Errorf("find: %q, %v, %v", found, ok, err)
			}
		})
	}
}

// killedCreating leaves what a run of the lab leaves that is killed while it creates its adapter: a note. It returns the lab's mark.
func killedCreating(t *testing.T, p *Provider, a *adapters) (owner string) {
	t.Helper()
	owner, err := p.o.Folder.Owner()
	if err != nil {
		t.Fatal(err)
	}
	alive := *a
	alive.denied, alive.stays = errors.New("killed"), true // a note stays while there is an adapter that wasn't there before
	again := New(t.Context(), p.o)
	again.o.Hypervisor = &alive
	if _, _, err := again.ensureNetwork(t.Context(), networkInputs, quiet); err == nil {
		t.Fatal("it was not killed")
	}
	if _, noted := a.extra["global "+pendingKey(owner)]; !noted {
		t.Fatalf("it has noted nothing: %v", a.extra)
	}
	return owner
}

// The note of a creation that failed must not make the next adapter that somebody makes the lab's.
func TestNetworkThatCouldNotBeMade(t *testing.T) {
	for name, undo := range map[string]func(*Provider) error{
		"up again": func(*Provider) error { return nil },
		"destroy, and up again": func(p *Provider) error {
			owner, err := p.o.Folder.Owner()
			return errors.Join(err, p.RemoveNetworks(t.Context(), owner, quiet))
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := &adapters{extra: map[string]string{}, denied: vbox.ErrAccessDenied}
			p := lab(t, t.TempDir(), "one", a)
			if _, _, err := p.ensureNetwork(t.Context(), networkInputs, quiet); !errors.Is(err, vbox.ErrAccessDenied) {
				t.Fatal(err)
			}
			if len(a.extra) != 0 {
				t.Errorf("left behind: %v", a.extra)
			}
			if err := undo(p); err != nil {
				t.Fatal(err)
			}
			a.denied = nil
			a.all = []vbox.HostOnly{{Name: "vboxnet0", Address: prefix("192.168.56.1/24")}} // what the lab asked for, made by hand
			if id, _, err := p.ensureNetwork(t.Context(), networkInputs, quiet); err != nil || id != "vboxnet0" {
				t.Fatalf("%q, %v", id, err)
			}
			if err := p.removeNetwork(t.Context(), "vboxnet0", networkInputs, quiet); err != nil {
				t.Fatal(err)
			}
			if len(a.calls) != 0 || len(a.extra) != 0 {
				t.Errorf("a foreign adapter was touched: %v %v", a.calls, a.extra)
			}
		})
	}
}

// A destroy removes what a killed up was creating, and its note: the next lab of that name has another id.
func TestNetworkOfAKilledRunIsRemoved(t *testing.T) {
	for name, tt := range map[string]struct {
		made    []vbox.HostOnly
		removed []string
	}{
		"made":     {[]vbox.HostOnly{{Name: "vboxnet0", Address: prefix("192.168.56.1/24")}}, []string{"remove vboxnet0"}},
		"not made": {nil, nil},
		"foreign":  {[]vbox.HostOnly{{Name: "vboxnet0", Address: prefix("192.168.60.1/24")}}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			a := &adapters{extra: map[string]string{}}
			p := lab(t, t.TempDir(), "one", a)
			owner := killedCreating(t, p, a)
			a.all = tt.made
			if err := p.RemoveNetworks(t.Context(), owner, quiet); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tt.removed, a.calls); d != "" {
				t.Error(d)
			}
			if len(a.extra) != 0 {
				t.Errorf("left behind: %v", a.extra)
			}
		})
	}
}
