package provider

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestRefuseVersion(t *testing.T) {
	on := func(machine, version string) props {
		return props{"name": "cp1", "machine": machine, "version": version}
	}
	for _, test := range []struct {
		name    string
		old, in props
		refused string // part of the way out; empty: it is not refused
	}{
		{"the same", on("m", "v1.34.3+k3s1"), on("m", "v1.34.3+k3s1"), ""},
		{"newer", on("m", "v1.34.3+k3s1"), on("m", "v1.35.0+k3s1"), ""},
		{"the last of the next minor version", on("m", "v1.34.3+k3s1"), on("m", "v1.35.12+k3s1"), ""},
		{"a minor version left out", on("m", "v1.34.3+k3s1"), on("m", "v1.36.0+k3s1"), "set k3s.version to a release of v1.35 first, or make the lab anew"},
		{"older", on("m", "v1.34.3+k3s1"), on("m", "v1.34.2+k3s1"), "set k3s.version to v1.34.3+k3s1 or newer, or make the lab anew"},
		{"an older build", on("m", "v1.34.3+k3s2"), on("m", "v1.34.3+k3s1"), "set k3s.version to v1.34.3+k3s2 or newer, or make the lab anew"},
		{"older, on a new machine", on("m", "v1.34.3+k3s1"), on("n", "v1.33.0+k3s1"), ""},
		{"much newer, on a new machine", on("m", "v1.30.3+k3s1"), on("n", "v1.34.0+k3s1"), ""},
		{"nothing before", props{}, on("m", "v1.33.0+k3s1"), ""},
	} {
		err := refuseVersion(test.old, test.in)
		if test.refused == "" && err != nil {
			t.Errorf("%s: %v", test.name, err)
		}
		if test.refused != "" && (!errors.Is(err, ErrUpgrade) || !strings.Contains(err.Error(), `"cp1"`) || !strings.Contains(err.Error(), test.refused)) {
			t.Errorf("%s: %v, want %q", test.name, err, test.refused)
		}
	}
}

// Agents at work are changed one at a time, and after one that failed no other is.
func TestRolling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRolling()
		free := func(context.Context) error { return nil }
		none := func(string) {}
		first, err := r.turn(t.Context(), "w1", time.Minute, none, free)
		if err != nil {
			t.Fatal(err)
		}
		told, got := "", make(chan error, 1)
		go func() {
			done, err := r.turn(t.Context(), "w2", time.Minute, func(s string) { told = s }, free)
			if err == nil {
				done(errors.New("not Ready"))
			}
			got <- err
		}()
		synctest.Wait()
		select {
		case <-got:
			t.Fatal("two agents had the turn")
		default:
		}
		if !strings.Contains(told, "one by one") {
			t.Errorf("the one that waits says %q", told)
		}
		cancelled, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := r.turn(cancelled, "w3", time.Minute, none, free); !errors.Is(err, context.Canceled) {
			t.Errorf("interrupted while it waits: %v", err)
		}
		first(nil)
		if err := <-got; err != nil {
			t.Fatal(err)
		}
		if _, err := r.turn(t.Context(), "w3", time.Minute, none, free); err == nil || !strings.Contains(err.Error(), `"w3" was left as it is`) {
			t.Errorf("after an agent that failed: %v", err)
		}
	})
}

// An agent that is at work lets the one that is not go first, however long that takes, and does not wait for ever for one that nobody changes.
func TestRollingLetsTheBrokenGoFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const limit = time.Minute
		r := newRolling()
		var mu sync.Mutex
		var order, told []string
		broken := true
		lost := errors.New(`node "w1" is not Ready`)
		whole := func(context.Context) error {
			mu.Lock()
			defer mu.Unlock()
			if broken {
				return lost
			}
			return nil
		}
		got := make(chan error, 2)
		go func() {
			done, err := r.turn(t.Context(), "w2", limit, func(s string) { told = append(told, s) }, whole)
			if err == nil {
				mu.Lock()
				order = append(order, "w2")
				mu.Unlock()
				done(nil)
			}
			got <- err
		}()
		<-time.After(limit / 2) // w1 comes late
		go func() {
			done, err := r.turn(t.Context(), "w1", limit, func(string) {}, func(context.Context) error { return nil })
			if err == nil {
				<-time.After(2 * limit)
				mu.Lock()
				order, broken = append(order, "w1"), false
				mu.Unlock()
				done(nil)
			}
			got <- err
		}()
		if err := errors.Join(<-got, <-got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"w1", "w2"}, order); diff != "" {
			t.Errorf("order (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]string{`waiting with the change: node "w1" is not Ready`, "waiting for its turn: agents are changed one by one"}, told); diff != "" {
			t.Errorf("told (-want +got):\n%s", diff)
		}

		broken = true
		began := time.Now()
		_, err := r.turn(t.Context(), "w2", limit, func(string) {}, whole)
		if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, lost) || !strings.Contains(err.Error(), `"w2" was left as it is`) {
			t.Errorf("nobody mends w1: %v", err)
		}
		if took := time.Since(began); took > 2*limit {
			t.Errorf("it waited %s", took)
		}
		interrupted, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := r.turn(interrupted, "w2", limit, func(string) {}, whole); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, lost) {
			t.Errorf("interrupted while it waits: %v", err)
		}
		broken = false
		done, err := r.turn(t.Context(), "w2", limit, func(string) {}, whole)
		if err != nil {
			t.Fatalf("the turn was not given back: %v", err)
		}
		done(nil)
	})
}
