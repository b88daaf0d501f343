package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/labctl/labctl/internal/atomicfile"
	"github.com/labctl/labctl/k3s"
)

func (a *app) newKubeconfigCmd() *cobra.Command {
	var merge bool
	cmd := &cobra.Command{
		Use:   "kubeconfig",
		Short: "print the lab's kubeconfig, or merge it into your own",
		Args:  cobra.NoArgs,
		RunE:  func(*cobra.Command, []string) error { return a.runKubeconfig(merge) },
	}
	cmd.Flags().BoolVar(&merge, "merge", false, "merge it into $KUBECONFIG or ~/.kube/config; nothing that is there is lost")
	return cmd
}

func (a *app) runKubeconfig(merge bool) error {
	if err := a.wantOutput("text"); err != nil {
		return err
	}
	s, err := a.openStored()
	if err != nil {
		return err
	}
	defer s.close()
	ours, err := os.ReadFile(s.folder.Kubeconfig())
	if missing(err) {
		return hinted(exitUnable, fmt.Errorf("lab %q has no cluster yet", s.lab.Name), s.next("up"))
	}
	if err != nil {
		return err
	}
	if !merge {
		a.ui.Raw(ours)
		return nil
	}
	path, err := a.userKubeconfig()
	if err != nil {
		return err
	}
	if err := mergeKubeconfig(path, ours); err != nil {
		return fmt.Errorf("merging into %q: %w", path, err)
	}
	a.ui.Print(fmt.Sprintf("merged into %s\nnext        kubectl --context %s get nodes -o wide\n", path, s.lab.Name))
	return nil
}

// userKubeconfig is the file that kubectl writes to: the first of $KUBECONFIG, else ~/.kube/config.
func (a *app) userKubeconfig() (string, error) {
	for _, path := range filepath.SplitList(a.env("KUBECONFIG")) {
		if path != "" {
			return path, nil
		}
	}
	home, err := os.UserHomeDir()
	return filepath.Join(home, ".kube", "config"), err
}

// mergeKubeconfig adds the lab to a kubeconfig. A link stays a link, and the file is whole at every moment.
func mergeKubeconfig(path string, ours []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	path, err := fileTarget(path)
	if err != nil {
		return err
	}
	existing, err := os.ReadFile(path)
	if err != nil && !missing(err) {
		return err
	}
	merged, err := k3s.MergeKubeconfig(existing, ours)
	if err != nil {
		return err
	}
	return atomicfile.Write(path, merged, 0o600)
}
