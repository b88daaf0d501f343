// Package yaml reads the YAML files that people write for labctl, and says precisely what is wrong with them.
//
// It is the one importer of gopkg.in/yaml.v3 (archived upstream: library.go is the only file to change on the day it is
// replaced), and imports nothing of labctl.
//
//   - [Decode] is strict: unknown fields (with the nearest known one), duplicate fields, wrong types, several documents, anchors,
//     aliases and tags are problems, and all of them are reported at once, each as `FILE:LINE: message`. What can be decoded is,
//     so that the caller can go on and add what it finds wrong itself.
//   - [Marshal] writes.
//   - [Unmarshal] is lenient, for files that other programs write, such as kubeconfigs.
//
// An example:
//
//	settings := defaults()
//	positions, err := yaml.Decode("labctl.yaml", data, &settings)
//	if err != nil {
//		return err // labctl.yaml:3: unknown field "nmae": did you mean "name"?
//	}
//	if settings.CPUs < 1 {
//		return positions.Problem("cpus must be at least 1", "cpus")
//	}
package yaml
