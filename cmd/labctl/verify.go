package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/labctl/labctl/checks"
	"github.com/labctl/labctl/checks/report"
	"github.com/labctl/labctl/labs"
)

type verifyOptions struct {
	only, skip []string
	evidence   string        // a file to judge instead of the lab
	wait       time.Duration // how long to ask again until all pass
}

func (a *app) newVerifyCmd() *cobra.Command {
	var o verifyOptions
	cmd := &cobra.Command{
		Use:   "verify [EXERCISE…]",
		Short: "prove what is true of the lab's network",
		Long: `verify collects evidence (one SSH connection per node, kubectl on the server, requests from this host) and judges
it. It changes nothing. With the numbers of exercises it runs the checks that these need, and collects no more than that.

With --evidence it judges what "labctl collect" has written, on any computer and without the lab. With --wait it asks again until all checks
pass or the time is over, and ends with its last verdict.

--only and --skip take ids of checks, which the report names, and areas:
` + areas() + `.`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error { return a.runVerify(cmd.Context(), args, o) },
	}
	cmd.Flags().StringSliceVar(&o.only, "only", nil, "ids or areas of the checks to run")
	cmd.Flags().StringSliceVar(&o.skip, "skip", nil, "ids or areas of the checks to leave out")
	cmd.Flags().StringVar(&o.evidence, "evidence", "", "judge the evidence in this file, which labctl collect has written")
	cmd.Flags().DurationVar(&o.wait, "wait", 0, "ask again until all checks pass, for so long at most (5m)")
	cmd.ValidArgsFunction = completeExercises
	return cmd
}

func (a *app) runVerify(ctx context.Context, numbers []string, o verifyOptions) error {
	if err := a.wantOutput("text", "json", "junit", "tap"); err != nil {
		return err
	}
	selected, err := selectChecks(numbers, o)
	if err != nil {
		return usage(err)
	}
	if o.wait < 0 || o.wait > 0 && o.evidence != "" {
		return usage(errors.New("--wait needs a lab that can change, and a time: labctl verify --wait 5m"))
	}
	var rep checks.Report
	if o.evidence != "" {
		rep, err = a.judgeFile(o.evidence, selected)
	} else {
		rep, err = a.judgeLab(ctx, selected, o.wait)
	}
	if err != nil {
		return err
	}
	if err := a.printReport(rep); err != nil {
		return err
	}
	if status := rep.ExitCode(); status != exitOK {
		return errQuiet(status)
	}
	if err := inapplicable(numbers, rep); err != nil {
		return err
	}
	if a.output == "text" {
		next, err := nextExercise(numbers)
		if err != nil {
			return err
		}
		a.ui.Print(fmt.Sprintf("next        %s\n", a.next(strings.TrimSpace("labs "+next))))
	}
	return nil
}

// inapplicable is the error of a verification that passed and proved nothing of an exercise that it was asked about: none of the checks
// that are this exercise's alone applies to the lab, as where it is about the other of kube-proxy's modes.
func inapplicable(numbers []string, rep checks.Report) error {
	all, err := exercises()
	if err != nil {
		return err
	}
	for _, number := range numbers {
		e, err := labs.Get(all, number)
		if err != nil {
			return usage(err)
		}
		why, applies := "", false
		for _, v := range rep.Verdicts {
			if !slices.Equal(v.Exercises, []string{e.Number}) {
				continue
			}
			if v.Status == checks.NotApplicable {
				why, _, _ = strings.Cut(v.Actual, "\n")
			} else {
				applies = true
			}
		}
		if why != "" && !applies {
			return hinted(exitUnable, fmt.Errorf("nothing was proved of exercise %s: %s", e.Number, why), fmt.Sprintf("labctl labs %s shows the labctl.yaml that it needs", e.Number))
		}
	}
	return nil
}

// nextExercise is the number of the exercise after the last of these; empty where none was named, or none follows: then the list is next.
func nextExercise(numbers []string) (string, error) {
	all, err := exercises()
	if err != nil || len(numbers) == 0 {
		return "", err
	}
	last, err := labs.Get(all, numbers[len(numbers)-1])
	if err != nil {
		return "", err
	}
	i := slices.IndexFunc(all, func(e labs.Exercise) bool { return e.Number == last.Number })
	if i < 0 || i+1 == len(all) {
		return "", nil
	}
	return all[i+1].Number, nil
}

func (a *app) printReport(rep checks.Report) error {
	var out []byte
	var err error
	switch a.output {
	case "json":
		out, err = report.JSON(rep)
	case "junit":
		out, err = report.JUnit(rep)
	case "tap":
		out, err = report.TAP(rep)
	default:
		out, err = report.Text(rep, a.ui.Color())
	}
	if err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	a.ui.Raw(out)
	return nil
}
