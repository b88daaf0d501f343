package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/labctl/labctl/internal/fetch"
	"github.com/labctl/labctl/provision/provider"
	"github.com/labctl/labctl/vbox"
)

// unfinishedFor is how long an unfinished download or conversion is left alone: it may be under way, or be continued tomorrow.
const unfinishedFor = 24 * time.Hour

func (a *app) newCachePruneCmd() *cobra.Command {
	var yes, all bool
	cmd := &cobra.Command{
		Use:   "prune",
		Short: "remove what nobody needs from the cache",
		Long: `prune removes downloads and base disks that no lab needs, and unfinished downloads that are older than a day. It lists them
and asks. What the configuration at hand needs stays as well, unless --all is given. A base disk that a machine's disk hangs on
stays in any case, whoever's machine it is; where VirtualBox cannot be asked, all base disks stay.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runCachePrune(cmd.Context(), yes, all) },
	}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "don't ask")
	cmd.Flags().BoolVar(&all, "all", false, "also what only the configuration at hand needs, and no lab that was made")
	return cmd
}

func (a *app) runCachePrune(ctx context.Context, yes, everything bool) error {
	if err := a.wantOutput("text"); err != nil {
		return err
	}
	s, all, users, err := a.openCache(ctx, everything)
	if err != nil {
		return err
	}
	defer s.close()
	if len(users.unclear) > 0 {
		return hinted(exitUnable, fmt.Errorf("nothing was removed, because not all is known about who needs what: %s", strings.Join(users.unclear, "; ")),
			"mend or destroy that lab; or, if its list of checksums is missing, labctl --lab FILE cache fetch with its labctl.yaml")
	}
	var goes []cached
	var bytes int64
	for _, c := range all {
		if s.prunable(c, users) {
			goes = append(goes, c)
			bytes += c.Size
		}
	}
	if users.bases != nil {
		a.ui.Info(fmt.Sprintf("base disks stay, since VirtualBox can't be asked who stands on them: %v", users.bases))
	}
	if len(goes) == 0 {
		a.ui.Print(fmt.Sprintf("nothing to remove%s: all that is in the cache is needed, or unfinished since less than a day\n", a.mode()))
		return nil
	}
	if !yes {
		a.ui.Info(fmt.Sprintf("cache prune removes%s:", a.mode()))
		for _, c := range goes {
			a.ui.Info(fmt.Sprintf("  %-10s %-10s %s", sizeOf(c.Size), c.kind, c.Path))
		}
		if err := s.ask(ctx, "go on?"); err != nil {
			return err
		}
	}
	freed, failed := int64(0), 0
	for _, c := range goes {
		err := s.removeCached(ctx, c)
		switch {
		case err == nil:
			freed += c.Size
		case ctx.Err() != nil:
			return err
		case errors.Is(err, fetch.ErrBusy) || errors.Is(err, vbox.ErrInUse):
			a.ui.Info(fmt.Sprintf("%s stays: %v", c.Path, err))
		default:
			failed++
			a.ui.Error(fmt.Errorf("removing %q: %w", c.Path, err))
		}
	}
	a.ui.Print(fmt.Sprintf("%s freed%s\n", sizeOf(freed), a.mode()))
	if failed > 0 {
		return errQuiet(exitUnable)
	}
	return nil
}

// prunable says whether a file may go.
func (s *session) prunable(c cached, users *cacheUsers) bool {
	switch {
	case c.base && users.bases != nil:
		return false
	case c.kind == kindUnfinished:
		return s.now().Sub(c.Modified) > unfinishedFor
	}
	return len(c.usedBy) == 0
}

func (s *session) removeCached(ctx context.Context, c cached) error {
	if !c.base {
		return s.cache.Remove(c.Entry)
	}
	hypervisor, err := s.hypervisor(ctx)
	if err != nil {
		return err
	}
	// A labctl that is making it holds this lock. Afterwards VirtualBox itself refuses to close what a disk hangs on.
	base := strings.TrimSuffix(strings.TrimSuffix(c.Path, ".part.vdi"), ".part.vmdk")
	limited, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	unlock, err := provider.LockBaseDisk(limited, base, func(string) {})
	if err != nil {
		if ctx.Err() == nil && limited.Err() != nil {
			return fetch.ErrBusy
		}
		return err
	}
	err = hypervisor.CloseMedium(ctx, c.Path, c.kind == kindBase)
	if err == nil || errors.Is(err, vbox.ErrBadMedium) { // VirtualBox deletes nothing that it cannot read
		err = os.Remove(c.Path)
		if missing(err) {
			err = nil
		}
	}
	if err == nil {
		err = provider.ForgetBaseDiskSum(c.Path)
	}
	return errors.Join(err, unlock())
}
