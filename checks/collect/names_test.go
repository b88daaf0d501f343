package collect

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"mvdan.cc/sh/v3/syntax"

	"github.com/labctl/labctl/checks"
	"github.com/labctl/labctl/internal/config"
)

// FuzzNamesInCommands lets a hostile API server name the pods, namespaces and addresses that go into commands for root: every
// command is still one simple command of plain words.
func FuzzNamesInCommands(f *testing.F) {
	f.Add("x", "10.42.0.5", "10.43.1.2", "labctl")
	f.Add("x; reboot", "10.42.0.5; reboot", "$(reboot)", "labctl; reboot")
	f.Add("x", "fe80::1%$(reboot)", "10.43.1.2", "labctl")
	f.Add("-x", "1.2.3.4\n", "::1%$(reboot)", "")
	f.Fuzz(func(t *testing.T, name, podIP, clusterIP, namespace string) {
		lab := config.Default()
		var items []any
		for _, n := range lab.Nodes {
			items = append(items, map[string]any{
				"kind": "Pod", "metadata": map[string]any{"name": checks.ProbeDaemonSet + "-" + name, "namespace": namespace},
				"spec": map[string]any{"nodeName": n.Name, "containers": []any{map[string]any{"name": "c", "image": "i"}}},
				"status": map[string]any{"phase": "Running", "podIP": podIP, "podIPs": []any{map[string]any{"ip": podIP}},
					"conditions": []any{map[string]any{"type": "Ready", "status": "True"}}},
			})
		}
		for _, service := range []string{checks.WebService, checks.HelloService} {
			items = append(items, map[string]any{
				"kind": "Service", "metadata": map[string]any{"name": service, "namespace": map[bool]string{true: checks.WebNamespace, false: checks.HelloNamespace}[service == checks.WebService]},
				"spec": map[string]any{"type": "NodePort", "clusterIP": clusterIP, "ports": []any{map[string]any{"port": 80, "nodePort": 31885, "protocol": "TCP"}}},
			})
		}
		list, err := json.Marshal(map[string]any{"kind": "List", "items": items})
		if err != nil {
			t.Fatal(err)
		}
		facts := Parse(&Evidence{Lab: lab, Items: []Item{{Where: "cp1", Command: cmdCluster, Stdout: list}}})
		web, hello := targets(facts)
		batch := append(podBatch(facts, web), probeBatch(lab, lab.Server(), checks.NeedsOf(nil), web, hello)...)
		for _, c := range batch {
			plainWords(t, c.Text)
			if c.Pod != nil {
				for _, inner := range c.Pod.commands {
					plainWords(t, inner.text)
				}
			}
		}
		if name == "x" && namespace == "labctl" && podIP == "10.42.0.5" && clusterIP == "10.43.1.2" && len(batch) < 2*len(lab.Nodes)+2 {
			t.Errorf("only %d commands come of good names: this test reaches nothing", len(batch))
		}
	})
}

// plainWords fails unless a shell takes the line for one simple command whose words are text and quoted text.
func plainWords(t *testing.T, line string) {
	t.Helper()
	file, err := syntax.NewParser(syntax.Variant(syntax.LangPOSIX)).Parse(strings.NewReader(line), "")
	if err != nil || len(file.Stmts) != 1 {
		t.Fatalf("%q is no single command: %v", line, err)
	}
	s := file.Stmts[0]
	call, ok := s.Cmd.(*syntax.CallExpr)
	if !ok || len(s.Redirs) > 0 || s.Background || s.Negated || len(call.Assigns) > 0 {
		t.Fatalf("%q is no simple command", line)
	}
	for _, word := range call.Args {
		for _, part := range word.Parts {
			switch part.(type) {
			case *syntax.Lit, *syntax.SglQuoted:
			default:
				t.Fatalf("%q: %s", line, fmt.Sprintf("a word with a %T", part))
			}
		}
	}
}

// TestHostileClusterIP: the cluster names what is asked, but only inside its own service network.
func TestHostileClusterIP(t *testing.T) {
	for address, asked := range map[string]bool{"10.43.7.7": true, "169.254.169.254": false, "127.0.0.1": false, "192.168.56.1": false, "::1": false} {
		list := `{"kind":"List","items":[{"kind":"Service","metadata":{"name":"hello-svc","namespace":"default"},` +
			`"spec":{"type":"NodePort","clusterIP":"` + address + `","ports":[{"port":80,"nodePort":31885,"protocol":"TCP"}]}}]}`
		facts := Parse(&Evidence{Lab: config.Default(), Items: []Item{{Where: "cp1", Command: cmdCluster, Stdout: []byte(list)}}})
		if _, hello := targets(facts); hello.IsValid() != asked {
			t.Errorf("%s: %v", address, hello)
		}
	}
}
