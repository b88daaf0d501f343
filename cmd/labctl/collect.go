package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"github.com/labctl/labctl/checks/collect"
	"github.com/labctl/labctl/internal/atomicfile"
)

func (a *app) newCollectCmd() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "collect -o BUNDLE.tar.gz",
		Short: "keep the evidence for verify in a file, to judge it elsewhere",
		Long: `collect asks the lab what verify asks and writes every command with its output to a file: a gzipped tar with manifest.json and one
file for each output, tokens cut out. "labctl verify --evidence BUNDLE.tar.gz" judges it, on any computer and without the lab.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runCollect(cmd.Context(), file) },
	}
	// This -o hides the global one: what collect gives is a file, not a text.
	cmd.Flags().StringVarP(&file, "output", "o", "", "the file to write (required)")
	return cmd
}

// bundleTarget is fileTarget for a bundle: an older one is replaced, and nothing else that somebody has written.
func bundleTarget(name string) (string, error) {
	target, err := fileTarget(name)
	if err != nil {
		return "", err
	}
	f, err := os.Open(target)
	if missing(err) {
		return target, nil
	}
	if err != nil {
		return "", err
	}
	defer f.Close()
	begins := make([]byte, 2)
	n, err := io.ReadFull(f, begins)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return "", err
	}
	if n > 0 && !bytes.Equal(begins, []byte{0x1f, 0x8b}) { // gzip's
		return "", fmt.Errorf("%q is there and is no bundle: it is left as it is, name another file", name)
	}
	return target, nil
}

func (a *app) runCollect(ctx context.Context, file string) error {
	if file == "" {
		return usage(errors.New("collect needs a file to write: labctl collect -o evidence.tar.gz"))
	}
	if slices.Contains([]string{"text", "json", "junit", "tap"}, file) {
		return usage(fmt.Errorf("-o %s: what collect gives is a bundle, and -o names its file: labctl collect -o evidence.tar.gz (./%s, if it is to be called so)", file, file))
	}
	target, err := bundleTarget(file)
	if err != nil {
		return usage(err)
	}
	s, err := a.openStored()
	if err != nil {
		return err
	}
	defer s.close()
	evidence, err := s.collect(ctx, nil)
	if err != nil {
		return err
	}
	version, _ := build()
	// Whom evidence is shown to is for the user to say.
	if err := atomicfile.WriteFrom(target, 0o600, func(w io.Writer) error { return collect.Write(w, evidence, version) }); err != nil {
		return err
	}
	a.ui.Print(fmt.Sprintf("%s  %d commands of lab %q%s\nnext  labctl verify --evidence %s\n", file, len(evidence.Items), s.lab.Name, a.mode(), file))
	return nil
}
