package main

import (
	"context"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/labctl/labctl/internal/fetch"
	"github.com/labctl/labctl/provision/provider"
)

func (a *app) newCacheFetchCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "fetch",
		Short: "bring in everything that up needs, so that it then does without the internet",
		Long: `fetch downloads and verifies what up of this configuration needs: the disk image, k3s, lists of checksums, and the
archives of container images that labctl.yaml asks for (k3s.airgap, k3s.images). Where VBoxManage is at hand it also
makes the base disk. What is there already is checked, not fetched again; lists of checksums are asked for anew.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runCacheFetch(cmd.Context()) },
	}
}

func (a *app) runCacheFetch(ctx context.Context) error {
	if err := a.wantOutput("text"); err != nil {
		return err
	}
	s, err := a.open()
	if err != nil {
		return err
	}
	defer s.close()
	s.cache.Refresh = true

	image, err := s.task("image", "the disk image", func(step func(string)) (string, error) {
		return provider.FetchImage(ctx, s.cache, s.lab.Image.URL, s.lab.Image.SHA256, step)
	})
	if err != nil {
		return err
	}
	if err := s.fetchBase(ctx, image); err != nil {
		return err
	}
	supplies, err := s.listedSupplies(ctx)
	if err != nil {
		return err
	}
	for _, u := range supplies {
		if _, err := s.task(u.source, u.what, func(step func(string)) (string, error) {
			return s.cache.Fetch(ctx, u.source, u.sha256, fetch.MostOfFile, fetch.Steps(step, "downloading"))
		}); err != nil {
			return err
		}
	}
	text := fmt.Sprintf("all that up downloads is in the cache%s\n", a.mode())
	if pulled := pulledImages(s.lab); pulled != "" {
		text += "not in it " + pulled + "\n"
	}
	a.ui.Print(text + fmt.Sprintf("next     %s\n", a.next("up")))
	return nil
}

// listedSupplies asks for the list of k3s's checksums.
func (s *session) listedSupplies(ctx context.Context) ([]supply, error) {
	const id = "list"
	s.ui.Start(id, "the checksums of k3s "+s.lab.K3s.Version)
	all, err := s.k3sSupplies(ctx, s.cache, s.lab, fetch.Steps(func(text string) { s.ui.Step(id, text) }, "fetching"))
	if err != nil {
		s.ui.Fail(id, "")
		return nil, err
	}
	s.ui.Done(id, "")
	return all, nil
}

// fetchBase makes the base disk. A computer that only collects files for another one has no VirtualBox, and needs none.
func (s *session) fetchBase(ctx context.Context, image string) error {
	hypervisor, err := s.hypervisor(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return err
		}
		s.ui.Info(fmt.Sprintf("the base disk is left to up, which makes it of the image without the internet: %v", err))
		return nil
	}
	_, err = s.task("base", fmt.Sprintf("the base disk of %d GiB", s.lab.Image.DiskGiB), func(step func(string)) (string, error) {
		return provider.EnsureBaseDisk(ctx, hypervisor, image, s.lab.Image.DiskGiB, step)
	})
	return err
}

// task shows the making of one file.
func (s *session) task(id, what string, make func(step func(string)) (string, error)) (path string, err error) {
	s.ui.Start(id, what)
	path, err = make(func(text string) { s.ui.Step(id, text) })
	if err != nil {
		s.ui.Fail(id, "")
		return "", err
	}
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	s.ui.Done(id, sizeOf(info.Size()))
	return path, nil
}
