package collect

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Runner runs a command on one node and returns what it printed; with an error, what came until then. Several may run at a time.
type Runner interface {
	Outputs(ctx context.Context, command string, stdin io.Reader) (stdout, stderr []byte, err error)
}

// shell is what a batch is fed to: its script comes by standard input, and some of its commands need root.
const shell = "sudo sh -s"

// apartAtOnce bounds how many batches run beside each other on a node: a kubectl takes some 60 MiB of a small machine.
const apartAtOnce = 6

// maxOutput bounds the output of one command that is accepted, in bytes.
const maxOutput = 32 << 20

// k3sPrograms are the folders where k3s keeps programs of its own, for guests that have no iptables-save or conntrack.
const (
	k3sPrograms = "/var/lib/rancher/k3s/data/current/bin:" + k3sAux
	k3sAux      = "/var/lib/rancher/k3s/data/current/bin/aux"
)

// framing is a batch and the word by which its answers are told apart, which no output can know.
type framing struct {
	batch []command
	nonce string
}

// script is a POSIX shell script that runs the commands and frames what each prints, on either stream, so that none can be taken for
// another's:
//
//	labctl NONCE INDEX NEWLINE output NEWLINE labctl NONCE INDEX EXIT NEWLINE
//
// It needs no program and no file of the node's. All of it is read before the first command runs, and none of them reads on in it.
func (f framing) script() string {
	var s strings.Builder
	s.WriteString("PATH=$PATH:" + k3sPrograms + "\nexport PATH\n")
	fmt.Fprintf(&s, `run() {
	printf 'labctl %[1]s %%d\n' "$1"
	printf 'labctl %[1]s %%d\n' "$1" >&2
	("c$1")
	s=$?
	printf '\nlabctl %[1]s %%d %%d\n' "$1" "$s"
	printf '\nlabctl %[1]s %%d %%d\n' "$1" "$s" >&2
	return "$s"
}
`, f.nonce)
	for i, c := range f.batch {
		fmt.Fprintf(&s, "c%d() {\n%s\n}\n", i, c.shell())
	}
	s.WriteString("{\n")
	for i, c := range f.batch {
		switch {
		case c.IfFailed:
			fmt.Fprintf(&s, "[ \"$s\" -eq 0 ] || run %d\n", i)
		case c.Until:
			fmt.Fprintf(&s, "n=0\nwhile [ \"$n\" -lt %d ]; do\n\trun %d && break\n\tn=$((n + 1))\ndone\n", c.Times, i)
		case c.Times > 1:
			fmt.Fprintf(&s, "n=0\nwhile [ \"$n\" -lt %d ]; do\n\trun %d || break\n\tn=$((n + 1))\ndone\n", c.Times, i)
		default:
			fmt.Fprintf(&s, "run %d\n", i)
		}
	}
	s.WriteString("} </dev/null\nexit 0\n")
	return s.String()
}

// frame is one framed answer.
type frame struct {
	index, exit    int
	stdout, stderr []byte
}

// parse reads the framed answers of a batch. With an error it returns the frames before the one that is broken.
func (f framing) parse(stdout, stderr []byte) ([]frame, error) {
	// What is printed before the first command is sudo's, which complains of a host name that it cannot resolve.
	if at := bytes.Index(stderr, []byte("labctl "+f.nonce+" ")); at > 0 {
		stderr = stderr[at:]
	}
	var frames []frame
	for len(stdout) > 0 {
		out, rest, err := f.frame(stdout)
		if err != nil {
			return frames, err
		}
		errs, restErrs, err := f.frame(stderr)
		if err == nil && (errs.index != out.index || errs.exit != out.exit) {
			err = fmt.Errorf("it is that of command %d", errs.index)
		}
		if err != nil {
			return frames, fmt.Errorf("the standard error of command %d: %w", out.index, err)
		}
		out.stderr = errs.stdout
		frames = append(frames, out)
		stdout, stderr = rest, restErrs
	}
	return frames, nil
}

// frame reads one answer off the front of a stream.
func (f framing) frame(stream []byte) (one frame, rest []byte, err error) {
	head, rest, ok := bytes.Cut(stream, []byte("\n"))
	index, known := strings.CutPrefix(string(head[:min(len(head), 80)]), "labctl "+f.nonce+" ")
	if one.index, err = strconv.Atoi(index); !ok || !known || err != nil || one.index < 0 || one.index >= len(f.batch) {
		if len(stream) == 0 {
			return frame{}, nil, errors.New("it is missing")
		}
		return frame{}, nil, fmt.Errorf("%q is no frame's head", firstLine(head))
	}
	tail := fmt.Appendf(nil, "\nlabctl %s %d ", f.nonce, one.index)
	text, rest, ok := bytes.Cut(rest, tail)
	if !ok {
		return frame{}, nil, fmt.Errorf("the answer of command %d is cut short after %d bytes", one.index, len(text))
	}
	if len(text) > maxOutput {
		return frame{}, nil, fmt.Errorf("the answer of command %d is too large: more than %d MiB", one.index, maxOutput>>20)
	}
	exit, rest, ok := bytes.Cut(rest, []byte("\n"))
	if one.exit, err = strconv.Atoi(string(exit[:min(len(exit), 80)])); !ok || err != nil || one.exit < 0 || one.exit > 255 {
		return frame{}, nil, fmt.Errorf("the answer of command %d does not end with its exit status", one.index)
	}
	one.stdout = slices.Clip(text)
	return one, rest, nil
}

// runBatch runs the commands on a node. It has an item for every command: one without an answer says why.
func runBatch(ctx context.Context, r Runner, node string, batch []command) []Item {
	if len(batch) == 0 {
		return nil
	}
	return framing{batch, rand.Text()}.run(ctx, r, node)
}

func (f framing) run(ctx context.Context, r Runner, node string) []Item {
	batch := f.batch
	started := time.Now()
	out, errs, runErr := r.Outputs(ctx, shell, strings.NewReader(f.script()))
	frames, err := f.parse(out, errs)
	if err = errors.Join(runErr, err); runErr != nil {
		err = runErr // the broken frame is only its consequence
	}
	took := time.Since(started)
	tried, last := make([]int, len(batch)), make([]int, len(batch)) // times that each was run to its end, and its last exit status
	var items []Item
	for _, f := range frames {
		tried[f.index]++
		last[f.index] = f.exit
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
		if c.complete(tried[i], last[i]) {
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

// runApart runs commands that don't wait for each other: a few batches at a time, each in a session of its own.
func runApart(ctx context.Context, r Runner, node string, batch []command) []Item {
	if len(batch) == 0 {
		return nil
	}
	chunks := slices.Collect(slices.Chunk(batch, (len(batch)+apartAtOnce-1)/apartAtOnce))
	items := make([][]Item, len(chunks))
	var group sync.WaitGroup
	for i, chunk := range chunks {
		group.Go(func() { items[i] = runBatch(ctx, r, node, chunk) })
	}
	group.Wait()
	return slices.Concat(items...)
}
