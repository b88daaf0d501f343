package collect

import (
	"fmt"
	"strings"
	"time"

	"github.com/labctl/labctl/internal/config"
)

// Evidence is every command that was run, with its output: all that a verdict rests on.
type Evidence struct {
	Lab       *config.Lab
	Simulated bool
	Items     []Item
}

// Item is one command and what came of it. A command that is repeated has one item for each time.
type Item struct {
	Where   string // a node's name, checks.Host or VirtualBox
	Command string // paste-able at Where
	Stdout  []byte
	Stderr  []byte
	Exit    int
	Err     string // why it could not be run or its output not be had; then Exit says nothing
	Started time.Time
	Took    time.Duration
}

// VirtualBox is Where of what VirtualBox says about the machines.
const VirtualBox = "virtualbox"

// problem says why the item's output is not to be used; it is empty for a command that succeeded.
func (i Item) problem() string {
	switch {
	case i.Err != "":
		return fmt.Sprintf("%s: %s", i.Where, i.Err)
	case i.Exit != 0:
		why := fmt.Sprintf("%s: %s: exit status %d", i.Where, i.Command, i.Exit)
		if line := firstLine(i.Stderr); line != "" {
			why += ": " + line
		}
		return why
	default:
		return ""
	}
}

// find returns the first item of a command at a place.
func (e *Evidence) find(where, command string) (Item, bool) {
	for _, i := range e.Items {
		if i.Where == where && plain(i.Command) == command {
			return i, true
		}
	}
	return Item{}, false
}

// plain is a command without the sudo that people put before it; labctl's own run as root.
func plain(command string) string { return strings.TrimPrefix(command, "sudo ") }

// firstLine returns the first line of an output that is not empty, cut to a readable length.
func firstLine(out []byte) string {
	const longest = 200
	for line := range strings.Lines(string(out[:min(len(out), 4096)])) {
		line = strings.TrimSpace(strings.ToValidUTF8(line, "?"))
		if line == "" {
			continue
		}
		if len(line) > longest {
			line = strings.ToValidUTF8(line[:longest], "") + "..."
		}
		return line
	}
	return ""
}
