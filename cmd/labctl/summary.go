package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/labctl/labctl/provision"
	"github.com/labctl/labctl/provision/engine"
)

// schema is the first field of every JSON document that labctl prints; documents only grow.
const schema = "labctl/v1"

type upSummary struct {
	Schema     string          `json:"schema"`
	Lab        string          `json:"lab"`
	Simulated  bool            `json:"simulated"`
	Stage      string          `json:"stage"`
	Changes    []changeSummary `json:"changes"`
	Nodes      []nodeSummary   `json:"nodes"`
	Kubeconfig string          `json:"kubeconfig,omitempty"`
	Seconds    float64         `json:"seconds"`
}

type nodeSummary struct {
	Name    string `json:"name"`
	Role    string `json:"role"`
	Address string `json:"address"`
}

// summary says what up did, where things are, and the next command to type.
func (b *builder) summary(stage provision.Stage, changes []engine.Change, took time.Duration) error {
	cluster := stage == provision.StageCluster || stage == provision.StageDemo
	sum := upSummary{
		Schema: schema, Lab: b.lab.Name, Simulated: b.simulate, Stage: string(stage),
		Changes: changeSummaries(changes), Seconds: took.Seconds(),
	}
	for _, n := range b.lab.Nodes {
		sum.Nodes = append(sum.Nodes, nodeSummary{Name: n.Name, Role: string(n.Role), Address: n.Address.String()})
	}
	if cluster {
		sum.Kubeconfig = b.folder.Kubeconfig()
	}
	if b.output == "json" {
		return b.printJSON(sum)
	}
	var t strings.Builder
	fmt.Fprintf(&t, "%s%s: %s (%s)\n", reached(b.lab.Name, stage), b.mode(), counted(len(changes)), took.Round(10*time.Millisecond))
	if stage != provision.StageImage {
		width := 8
		for _, n := range sum.Nodes {
			width = max(width, len(n.Name))
		}
		for _, n := range sum.Nodes {
			fmt.Fprintf(&t, "  %-*s %-8s %s\n", width, n.Name, n.Role, n.Address)
		}
	}
	next := b.next("up")
	if cluster {
		fmt.Fprintf(&t, "kubeconfig  %s\n", sum.Kubeconfig)
	}
	if stage == provision.StageDemo {
		if !b.simulate {
			fmt.Fprintf(&t, "demo        http://%s:%d/ (and the same port on every node)\n", b.lab.Server().Address, b.lab.Demo.NodePort)
		}
		next = b.next("verify")
	}
	fmt.Fprintf(&t, "next        %s\n", next)
	b.ui.Print(t.String())
	return nil
}

// reached says how far up went.
func reached(lab string, stage provision.Stage) string {
	switch stage {
	case provision.StageImage:
		return fmt.Sprintf("the image of lab %q is ready", lab)
	case provision.StageMachines:
		return fmt.Sprintf("the machines of lab %q are up", lab)
	case provision.StageCluster:
		return fmt.Sprintf("the cluster of lab %q is up", lab)
	}
	return fmt.Sprintf("lab %q is up", lab)
}

// counted says how many changes there are.
func counted(changes int) string {
	switch changes {
	case 0:
		return "nothing to change"
	case 1:
		return "1 change"
	}
	return fmt.Sprintf("%d changes", changes)
}

// printJSON prints a document to standard output.
func (a *app) printJSON(v any) error {
	out, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	a.ui.Print(string(out)) // with JSON's escapes for what a node put into it
	return nil
}
