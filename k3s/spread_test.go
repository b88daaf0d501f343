package k3s

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/labctl/labctl/internal/config"
)

// placed is a cluster whose hello pods run on these nodes. It answers the two commands that spread sends.
type placed struct {
	nodes   []string
	deleted []string
}

func (p *placed) Run(_ context.Context, command string, _ io.Reader) ([]byte, error) {
	const pods = "pods -n default -l app=hello"
	switch command {
	case kubectl + "get " + pods + " -o json":
		var items []string
		for _, n := range p.nodes {
			items = append(items, fmt.Sprintf(`{"kind":"Pod","spec":{"nodeName":%q}}`, n))
		}
		return []byte(`{"items":[` + strings.Join(items, ",") + `]}`), nil
	case kubectl + "delete --wait=false " + pods:
		p.deleted = append(p.deleted, command)
		return nil, nil
	}
	return nil, fmt.Errorf("unknown command %q", command)
}

func TestSpread(t *testing.T) {
	for name, tt := range map[string]struct {
		nodes   []string
		deletes int
	}{
		"even":              {[]string{"cp1", "cp1", "w1", "w1", "w2", "w2"}, 0},
		"one ahead":         {[]string{"cp1", "cp1", "cp1", "w1", "w1", "w2", "w2"}, 0},
		"a node has none":   {[]string{"cp1", "cp1", "cp1", "w1", "w1", "w1"}, 1},
		"a node has little": {[]string{"cp1", "cp1", "cp1", "w1", "w1", "w2"}, 1},
		"all on one node":   {[]string{"cp1", "cp1", "cp1", "cp1", "cp1", "cp1"}, 1},
		"no pods":           {nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			p := &placed{nodes: tt.nodes}
			for _, m := range Manifests(config.Default()) {
				if err := spread(t.Context(), p, m, 3, func(string) {}); err != nil {
					t.Fatal(err)
				}
			}
			if d := cmp.Diff(tt.deletes, len(p.deleted)); d != "" {
				t.Error(d)
			}
		})
	}
}
