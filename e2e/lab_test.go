//go:build linux && e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// What .ci/e2e.sh has prepared.
const (
	envDir   = "LABCTL_E2E_DIR"     // holds bin/labctl and bin/front; all else is made below it
	envImage = "LABCTL_E2E_IMAGE"   // the guests' image; the file SHA256 beside it has its checksum
	envFront = "LABCTL_FRONT_STATE" // the front's folder, to find a machine's process
	envFull  = "LABCTL_E2E_FULL"    // not empty: the bad conditions too
	envK3s   = "LABCTL_E2E_K3S"     // a folder with k3s, its checksums and archives of images; empty: a stand-in is used
)

// patience is up's limit for a boot. On a busy machine without KVM three machines have taken nine minutes.
const patience = "--timeout=20m"

// diskGiB is the machines' disks' size; the image's is 4 GiB.
const diskGiB = 8

// lab is one lab of a user who has XDG folders and a working folder with a labctl.yaml.
type lab struct {
	t           *testing.T
	dir         string // the working folder
	data, cache string // XDG_DATA_HOME and XDG_CACHE_HOME
	bin         string
	image       string // what the machines boot; the file SHA256 beside it has its checksum
	origin      string // the server that the image and k3s come from; empty: the folders that they are in
	vbox        string // what labctl takes for VBoxManage: the front
	nodes       []node
	k3s         release
}

type node struct {
	name, role, address string
	cpus, memory        int
}

// newLab makes a lab of three machines, or of the first few of them.
func newLab(t *testing.T, machines int) *lab {
	t.Helper()
	root := os.Getenv(envDir)
	if root == "" || os.Getenv(envImage) == "" || os.Getenv(envFront) == "" {
		t.Fatalf("%s, %s and %s must be set: run .ci/e2e.sh", envDir, envImage, envFront)
	}
	dir := filepath.Join(root, t.Name())
	l := &lab{
		t: t, dir: filepath.Join(dir, "home"), data: filepath.Join(dir, "data"), bin: filepath.Join(root, "bin"),
		cache: filepath.Join(root, "cache"), // one user's: what the first test left there, the next one uses
		image: os.Getenv(envImage), vbox: filepath.Join(root, "bin", "front"),
		nodes: []node{
			{"cp1", "server", "192.168.56.10", 2, 2048},
			{"w1", "agent", "192.168.56.11", 1, 800},
			{"w2", "agent", "192.168.56.12", 1, 800},
		},
	}
	l.nodes = l.nodes[:machines]
	l.k3s = l.release(dir)
	if err := os.MkdirAll(l.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	l.configure()
	t.Cleanup(func() {
		if t.Failed() {
			l.lastWords()
		}
	})
	return l
}

// configure writes labctl.yaml.
func (l *lab) configure() {
	l.t.Helper()
	sum, err := os.ReadFile(filepath.Join(filepath.Dir(l.image), "SHA256"))
	if err != nil {
		l.t.Fatal(err)
	}
	image, source := l.image, l.k3s.source
	if l.origin != "" {
		image, source = l.origin+"/image/"+filepath.Base(image), l.origin+"/k3s"
	}
	var y strings.Builder
	fmt.Fprintf(&y, "image:\n  url: %s\n  sha256: %s\n  diskGiB: %d\n  user: ubuntu\n", image, bytes.TrimSpace(sum), diskGiB)
	fmt.Fprintf(&y, "k3s:\n  version: %s\n  source: %s\n%snodes:\n", l.k3s.version, source, l.k3s.images)
	for _, n := range l.nodes {
		fmt.Fprintf(&y, "  - {name: %s, role: %s, address: %s, cpus: %d, memoryMiB: %d}\n", n.name, n.role, n.address, n.cpus, n.memory)
	}
	if err := os.WriteFile(filepath.Join(l.dir, "labctl.yaml"), []byte(y.String()), 0o600); err != nil {
		l.t.Fatal(err)
	}
}

// result is what a finished command left.
type result struct {
	stdout, stderr string
	exit           int
}

// labctl runs labctl in the working folder and lets its progress be seen.
func (l *lab) labctl(args ...string) result {
	l.t.Helper()
	begun := time.Now()
	l.t.Logf("$ labctl %s", strings.Join(args, " "))
	r := l.run(filepath.Join(l.bin, "labctl"), args...)
	l.t.Logf("exit %d after %s\n%s%s", r.exit, time.Since(begun).Round(100*time.Millisecond), indent(r.stderr), indent(r.stdout))
	return r
}

// must is labctl for a command that has to succeed.
func (l *lab) must(args ...string) result {
	l.t.Helper()
	r := l.labctl(args...)
	if r.exit != 0 {
		l.t.Fatalf("labctl %s: exit status %d", strings.Join(args, " "), r.exit)
	}
	return r
}

// vboxManage makes a call of the user's own.
func (l *lab) vboxManage(args ...string) string {
	l.t.Helper()
	r := l.run(filepath.Join(l.bin, "front"), args...)
	if r.exit != 0 {
		l.t.Fatalf("VBoxManage %s: exit status %d: %s", strings.Join(args, " "), r.exit, r.stderr)
	}
	return withoutWarning(r.stdout)
}

// withoutWarning takes off what Debian's wrapper script says about the kernel modules before everything else.
func withoutWarning(s string) string {
	if !strings.HasPrefix(s, "WARNING:") {
		return s
	}
	_, rest, _ := strings.Cut(s, "until this problem is fixed.\n")
	return rest
}

// command is a program with the user's environment.
func (l *lab) command(program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(l.t.Context(), program, args...)
	cmd.Dir = l.dir
	cmd.Env = append(os.Environ(), "XDG_DATA_HOME="+l.data, "XDG_CACHE_HOME="+l.cache, "HOME="+l.dir,
		"LABCTL_VBOXMANAGE="+l.vbox)
	return cmd
}

// interrupt runs labctl until its progress tells of something, sends it a signal and returns what became of it.
func (l *lab) interrupt(when string, with syscall.Signal, args ...string) result {
	l.t.Helper()
	l.t.Logf("$ labctl %s, until it says %q; then signal %d", strings.Join(args, " "), when, with)
	cmd := l.command(filepath.Join(l.bin, "labctl"), args...)
	file, err := os.Create(filepath.Join(l.dir, "stderr"))
	if err != nil {
		l.t.Fatal(err)
	}
	defer file.Close()
	said := func() string {
		data, err := os.ReadFile(file.Name())
		if err != nil {
			l.t.Fatal(err)
		}
		return string(data)
	}
	cmd.Stderr = file
	if err := cmd.Start(); err != nil {
		l.t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }() // the status tells
	l.await("labctl to say "+when, func() bool {
		if len(ended) > 0 {
			l.t.Fatalf("it ended without: exit %d\n%s", cmd.ProcessState.ExitCode(), indent(said()))
		}
		return strings.Contains(said(), when)
	})
	if err := cmd.Process.Signal(with); err != nil {
		l.t.Fatal(err)
	}
	begun := time.Now()
	<-ended
	l.t.Logf("exit %d after another %s\n%s", cmd.ProcessState.ExitCode(), time.Since(begun).Round(100*time.Millisecond), indent(said()))
	return result{stderr: said(), exit: cmd.ProcessState.ExitCode()}
}

func (l *lab) run(program string, args ...string) result {
	l.t.Helper()
	r, err := l.try(program, args...)
	if err != nil {
		l.t.Fatal(err)
	}
	return r
}

// try is run for a goroutine, which must not end the test.
func (l *lab) try(program string, args ...string) (result, error) {
	cmd := l.command(program, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.WaitDelay = 10 * time.Second // a daemon that the command started may keep its output open
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) && !errors.Is(err, exec.ErrWaitDelay) {
		return result{}, fmt.Errorf("%s: %w", program, err)
	}
	return result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}, nil
}

// on runs a command in a guest, over SSH.
func (l *lab) on(node, command string) string {
	l.t.Helper()
	out, err := l.tryOn(node, command)
	if err != nil {
		l.t.Fatal(err)
	}
	return out
}

// onAll runs a command in each guest, in all at once: a login takes an emulated processor more than a second. It returns what each
// node said.
func (l *lab) onAll(command func(node) string) map[string]string {
	l.t.Helper()
	said, errs := make([]string, len(l.nodes)), make([]error, len(l.nodes))
	var all sync.WaitGroup
	for i, n := range l.nodes {
		all.Go(func() { said[i], errs[i] = l.tryOn(n.name, command(n)) })
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		l.t.Fatal(err)
	}
	by := map[string]string{}
	for i, n := range l.nodes {
		by[n.name] = said[i]
	}
	return by
}

func (l *lab) tryOn(node, command string) (string, error) {
	r, err := l.try(filepath.Join(l.bin, "labctl"), "ssh", node, "--", command)
	if err == nil && r.exit != 0 {
		err = fmt.Errorf("%s: %s: exit status %d: %s%s", node, command, r.exit, r.stdout, r.stderr)
	}
	return strings.TrimSpace(r.stdout), err
}

// boots returns each node's boot id, which changes with every boot.
func (l *lab) boots() map[string]string {
	l.t.Helper()
	return l.onAll(func(node) string { return "cat /proc/sys/kernel/random/boot_id" })
}

// changes are what up did or plan would do: "update Machine w1 memoryMiB".
func (l *lab) changes(up result) []string {
	l.t.Helper()
	var summary struct {
		Changes []struct {
			Op, Type, Name string
			Diff           []string
		}
	}
	if err := json.Unmarshal([]byte(up.stdout), &summary); err != nil {
		l.t.Fatalf("up -o json: %v\n%s", err, up.stdout)
	}
	all := []string{}
	for _, c := range summary.Changes {
		all = append(all, strings.Join(append([]string{c.Op, c.Type, c.Name}, c.Diff...), " "))
	}
	return all
}

// property is one of a machine's, as VBoxManage tells it.
func (l *lab) property(node, key string) string {
	l.t.Helper()
	for line := range strings.Lines(l.vboxManage("showvminfo", "lab-"+node, "--machinereadable")) {
		if value, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), key+"="); ok {
			return strings.Trim(value, `"`)
		}
	}
	l.t.Fatalf("lab-%s has no property %s", node, key)
	return ""
}

// chapter runs a part of a story. Each goes on from where the one before it ended, so the first that fails is the
// last.
func (l *lab) chapter(title string, tell func()) {
	outer := l.t
	outer.Helper()
	ok := outer.Run(title, func(t *testing.T) {
		l.t = t
		tell()
	})
	l.t = outer
	if !ok {
		outer.Logf("stopped in %s: %s", outer.Name(), title)
		failed := []byte(outer.Name() + ": " + title + "\n")
		if err := os.WriteFile(filepath.Join(os.Getenv(envDir), "failed"), failed, 0o600); err != nil {
			outer.Log(err)
		}
		outer.FailNow()
	}
}

// kill ends the process that runs a node's machine, as a crash does.
func (l *lab) kill(node string) {
	l.t.Helper()
	file := filepath.Join(os.Getenv(envFront), "vm", l.property(node, "UUID"), "pid")
	text, err := os.ReadFile(file)
	if err != nil {
		l.t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		l.t.Fatalf("%s: %v", file, err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		l.t.Fatal(err)
	}
	l.await("the machine of "+node+" to be gone", func() bool { return l.property(node, "VMState") == "aborted" })
}

// await polls until something is so.
func (l *lab) await(what string, so func() bool) {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(l.t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for !so() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			l.t.Fatalf("waiting for %s: %v", what, ctx.Err())
		}
	}
}

// lastWords shows what the machines said last.
func (l *lab) lastWords() {
	for _, pattern := range []string{
		filepath.Join(l.data, "labctl", "lab", "machines", "*", "serial.log"),
		filepath.Join(l.data, "labctl", "lab", "machines", "*", "labctl", "lab", "*", "Logs", "VBox.log"),
		filepath.Join(os.Getenv(envFront), "calls.log"),
	} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			l.t.Log(err)
		}
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				l.t.Log(err)
				continue
			}
			lines := strings.Split(strings.TrimSpace(strings.ReplaceAll(string(data), "\r", "")), "\n")
			l.t.Logf("%s ends:\n%s", file, indent(strings.Join(lines[max(0, len(lines)-15):], "\n")))
		}
	}
}

func indent(s string) string {
	if s = strings.TrimRight(s, "\n"); s == "" {
		return ""
	}
	return "    " + strings.ReplaceAll(s, "\n", "\n    ") + "\n"
}
