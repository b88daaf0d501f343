package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/labctl/labctl/internal/ui"
)

// ask asks a question; "no" and no terminal to ask on are errors, and nothing has been changed.
func (a *app) ask(ctx context.Context, question string) error {
	yes, err := a.ui.Confirm(ctx, question)
	if errors.Is(err, ui.ErrNoTerminal) {
		return hinted(exitUsage, errors.New("not confirmed: there is no terminal to ask on, and nothing was changed"), "say --yes if you mean it")
	}
	if err != nil {
		return fmt.Errorf("asking: %w", err)
	}
	if !yes {
		return usage(errors.New("not confirmed: nothing was changed"))
	}
	return nil
}
