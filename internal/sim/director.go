package sim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Event is a moment in a World at which something may go wrong: just before it does what it was asked for, or just after,
// when the one who asked has not heard yet.
type Event struct {
	Kind  Kind     `json:"kind"`
	Where string   `json:"where,omitempty"` // the guest's host name; what was dialled
	Words []string `json:"words,omitempty"` // VBoxManage's arguments; the one command line of SSH
	After bool     `json:"after,omitempty"` // it was done; nothing that is dialled has an After
}

// Kind is what the world was asked for.
type Kind string

// The kinds of events.
const (
	CallEvent Kind = "VBoxManage"
	SSHEvent  Kind = "ssh"
	DialEvent Kind = "dial"
)

// Ruling is what a director makes of an event. The zero Ruling lets things take their course.
type Ruling struct {
	Do     Deed   `json:"do,omitempty"`
	Exit   int    `json:"exit,omitempty"`   // of Fail
	Stderr string `json:"stderr,omitempty"` // of Fail
	Bytes  int    `json:"bytes,omitempty"`  // of Cut, before a command: so many bytes of its input arrive first
}

// Deed is what goes wrong.
type Deed string

// What may go wrong. An event that is over has happened, whatever is ruled after it.
const (
	Fail Deed = "fail" // the call or command ends with Exit and Stderr
	Hang Deed = "hang" // no answer until whoever asked gives up; what is dialled accepts and says nothing
	Cut  Deed = "cut"  // the connection is reset
	// What is dialled refuses.
	Refuse Deed = "refuse"
)

// Director makes things go wrong in the simulated world of a folder, for the processes that open it meanwhile: each of them asks it
// what becomes of each event, and does nothing else until it has the answer. Whoever is asked may also kill the process that asks.
type Director struct {
	listener net.Listener
	decide   func(Event) Ruling
	serving  sync.WaitGroup
	mu       sync.Mutex
	open     map[net.Conn]bool // nil once closed
}

// circumstances is the file by which a director, and other waits than the usual ones, are known to a world.
type circumstances struct {
	Director string  `json:"director"`
	Waits    Options `json:"waits"`
}

func circumstancesFile(dir string) string { return filepath.Join(dir, "circumstances.json") }

// Direct puts a director in charge of the world in dir, whose machines' own waits become those of o. decide may be called from
// several goroutines at once.
func Direct(dir string, o Options, decide func(Event) Ruling) (*Director, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	d := &Director{listener: l, decide: decide, open: map[net.Conn]bool{}}
	data, err := json.Marshal(circumstances{Director: l.Addr().String(), Waits: o})
	if err == nil {
		err = replaceFile(circumstancesFile(dir), data)
	}
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	d.serving.Go(d.serve)
	return d, nil
}

// Close leaves the worlds that are open without a director: nothing more goes wrong.
func (d *Director) Close() error {
	err := d.listener.Close()
	d.mu.Lock()
	for c := range d.open {
		_ = c.Close() // who asked goes on
	}
	d.open = nil
	d.mu.Unlock()
	d.serving.Wait()
	return err
}

func (d *Director) serve() {
	for {
		c, err := d.listener.Accept()
		if err != nil {
			return // closed
		}
		d.mu.Lock()
		if d.open != nil {
			d.open[c] = true
			d.serving.Go(func() { d.answer(c) })
		}
		d.mu.Unlock()
	}
}

func (d *Director) answer(c net.Conn) {
	defer func() {
		_ = c.Close() // who asked has its answer, or is dead
		d.mu.Lock()
		delete(d.open, c)
		d.mu.Unlock()
	}()
	var e Event
	if err := json.NewDecoder(c).Decode(&e); err != nil {
		return
	}
	_ = json.NewEncoder(c).Encode(d.decide(e)) // who asked may have been killed
}

// readCircumstances returns no director where there is no file.
func readCircumstances(dir string) (c circumstances, err error) {
	data, err := os.ReadFile(circumstancesFile(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &c)
	}
	if err != nil {
		return c, fmt.Errorf("reading %q: %w", circumstancesFile(dir), err)
	}
	return c, nil
}

// ask waits for the director's ruling. A director that is gone rules nothing. The end of whoever caused the event does not end the
// wait: what the director does to it meanwhile happens at this very event.
func (w *World) ask(e Event) Ruling {
	var r Ruling
	if w.director == "" {
		return r
	}
	c, err := net.DialTimeout("tcp4", w.director, 10*time.Second)
	if err != nil {
		return r
	}
	defer c.Close()
	if json.NewEncoder(c).Encode(e) != nil || json.NewDecoder(c).Decode(&r) != nil {
		return Ruling{}
	}
	return r
}

// VBoxManage is the program VBoxManage of this world, unless the director rules otherwise.
func (w *World) VBoxManage(ctx context.Context, args []string, stdout, stderr io.Writer) (exit int) {
	e := Event{Kind: CallEvent, Words: args}
	if exit, ruled := fate(ctx, w.ask(e), stderr); ruled {
		return exit
	}
	exit = w.vboxManage(args, stdout, stderr)
	e.After = true
	if exit, ruled := fate(ctx, w.ask(e), stderr); ruled {
		return exit
	}
	return exit
}

// fate carries out the rulings that a call or a command may meet.
func fate(ctx context.Context, r Ruling, stderr io.Writer) (exit int, ruled bool) {
	switch r.Do {
	case Fail:
		io.WriteString(stderr, r.Stderr) // who asked may be gone
		return r.Exit, true
	case Hang:
		<-ctx.Done()
		return 255, true
	}
	return 0, false
}

// mute accepts a connection and says nothing.
func mute(ctx context.Context, _ net.Conn) { <-ctx.Done() }

// reset ends a connection at once, as a router's or a dying machine's RST does.
func reset(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // as good as it can be
	}
	_ = c.Close()
}

// tearing is a channel whose connection is reset once so many bytes of input have arrived.
type tearing struct {
	channel
	left int
	cut  func()
}

func (t *tearing) Read(p []byte) (int, error) {
	if t.left <= 0 {
		t.cut()
		return 0, io.ErrUnexpectedEOF
	}
	n, err := t.channel.Read(p[:min(len(p), t.left)])
	t.left -= n
	return n, err
}
