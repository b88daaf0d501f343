package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/labctl/labctl/checks"
	"github.com/labctl/labctl/checks/collect"
)

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

// waitPause is how long --wait leaves the lab alone between two looks at it.
const waitPause = 2 * time.Second

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
