package fault

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/labctl/labctl/internal/config"
	"github.com/labctl/labctl/internal/ssh"
)

// Runner runs a command on one node and returns its standard output.
type Runner interface {
	Run(ctx context.Context, command string, stdin io.Reader) (stdout []byte, err error)
}

// Machines plugs cables in and out. A cable that is as wanted is no error.
type Machines interface {
	SetLink(ctx context.Context, node string, slot int, on bool) error
}

// Routes changes the host's routes. A route that is as wanted is no error.
type Routes interface {
	SetRoute(ctx context.Context, r Route) error
}

// Bench is a lab that is broken and mended. Its caller holds the lab's lock.
type Bench struct {
	Lab      *config.Lab
	Journal  Journal
	Connect  func(ctx context.Context, node string) (Runner, io.Closer, error)
	Machines Machines
	Host     Routes
	Now      func() time.Time
	Step     func(string)  // told what is under way
	Pause    time.Duration // between two tries of what is repeated; by default 1 s
	Limit    time.Duration // for each thing that is repeated; by default 5 min
}

// ErrPresent says that the fault is in the lab already.
var ErrPresent = errors.New("this fault is in the lab already")

// Break injects a fault. Whatever happens once it has begun, Fix undoes it.
func (b *Bench) Break(ctx context.Context, f Fault) error {
	script, err := f.Script(b.Lab)
	if err != nil {
		return err
	}
	entries, err := b.Journal.Entries()
	if err != nil {
		return err
	}
	i := slices.IndexFunc(entries, func(e Entry) bool { return e.ID == f.ID })
	switch {
	case i < 0:
	case !entries[i].Undone:
		return fmt.Errorf("fault %q: %w", f.ID, ErrPresent)
	default:
		entries = slices.Delete(entries, i, i+1)
	}
	answers := map[string]string{}
	for _, q := range script.Ask {
		if answers[q.Name], err = b.ask(ctx, q, answers); err != nil {
			return fmt.Errorf("fault %q, nothing was changed: %w", f.ID, err)
		}
	}
	entry := Entry{ID: f.ID, At: b.Now().UTC().Truncate(time.Second), Answers: answers, Undo: placed(script.Undo, answers)}
	if err := b.Journal.store(append(entries, entry)); err != nil {
		return err
	}
	if err := b.run(ctx, placed(script.Break, answers), answers); err != nil {
		return fmt.Errorf("injecting fault %q: %w", f.ID, err)
	}
	return nil
}

// Fix undoes the faults with these ids, the last one first; without ids, all of them. A fault that is not in the lab is no error, and one
// that can't be undone keeps none of the others. It returns those that are undone now, also those that an earlier Fix has undone: all of
// them stay in the journal until Settle, so that whoever is interrupted between the two can still be told of them.
func (b *Bench) Fix(ctx context.Context, ids ...string) (undone []string, err error) {
	entries, err := b.Journal.Entries()
	if err != nil {
		return nil, err
	}
	var problems []error
	for i := len(entries) - 1; i >= 0; i-- {
		e := &entries[i]
		switch {
		case e.Undone:
		case len(ids) > 0 && !slices.Contains(ids, e.ID):
			continue
		default:
			if err := b.run(ctx, e.Undo, e.Answers); err != nil {
				problems = append(problems, fmt.Errorf("undoing fault %q: %w", e.ID, err))
				continue
			}
			e.Undone = true
			if err := b.Journal.store(entries); err != nil {
				return undone, errors.Join(append(problems, err)...)
			}
		}
		undone = append(undone, e.ID)
	}
	return undone, errors.Join(problems...)
}

// Settle forgets the faults that are undone: the lab is well again.
func (b *Bench) Settle() error {
	entries, err := b.Journal.Entries()
	if err != nil {
		return err
	}
	return b.Journal.store(slices.DeleteFunc(entries, func(e Entry) bool { return e.Undone }))
}

// Leave undoes what faults have done to the host, which outlives the lab. The journal stays as it is.
func (b *Bench) Leave(ctx context.Context) error {
	entries, err := b.Journal.Entries()
	if err != nil {
		return err
	}
	var problems []error
	for _, e := range entries {
		for _, a := range e.Undo {
			if a.Route != nil {
				problems = append(problems, b.act(ctx, a, e.Answers))
			}
		}
	}
	return errors.Join(problems...)
}

// placed fills in the nodes that answers name.
func placed(actions []Action, answers map[string]string) []Action {
	at := func(where string) string {
		if name, ok := strings.CutPrefix(where, "$"); ok {
			return answers[name]
		}
		return where
	}
	actions = slices.Clone(actions)
	for i, a := range actions {
		actions[i].Where = at(a.Where)
		if a.Cable != nil {
			cable := *a.Cable
			cable.Node = at(cable.Node)
			actions[i].Cable = &cable
		}
	}
	return actions
}

// answerForm is what answers look like: names, addresses, numbers, paths, NAME=VALUE. Commands for other nodes hold them, some where a
// quoted word would still be read, such as in $((…)) or in sed's own language: what means something there is no answer.
var answerForm = regexp.MustCompile(`^[A-Za-z0-9/][A-Za-z0-9._:/=@+-]*$`)

func (b *Bench) ask(ctx context.Context, q Question, answers map[string]string) (string, error) {
	b.Step(fmt.Sprintf("%s: asking for %s", q.Where, q.Name))
	out, err := b.command(ctx, q.Where, q.Command, answers)
	answer := strings.TrimSpace(string(out))
	switch {
	case err != nil && q.Missing != "":
		return "", fmt.Errorf("%s: %w", q.Missing, err)
	case err != nil:
		return "", err
	case answer == "" && q.Missing != "":
		return "", errors.New(q.Missing)
	case answer == "" || strings.Contains(answer, "\n"):
		return "", fmt.Errorf("node %q answers %q to `%s`: one line is wanted", q.Where, answer, q.Command)
	case !answerForm.MatchString(answer):
		return "", fmt.Errorf("node %q answers %q to `%s`: a plain word is wanted", q.Where, answer, q.Command)
	}
	return answer, nil
}

func (b *Bench) run(ctx context.Context, actions []Action, answers map[string]string) error {
	for _, a := range actions {
		if err := b.act(ctx, a, answers); err != nil {
			return err
		}
	}
	return nil
}

func (b *Bench) act(ctx context.Context, a Action, answers map[string]string) error {
	if !a.Until {
		b.Step(a.Where + ": " + strings.SplitN(a.String(), "\n", 2)[0])
	}
	switch {
	case a.Cable != nil:
		return b.Machines.SetLink(ctx, a.Cable.Node, a.Cable.Slot, a.Cable.Plugged)
	case a.Route != nil:
		return b.Host.SetRoute(ctx, *a.Route)
	case a.Until:
		return b.repeat(ctx, a, answers)
	}
	_, err := b.command(ctx, a.Where, a.Command, answers)
	return err
}

// repeat runs a command until it succeeds. When that takes too long, the error has the last cause.
func (b *Bench) repeat(ctx context.Context, a Action, answers map[string]string) error {
	limit, pause := b.Limit, b.Pause
	if limit <= 0 {
		limit = 5 * time.Minute
	}
	if pause <= 0 {
		pause = time.Second
	}
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	b.Step(fmt.Sprintf("%s: waiting for: %s", a.Where, a.Command))
	for {
		_, err := b.command(limited, a.Where, a.Command, answers)
		if err == nil {
			return nil
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-limited.Done():
			timer.Stop()
			return errors.Join(fmt.Errorf("waiting on %q for `%s`: %w", a.Where, a.Command, limited.Err()), err)
		}
	}
}

// command runs one command on a node, with the answers that it names, and the time in NOW, as shell variables.
func (b *Bench) command(ctx context.Context, node, command string, answers map[string]string) ([]byte, error) {
	r, closer, err := b.Connect(ctx, node)
	if err != nil {
		return nil, err
	}
	defer closer.Close() // all that was asked has been answered; an error here says nothing
	return r.Run(ctx, b.variables(command, answers)+command, nil)
}

var variable = regexp.MustCompile(`\$(?:\{|\(\()?([A-Z]+)`)

func (b *Bench) variables(command string, answers map[string]string) string {
	named := map[string]bool{}
	for _, m := range variable.FindAllStringSubmatch(command, -1) {
		named[m[1]] = true
	}
	var s strings.Builder
	for _, name := range slices.Sorted(maps.Keys(answers)) {
		if named[name] {
			fmt.Fprintf(&s, "%s=%s; ", name, ssh.Quote(answers[name]))
		}
	}
	if named["NOW"] {
		fmt.Fprintf(&s, "NOW=%d; ", b.Now().Unix())
	}
	return s.String()
}
