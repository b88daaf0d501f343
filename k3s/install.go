package k3s

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
)

// Paths on a node.
const (
	binaryPath     = "/usr/local/bin/k3s"
	settingsPath   = "/etc/rancher/k3s/config.yaml"
	kubeconfigPath = "/etc/rancher/k3s/k3s.yaml"
	tokenPath      = "/var/lib/rancher/k3s/server/node-token"
	agentFolder    = "/var/lib/rancher/k3s/agent"
	imagesFolder   = agentFolder + "/images"
	agentCAPath    = agentFolder + "/server-ca.crt"
	restartPending = "/etc/rancher/k3s/restart-pending"
)

func unitPath(as role) string { return "/etc/systemd/system/" + as.service() + ".service" }

// InstallServer makes node n the cluster's server, or brings its k3s to the wanted binary and settings, and returns when the
// service is active: the API answers then, but the node may not be Ready yet. The settings' Server is not used.
func InstallServer(ctx context.Context, r Runner, n Node, s Settings, a Artifacts, step func(string)) error {
	if err := install(ctx, r, n, s, a, server, step); err != nil {
		return err
	}
	if _, err := r.Run(ctx, asRoot(access, n.User), nil); err != nil {
		return fmt.Errorf("letting %q use kubectl on %q: %w", n.User, n.Name, err)
	}
	return nil
}

// InstallAgent makes node n an agent of the server in s, or brings its k3s to the wanted binary and settings, and returns
// when the service is active: it has joined then. A node that was in the cluster with another disk is first to be
// forgotten (ForgetNode), or the server rejects it.
func InstallAgent(ctx context.Context, r Runner, n Node, s Settings, a Artifacts, step func(string)) error {
	return install(ctx, r, n, s, a, agent, step)
}

func install(ctx context.Context, r Runner, n Node, s Settings, a Artifacts, as role, step func(string)) error {
	if err := s.check(n, as); err != nil {
		return err
	}
	images, err := imageFiles(a.Images)
	if err != nil {
		return fmt.Errorf("installing k3s on %q: %w", n.Name, err)
	}
	step("looking at what is installed")
	found, err := look(ctx, r, n, as, images)
	if err != nil {
		return err
	}
	settings, err := settingsFiles(n, s, as, found.iface)
	if err != nil {
		return err
	}
	wanted := append(images, file{
		path: binaryPath, mode: "0755", sha256: a.SHA256, restarts: true, what: "k3s " + s.Version, open: fromDisk(a.Binary),
	})
	wanted = append(wanted, settings...)

	restart := found.pending()
	if as == agent && found.ofAnotherCluster(s.Token) && (restart || found.differ(settings)) {
		step("leaving the old cluster")
		if _, err := r.Run(ctx, asRoot(leave, as.service()), nil); err != nil {
			return fmt.Errorf("leaving the old cluster on %q: %w", n.Name, err)
		}
		restart = true
	}
	for _, f := range wanted {
		if found.files[f.path] == f.sha256 {
			continue
		}
		step("pushing " + f.what)
		if err := f.push(ctx, r); err != nil {
			return fmt.Errorf("pushing %s to %q: %w", f.what, n.Name, err)
		}
		restart = restart || f.restarts
	}
	// A service that is starting, say because its machine has just booted, is left to it: systemd tries for ever.
	if restart || (found.active != "active" && found.active != "activating") {
		step("starting " + as.service())
		if _, err := r.Run(ctx, asRoot(start, as.service()), nil); err != nil {
			return fmt.Errorf("starting %s on %q: %w", as.service(), n.Name, err)
		}
	}
	return waitActive(ctx, r, n, s, as, step)
}

// file is one that should be on a node.
type file struct {
	path, mode, sha256 string
	restarts           bool   // the service must be restarted to heed it
	what               string // for people
	open               func() (io.ReadCloser, error)
}

func (f file) push(ctx context.Context, r Runner) error {
	content, err := f.open()
	if err != nil {
		return err
	}
	defer content.Close()
	marker := ""
	if f.restarts {
		marker = restartPending
	}
	_, err = r.Run(ctx, asRoot(push, f.path, f.mode, f.sha256, marker), content)
	return err
}

// settingsFiles are the files that depend on the settings alone: config.yaml and the unit.
func settingsFiles(n Node, s Settings, as role, iface string) ([]file, error) {
	settings, err := settingsOf(n, s, as, iface)
	if err != nil {
		return nil, err
	}
	return []file{
		inMemory(settingsPath, "0600", "settings", settings),
		inMemory(unitPath(as), "0644", "unit "+as.service(), unitOf(as, s.ipvs())),
	}, nil
}

func inMemory(path, mode, what string, content []byte) file {
	sum := sha256.Sum256(content)
	return file{
		path: path, mode: mode, sha256: hex.EncodeToString(sum[:]), restarts: true, what: what,
		open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil },
	}
}

func fromDisk(path string) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) { return os.Open(path) }
}

// imageFiles are the image archives. They need no restart: k3s reads the folder when it starts, and since v1.31.5 whenever a
// file comes into it (https://github.com/k3s-io/k3s/pull/10973).
func imageFiles(paths []string) ([]file, error) {
	var files []file
	for _, local := range paths {
		sum, err := sumOf(local)
		if err != nil {
			return nil, err
		}
		name := filepath.Base(local)
		files = append(files, file{
			path: path.Join(imagesFolder, name), mode: "0644", sha256: sum, what: "images " + name, open: fromDisk(local),
		})
	}
	return files, nil
}

func sumOf(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", fmt.Errorf("reading %q: %w", path, err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
