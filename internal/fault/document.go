package fault

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/labctl/labctl/internal/config"
)

// Document is docs/faults.md: every fault with its commands in the built-in lab, and which checks it makes fail.
func Document() (string, error) {
	var s strings.Builder
	s.WriteString(`# Faults

Written from the faults' own declarations in internal/fault; a test compares the two, and another one breaks a simulated lab with every fault and finds
exactly the checks listed here failing, in each mode of kube-proxy.

` + "`labctl break FAULT`" + ` injects one, ` + "`labctl break --random`" + ` one that it does not name, ` + "`labctl fix`" + ` undoes what was injected. A word such as ` + "`$NIC`" + `
stands for the answer to the command beside "first". The commands are those for the built-in lab.
`)
	reached := map[string][]string{}
	for _, f := range Catalogue() {
		if err := f.document(&s); err != nil {
			return "", err
		}
		for _, ids := range f.Fails {
			for _, id := range ids {
				if !slices.Contains(reached[id], f.ID) {
					reached[id] = append(reached[id], f.ID)
				}
			}
		}
	}
	s.WriteString("\n## Which fault makes a check fail\n\n| check | faults |\n| --- | --- |\n")
	for _, id := range slices.Sorted(maps.Keys(reached)) {
		slices.Sort(reached[id])
		fmt.Fprintf(&s, "| %s | %s |\n", id, strings.Join(reached[id], ", "))
	}
	return s.String(), nil
}

func (f Fault) document(s *strings.Builder) error {
	fmt.Fprintf(s, "\n## %s\n\nWrong: %s. Exercise %s.\n\n%s\n", f.ID, f.Title, f.Exercise, f.Explanation)
	var told string
	for _, mode := range []config.ProxyMode{config.ProxyIPTables, config.ProxyIPVS} {
		ids, ok := f.Fails[mode]
		if !ok {
			fmt.Fprintf(s, "\n%s mode: not possible.\n", mode)
			continue
		}
		fmt.Fprintf(s, "\n%s mode fails: %s\n", mode, strings.Join(slices.Sorted(slices.Values(ids)), ", "))
		lab := config.Default()
		lab.K3s.KubeProxyMode = mode
		script, err := f.Script(lab)
		if err != nil {
			return err
		}
		if text := script.text(); text != told {
			s.WriteString("\n```text\n" + text + "```\n")
			told = text
		}
	}
	return nil
}

// text is the script for people, a line for each step.
func (s Script) text() string {
	var t strings.Builder
	for _, q := range s.Ask {
		fmt.Fprintf(&t, "first  %-10s  %s = %s\n", q.Where, q.Name, q.Command)
	}
	for _, part := range []struct {
		word    string
		actions []Action
	}{{"break", s.Break}, {"fix", s.Undo}} {
		for _, a := range part.actions {
			word := ""
			if a.Until {
				word = "until "
			}
			fmt.Fprintf(&t, "%-5s  %-10s  %s%s\n", part.word, a.Where, word, strings.ReplaceAll(a.String(), "\n", "\n       "))
		}
	}
	return strings.ReplaceAll(t.String(), "\n       \n", "\n")
}
