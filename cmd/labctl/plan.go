package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/labctl/labctl/provision"
)

func (a *app) newPlanCmd() *cobra.Command {
	var stage string
	cmd := &cobra.Command{
		Use:   "plan",
		Short: "say what up would change, and change nothing",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return a.runPlan(cmd.Context(), stage) },
	}
	cmd.Flags().StringVar(&stage, "to", string(provision.StageDemo), "plan for: image, machines, cluster or demo")
	return cmd
}

type planSummary struct {
	Schema    string          `json:"schema"`
	Lab       string          `json:"lab"`
	Simulated bool            `json:"simulated"`
	Changes   []changeSummary `json:"changes"`
}

func (a *app) runPlan(ctx context.Context, to string) (err error) {
	if err := a.wantOutput("text", "json"); err != nil {
		return err
	}
	stage, err := provision.ParseStage(to)
	if err != nil {
		return usage(err)
	}
	s, err := a.open()
	if err != nil {
		return err
	}
	defer s.close()
	if _, err := s.hypervisor(ctx); err != nil {
		return err
	}
	unlock, err := s.lock("plan")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	if err := s.folder.Make(s.lab); err != nil {
		return fmt.Errorf("making the lab's folder %q: %w", s.folder.Path, err)
	}
	b, err := s.builder(ctx, false, timeoutsFor(0))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	changes, err := b.plan(ctx, stage)
	if err != nil {
		return err
	}
	if a.output == "json" {
		return a.printJSON(planSummary{Schema: schema, Lab: s.lab.Name, Simulated: a.simulate, Changes: changeSummaries(changes)})
	}
	var t strings.Builder
	for _, c := range changes {
		fmt.Fprintln(&t, describe(c))
	}
	if len(changes) == 0 {
		fmt.Fprintf(&t, "lab %q%s: nothing to change\n", s.lab.Name, a.mode())
	} else {
		fmt.Fprintf(&t, "lab %q%s: %s\nnext     %s\n", s.lab.Name, a.mode(), counted(len(changes)), a.next("up"))
	}
	a.ui.Print(t.String())
	return nil
}
