package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/labctl/labctl/checks"
	"github.com/labctl/labctl/checks/collect"
	"github.com/labctl/labctl/checks/report"
	"github.com/labctl/labctl/internal/config"
	"github.com/labctl/labctl/k3s"
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

// areas are the areas of checks as they can be typed, for the help.
func areas() string {
	all := checks.Areas(checks.Catalogue())
	for i, area := range all {
		all[i] = strings.ToLower(strings.ReplaceAll(area, " ", "-"))
	}
	return strings.Join(all, ", ")
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

// judgeFile judges a bundle. The lab that it is about stands in it.
func (a *app) judgeFile(name string, selected []checks.Check) (checks.Report, error) {
	var evidence *collect.Evidence
	err := a.readInput(name, func(r io.Reader) (err error) {
		if evidence, err = collect.Read(r); err != nil {
			return fmt.Errorf("%q: %w", name, err)
		}
		return nil
	})
	if err != nil {
		return checks.Report{}, usage(err)
	}
	return checks.Evaluate(collect.Parse(evidence), selected), nil
}

// waitPause is how long --wait leaves the lab alone between two looks at it.
const waitPause = 2 * time.Second

// judgeLab collects and judges, again and again for as long as wait says while something does not pass.
func (a *app) judgeLab(ctx context.Context, selected []checks.Check, wait time.Duration) (checks.Report, error) {
	s, err := a.openStored()
	if err != nil {
		return checks.Report{}, err
	}
	defer s.close()
	const id = "wait"
	deadline := s.now().Add(wait)
	if wait > 0 {
		s.ui.Start(id, "all checks")
		s.ui.Limit(id, wait)
	}
	for {
		evidence, err := s.collect(ctx, selected)
		if err != nil {
			return checks.Report{}, err
		}
		rep := s.pasteable(checks.Evaluate(collect.Parse(evidence), selected))
		switch {
		case wait == 0:
			return rep, nil
		case rep.ExitCode() == exitOK:
			s.ui.Done(id, "pass")
			return rep, nil
		case !s.now().Add(waitPause).Before(deadline):
			s.ui.Fail(id, "the time is over: "+lastCause(rep))
			return rep, nil
		}
		s.ui.Step(id, lastCause(rep))
		pause := time.NewTimer(waitPause)
		select {
		case <-ctx.Done():
			pause.Stop()
			return checks.Report{}, ctx.Err()
		case <-pause.C:
		}
	}
}

// lastCause names what keeps a report from passing: the first check that fails, or else the first that is unknown.
func lastCause(rep checks.Report) string {
	for _, status := range []checks.Status{checks.Fail, checks.Unknown} {
		for _, v := range rep.Verdicts {
			if v.Status == status {
				cause, _, _ := strings.Cut(v.Actual, "\n")
				return fmt.Sprintf("%s is %s: %s", v.ID, v.Status, cause)
			}
		}
	}
	return "no check passes"
}

// selectChecks finds the checks that the arguments ask for, each with the exercises that teach it; no argument asks for all.
func selectChecks(numbers []string, o verifyOptions) ([]checks.Check, error) {
	catalogue := checks.Catalogue()
	exercises, err := exercises()
	if err != nil {
		return nil, err
	}
	taught := labs.ByCheck(exercises)
	for i := range catalogue {
		catalogue[i].Exercises = taught[catalogue[i].ID]
	}
	only := o.only
	for _, number := range numbers {
		e, err := labs.Get(exercises, number)
		if err != nil {
			return nil, err
		}
		only = append(only, e.Checks...)
	}
	selected, err := checks.Select(catalogue, only...)
	if err != nil || len(o.skip) == 0 {
		return selected, err
	}
	left, err := checks.Select(catalogue, o.skip...)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(slices.Clone(selected), func(c checks.Check) bool {
		return slices.ContainsFunc(left, func(l checks.Check) bool { return l.ID == c.ID })
	}), nil
}

// collect gathers the evidence of the lab as it is now, as far as these checks need it; all of it without checks.
func (s *session) collect(ctx context.Context, selected []checks.Check) (*collect.Evidence, error) {
	const id = "collect"
	s.ui.Start(id, "evidence")
	o := collect.Options{
		Checks:    selected,
		Lab:       s.lab,
		Simulated: s.simulate,
		Connect: func(ctx context.Context, node string) (collect.Runner, io.Closer, error) {
			c, err := s.login(ctx, node)
			if err != nil {
				return nil, nil, err
			}
			return c, c, nil
		},
		HTTP:       s.probeClient(),
		Machines:   s.machines(ctx),
		Manifests:  manifests(s.lab),
		HostRoutes: s.listRoutes(),
		Step:       func(text string) { s.ui.Step(id, text) },
	}
	evidence, err := collect.Collect(ctx, o)
	if err != nil {
		s.ui.Fail(id, "collecting it failed")
		return nil, err
	}
	s.ui.Done(id, "collected")
	return evidence, nil
}

// manifests are what labctl has applied, in one stream.
func manifests(lab *config.Lab) []byte {
	var all [][]byte
	for _, m := range k3s.Manifests(lab) {
		all = append(all, m.YAML)
	}
	return bytes.Join(all, []byte("---\n"))
}

// probeClient is the host's HTTP client for probes: no proxy, no connection that is used twice.
func (s *session) probeClient() *http.Client {
	return &http.Client{
		Timeout: 15 * time.Second,
		Transport: &http.Transport{
			DialContext:       s.dial,
			DisableKeepAlives: true,
			TLSClientConfig:   &tls.Config{MinVersion: tls.VersionTLS12},
		},
	}
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
