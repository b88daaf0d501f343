package ui

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"
)

// Options are a Printer's surroundings. Fields that are nil or empty have the meaning of an ordinary process's, but Env:
// without it no variable is set.
type Options struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Color          string // auto, always or never
	Env            func(string) string
	IsTerminal     func(stream any) bool // asked of each of the three streams
	// Size returns a terminal's columns and lines.
	Size func(io.Writer) (width, height int)
	Now  func() time.Time
	// Tick, if not nil, says when live lines are drawn anew, instead of ten times a second.
	Tick <-chan time.Time
}

// Printer prints. New makes one, Close ends it.
type Printer struct {
	opts                     Options
	live                     bool // stderr has live lines
	stdoutColor, stderrColor bool

	mu     sync.Mutex
	tasks  []*task // under way, in the order of their start
	drawn  int     // live lines on the screen, all above the cursor
	dirty  bool    // they no longer show the tasks' state
	shown  time.Time
	failed error // the first error of writing a result

	stop    chan struct{} // nil while nobody draws
	stopped chan struct{}
}

// New returns a Printer.
func New(o Options) *Printer {
	if o.Stdin == nil {
		o.Stdin = os.Stdin
	}
	if o.Stdout == nil {
		o.Stdout = os.Stdout
	}
	if o.Stderr == nil {
		o.Stderr = os.Stderr
	}
	if o.Env == nil {
		o.Env = func(string) string { return "" }
	}
	if o.IsTerminal == nil {
		o.IsTerminal = isTerminal
	}
	if o.Size == nil {
		o.Size = size
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	dumb := o.Env("TERM") == "dumb"
	color := func(w io.Writer) bool {
		switch o.Color {
		case "always":
			return true
		case "never":
			return false
		}
		return o.IsTerminal(w) && !dumb && o.Env("NO_COLOR") == ""
	}
	return &Printer{
		opts:        o,
		live:        o.IsTerminal(o.Stderr) && !dumb,
		stdoutColor: color(o.Stdout),
		stderrColor: color(o.Stderr),
	}
}

func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

func size(w io.Writer) (width, height int) {
	if f, ok := w.(*os.File); ok {
		// A terminal that nobody gave a size says 0.
		if width, height, err := term.GetSize(int(f.Fd())); err == nil && width > 0 && height > 0 {
			return width, height
		}
	}
	return 80, 24
}

// Print prints a result to standard output, and a newline if it lacks one. Escapes are JSON's, so that JSON stays what
// it is.
func (p *Printer) Print(text string) {
	if !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	p.Raw([]byte(escape(text, keepLines)))
}

// Raw prints a result to standard output as it is: a document whose maker has seen to what it holds.
func (p *Printer) Raw(data []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
	if _, err := p.opts.Stdout.Write(data); err != nil && p.failed == nil {
		p.failed = err
	}
}

// Color tells whoever makes a document for Raw whether standard output may have colour.
func (p *Printer) Color() bool { return p.stdoutColor }

// Info prints a message to standard error.
func (p *Printer) Info(text string) { p.message("", plain, text) }

// Hint prints the command to type next, to standard error.
func (p *Printer) Hint(text string) { p.message("labctl: hint: ", cyan, text) }

// Error prints what failed, to standard error.
func (p *Printer) Error(err error) { p.message("labctl: error: ", red, err.Error()) }

func (p *Printer) message(prefix string, c color, text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.printLine(p.paint(c, prefix) + escape(text, keepLines))
}

// printLine prints a line to standard error for good, above the live lines. p.mu is held.
func (p *Printer) printLine(line string) {
	p.clear()
	// Nowhere is left to say that standard error is broken.
	io.WriteString(p.opts.Stderr, line+"\n") //nolint:errcheck // see above
}

// Close takes the live lines away and returns the first error of writing a result: a full disk must not look like
// success.
func (p *Printer) Close() error {
	p.mu.Lock()
	stop := p.stop
	p.stop = nil
	p.mu.Unlock()
	if stop != nil {
		close(stop)
		<-p.stopped
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
	p.tasks = nil
	if p.failed != nil {
		return fmt.Errorf("writing to standard output: %w", p.failed)
	}
	return nil
}
