package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestPipeWithoutAWriter: opening one never ends by itself.
func TestPipeWithoutAWriter(t *testing.T) {
	t.Parallel()
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errInterrupted)
	for _, args := range [][]string{{"--lab", pipe, "break", "--list"}, {"verify", "--evidence", pipe}} {
		var out, errs bytes.Buffer
		status := make(chan int, 1)
		go func() { status <- newApp(strings.NewReader(""), &out, &errs, os.Getenv).run(ctx, args) }()
		select {
		case got := <-status:
			if got != exitInterrupted || !strings.Contains(errs.String(), pipe) {
				t.Errorf("%v: status %d\n%s", args, got, errs.String())
			}
		case <-time.After(30 * time.Second):
			t.Errorf("%v: an interrupt does not end it", args)
		}
	}
}

// TestLabFromAPipe: as in --lab <(…).
func TestLabFromAPipe(t *testing.T) {
	t.Parallel()
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	go func() {
		if err := os.WriteFile(pipe, []byte("nonsense: true\n"), 0o600); err != nil {
			t.Error(err)
		}
	}()
	var out, errs bytes.Buffer
	status := newApp(strings.NewReader(""), &out, &errs, os.Getenv).run(t.Context(), []string{"--lab", pipe, "break", "--list"})
	if status != exitUsage || !strings.Contains(errs.String(), pipe+":1") {
		t.Errorf("status %d\n%s", status, errs.String())
	}
}
