package config

import (
	_ "embed"
	"errors"
	"fmt"
	"strings"

	"github.com/labctl/labctl/internal/yaml"
)

//go:embed template.yaml
var template string

// Template returns the commented labctl.yaml for `labctl init`. It parses to Default.
func Template() []byte { return []byte(template) }

// Marshal writes a lab with all its values. Parse reads an equal lab back.
func Marshal(lab *Lab) ([]byte, error) {
	data, err := yaml.Marshal(lab)
	if err != nil {
		return nil, fmt.Errorf("writing the configuration of lab %q: %w", lab.Name, err)
	}
	return data, nil
}

// Parse reads labctl.yaml, which came from file, and fills in what it leaves out. An empty file is Default. The error is
// yaml.Problems: everything that is wrong, each `FILE:LINE: …`.
func Parse(file string, data []byte) (*Lab, error) {
	lab := Default()
	pos, err := yaml.Decode(file, data, lab)
	var problems yaml.Problems
	if err != nil && (pos == nil || !errors.As(err, &problems)) {
		return nil, err
	}
	fillIn(lab, pos)
	problems = append(problems, validate(lab, pos)...)
	if len(problems) > 0 {
		return nil, problems.Sorted()
	}
	return lab, nil
}

// fillIn gives the values that depend on other ones.
func fillIn(lab *Lab, pos *yaml.Positions) {
	lab.Image.SHA256 = strings.TrimPrefix(lab.Image.SHA256, "sha256:")
	if cidr := lab.Network.CIDR; pos.Has("network", "cidr") && isNetwork(cidr) {
		if !pos.Has("network", "host") {
			lab.Network.Host = nth(cidr, 1)
		}
		if !pos.Has("nodes") {
			first := 10
			if addresses(cidr) < 16 {
				first = 2
			}
			for i := range lab.Nodes {
				lab.Nodes[i].Address = nth(cidr, first+i)
			}
		}
	}
	// What is empty is left out when a lab is written.
	if len(lab.K3s.Images) == 0 {
		lab.K3s.Images = nil
	}
	if len(lab.Proxy.NoProxy) == 0 {
		lab.Proxy.NoProxy = nil
	}
	for name, m := range lab.Registries.Mirrors {
		if len(m.Endpoint) == 0 {
			m.Endpoint = nil
			lab.Registries.Mirrors[name] = m
		}
	}
	if !pos.Has("proxy", "https") {
		lab.Proxy.HTTPS = lab.Proxy.HTTP
	}
	for i := range lab.Nodes {
		n := &lab.Nodes[i]
		d := defaultSize(n.Role)
		if !pos.Has("nodes", i, "cpus") {
			n.CPUs = d.cpus
		}
		if !pos.Has("nodes", i, "memoryMiB") {
			n.MemoryMiB = d.memoryMiB
		}
	}
}

type size struct{ cpus, memoryMiB int }

func defaultSize(r Role) size {
	if r == RoleServer {
		return size{2, 2048}
	}
	return size{1, 1536}
}

// minimumSize returns what k3s asks for: https://docs.k3s.io/installation/requirements#hardware
func minimumSize(r Role) size {
	if r == RoleServer {
		return size{2, 2048}
	}
	return size{1, 512}
}
