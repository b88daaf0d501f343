package k3s

import (
	"fmt"
	"strings"

	"github.com/labctl/labctl/internal/yaml"
)

// manifestObject is as much as is asked for of an object in a manifest.
type manifestObject struct {
	Kind     string `yaml:"kind"`
	Metadata struct {
		Name      string `yaml:"name"`
		Namespace string `yaml:"namespace"` // "default" where the manifest has none
	} `yaml:"metadata"`
	Spec struct { // of a Deployment
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

// objects are those of a manifest, one a document. An empty document is none.
func (m Manifest) objects() ([]manifestObject, error) {
	var found []manifestObject
	for i, document := range strings.Split("\n"+string(m.YAML), "\n---\n") {
		var o manifestObject
		if err := yaml.Unmarshal([]byte(document), &o); err != nil {
			return nil, fmt.Errorf("manifest %q, document %d: %w", m.Name, i+1, err)
		}
		if o.Kind == "" {
			continue
		}
		if o.Metadata.Namespace == "" {
			o.Metadata.Namespace = "default"
		}
		found = append(found, o)
	}
	return found, nil
}

// workloads are a manifest's Deployments and DaemonSets, and Traefik if there is an Ingress for it: k3s installs it by a job of its own,
// which may take longer than the demo's pods do to start.
func (m Manifest) workloads() ([]objectName, error) {
	objects, err := m.objects()
	if err != nil {
		return nil, err
	}
	var found []objectName
	for _, o := range objects {
		switch o.Kind {
		case "Deployment", "DaemonSet":
			found = append(found, objectName{o.Kind, o.Metadata.Namespace, o.Metadata.Name})
		case "Ingress":
			found = append(found, objectName{"Deployment", "kube-system", "traefik"})
		}
	}
	return found, nil
}
