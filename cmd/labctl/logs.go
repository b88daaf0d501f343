package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
)

func (a *app) newLogsCmd() *cobra.Command {
	var k3s bool
	var lines int
	cmd := &cobra.Command{
		Use:               "logs NODE",
		Short:             "show what a machine wrote to its console, or what k3s wrote there",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeNodes,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.runLogs(cmd.Context(), args[0], k3s, lines)
		},
	}
	cmd.Flags().BoolVar(&k3s, "k3s", false, "the journal of k3s on the node instead of the machine's console")
	cmd.Flags().IntVarP(&lines, "lines", "n", 200, "how many of k3s's last lines")
	return cmd
}

func (a *app) runLogs(ctx context.Context, name string, k3s bool, lines int) error {
	if err := a.wantOutput("text"); err != nil {
		return err
	}
	if lines < 1 {
		return usage(fmt.Errorf("--lines %d: must be at least 1", lines))
	}
	s, err := a.openStored()
	if err != nil {
		return err
	}
	defer s.close()
	n, err := s.node(name)
	if err != nil {
		return err
	}
	if !k3s {
		machine := s.folder.Machine(n.Name)
		log, err := machine.Console()
		if missing(err) {
			return hinted(exitUnable, fmt.Errorf("machine %q has written nothing to its console yet (%s)", n.Name, machine.SerialLog()), s.next("status"))
		}
		if err != nil {
			return err
		}
		a.ui.Print(log)
		return nil
	}
	c, _, err := s.connect(ctx, n)
	if err != nil {
		return err
	}
	defer c.Close()
	service := "k3s-agent"
	if n.Name == s.lab.Server().Name {
		service = "k3s"
	}
	out, err := c.Run(ctx, fmt.Sprintf("sudo journalctl -u %s -n %d --no-pager", service, lines), nil)
	if err != nil {
		return err
	}
	a.ui.Print(string(out))
	return nil
}
