package sim

import (
	"context"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
)

func runGrep(_ context.Context, p *process) int {
	given, args, err := options(p.args, "q x F E v c i o h s e= n w r")
	if err != nil {
		return p.usage(err)
	}
	pattern, ok := given["e"]
	if !ok {
		if len(args) == 0 {
			return p.usage(fmt.Errorf("no pattern"))
		}
		pattern, args = args[0], args[1:]
	}
	if is(given, "r") {
		return p.unknown("-r")
	}
	switch {
	case is(given, "F"):
		pattern = regexp.QuoteMeta(pattern)
	case !is(given, "E"):
		pattern = basicRegexp(pattern)
	}
	if is(given, "x") {
		pattern = "^(?:" + pattern + ")$"
	}
	if is(given, "w") {
		pattern = `\b(?:` + pattern + `)\b`
	}
	if is(given, "i") {
		pattern = "(?i)" + pattern
	}
	re, err := regexp.Compile(pattern)
	if err != nil {
		return p.usage(err)
	}
	names := args
	names = orStandardInput(names)
	status, trouble := 1, 0
	for _, name := range names {
		data, err := p.input(name)
		if err != nil {
			if !is(given, "s") {
				p.fail("%s: %s", name, reason(err))
			}
			trouble = 2
			continue
		}
		count := 0
		n := 0
		for line := range strings.Lines(string(data)) {
			line = strings.TrimSuffix(line, "\n")
			n++
			if re.MatchString(line) == is(given, "v") {
				continue
			}
			count++
			status = 0
			if is(given, "q", "c") {
				continue
			}
			prefix := ""
			if len(names) > 1 && !is(given, "h") {
				prefix = name + ":"
			}
			if is(given, "n") {
				prefix += fmt.Sprint(n) + ":"
			}
			if is(given, "o") {
				for _, m := range re.FindAllString(line, -1) {
					p.printf("%s%s\n", prefix, m)
				}
				continue
			}
			p.printf("%s%s\n", prefix, line)
		}
		if is(given, "c") && !is(given, "q") {
			prefix := ""
			if len(names) > 1 && !is(given, "h") {
				prefix = name + ":"
			}
			p.printf("%s%d\n", prefix, count)
		}
	}
	if trouble != 0 && !(is(given, "q") && status == 0) {
		return trouble
	}
	return status
}

// basicRegexp turns a POSIX basic regular expression into Go's syntax, where \( and ( have changed places.
func basicRegexp(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && i+1 < len(s) && strings.IndexByte("(){}|+?", s[i+1]) >= 0:
			i++
			b.WriteByte(s[i])
		case c == '\\' && i+1 < len(s):
			b.WriteByte(c)
			i++
			b.WriteByte(s[i])
		case c == '[':
			// A bracket expression is the same in both, [:space:] included.
			end := i + 1
			if end < len(s) && s[end] == '^' {
				end++
			}
			if end < len(s) && s[end] == ']' {
				end++
			}
			for end < len(s) && s[end] != ']' {
				if s[end] == '[' && end+1 < len(s) && s[end+1] == ':' {
					if stop := strings.Index(s[end:], ":]"); stop > 0 {
						end += stop + 1
					}
				}
				end++
			}
			b.WriteString(s[i:min(end+1, len(s))])
			i = end
		case strings.IndexByte("(){}|+?", c) >= 0:
			b.WriteByte('\\')
			b.WriteByte(c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// runSed knows one command a script: [/REGEXP/]s/REGEXP/TEXT/[g], /REGEXP/d, FROM,TOp and Np.
func runSed(_ context.Context, p *process) int {
	given, args, err := options(p.args, "i n E r e=")
	if err != nil {
		return p.usage(err)
	}
	script, ok := given["e"]
	if !ok {
		if len(args) == 0 {
			return p.usage(fmt.Errorf("no script"))
		}
		script, args = args[0], args[1:]
	}
	edit, err := parseSed(script, is(given, "E", "r"), is(given, "n"))
	if err != nil {
		return p.usage(err)
	}
	args = orStandardInput(args)
	for _, name := range args {
		data, err := p.input(name)
		if err != nil {
			return p.fail("can't read %s: %s", name, reason(err)) + 1
		}
		var out strings.Builder
		n := 0
		for line := range strings.Lines(string(data)) {
			n++
			text, end := strings.CutSuffix(line, "\n")
			if result, keep := edit(text, n); keep {
				out.WriteString(result)
				if end {
					out.WriteString("\n")
				}
			}
		}
		if is(given, "i") {
			if err := p.put(p.path(name), []byte(out.String()), nil); err != nil {
				return p.fail("couldn't open file %s: %s", name, reason(err))
			}
			continue
		}
		if _, err := io.WriteString(p.stdout, out.String()); err != nil {
			return 1
		}
	}
	return 0
}

func parseSed(script string, extended, quiet bool) (func(line string, n int) (string, bool), error) {
	compile := func(s string) (*regexp.Regexp, error) {
		if !extended {
			s = basicRegexp(s)
		}
		return regexp.Compile(s)
	}
	unknown := fmt.Errorf("the SIMULATED sed does not know %q", script)
	if m := regexp.MustCompile(`^(\d+)(?:,(\d+))?p$`).FindStringSubmatch(script); m != nil && quiet {
		from, _ := strconv.Atoi(m[1])
		to, err := strconv.Atoi(m[2])
		if err != nil {
			to = from
		}
		return func(line string, n int) (string, bool) { return line, n >= from && n <= to }, nil
	}
	if quiet {
		return nil, unknown
	}
	applies := func(string) bool { return true }
	if strings.HasPrefix(script, "/") {
		end := unescapedIndex(script[1:], '/')
		if end < 0 {
			return nil, unknown
		}
		re, err := compile(strings.ReplaceAll(script[1:1+end], `\/`, "/"))
		if err != nil {
			return nil, err
		}
		applies, script = re.MatchString, script[2+end:]
	}
	if script == "d" {
		return func(line string, _ int) (string, bool) { return line, !applies(line) }, nil
	}
	if len(script) < 4 || script[0] != 's' {
		return nil, unknown
	}
	sep := script[1]
	a := unescapedIndex(script[2:], sep)
	if a < 0 {
		return nil, unknown
	}
	rest := script[3+a:]
	b := unescapedIndex(rest, sep)
	if b < 0 || rest[b+1:] != "" && rest[b+1:] != "g" {
		return nil, unknown
	}
	re, err := compile(strings.ReplaceAll(script[2:2+a], `\`+string(sep), string(sep)))
	if err != nil {
		return nil, err
	}
	text := strings.ReplaceAll(rest[:b], `\`+string(sep), string(sep))
	text = strings.ReplaceAll(text, "$", "$$")
	text = regexp.MustCompile(`\\(\d)`).ReplaceAllString(text, `$${$1}`)
	text = regexp.MustCompile(`(^|[^\\])&`).ReplaceAllString(text, `$1$${0}`)
	text = strings.ReplaceAll(text, `\&`, "&")
	all := rest[b+1:] == "g"
	return func(line string, _ int) (string, bool) {
		if !applies(line) {
			return line, true
		}
		if all {
			return re.ReplaceAllString(line, text), true
		}
		m := re.FindStringSubmatchIndex(line)
		if m == nil {
			return line, true
		}
		return line[:m[0]] + string(re.ExpandString(nil, text, line, m)) + line[m[1]:], true
	}, nil
}

func unescapedIndex(s string, c byte) int {
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' {
			i++
		} else if s[i] == c {
			return i
		}
	}
	return -1
}
