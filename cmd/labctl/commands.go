package main

import (
	"regexp"
	"slices"
	"strings"

	"github.com/labctl/labctl/checks"
	"github.com/labctl/labctl/internal/ssh"
)

// next is a command of labctl's to type next, with the flags of this one that say which lab it is about.
func (a *app) next(words string) string { return a.command(words) + " " + words }

// command is how labctl is called for a command on the lab at hand.
func (a *app) command(words string) string {
	name := "labctl"
	switch {
	case strings.HasPrefix(words, "doctor"): // examines this computer
	case a.simulate:
		name += " --simulate"
	}
	if a.vboxmanage != "" && !a.simulate {
		name += " --vboxmanage " + ssh.Quote(a.vboxmanage)
	}
	if a.labFile != "" {
		name += " --lab " + ssh.Quote(a.labFile)
	}
	return name
}

// mention finds "labctl WORD". A namespace is called labctl as well.
var mention = regexp.MustCompile(`(-n )?\blabctl ([a-z][a-z-]*)`)

// typed gives the commands that a text names the flags that they need on the lab at hand: many texts don't know which lab they are about.
func (a *app) typed(text string) string {
	return mention.ReplaceAllStringFunc(text, func(found string) string {
		word, ok := strings.CutPrefix(found, "labctl ")
		if !ok || !slices.Contains(a.subcommands, word) {
			return found
		}
		return a.next(word)
	})
}

// pasteable makes the hints of a report on this lab commands that can be typed as they stand.
func (s *session) pasteable(rep checks.Report) checks.Report {
	rep.Labctl = s.command("")
	rep.Verdicts = slices.Clone(rep.Verdicts)
	for i := range rep.Verdicts {
		v := &rep.Verdicts[i]
		hint := strings.ReplaceAll(v.Hint, "CONTROL-PLANE", s.lab.Server().Name)
		if node := nodeOf(v.Actual, rep.Nodes); node != "" {
			hint = placeholder.ReplaceAllLiteralString(hint, node)
		}
		v.Hint = s.typed(hint)
		v.Evidence = slices.Clone(v.Evidence)
		for j := range v.Evidence {
			v.Evidence[j].Command = s.typed(v.Evidence[j].Command)
		}
	}
	return rep
}

var placeholder = regexp.MustCompile(`\bNODE\b`)

// nodeOf is the first node that a verdict's findings name, empty if they name none. What is unknown comes after what failed.
func nodeOf(actual string, nodes []string) string {
	for word := range strings.FieldsSeq(actual) {
		if word = strings.Trim(word, `:,;"()`); slices.Contains(nodes, word) {
			return word
		}
	}
	return ""
}
