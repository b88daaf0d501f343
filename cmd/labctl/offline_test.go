//go:build linux

package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/labctl/labctl/internal/sim"
)

// TestOfflineNamespace runs labctl where there is no network at all: in a network namespace with nothing but loopback, and the
// server that everything came from switched off.
func TestOfflineNamespace(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("not run: a network namespace needs root")
	}
	for _, program := range []string{"unshare", "ip"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("not run: %v", err)
		}
	}
	t.Parallel()
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	labctl := filepath.Join(dir, "labctl") // TestMain goes by the name
	if err := os.Symlink(self, labctl); err != nil {
		t.Fatal(err)
	}
	manage := filepath.Join(dir, "VBoxManage")
	script := fmt.Sprintf("#!/bin/sh\nexec '%s' %s '%s' \"$@\"\n", labctl, simulatedVBoxManage, filepath.Join(dir, "world"))
	if err := os.WriteFile(manage, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}

	files := map[string][]byte{"jammy.img": downloaded(t, dir, sim.ImageURL), "k3s": []byte("binary"), "k3s-airgap-images-amd64.tar.zst": []byte("images")}
	var list bytes.Buffer
	for name, data := range files {
		sum := sha256.Sum256(data)
		fmt.Fprintf(&list, "%s  %s\n", hex.EncodeToString(sum[:]), name)
	}
	files["SHA256SUMS"], files["sha256sum-amd64.txt"] = list.Bytes(), list.Bytes()
	var requests atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		data, ok := files[path.Base(r.URL.Path)]
		if !ok {
			http.NotFound(w, r)
			return
		}
		w.Write(data)
	}))
	defer server.Close()
	lab := filepath.Join(dir, "lab.yaml")
	text := fmt.Sprintf("image: {url: %[1]s/jammy.img, sha256: %[1]s/SHA256SUMS}\nk3s: {source: %[1]s, airgap: true}\n", server.URL)
	if err := os.WriteFile(lab, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}

	archives := filepath.Join(dir, "archives.yaml") // for a simulated lab
	if err := os.WriteFile(archives, fmt.Appendf(nil, "k3s: {airgap: true, images: [%s]}\n", demoArchive(t, dir)), 0o644); err != nil {
		t.Fatal(err)
	}

	run := func(cache string, command ...string) (string, error) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), command[0], command[1:]...)
		cmd.WaitDelay = 10 * time.Second
		cmd.Env = append(os.Environ(), "XDG_DATA_HOME="+filepath.Join(dir, "data"), "XDG_CACHE_HOME="+filepath.Join(dir, cache),
			"HOME="+dir, "LABCTL_VBOXMANAGE="+manage)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	must := func(want string, command ...string) {
		t.Helper()
		out, err := run("cache", command...)
		if err != nil || !strings.Contains(out, want) {
			t.Fatalf("%q: %v, want %q in\n%s", command, err, want, out)
		}
	}
	alone := func(args ...string) []string {
		return append([]string{"unshare", "--net", "sh", "-c", `ip link set lo up && [ -z "$(ip route)" ] && exec "$@"`, "sh", labctl}, args...)
	}

	must("all that up downloads is in the cache", labctl, "--lab", lab, "cache", "fetch")
	must("all that up downloads is in the cache", labctl, "--simulate", "--lab", archives, "cache", "fetch")
	if got := requests.Load(); got != 5 {
		t.Errorf("%d requests, want one for each of 5 files", got)
	}
	server.Close()
	if err := os.WriteFile(filepath.Join(dir, "data", "labctl", "simulated", ".world", "offline"), nil, 0o644); err != nil {
		t.Fatal(err)
	}

	must("the image of lab", alone("--lab", lab, "up", "--to", "image")...)
	must("is up (SIMULATED)", alone("--simulate", "--lab", archives, "up")...)
	must("pass", alone("--simulate", "--lab", archives, "verify")...)
	out, _ := run("cache", alone("--lab", lab, "doctor")...) // this machine may lack other things
	if !strings.Contains(out, "all that up downloads is in the cache") {
		t.Errorf("doctor says\n%s", out)
	}
	// What was cut off since would have to be fetched again.
	image, err := filepath.Glob(filepath.Join(dir, "cache", "labctl", "images", "*", "jammy.img"))
	if err != nil || len(image) != 1 {
		t.Fatalf("the image in the cache: %q, %v", image, err)
	}
	if err := os.Truncate(image[0], 100); err != nil {
		t.Fatal(err)
	}
	out, _ = run("cache", alone("--lab", lab, "doctor")...)
	if !strings.Contains(out, "up would lack the disk image;") {
		t.Errorf("doctor says of an image that was cut off\n%s", out)
	}
	// The namespace is what it says: with an empty cache nothing can be had.
	out, err = run("empty", alone("--lab", lab, "doctor")...)
	if err == nil || !strings.Contains(out, "up would lack the disk image's list of checksums, the checksums of k3s") {
		t.Errorf("doctor with an empty cache: %v\n%s", err, out)
	}
	out, err = run("empty", alone("--lab", lab, "up", "--to", "image")...)
	if err == nil || !strings.Contains(out, server.URL) {
		t.Errorf("up with an empty cache: %v\n%s", err, out)
	}
}

// demoArchive is an archive of the demo's container images, as far as the simulation looks into it.
func demoArchive(t *testing.T, dir string) string {
	t.Helper()
	const manifest = `[{"RepoTags": ["nginx:1.27-alpine", "traefik/whoami:v1.11"]}]`
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	err := w.WriteHeader(&tar.Header{Name: "manifest.json", Size: int64(len(manifest)), Mode: 0o644})
	if err == nil {
		_, err = w.Write([]byte(manifest))
	}
	file := filepath.Join(dir, "demo.tar")
	if err = errors.Join(err, w.Close(), os.WriteFile(file, b.Bytes(), 0o644)); err != nil {
		t.Fatal(err)
	}
	return file
}

// downloaded is what the simulated internet has at an address.
func downloaded(t *testing.T, dir, url string) []byte {
	t.Helper()
	world, err := sim.Open(filepath.Join(dir, "internet"), sim.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer world.Close()
	client := http.Client{Transport: &http.Transport{DialContext: world.DialContext, DisableKeepAlives: true}}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(response.Body); err != nil || response.StatusCode != http.StatusOK {
		t.Fatal(response.Status, err)
	}
	return b.Bytes()
}
