package engine

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pulumi/pulumi/pkg/v3/engine"
	"github.com/pulumi/pulumi/sdk/v3/go/common/diag"
	"github.com/pulumi/pulumi/sdk/v3/go/common/diag/colors"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/tokens"
)

// Op is what happens to a resource.
type Op string

// The operations that labctl tells apart.
const (
	Same    Op = "same"
	Create  Op = "create"
	Update  Op = "update"
	Replace Op = "replace"
	Delete  Op = "delete"
)

// Change is what one run does, or would do, to one resource.
type Change struct {
	Type string // the last part of the type: "Machine"
	Name string
	Op   Op
	Diff []Difference
}

// Difference is an input that differs: as it was made, or as a refresh has found it, and as the program wants it. A value is nil where
// there is none, and where it is not known yet.
type Difference struct {
	Property string
	Old, New any
}

// Properties are the names of the inputs that differ.
func (c Change) Properties() []string {
	var names []string
	for _, d := range c.Diff {
		names = append(names, d.Property)
	}
	return names
}

// Phase says how far a step is.
type Phase string

// The phases of a step.
const (
	Begin Phase = "begin"
	Done  Phase = "done"
	Fail  Phase = "fail"
)

// Event is told as a step begins and ends.
type Event struct {
	Change
	Phase Phase
}

// Error is a run that did not do all it should. Diagnostics are the engine's messages; what failed in the provider is
// known better there.
type Error struct {
	Verb        string
	Diagnostics []string
	Err         error
}

func (e *Error) Error() string {
	if len(e.Diagnostics) > 0 {
		return fmt.Sprintf("%s: %s", e.Verb, strings.Join(e.Diagnostics, "; "))
	}
	return fmt.Sprintf("%s: %v", e.Verb, e.Err)
}

func (e *Error) Unwrap() error { return e.Err }

// outcome is what a run's events amount to.
type outcome struct {
	changes     []Change
	diagnostics []string
}

// watch reads the engine's events until their channel is closed.
func watch(events <-chan engine.Event, tell func(Event)) <-chan outcome {
	result := make(chan outcome, 1)
	go func() {
		var o outcome
		index := map[string]int{}
		for e := range events {
			switch p := e.Payload().(type) {
			case engine.ResourcePreEventPayload:
				c, ok := change(p.Metadata)
				if !ok {
					continue
				}
				key := c.Type + "/" + c.Name
				if i, seen := index[key]; seen {
					o.changes[i] = merge(o.changes[i], c)
				} else {
					index[key] = len(o.changes)
					o.changes = append(o.changes, c)
				}
				send(tell, Event{c, Begin})
			case engine.ResourceOutputsEventPayload:
				if c, ok := change(p.Metadata); ok {
					send(tell, Event{c, Done})
				}
			case engine.ResourceOperationFailedPayload:
				if c, ok := change(p.Metadata); ok {
					send(tell, Event{c, Fail})
				}
			case engine.DiagEventPayload:
				if p.Severity == diag.Error {
					text := strings.TrimSpace(colors.Never.Colorize(p.Prefix + p.Message))
					o.diagnostics = append(o.diagnostics, text)
				}
			}
		}
		result <- o
	}()
	return result
}

func send(tell func(Event), e Event) {
	if tell != nil {
		tell(e)
	}
}

// merge keeps the stronger of two steps of one resource: a replacement comes as a deletion, a creation and more.
func merge(a, b Change) Change {
	if a.Op == Replace || b.Op == Replace || (a.Op != b.Op && a.Op != Same && b.Op != Same) {
		a.Op = Replace
	} else if a.Op == Same {
		a.Op = b.Op
	}
	if len(a.Diff) == 0 {
		a.Diff = b.Diff
	}
	return a
}

// change translates a step; it leaves out the stack itself, the provider, and what was not asked for.
func change(m engine.StepEventMetadata) (Change, bool) {
	if m.Untargeted || m.URN.QualifiedType() == "pulumi:pulumi:Stack" || m.Type.Package() == tokens.Package("pulumi") {
		return Change{}, false
	}
	c := Change{Type: string(m.Type.Name()), Name: m.URN.Name()}
	switch m.Op {
	case "create":
		c.Op = Create
	case "update":
		c.Op = Update
	case "delete":
		c.Op = Delete
	case "replace", "create-replacement", "delete-replaced", "discard-replaced", "remove-pending-replace":
		c.Op = Replace
	case "refresh":
		c.Op = Same
		if m.New == nil || m.New.State == nil {
			c.Op = Delete
		}
	default:
		if m.Old != nil && m.Old.State != nil && m.Old.State.ID == "" { // neither there nor asked for
			return Change{}, false
		}
		c.Op = Same
	}
	for _, k := range slices.Sorted(slices.Values(m.Diffs)) {
		c.Diff = append(c.Diff, Difference{Property: string(k), Old: input(m.Old, k), New: input(m.New, k)})
	}
	return c, true
}

func input(state *engine.StepEventStateMetadata, key resource.PropertyKey) any {
	if state == nil {
		return nil
	}
	v, ok := state.Inputs[key]
	if !ok || v.ContainsUnknowns() {
		return nil
	}
	return v.Mappable()
}
