package main

import (
	"bytes"
	"errors"
	"io"
	"io/fs"

	"github.com/labctl/labctl/internal/config"
	"github.com/labctl/labctl/internal/sim"
	"github.com/labctl/labctl/internal/ssh"
)

// wanted returns the configuration that the user asks for.
func (a *app) wanted() (*config.Lab, error) {
	lab, err := a.configured()
	if err != nil {
		return nil, usage(err)
	}
	if a.simulate {
		lab.Image.URL, lab.Image.SHA256, lab.K3s.Source = sim.ImageURL, sim.ImageSHA256(), sim.K3sSource
	}
	return lab, nil
}

func (a *app) configured() (*config.Lab, error) {
	file := a.labFile
	if file == "" {
		file = "labctl.yaml"
	}
	const most = 1 << 20 // and one byte more, so that Parse can tell: /dev/zero has no end
	var b []byte
	err := a.readInput(file, func(r io.Reader) (err error) {
		b, err = io.ReadAll(io.LimitReader(r, most+1))
		return err
	})
	if a.labFile == "" && errors.Is(err, fs.ErrNotExist) {
		return config.Default(), nil
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, hinted(exitUsage, err, "labctl --lab "+ssh.Quote(file)+" init writes one")
	}
	if err != nil {
		return nil, err
	}
	return config.Parse(file, b)
}

func differ(a, b *config.Lab) bool {
	x, errX := config.Marshal(a)
	y, errY := config.Marshal(b)
	return errX != nil || errY != nil || !bytes.Equal(x, y)
}
