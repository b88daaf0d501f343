package ui

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// redrawEvery is the shortest time between two drawings of the live lines.
const redrawEvery = 100 * time.Millisecond

// passingEvery is how often something that changes all the time is printed where there is no live terminal.
const passingEvery = 30 * time.Second

// task is one thing under way.
type task struct {
	id, text string
	started  time.Time
	limit    time.Duration // 0: none
	step     string
	printed  map[string]bool // steps that have had their line; not used on a live terminal
	passed   time.Time       // when the last of those that change all the time was printed
}

// Start says that something is under way. id is how later calls name it, text how people read it: "machine w1".
func (p *Printer) Start(id, text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.remove(id)
	t := &task{id: id, text: escape(text, oneLine), started: p.opts.Now(), printed: map[string]bool{}}
	p.tasks = append(p.tasks, t)
	if !p.live {
		p.printLine("start  " + t.text)
		return
	}
	p.dirty = true
	p.startDrawing()
}

// Limit says how long it may take, counted from Start.
func (p *Printer) Limit(id string, limit time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if t := p.find(id); t != nil {
		t.limit, p.dirty = limit, true
	}
}

// Step says what is being done now, or the last reason why it is not done yet. Without a live terminal each text is
// printed once. What follows a tab changes all the time, such as how far a download is: there it is printed every half
// minute. A step of something that has ended, or never began, is dropped.
func (p *Printer) Step(id, text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.find(id)
	if t == nil {
		return
	}
	what, passing, _ := strings.Cut(text, "\t")
	what, passing = escape(what, oneLine), escape(passing, oneLine)
	whole := what
	if passing != "" {
		whole += ": " + passing
	}
	if !p.live {
		now := p.opts.Now()
		if first := !t.printed[what]; first || passing != "" && now.Sub(t.passed) >= passingEvery {
			t.printed[what], t.passed = true, now
			p.printLine("       " + t.text + ": " + whole)
		}
		return
	}
	if t.step != whole {
		t.step, p.dirty = whole, true
	}
}

// Done says that it is done; text, which may be empty, what came of it.
func (p *Printer) Done(id, text string) { p.end(id, "done   ", green, text) }

// Fail says that it failed, and why.
func (p *Printer) Fail(id, text string) { p.end(id, "failed ", red, text) }

func (p *Printer) end(id, word string, c color, text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.remove(id)
	if t == nil {
		return
	}
	took := p.opts.Now().Sub(t.started).Round(100 * time.Millisecond)
	line := fmt.Sprintf("%s%s (%v)", p.paint(c, word), t.text, took)
	if text != "" {
		line += ": " + escape(text, oneLine)
	}
	p.printLine(line)
}

func (p *Printer) find(id string) *task {
	if i := p.index(id); i >= 0 {
		return p.tasks[i]
	}
	return nil
}

func (p *Printer) index(id string) int {
	return slices.IndexFunc(p.tasks, func(t *task) bool { return t.id == id })
}

// remove takes the task out of those under way, and returns it, or nil.
func (p *Printer) remove(id string) *task {
	t := p.find(id)
	if t != nil {
		p.tasks = slices.Delete(p.tasks, p.index(id), p.index(id)+1)
		p.dirty = true
	}
	return t
}

// startDrawing starts the goroutine that draws the live lines, unless it is there. p.mu is held.
func (p *Printer) startDrawing() {
	if p.stop != nil {
		return
	}
	p.stop, p.stopped = make(chan struct{}), make(chan struct{})
	go p.drawUntil(p.stop, p.stopped)
}

func (p *Printer) drawUntil(stop, stopped chan struct{}) {
	defer close(stopped)
	tick := p.opts.Tick
	if tick == nil {
		ticker := time.NewTicker(redrawEvery)
		defer ticker.Stop()
		tick = ticker.C
	}
	for {
		select {
		case <-stop:
			return
		case <-tick:
			p.draw()
		}
	}
}

// draw draws the live lines if they have changed or another second has passed.
func (p *Printer) draw() {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.opts.Now()
	if !p.dirty && now.Sub(p.shown) < time.Second {
		return
	}
	p.clear()
	width, height := p.opts.Size(p.opts.Stderr)
	var b strings.Builder
	for i, t := range p.tasks {
		if rest := len(p.tasks) - i; rest > 1 && i >= height-2 {
			// Lines that scroll off the top could not be taken back.
			fmt.Fprintf(&b, "%s\n", cut(fmt.Sprintf("and %d more", rest), width-1))
			p.drawn++
			break
		}
		fmt.Fprintf(&b, "%s\n", cut(t.line(now), width-1))
		p.drawn++
	}
	io.WriteString(p.opts.Stderr, b.String()) //nolint:errcheck // see printLine
	p.dirty, p.shown = false, now
}

// line is the task's live line.
func (t *task) line(now time.Time) string {
	elapsed := now.Sub(t.started).Truncate(time.Second)
	line := fmt.Sprintf("%s (%v)", t.text, elapsed)
	if t.limit > 0 {
		line = fmt.Sprintf("%s (%v/%v)", t.text, elapsed, t.limit)
	}
	if t.step != "" {
		line += ": " + t.step
	}
	return line
}

// clear takes the live lines off the screen, so that others can be printed. p.mu is held.
func (p *Printer) clear() {
	if p.drawn == 0 {
		return
	}
	const upAndErase = "\r\x1b[%dA\x1b[J" // to the first live line, and erase to the end of the screen
	fmt.Fprintf(p.opts.Stderr, upAndErase, p.drawn)
	p.drawn, p.dirty = 0, true
}
