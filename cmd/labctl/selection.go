package main

import (
	"slices"
	"strings"

	"github.com/labctl/labctl/checks"
	"github.com/labctl/labctl/labs"
)

// selectChecks finds the checks that the arguments ask for, each with the exercises that teach it; no argument asks for all.
func selectChecks(numbers []string, o verifyOptions) ([]checks.Check, error) {
	catalogue := checks.Catalogue()
	exercises, err := exercises()
	if err != nil {
		return nil, err
	}
	taught := labs.ByCheck(exercises)
	for i := range catalogue {
		catalogue[i].Exercises = taught[catalogue[i].ID]
	}
	only := o.only
	for _, number := range numbers {
		e, err := labs.Get(exercises, number)
		if err != nil {
			return nil, err
		}
		only = append(only, e.Checks...)
	}
	selected, err := checks.Select(catalogue, only...)
	if err != nil || len(o.skip) == 0 {
		return selected, err
	}
	left, err := checks.Select(catalogue, o.skip...)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(slices.Clone(selected), func(c checks.Check) bool {
		return slices.ContainsFunc(left, func(l checks.Check) bool { return l.ID == c.ID })
	}), nil
}

// areas are the areas of checks as they can be typed, for the help.
func areas() string {
	all := checks.Areas(checks.Catalogue())
	for i, area := range all {
		all[i] = strings.ToLower(strings.ReplaceAll(area, " ", "-"))
	}
	return strings.Join(all, ", ")
}
