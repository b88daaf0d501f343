package k3s

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/labctl/labctl/internal/ssh"
)

// WaitSpread waits until what a manifest describes is available and, if it wants to be, spread over the nodes. nodes is how many there are.
func WaitSpread(ctx context.Context, server Runner, m Manifest, nodes int, step func(string)) error {
	if err := waitDemo(ctx, server, m, step); err != nil {
		return err
	}
	if err := spread(ctx, server, m, nodes, step); err != nil {
		return err
	}
	return waitDemo(ctx, server, m, step)
}

// spread brings a Deployment that wants its pods spread over the nodes back to that, when a node was made anew: Kubernetes
// heeds the wish when it places a pod and never moves one. It deletes the pods, and their successors are spread. A rolling
// restart would not do: it places new pods in view of the old ones. nodes is how many there are. Wait for the demo before and after.
func spread(ctx context.Context, server Runner, m Manifest, nodes int, step func(string)) error {
	wishes, err := m.spreads()
	if err != nil {
		return err
	}
	for _, w := range wishes {
		pods := ssh.Quote("pods", "-n", w.namespace, "-l", w.selector)
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

// spreads are the Deployments of a manifest that want to be spread over nodes.
func (m Manifest) spreads() ([]spreadWish, error) {
	objects, err := m.objects()
	if err != nil {
		return nil, err
	}
	var wishes []spreadWish
	for _, o := range objects {
		for _, c := range o.Spec.Template.Spec.Constraints {
			if o.Kind != "Deployment" || c.TopologyKey != "kubernetes.io/hostname" {
				continue
			}
			var labels []string
			for _, key := range slices.Sorted(maps.Keys(o.Spec.Selector.MatchLabels)) {
				labels = append(labels, key+"="+o.Spec.Selector.MatchLabels[key])
			}
			wishes = append(wishes, spreadWish{
				namespace: o.Metadata.Namespace, name: o.Metadata.Name, selector: strings.Join(labels, ","), maxSkew: c.MaxSkew,
			})
		}
	}
	return wishes, nil
}
