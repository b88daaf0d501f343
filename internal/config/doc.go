// Package config knows labctl.yaml: its types, its defaults, how it is read and what is refused.
// It imports nothing of labctl but internal/yaml.
//
// [Parse] reads a file strictly, fills in what it leaves out, and reports everything that is wrong with it at once, one line each:
// what is wrong, where, and the way out. A Lab that Parse returned without an error can be built: no other package checks it again.
// [Template] is the commented file that `labctl init` writes; it parses to [Default]. [Marshal] writes a resolved lab,
// which parses back to an equal one.
//
//	lab, err := config.Parse("labctl.yaml", data)
//	if err != nil {
//		return err // labctl.yaml:7: nodes[1].address 192.168.57.11 is outside network.cidr 192.168.56.0/24
//	}
//	lab.Server().Address // 192.168.56.10
//
// What a file may leave out, and what it then gets:
//
//   - every field that the built-in lab has keeps the built-in value, group by group;
//   - network.host is the first address of network.cidr;
//   - without `nodes`, the built-in nodes take the addresses 10, 11 and 12 of network.cidr (2, 3 and 4 of a small one); with `nodes`, the file's list is the
//     whole list, and its cpus and memoryMiB default by role;
//   - image.sha256 must be given with another image.url: the built-in checksum is the built-in image's. sha256: before it is dropped.
package config
