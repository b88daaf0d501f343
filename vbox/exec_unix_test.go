//go:build unix

package vbox

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestEnvironment(t *testing.T) {
	base := []string{"HOME=/h", "LANG=de_DE.UTF-8", "LC_MESSAGES=de", "LANGUAGE=de", "VBOX_USER_HOME=/v"}
	for goos, locale := range map[string]string{"linux": "C.UTF-8", "darwin": "C", "windows": "C"} {
		want := []string{"HOME=/h", "VBOX_USER_HOME=/v", "LANG=" + locale, "LC_ALL=" + locale}
		if diff := cmp.Diff(want, environment(base, goos)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", goos, diff)
		}
	}
}

func TestExecute(t *testing.T) {
	out, err := execute(t.Context(), []string{"/bin/sh", "-c", `echo "$X"; echo bad >&2; exit 3`}, []string{"X=1"})
	if diff := cmp.Diff(output{"1\n", "bad\n", 3}, out, cmp.AllowUnexported(output{})); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

// TestExecuteInterrupts: the end of the context interrupts the program and what it started, and it may finish.
func TestExecuteInterrupts(t *testing.T) {
	dir := t.TempDir()
	ready, done := filepath.Join(dir, "ready"), filepath.Join(dir, "done")
	script := `trap 'echo undone > ` + done + `; exit 7' INT; mkfifo ` + ready + `.pipe; : > ` + ready + `; read x < ` + ready + `.pipe`
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		for !exists(ready) && wait(ctx, time.Millisecond) == nil {
		}
		cancel()
	}()
	out, err := execute(ctx, []string{"/bin/sh", "-c", script}, nil)
	if out.exit != 7 || !exists(done) {
		t.Errorf("exit %d, %v; it was not interrupted, or not given time", out.exit, err)
	}
}

// TestExecuteGroup: a Ctrl-C of the terminal does not reach the program, because it is in a group of its own.
func TestExecuteGroup(t *testing.T) {
	out, err := execute(t.Context(), []string{"/bin/sh", "-c", `ps -o pgid= -p $$ 2>/dev/null || cut -d' ' -f5 /proc/$$/stat; echo $$`}, nil)
	fields := strings.Fields(out.stdout)
	if err != nil || len(fields) != 2 || fields[0] != fields[1] {
		t.Errorf("group and process are %q, %v", fields, err)
	}
}

// TestExecuteDaemon: a daemon that VBoxManage starts may keep the output open; the call has ended all the same.
func TestExecuteDaemon(t *testing.T) {
	out, err := executeGrace(t.Context(), []string{"/bin/sh", "-c", `sleep 600 & echo $!`}, nil, 50*time.Millisecond)
	pid, atoi := strconv.Atoi(strings.TrimSpace(out.stdout))
	if err != nil || atoi != nil || out.exit != 0 {
		t.Fatalf("got %+v, %v", out, err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Errorf("the daemon did not live on: %v", err)
	}
}

// TestExecuteKills: what does not end when it is interrupted is killed, with what it started.
func TestExecuteKills(t *testing.T) {
	ready := filepath.Join(t.TempDir(), "ready")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		for !exists(ready) && wait(ctx, time.Millisecond) == nil {
		}
		cancel()
	}()
	out, _ := executeGrace(ctx, []string{"/bin/sh", "-c", `trap '' INT; sleep 600 & echo $!; : > ` + ready + `; wait`}, nil, 50*time.Millisecond)
	pid, err := strconv.Atoi(strings.TrimSpace(out.stdout))
	if err != nil || out.exit != -1 {
		t.Fatalf("got %+v, %v", out, err)
	}
	// The child is not ours to reap: it is gone, or a zombie until init has looked.
	over, stop := context.WithTimeout(t.Context(), 5*time.Second)
	defer stop()
	for syscall.Kill(pid, 0) == nil && !zombie(pid) {
		if wait(over, 5*time.Millisecond) != nil {
			t.Fatal("its child lives on")
		}
	}
}

func zombie(pid int) bool {
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	return err == nil && strings.Contains(string(stat), ") Z ")
}

func TestExecuteMissing(t *testing.T) {
	_, err := execute(t.Context(), []string{filepath.Join(t.TempDir(), "none")}, nil)
	if !errors.Is(err, errNotInstalled) || slices.Contains(strings.Split(err.Error(), "\n"), "") {
		t.Errorf("got %v", err)
	}
}
