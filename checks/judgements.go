package checks

import (
	"slices"
	"strings"
)

// judgements collects what a check finds about each node (or service, or pod) and turns it into one result: a single bad
// finding fails, otherwise a single missing fact makes it unknown, and without any finding it is unknown too.
type judgements struct {
	good, bad finding
	missing   []string
	asked     []Source // where the missing facts would have come from
}

type finding struct {
	expected, actual []string
	evidence         []Source
}

// judge records one finding. expected and actual name their subject: "w1 192.168.56.11".
func (j *judgements) judge(ok bool, expected, actual string, evidence ...Source) {
	f := &j.bad
	if ok {
		f = &j.good
	}
	f.expected = appendNew(f.expected, expected)
	f.actual = appendNew(f.actual, actual)
	f.evidence = append(f.evidence, evidence...)
}

// unknown records a fact that could not be had, and why.
func (j *judgements) unknown(subject, why string, from ...Source) {
	if subject != "" && !strings.HasPrefix(why, subject+": ") {
		why = subject + ": " + why
	}
	j.missing = appendNew(j.missing, why)
	for _, s := range from {
		if s.Command != "" {
			j.asked = append(j.asked, s)
		}
	}
}

// result is the verdict. The hint says what to do if it failed.
func (j *judgements) result(hint string) Result {
	switch {
	case len(j.bad.expected) > 0:
		actual := j.bad.actual
		for _, m := range j.missing {
			actual = append(slices.Clone(actual), "unknown: "+m)
		}
		return Result{Status: Fail, Expected: lines(j.bad.expected), Actual: lines(actual), Evidence: merge(j.bad.evidence), Hint: hint}
	case len(j.missing) > 0:
		return Result{Status: Unknown, Expected: lines(j.good.expected), Actual: lines(j.missing), Evidence: merge(j.asked), Hint: hintUnknown}
	case len(j.good.expected) == 0:
		return Result{Status: Unknown, Actual: "there is nothing to look at", Hint: hintUnknown}
	default:
		return Result{Status: Pass, Expected: lines(j.good.expected), Actual: lines(j.good.actual), Evidence: merge(j.good.evidence)}
	}
}

// hintUnknown is for what could not be determined: a command that shows which part of the lab does not answer.
const hintUnknown = "labctl status shows which part of the lab does not answer"

func lines(s []string) string { return strings.Join(s, "\n") }

func appendNew(list []string, s string) []string {
	if slices.Contains(list, s) {
		return list
	}
	return append(list, s)
}

// merge joins the lines of sources that are the same command.
func merge(sources []Source) []Source {
	var merged []Source
	for _, s := range sources {
		i := slices.IndexFunc(merged, func(m Source) bool { return m.Where == s.Where && m.Command == s.Command })
		if i < 0 {
			s.Lines = slices.Clone(s.Lines)
			merged = append(merged, s)
			continue
		}
		for _, line := range s.Lines {
			merged[i].Lines = appendNew(merged[i].Lines, line)
		}
	}
	return merged
}
