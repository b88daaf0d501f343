package sim

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Two processes that work on one folder see, and do not undo, each other's changes.
func TestTwoWorlds(t *testing.T) {
	l := newLab(t)
	l.cluster(1, correct)
	other := &lab{t: t, dir: l.dir, world: l.open(), user: l.user, userKey: l.userKey, hostKey: l.hostKey}
	var wait sync.WaitGroup
	for i := range 8 {
		w := []*lab{l, other}[i%2]
		wait.Go(func() {
			r, err := w.exec(0, fmt.Sprintf("sudo kubectl create namespace n%d && sudo modprobe %s", i, strings.Fields(kernelModules)[i]), "")
			if err != nil || r.exit != 0 {
				t.Errorf("exit %d, %v, %s", r.exit, err, r.err)
			}
		})
	}
	wait.Wait()
	for _, w := range []*lab{l, other} {
		got := w.run(0, "sudo kubectl get ns -o name; lsmod")
		for i := range 8 {
			if module := strings.Fields(kernelModules)[i]; !strings.Contains(got, fmt.Sprintf("namespace/n%d\n", i)) || !strings.Contains(got, "\n"+module+" ") {
				t.Errorf("namespace n%d or module %s is lost:\n%s", i, module, got)
			}
		}
	}
}

// What does not change is looked at once, however many ask.
func TestMomentIsShared(t *testing.T) {
	l := newLab(t)
	l.machine(0)
	l.up(0)
	first, err := l.world.look()
	if err != nil {
		t.Fatal(err)
	}
	first.lasts = time.Hour
	if again, err := l.world.look(); err != nil || again != first {
		t.Errorf("a second look was another one: %v", err)
	}
	if err := first.guest(first.guests[0].disk).update(func(st *guestState) { st.Modules = append(st.Modules, "overlay") }); err != nil {
		t.Fatal(err)
	}
	changed, err := l.world.look()
	if err != nil || changed == first || !slices.Contains(changed.guests[0].state.Modules, "overlay") {
		t.Errorf("a look after a change of a guest is an old one: %v", err)
	}
	changed.lasts = time.Hour
	l.vbox(func(s *vboxState) { s.machine("lab-cp1").StopsAt = time.Now() })
	if stopped, err := l.world.look(); err != nil || len(stopped.guests) != 0 {
		t.Errorf("a look after a change of a machine is an old one: %v", err)
	}
}
