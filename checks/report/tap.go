package report

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"github.com/labctl/labctl/checks"
)

// TAP renders the report in version 13 of the Test Anything Protocol. Unknown is not ok; not applicable is skipped.
func TAP(r checks.Report) ([]byte, error) {
	var b bytes.Buffer
	fmt.Fprintf(&b, "TAP version 13\n1..%d\n# %s\n", len(r.Verdicts), name(r))
	for _, p := range r.Problems {
		fmt.Fprintf(&b, "# %s; next: %s\n", oneLine(strings.Join(append([]string{p.What}, p.Detail...), "\n")), Printable(program(r)+" "+p.Next))
	}
	for i, v := range r.Verdicts {
		ok := "ok"
		if v.Status != checks.Pass && v.Status != checks.NotApplicable {
			ok = "not ok"
		}
		fmt.Fprintf(&b, "%s %d - %s: %s", ok, i+1, v.ID, strings.ReplaceAll(Printable(v.Title), "#", `\#`))
		if v.Status == checks.NotApplicable {
			fmt.Fprintf(&b, " # SKIP %s", oneLine(v.Actual))
		}
		b.WriteByte('\n')
		if ok == "ok" {
			continue
		}
		b.WriteString("  ---\n")
		for _, f := range []struct{ key, value string }{
			{"status", v.Status.String()}, {"expected", v.Expected}, {"actual", v.Actual}, {"evidence", evidenceLines(v)}, {"hint", v.Hint},
		} {
			if f.value == "" {
				continue
			}
			// Go's quoting of a string is one that YAML understands: on one line, with whatever is not text escaped.
			fmt.Fprintf(&b, "  %s: %s\n", f.key, strconv.Quote(f.value))
		}
		b.WriteString("  ...\n")
	}
	mark := "# "
	if len(r.Verdicts) == 0 {
		mark = "Bail out! " // a plan of none would count as success
	}
	b.WriteString(mark + SummaryLine(r) + "\n")
	return b.Bytes(), nil
}

func evidenceLines(v checks.Verdict) string {
	var out []string
	for _, e := range v.Evidence {
		out = append(out, fmt.Sprintf("on %s: %s", e.Where, e.Command))
		for _, line := range e.Lines {
			out = append(out, "  "+line)
		}
	}
	return strings.Join(out, "\n")
}
