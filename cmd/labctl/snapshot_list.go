package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
)

func (a *app) newSnapshotListCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "list the lab's snapshots",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return a.runSnapshotList(cmd.Context()) },
	}
}

type snapshotSummary struct {
	Schema    string         `json:"schema"`
	Lab       string         `json:"lab"`
	Simulated bool           `json:"simulated"`
	Snapshots []snapshotLine `json:"snapshots"`
}

type snapshotLine struct {
	Name     string    `json:"name"`
	Taken    time.Time `json:"taken"`
	Complete bool      `json:"complete"`
	Problem  string    `json:"problem,omitempty"` // why it is not complete
	Current  bool      `json:"current"`           // the machines go on from it
}

func (a *app) runSnapshotList(ctx context.Context) error {
	if err := a.wantOutput("text", "json"); err != nil {
		return err
	}
	w, err := a.openSnapshots(ctx)
	if err != nil {
		return err
	}
	defer w.close()
	all, err := w.set.List(ctx)
	if err != nil {
		return err
	}
	sum := snapshotSummary{Schema: schema, Lab: w.lab.Name, Simulated: a.simulate, Snapshots: []snapshotLine{}}
	for _, s := range all {
		sum.Snapshots = append(sum.Snapshots, snapshotLine{Name: s.Name, Taken: s.Taken, Complete: s.Complete(), Problem: s.Problem, Current: s.Current})
	}
	if a.output == "json" {
		return a.printJSON(sum)
	}
	if len(all) == 0 {
		a.ui.Print(fmt.Sprintf("lab %q has no snapshots%s\nnext        %s\n", w.lab.Name, a.mode(), w.next("snapshot save NAME")))
		return nil
	}
	a.ui.Print(fmt.Sprintf("snapshots of lab %q%s\n", w.lab.Name, a.mode()))
	var rows [][]string
	for _, s := range all {
		state := "complete"
		switch {
		case !s.Complete():
			state = "incomplete: " + s.Problem
		case s.Current:
			state = "complete; the lab goes on from it"
		}
		rows = append(rows, []string{s.Name, s.Taken.UTC().Format("2006-01-02 15:04:05Z"), state})
	}
	a.ui.Table([]string{"NAME", "TAKEN", "STATE"}, rows)
	return nil
}
