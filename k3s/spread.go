package k3s

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/labctl/labctl/internal/yaml"
)

// WaitSpread waits until what a manifest describes is available and, if it wants to be, spread over the nodes. nodes is how many there are.
func WaitSpread(ctx context.Context, server Runner, m Manifest, nodes int, step func(string)) error {
	if err := WaitDemo(ctx, server, m, step); err != nil {
		return err
	}
	if err := Spread(ctx, server, m, nodes, step); err != nil {
		return err
	}
	return WaitDemo(ctx, server, m, step)
}

// Spread brings a Deployment that wants its pods spread over the nodes back to that, when a node was made anew: Kubernetes
// heeds the wish when it places a pod and never moves one. It deletes the pods, and their successors are spread. A rolling
// restart would not do: it places new pods in view of the old ones. nodes is how many there are. Wait for the demo before and after.
func Spread(ctx context.Context, server Runner, m Manifest, nodes int, step func(string)) error {
	wishes, err := spreads(m)
	if err != nil {
		return err
	}
	for _, w := range wishes {
		pods := fmt.Sprintf("pods -n %s -l %s", quote(w.namespace), quote(w.selector))
		err := until(ctx, step, fmt.Sprintf("looking where the pods of %q run", w.name), func(ctx context.Context) error {
			var list objectList
			if err := get(ctx, server, pods, &list); err != nil {
				return err
			}
			if list.skew(nodes) <= w.maxSkew {
				return nil
			}
			step(fmt.Sprintf("spreading the pods of %q over the nodes", w.name))
			_, err := server.Run(ctx, kubectl+"delete --wait=false "+pods, nil)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// skew is by how many pods the fullest node is ahead of the emptiest.
func (l objectList) skew(nodes int) int {
	on := map[string]int{}
	for _, o := range l.Items {
		if o.Spec.NodeName != "" {
			on[o.Spec.NodeName]++
		}
	}
	counts := slices.Sorted(maps.Values(on))
	if len(counts) == 0 {
		return 0
	}
	fewest := counts[0]
	if len(counts) < nodes {
		fewest = 0
	}
	return counts[len(counts)-1] - fewest
}

// spreadWish is a Deployment's topologySpreadConstraint over nodes.
type spreadWish struct {
	namespace, name, selector string
	maxSkew                   int
}

// spreads finds the Deployments of a manifest that want to be spread over nodes.
func spreads(m Manifest) ([]spreadWish, error) {
	var wishes []spreadWish
	for i, document := range strings.Split("\n"+string(m.YAML), "\n---\n") {
		var d struct {
			Kind     string `yaml:"kind"`
			Metadata struct {
				Name      string `yaml:"name"`
				Namespace string `yaml:"namespace"`
			} `yaml:"metadata"`
			Spec struct {
				Selector struct {
					MatchLabels map[string]string `yaml:"matchLabels"`
				} `yaml:"selector"`
				Template struct {
					Spec struct {
						Constraints []struct {
							MaxSkew     int    `yaml:"maxSkew"`
							TopologyKey string `yaml:"topologyKey"`
						} `yaml:"topologySpreadConstraints"`
					} `yaml:"spec"`
				} `yaml:"template"`
			} `yaml:"spec"`
		}
		if err := yaml.Unmarshal([]byte(document), &d); err != nil {
			return nil, fmt.Errorf("manifest %q, document %d: %w", m.Name, i+1, err)
		}
		for _, c := range d.Spec.Template.Spec.Constraints {
			if d.Kind != "Deployment" || c.TopologyKey != "kubernetes.io/hostname" {
				continue
			}
			w := spreadWish{namespace: d.Metadata.Namespace, name: d.Metadata.Name, maxSkew: c.MaxSkew}
			if w.namespace == "" {
				w.namespace = "default"
			}
			var labels []string
			for _, key := range slices.Sorted(maps.Keys(d.Spec.Selector.MatchLabels)) {
				labels = append(labels, key+"="+d.Spec.Selector.MatchLabels[key])
			}
			w.selector = strings.Join(labels, ",")
			wishes = append(wishes, w)
		}
	}
	return wishes, nil
}
