package main

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/labctl/labctl/provision/engine"
)

// changed leaves out what stays the same.
func changed(all []engine.Change) []engine.Change {
	return slices.DeleteFunc(slices.Clone(all), func(c engine.Change) bool { return c.Op == engine.Same })
}

// losses are the changes that take a machine, and what is on its disk, away.
func losses(changes []engine.Change) []engine.Change {
	return slices.DeleteFunc(slices.Clone(changes), func(c engine.Change) bool {
		return c.Type != "Machine" || c.Op != engine.Delete && c.Op != engine.Replace
	})
}

// describe is one line for one change.
func describe(c engine.Change) string {
	text := fmt.Sprintf("%-8s %-17s %s", c.Op, strings.ToLower(kindName(c.Type)), c.Name)
	var reasons []string
	for _, d := range c.Diff {
		reasons = append(reasons, reason(d))
	}
	if len(reasons) > 0 {
		text += " (" + strings.Join(reasons, ", ") + ")"
	}
	return text
}

// reason is why a resource changes.
func reason(d engine.Difference) string {
	switch {
	case d.Property == "running":
		return "it is not running"
	case d.Property == "drift" && d.Old != nil:
		return fmt.Sprint(d.Old) // what the refresh has found wrong, in words
	case telling(d) && d.Old != nil && d.New != nil:
		return fmt.Sprintf("%s %v → %v", d.Property, d.Old, d.New)
	case telling(d) && d.New != nil: // it was left to a default
		return fmt.Sprintf("%s → %v", d.Property, d.New)
	}
	return d.Property
}

// telling says whether the values of a property may be shown, and tell a person something. What may hold secrets, or stands for
// them, is not in this list, and neither are checksums, ids, paths in the cache and whole manifests: of those the name is said.
func telling(d engine.Difference) bool {
	switch d.Property {
	case "url", "source", "version", "diskGiB", "cidr", "host", "address", "user", "cpus", "memoryMiB", "running",
		"podCIDR", "serviceCIDR", "proxyMode", "ipvsScheduler", "drift":
		return brief(d.Old) && brief(d.New)
	}
	return false
}

// brief says whether a value fits into a line. The query of a URL may be a token.
func brief(value any) bool {
	const most = 80 // characters
	text := fmt.Sprint(value)
	return utf8.RuneCountInString(text) <= most && !strings.ContainsAny(text, "?\n")
}

// kindName is how a person calls a resource type.
func kindName(t string) string {
	switch t {
	case "HostOnlyNetwork":
		return "host-only network"
	case "Server":
		return "k3s server"
	case "Agent":
		return "k3s agent"
	case "NodeBinary":
		return "k3s binary on"
	case "NodeImages":
		return "images on"
	}
	return t
}

type changeSummary struct {
	Op     string         `json:"op"`
	Type   string         `json:"type"`
	Name   string         `json:"name"`
	Diff   []string       `json:"diff,omitempty"`   // the names of all that differs
	Values []valueSummary `json:"values,omitempty"` // of those whose values tell something
}

type valueSummary struct {
	Property string `json:"property"`
	Old      any    `json:"old,omitempty"`
	New      any    `json:"new,omitempty"`
}

func changeSummaries(changes []engine.Change) []changeSummary {
	all := []changeSummary{}
	for _, c := range changes {
		sum := changeSummary{Op: string(c.Op), Type: c.Type, Name: c.Name, Diff: c.Properties()}
		for _, d := range c.Diff {
			if telling(d) {
				sum.Values = append(sum.Values, valueSummary{d.Property, d.Old, d.New})
			}
		}
		all = append(all, sum)
	}
	return all
}
