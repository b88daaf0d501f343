package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/labctl/labctl/checks"
)

// Schema is the version of everything that labctl prints as JSON. It only grows.
const Schema = "labctl/v1"

type jsonReport struct {
	Schema    string        `json:"schema"`
	Lab       string        `json:"lab"`
	Simulated bool          `json:"simulated"`
	Summary   jsonSummary   `json:"summary"`
	Problems  []jsonProblem `json:"problems"`
	Results   []jsonResult  `json:"results"`
}

type jsonProblem struct {
	What   string   `json:"what"`
	Detail []string `json:"detail"`
	Next   string   `json:"next"`
}

type jsonSummary struct {
	Pass          int `json:"pass"`
	Fail          int `json:"fail"`
	Unknown       int `json:"unknown"`
	NotApplicable int `json:"not-applicable"`
}

type jsonResult struct {
	ID        string         `json:"id"`
	Title     string         `json:"title"`
	Area      string         `json:"area"`
	Exercises []string       `json:"exercises"`
	Status    string         `json:"status"`
	Expected  string         `json:"expected"`
	Actual    string         `json:"actual"`
	Evidence  []jsonEvidence `json:"evidence"`
	Hint      string         `json:"hint"`
}

type jsonEvidence struct {
	Where   string   `json:"where"`
	Command string   `json:"command"`
	Lines   []string `json:"lines"`
}

// JSON renders the report as one object. Lists are never null.
func JSON(r checks.Report) ([]byte, error) {
	s := r.Summary()
	out := jsonReport{
		Schema: Schema, Lab: r.Lab, Simulated: r.Simulated,
		Summary:  jsonSummary{Pass: s.Passed, Fail: s.Failed, Unknown: s.Unknown, NotApplicable: s.NotApplicable},
		Problems: []jsonProblem{}, Results: []jsonResult{},
	}
	for _, p := range r.Problems {
		out.Problems = append(out.Problems, jsonProblem{What: p.What, Detail: append([]string{}, p.Detail...), Next: program(r) + " " + p.Next})
	}
	for _, v := range r.Verdicts {
		result := jsonResult{
			ID: v.ID, Title: v.Title, Area: v.Area, Exercises: append([]string{}, v.Exercises...),
			Status: v.Status.String(), Expected: v.Expected, Actual: v.Actual, Evidence: []jsonEvidence{}, Hint: v.Hint,
		}
		for _, e := range v.Evidence {
			result.Evidence = append(result.Evidence, jsonEvidence{Where: e.Where, Command: e.Command, Lines: append([]string{}, e.Lines...)})
		}
		out.Results = append(out.Results, result)
	}
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false) // commands are to be pasted
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(out); err != nil {
		return nil, err
	}
	return escape(b.Bytes()), nil
}

// escape writes as \u what encoding/json leaves as it is although it could command a terminal: U+009B, marks of direction, and the like.
func escape(document []byte) []byte {
	out := make([]byte, 0, len(document))
	for _, r := range string(document) {
		if r == '\n' || unicode.IsPrint(r) {
			out = utf8.AppendRune(out, r)
			continue
		}
		for _, unit := range utf16.AppendRune(nil, r) {
			out = fmt.Appendf(out, `\u%04x`, unit)
		}
	}
	return out
}
