package checks

import "strings"

// Problem is something that keeps many checks from a verdict at once: a node that does not answer, a cluster that is not there.
type Problem struct {
	What   string   // "w1, w2: the machines are off"
	Detail []string // what was seen, line by line
	Next   string   // the command of labctl to type: "start"
	Told   []string // the lines by which unknown verdicts tell of it
}

// problems gathers what the verdicts would all repeat.
func (f Facts) problems() []Problem {
	off, silent := Problem{Next: "start"}, Problem{Next: "status"}
	var offNames, silentNames []string
	for _, n := range f.Lab.Nodes {
		facts := f.Nodes[n.Name]
		switch {
		case facts.Problem == "":
		case facts.Off:
			offNames = append(offNames, n.Name)
			off.Told = append(off.Told, facts.Problem)
		default:
			silentNames = append(silentNames, n.Name)
			silent.Told = append(silent.Told, facts.Problem)
			silent.Detail = append(silent.Detail, facts.Detail)
		}
	}
	var all []Problem
	if len(offNames) > 0 {
		off.What = strings.Join(offNames, ", ") + ": " + plural(offNames, "the machine is off", "the machines are off")
		all = append(all, off)
	}
	if len(silentNames) > 0 {
		silent.What = strings.Join(silentNames, ", ") + ": " + plural(silentNames, "the node does not answer", "the nodes do not answer")
		all = append(all, silent)
	}
	server := f.Lab.Server().Name
	if nodes := f.Cluster.Nodes; !nodes.Known && f.Nodes[server].Problem == "" && nodes.From.Command == CommandNodes && strings.Contains(nodes.Why, "exit status") {
		p := Problem{What: server + ": the cluster does not answer", Detail: []string{nodes.Why}, Next: "logs " + server, Told: []string{nodes.Why}}
		if strings.Contains(nodes.Why, "exit status 127") { // the shell's: there is no such program
			p.What, p.Next = server+": k3s is not there", "up"
		}
		all = append(all, p)
	}
	return all
}

func plural(names []string, one, many string) string {
	if len(names) == 1 {
		return one
	}
	return many
}

// nothingAnswers says whether nothing at all was heard of the cluster: then what does not answer is no finding about a part of it.
func (f Facts) nothingAnswers() bool {
	if f.Cluster.Nodes.Known {
		return false
	}
	for _, p := range f.Probes {
		if p.Outcome == Answered || p.Outcome == Failed {
			return false
		}
	}
	return true
}
