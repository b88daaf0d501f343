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

// Exercise is one exercise in all its languages, as its files have it.
type Exercise struct {
	Number string   `yaml:"number"` // two digits: "02"
	Title  Text     `yaml:"title"`
	Goal   Text     `yaml:"goal"`   // what one knows afterwards, in a sentence
	Needs  Stage    `yaml:"needs"`  // what must be up
	Checks []string `yaml:"checks"` // IDs of the checks that `verify NN` runs
	Faults []string `yaml:"faults"` // names of the faults that `break` injects for it; may be empty
	Hints  []Text   `yaml:"hints"`  // from gentle to explicit
	Body   Text     `yaml:"-"`      // Markdown
}

// Stage is how much of a lab an exercise needs, as in `labctl up --to STAGE`.
type Stage string

// The stages.
const (
	Machines Stage = "machines"
	Cluster  Stage = "cluster"
	Demo     Stage = "demo"
)

// Known is what exercises may name.
type Known struct {
	Checks []string // IDs
	Faults []string // names
}

//go:embed *.md ko/*.md
var files embed.FS

// List returns the exercises by number. What they name must be known. The error names each wrong file.
func List(known Known) ([]Exercise, error) { return load(files, known) }

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

func load(fsys fs.FS, known Known) ([]Exercise, error) {
	names, err := fs.Glob(fsys, "*.md")
	if err != nil {
		return nil, fmt.Errorf("listing exercises: %w", err)
	}
	var exercises []Exercise
	var problems []error
	first := map[string]string{} // number -> file
	for _, name := range names { // sorted, and so by number
		e, err := read(fsys, name, known)
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
	translated, err := fs.Glob(fsys, koreanFolder+"/*.md")
	if err != nil {
		return nil, fmt.Errorf("listing exercises: %w", err)
	}
	for _, name := range translated {
		if !slices.Contains(names, path.Base(name)) {
			problems = append(problems, fmt.Errorf("%s: there is no exercise %s to be the Korean text of", name, path.Base(name)))
		}
	}
	if len(names) == 0 {
		problems = append(problems, errors.New("there are no exercises"))
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	return exercises, nil
}

// koreanFolder holds the Korean text of each exercise, in a file of the same name.
const koreanFolder = "ko"

var fileName = regexp.MustCompile(`^([0-9]{2})-[a-z0-9]+(-[a-z0-9]+)*\.md$`)

// read reads one exercise. Its errors are yaml.Problems, with the lines of the whole file.
func read(fsys fs.FS, file string, known Known) (Exercise, error) {
	data, err := fs.ReadFile(fsys, file)
	if err != nil {
		return Exercise{}, fmt.Errorf("reading exercise: %w", err)
	}
	e, english, err := parse(file, unix(data), known)
	if err != nil {
		return Exercise{}, err
	}
	korean := path.Join(koreanFolder, file)
	data, err = fs.ReadFile(fsys, korean)
	if errors.Is(err, fs.ErrNotExist) {
		return Exercise{}, yaml.Problems{{File: file, Message: "the Korean text " + korean + " is missing"}}
	}
	if err != nil {
		return Exercise{}, fmt.Errorf("reading exercise: %w", err)
	}
	var problems yaml.Problems
	e.Body.EN, problems = english.text()
	var more yaml.Problems
	e.Body.KO, more = document{file: korean, first: 1, body: string(unix(data))}.fill(english)
	if problems = append(problems, more...); len(problems) > 0 {
		return Exercise{}, problems
	}
	return e, nil
}

// unix undoes what a checkout on Windows may have done to the ends of lines.
func unix(data []byte) []byte { return bytes.ReplaceAll(data, []byte("\r\n"), []byte("\n")) }

// parse reads an exercise's own file: the front matter, and the English text.
func parse(file string, data []byte, known Known) (Exercise, document, error) {
	problem := func(format string, args ...any) error {
		return yaml.Problems{{File: file, Message: fmt.Sprintf(format, args...)}}
	}
	m := fileName.FindStringSubmatch(path.Base(file))
	if m == nil {
		return Exercise{}, document{}, problem("an exercise's file is called NN-name.md, such as 02-internal-ip.md")
	}
	front, body, ok := split(data)
	if !ok {
		return Exercise{}, document{}, problem("no front matter: the file must begin with YAML between two lines of three dashes")
	}
	var e Exercise
	pos, err := yaml.Decode(file, front, &e)
	var problems yaml.Problems
	if err != nil && (pos == nil || !errors.As(err, &problems)) {
		return Exercise{}, document{}, err
	}
	add := func(format string, args []any, at ...any) {
		if !pos.Failed(at...) {
			problems = append(problems, pos.Problem(fmt.Sprintf(format, args...), at...))
		}
	}
	if e.Number != m[1] {
		add("number %q does not fit the file's name, which says %s", []any{e.Number, m[1]}, "number")
	}
	oneLine := func(t Text, at ...any) {
		for _, l := range Languages() {
			if text := strings.TrimSpace(t.In(l)); text == "" || strings.Contains(text, "\n") {
				add("%s must be one line of text", []any{yaml.Path(append(slices.Clone(at), string(l))...)}, append(slices.Clone(at), string(l))...)
			}
		}
	}
	oneLine(e.Title, "title")
	oneLine(e.Goal, "goal")
	for i, h := range e.Hints {
		oneLine(h, "hints", i)
	}
	if len(e.Hints) == 0 {
		add("the exercise needs hints, from gentle to explicit", nil, "hints")
	}
	if !slices.Contains([]Stage{Machines, Cluster, Demo}, e.Needs) {
		add("needs %q is unknown: write %s, %s or %s", []any{e.Needs, Machines, Cluster, Demo}, "needs")
	}
	if len(e.Checks) == 0 {
		add("the exercise names no checks: nothing would prove it", nil, "checks")
	}
	names := func(field, what string, names, known []string) {
		for i, name := range names {
			switch {
			case !slices.Contains(known, name):
				add("%s %q is unknown: there are %s", []any{what, name, strings.Join(known, ", ")}, field, i)
			case slices.Index(names, name) < i:
				add("%s %q is listed twice", []any{what, name}, field, i)
			}
		}
	}
	names("checks", "check", e.Checks, known.Checks)
	names("faults", "fault", e.Faults, known.Faults)
	if len(problems) > 0 {
		return Exercise{}, document{}, problems.Sorted()
	}
	return e, document{file: file, first: bytes.Count(data[:len(data)-len(body)], []byte("\n")) + 1, body: string(body)}, nil
}

// split separates the front matter from the body. Instead of its first line the front matter has an empty one, so that its lines keep
// their numbers.
func split(data []byte) (front, body []byte, ok bool) {
	rest, ok := bytes.CutPrefix(data, []byte("---\n"))
	if !ok {
		return nil, nil, false
	}
	front, body, ok = bytes.Cut(rest, []byte("\n---\n"))
	return append([]byte("\n"), append(bytes.Clone(front), '\n')...), body, ok
}
