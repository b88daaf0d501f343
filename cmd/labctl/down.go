package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/labctl/labctl/internal/config"
	"github.com/labctl/labctl/vbox"
)

func (a *app) newDownCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "down",
		Short: "shut the machines down; disks and settings stay",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return a.runDown(cmd.Context()) },
	}
}

func (a *app) runDown(ctx context.Context) (err error) {
	if err := a.wantOutput("text"); err != nil {
		return err
	}
	a.safe = "machines may still run; run labctl down again, or labctl start to have them all"
	s, release, err := a.openLocked("down")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, release()) }()
	hypervisor, err := s.hypervisor(ctx)
	if err != nil {
		return err
	}
	if err := s.folder.SetInterrupted(""); err != nil { // whatever was to start them again
		return err
	}
	if err := s.eachMachine(ctx, hypervisor, func(n config.Node, m vbox.Machine) error {
		return s.stopMachine(ctx, hypervisor, n.Name, m.UUID, stopGrace)
	}); err != nil {
		return err
	}
	s.ui.Print(fmt.Sprintf("lab %q is down%s\nnext        %s\n", s.lab.Name, s.mode(), s.next("start")))
	return nil
}
