package vbox

import "strings"

// plainLines turns the line ends of Windows into plain ones.
func plainLines(s string) string { return strings.ReplaceAll(s, "\r\n", "\n") }

// cutWarnings takes off what the wrapper script of Linux packages prints before everything else while the kernel module is
// missing: blocks of a WARNING: line and indented or empty ones.
func cutWarnings(s string) string {
	for strings.HasPrefix(s, "WARNING:") {
		for first := true; s != ""; first = false {
			line, after, _ := strings.Cut(s, "\n")
			if !first && line != "" && line[0] != '\t' && line[0] != ' ' {
				break
			}
			s = after
		}
	}
	return s
}

// property is one line of --machinereadable output.
type property struct{ key, value string }

// parseProperties reads --machinereadable output: lines of key=value in which both sides may stand in quotes.
// Lines of any other form, such as headings, are skipped.
func parseProperties(s string) []property {
	var all []property
	for line := range strings.Lines(s) {
		key, rest := quoted(strings.TrimRight(line, "\n"), "=")
		if !strings.HasPrefix(rest, "=") || key == "" {
			continue
		}
		value, _ := quoted(rest[1:], "")
		all = append(all, property{key, value})
	}
	return all
}

// quoted reads a quoted string, or what stands before the first of the end characters (all if there are none), and
// returns what follows. Within quotes a backslash escapes a quote and a backslash; before anything else it stands for
// itself, because older releases print the paths of Windows as they are. For the same reason only the last quote of a
// value ends it.
func quoted(s, end string) (text, rest string) {
	if !strings.HasPrefix(s, `"`) {
		i := len(s)
		if end != "" {
			if i = strings.IndexAny(s, end); i < 0 {
				i = len(s)
			}
		}
		return s[:i], s[i:]
	}
	s = s[1:]
	stop := strings.LastIndexByte(s, '"')
	if end != "" {
		stop = strings.Index(s, `"`+end)
	}
	if stop < 0 {
		return "", ""
	}
	text, rest = s[:stop], s[stop+1:]
	return strings.NewReplacer(`\"`, `"`, `\\`, `\`).Replace(text), rest
}

// parseBlocks reads lists of `Name:   value` lines in which the repetition of the first key starts the next thing. Empty
// lines say nothing: `list hostonlynets` has them within one thing. Keys keep their spelling.
func parseBlocks(s string) []map[string]string {
	var all []map[string]string
	var first string
	for line := range strings.Lines(s) {
		key, value, ok := strings.Cut(strings.TrimRight(line, "\n"), ":")
		if !ok || strings.HasPrefix(line, " ") || strings.HasPrefix(line, "\t") {
			continue
		}
		if first == "" {
			first = key
		}
		if key == first {
			all = append(all, map[string]string{})
		}
		all[len(all)-1][key] = strings.TrimSpace(value)
	}
	return all
}
