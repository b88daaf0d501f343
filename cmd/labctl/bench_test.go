package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// benchChecks are those that the goal for verify's time is about: addresses, routes, nodes, the pod network, ClusterIPs, NodePorts, web.
const benchChecks = "net.nics,net.nat-address,net.host-only-address,net.default-route,net.host-only-route,cluster.ready,net.internal-ip," +
	"net.internal-ip-unique,pod.cidr,pod.routes,net.flannel-public-ip,svc.cluster-ip,svc.virtual,svc.from-nodes,svc.isolated," +
	"nodeport.answers,demo.web"

// benchProgram is the program that is measured, as people run it: from its start to its end. `make bench` builds it.
const benchProgram = "../../bin/labctl"

// cost is what one run of labctl takes. On a machine that is busy with other things the processor's time says more than the clock.
type cost struct{ wall, cpu time.Duration }

// BenchmarkLab measures labctl on simulated labs of 3 and of 50 nodes, all in one run so that the ratios mean something on a
// machine that is busy with other things. It prints a table; run it with `make bench`.
func BenchmarkLab(b *testing.B) {
	const rounds = 5
	program, err := filepath.Abs(benchProgram)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := os.Stat(program); err != nil {
		b.Fatalf("%v; make bench builds it first", err)
	}
	columns := []string{"start", "first up", "no-op up", "verify", "verify all"}
	sizes := []int{3, 50}
	var rows [][]cost
	for b.Loop() {
		rows = nil
		labs := make([]func(args ...string) cost, len(sizes))
		for i, nodes := range sizes {
			dir := b.TempDir()
			file := filepath.Join(dir, "labctl.yaml")
			if err := os.WriteFile(file, []byte(benchLab(nodes)), 0o600); err != nil {
				b.Fatal(err)
			}
			labs[i] = func(args ...string) cost {
				var out bytes.Buffer
				c := exec.CommandContext(b.Context(), program, append([]string{"--simulate", "--lab", file}, args...)...)
				c.Env = append(os.Environ(), "XDG_DATA_HOME="+filepath.Join(dir, "data"), "XDG_CACHE_HOME="+filepath.Join(dir, "cache"))
				c.Stdout, c.Stderr = &out, &out
				begun := time.Now()
				if err := c.Run(); err != nil {
					b.Fatalf("labctl %v: %v\n%s", args, err, out.String())
				}
				return cost{time.Since(begun), c.ProcessState.UserTime() + c.ProcessState.SystemTime()}
			}
			rows = append(rows, []cost{{}, labs[i]("up")})
		}
		// Both labs take turns, so that what else the machine does meets both.
		measured := make([][][]cost, len(sizes))
		commands := [][]string{{"version"}, {"up"}, {"verify", "--only", benchChecks}, {"verify"}}
		for i := range measured {
			measured[i] = make([][]cost, len(commands))
		}
		for range rounds {
			for k, args := range commands {
				for i := range sizes {
					measured[i][k] = append(measured[i][k], labs[i](args...))
				}
			}
		}
		for i := range sizes {
			rows[i][0] = median(measured[i][0])
			for _, m := range measured[i][1:] {
				rows[i] = append(rows[i], median(m))
			}
		}
	}
	fmt.Printf("\n%-8s", "nodes")
	for _, c := range columns {
		fmt.Printf(" %18s", c)
	}
	fmt.Println("      (processor time in brackets)")
	for i, r := range rows {
		fmt.Printf("%-8d", sizes[i])
		for _, c := range r {
			fmt.Printf(" %18s", fmt.Sprintf("%s (%s)", round(c.wall), round(c.cpu)))
		}
		fmt.Println()
	}
	small, large := rows[0], rows[1]
	fmt.Printf("%-8s", "ratio")
	for i := range columns {
		fmt.Printf(" %18s", fmt.Sprintf("%.1f (%.1f)", ratio(large[i].wall, small[i].wall), ratio(large[i].cpu, small[i].cpu)))
	}
	fmt.Printf("\n\nverify is that of %d checks, verify all that of the whole catalogue; start is labctl version\n", strings.Count(benchChecks, ",")+1)
	waits := simulatedWaits
	fmt.Printf("first up of 3 nodes: %s, of which the simulated machines' own waits %s, labctl %s\n",
		round(small[1].wall), round(waits), round(small[1].wall-waits))
}

func round(d time.Duration) time.Duration { return d.Round(10 * time.Millisecond) }
func ratio(a, b time.Duration) float64    { return float64(a) / float64(b) }

// median takes the median of each kind of time.
func median(all []cost) cost {
	of := func(pick func(cost) time.Duration) time.Duration {
		times := make([]time.Duration, len(all))
		for i, c := range all {
			times[i] = pick(c)
		}
		slices.Sort(times)
		return times[len(times)/2]
	}
	return cost{of(func(c cost) time.Duration { return c.wall }), of(func(c cost) time.Duration { return c.cpu })}
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
