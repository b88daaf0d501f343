package snapshots

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/labctl/labctl/vbox"
)

// Snapshot is one save of the lab.
type Snapshot struct {
	Name  string
	Taken time.Time
	// Problem says why it can't be restored; empty if it is complete.
	Problem string
	// Current says that all machines go on from it.
	Current bool

	parts []part
}

// Complete says whether every machine of the lab can be taken back to it.
func (s Snapshot) Complete() bool { return s.Problem == "" }

// part is the snapshot of one machine.
type part struct {
	node  string
	uuid  string
	owner label
	vbox.Snapshot
}

// label is what a part's description says.
type label struct {
	lab, save string
	taken     time.Time
	nodes     []string
}

// prefix begins the name of every snapshot of labctl's, for people who look at them in VirtualBox.
const prefix = "labctl-"

var description = regexp.MustCompile(`^labctl lab=(\S+) save=(\S+) at=(\S+) nodes=(\S+)$`)

func (l label) String() string {
	return fmt.Sprintf("labctl lab=%s save=%s at=%s nodes=%s", l.lab, l.save, l.taken.UTC().Format(time.RFC3339), strings.Join(l.nodes, ","))
}

// parseLabel reads a description; false if labctl did not write it.
func parseLabel(s string) (label, bool) {
	m := description.FindStringSubmatch(s)
	if m == nil {
		return label{}, false
	}
	taken, err := time.Parse(time.RFC3339, m[3])
	return label{lab: m[1], save: m[2], taken: taken, nodes: strings.Split(m[4], ",")}, err == nil
}

var validName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,39}$`)

// CheckName refuses a name that is none: it goes into commands and onto disk.
func CheckName(name string) error {
	if !validName.MatchString(name) {
		return fmt.Errorf("%q is no name for a snapshot: use up to 40 letters, digits, dots, hyphens and underscores, the first one a letter or a digit", name)
	}
	return nil
}

// Errors of Set's methods.
var (
	ErrNotFound   = errors.New("there is no such snapshot")
	ErrExists     = errors.New("there is a snapshot of that name already")
	ErrIncomplete = errors.New("the snapshot is incomplete")
	ErrForeign    = errors.New("it was not made by this lab and is left alone")
)

// gather puts parts together. nodes are the lab's machines as they are now, in order.
func gather(parts []part, nodes []string) []Snapshot {
	var all []Snapshot
	for _, p := range parts {
		name := strings.TrimPrefix(p.Name, prefix)
		i := slices.IndexFunc(all, func(s Snapshot) bool { return s.Name == name })
		if i < 0 {
			i = len(all)
			all = append(all, Snapshot{Name: name})
		}
		all[i].parts = append(all[i].parts, p)
		if p.owner.taken.After(all[i].Taken) {
			all[i].Taken = p.owner.taken
		}
	}
	for i := range all {
		all[i].Problem = problem(all[i].parts, nodes)
		all[i].Current = !slices.ContainsFunc(nodes, func(n string) bool {
			return !slices.ContainsFunc(all[i].parts, func(p part) bool { return p.node == n && p.Snapshot.Current })
		})
	}
	slices.SortStableFunc(all, func(a, b Snapshot) int { return a.Taken.Compare(b.Taken) })
	return all
}

// problem says what a save lacks.
func problem(parts []part, nodes []string) string {
	var missing, later []string
	for _, p := range parts {
		if p.owner.save != parts[0].owner.save {
			return "its machines were saved at different times"
		}
	}
	planned := parts[0].owner.nodes
	for _, n := range nodes {
		switch {
		case slices.ContainsFunc(parts, func(p part) bool { return p.node == n }):
		case slices.Contains(planned, n):
			missing = append(missing, n)
		default:
			later = append(later, n)
		}
	}
	switch {
	case len(missing) > 0:
		return "it lacks " + strings.Join(missing, ", ")
	case len(later) > 0:
		return "it was taken before there was " + strings.Join(later, ", ")
	}
	for _, n := range planned {
		if !slices.Contains(nodes, n) {
			return "it was taken when there was " + n
		}
	}
	return ""
}
