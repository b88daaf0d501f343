package ui

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
)

// ErrNoTerminal is the error of a question where nobody can answer.
var ErrNoTerminal = errors.New("no terminal to ask on")

// Confirm asks on standard error and reads the answer from standard input: y or yes is a yes, everything else, the end
// of input included, a no. Without a terminal the error is ErrNoTerminal. When ctx ends, the reading goroutine stays
// until a line is typed.
func (p *Printer) Confirm(ctx context.Context, question string) (bool, error) {
	if !p.opts.IsTerminal(p.opts.Stdin) || !p.opts.IsTerminal(p.opts.Stderr) {
		return false, fmt.Errorf("asking %q: %w", question, ErrNoTerminal)
	}
	p.mu.Lock()
	p.clear()
	_, err := io.WriteString(p.opts.Stderr, escape(question, keepLines)+" [y/N] ")
	p.mu.Unlock()
	if err != nil {
		return false, fmt.Errorf("asking %q: %w", question, err)
	}
	type answer struct {
		line string
		err  error
	}
	answers := make(chan answer, 1)
	go func() {
		line, err := bufio.NewReader(p.opts.Stdin).ReadString('\n')
		answers <- answer{line, err}
	}()
	select {
	case <-ctx.Done():
		return false, context.Cause(ctx)
	case a := <-answers:
		if a.err != nil && !errors.Is(a.err, io.EOF) {
			return false, fmt.Errorf("asking %q: %w", question, a.err)
		}
		word := strings.ToLower(strings.TrimSpace(a.line))
		return word == "y" || word == "yes", nil
	}
}
