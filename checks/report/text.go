package report

import (
	"bytes"
	"cmp"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/labctl/labctl/checks"
)

// style is how a status looks.
type style struct{ glyph, word, colour string }

func styleOf(s checks.Status) style {
	switch s {
	case checks.Pass:
		return style{"✓", "pass", "\x1b[32m"}
	case checks.Fail:
		return style{"✗", "fail", "\x1b[31m"}
	case checks.NotApplicable:
		return style{"–", "n/a", "\x1b[2m"}
	default:
		return style{"!", "unknown", "\x1b[33m"}
	}
}

const colourOff = "\x1b[0m"

// Text renders the report for people, in colour or not. A word stands beside each glyph, so that nothing hangs on the colour.
func Text(r checks.Report, colour bool) ([]byte, error) {
	var b bytes.Buffer
	width := 0
	for _, v := range r.Verdicts {
		width = max(width, len(v.ID))
	}
	b.WriteString(heading(r))
	told := problems(&b, r)
	area := ""
	for _, v := range r.Verdicts {
		if v.Area != area {
			area = v.Area
			fmt.Fprintf(&b, "\n%s\n", Printable(area))
		}
		s := styleOf(v.Status)
		mark := fmt.Sprintf("%s %-7s", s.glyph, s.word)
		if colour {
			mark = s.colour + mark + colourOff
		}
		fmt.Fprintf(&b, "  %s %-*s  %s\n", mark, width, v.ID, Printable(v.Title))
		switch {
		case v.Status == checks.Pass:
		case v.Status == checks.Unknown && explained(v, told):
			field(&b, "unknown", "see the top")
		default:
			detail(&b, v, program(r))
		}
	}
	fmt.Fprintf(&b, "\n%s\n", SummaryLine(r))
	return b.Bytes(), nil
}

// problems writes what keeps many checks from a verdict, once, and returns the lines by which verdicts would repeat it.
func problems(b *bytes.Buffer, r checks.Report) map[string]bool {
	told := map[string]bool{}
	for _, p := range r.Problems {
		fmt.Fprintf(b, "\n! %s\n", Printable(p.What))
		for _, line := range p.Detail {
			field(b, "", line)
		}
		field(b, "next", program(r)+" "+p.Next)
		for _, line := range p.Told {
			told[line] = true
		}
	}
	return told
}

// explained says whether all that keeps a check from a verdict has been told.
func explained(v checks.Verdict, told map[string]bool) bool {
	for line := range strings.SplitSeq(v.Actual, "\n") {
		if !told[line] {
			return false
		}
	}
	return true
}

// program is how labctl is called on the report's lab.
func program(r checks.Report) string { return cmp.Or(r.Labctl, "labctl") }

// maxNamed is how many nodes are named in the heading; beyond that they are counted.
const maxNamed = 6

func heading(r checks.Report) string {
	nodes := strings.Join(r.Nodes, " ")
	if len(r.Nodes) > maxNamed {
		nodes = fmt.Sprintf("%d nodes", len(r.Nodes))
	}
	return name(r) + Printable(" · "+nodes) + "\n"
}

// name is how the report's lab is called everywhere.
func name(r checks.Report) string {
	text := fmt.Sprintf("lab %q", r.Lab)
	if r.Simulated {
		text += " (SIMULATED)"
	}
	return Printable(text)
}

func detail(b *bytes.Buffer, v checks.Verdict, labctl string) {
	if v.Status == checks.NotApplicable {
		field(b, "because", v.Actual)
		return
	}
	if v.Status == checks.Unknown {
		field(b, "unknown", v.Actual)
	} else {
		field(b, "expected", v.Expected)
		field(b, "actual", v.Actual)
	}
	for _, e := range v.Evidence {
		field(b, "evidence", fmt.Sprintf("on %s: %s", e.Where, e.Command))
		for _, line := range e.Lines {
			field(b, "", "  "+line)
		}
	}
	field(b, "hint", v.Hint)
	if len(v.Exercises) > 0 {
		field(b, "exercise", labctl+" labs "+v.Exercises[0])
	}
}

// field writes a labelled value; its further lines stand below the first.
func field(b *bytes.Buffer, label, value string) {
	if value == "" {
		return
	}
	for line := range strings.SplitSeq(value, "\n") {
		fmt.Fprintf(b, "      %-9s %s\n", label, Printable(line))
		label = ""
	}
}

// SummaryLine is the report in one line: "1 failed, 6 passed, 2 unknown, 1 not applicable".
func SummaryLine(r checks.Report) string {
	s := r.Summary()
	var parts []string
	if s.Failed > 0 {
		parts = append(parts, fmt.Sprintf("%d failed", s.Failed))
	}
	parts = append(parts, fmt.Sprintf("%d passed", s.Passed))
	if s.Unknown > 0 {
		parts = append(parts, fmt.Sprintf("%d unknown", s.Unknown))
	}
	if s.NotApplicable > 0 {
		parts = append(parts, fmt.Sprintf("%d not applicable", s.NotApplicable))
	}
	line := strings.Join(parts, ", ")
	if len(r.Verdicts) == 0 {
		line = "no check was selected"
	}
	if r.Simulated {
		line += " · SIMULATED"
	}
	return line
}

// Printable escapes what is not text: control characters, which could command a terminal, marks that change the direction of
// writing, and bytes that are no UTF-8. A node chooses what it answers.
func Printable(s string) string {
	clean := true
	for _, r := range s {
		if !unicode.IsPrint(r) || r == utf8.RuneError {
			clean = false
			break
		}
	}
	if clean {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, size := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, s[0])
		case unicode.IsPrint(r):
			b.WriteRune(r)
		case r < 0x100:
			fmt.Fprintf(&b, `\x%02x`, r)
		case r < 0x10000:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			fmt.Fprintf(&b, `\U%08x`, r)
		}
		s = s[size:]
	}
	return b.String()
}
