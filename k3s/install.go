package k3s

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/labctl/labctl/internal/config"
)

// ErrReboot says that everything is in place on a node, and that the node is to be rebooted for it to count: kube-proxy's mode
// changed, and what the old mode wrote into the kernel (rules, virtual servers, addresses on kube-ipvs0) goes only with the
// kernel. Reboot the node, and install again: that goes on where this ended.
var ErrReboot = errors.New("the node must be rebooted")

// Paths on a node.
const (
	binaryPath     = "/usr/local/bin/k3s"
	stagedPrefix   = "/usr/local/bin/.k3s-" // and the checksum
	settingsPath   = "/etc/rancher/k3s/config.yaml"
	registriesPath = "/etc/rancher/k3s/registries.yaml"
	kubeconfigPath = "/etc/rancher/k3s/k3s.yaml"
	tokenPath      = "/var/lib/rancher/k3s/server/node-token"
	agentFolder    = "/var/lib/rancher/k3s/agent"
	imagesFolder   = agentFolder + "/images"
	agentCAPath    = agentFolder + "/server-ca.crt"
	restartPending = "/etc/rancher/k3s/restart-pending"
	rebootPending  = "/etc/rancher/k3s/reboot-pending"
)

func unitPath(as role) string { return "/etc/systemd/system/" + as.service() + ".service" }
func envPath(as role) string  { return unitPath(as) + ".env" }

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
	step("looking at what is installed")
	staged := stagedPath(a.SHA256)
	found, err := look(ctx, r, n, as, staged)
	if err != nil {
		return err
	}
	settings, err := settingsFiles(n, s, as, found.iface)
	if err != nil {
		return err
	}
	wanted := append([]file{{
		path: binaryPath, mode: "0755", sha256: a.SHA256, restarts: true, what: "k3s " + s.Version, open: fromDisk(a.Binary),
	}}, settings...)

	reboot := found.reboot != "" && found.reboot == found.boot
	if found.reboot != "" && !reboot { // it was rebooted since, and k3s started with what was there
		if _, err := r.Run(ctx, asRoot(rebooted), nil); err != nil {
			return fmt.Errorf("noting that %q was rebooted: %w", n.Name, err)
		}
		delete(found.files, restartPending)
	}
	if found.proxy != "" && found.proxy != s.proxyMode() && !reboot {
		if _, err := r.Run(ctx, asRoot(mark), nil); err != nil {
			return fmt.Errorf("noting that %q must be rebooted: %w", n.Name, err)
		}
		reboot = true
	}
	_, restart := found.files[restartPending]
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
		if f.path == binaryPath && found.files[staged] == f.sha256 {
			err = f.place(ctx, r, n, staged, step)
		} else {
			err = f.put(ctx, r, n, step)
		}
		if err != nil {
			return err
		}
		restart = restart || f.restarts
	}
	if reboot {
		return ErrReboot
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

// settingsFiles are the files that depend on the settings alone.
func settingsFiles(n Node, s Settings, as role, iface string) ([]file, error) {
	settings, err := settingsOf(n, s, as, iface)
	if err != nil {
		return nil, err
	}
	files := []file{
		inMemory(settingsPath, "0600", "settings", settings),
		inMemory(unitPath(as), "0644", "unit "+as.service(), unitOf(as, s)),
		absent(registriesPath, "the registries' settings"),
		absent(envPath(as), "the proxy's settings"),
	}
	if s.Registries.Given() {
		content, err := registriesOf(s.Registries)
		if err != nil {
			return nil, err
		}
		files[2] = inMemory(registriesPath, "0600", "the registries' settings", content)
	}
	if s.Proxy.Given() {
		files[3] = inMemory(envPath(as), "0600", "the proxy's settings", environmentOf(s))
	}
	return files, nil
}

// Seal tells one set of the settings that may hold passwords from another without giving them away: key is the lab's own secret.
// It is empty where there are none.
func Seal(l *config.Lab, key string) (registries, proxy string, err error) {
	seal := func(content []byte) string {
		mac := hmac.New(sha256.New, []byte(key))
		mac.Write(content)
		return hex.EncodeToString(mac.Sum(nil)[:8])
	}
	if l.Registries.Given() {
		content, err := registriesOf(l.Registries)
		if err != nil {
			return "", "", err
		}
		registries = seal(content)
	}
	if l.Proxy.Given() {
		proxy = seal(environmentOf(Settings{Proxy: l.Proxy}))
	}
	return registries, proxy, nil
}
