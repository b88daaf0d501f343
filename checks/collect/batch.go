package collect

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// Runner runs a command on one node and returns its standard output; with an error it returns what came until then.
type Runner interface {
	Run(ctx context.Context, command string, stdin io.Reader) (stdout []byte, err error)
}

// shell is what a batch is fed to: its script comes by standard input, and some of its commands need root.
const shell = "sudo sh -s"

// apartAtOnce bounds how many commands of a batch run beside each other: a kubectl takes some 60 MiB of a small machine.
const apartAtOnce = 6

// maxOutput bounds the output of one command that is accepted, in bytes.
const maxOutput = 32 << 20

// k3sPrograms are the folders where k3s keeps programs of its own, for guests that have no iptables-save or conntrack.
const k3sPrograms = "/var/lib/rancher/k3s/data/current/bin:/var/lib/rancher/k3s/data/current/bin/aux"

// script is a POSIX shell script that runs the commands and frames their output, so that none can be taken for another's:
//
//	labctl INDEX EXIT STDOUT-BYTES STDERR-BYTES NEWLINE stdout stderr NEWLINE
func script(batch []command) string {
	var s strings.Builder
	s.WriteString("PATH=$PATH:" + k3sPrograms + "\nexport PATH\n")
	s.WriteString(`d=$(mktemp -d) || exit 1
trap 'rm -rf "$d"' EXIT
run() {
	("c$1") >"$d/$1.out" 2>"$d/$1.err" </dev/null
	s=$?
	printf 'labctl %d %d %d %d\n' "$1" "$s" "$(wc -c <"$d/$1.out")" "$(wc -c <"$d/$1.err")"
	cat "$d/$1.out" "$d/$1.err"
	echo
	return "$s"
}
`)
	for i, c := range batch {
		fmt.Fprintf(&s, "c%d() {\n%s\n}\n", i, c.shell())
	}
	var apart []int
	wait := func() {
		if len(apart) == 0 {
			return
		}
		s.WriteString("wait\n")
		for _, i := range apart {
			fmt.Fprintf(&s, "cat \"$d/%d.frame\"\n", i)
		}
		apart = nil
	}
	for i, c := range batch {
		switch {
		case c.IfFailed:
			fmt.Fprintf(&s, "[ \"$s\" -eq 0 ] || run %d\n", i)
		case c.Unless != "":
			fmt.Fprintf(&s, "grep -q %s \"$d/%d.out\" || run %d\n", c.Unless, i-1, i)
		case c.Apart:
			fmt.Fprintf(&s, "run %d >\"$d/%d.frame\" &\n", i, i)
			if apart = append(apart, i); len(apart) == apartAtOnce {
				wait()
			}
		case c.Until:
			fmt.Fprintf(&s, "n=0\nwhile [ \"$n\" -lt %d ]; do\n\trun %d && break\n\tn=$((n + 1))\ndone\n", c.Times, i)
		case c.Times > 1:
			fmt.Fprintf(&s, "n=0\nwhile [ \"$n\" -lt %d ]; do\n\trun %d || break\n\tn=$((n + 1))\ndone\n", c.Times, i)
		default:
			fmt.Fprintf(&s, "run %d\n", i)
		}
	}
	wait()
	s.WriteString("exit 0\n")
	return s.String()
}

// frame is one framed answer.
type frame struct {
	index, exit    int
	stdout, stderr []byte
}

// parseFrames reads a batch's framed output. With an error it returns the frames before the one that is broken.
func parseFrames(out []byte, commands int) ([]frame, error) {
	var frames []frame
	for len(out) > 0 {
		end := bytes.IndexByte(out[:min(len(out), 80)], '\n')
		if end < 0 {
			return frames, fmt.Errorf("a frame's head is missing after %d answers", len(frames))
		}
		f, sizes, err := parseHead(string(out[:end]), commands)
		if err != nil {
			return frames, err
		}
		out = out[end+1:]
		if len(out) < sizes[0]+sizes[1]+1 {
			return frames, fmt.Errorf("the answer of command %d is cut short: %d bytes of %d", f.index, len(out), sizes[0]+sizes[1]+1)
		}
		f.stdout, f.stderr = out[:sizes[0]], out[sizes[0]:sizes[0]+sizes[1]]
		if out[sizes[0]+sizes[1]] != '\n' {
			return frames, fmt.Errorf("the answer of command %d does not end where it says", f.index)
		}
		out = out[sizes[0]+sizes[1]+1:]
		frames = append(frames, f)
	}
	return frames, nil
}

func parseHead(head string, commands int) (frame, [2]int, error) {
	bad := func() (frame, [2]int, error) {
		return frame{}, [2]int{}, fmt.Errorf("%q is no frame's head", firstLine([]byte(head)))
	}
	words := strings.Split(head, " ")
	if len(words) != 5 || words[0] != "labctl" {
		return bad()
	}
	var n [4]int
	for i, w := range words[1:] {
		v, err := strconv.Atoi(w)
		if err != nil || v < 0 {
			return bad()
		}
		n[i] = v
	}
	if n[0] >= commands || n[1] > 255 {
		return bad()
	}
	if n[2] > maxOutput || n[3] > maxOutput {
		return frame{}, [2]int{}, fmt.Errorf("the answer of command %d is too large: more than %d MiB", n[0], maxOutput>>20)
	}
	return frame{index: n[0], exit: n[1]}, [2]int{n[2], n[3]}, nil
}

// runBatch runs the commands on a node. It has an item for every command: one without an answer says why.
func runBatch(ctx context.Context, r Runner, node string, batch []command) []Item {
	if len(batch) == 0 {
		return nil
	}
	started := time.Now()
	out, runErr := r.Run(ctx, shell, strings.NewReader(script(batch)))
	frames, err := parseFrames(out, len(batch))
	if err = errors.Join(runErr, err); runErr != nil {
		err = runErr // the broken frame is only its consequence
	}
	took := time.Since(started)
	answered := make([]bool, len(batch))
	var items []Item
	for _, f := range frames {
		answered[f.index] = true
		item := Item{
			Where: node, Command: batch[f.index].Text, Exit: f.exit, Started: started, Took: took,
			Stdout: redact(f.stdout), Stderr: redact(f.stderr),
		}
		if inner := batch[f.index].Pod; inner != nil {
			items = append(items, inner.items(item)...)
			continue
		}
		items = append(items, item)
	}
	for i, c := range batch {
		if answered[i] || c.IfFailed || c.Unless != "" {
			continue
		}
		item := Item{Where: node, Command: c.Text, Err: "no answer", Started: started, Took: took}
		if err != nil {
			item.Err = string(redact([]byte(err.Error())))
		}
		if c.Pod != nil {
			items = append(items, c.Pod.items(item)...)
			continue
		}
		items = append(items, item)
	}
	return items
}
