package collect

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"
)

// runnerFunc is a Runner made of a function.
type runnerFunc func(ctx context.Context, command string, stdin io.Reader) (stdout, stderr []byte, err error)

func (f runnerFunc) Outputs(ctx context.Context, command string, stdin io.Reader) (stdout, stderr []byte, err error) {
	return f(ctx, command, stdin)
}

// answer is what is compared of an item.
type answer struct {
	Command, Stdout, Stderr, Err string
	Exit                         int
}

func answers(items []Item) []answer {
	var out []answer
	for _, i := range items {
		out = append(out, answer{Command: i.Command, Stdout: string(i.Stdout), Stderr: string(i.Stderr), Err: i.Err, Exit: i.Exit})
	}
	return out
}

// shells are what runs a batch: a real sh, as on a node, and the interpreter that stands for it in simulated ones.
func shells(t *testing.T) map[string]Runner {
	return map[string]Runner{
		"sh": runnerFunc(func(ctx context.Context, command string, stdin io.Reader) ([]byte, []byte, error) {
			var out, errs bytes.Buffer
			c := exec.CommandContext(ctx, "sh", "-s")
			c.Stdin, c.Stdout, c.Stderr = stdin, &out, &errs
			err := c.Run()
			return out.Bytes(), errs.Bytes(), err
		}),
		"interpreter": runnerFunc(func(ctx context.Context, command string, stdin io.Reader) ([]byte, []byte, error) {
			program, err := syntax.NewParser(syntax.Variant(syntax.LangPOSIX)).Parse(stdin, "batch")
			if err != nil {
				return nil, nil, err
			}
			var out, errs bytes.Buffer
			shell, err := interp.New(interp.StdIO(nil, &out, &errs), interp.Dir(t.TempDir()))
			if err != nil {
				return nil, nil, err
			}
			err = shell.Run(ctx, program)
			return out.Bytes(), errs.Bytes(), err
		}),
	}
}

func TestBatchInARealShell(t *testing.T) {
	tries, until := filepath.Join(t.TempDir(), "tries"), filepath.Join(t.TempDir(), "until")
	batch := []command{
		{Text: "printf 'no newline'"},
		{Text: "printf 'labctl 1\\n\\nlabctl 1 0\\n'"}, // looks like a frame
		{Text: "echo out; echo err >&2; exit 7"},
		{Text: "nosuchprogram"},
		{Text: "cat"}, // standard input is empty, not the rest of the script
		{Text: "printf 'a\\000b\\n\\n'"},
		{Text: "printf x >>" + tries + "; [ \"$(cat " + tries + ")\" != xxx ]", Times: 8},
		{Text: "true", Times: 3},
		{Text: "printf x >>" + until + "; [ \"$(cat " + until + ")\" = xxx ]", Times: 8, Until: true},
		{Text: "exit 4", Times: 2, Until: true},
		{Text: "false"},
		{Text: "echo only after a failure; exit 3", IfFailed: true},
		{Text: "true"},
		{Text: "echo never", IfFailed: true},
	}
	want := []answer{
		{Command: batch[0].Text, Stdout: "no newline"},
		{Command: batch[1].Text, Stdout: "labctl 1\n\nlabctl 1 0\n"},
		{Command: batch[2].Text, Stdout: "out\n", Stderr: "err\n", Exit: 7},
		{Command: batch[3].Text, Exit: 127},
		{Command: batch[4].Text},
		{Command: batch[5].Text, Stdout: "a\x00b\n\n"},
		{Command: batch[6].Text},
		{Command: batch[6].Text},
		{Command: batch[6].Text, Exit: 1},
		{Command: batch[7].Text},
		{Command: batch[7].Text},
		{Command: batch[7].Text},
		{Command: batch[8].Text, Exit: 1},
		{Command: batch[8].Text, Exit: 1},
		{Command: batch[8].Text},
		{Command: batch[9].Text, Exit: 4},
		{Command: batch[9].Text, Exit: 4},
		{Command: batch[10].Text, Exit: 1},
		{Command: batch[11].Text, Stdout: "only after a failure\n", Exit: 3},
		{Command: batch[12].Text},
	}
	for name, r := range shells(t) {
		t.Run(name, func(t *testing.T) {
			os.Remove(tries)
			os.Remove(until)
			got := answers(runBatch(t.Context(), r, "w1", batch))
			if !strings.Contains(got[3].Stderr, "not found") {
				t.Errorf("a program that does not exist says %q", got[3].Stderr)
			}
			got[3].Stderr = "" // each shell has its own words
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// What a pod runs several times has an answer for each time, up to the first that fails; what came of the rest is told too.
func TestPodScriptInARealShell(t *testing.T) {
	file := filepath.Join(t.TempDir(), "tries")
	lines := []podLine{
		{text: "echo one"},
		{text: "printf x >>" + file + "; [ \"$(cat " + file + ")\" != xxx ]", times: 8},
		{text: "printf 'labctl N 0\\nno newline'", times: 2},
		{text: "nosuchprogram", times: 2},
		{text: "false"},
	}
	name := func(i int) string { return "kubectl exec -n labctl p -- " + lines[i].text }
	failed := func(exit string) string { return "\n" + inPod + " " + exit + "\n" }
	want := []answer{
		{Command: name(0), Stdout: "one\n"},
		{Command: name(1)}, {Command: name(1)}, {Command: name(1), Exit: 1, Stderr: failed("1")},
		{Command: name(2), Stdout: "labctl N 0\nno newline"}, {Command: name(2), Stdout: "labctl N 0\nno newline"},
		{Command: name(3), Exit: 127, Stderr: failed("127")},
		{Command: name(4), Exit: 1, Stderr: failed("1")},
	}
	for shellName, r := range shells(t) {
		os.Remove(file)
		s := newPodScript("labctl", "p", lines)
		out, _, err := r.Outputs(t.Context(), "", strings.NewReader(s.text()))
		if err != nil {
			t.Fatal(err)
		}
		got := answers(s.items(Item{Where: "cp1", Stdout: out}))
		got[6].Stderr = failed("127") // each shell has its own words before it
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", shellName, diff)
		}

		// Cut off between two tries, the one that is missing says so, and so does all that should have come after it.
		cut := bytes.Index(out, []byte("labctl "+s.nonce+" 2\n")) + 1
		cut += bytes.Index(out[cut:], []byte("labctl "+s.nonce+" 2\n"))
		got = answers(s.items(Item{Where: "cp1", Stdout: out[:cut], Stderr: []byte("error: stream closed\n"), Exit: 1}))
		const why = "the pod did not come to this: error: stream closed"
		rest := append(want[:5:5], answer{Command: name(2), Err: why}, answer{Command: name(3), Err: why}, answer{Command: name(4), Err: why})
		if diff := cmp.Diff(rest, got); diff != "" {
			t.Errorf("%s, cut off: (-want +got)\n%s", shellName, diff)
		}
	}
}

// More commands beside each other than run at once still all answer, in their order.
func TestManyApart(t *testing.T) {
	var batch []command
	for i := range 2*apartAtOnce + 1 {
		batch = append(batch, command{Text: fmt.Sprint("echo ", i)})
	}
	for name, r := range shells(t) {
		items := runApart(t.Context(), r, "w1", batch)
		if len(items) != len(batch) {
			t.Errorf("%s: %d answers, want %d", name, len(items), len(batch))
		}
		for at, i := range items {
			if string(i.Stdout) != fmt.Sprintln(at) || i.problem() != "" {
				t.Errorf("%s: %d is %+v", name, at, i)
			}
		}
	}
}

// A batch leaves nothing behind on the node, whatever its commands do.
func TestBatchCleansUp(t *testing.T) {
	dir := t.TempDir()
	c := exec.CommandContext(t.Context(), "sh", "-s")
	c.Env = append(os.Environ(), "TMPDIR="+dir)
	c.Stdin = strings.NewReader(framing{[]command{{Text: "echo x"}, {Text: "false"}}, "N"}.script())
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

func TestBrokenFrames(t *testing.T) {
	const goodErr = "labctl N 0\n\nlabctl N 0 0\n"
	good := "labctl N 0\ncp1\n\nlabctl N 0 0\n"
	for name, x := range map[string]struct {
		out, errs string
		frames    int
		err       string
	}{
		"nothing":                  {"", "", 0, ""},
		"one":                      {good, goodErr, 1, ""},
		"sudo complains":           {good, "sudo: unable to resolve host w1\n" + goodErr, 1, ""},
		"garbage":                  {"Welcome to Ubuntu\n", "", 0, `"Welcome to Ubuntu" is no frame's head`},
		"garbage after one":        {good + "\x00\xff\n", goodErr, 1, "is no frame's head"},
		"garbage without end":      {good + strings.Repeat("x", 1000), goodErr, 1, "is no frame's head"},
		"cut in the head":          {good + "labctl N 1", goodErr, 1, "is no frame's head"},
		"cut in the output":        {good + "labctl N 1\nabc", goodErr, 1, "command 1 is cut short after 3 bytes"},
		"cut before the end":       {"labctl N 0\ncp1\n", goodErr, 0, "cut short after 4 bytes"},
		"cut before the status":    {"labctl N 0\ncp1\n\nlabctl N 0 ", goodErr, 0, "does not end with its exit status"},
		"cut in the status":        {"labctl N 0\ncp1\n\nlabctl N 0 1", goodErr, 0, "does not end with its exit status"},
		"another's nonce":          {"labctl M 0\ncp1\n\nlabctl M 0 0\n", goodErr, 0, "is no frame's head"},
		"a number beyond integers": {"labctl N 99999999999999999999\n\n", goodErr, 0, "is no frame's head"},
		"a negative index":         {"labctl N -1\n\nlabctl N -1 0\n", goodErr, 0, "is no frame's head"},
		"an index out of range":    {"labctl N 2\n\nlabctl N 2 0\n", goodErr, 0, "is no frame's head"},
		"an exit out of range":     {"labctl N 0\n\nlabctl N 0 256\n", goodErr, 0, "does not end with its exit status"},
		"too large":                {"labctl N 0\n" + strings.Repeat("x", maxOutput+1) + "\nlabctl N 0 0\n", goodErr, 0, "too large"},
		"no standard error":        {good, "", 0, "the standard error of command 0: it is missing"},
		"cut standard error":       {good, "labctl N 0\nwar", 0, "the standard error of command 0: the answer of command 0 is cut short"},
		"another's standard error": {good, "labctl N 1\n\nlabctl N 1 0\n", 0, "the standard error of command 0: it is that of command 1"},
		"another end":              {good, "labctl N 0\n\nlabctl N 0 1\n", 0, "the standard error of command 0: it is that of command 0"},
	} {
		frames, err := framing{make([]command, 2), "N"}.parse([]byte(x.out), []byte(x.errs))
		if len(frames) != x.frames {
			t.Errorf("%s: %d frames, want %d", name, len(frames), x.frames)
		}
		if x.err == "" && err != nil || x.err != "" && (err == nil || !strings.Contains(err.Error(), x.err)) {
			t.Errorf("%s: error %v, want %q", name, err, x.err)
		}
	}
}

// What came before a batch broke is kept; the rest says why it is missing.
func TestBatchThatBreaks(t *testing.T) {
	batch := []command{{Text: "hostname"}, {Text: "ip -j addr"}}
	hangs := errors.New("w1: context deadline exceeded with --token=abcdef")
	for name, x := range map[string]struct {
		out  string
		err  error
		want []answer
	}{
		"it hangs": {"labctl N 0\nw1\n\nlabctl N 0 0\nlabctl N 1\n[", hangs, []answer{
			{Command: "hostname", Stdout: "w1\n"},
			{Command: "ip -j addr", Err: "w1: context deadline exceeded with --token=REDACTED"},
		}},
		"it is cut short": {"labctl N 0\nw1\n\nlabctl N 0 0\nlabctl N 1\n[{", nil, []answer{
			{Command: "hostname", Stdout: "w1\n"},
			{Command: "ip -j addr", Err: "the answer of command 1 is cut short after 2 bytes"},
		}},
		"it says nothing": {"", nil, []answer{
			{Command: "hostname", Err: "no answer"},
			{Command: "ip -j addr", Err: "no answer"},
		}},
	} {
		r := runnerFunc(func(context.Context, string, io.Reader) ([]byte, []byte, error) {
			return []byte(x.out), []byte("labctl N 0\n\nlabctl N 0 0\nlabctl N 1\n"), x.err
		})
		if diff := cmp.Diff(x.want, answers(framing{batch, "N"}.run(t.Context(), r, "w1"))); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", name, diff)
		}
	}
}

// A command that is to be repeated is not done when its tries so far went well and the session ended: the rest says that it is missing.
func TestRepeatedCommandCutOff(t *testing.T) {
	cut := errors.New("w1: connection lost")
	frame := func(exit int) string { return fmt.Sprintf("labctl N 0\n\nlabctl N 0 %d\n", exit) }
	tried := func(exit int) answer { return answer{Command: "curl", Exit: exit} }
	lost := answer{Command: "curl", Err: cut.Error()}
	for name, x := range map[string]struct {
		command command
		out     string
		err     error
		want    []answer
	}{
		"after one of three":                  {command{Times: 3}, frame(0), cut, []answer{tried(0), lost}},
		"within the second":                   {command{Times: 3}, frame(0) + "labctl N 0\n2", cut, []answer{tried(0), lost}},
		"after two, without an error":         {command{Times: 3}, frame(0) + frame(0), nil, []answer{tried(0), tried(0), {Command: "curl", Err: "no answer"}}},
		"after all":                           {command{Times: 2}, frame(0) + frame(0), cut, []answer{tried(0), tried(0)}},
		"after one that failed":               {command{Times: 3}, frame(0) + frame(7), cut, []answer{tried(0), tried(7)}},
		"until it succeeds, after a failure":  {command{Times: 3, Until: true}, frame(7), cut, []answer{tried(7), lost}},
		"until it succeeds, after success":    {command{Times: 3, Until: true}, frame(7) + frame(0), cut, []answer{tried(7), tried(0)}},
		"until it succeeds, after all failed": {command{Times: 2, Until: true}, frame(7) + frame(7), cut, []answer{tried(7), tried(7)}},
	} {
		x.command.Text = "curl"
		r := runnerFunc(func(context.Context, string, io.Reader) ([]byte, []byte, error) {
			return []byte(x.out), []byte(x.out), x.err
		})
		if diff := cmp.Diff(x.want, answers(framing{[]command{x.command}, "N"}.run(t.Context(), r, "w1"))); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", name, diff)
		}
	}
}

func TestRedact(t *testing.T) {
	ca := strings.Repeat("ab", 32)
	for in, want := range map[string]string{
		"K10" + ca + "::server:s3cret x":               "K10" + ca + "::REDACTED x",
		`["server","--token","s3cret","--node-ip"]`:    `["server","--token","REDACTED","--node-ip"]`,
		`"[\"agent\",\"--token\",\"s3cret\",\"x\"]"`:   `"[\"agent\",\"--token\",\"REDACTED\",\"x\"]"`,
		`"{\"K3S_TOKEN\":\"s3cret\",\"A\":\"b\"}"`:     `"{\"K3S_TOKEN\":\"REDACTED\",\"A\":\"b\"}"`,
		"k3s agent --token s3cret --server https://x":  "k3s agent --token REDACTED --server https://x",
		"k3s agent --agent-token=s3cret":               "k3s agent --agent-token=REDACTED",
		"a service account token, and /run/token":      "a service account token, and /run/token",
		`"serviceAccountToken": {"path": "token"}`:     `"serviceAccountToken": {"path": "token"}`,
		"--token-file /etc/rancher/token is no secret": "--token-file /etc/rancher/token is no secret",
	} {
		if got := string(redact([]byte(in))); got != want {
			t.Errorf("redact(%s)\n got %s\nwant %s", in, got, want)
		}
	}
}
