package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/labctl/labctl/internal/sim"
)

// fewestKills is how many points of dying a run of the test must at least have tried.
const fewestKills = 60

// way is how labctl dies.
type way string

const (
	killed      way = "kill -9"
	interrupted way = "Ctrl-C"          // and the step under way ends
	stuck       way = "Ctrl-C, stuck"   // and the step under way would never end by itself
	twice       way = "Ctrl-C twice"    // while nothing at all moves on
	hungUp      way = "terminal closed" // a true one
)

// grace is how long labctl may take to end when it is interrupted. It is much less on a machine that is not busy.
const grace = 40 * time.Second

// moment is when: at the nth time that labctl is about to do a step, or has just done it.
type moment struct {
	step  string
	after bool
	nth   int // 0 is the first
}

func (m moment) String() string {
	when := "before"
	if m.after {
		when = "after"
	}
	if m.nth > 0 {
		return fmt.Sprintf("%s %s, time %d", when, m.step, m.nth+1)
	}
	return when + " " + m.step
}

// death is a row of the table: a command that dies, and what must be true then.
type death struct {
	command *killable
	when    moment
	way     way
}

// killable is a command that may die anywhere.
type killable struct {
	name  string
	safe  string // part of what it says when it is interrupted
	on    string // what is saved under this name is there before
	args  []string
	again []string // run after it has died
	// check finds out whether all is well after again.
	check func(*actor) error
}

func killables() []*killable {
	return []*killable{
		{name: "up", safe: "run the same command again to go on", on: "empty", args: []string{"up"}, again: []string{"up"}, check: func(a *actor) error {
			return errors.Join(a.verified(), a.holds(a.built), a.destroyed())
		}},
		{name: "down", safe: "run labctl --simulate down again", on: "built", args: []string{"down"}, again: []string{"down"}, check: func(a *actor) error {
			var err error
			if running := a.stage.vboxmanage("list", "runningvms"); running != "" {
				err = fmt.Errorf("still running: %s", running)
			}
			return errors.Join(err, a.holds(a.built), a.labctl("start"), a.verified())
		}},
		{name: "restore", safe: "run the same command again to bring all of them back", on: "saved", args: []string{"snapshot", "restore", "one", "--yes"}, again: []string{"snapshot", "restore", "one", "--yes"}, check: func(a *actor) error {
			return errors.Join(a.holds(a.saved), a.verified(), a.destroyed()) // the second one knows that the machines ran before the first
		}},
		{name: "save", safe: "run the same command again", on: "built", args: []string{"snapshot", "save", "one"}, again: []string{"snapshot", "save", "one"}, check: func(a *actor) error {
			return errors.Join(a.verified(), a.labctl("snapshot", "restore", "one", "--yes"), a.destroyed())
		}},
		{name: "break", safe: "labctl --simulate fix undoes it", on: "built", args: []string{"break", "node-ip-missing"}, again: []string{"fix"}, check: func(a *actor) error {
			return errors.Join(a.verified(), a.holds(a.built))
		}},
		{name: "destroy", safe: "run labctl --simulate destroy again", on: "built", args: []string{"destroy", "--yes"}, again: []string{"destroy", "--yes"}, check: (*actor).gone},
	}
}

// TestKilledAnywhere runs the real program on simulated labs and ends it at a certain step, in each way in which programs end. The same
// command again (after break: fix) then succeeds, the lab is whole or gone, nothing is there twice, and what is not labctl's is as it was.
//
// LABCTL_KILLS=all tries every step of every command; LABCTL_KILLS=TEXT, the rows with that text. LABCTL_TEST_BINARY names a labctl
// other than this test's own, one without the race detector for example. LABCTL_TABLES names a folder for the table.
func TestKilledAnywhere(t *testing.T) {
	t.Parallel()
	rows := chosenDeaths()
	first := newActor(t)
	if wanted := os.Getenv("LABCTL_KILLS"); wanted == "all" {
		rows = allDeaths(first)
	} else if wanted != "" {
		var some []death
		for _, r := range rows {
			if strings.Contains(r.command.name+" "+r.when.String()+" "+string(r.way), wanted) {
				some = append(some, r)
			}
		}
		rows = some
	} else if len(rows) < fewestKills {
		t.Errorf("only %d points", len(rows))
	}
	outcomes := make([]string, len(rows))
	next := make(chan int)
	var workers sync.WaitGroup
	const actors = 4 // most of the time they wait
	for i := range actors {
		workers.Go(func() {
			a := first
			if i > 0 {
				a = newActor(t)
			}
			for n := range next {
				outcome, err := a.play(rows[n])
				if err != nil {
					outcome = "FAILED"
					t.Errorf("%s, %s, %s: %v", rows[n].command.name, rows[n].when, rows[n].way, err)
				}
				outcomes[n] = outcome
			}
		})
	}
	for n := range rows {
		next <- n
	}
	close(next)
	workers.Wait()
	var table strings.Builder
	fmt.Fprintf(&table, "labctl dies: %d points\n\n%-8s %-62s %-16s %s\n", len(rows), "command", "step", "way of dying", "outcome")
	for n, r := range rows {
		fmt.Fprintf(&table, "%-8s %-62s %-16s %s\n", r.command.name, r.when, r.way, outcomes[n])
	}
	writeTable(t, "kills", table.String())
}

// actor is a stage on which the real program runs, in processes of its own.
type actor struct {
	stage *stage
	built []string // what an undisturbed up leaves in VirtualBox
	saved []string // the same with a snapshot
	left  []string // what an undisturbed destroy leaves
}

func newActor(t *testing.T) *actor {
	a := &actor{stage: newStage(t)}
	a.stage.save("empty")
	var err error
	a.stage.must("up")
	if a.built, err = a.stage.things(); err != nil {
		t.Fatal(err)
	}
	a.stage.save("built")
	a.stage.must("snapshot", "save", "one")
	a.stage.must("snapshot", "restore", "one", "--yes") // a restored machine has another disk than one that never was
	if a.saved, err = a.stage.things(); err != nil {
		t.Fatal(err)
	}
	a.stage.save("saved")
	a.stage.must("destroy", "--yes")
	if a.left, err = a.stage.things(); err != nil {
		t.Fatal(err)
	}
	return a
}

// play lets a command die, and then finds out what is left of its lab.
func (a *actor) play(d death) (outcome string, err error) {
	a.stage.restore(d.command.on)
	p := a.program(d.command.args...)
	if err := p.dies(d); err != nil {
		return "", err
	}
	if err := a.labctl(d.command.again...); err != nil {
		return "", err
	}
	if err := d.command.check(a); err != nil {
		return "", err
	}
	return p.ended + ", then " + d.command.again[0] + " succeeds", nil
}

// program is labctl in a process of its own.
type program struct {
	*exec.Cmd
	a      *actor
	stdout bytes.Buffer
	stderr watched
	ended  string        // how
	begun  chan struct{} // closed when it has a process
	over   chan struct{} // closed when it has ended
	err    error         // of its end; after over
}

func (a *actor) program(args ...string) *program {
	p := &program{a: a, begun: make(chan struct{}), over: make(chan struct{})}
	p.Cmd = exec.Command(binaryOfTest(), append([]string{"--simulate"}, args...)...)
	p.Dir, p.Env = a.stage.dir, a.stage.environ()
	p.Stdout, p.Stderr = &p.stdout, &p.stderr
	return p
}

func (p *program) start() error {
	if err := p.Start(); err != nil {
		return err
	}
	close(p.begun)
	go func() {
		p.err = p.Wait()
		p.stderr.end()
		close(p.over)
	}()
	return nil
}

// awaitEnd waits until the program has ended; one that does not is killed, and says first what it was at.
func (p *program) awaitEnd(limit time.Duration) error {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-p.over:
		return nil
	case <-timer.C:
	}
	_ = p.Process.Signal(syscall.SIGQUIT) // it may end just now
	select {
	case <-p.over:
	case <-time.After(grace):
		_ = p.Process.Kill()
		<-p.over
	}
	return fmt.Errorf("it did not end within %s:\n%s", limit, p.stderr.String())
}

// labctl runs the program undisturbed and to its end.
func (a *actor) labctl(args ...string) error {
	a.stage.direct(nil)
	p := a.program(args...)
	if err := p.start(); err != nil {
		return err
	}
	if err := p.awaitEnd(5 * time.Minute); err != nil {
		return fmt.Errorf("labctl %s: %w", strings.Join(args, " "), err)
	}
	if p.err != nil {
		return fmt.Errorf("labctl %s: %w\n%s%s", strings.Join(args, " "), p.err, p.stdout.String(), p.stderr.String())
	}
	return nil
}

// dies runs the program and ends it at the moment of d in its way.
func (p *program) dies(d death) error {
	terminal := io.Closer(nil)
	if d.way == hungUp {
		person, err := p.onTerminal()
		if err != nil {
			return err
		}
		terminal = person
		defer person.Close() // again, and without an effect
	}
	var mu sync.Mutex
	seen, reached := 0, false
	var since time.Time
	p.a.stage.direct(func(e sim.Event) sim.Ruling {
		if e.After != d.when.after || stepOf(e) != d.when.step {
			return sim.Ruling{}
		}
		mu.Lock()
		now := seen == d.when.nth
		seen++
		if now {
			reached, since = true, time.Now()
		}
		mu.Unlock()
		if !now {
			return sim.Ruling{}
		}
		<-p.begun // it may be quicker than who started it
		switch d.way {
		case killed:
			_ = p.Process.Kill()
			<-p.over
		case interrupted, stuck:
			_ = p.Process.Signal(syscall.SIGINT)
			p.stderr.await("stopping after")
			if d.way == stuck {
				return sim.Ruling{Do: sim.Hang}
			}
		case twice:
			_ = p.Process.Signal(syscall.SIGINT)
			p.stderr.await("stopping after")
			_ = p.Process.Signal(syscall.SIGINT)
			<-p.over
		case hungUp:
			_ = terminal.Close() // now the kernel sends SIGHUP
		}
		return sim.Ruling{}
	})
	if err := p.start(); err != nil {
		return err
	}
	defer p.a.stage.direct(nil)
	if err := p.awaitEnd(5 * time.Minute); err != nil {
		return err
	}
	mu.Lock()
	defer mu.Unlock()
	if !reached {
		return fmt.Errorf("it never came so far: %v\n%s", p.err, p.stderr.String())
	}
	if took := time.Since(since); took > grace {
		return fmt.Errorf("it took %s to end:\n%s", took, p.stderr.String())
	}
	return p.diedWell(d)
}

// diedWell checks the exit status, and that an interrupted program says what it is safe to do next.
func (p *program) diedWell(d death) error {
	status, _ := p.ProcessState.Sys().(syscall.WaitStatus)
	if d.way == killed {
		p.ended = "killed"
		if !status.Signaled() || status.Signal() != syscall.SIGKILL {
			return fmt.Errorf("it was not killed: %v\n%s", p.err, p.stderr.String())
		}
		return nil
	}
	p.ended = "exit 130"
	if status.ExitStatus() != exitInterrupted {
		return fmt.Errorf("exit status %d, not %d\n%s", status.ExitStatus(), exitInterrupted, p.stderr.String())
	}
	if d.way != interrupted && d.way != stuck {
		return nil
	}
	for _, want := range []string{"press Ctrl-C again", "labctl: error: interrupted", "labctl: hint: ", d.command.safe} {
		if !strings.Contains(p.stderr.String(), want) {
			return fmt.Errorf("it does not say %q:\n%s", want, p.stderr.String())
		}
	}
	return nil
}

// onTerminal gives the program a terminal of its own, and returns the end at which a person sits.
func (p *program) onTerminal() (person *os.File, err error) {
	person, err = os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	// Not by Fd, which would make Close wait for Read.
	conn, err := person.SyscallConn()
	if err != nil {
		return nil, errors.Join(err, person.Close())
	}
	var number int
	var ioctl error
	err = conn.Control(func(fd uintptr) {
		if ioctl = unix.IoctlSetPointerInt(int(fd), unix.TIOCSPTLCK, 0); ioctl == nil {
			number, ioctl = unix.IoctlGetInt(int(fd), unix.TIOCGPTN)
		}
	})
	if err = errors.Join(err, ioctl); err != nil {
		return nil, errors.Join(err, person.Close())
	}
	terminal, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, errors.Join(err, person.Close())
	}
	go func() { // nobody may write into a terminal that nobody reads
		_, _ = io.Copy(&p.stderr, person) // ends with the terminal
	}()
	go func() { <-p.over; _ = terminal.Close() }()
	p.Stdin, p.Stdout, p.Stderr = terminal, terminal, terminal
	p.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	return person, nil
}

// verified tells whether all checks of the lab pass. One of them measures how fast services answer, so a busy machine is given time.
func (a *actor) verified() error { return a.labctl("verify", "--wait", "2m") }

// holds compares what is in VirtualBox with what should be.
func (a *actor) holds(want []string) error {
	got, err := a.stage.things()
	if diff := cmp.Diff(want, got); diff != "" {
		err = errors.Join(err, fmt.Errorf("in VirtualBox (-undisturbed +now):\n%s", diff))
	}
	return err
}

func (a *actor) destroyed() error { return errors.Join(a.labctl("destroy", "--yes"), a.gone()) }

// gone tells whether nothing is left of the lab.
func (a *actor) gone() error {
	err := a.holds(a.left)
	if _, serr := os.Stat(a.stage.folder()); !errors.Is(serr, os.ErrNotExist) {
		err = errors.Join(err, fmt.Errorf("the lab's folder is there: %v", serr))
	}
	return err
}

// watched is a buffer of what a program prints, in which one can wait for a text.
type watched struct {
	mu    sync.Mutex
	text  bytes.Buffer
	ended bool
	news  chan struct{} // closed at the next change
}

func (w *watched) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.changed()
	return w.text.Write(p)
}

func (w *watched) changed() {
	if w.news != nil {
		close(w.news)
		w.news = nil
	}
}

// end says that nothing will come any more.
func (w *watched) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended = true
	w.changed()
}

// await waits for a text, or for the end.
func (w *watched) await(text string) {
	for {
		w.mu.Lock()
		if w.ended || strings.Contains(w.text.String(), text) {
			w.mu.Unlock()
			return
		}
		if w.news == nil {
			w.news = make(chan struct{})
		}
		news := w.news
		w.mu.Unlock()
		<-news
	}
}

func (w *watched) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.String()
}

// allDeaths are all the steps that each command takes in an undisturbed run: killed before and after each, and in another way.
func allDeaths(a *actor) []death {
	var rows []death
	others := []way{interrupted, hungUp, twice, stuck}
	for _, c := range killables() {
		a.stage.restore(c.on)
		var mu sync.Mutex
		var moments []moment
		times := map[moment]int{}
		a.stage.direct(func(e sim.Event) sim.Ruling {
			mu.Lock()
			defer mu.Unlock()
			m := moment{step: stepOf(e), after: e.After}
			m.nth = times[m]
			if times[moment{step: m.step, after: m.after}]++; m.nth < 2 { // the third machine is like the second
				moments = append(moments, m)
			}
			return sim.Ruling{}
		})
		a.stage.must(c.args...)
		a.stage.direct(nil)
		for i, m := range moments {
			rows = append(rows, death{c, m, killed}, death{c, m, others[i%len(others)]})
		}
	}
	return rows
}
