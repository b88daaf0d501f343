package report

import (
	"bytes"
	"encoding/xml"
	"strings"

	"github.com/labctl/labctl/checks"
)

type junitSuites struct {
	XMLName  xml.Name     `xml:"testsuites"`
	Name     string       `xml:"name,attr"`
	Tests    int          `xml:"tests,attr"`
	Failures int          `xml:"failures,attr"`
	Errors   int          `xml:"errors,attr"`
	Suites   []junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Errors   int         `xml:"errors,attr"`
	Skipped  int         `xml:"skipped,attr"`
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Class   string       `xml:"classname,attr"`
	Name    string       `xml:"name,attr"`
	Failure *junitDetail `xml:"failure"`
	Error   *junitDetail `xml:"error"`
	Skipped *junitDetail `xml:"skipped"`
}

type junitDetail struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",cdata"`
}

// JUnit renders the report as JUnit's XML, one suite for each area. Unknown is an error, not applicable is skipped. What keeps much from
// being known comes first, in a suite of its own.
func JUnit(r checks.Report) ([]byte, error) {
	out := junitSuites{Name: "labctl: " + name(r)}
	if len(r.Problems) > 0 {
		suite := junitProblems(r)
		out.Suites = append(out.Suites, suite)
		out.Tests += suite.Tests
		out.Errors += suite.Errors
	}
	for _, v := range r.Verdicts {
		if len(out.Suites) == 0 || out.Suites[len(out.Suites)-1].Name != v.Area {
			out.Suites = append(out.Suites, junitSuite{Name: v.Area})
		}
		suite := &out.Suites[len(out.Suites)-1]
		c := junitCase{Class: "labctl." + strings.ReplaceAll(v.Area, " ", "-"), Name: v.ID + ": " + v.Title}
		suite.Tests++
		out.Tests++
		switch v.Status {
		case checks.Pass:
		case checks.Fail:
			c.Failure = junitDetails(v, program(r))
			suite.Failures++
			out.Failures++
		case checks.NotApplicable:
			c.Skipped = &junitDetail{Message: oneLine(v.Actual)}
			suite.Skipped++
		default:
			c.Error = junitDetails(v, program(r))
			suite.Errors++
			out.Errors++
		}
		suite.Cases = append(suite.Cases, c)
	}
	body, err := xml.MarshalIndent(out, "", "  ")
	if err != nil {
		return nil, err
	}
	return append(append([]byte(xml.Header), body...), '\n'), nil
}

// junitProblems has a case for each problem: JUnit has no other place that every program that reads it shows. Where all that was asked
// for passes in spite of it, it is none that fails.
func junitProblems(r checks.Report) junitSuite {
	suite := junitSuite{Name: "problems"}
	for _, p := range r.Problems {
		var b bytes.Buffer
		b.WriteByte('\n')
		for _, line := range p.Detail {
			field(&b, "detail", line)
		}
		field(&b, "next", program(r)+" "+p.Next)
		c, d := junitCase{Class: "labctl.problems", Name: Printable(p.What)}, &junitDetail{Message: oneLine(p.What), Text: b.String()}
		suite.Tests++
		if r.ExitCode() == 0 {
			c.Skipped = d
			suite.Skipped++
		} else {
			c.Error = d
			suite.Errors++
		}
		suite.Cases = append(suite.Cases, c)
	}
	return suite
}

func junitDetails(v checks.Verdict, labctl string) *junitDetail {
	var b bytes.Buffer
	b.WriteByte('\n')
	detail(&b, v, labctl)
	return &junitDetail{Message: oneLine(v.Actual), Text: b.String()}
}

// oneLine joins a value's lines.
func oneLine(s string) string { return Printable(strings.ReplaceAll(s, "\n", "; ")) }
