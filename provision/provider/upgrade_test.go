package provider

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
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

// Agents at work are changed one at a time, and after one that failed no other is; new agents don't wait.
func TestRolling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRolling()
		working := func() (bool, error) { return true, nil }
		none := func(string) {}
		first, err := r.turn(t.Context(), "w1", none, working)
		if err != nil {
			t.Fatal(err)
		}
		fresh, err := r.turn(t.Context(), "w4", none, func() (bool, error) { return false, nil })
		if err != nil {
			t.Fatal(err)
		}
		fresh(errors.New("a new agent that failed concerns no other"))

		told, got := "", make(chan error, 1)
		go func() {
			done, err := r.turn(t.Context(), "w2", func(s string) { told = s }, working)
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
		if _, err := r.turn(cancelled, "w3", none, working); !errors.Is(err, context.Canceled) {
			t.Errorf("interrupted while it waits: %v", err)
		}
		first(nil)
		if err := <-got; err != nil {
			t.Fatal(err)
		}
		if _, err := r.turn(t.Context(), "w3", none, working); err == nil || !strings.Contains(err.Error(), `"w3" was left as it is`) {
			t.Errorf("after an agent that failed: %v", err)
		}
	})
}
