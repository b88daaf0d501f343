package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/labctl/labctl/internal/config"
	"github.com/labctl/labctl/internal/fault"
)

type breakOptions struct {
	list, random bool
}

func (a *app) newBreakCmd() *cobra.Command {
	var o breakOptions
	cmd := &cobra.Command{
		Use:   "break FAULT | --random | --list",
		Short: "break the lab on purpose, for practice",
		Long: `break injects one fault into the lab. What it takes to undo it is noted in the lab's folder first, so that labctl fix works
whatever happens in between. With --random it doesn't say which fault it is: labctl verify shows what fails, and labctl fix tells.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch chosen := len(args) + count(o.list, o.random); {
			case chosen == 0:
				return usage(errors.New("which fault? name one, or say --random; labctl break --list explains them"))
			case chosen > 1:
				return usage(errors.New("name a fault, or say --random, or --list"))
			case o.list:
				return a.runFaults()
			}
			return a.runBreak(cmd.Context(), args)
		},
		ValidArgsFunction: completeFaults,
	}
	cmd.Flags().BoolVar(&o.list, "list", false, "explain the faults")
	cmd.Flags().BoolVar(&o.random, "random", false, "choose a fault without saying which")
	return cmd
}

func count(flags ...bool) (n int) {
	for _, f := range flags {
		if f {
			n++
		}
	}
	return n
}

// runBreak injects the fault that is named, or any if none is.
func (a *app) runBreak(ctx context.Context, named []string) (err error) {
	if err := a.wantOutput("text"); err != nil {
		return err
	}
	var f fault.Fault
	if len(named) > 0 {
		if f, err = fault.Get(named[0]); err != nil {
			return usage(err)
		}
	}
	a.safe = "the fault may be in the lab in part; labctl fix undoes it, however far it got"
	s, release, err := a.openLocked("break")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, release()) }()
	b := s.bench()
	label := f.ID
	if len(named) == 0 {
		if f, err = anyFault(b, a.choose); err != nil {
			return err
		}
		label = "a fault"
		b.Step = func(string) {} // it would tell
	} else if err := f.In(s.lab); err != nil {
		return usage(err)
	}
	const id = "break"
	s.ui.Start(id, label)
	if err := b.Break(ctx, f); err != nil {
		s.ui.Fail(id, "injecting it failed")
		return s.brokenHint(err)
	}
	s.ui.Done(id, "injected")
	if len(named) == 0 {
		s.ui.Print(fmt.Sprintf("broken      something, at random%s\nnext        %s\nmend        %s (it tells what it was)\n",
			s.mode(), s.next("verify"), s.next("fix")))
		return nil
	}
	s.ui.Print(fmt.Sprintf("broken      %s%s\nnext        %s\nmend        %s\n", f.Title, s.mode(), s.next("verify "+f.Exercise), s.next("fix")))
	return nil
}

// brokenHint says what to do after break failed.
func (s *session) brokenHint(err error) error {
	entries, jerr := fault.Journal{Path: s.folder.Faults()}.Entries()
	if jerr != nil || len(entries) == 0 {
		return err
	}
	status := exitUnable
	if errors.Is(err, fault.ErrPresent) {
		status = exitUsage
	}
	return hinted(status, err, s.next("fix"))
}

// anyFault chooses one of the faults that the lab can have and has not.
func anyFault(b *fault.Bench, choose func(n int) int) (fault.Fault, error) {
	entries, err := b.Journal.Entries()
	if err != nil {
		return fault.Fault{}, err
	}
	left := slices.DeleteFunc(fault.Catalogue(), func(f fault.Fault) bool {
		return f.In(b.Lab) != nil || slices.ContainsFunc(entries, func(e fault.Entry) bool { return e.ID == f.ID && !e.Undone })
	})
	if len(left) == 0 {
		return fault.Fault{}, errors.New("every fault that this lab can have is in it")
	}
	return left[choose(len(left))], nil
}

func completeFaults(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	var ids []string
	if len(args) == 0 {
		for _, f := range fault.Catalogue() {
			ids = append(ids, f.ID+"\t"+f.Title)
		}
	}
	return ids, cobra.ShellCompDirectiveNoFileComp
}

type faultSummary struct {
	ID       string   `json:"id"`
	Title    string   `json:"title"`
	Fails    []string `json:"fails"`
	Exercise string   `json:"exercise"`
}

// runFaults lists the faults that a lab of the configured mode can have.
func (a *app) runFaults() error {
	if err := a.wantOutput("text", "json"); err != nil {
		return err
	}
	lab, err := a.wanted()
	if err != nil {
		return err
	}
	mode := lab.K3s.KubeProxyMode
	all := slices.DeleteFunc(fault.Catalogue(), func(f fault.Fault) bool { return f.Fails[mode] == nil })
	if a.output == "json" {
		doc := struct {
			Schema string         `json:"schema"`
			Faults []faultSummary `json:"faults"`
		}{Schema: schema}
		for _, f := range all {
			doc.Faults = append(doc.Faults, faultSummary{f.ID, f.Title, f.Fails[mode], f.Exercise})
		}
		return a.printJSON(doc)
	}
	a.ui.Print(faultList(all, mode) + fmt.Sprintf("next  %s\n", a.next("break "+all[0].ID)))
	return nil
}

func faultList(all []fault.Fault, mode config.ProxyMode) string {
	var t strings.Builder
	for _, f := range all {
		fmt.Fprintf(&t, "%s  (exercise %s)\n    %s\n    %s\n    fails: %s\n\n", f.ID, f.Exercise, f.Title, f.Explanation, strings.Join(f.Fails[mode], " "))
	}
	return t.String()
}
