package provider

import (
	"context"
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
}

func (a *adapters) HostOnlyNetworks(context.Context) ([]vbox.HostOnly, error) { return a.all, nil }

func (a *adapters) CreateHostOnly(_ context.Context, want netip.Prefix) (vbox.HostOnly, error) {
	n := vbox.HostOnly{Name: fmt.Sprintf("vboxnet%d", len(a.all)), Address: want}
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
	for name, tt := range map[string]struct {
		age     time.Duration
		foreign bool // somebody made another adapter meanwhile
		claimed bool
	}{
		"claimed":           {time.Minute, false, true},
		"too long ago":      {2 * time.Hour, false, false},
		"which of the two?": {time.Minute, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			a := &adapters{all: []vbox.HostOnly{{Name: "vboxnet0", Address: prefix("192.168.99.1/24")}}, extra: map[string]string{}}
			p := lab(t, t.TempDir(), "one", a)
			begun := time.Now()
			a.extra["global "+p.pendingKey()] = fmt.Sprintf("%d vboxnet0", begun.Unix())
			a.all = append(a.all, vbox.HostOnly{Name: "vboxnet1", Address: prefix("192.168.57.1/24")})
			if tt.foreign {
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
			if _, left := a.extra["global "+p.pendingKey()]; left {
				t.Error("the note of the creation was left behind")
			}
			if found, ok, err := p.network().find(t.Context(), networkInputs); err != nil || !ok || found != id {
				t.Errorf("find: %q, %v, %v", found, ok, err)
			}
		})
	}
}
