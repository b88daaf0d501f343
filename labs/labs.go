package labs

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/labctl/labctl/internal/yaml"
)

// Exercise is one exercise, as its file has it.
type Exercise struct {
	Number string   `yaml:"number"` // two digits: "02"
	Title  string   `yaml:"title"`
	Goal   string   `yaml:"goal"`   // what one knows afterwards, in a sentence
	Needs  Stage    `yaml:"needs"`  // what must be up
	Checks []string `yaml:"checks"` // IDs of the checks that `verify NN` runs
	Hints  []string `yaml:"hints"`  // from gentle to explicit
	Body   string   `yaml:"-"`      // Markdown
}

// Stage is how much of a lab an exercise needs, as in `labctl up --to STAGE`.
type Stage string

// The stages.
const (
	Machines Stage = "machines"
	Cluster  Stage = "cluster"
	Demo     Stage = "demo"
)

//go:embed *.md
var files embed.FS

// List returns the exercises by number. Every check that they name must be one of known. The error names each wrong file.
func List(known []string) ([]Exercise, error) { return load(files, known) }

// Get returns the exercise of a number, written 2 or 02.
func Get(exercises []Exercise, number string) (Exercise, error) {
	want := number
	if len(want) == 1 {
		want = "0" + want
	}
	var numbers []string
	for _, e := range exercises {
		if e.Number == want {
			return e, nil
		}
		numbers = append(numbers, e.Number)
	}
	return Exercise{}, fmt.Errorf("there is no exercise %q: there are %s", number, strings.Join(numbers, ", "))
}

// ByCheck returns the numbers of the exercises that each check belongs to.
func ByCheck(exercises []Exercise) map[string][]string {
	numbers := map[string][]string{}
	for _, e := range exercises {
		for _, id := range e.Checks {
			numbers[id] = append(numbers[id], e.Number)
		}
	}
	return numbers
}

func load(fsys fs.FS, known []string) ([]Exercise, error) {
	names, err := fs.Glob(fsys, "*.md")
	if err != nil {
		return nil, fmt.Errorf("listing exercises: %w", err)
	}
	var exercises []Exercise
	var problems []error
	first := map[string]string{} // number -> file
	for _, name := range names { // sorted, and so by number
		data, err := fs.ReadFile(fsys, name)
		if err != nil {
			return nil, fmt.Errorf("reading exercise: %w", err)
		}
		e, err := parse(name, data, known)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		if other, taken := first[e.Number]; taken {
			problems = append(problems, fmt.Errorf("%s: number %s is already %s's", name, e.Number, other))
			continue
		}
		first[e.Number] = name
		exercises = append(exercises, e)
	}
	if len(names) == 0 {
		problems = append(problems, errors.New("there are no exercises"))
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	return exercises, nil
}

var fileName = regexp.MustCompile(`^([0-9]{2})-[a-z0-9]+(-[a-z0-9]+)*\.md$`)

// parse reads one exercise. Its errors are yaml.Problems, with the lines of the whole file.
func parse(file string, data []byte, known []string) (Exercise, error) {
	problem := func(format string, args ...any) error {
		return yaml.Problems{{File: file, Message: fmt.Sprintf(format, args...)}}
	}
	m := fileName.FindStringSubmatch(path.Base(file))
	if m == nil {
		return Exercise{}, problem("an exercise's file is called NN-name.md, such as 02-internal-ip.md")
	}
	front, body, ok := split(data)
	if !ok {
		return Exercise{}, problem("no front matter: the file must begin with YAML between two lines of three dashes")
	}
	var e Exercise
	pos, err := yaml.Decode(file, front, &e)
	var problems yaml.Problems
	if err != nil && (pos == nil || !errors.As(err, &problems)) {
		return Exercise{}, err
	}
	add := func(at, format string, args ...any) {
		if !pos.Failed(at) {
			problems = append(problems, pos.Problem(fmt.Sprintf(format, args...), at))
		}
	}
	if e.Number != m[1] {
		add("number", "number %q does not fit the file's name, which says %s", e.Number, m[1])
	}
	for _, text := range []struct{ name, value string }{{"title", e.Title}, {"goal", e.Goal}} {
		if strings.TrimSpace(text.value) == "" || strings.Contains(strings.TrimSpace(text.value), "\n") {
			add(text.name, "%s must be one line of text", text.name)
		}
	}
	if !slices.Contains([]Stage{Machines, Cluster, Demo}, e.Needs) {
		add("needs", "needs %q is unknown: write %s, %s or %s", e.Needs, Machines, Cluster, Demo)
	}
	if len(e.Checks) == 0 {
		add("checks", "the exercise names no checks: nothing would prove it")
	}
	for i, id := range e.Checks {
		switch {
		case !slices.Contains(known, id):
			problems = append(problems, pos.Problem(fmt.Sprintf("check %q is unknown: there are %s", id, strings.Join(known, ", ")), "checks", i))
		case slices.Contains(e.Checks[:i], id):
			problems = append(problems, pos.Problem(fmt.Sprintf("check %q is listed twice", id), "checks", i))
		}
	}
	if len(e.Hints) == 0 || slices.Contains(e.Hints, "") {
		add("hints", "the exercise needs hints, from gentle to explicit, none of them empty")
	}
	e.Body = strings.TrimSpace(string(body)) + "\n"
	if e.Body == "\n" {
		problems = append(problems, yaml.Problem{File: file, Message: "there is no text below the front matter"})
	}
	if len(problems) > 0 {
		return Exercise{}, problems.Sorted()
	}
	return e, nil
}

// split separates the front matter from the body. Instead of its first line the front matter has an empty one, so that its lines keep
// their numbers.
func split(data []byte) (front, body []byte, ok bool) {
	data = bytes.ReplaceAll(data, []byte("\r\n"), []byte("\n")) // a checkout on Windows may have changed them
	rest, ok := bytes.CutPrefix(data, []byte("---\n"))
	if !ok {
		return nil, nil, false
	}
	front, body, ok = bytes.Cut(rest, []byte("\n---\n"))
	return append([]byte("\n"), append(bytes.Clone(front), '\n')...), body, ok
}
