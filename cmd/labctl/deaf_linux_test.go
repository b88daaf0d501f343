package main

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

// TestNobodyReads: what labctl says goes into a pipe that is full and that nobody empties. The second Ctrl-C ends it all the same.
func TestNobodyReads(t *testing.T) {
	t.Parallel()
	for name, second := range map[string]syscall.Signal{"Ctrl-C twice": syscall.SIGINT, "then told to end": syscall.SIGTERM, "then its terminal is closed": syscall.SIGHUP} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			pipe := dir + "/pipe" // nobody writes to it: after a second labctl says that it waits
			if err := syscall.Mkfifo(pipe, 0o600); err != nil {
				t.Fatal(err)
			}
			var ends [2]int
			if err := syscall.Pipe2(ends[:], syscall.O_CLOEXEC|syscall.O_NONBLOCK); err != nil {
				t.Fatal(err)
			}
			defer syscall.Close(ends[0])
			full := 0
			for _, piece := range []int{4096, 1} {
				for {
					n, err := syscall.Write(ends[1], make([]byte, piece))
					if errors.Is(err, syscall.EAGAIN) {
						break
					}
					if err != nil {
						t.Fatal(err)
					}
					full += n
				}
			}
			if err := syscall.SetNonblock(ends[1], false); err != nil {
				t.Fatal(err)
			}
			deaf := os.NewFile(uintptr(ends[1]), "full")
			defer deaf.Close()
			cmd := exec.Command(binaryOfTest(), "--lab", pipe, "break", "--list")
			cmd.Env = []string{actAsLabctl + "=1", "HOME=" + dir, "XDG_DATA_HOME=" + dir, "XDG_CACHE_HOME=" + dir}
			cmd.Stdout, cmd.Stderr = deaf, deaf
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			over := make(chan error, 1)
			go func() { over <- cmd.Wait() }()
			// It may be hit before it listens for signals, and then ends by them: what counts is that it ends.
			limit, next, signal := time.After(grace), time.NewTicker(2*time.Second), syscall.SIGINT
			defer next.Stop()
			for {
				select {
				case <-over:
					return
				case <-next.C:
					_ = cmd.Process.Signal(signal)
					signal = second
				case <-limit:
					_ = cmd.Process.Kill()
					<-over
					t.Fatalf("with %d bytes in the pipe no signal ends it", full)
				}
			}
		})
	}
}
