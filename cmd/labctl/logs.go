package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/labctl/labctl/internal/config"
	"github.com/labctl/labctl/k3s"
)

func (a *app) newLogsCmd() *cobra.Command {
	var journal bool
	var lines int
	cmd := &cobra.Command{
		Use:               "logs NODE",
		Short:             "show what a machine wrote to its console, or what k3s wrote there",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeNodes,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.runLogs(cmd.Context(), args[0], journal, lines)
		},
	}
	cmd.Flags().BoolVar(&journal, "k3s", false, "the journal of k3s on the node instead of the machine's console")
	cmd.Flags().IntVarP(&lines, "lines", "n", 200, "how many of k3s's last lines")
	return cmd
}

func (a *app) runLogs(ctx context.Context, name string, journal bool, lines int) error {
	if err := a.wantOutput("text"); err != nil {
		return err
	}
	if lines < 1 {
		return usage(fmt.Errorf("--lines %d: must be at least 1", lines))
	}
	s, n, err := a.openNode(name)
	if err != nil {
		return err
	}
	defer s.close()
	var log string
	if journal {
		log, err = s.journal(ctx, n, lines)
	} else {
		log, err = s.console(n)
	}
	if err != nil {
		return err
	}
	a.ui.Print(log)
	return nil
}

// console is what a node's machine has written to its console.
func (s *session) console(n config.Node) (string, error) {
	machine := s.folder.Machine(n.Name)
	log, err := machine.Console()
	if missing(err) {
		return "", hinted(exitUnable, fmt.Errorf("machine %q has written nothing to its console yet (%s)", n.Name, machine.SerialLog()), s.next("status"))
	}
	return log, err
}

// journal is the last lines that k3s has written on a node.
func (s *session) journal(ctx context.Context, n config.Node, lines int) (string, error) {
	c, _, err := s.connect(ctx, n)
	if err != nil {
		return "", hinted(exitUnable, err, s.next("status"))
	}
	defer c.Close()
	out, err := c.Run(ctx, fmt.Sprintf("sudo journalctl -u %s -n %d --no-pager", k3s.Service(n.Role), lines), nil)
	return string(out), err
}
