package fault

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/labctl/labctl/internal/config"
)

// Fault is one way to break a lab.
type Fault struct {
	ID          string
	Title       string // what is wrong, lower case
	Explanation string // why what fails fails, and what goes on working
	Exercise    string // the number of the exercise that it belongs to
	// Fails are the ids of exactly those checks that fail in a healthy lab of three nodes or more with this one fault, by kube-proxy's mode.
	// A mode that is not in it has nothing that this fault could break.
	Fails map[config.ProxyMode][]string

	workers int // how many agents the lab must have
	script  func(places) Script
}

// In says whether a lab can have the fault.
func (f Fault) In(lab *config.Lab) error {
	if _, ok := f.Fails[lab.K3s.KubeProxyMode]; !ok {
		return fmt.Errorf("fault %q: a lab whose kube-proxy mode is %s has nothing for it to break", f.ID, lab.K3s.KubeProxyMode)
	}
	if n := len(lab.Nodes) - 1; n < f.workers {
		return fmt.Errorf("fault %q needs %d workers, and the lab has %d", f.ID, f.workers, n)
	}
	return nil
}

// Script returns what the fault does in a lab.
func (f Fault) Script(lab *config.Lab) (Script, error) {
	if err := f.In(lab); err != nil {
		return Script{}, err
	}
	return f.script(placesOf(lab)), nil
}

// Script is a fault in one lab.
type Script struct {
	Ask   []Question // answered before anything is injected
	Break []Action
	Undo  []Action
}

// Question is a command on a node whose output, a line that is not empty, later commands find in a shell variable of that name.
type Question struct {
	Name    string
	Where   string
	Command string
	Missing string // why there may be no answer, for people
}

// Action is one step. Either of Command, Cable and Route is set.
type Action struct {
	Where   string `json:"where"`             // the node's name, or $NAME for an answer; VirtualBox or Host
	Command string `json:"command,omitempty"` // for the node's shell, as the user labctl logs in as
	Until   bool   `json:"until,omitempty"`   // repeat it until it succeeds
	Cable   *Cable `json:"cable,omitempty"`
	Route   *Route `json:"route,omitempty"`
}

// Places of an action other than nodes.
const (
	VirtualBox = "virtualbox"
	Host       = "host"
)

// Cable is the cable of a NIC of a node's machine. Slots count from 1.
type Cable struct {
	Lab     string `json:"lab,omitempty"` // its name, which VirtualBox's name of the machine begins with
	Node    string `json:"node"`
	Slot    int    `json:"slot"`
	Plugged bool   `json:"plugged"`
}

// Route is a route of the host.
type Route struct {
	To      netip.Prefix `json:"to"`
	Via     netip.Addr   `json:"via"`
	Present bool         `json:"present"`
}

// String is what a person would type for the action.
func (a Action) String() string {
	switch {
	case a.Cable != nil:
		return fmt.Sprintf("VBoxManage controlvm %s-%s setlinkstate%d %s", a.Cable.Lab, a.Cable.Node, a.Cable.Slot, map[bool]string{true: "on", false: "off"}[a.Cable.Plugged])
	case a.Route != nil:
		return a.Route.Command()
	}
	return a.Command
}

// Command is what Linux is told.
func (r Route) Command() string {
	return fmt.Sprintf("sudo ip route %s %s via %s", map[bool]string{true: "add", false: "del"}[r.Present], r.To, r.Via)
}

// Catalogue returns all faults, in the order of the exercises they belong to.
func Catalogue() []Fault {
	all := slices.Concat(nodeFaults(), clusterFaults(), podNetworkFaults(), serviceFaults(), proxyFaults())
	slices.SortStableFunc(all, func(a, b Fault) int { return strings.Compare(a.Exercise, b.Exercise) })
	return all
}

// ErrUnknown says that there is no fault of that name.
var ErrUnknown = errors.New("no such fault")

// Get returns the fault with that id.
func Get(id string) (Fault, error) {
	all := Catalogue()
	i := slices.IndexFunc(all, func(f Fault) bool { return f.ID == id })
	if i < 0 {
		var ids []string
		for _, f := range all {
			ids = append(ids, f.ID)
		}
		return Fault{}, fmt.Errorf("%q: %w: there are %s", id, ErrUnknown, strings.Join(ids, ", "))
	}
	return all[i], nil
}
