package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/labctl/labctl/checks"
	"github.com/labctl/labctl/labs"
)

func (a *app) newLabsCmd() *cobra.Command {
	var hint int
	cmd := &cobra.Command{
		Use:               "labs [EXERCISE]",
		Short:             "list the exercises, or show one",
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: completeExercises,
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return a.runLabs()
			}
			return a.runLab(args[0], hint)
		},
	}
	cmd.Flags().IntVar(&hint, "hint", 0, "show the first N hints of the exercise instead of its text")
	return cmd
}

// exercises loads the exercises; each names only checks that exist.
func exercises() ([]labs.Exercise, error) {
	var known []string
	for _, c := range checks.Catalogue() {
		known = append(known, c.ID)
	}
	return labs.List(known)
}

func completeExercises(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	all, err := exercises()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var names []string
	for _, e := range all {
		names = append(names, e.Number+"\t"+e.Title)
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

type exerciseSummary struct {
	Number string   `json:"number"`
	Title  string   `json:"title"`
	Goal   string   `json:"goal"`
	Needs  string   `json:"needs"`
	Checks []string `json:"checks"`
}

func (a *app) runLabs() error {
	if err := a.wantOutput("text", "json"); err != nil {
		return err
	}
	all, err := exercises()
	if err != nil {
		return err
	}
	if a.output == "json" {
		doc := struct {
			Schema    string            `json:"schema"`
			Exercises []exerciseSummary `json:"exercises"`
		}{Schema: schema}
		for _, e := range all {
			doc.Exercises = append(doc.Exercises, exerciseSummary{e.Number, e.Title, e.Goal, string(e.Needs), e.Checks})
		}
		return a.printJSON(doc)
	}
	var t strings.Builder
	for _, e := range all {
		fmt.Fprintf(&t, "%s  %-36s %s\n", e.Number, e.Title, e.Goal)
	}
	fmt.Fprintf(&t, "next  labctl%s labs %s\n", a.simulateFlag(), all[0].Number)
	a.ui.Print(t.String())
	return nil
}

func (a *app) runLab(number string, hint int) error {
	if err := a.wantOutput("text"); err != nil {
		return err
	}
	all, err := exercises()
	if err != nil {
		return err
	}
	e, err := labs.Get(all, number)
	if err != nil {
		return usage(err)
	}
	lab, err := a.wanted()
	if err != nil {
		return err
	}
	if e, err = labs.Render(e, lab); err != nil {
		return err
	}
	var t strings.Builder
	if hint > 0 {
		for i, text := range e.Hints {
			if i < hint {
				fmt.Fprintf(&t, "%d. %s\n", i+1, text)
			}
		}
		if hint < len(e.Hints) {
			fmt.Fprintf(&t, "next  labctl%s labs %s --hint %d\n", a.simulateFlag(), e.Number, hint+1)
		}
		a.ui.Print(t.String())
		return nil
	}
	fmt.Fprintf(&t, "# %s %s\n\n%s\n\n%s\n\n", e.Number, e.Title, e.Goal, strings.TrimSpace(e.Body))
	fmt.Fprintf(&t, "next  labctl%s verify %s\n", a.simulateFlag(), e.Number)
	a.ui.Print(t.String())
	return nil
}
