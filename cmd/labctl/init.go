package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/labctl/labctl/internal/config"
)

func (a *app) newInitCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "init",
		Short: "write a commented labctl.yaml with the built-in lab's values",
		Args:  cobra.NoArgs,
		RunE:  func(*cobra.Command, []string) error { return a.runInit() },
	}
}

func (a *app) runInit() error {
	if err := a.wantOutput("text"); err != nil {
		return err
	}
	path := a.labFile
	if path == "" {
		path = "labctl.yaml"
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return usage(fmt.Errorf("%q exists already: it is left as it is", path))
	}
	if err != nil {
		return err
	}
	_, err = f.Write(config.Template())
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	a.ui.Print(fmt.Sprintf("wrote %s\nnext        %s\n", path, a.next("plan")))
	return nil
}
