package labs

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/labctl/labctl/internal/yaml"
)

// document is a text with fenced blocks. What is typed and what it prints is the same in every language, so it stands in the English
// text only: there each block begins with its kind and its name (```console routes), and the Korean text has an empty block that says
// the name (```routes) where the block belongs.
type document struct {
	file  string
	first int // the number of body's first line in file
	body  string
}

// The kinds of blocks.
const (
	console = "console" // commands behind a prompt, and what they print: a test runs them
	plain   = "text"    // what no test runs
	labFile = "yaml"    // a labctl.yaml to write
)

// block is a fenced block; its lines are document.lines()[from:to], fences included.
type block struct {
	kind, name string
	from, to   int
}

const fence = "```"

var blockName = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)

func (d document) lines() []string { return strings.Split(d.body, "\n") }

func (d document) problem(line int, format string, args ...any) yaml.Problem {
	return yaml.Problem{File: d.file, Line: d.first + line, Message: fmt.Sprintf(format, args...)}
}

// blocks finds the fenced blocks; words of their first lines are name, or kind and name if the document is the one that has them.
func (d document) blocks(kinds bool) (found []block, problems yaml.Problems) {
	open := false
	for i, line := range d.lines() {
		info, isFence := strings.CutPrefix(line, fence)
		switch {
		case !isFence:
		case open && info == "":
			found[len(found)-1].to, open = i+1, false
		case open:
			problems = append(problems, d.problem(i, "a block begins inside a block"))
		default:
			b := block{name: info, from: i, to: i + 1}
			if kinds {
				b.kind, b.name, _ = strings.Cut(info, " ")
			}
			if kinds && !slices.Contains([]string{console, plain, labFile}, b.kind) || !blockName.MatchString(b.name) {
				problems = append(problems, d.problem(i, "a block begins with %s, not %q", map[bool]string{true: "its kind (console, text, yaml) and name", false: "the name of a block of the English text"}[kinds], info))
			}
			if slices.ContainsFunc(found, func(o block) bool { return o.name == b.name }) {
				problems = append(problems, d.problem(i, "block %q is there twice", b.name))
			}
			found, open = append(found, b), true
		}
	}
	if open {
		problems = append(problems, d.problem(found[len(found)-1].from, "the block is not closed"))
	}
	if strings.TrimSpace(d.body) == "" {
		problems = append(problems, yaml.Problem{File: d.file, Message: "there is no text"})
	}
	return found, problems
}

// text is the document without the names of its blocks.
func (d document) text() (string, yaml.Problems) {
	blocks, problems := d.blocks(true)
	lines := d.lines()
	for _, b := range blocks {
		lines[b.from] = fence + b.kind
	}
	return strings.TrimSpace(strings.Join(lines, "\n")) + "\n", problems
}

// fill is the document with the blocks of english in place of its own. It must have every one of them, in the same order.
func (d document) fill(english document) (string, yaml.Problems) {
	own, problems := d.blocks(false)
	theirs, _ := english.blocks(true)
	for i, b := range own {
		switch at := slices.IndexFunc(theirs, func(t block) bool { return t.name == b.name }); {
		case at < 0:
			problems = append(problems, d.problem(b.from, "block %q is not in %s", b.name, english.file))
		case b.to-b.from != 2:
			problems = append(problems, d.problem(b.from, "block %q must be empty: it is filled from %s", b.name, english.file))
		case i < len(theirs) && theirs[i].name != b.name:
			problems = append(problems, d.problem(b.from, "block %q stands where %s has %q", b.name, english.file, theirs[i].name))
		}
	}
	for _, t := range theirs {
		if !slices.ContainsFunc(own, func(b block) bool { return b.name == t.name }) {
			problems = append(problems, yaml.Problem{File: d.file, Message: fmt.Sprintf("block %q of %s is missing", t.name, english.file)})
		}
	}
	if len(problems) > 0 {
		return "", problems
	}
	lines, source := d.lines(), english.lines()
	var out []string
	at := 0
	for i, b := range own {
		t := theirs[i]
		out = append(append(out, lines[at:b.from]...), fence+t.kind)
		out = append(out, source[t.from+1:t.to]...)
		at = b.to
	}
	return strings.TrimSpace(strings.Join(append(out, lines[at:]...), "\n")) + "\n", nil
}

// Step is a thing that a rendered text has its reader do: type a command, or write the lab's labctl.yaml.
type Step struct {
	Node    string // where Command is typed; empty is this computer
	Command string
	Output  string // what the text shows of what is printed then, lines ending in a newline; "..." stands for what it leaves out
	LabFile string // instead of Command: the content of labctl.yaml
}

var prompt = regexp.MustCompile(`^(?:[a-z0-9_-]+@([a-z0-9-]+):~)?\$ (.+)$`)

// Steps returns what a rendered text has its reader do, in order. Blocks of the kind text are no steps.
func Steps(body string) []Step {
	var steps []Step
	kind := ""
	for line := range strings.Lines(body) {
		line = strings.TrimSuffix(line, "\n")
		if info, ok := strings.CutPrefix(line, fence); ok {
			if kind = info; kind == labFile {
				steps = append(steps, Step{})
			}
			continue
		}
		switch m := prompt.FindStringSubmatch(line); {
		case kind == labFile:
			steps[len(steps)-1].LabFile += line + "\n"
		case kind == console && m != nil:
			steps = append(steps, Step{Node: m[1], Command: m[2]})
		case kind == console && len(steps) > 0:
			steps[len(steps)-1].Output += line + "\n"
		}
	}
	return steps
}
