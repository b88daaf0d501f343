//go:build linux && e2e

package e2e

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/go-cmp/cmp"
)

// release is a release of k3s as labctl finds it: SOURCE/VERSION/FILE.
type release struct {
	source, version string
	real            bool   // k3s, not the stand-in
	images          string // lines of labctl.yaml, of the archives: the guests reach no registry
}

// release prepares the folder that labctl takes k3s from.
func (l *lab) release(dir string) release {
	l.t.Helper()
	r := release{source: filepath.Join(dir, "k3s")}
	binary := filepath.Join(l.bin, "standin")
	from := os.Getenv(envK3s)
	if from != "" {
		r.real = true
		binary = filepath.Join(from, "k3s")
	}
	out, err := exec.CommandContext(l.t.Context(), binary, "--version").Output()
	words := strings.Fields(string(out)) // k3s version v1.34.3+k3s1 (48ffa7b6)
	if err != nil || len(words) < 3 {
		l.t.Fatalf("%s --version: %q %v", binary, out, err)
	}
	r.version = words[2]
	if err := os.MkdirAll(r.source, 0o700); err != nil {
		l.t.Fatal(err)
	}
	folder := filepath.Join(r.source, r.version)
	if r.real {
		if err := os.Symlink(from, folder); err != nil {
			l.t.Fatal(err)
		}
		r.images = l.archives(from)
		return r
	}
	data, err := os.ReadFile(binary)
	if err != nil {
		l.t.Fatal(err)
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		l.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "k3s"), data, 0o700); err != nil {
		l.t.Fatal(err)
	}
	r.sums(l, sumOf(data))
	return r
}

// archives names the archives of images in a folder: k3s's own, whose name is the release's, and all others.
func (l *lab) archives(folder string) string {
	l.t.Helper()
	all, err := filepath.Glob(filepath.Join(folder, "*.tar*"))
	if err != nil || len(all) == 0 {
		l.t.Fatalf("%s: no archives of images in %s %v", envK3s, folder, err)
	}
	lines, others := "", ""
	for _, file := range all {
		if strings.HasPrefix(filepath.Base(file), "k3s-airgap-images-") {
			lines = "  airgap: true\n"
		} else {
			others += "    - " + file + "\n"
		}
	}
	if others != "" {
		lines += "  images:\n" + others
	}
	return lines
}

// sums writes the stand-in's list of checksums.
func (r release) sums(l *lab, sum string) {
	l.t.Helper()
	file := filepath.Join(r.source, r.version, "sha256sum-amd64.txt")
	if err := os.WriteFile(file, []byte(sum+"  k3s\n"), 0o600); err != nil {
		l.t.Fatal(err)
	}
}

func (r release) sum(l *lab) string {
	l.t.Helper()
	data, err := os.ReadFile(filepath.Join(r.source, r.version, "k3s"))
	if err != nil {
		l.t.Fatal(err)
	}
	return sumOf(data)
}

func sumOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// k3sChapters are the rest of the job: with k3s all of it, with the stand-in the installation.
func (l *lab) k3sChapters() {
	l.t.Helper()
	if !l.k3s.real {
		l.standInChapters()
		return
	}
	l.clusterChapters()
	if err := os.WriteFile(filepath.Join(os.Getenv(envDir), "cluster-ran"), nil, 0o600); err != nil {
		l.t.Fatal(err)
	}
}

// standInChapters test on real guests how labctl installs k3s. No cluster runs.
func (l *lab) standInChapters() {
	l.t.Helper()
	sum := l.k3s.sum(l)

	l.chapter("k3s with another checksum than its list's goes to no guest", func() {
		l.k3s.sums(l, strings.Repeat("0", 64))
		r := l.labctl("up", "--to", "cluster", patience)
		if r.exit != 3 || !strings.Contains(r.stderr, strings.Repeat("0", 64)) || !strings.Contains(r.stderr, sum) {
			l.t.Errorf("exit status %d, want 3 and both checksums", r.exit)
		}
		if got := l.on("cp1", "ls -A /usr/local/bin"); got != "" {
			l.t.Errorf("on cp1 there is %q", got)
		}
		l.k3s.sums(l, sum)
	})

	l.chapter("the stand-in for k3s is pushed, set up, started and joined", func() {
		got := l.changes(l.must("up", "--to", "cluster", patience, "-o", "json"))
		want := []string{"create Agent w1-k3s", "create NodeBinary cp1-binary", "create NodeBinary w1-binary", "create Server cp1-k3s"}
		if diff := cmp.Diff(want, slices.Sorted(slices.Values(got))); diff != "" {
			l.t.Errorf("changes (-want +got):\n%s", diff)
		}
		l.checkInstalled(sum)
		if diff := cmp.Diff(map[string]string{"cp1": "Ready", "w1": "Ready"}, l.nodeStates()); diff != "" {
			l.t.Errorf("nodes (-want +got):\n%s", diff)
		}
		file := filepath.Join(l.data, "labctl", "lab", "kubeconfig")
		info, err := os.Stat(file)
		if err != nil || info.Mode().Perm() != 0o600 {
			l.t.Errorf("%s: %v %v", file, info, err)
		}
		if data, err := os.ReadFile(file); err != nil || !strings.Contains(string(data), "server: https://192.168.56.10:6443") {
			l.t.Errorf("%s: %v\n%s", file, err, data)
		}
	})

	l.chapter("a second up changes nothing", func() {
		if got := l.changes(l.must("up", "--to", "cluster", patience, "-o", "json")); len(got) != 0 {
			l.t.Errorf("changes: %q", got)
		}
	})

	l.chapter("an agent's settings, binary and service are damaged: up mends that agent alone", func() {
		before := l.on("cp1", "systemctl show -p MainPID k3s")
		l.on("w1", "sudo systemctl stop k3s-agent; echo more | sudo tee -a /usr/local/bin/k3s >/dev/null; "+
			"sudo sed -i s/enp0s8/enp0s3/ /etc/rancher/k3s/config.yaml")
		got := l.changes(l.must("up", "--to", "cluster", patience, "-o", "json"))
		if diff := cmp.Diff([]string{"update Agent w1-k3s drift"}, got); diff != "" {
			l.t.Errorf("changes (-want +got):\n%s", diff)
		}
		l.checkInstalled(sum)
		if after := l.on("cp1", "systemctl show -p MainPID k3s"); after != before {
			l.t.Errorf("the server was restarted: %s, then %s", before, after)
		}
	})
}

// checkInstalled compares what is on the guests with what k3s's own installer would have done.
func (l *lab) checkInstalled(sum string) {
	l.t.Helper()
	service := map[string]string{"server": "k3s", "agent": "k3s-agent"}
	installed := l.onAll(func(n node) string {
		s := service[n.role]
		return strings.Join([]string{
			"sha256sum /usr/local/bin/k3s", "ls -A /usr/local/bin", "sudo stat -c '%a %U' /etc/rancher/k3s/config.yaml",
			"sudo cat /etc/rancher/k3s/config.yaml", "systemctl is-active " + s + "; systemctl is-enabled " + s,
			"tr '\\0' ' ' </proc/$(systemctl show -P MainPID " + s + ")/cmdline",
		}, "; echo --; ")
	})
	for _, n := range l.nodes {
		said := strings.Split(installed[n.name], "\n--\n")
		if len(said) != 6 {
			l.t.Fatalf("%s says %q", n.name, said)
		}
		checksum, programs, mode, config, state, process := said[0], said[1], said[2], said[3], said[4], said[5]
		wantPrograms, flags := "k3s", map[string]string{
			"node-name": n.name, "node-ip": n.address, "flannel-iface": "enp0s8", "server": "https://192.168.56.10:6443",
		}
		if n.role == "server" {
			wantPrograms = "k3s\nkubectl"
			delete(flags, "server")
			flags["cluster-cidr"], flags["service-cidr"], flags["write-kubeconfig-mode"] = "10.42.0.0/16", "10.43.0.0/16", "0600"
		}
		if got, _, _ := strings.Cut(checksum, " "); got != sum {
			l.t.Errorf("%s: k3s has the checksum %s, want %s", n.name, got, sum)
		}
		if programs != wantPrograms {
			l.t.Errorf("%s: in /usr/local/bin there is %q, want %q", n.name, programs, wantPrograms)
		}
		if mode != "600 root" {
			l.t.Errorf("%s: config.yaml, which holds the token, is %s", n.name, mode)
		}
		text := "\n" + strings.ReplaceAll(config, `"`, "") + "\n"
		for key, value := range flags {
			if !strings.Contains(text, fmt.Sprintf("\n%s: %s\n", key, value)) {
				l.t.Errorf("%s: no %s: %s in\n%s", n.name, key, value, config)
			}
		}
		if state != "active\nenabled" {
			l.t.Errorf("%s: %s is %q", n.name, service[n.role], state)
		}
		if process != "/usr/local/bin/k3s "+n.role {
			l.t.Errorf("%s: the service runs %q", n.name, process)
		}
	}
}

// nodeStates are what status says of the nodes.
func (l *lab) nodeStates() map[string]string {
	l.t.Helper()
	var status struct{ Nodes []struct{ Name, Node string } }
	if err := json.Unmarshal([]byte(l.must("status", "-o", "json").stdout), &status); err != nil {
		l.t.Fatal(err)
	}
	states := map[string]string{}
	for _, n := range status.Nodes {
		states[n.Name] = n.Node
	}
	return states
}

// clusterChapters are the whole job.
func (l *lab) clusterChapters() {
	l.t.Helper()

	l.chapter("up goes all the way: cluster and demo", func() {
		l.must("up", patience)
		if got := l.changes(l.must("up", patience, "-o", "json")); len(got) != 0 {
			l.t.Errorf("a second up changes %q", got)
		}
	})

	l.chapter("every exercise is proved", func() { l.must("verify", "--wait", "10m") })

	for _, fault := range l.faults() {
		l.chapter("fault "+fault.ID+": broken, detected, fixed", func() {
			l.must("break", fault.ID)
			if r := l.labctl("verify", "-o", "json"); r.exit != 1 {
				l.t.Errorf("verify does not notice: exit status %d", r.exit)
			} else if got := l.failedChecks(r); !slices.ContainsFunc(fault.Fails, func(id string) bool { return slices.Contains(got, id) }) {
				l.t.Errorf("failed checks %q, want some of %q", got, fault.Fails)
			}
			l.must("fix")
			l.must("verify", "--wait", "10m")
		})
	}
}

// declared is a fault as labctl lists it.
type declared struct {
	ID    string
	Fails []string
}

// faults are those that the story breaks: all with LABCTL_E2E_FULL, else the first five.
func (l *lab) faults() []declared {
	l.t.Helper()
	var list struct{ Faults []declared }
	if err := json.Unmarshal([]byte(l.must("break", "--list", "-o", "json").stdout), &list); err != nil || len(list.Faults) < 5 {
		l.t.Fatalf("faults: %v %+v", err, list)
	}
	if os.Getenv(envFull) == "" {
		return list.Faults[:5]
	}
	return list.Faults
}

func (l *lab) failedChecks(verify result) []string {
	l.t.Helper()
	var report struct{ Results []struct{ ID, Status string } }
	if err := json.Unmarshal([]byte(verify.stdout), &report); err != nil {
		l.t.Fatal(err)
	}
	var failed []string
	for _, r := range report.Results {
		if r.Status == "fail" {
			failed = append(failed, r.ID)
		}
	}
	return failed
}
