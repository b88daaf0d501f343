package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/labctl/labctl/internal/sim"
)

// TestStatusWithoutAnswers: where VirtualBox does not say how it is with a machine, or whose it is, status says so and does not exit as if
// all were seen.
func TestStatusWithoutAnswers(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	file := filepath.Join(s.dir, "one.yaml")
	if err := os.WriteFile(file, []byte(oneNode), 0o600); err != nil {
		t.Fatal(err)
	}
	s.must("--lab", file, "up", "--to", "machines")
	for _, step := range []string{"VBoxManage showvminfo VM --machinereadable", "VBoxManage getextradata VM labctl/lab"} {
		s.direct(func(e sim.Event) sim.Ruling {
			if stepOf(e) != step {
				return sim.Ruling{}
			}
			return sim.Ruling{Do: sim.Fail, Exit: 1, Stderr: "VBoxManage: error: it does not answer\n"}
		})
		status, out, errs := s.run("--lab", file, "status", "-o", "json")
		var sum statusSummary
		if err := json.Unmarshal([]byte(out), &sum); err != nil || len(sum.Nodes) != 1 || sum.Nodes[0].Machine != "unknown" || !strings.Contains(sum.Nodes[0].SSH, "it does not answer") {
			t.Errorf("%s fails: %v in\n%s", step, err, out)
		}
		if status != exitUnable || !strings.Contains(errs, "VirtualBox does not say how it is with lab-cp1") {
			t.Errorf("%s fails: status %d\n%s", step, status, errs)
		}
	}
	s.direct(nil)
	s.must("--lab", file, "status")
}
