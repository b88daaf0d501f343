package main

import (
	"context"
	"fmt"
	"os/exec"
	"runtime"

	"github.com/labctl/labctl/vbox"
)

// hypervisor returns VBoxManage, or says how to get it.
func (s *session) hypervisor(ctx context.Context) (*vbox.Client, error) {
	if s.vbox.InProcess == nil && s.vbox.Command == nil {
		path, err := s.findVBoxManage()
		if err != nil {
			return nil, hinted(exitUnable, err, installHint)
		}
		s.vbox.Command = []string{path}
	}
	c := vbox.New(s.vbox)
	v, err := c.Version(ctx)
	if err != nil {
		return nil, hinted(exitUnable, fmt.Errorf("asking VBoxManage for its version: %w", err), "labctl doctor")
	}
	if err := v.Supported(); err != nil {
		return nil, hinted(exitUnable, err, installHint)
	}
	return c, nil
}

const installHint = "install VirtualBox 7.0 or newer (https://www.virtualbox.org/wiki/Downloads), " +
	"or name it with --vboxmanage PATH; to see labctl without it: labctl --simulate up"

func (a *app) findVBoxManage() (string, error) {
	override := a.vboxmanage
	if override == "" {
		override = a.env("LABCTL_VBOXMANAGE")
	}
	return vbox.Find(override, a.env, exec.LookPath, exists, runtime.GOOS)
}
