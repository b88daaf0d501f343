package main

import (
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/labctl/labctl/internal/sim"
)

// The binary of k3s comes to all nodes before the server starts with it: at first, and in an upgrade. It comes to each node once.
func TestBinaryComesToAllNodesAtOnce(t *testing.T) {
	s := newStage(t)
	lab := filepath.Join(s.dir, "newer.yaml")
	if err := os.WriteFile(lab, []byte("k3s: {version: v1.35.0+k3s1}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"up", "--to", "cluster"}, {"--lab", lab, "up", "--to", "cluster"}} {
		var mu sync.Mutex
		pushed, all := map[string]int{}, make(chan struct{})
		s.direct(func(e sim.Event) sim.Ruling {
			switch step := stepOf(e); {
			case step == "server: push k3s" && e.After, step == "agent: push k3s" && e.After:
				mu.Lock()
				defer mu.Unlock()
				if pushed[e.Where]++; len(pushed) == 3 && pushed[e.Where] == 1 {
					close(all)
				}
			case step == "server: start k3s" && !e.After:
				select {
				case <-all:
				case <-time.After(30 * time.Second):
					mu.Lock()
					t.Errorf("labctl %v: the server starts, and so far k3s came to %v", args, pushed)
					mu.Unlock()
				}
			}
			return sim.Ruling{}
		})
		s.must(args...)
		s.direct(nil)
		for node, times := range pushed {
			if times != 1 || len(pushed) != 3 {
				t.Errorf("labctl %v: k3s came to %s %d times, to %d nodes", args, node, times, len(pushed))
			}
		}
	}
}
