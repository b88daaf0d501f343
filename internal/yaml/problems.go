package yaml

import (
	"fmt"
	"slices"
	"strings"
)

// Problem is one thing that is wrong with a file.
type Problem struct {
	File    string
	Line    int // from 1; 0 is the file as a whole
	Message string
}

// Error returns `FILE:LINE: message`, or `FILE: message` for the file as a whole.
func (p Problem) Error() string {
	if p.Line == 0 {
		return p.File + ": " + p.Message
	}
	return fmt.Sprintf("%s:%d: %s", p.File, p.Line, p.Message)
}

// Problems is everything that is wrong with a file, one line each.
type Problems []Problem

func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.Error()
	}
	return strings.Join(lines, "\n")
}

// Sorted returns them in the order of the file's lines.
func (ps Problems) Sorted() Problems {
	return slices.SortedStableFunc(slices.Values(ps), func(a, b Problem) int { return a.Line - b.Line })
}

// Positions knows where in a file each value stands. A path is the names of fields and the numbers of list items that lead to a
// value: Line("nodes", 0, "name").
type Positions struct {
	file   string
	root   *node
	failed map[string]bool
}

// Line returns the line of the value at path, or of the nearest value above it that is in the file; 0 if none is.
func (p *Positions) Line(path ...any) int {
	line, _ := p.find(path)
	return line
}

// Has says whether the file gives a value at path. An empty value (`cidr:`) is none.
func (p *Positions) Has(path ...any) bool {
	_, found := p.find(path)
	return found
}

// Failed says whether Decode has already reported the value at path, or one above it.
func (p *Positions) Failed(path ...any) bool {
	for i := range len(path) + 1 {
		if p.failed[Path(path[:i]...)] {
			return true
		}
	}
	return false
}

// Problem returns a problem with the value at path.
func (p *Positions) Problem(message string, path ...any) Problem {
	return Problem{File: p.file, Line: p.Line(path...), Message: message}
}

func (p *Positions) find(path []any) (line int, found bool) {
	n := p.root
	for _, step := range path {
		switch step := step.(type) {
		case string:
			key, value := field(n, step)
			if value == nil {
				return line, false
			}
			n, line = value, key.Line
		case int:
			if n == nil || n.Kind != sequenceNode || step < 0 || step >= len(n.Content) {
				return line, false
			}
			n = n.Content[step]
			line = n.Line
		default:
			panic(fmt.Sprintf("yaml: a path holds strings and ints, not %T", step))
		}
	}
	return line, n != nil && !isNull(n)
}

func field(n *node, name string) (key, value *node) {
	if n == nil || n.Kind != mappingNode {
		return nil, nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Kind == scalarNode && n.Content[i].Value == name {
			return n.Content[i], n.Content[i+1]
		}
	}
	return nil, nil
}

// Path writes a path as messages do: nodes[0].name.
func Path(path ...any) string {
	var b strings.Builder
	for _, step := range path {
		switch step := step.(type) {
		case int:
			fmt.Fprintf(&b, "[%d]", step)
		default:
			if b.Len() > 0 {
				b.WriteByte('.')
			}
			fmt.Fprint(&b, step)
		}
	}
	return b.String()
}
