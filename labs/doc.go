// Package labs holds the numbered exercises. NN-name.md is an exercise: its front matter says which checks and faults belong to it, and has
// its titles and hints in every language; below stands the English text. ko/NN-name.md is the Korean text.
//
// It imports internal/config and internal/yaml only. The IDs of the checks and the names of the faults are the caller's, so that an
// exercise that names an unknown one is refused.
//
//	exercises, err := labs.List(labs.Known{Checks: ids, Faults: names})
//	exercise, err := labs.Get(exercises, "2") // or 02
//	page, err := labs.Render(exercise, labs.Korean, lab)
//	fmt.Println(page.Body)
//
// # How an exercise is written
//
// What stands in {{ }} is a text/template over the lab's configuration, see [Render].
//
//	---
//	number: 02
//	title: {en: INTERNAL-IP, ko: INTERNAL-IP}
//	goal:
//	  en: You know which of its addresses a node is known by, and why.
//	  ko: …
//	needs: cluster
//	checks: [net.internal-ip]
//	faults: []
//	hints:
//	  - en: Look at the column INTERNAL-IP.
//	    ko: …
//	---
//	## In plain words
//
//	{{.Server.Name}} has two addresses …
//
//	```console nodes
//	{{.OnServer}} kubectl get nodes
//	NAME   STATUS   …
//	```
//
// A fenced block has a kind and a name. What is typed and printed must be the same in both languages, so it is written once: the Korean
// text has an empty block with the name (```nodes) where the block belongs, and must have all of them in the same order.
//
// A block of the kind console is typed by a test of cmd/labctl on a simulated lab, line by line where a line begins with a prompt ("$ " on
// this computer, {{.OnServer}} or {{.OnWorker}} on a node), and what is printed must be what stands below it. All that an
// exercise has typed on a node is typed into one login there, which remembers variables. A line "..." stands for any
// number of lines, "..." at the end of a line for its rest. Ages, generated names and drawn addresses may differ. A block of the kind yaml
// is a labctl.yaml to write. A block of the kind text is not run: it is for what a simulated lab cannot do, such as changing the routes of
// the reader's own computer. [Steps] is this list of things to do.
package labs
