package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/labctl/labctl/internal/fetch"
	"github.com/labctl/labctl/provision/provider"
	"github.com/labctl/labctl/vbox"
)

func (a *app) newCacheVerifyCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "verify",
		Short: "read everything in the cache again and compare it with its checksums",
		Long: `verify reads every download and base disk in the cache and compares it with its checksum. A base disk's is the one that it had
when it was made; where that was not kept, verify looks whether it is whole. Nothing is changed: each damaged file is named,
with the way out.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runCacheVerify(cmd.Context()) },
	}
}

// slowToRead is the size from which on people wait for a file to be read.
const slowToRead = 64 << 20

type verifiedSummary struct {
	Path   string `json:"path"`
	Kind   string `json:"kind"`
	Status string `json:"status"` // pass, fail or not-applicable
	Detail string `json:"detail,omitempty"`
	Fix    string `json:"fix,omitempty"`
}

func (a *app) runCacheVerify(ctx context.Context) error {
	if err := a.wantOutput("text", "json"); err != nil {
		return err
	}
	s, all, _, err := a.openCache(ctx, false)
	if err != nil {
		return err
	}
	defer s.close()
	results := []verifiedSummary{}
	var t strings.Builder
	status := exitOK
	for _, c := range all {
		r, err := s.verified(ctx, c)
		if err != nil {
			return err
		}
		if r.Status == "fail" {
			status = exitFailed
		}
		results = append(results, r)
		fmt.Fprintf(&t, "%-15s %-10s %s\n", r.Status, sizeOf(c.Size), s.inCache(c.Path))
		if r.Detail != "" {
			fmt.Fprintf(&t, "%-15s   %s\n", "", r.Detail)
		}
		if r.Fix != "" {
			fmt.Fprintf(&t, "%-15s   fix: %s\n", "", r.Fix)
		}
	}
	if a.output == "json" {
		if err := a.printJSON(struct {
			Schema    string            `json:"schema"`
			Simulated bool              `json:"simulated"`
			Results   []verifiedSummary `json:"results"`
		}{schema, a.simulate, results}); err != nil {
			return err
		}
	} else {
		if len(all) == 0 {
			fmt.Fprintln(&t, "the cache is empty: nothing to verify")
		}
		a.ui.Print(t.String())
	}
	if status != exitOK {
		return errQuiet(status)
	}
	return nil
}

// verified judges a file; an error says that it could not be judged. Reading a large one is shown.
func (s *session) verified(ctx context.Context, c cached) (verifiedSummary, error) {
	r := verifiedSummary{Path: c.Path, Kind: c.kind, Status: "pass"}
	slow := c.Size >= slowToRead
	if slow {
		s.ui.Start(c.Path, s.inCache(c.Path))
	}
	note, err := s.verifyCached(ctx, c)
	switch {
	case slow && err != nil:
		s.ui.Fail(c.Path, "not as it should be")
	case slow:
		s.ui.Done(c.Path, "read")
	}
	switch {
	case ctx.Err() != nil:
		return r, context.Cause(ctx)
	case c.kind == kindUnfinished:
		r.Status, r.Detail = "not-applicable", "unfinished: up or cache fetch goes on with it, or begins anew"
	case errors.Is(err, fetch.ErrChecksum) || errors.Is(err, errDamaged):
		r.Status, r.Detail, r.Fix = "fail", err.Error(), s.wayOut(c)
	case err != nil:
		return r, fmt.Errorf("verifying %q: %w", c.Path, err)
	default:
		r.Detail = note
	}
	return r, nil
}

// errDamaged says that a file is not what it should be.
var errDamaged = errors.New("damaged")

// verifyCached reads a file. note says what of it could not be told.
func (s *session) verifyCached(ctx context.Context, c cached) (note string, err error) {
	damaged := func(err error) error {
		if err == nil {
			return nil
		}
		return fmt.Errorf("%w: %w", errDamaged, err)
	}
	switch c.kind {
	case kindUnfinished:
		return "", nil
	case kindBase:
		if err := damaged(vbox.WholeVDI(c.Path)); err != nil {
			return "", err
		}
		known, err := provider.VerifyBaseDisk(ctx, c.Path)
		if !known && err == nil {
			note = "it is whole; what it holds can't be told, since its checksum was not kept"
		}
		return note, err
	case kindChecksums:
		return "", damaged(s.cache.Verify(ctx, c.Entry))
	}
	if !s.cache.KnowsSize(c.Entry) {
		note = "its size was not noted, so doctor would take a part of it for the whole: " + s.next("cache fetch") + " notes it, if this configuration needs the file"
	}
	return note, s.cache.Verify(ctx, c.Entry)
}

// wayOut is what to do about a damaged file.
func (s *session) wayOut(c cached) string {
	var machines []string
	for _, user := range c.usedBy {
		if strings.HasPrefix(user, "machine ") || strings.HasPrefix(user, "disk ") {
			machines = append(machines, user)
		}
	}
	switch {
	case c.kind == kindBase && len(machines) > 0:
		return fmt.Sprintf("what stands on it is damaged too (%s): %s, then VBoxManage closemedium disk %q --delete, then %s",
			strings.Join(machines, ", "), s.next("destroy"), c.Path, s.next("up"))
	case c.kind == kindBase:
		return fmt.Sprintf("VBoxManage closemedium disk %q --delete; up makes it anew", c.Path)
	case len(c.usedBy) == 0:
		return "nobody needs it: " + s.next("cache prune")
	}
	return "fetch it anew, as up would: " + s.next("cache fetch")
}
