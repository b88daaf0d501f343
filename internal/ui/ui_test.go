package ui

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files anew")

// screen is a Printer's surroundings: both streams go to one place, as on a terminal, and time passes when told.
type screen struct {
	mu       sync.Mutex
	out      bytes.Buffer
	now      time.Time
	tick     chan time.Time
	terminal bool
	env      map[string]string
}

// stream is one of a screen's; it is another value than its sibling, so that IsTerminal can tell them apart.
type stream struct {
	*screen
	name string
}

func (s stream) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out.Write(p)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out.String()
}

func (s *screen) options() Options {
	return Options{
		Stdin:  strings.NewReader(""),
		Stdout: stream{s, "stdout"}, Stderr: stream{s, "stderr"},
		Color:      "auto",
		Env:        func(name string) string { return s.env[name] },
		IsTerminal: func(any) bool { return s.terminal },
		Size:       func(io.Writer) (int, int) { return 60, 6 },
		Now:        func() time.Time { return s.now },
		Tick:       s.tick,
	}
}

func newScreen(terminal bool) *screen {
	return &screen{now: time.Unix(1_700_000_000, 0), tick: make(chan time.Time), terminal: terminal, env: map[string]string{}}
}

// story is what a run of labctl might print. Between its steps time passes, and a terminal is drawn anew.
func story(s *screen, p *Printer) {
	pass := func(d time.Duration) {
		s.now = s.now.Add(d)
		if s.terminal {
			p.draw()
		}
	}
	p.Info("lab \"lab\": 2 machines")
	p.Start("image", "image ubuntu-22.04")
	pass(100 * time.Millisecond)
	p.Step("image", "downloading\t1.0 of 4.0 MiB (25%)")
	pass(400 * time.Millisecond)
	p.Step("image", "downloading\t2.5 of 4.0 MiB (62%), 1.0 MiB/s, 2s left")
	pass(time.Second)
	p.Done("image", "")
	p.Start("w1", "machine w1")
	p.Limit("w1", 5*time.Minute)
	p.Start("w2", "machine w2")
	pass(100 * time.Millisecond)
	for range 3 { // said again is not printed again
		p.Step("w1", "waiting for sshd: connection refused")
		p.Step("w2", "waiting for sshd: no answer")
		p.Step("w1", "waiting for sshd: connection refused")
		pass(100 * time.Millisecond)
		p.Step("w2", "waiting for sshd: connection refused by something with quite a long name\x1b[2J")
		pass(100 * time.Millisecond)
	}
	pass(900 * time.Millisecond)
	p.Hint("labctl logs w1")
	pass(100 * time.Millisecond)
	p.Done("w1", "192.168.56.11")
	pass(40 * time.Second)
	p.Fail("w2", "gave up\nafter 40s")
	p.Step("w2", "too late")
	p.Step("w3", "never begun")
	p.Print("1 of 2 machines is up\n")
	p.Error(errors.New("machine \"w2\": gave up"))
}

func TestGolden(t *testing.T) {
	for _, tt := range []struct {
		name     string
		terminal bool
		env      map[string]string
	}{
		{"plain", false, nil},
		{"terminal", true, map[string]string{"TERM": "xterm"}},
		{"terminal-no-color", true, map[string]string{"NO_COLOR": "1"}},
		{"dumb", true, map[string]string{"TERM": "dumb"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newScreen(tt.terminal)
			s.env = tt.env
			p := New(s.options())
			story(s, p)
			if err := p.Close(); err != nil {
				t.Error(err)
			}
			golden := "testdata/" + tt.name + ".golden"
			got := "synthetic: one Go string for each line of the output\n"
			for line := range strings.Lines(s.String()) {
				got += strconv.Quote(line) + "\n"
			}
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("output (-golden +now), -update writes it:\n%s", diff)
			}
		})
	}
}

// What changes all the time is printed now and then where nobody sees it live.
func TestPassingSteps(t *testing.T) {
	var stderr bytes.Buffer
	now := time.Unix(0, 0)
	p := New(Options{Stderr: &stderr, Now: func() time.Time { return now }, IsTerminal: func(any) bool { return false }})
	p.Start("image", "image")
	for i := range 700 {
		p.Step("image", fmt.Sprintf("downloading\t%d of 700 MiB", i))
		if i == 10 {
			p.Step("image", "waiting")
			p.Step("image", "waiting")
		}
		now = now.Add(100 * time.Millisecond)
	}
	const want = "start  image\n" +
		"       image: downloading: 0 of 700 MiB\n" +
		"       image: waiting\n" +
		"       image: downloading: 310 of 700 MiB\n" +
		"       image: downloading: 610 of 700 MiB\n"
	if diff := cmp.Diff(want, stderr.String()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestColorOfEachStream(t *testing.T) {
	for _, tt := range []struct {
		name     string
		color    string
		terminal string // the stream that is one, or "both"
		env      map[string]string
		out, err bool
	}{
		{"both terminals", "auto", "both", nil, true, true},
		{"stdout piped", "auto", "stderr", nil, false, true},
		{"stderr piped", "auto", "stdout", nil, true, false},
		{"NO_COLOR", "auto", "both", map[string]string{"NO_COLOR": "1"}, false, false},
		{"NO_COLOR empty", "auto", "both", map[string]string{"NO_COLOR": ""}, true, true},
		{"dumb", "auto", "both", map[string]string{"TERM": "dumb"}, false, false},
		{"never", "never", "both", nil, false, false},
		{"always, piped", "always", "none", nil, true, true},
		{"always beats NO_COLOR", "always", "both", map[string]string{"NO_COLOR": "1", "TERM": "dumb"}, true, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newScreen(true)
			s.env = tt.env
			o := s.options()
			o.Color = tt.color
			o.IsTerminal = func(v any) bool {
				named, ok := v.(stream)
				return ok && (tt.terminal == "both" || tt.terminal == named.name)
			}
			p := New(o)
			if p.Color() != tt.out {
				t.Errorf("Color of stdout = %v, want %v", p.Color(), tt.out)
			}
			p.Error(errors.New("broken"))
			want := "labctl: error: broken\n"
			if tt.err {
				want = "\x1b[31mlabctl: error:\x1b[0m broken\n"
			}
			if diff := cmp.Diff(want, s.String()); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPrintEscapes(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"two\nlines\tand a tab", "two\nlines\tand a tab\n"},
		{"console\r\nlines\r\n", "console\nlines\n"},
		{"over\rwrite", "over\\u000dwrite\n"},
		{"\x1b]0;title\a", "\\u001b]0;title\\u0007\n"},
		{"c1 \u009b2J del \x7f", "c1 \\u009b2J del \\u007f\n"},
		{"bidi \u202egnp.exe, hidden\u200b", "bidi \\u202egnp.exe, hidden\\u200b\n"},
		{"tag \U000e0041", "tag \\udb40\\udc41\n"},
		{"not UTF-8: \xff", "not UTF-8: \\xff\n"},
		{"the character \uFFFD itself, 한글", "the character \uFFFD itself, 한글\n"},
	} {
		s := newScreen(false)
		New(s.options()).Print(tt.in)
		if diff := cmp.Diff(tt.want, s.String()); diff != "" {
			t.Errorf("Print(%q) (-want +got):\n%s", tt.in, diff)
		}
	}
}

func TestPrintKeepsJSON(t *testing.T) {
	const text = "\x7f \u202e \u0085 \U000e0041 é"
	data, err := json.Marshal(text)
	if err != nil {
		t.Fatal(err)
	}
	s := newScreen(true)
	New(s.options()).Print(string(data))
	var back string
	if err := json.Unmarshal([]byte(s.String()), &back); err != nil || back != text {
		t.Errorf("printed %s, which is %q (%v), want %q", s.String(), back, err, text)
	}
}

func TestRawIsRaw(t *testing.T) {
	s := newScreen(false)
	New(s.options()).Raw([]byte("\x1b[32mok\x1b[0m"))
	if got := s.String(); got != "\x1b[32mok\x1b[0m" {
		t.Errorf("Raw printed %q", got)
	}
}

func TestTable(t *testing.T) {
	s := newScreen(false)
	New(s.options()).Table([]string{"NODE", "STATE", "ADDRESS"}, [][]string{
		{"cp1", "Ready", "192.168.56.10"},
		{"worker-with-a-name", "not\nready", ""},
		{"é", "Ready"},
	})
	want := `NODE                 STATE        ADDRESS
cp1                  Ready        192.168.56.10
worker-with-a-name   not\nready
é                    Ready
`
	if diff := cmp.Diff(want, s.String()); diff != "" {
		t.Errorf("table (-want +got):\n%s", diff)
	}
}

func TestCut(t *testing.T) {
	for _, tt := range []struct {
		s       string
		columns int
		want    string
	}{
		{"short", 10, "short"},
		{"exact", 5, "exact"},
		{"longer", 5, "long>"},
		{"한글한글", 8, "한글한글"},
		{"한글한글", 7, "한글한>"},
		{"한글한글", 6, "한글>"},
		{"", 0, ""},
		{"x", 0, ">"},
	} {
		if got := cut(tt.s, tt.columns); got != tt.want {
			t.Errorf("cut(%q, %d) = %q, want %q", tt.s, tt.columns, got, tt.want)
		}
	}
}

func TestMoreLinesThanTheTerminalHas(t *testing.T) {
	s := newScreen(true)
	p := New(s.options()) // six lines high
	for i := range 6 {
		p.Start(strconv.Itoa(i), fmt.Sprintf("task %d", i))
	}
	p.draw()
	want := "task 0 (0s)\ntask 1 (0s)\ntask 2 (0s)\ntask 3 (0s)\nand 2 more\n"
	if diff := cmp.Diff(want, s.String()); diff != "" {
		t.Errorf("live lines (-want +got):\n%s", diff)
	}
	p.Close()
	if got := strings.TrimPrefix(s.String(), want); got != "\r\x1b[5A\x1b[J" {
		t.Errorf("Close printed %q", got)
	}
}

// An unchanged line is drawn again when the next second has passed, not at every tick.
func TestDrawIsSparing(t *testing.T) {
	s := newScreen(true)
	p := New(s.options())
	defer p.Close()
	p.Start("w1", "machine w1")
	lines := func() int { return strings.Count(s.String(), "machine w1") }
	for range 5 {
		p.draw()
	}
	if lines() != 1 {
		t.Errorf("drawn %d times, want once", lines())
	}
	s.now = s.now.Add(time.Second)
	p.draw()
	p.draw()
	if lines() != 2 {
		t.Errorf("drawn %d times after a second, want twice", lines())
	}
}

func TestTickDrawsUntilClose(t *testing.T) {
	s := newScreen(true)
	p := New(s.options())
	p.Start("w1", "machine w1")
	s.tick <- time.Time{}
	s.tick <- time.Time{} // taken when the first has been drawn
	if got, want := s.String(), "machine w1 (0s)\n"; got != want {
		t.Errorf("drawn %q, want %q", got, want)
	}
	p.Close()
	select {
	case s.tick <- time.Time{}:
		t.Error("somebody still draws after Close")
	default:
	}
	p.Close() // again is harmless
}

func TestOwnTicker(t *testing.T) {
	s := newScreen(true)
	o := s.options()
	o.Tick = nil
	drawn := make(chan struct{}, 1)
	o.Stderr = writerFunc(func(p []byte) (int, error) {
		if bytes.Contains(p, []byte("machine w1")) {
			select {
			case drawn <- struct{}{}:
			default:
			}
		}
		return len(p), nil
	})
	p := New(o)
	p.Start("w1", "machine w1")
	<-drawn
	p.Close()
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestConcurrentUse(t *testing.T) {
	for _, terminal := range []bool{false, true} {
		s := newScreen(terminal)
		o := s.options()
		ticks := make(chan time.Time, 1000)
		o.Tick = ticks
		p := New(o)
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				id := strconv.Itoa(i)
				p.Start(id, "task "+id)
				for j := range 20 {
					p.Step(id, strconv.Itoa(j))
					p.Step(id, fmt.Sprintf("at it\t%d of 20", j))
					p.Info("note " + id)
					ticks <- time.Time{}
				}
				p.Done(id, "")
			})
		}
		wg.Wait()
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		for i := range 8 {
			if line := fmt.Sprintf("task %d (0s)\n", i); !strings.Contains(s.String(), line) {
				t.Errorf("terminal %v: no line %q", terminal, line)
			}
		}
		if got := strings.Count(s.String(), "note "); got != 8*20 {
			t.Errorf("terminal %v: %d notes, want %d", terminal, got, 8*20)
		}
	}
}

func TestCloseReportsLostResults(t *testing.T) {
	s := newScreen(false)
	o := s.options()
	broken := errors.New("disk full")
	o.Stdout = writerFunc(func([]byte) (int, error) { return 0, broken })
	p := New(o)
	p.Print("result")
	p.Print("another")
	if err := p.Close(); !errors.Is(err, broken) || !strings.Contains(err.Error(), "standard output") {
		t.Errorf("Close = %v, want %v", err, broken)
	}
}

func TestConfirm(t *testing.T) {
	for _, tt := range []struct {
		name   string
		input  io.Reader
		change func(*Options)
		want   bool
		err    error
	}{
		{name: "y", input: strings.NewReader("y\n"), want: true},
		{name: "YES", input: strings.NewReader(" YES \r\n"), want: true},
		{name: "no", input: strings.NewReader("no\n")},
		{name: "return", input: strings.NewReader("\n")},
		{name: "yesterday", input: strings.NewReader("yesterday\n")},
		{name: "end of input", input: strings.NewReader("")},
		{name: "y at the end of input", input: strings.NewReader("y"), want: true},
		{name: "broken input", input: io.MultiReader(readerFunc(func([]byte) (int, error) { return 0, os.ErrPermission })), err: os.ErrPermission},
		{name: "stdin is no terminal", input: strings.NewReader("y\n"), err: ErrNoTerminal,
			change: func(o *Options) { o.IsTerminal = func(v any) bool { return v != o.Stdin } }},
		{name: "stderr is no terminal", input: strings.NewReader("y\n"), err: ErrNoTerminal,
			change: func(o *Options) { o.IsTerminal = func(v any) bool { return v == o.Stdin } }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newScreen(true)
			o := s.options()
			o.Stdin = tt.input
			if tt.change != nil {
				tt.change(&o)
			}
			p := New(o)
			got, err := p.Confirm(t.Context(), "delete machine \"w1\"?")
			if got != tt.want || !errors.Is(err, tt.err) {
				t.Errorf("Confirm = %v, %v; want %v, %v", got, err, tt.want, tt.err)
			}
			want := "delete machine \"w1\"? [y/N] "
			if errors.Is(tt.err, ErrNoTerminal) {
				want = ""
			}
			if s.String() != want {
				t.Errorf("asked %q, want %q", s.String(), want)
			}
		})
	}
	t.Run("interrupted", func(t *testing.T) {
		s := newScreen(true)
		o := s.options()
		typing, _ := io.Pipe()
		o.Stdin = typing
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := New(o).Confirm(ctx, "sure?"); !errors.Is(err, context.Canceled) {
			t.Errorf("err = %v, want canceled", err)
		}
		typing.Close() // ends the reader
	})
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestDefaults(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	p := New(Options{Stdout: w, Stderr: w, Color: "auto"})
	if p.live || p.Color() {
		t.Error("a pipe is taken for a terminal")
	}
	if width, height := size(w); width != 80 || height != 24 {
		t.Errorf("size of a pipe = %d×%d, want 80×24", width, height)
	}
	if p.opts.Stdin != os.Stdin || p.opts.Env("TERM") != "" || p.opts.Now().IsZero() {
		t.Errorf("defaults are %+v", p.opts)
	}
}
