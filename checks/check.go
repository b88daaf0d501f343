package checks

import (
	"fmt"
	"slices"
	"strings"
)

// Status is a verdict. The zero Status is Unknown, which never passes.
type Status int

// The verdicts.
const (
	Unknown Status = iota
	Pass
	Fail
	NotApplicable
)

// String is the word of a status in every report.
func (s Status) String() string {
	switch s {
	case Pass:
		return "pass"
	case Fail:
		return "fail"
	case NotApplicable:
		return "not-applicable"
	default:
		return "unknown"
	}
}

// The areas of checks, in the order of reports.
const (
	AreaNode      = "node addresses"
	AreaInternal  = "INTERNAL-IP"
	AreaPods      = "pod network"
	AreaClusterIP = "ClusterIP"
	AreaKubeProxy = "kube-proxy"
	AreaNodePort  = "NodePort"
	AreaLB        = "LoadBalancer"
	AreaDNS       = "DNS"
	AreaDemo      = "demo"
)

// Check is one statement about a lab.
type Check struct {
	ID        string             // stable: "net.internal-ip"; used in reports, exercises, docs and fixtures
	Title     string             // positive, lower case: "every node advertises its host-only address"
	Area      string             // one of the areas
	Exercises []string           // the exercises that need it, for example "02"; the exercise files say so, not the catalogue
	Eval      func(Facts) Result // pure
}

// Result is what a check concludes. Expected and Actual may have several lines, one for each node or thing.
type Result struct {
	Status   Status
	Expected string
	Actual   string
	Evidence []Source
	Hint     string // what to do next, if it did not pass
}

// Catalogue returns all checks in the order of reports.
func Catalogue() []Check {
	return slices.Concat(
		nodeAddressChecks(),
		internalIPChecks(),
		podNetworkChecks(),
		clusterIPChecks(),
		kubeProxyChecks(),
		nodePortChecks(),
		loadBalancerChecks(),
		dnsChecks(),
		demoChecks(),
	)
}

// Select returns the checks that are named by ID or area, in the catalogue's order; without names it returns all of them.
// In an area's name case does not matter and a hyphen may stand for a space. A name that selects nothing is an error.
func Select(catalogue []Check, names ...string) ([]Check, error) {
	if len(names) == 0 {
		return catalogue, nil
	}
	chosen := make([]bool, len(catalogue))
	for _, name := range names {
		found := false
		for i, c := range catalogue {
			if c.ID == name || areaKey(c.Area) == areaKey(name) {
				chosen[i], found = true, true
			}
		}
		if !found {
			return nil, fmt.Errorf("no check or area is called %q: the areas are %s", name, strings.Join(Areas(catalogue), ", "))
		}
	}
	var selected []Check
	for i, c := range catalogue {
		if chosen[i] {
			selected = append(selected, c)
		}
	}
	return selected, nil
}

// Areas lists the areas of checks, each once, in the order of the catalogue.
func Areas(catalogue []Check) []string {
	var areas []string
	for _, c := range catalogue {
		if !slices.Contains(areas, c.Area) {
			areas = append(areas, c.Area)
		}
	}
	return areas
}

func areaKey(s string) string { return strings.ReplaceAll(strings.ToLower(s), "-", " ") }
