package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

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

// The columns hold together, however long a name is.
func TestStatusColumns(t *testing.T) {
	t.Parallel()
	var out, errs bytes.Buffer
	s := &session{app: newApp(strings.NewReader(""), &out, &errs, func(string) string { return "" })}
	node := func(name string) nodeStatus {
		return nodeStatus{nodeSummary: nodeSummary{Name: name, Role: "agent", Address: "192.168.56.11"}, Machine: "running", SSH: "ok", Node: "Ready"}
	}
	s.printStatus(statusSummary{Lab: "lab", Folder: "/labs/lab", Nodes: []nodeStatus{node("w1"), node("a-worker-with-a-long-name")}})
	want := `lab "lab" in /labs/lab
NODE                        ROLE    ADDRESS         MACHINE   K8S     SSH
w1                          agent   192.168.56.11   running   Ready   ok
a-worker-with-a-long-name   agent   192.168.56.11   running   Ready   ok
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
