package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// patience is how long a pipe may take to give what it holds.
const patience = 5 * time.Minute

// readInput opens a file that the user has named and reads it. A pipe (--lab <(…)) may have nobody who writes to it, and neither opening it
// nor reading it can be broken off: it is left behind when the run is interrupted.
func (a *app) readInput(name string, read func(io.Reader) error) error {
	done := make(chan error, 1)
	go func() {
		f, err := os.Open(name)
		if err == nil {
			err = errors.Join(read(f), f.Close())
		}
		done <- err
	}()
	var limit <-chan time.Time // none for a file: reading a large one takes its time, and ends
	if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() {
		timer := time.NewTimer(patience)
		defer timer.Stop()
		limit = timer.C
	}
	slow := time.NewTimer(time.Second)
	defer slow.Stop()
	for {
		select {
		case err := <-done:
			return err
		case <-slow.C:
			a.ui.Info(fmt.Sprintf("waiting for what %q holds", name))
		case <-a.over:
			return fmt.Errorf("reading %q was broken off", name)
		case <-limit:
			return fmt.Errorf("%q did not end within %v: does anybody write to it?", name, patience)
		}
	}
}
