package checks

// Verdict is a check together with what it concluded.
type Verdict struct {
	ID        string
	Title     string
	Area      string
	Exercises []string
	Result
}

// Report is the verdicts on one lab.
type Report struct {
	Lab       string
	Nodes     []string // the lab's nodes, in its order
	Simulated bool
	Labctl    string    // how labctl is called on this lab: "labctl --simulate"; empty: labctl
	Problems  []Problem // what keeps much from being known, each told once
	Verdicts  []Verdict
}

// Summary counts verdicts.
type Summary struct {
	Passed, Failed, Unknown, NotApplicable int
}

// Evaluate judges the facts by the selected checks.
func Evaluate(f Facts, selected []Check) Report {
	r := Report{Simulated: f.Simulated}
	if f.Lab != nil {
		r.Problems = f.problems()
	}
	if f.Lab != nil {
		r.Lab = f.Lab.Name
		for _, n := range f.Lab.Nodes {
			r.Nodes = append(r.Nodes, n.Name)
		}
	}
	for _, c := range selected {
		result := Result{Actual: "the lab's configuration is not known"}
		if f.Lab != nil {
			result = c.Eval(f)
		}
		r.Verdicts = append(r.Verdicts, Verdict{ID: c.ID, Title: c.Title, Area: c.Area, Exercises: c.Exercises, Result: result})
	}
	return r
}

// Summary counts the report's verdicts.
func (r Report) Summary() Summary {
	var s Summary
	for _, v := range r.Verdicts {
		switch v.Status {
		case Pass:
			s.Passed++
		case Fail:
			s.Failed++
		case NotApplicable:
			s.NotApplicable++
		default:
			s.Unknown++
		}
	}
	return s
}

// ExitCode is 1 if a check failed, otherwise 3 if one is unknown or none passed (nothing was selected, or nothing that
// applies), and 0 if all that apply passed.
func (r Report) ExitCode() int {
	s := r.Summary()
	switch {
	case s.Failed > 0:
		return 1
	case s.Unknown > 0 || s.Passed == 0:
		return 3
	default:
		return 0
	}
}
