package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// BenchmarkLab measures labctl on simulated labs of 3 and of 50 nodes, all in one run so that the ratios mean something on a
// machine that is busy with other things. It prints a table; run it with `make bench`.
func BenchmarkLab(b *testing.B) {
	const rounds = 5
	type row struct {
		nodes            int
		up, noop, verify time.Duration
	}
	var rows []row
	for b.Loop() {
		rows = nil
		for _, nodes := range []int{3, 50} {
			dir := b.TempDir()
			file := filepath.Join(dir, "labctl.yaml")
			if err := os.WriteFile(file, []byte(benchLab(nodes)), 0o600); err != nil {
				b.Fatal(err)
			}
			env := func(key string) string {
				switch key {
				case "XDG_DATA_HOME", "XDG_CACHE_HOME":
					return filepath.Join(dir, key)
				}
				return ""
			}
			run := func(args ...string) time.Duration {
				var out, errs bytes.Buffer
				a := newApp(strings.NewReader(""), &out, &errs, env)
				begun := time.Now()
				if status := a.run(b.Context(), append([]string{"--simulate", "--lab", file}, args...)); status != exitOK {
					b.Fatalf("labctl %v: status %d\n%s\n%s", args, status, out.String(), errs.String())
				}
				return time.Since(begun)
			}
			r := row{nodes: nodes, up: run("up")}
			r.noop = median(rounds, func() time.Duration { return run("up") })
			r.verify = median(rounds, func() time.Duration { return run("verify") })
			rows = append(rows, r)
		}
	}
	fmt.Printf("\n%-8s %10s %12s %10s\n", "nodes", "first up", "no-op up", "verify")
	for _, r := range rows {
		fmt.Printf("%-8d %10s %12s %10s\n", r.nodes, round(r.up), round(r.noop), round(r.verify))
	}
	small, large := rows[0], rows[1]
	fmt.Printf("%-8s %10.1f %12.1f %10.1f\n", "ratio", ratio(large.up, small.up), ratio(large.noop, small.noop), ratio(large.verify, small.verify))
	waits := simulatedWaits
	fmt.Printf("\nfirst up of 3 nodes: %s, of which the simulated machines' own waits %s, labctl %s\n",
		round(small.up), round(waits), round(small.up-waits))
}

func round(d time.Duration) time.Duration { return d.Round(10 * time.Millisecond) }
func ratio(a, b time.Duration) float64    { return float64(a) / float64(b) }

func median(rounds int, f func() time.Duration) time.Duration {
	var all []time.Duration
	for range rounds {
		all = append(all, f())
	}
	slices.Sort(all)
	return all[len(all)/2]
}

// benchLab is a lab of that many nodes.
func benchLab(nodes int) string {
	var s strings.Builder
	s.WriteString("nodes:\n  - {name: cp1, role: server, address: 192.168.56.10}\n")
	for i := 1; i < nodes; i++ {
		fmt.Fprintf(&s, "  - {name: w%d, role: agent, address: 192.168.56.%d, memoryMiB: 512}\n", i, 10+i)
	}
	return s.String()
}

// simulatedWaits is what the simulated machines wait by themselves on the way of a first up: boot, the server's start, the
// agents', the pods'.
const simulatedWaits = 800*time.Millisecond + 2*400*time.Millisecond + 300*time.Millisecond
