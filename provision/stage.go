package provision

import (
	"fmt"
	"slices"

	"github.com/labctl/labctl/internal/config"
)

// Stage is how far `up` goes.
type Stage string

// The stages of a lab, each of which needs the one before.
const (
	StageImage    Stage = "image"    // the image is in the cache and converted
	StageMachines Stage = "machines" // the machines run and answer over SSH
	StageCluster  Stage = "cluster"  // every node is Ready
	StageDemo     Stage = "demo"     // the demo runs
)

// stages lists the stages in order.
func stages() []Stage { return []Stage{StageImage, StageMachines, StageCluster, StageDemo} }

// ParseStage refuses a stage that doesn't exist.
func ParseStage(s string) (Stage, error) {
	if slices.Contains(stages(), Stage(s)) {
		return Stage(s), nil
	}
	return "", fmt.Errorf("unknown stage %q: use image, machines, cluster or demo", s)
}

// Upto names the resources of the lab up to and including stage, as TYPE::NAME; nil means all of them. What lies beyond is
// left as it is, so that a stage limits what is made and never deletes.
func Upto(l *config.Lab, stage Stage) []string {
	if stage == StageDemo {
		return nil
	}
	names := []string{typeImage + "::" + nameImage}
	if stage == StageImage {
		return names
	}
	names = append(names, typeNetwork+"::"+nameNetwork)
	for _, n := range l.Nodes {
		names = append(names, typeMachine+"::"+n.Name)
	}
	if stage == StageMachines {
		return names
	}
	for _, n := range l.Nodes {
		names = append(names, typeBinary+"::"+binaryName(n.Name))
	}
	if l.K3s.Airgap || len(l.K3s.Images) > 0 {
		for _, n := range l.Nodes {
			names = append(names, typeImages+"::"+imagesName(n.Name))
		}
	}
	names = append(names, typeServer+"::"+clusterName(l.Server().Name))
	for _, n := range l.Agents() {
		names = append(names, typeAgent+"::"+clusterName(n.Name))
	}
	return names
}

// Target names a resource as Upto does, from the last part of its type and its name.
func Target(kind, name string) string { return Package + ":index:" + kind + "::" + name }
