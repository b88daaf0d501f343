package collect

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// podScript is several commands for one pod, fed to one shell there. A kubectl exec for each of them would take a small machine
// seconds. It writes no file, so it cannot count bytes: a nonce that no output can know frames the answers.
type podScript struct {
	namespace, pod string
	commands       []podLine
	nonce          string
}

// podLine is one command of a pod's script.
type podLine struct {
	text  string
	times int // 0 and 1 are once; otherwise until the first one that fails
}

func newPodScript(namespace, pod string, commands []podLine) *podScript {
	return &podScript{namespace: namespace, pod: pod, commands: commands, nonce: rand.Text()}
}

// text is the script: labctl NONCE INDEX, the command's output, and on a line of its own labctl NONCE INDEX EXIT.
func (s *podScript) text() string {
	var b strings.Builder
	for i, c := range s.commands {
		once := fmt.Sprintf("printf 'labctl %s %d\\n'\n%s 2>&1\ns=$?\nprintf '\\nlabctl %s %d %%d\\n' $s\n", s.nonce, i, c.text, s.nonce, i)
		if c.times > 1 {
			once = fmt.Sprintf("n=0\nwhile [ $n -lt %d ]; do\n%s[ $s -eq 0 ] || break\nn=$((n + 1))\ndone\n", c.times, once)
		}
		b.WriteString(once)
	}
	return b.String()
}

// items turns the answer of the one exec into those of an exec for each command, and for each time that it was run. One that got no
// answer says why.
func (s *podScript) items(whole Item) []Item {
	var items []Item
	rest := whole.Stdout
	begun := bytes.Contains(whole.Stdout, []byte("labctl "+s.nonce+" 0\n"))
	for i, c := range s.commands {
		item := Item{
			Where: whole.Where, Command: fmt.Sprintf("kubectl exec -n %s %s -- %s", s.namespace, s.pod, c.text),
			Started: whole.Started, Took: whole.Took, Err: whole.Err,
		}
		ended := false // by a failure, or after all its tries
		for tried := 0; whole.Err == "" && !ended; tried++ {
			output, exit, after, ok := s.frame(rest, i)
			if !ok {
				break
			}
			rest = after
			once := item
			once.Exit = exit
			if exit == 0 {
				once.Stdout = output
			} else {
				// kubectl would tell it so; the pod's two streams came as one. Clip: what follows in the buffer is still to be read.
				once.Stderr = fmt.Appendf(slices.Clip(bytes.TrimRight(output, "\n")), "\n%s %d\n", inPod, exit)
			}
			items = append(items, once)
			ended = exit != 0 || tried+1 >= c.times
		}
		if ended {
			continue
		}
		switch {
		case whole.Err != "":
		case !begun && whole.Exit != 0: // not even the first one was run: this is how any exec goes
			item.Exit, item.Stderr = whole.Exit, whole.Stderr
			if len(item.Stderr) == 0 && whole.Exit == exitTimeout {
				item.Stderr = fmt.Appendf(nil, "no answer within %d s\n", execLimit)
			}
		default:
			item.Err = "the pod did not come to this"
			if why := firstLine(whole.Stderr); why != "" {
				item.Err += ": " + why
			}
		}
		items = append(items, item)
	}
	return items
}

// exitTimeout is what timeout ends with when it had to end its command.
const exitTimeout = 124

// frame reads the answer of one command off the front of the output.
func (s *podScript) frame(out []byte, index int) (output []byte, exit int, after []byte, ok bool) {
	out, ok = bytes.CutPrefix(out, fmt.Appendf(nil, "labctl %s %d\n", s.nonce, index))
	if !ok {
		return nil, 0, nil, false
	}
	output, rest, ok := bytes.Cut(out, fmt.Appendf(nil, "\nlabctl %s %d ", s.nonce, index))
	if !ok {
		return nil, 0, nil, false
	}
	status, after, ok := bytes.Cut(rest, []byte("\n"))
	exit, err := strconv.Atoi(string(status))
	if !ok || err != nil || exit < 0 || exit > 255 {
		return nil, 0, nil, false
	}
	return slices.Clip(output), exit, after, true
}
