package main

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"github.com/labctl/labctl/internal/ssh"
)

func (a *app) newSSHCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "ssh NODE [-- COMMAND…]",
		Short: "log in to a node, or run a command there",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.runSSH(cmd.Context(), args[0], args[1:])
		},
		ValidArgsFunction: a.completeNodes,
	}
}

// runSSH returns the remote command's status as its own. As with ssh, the words of the command reach the remote shell joined
// by spaces.
func (a *app) runSSH(ctx context.Context, name string, command []string) error {
	if err := a.wantOutput("text"); err != nil {
		return err
	}
	s, n, err := a.openNode(name)
	if err != nil {
		return err
	}
	defer s.close()
	c, _, err := s.connect(ctx, n)
	if err != nil {
		return hinted(exitUnable, err, s.next("status"))
	}
	defer c.Close()
	status, err := c.Shell(ctx, strings.Join(command, " "), a.stdin, a.stdout, a.stderr, len(command) == 0)
	if err != nil && !errors.Is(err, ssh.ErrLost) {
		return err
	}
	if err != nil && len(command) > 0 {
		return err
	}
	if status != 0 {
		return errQuiet(status)
	}
	return nil
}
