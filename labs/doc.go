// Package labs holds the numbered exercises: one Markdown file each, NN-name.md, whose front matter says which checks belong to it.
//
// It imports internal/config and internal/yaml only. The IDs of the checks are the caller's, so that an exercise that names an unknown
// one is refused.
//
//	exercises, err := labs.List(ids)          // of checks.Catalogue()
//	exercise, err := labs.Get(exercises, "2") // or 02
//	rendered, err := labs.Render(exercise, lab)
//	fmt.Println(rendered.Body)
//
// An exercise is written like this; what stands in {{ }} is a text/template over the lab's configuration, see [Render]:
//
//	---
//	number: 02
//	title: INTERNAL-IP
//	goal: You know which of its addresses a node is known by, and why.
//	needs: cluster
//	checks: [net.internal-ip]
//	hints:
//	  - Look at the column INTERNAL-IP.
//	  - Every node must have its own address of {{.Network.CIDR}} there.
//	---
//	## In plain words
//
//	{{.Server.Name}} has two addresses …
package labs
