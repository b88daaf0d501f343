package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

func (a *app) newVersionCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "print labctl's version",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if err := a.wantOutput("text", "json"); err != nil {
				return err
			}
			version, revision := build()
			if a.output == "json" {
				return a.printJSON(struct {
					Schema   string `json:"schema"`
					Version  string `json:"version"`
					Revision string `json:"revision,omitempty"`
					Go       string `json:"go"`
					Platform string `json:"platform"`
				}{schema, version, revision, runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH})
			}
			a.ui.Print(fmt.Sprintf("labctl %s %s %s/%s\n", version, runtime.Version(), runtime.GOOS, runtime.GOARCH))
			return nil
		},
	}
}

// build is what the Go toolchain noted of this binary's source.
func build() (version, revision string) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown", ""
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			revision = s.Value
		}
	}
	return info.Main.Version, revision
}
