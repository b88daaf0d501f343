package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/labctl/labctl/internal/fetch"
	"github.com/labctl/labctl/provision/provider"
)

func (a *app) newCacheCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "cache",
		Short: "list, fetch, verify or prune the downloads and base disks that all labs share",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.newCacheListCmd(), a.newCacheFetchCmd(), a.newCacheVerifyCmd(), a.newCachePruneCmd())
	return cmd
}

// What a file in the cache is, for people.
const (
	kindDownload   = "download"
	kindBase       = "base disk"
	kindChecksums  = "checksums"
	kindUnfinished = "unfinished"
)

// cached is a file in the cache.
type cached struct {
	fetch.Entry
	kind   string
	base   bool // a base disk, or the rest of an interrupted conversion
	usedBy []string
}

// openCache opens the configuration at hand, and lists the cache as inventory does.
func (a *app) openCache(ctx context.Context, onlyMade bool) (*session, []cached, *cacheUsers, error) {
	s, err := a.open()
	if err != nil {
		return nil, nil, nil, err
	}
	all, users, err := s.inventory(ctx, onlyMade)
	if err != nil {
		s.close()
		return nil, nil, nil, err
	}
	return s, all, users, nil
}

// inventory lists the cache with the users of each file.
func (s *session) inventory(ctx context.Context, onlyMade bool) ([]cached, *cacheUsers, error) {
	users, err := s.cacheUsers(ctx, onlyMade)
	if err != nil {
		return nil, nil, err
	}
	entries, err := s.cache.Entries()
	if err != nil {
		return nil, nil, fmt.Errorf("listing the cache: %w", err)
	}
	var all []cached
	for _, e := range entries {
		c := cached{Entry: e, usedBy: users.by[e.Path]}
		base, unfinished := provider.IsBaseDisk(filepath.Base(e.Path))
		if !base && provider.IsReserved(filepath.Base(e.Path)) {
			continue // belongs to the base disk beside it
		}
		switch {
		case e.Kind == fetch.KindList:
			c.kind = kindChecksums
		case e.Kind == fetch.KindPartial || base && unfinished:
			c.kind, c.base = kindUnfinished, base
		case base:
			c.kind, c.base = kindBase, true
		default:
			c.kind = kindDownload
		}
		all = append(all, c)
	}
	return all, users, nil
}

func (a *app) newCacheListCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "say what is in the cache, how large it is, and who needs it",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return a.runCacheList(cmd.Context()) },
	}
}

type cachedSummary struct {
	Path     string    `json:"path"`
	Kind     string    `json:"kind"`
	SHA256   string    `json:"sha256,omitempty"`
	Bytes    int64     `json:"bytes"`
	Modified time.Time `json:"modified"`
	UsedBy   []string  `json:"usedBy"`
}

func (a *app) runCacheList(ctx context.Context) error {
	if err := a.wantOutput("text", "json"); err != nil {
		return err
	}
	s, all, users, err := a.openCache(ctx, false)
	if err != nil {
		return err
	}
	defer s.close()
	s.tellUnclear(users)
	var total int64
	files := []cachedSummary{}
	var rows [][]string
	for _, c := range all {
		total += c.Size
		sum := c.SHA256
		if c.kind == kindBase || c.kind == kindUnfinished {
			sum = "" // the folder's, not this file's
		}
		files = append(files, cachedSummary{c.Path, c.kind, sum, c.Size, c.Modified.UTC(), append([]string{}, c.usedBy...)})
		rows = append(rows, []string{sizeOf(c.Size), ageOf(a.now().Sub(c.Modified)), c.kind, usersOf(c, users), s.inCache(c.Path)})
	}
	if a.output == "json" {
		return a.printJSON(struct {
			Schema    string          `json:"schema"`
			Simulated bool            `json:"simulated"`
			Folder    string          `json:"folder"`
			Bytes     int64           `json:"bytes"`
			Files     []cachedSummary `json:"files"`
		}{schema, a.simulate, filepath.Dir(s.cache.Dir), total, files})
	}
	if len(all) == 0 {
		a.ui.Print(fmt.Sprintf("the cache is empty%s: %s\nnext     %s\nor       %s\n", a.mode(), filepath.Dir(s.cache.Dir), a.next("cache fetch"), a.next("up")))
		return nil
	}
	a.ui.Table([]string{"SIZE", "AGE", "WHAT", "NEEDED BY", "FILE"}, rows)
	a.ui.Print(fmt.Sprintf("%s in %s%s; what nobody needs can be removed:\nnext     %s\n", sizeOf(total), filepath.Dir(s.cache.Dir), a.mode(), a.next("cache prune")))
	return nil
}

// tellUnclear says which users of the cache are not known.
func (s *session) tellUnclear(users *cacheUsers) {
	for _, why := range users.unclear {
		s.ui.Info("not all is known about who needs what: " + why)
	}
	if users.bases != nil {
		s.ui.Info(fmt.Sprintf("which machines stand on which base disk is not known: %v", users.bases))
	}
}

func usersOf(c cached, users *cacheUsers) string {
	switch {
	case len(c.usedBy) > 0:
		return strings.Join(slices.Sorted(slices.Values(c.usedBy)), ", ")
	case len(users.unclear) > 0, c.kind == kindBase && users.bases != nil:
		return "unknown"
	}
	return "nobody"
}

// inCache is a path as people read it: from the cache's folder on, a checksum shortened.
func (s *session) inCache(path string) string {
	rel, err := filepath.Rel(filepath.Dir(s.cache.Dir), path)
	if err != nil {
		return path
	}
	parts := strings.Split(filepath.ToSlash(rel), "/")
	for i, p := range parts {
		if len(p) == 64 {
			parts[i] = p[:12] + "…"
		}
	}
	return strings.Join(parts, "/")
}

func sizeOf(bytes int64) string {
	switch {
	case bytes < 10<<10:
		return fmt.Sprintf("%d B", bytes)
	case bytes < 1<<20:
		return fmt.Sprintf("%d KiB", bytes>>10)
	case bytes < 1<<30:
		return fmt.Sprintf("%.1f MiB", float64(bytes)/(1<<20))
	}
	return fmt.Sprintf("%.1f GiB", float64(bytes)/(1<<30))
}

func ageOf(d time.Duration) string {
	switch {
	case d < time.Minute:
		return "now"
	case d < time.Hour:
		return fmt.Sprintf("%dm", d/time.Minute)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", d/time.Hour)
	}
	return fmt.Sprintf("%dd", d/(24*time.Hour))
}
