package k3s

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/labctl/labctl/internal/config"
)

var (
	testCP1 = Node{Name: "cp1", Address: netip.MustParseAddr("192.168.56.10"), MAC: "08:00:27:00:01:10", User: "ubuntu"}
	testW1  = Node{Name: "w1", Address: netip.MustParseAddr("192.168.56.11"), MAC: "08:00:27:00:01:10", User: "ubuntu"}

	clusterCA = fmt.Sprintf("%x", sha256.Sum256([]byte("the cluster's CA")))
	joinToken = "K10" + clusterCA + "::server:" + secret
)

const secret = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"

func testSettings(token string) Settings {
	return Settings{
		Version:     "v1.34.3+k3s1",
		Server:      testCP1.Address,
		PodCIDR:     netip.MustParsePrefix("10.42.0.0/16"),
		ServiceCIDR: netip.MustParsePrefix("10.43.0.0/16"),
		ProxyMode:   "iptables",
		Token:       token,
	}
}

// testArtifacts are a "binary" that holds its version, and no images.
func testArtifacts(t *testing.T, version string) Artifacts {
	t.Helper()
	path := filepath.Join(t.TempDir(), "k3s")
	if err := os.WriteFile(path, []byte(version), 0o644); err != nil {
		t.Fatal(err)
	}
	return Artifacts{Binary: path, SHA256: fmt.Sprintf("%x", sha256.Sum256([]byte(version)))}
}

func noStep(string) {}

type installer func(context.Context, Runner, Node, Settings, Artifacts, func(string)) error

// mustInstall installs, and reboots where it is told to.
func mustInstall(t *testing.T, install installer, r *testNode, n Node, s Settings, a Artifacts) {
	t.Helper()
	err := install(t.Context(), r, n, s, a, noStep)
	if errors.Is(err, ErrReboot) {
		r.reboot()
		err = install(t.Context(), r, n, s, a, noStep)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestInstall(t *testing.T) {
	for _, test := range []struct {
		name    string
		install installer
		node    Node
		token   string
		mode    string
		unit    string
		ran     []string
	}{
		{"server", InstallServer, testCP1, secret, "iptables", "k3s", []string{
			"mv -f /usr/local/bin/k3s.part /usr/local/bin/k3s",
			"mv -f /etc/rancher/k3s/config.yaml.part /etc/rancher/k3s/config.yaml",
			"mv -f /etc/systemd/system/k3s.service.part /etc/systemd/system/k3s.service",
			"systemctl stop k3s", "systemctl start --no-block k3s",
			"mv -f /home/ubuntu/.kube/config.part /home/ubuntu/.kube/config",
		}},
		{"server-ipvs", InstallServer, testCP1, secret, "ipvs", "k3s", nil},
		{"server-ipvs-lc", InstallServer, testCP1, secret, "ipvs lc", "k3s", nil},
		{"agent", InstallAgent, testW1, joinToken, "", "k3s-agent", []string{
			"mv -f /usr/local/bin/k3s.part /usr/local/bin/k3s",
			"mv -f /etc/rancher/k3s/config.yaml.part /etc/rancher/k3s/config.yaml",
			"mv -f /etc/systemd/system/k3s-agent.service.part /etc/systemd/system/k3s-agent.service",
			"systemctl stop k3s-agent", "systemctl start --no-block k3s-agent",
		}},
		{"agent-ipvs", InstallAgent, testW1, joinToken, "ipvs", "k3s-agent", nil},
		{"agent-ipvs", InstallAgent, testW1, joinToken, "ipvs rr", "k3s-agent", nil}, // the default changes no byte
		{"agent-ipvs-wlc", InstallAgent, testW1, joinToken, "ipvs wlc", "k3s-agent", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newTestNode(t)
			s := testSettings(test.token)
			s.ProxyMode, s.Scheduler, _ = strings.Cut(test.mode, " ")
			a := testArtifacts(t, s.Version)
			mustInstall(t, test.install, r, test.node, s, a)

			settings := strings.ReplaceAll(r.read(settingsPath), clusterCA, "<HASH>")
			golden(t, test.name+".config.yaml", settings)
			golden(t, test.name+".service", r.read("/etc/systemd/system/"+test.unit+".service"))
			if test.ran != nil {
				if diff := cmp.Diff(test.ran, r.ran); diff != "" {
					t.Errorf("what ran (-want +got):\n%s", diff)
				}
			}
			modes := map[string]os.FileMode{binaryPath: 0o755, settingsPath: 0o600}
			if test.unit == "k3s" {
				modes["/home/ubuntu/.kube/config"] = 0o600
				if got, want := r.read("/etc/environment"), "PATH=\"/usr/local/bin:/usr/bin\"\nKUBECONFIG=/home/ubuntu/.kube/config\n"; got != want {
					t.Errorf("/etc/environment: got %q, want %q", got, want)
				}
			}
			for path, want := range modes {
				info, err := os.Stat(r.path(path))
				if err != nil {
					t.Fatal(err)
				}
				if info.Mode().Perm() != want {
					t.Errorf("%s has mode %v, want %v", path, info.Mode().Perm(), want)
				}
			}
			if left := leftovers(t, r); len(left) > 0 {
				t.Errorf("left behind: %q", left)
			}

			r.reset()
			mustInstall(t, test.install, r, test.node, s, a)
			if len(r.ran) > 0 {
				t.Errorf("a second time something changed: %q", r.ran)
			}
			if got := r.commands[1:]; len(got) > 2 || slices.ContainsFunc(got, func(c string) bool { return strings.Contains(c, ".part\"; cat") }) {
				t.Errorf("a second time more was asked than needed: %q", got)
			}
		})
	}
}

// leftovers are files that are there only while something is under way.
func leftovers(t *testing.T, r *testNode) (left []string) {
	t.Helper()
	err := filepath.WalkDir(r.root, func(path string, _ os.DirEntry, err error) error {
		if strings.HasSuffix(path, ".part") || strings.HasSuffix(path, "-pending") {
			left = append(left, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return left
}

func TestWhatIsPushedAndRestarted(t *testing.T) {
	const restart = "systemctl start --no-block k3s-agent"
	proxy := config.Proxy{HTTP: "http://p.example:3128"}
	mirrors := config.Registries{Mirrors: map[string]config.Mirror{"docker.io": {Endpoint: []string{"http://m.example"}}}}
	pushed := func(path string) string { return "mv -f " + path + ".part " + path }
	for _, test := range []struct {
		name    string
		change  func(r *testNode, s *Settings, a *Artifacts)
		push    []string
		restart bool
	}{
		{"nothing", func(*testNode, *Settings, *Artifacts) {}, nil, false},
		{"version", func(_ *testNode, _ *Settings, a *Artifacts) { *a = testArtifacts(t, "v1.35.0+k3s1") }, []string{binaryPath}, true},
		{"settings", func(_ *testNode, s *Settings, _ *Artifacts) { s.Token = "K10" + clusterCA + "::server:other" }, []string{settingsPath}, true},
		{"registries", func(_ *testNode, s *Settings, _ *Artifacts) { s.Registries = mirrors }, []string{registriesPath}, true},
		{"proxy", func(_ *testNode, s *Settings, _ *Artifacts) { s.Proxy = proxy }, []string{envPath(agent)}, true},
		{"somebody else's registries", func(r *testNode, _ *Settings, _ *Artifacts) { r.write(registriesPath, "mirrors: {}\n") }, nil, false},
		{"registries that are not wanted any more", func(r *testNode, _ *Settings, _ *Artifacts) { r.write(registriesPath, mine+"\n") }, nil, true},
		{"a proxy that is not wanted any more", func(r *testNode, _ *Settings, _ *Artifacts) { r.write(envPath(agent), mine+"\n") }, nil, true},
		{"unit edited by hand", func(r *testNode, _ *Settings, _ *Artifacts) { r.write(unitPath(agent), "[Unit]\n") }, []string{unitPath(agent)}, true},
		{"binary gone", func(r *testNode, _ *Settings, _ *Artifacts) { _ = os.Remove(r.path(binaryPath)) }, []string{binaryPath}, true},
		{"not active", func(r *testNode, _ *Settings, _ *Artifacts) { r.state = "failed" }, nil, true},
		{"still starting", func(r *testNode, _ *Settings, _ *Artifacts) { r.state, r.slow = "activating", 1 }, nil, false},
		{"pending", func(r *testNode, _ *Settings, _ *Artifacts) { r.write(restartPending, "") }, nil, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			r, s, a := newTestNode(t), testSettings(joinToken), testArtifacts(t, "v1.34.3+k3s1")
			mustInstall(t, InstallAgent, r, testW1, s, a)
			r.reset()
			test.change(r, &s, &a)
			mustInstall(t, InstallAgent, r, testW1, s, a)
			var want []string
			for _, path := range test.push {
				want = append(want, pushed(path))
			}
			if test.restart {
				want = append(want, "systemctl stop k3s-agent", restart)
			}
			if diff := cmp.Diff(want, r.ran); diff != "" {
				t.Errorf("what ran (-want +got):\n%s", diff)
			}
			if left := leftovers(t, r); len(left) > 0 {
				t.Errorf("left behind: %q", left)
			}
			state, err := Installed(t.Context(), r, testW1, s)
			if err != nil {
				t.Fatal(err)
			}
			version, _ := os.ReadFile(a.Binary)
			if diff := cmp.Diff(State{Version: string(version), SHA256: a.SHA256, Settings: true, Registry: true, Active: true}, state); diff != "" {
				t.Errorf("state (-want +got):\n%s", diff)
			}
		})
	}
}

func TestInstalled(t *testing.T) {
	r, s, a := newTestNode(t), testSettings(secret), testArtifacts(t, "v1.34.3+k3s1")
	check := func(what string, want State) {
		t.Helper()
		got, err := Installed(t.Context(), r, testCP1, s)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	check("nothing", State{Registry: true})
	mustInstall(t, InstallServer, r, testCP1, s, a)
	want := State{Version: "v1.34.3+k3s1", SHA256: a.SHA256, Settings: true, Registry: true, Active: true}
	check("all", want)
	r.write(restartPending, "")
	want.Settings = false
	check("the old settings may be in force", want)
	s.ProxyMode = "ipvs"
	r.state, want.Active = "failed", false
	check("other settings, failed", want)
	r.links = "[]"
	if _, err := Installed(t.Context(), r, testCP1, s); err == nil || !strings.Contains(err.Error(), `"cp1"`) {
		t.Errorf("no NIC: error %v", err)
	}
}

func TestAgentState(t *testing.T) {
	r := newTestNode(t)
	check := func(want string) {
		t.Helper()
		if got, err := AgentState(t.Context(), r); err != nil || got != want {
			t.Errorf("AgentState = %q, %v; want %q", got, err, want)
		}
	}
	check("") // no k3s
	mustInstall(t, InstallAgent, r, testW1, testSettings(secret), testArtifacts(t, "v1.34.3+k3s1"))
	check("active")
	r.state = "failed"
	check("failed")
}

// TestKilled kills a run that changes everything before each of the programs in turn. The next run always gets to the end, and
// always restarts k3s when the killed one changed what the running k3s has read; if kube-proxy's mode changes, by a reboot.
func TestKilled(t *testing.T) {
	points := []string{
		"/usr/local/bin/k3s --version", "ip -j link", "cat /proc/sys/kernel/random/boot_id", "grep -q proxy-mode", "head -n 1", // looking
		"mkdir -p /usr/local/bin", "install -m 0755", "cat", "sha256sum", "mkdir -p /etc/rancher/k3s", "mv -f /usr/local/bin",
		"mv -f /etc/systemd/system/k3s.service.env.part", "rm -f /etc/rancher/k3s/registries.yaml", // pushing
		"systemctl is-active", "ln -sf", "install -m 0600 /etc/rancher/k3s/k3s.yaml", "chown ubuntu:", "mv -f /home/ubuntu", "grep -qxF",
	}
	restarting := []string{"systemctl daemon-reload", "systemctl enable", "systemctl stop", "systemctl start", "rm -f /etc/rancher/k3s/restart-pending"}
	rebooting := []string{"install -m 0600 /dev/null /etc/rancher/k3s/config.yaml.part", "mv -f /etc/rancher/k3s/config.yaml.part",
		"mv -f /etc/systemd/system/k3s.service.part", "mv -f /etc/rancher/k3s/reboot-pending", "rm -f /etc/rancher/k3s/reboot-pending", "reboot"}
	kills := 0
	for mode, more := range map[string][]string{"iptables": restarting, "ipvs": rebooting} {
		for _, point := range slices.Concat(points, more) {
			kills++
			t.Run(mode+"/"+point, func(t *testing.T) { testKilled(t, mode, point) })
		}
	}
	if kills < 45 {
		t.Fatalf("only %d points", kills)
	}
}

func testKilled(t *testing.T, mode, point string) {
	r, s, a := newTestNode(t), testSettings(secret), testArtifacts(t, "v1.34.3+k3s1")
	s.Registries = config.Registries{Mirrors: map[string]config.Mirror{"docker.io": {Endpoint: []string{"http://m.example"}}}}
	mustInstall(t, InstallServer, r, testCP1, s, a)
	r.write("/home/ubuntu/.kube/config", "an old one")
	r.write("/etc/environment", "")
	r.reset()
	s.ProxyMode, a = mode, testArtifacts(t, "v1.35.0+k3s1")
	s.Registries, s.Proxy = config.Registries{}, config.Proxy{HTTP: "http://p.example:3128"}
	r.killedAt = point
	err := InstallServer(t.Context(), r, testCP1, s, a, noStep)
	if errors.Is(err, ErrReboot) {
		if point != "reboot" {
			r.reboot()
		}
		err = InstallServer(t.Context(), r, testCP1, s, a, noStep)
		if point == "reboot" { // nobody rebooted it: it is asked for again
			if !errors.Is(err, ErrReboot) {
				t.Fatalf("without the reboot: %v", err)
			}
			r.killedAt, err = "", errLost
		}
	}
	if !errors.Is(err, errLost) {
		t.Fatalf("the run ended with %v, not because it was killed", err)
	}
	mustInstall(t, InstallServer, r, testCP1, s, a)
	change, restart, reboot := -1, -1, -1
	for i, ran := range r.ran {
		switch {
		case strings.HasPrefix(ran, "mv -f") && !strings.Contains(ran, "/.kube/") && !strings.Contains(ran, rebootPending):
			change = i
		case strings.HasPrefix(ran, "systemctl start"):
			restart = i
		case ran == "reboot":
			restart, reboot = i, i
		}
	}
	if change < 0 || restart < change {
		t.Errorf("k3s was not restarted after the last change: %q", r.ran)
	}
	if mode == "ipvs" && reboot < change || mode == "iptables" && reboot >= 0 {
		t.Errorf("in mode %s the machine was rebooted at %d, the last change being %d: %q", mode, reboot, change, r.ran)
	}
	if left := leftovers(t, r); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
	state, err := Installed(t.Context(), r, testCP1, s)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(State{Version: "v1.35.0+k3s1", SHA256: a.SHA256, Settings: true, Registry: true, Active: true}, state); diff != "" {
		t.Errorf("state (-want +got):\n%s", diff)
	}
	if r.read("/home/ubuntu/.kube/config") != r.read(kubeconfigPath) || !strings.Contains(r.read("/etc/environment"), "KUBECONFIG=") {
		t.Error("ubuntu can't use kubectl")
	}
	if _, err := os.Stat(r.path(registriesPath)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is still there: %v", registriesPath, err)
	}
}

// A reboot that somebody else made in between is as good as ours, once the new mode was on the disk; before, it isn't.
func TestRebootInBetween(t *testing.T) {
	for point, again := range map[string]bool{
		"mv -f /etc/rancher/k3s/reboot-pending":         true,
		"mv -f /etc/rancher/k3s/config.yaml.part":       true,
		"mv -f /etc/systemd/system/k3s-agent.service.p": false,
	} {
		t.Run(point, func(t *testing.T) {
			r, s, a := newTestNode(t), testSettings(joinToken), testArtifacts(t, "v1.34.3+k3s1")
			mustInstall(t, InstallAgent, r, testW1, s, a)
			s.ProxyMode = "ipvs"
			r.killedAt = point
			if err := InstallAgent(t.Context(), r, testW1, s, a, noStep); !errors.Is(err, errLost) {
				t.Fatalf("error %v", err)
			}
			r.reboot()
			err := InstallAgent(t.Context(), r, testW1, s, a, noStep)
			if errors.Is(err, ErrReboot) != again || err != nil && !again {
				t.Errorf("error %v, want another reboot: %v", err, again)
			}
		})
	}
}

// kube-proxy gives another scheduler to the virtual servers that are there: k3s is restarted, the machine is not. The default, said or
// not said, is nothing new to a node.
func TestSchedulerChanges(t *testing.T) {
	r, s, a := newTestNode(t), testSettings(joinToken), testArtifacts(t, "v1.34.3+k3s1")
	s.ProxyMode = "ipvs"
	mustInstall(t, InstallAgent, r, testW1, s, a)
	restart := []string{
		"mv -f /etc/rancher/k3s/config.yaml.part /etc/rancher/k3s/config.yaml",
		"mv -f /etc/systemd/system/k3s-agent.service.part /etc/systemd/system/k3s-agent.service",
		"systemctl stop k3s-agent", "systemctl start --no-block k3s-agent",
	}
	for _, step := range []struct {
		scheduler string
		ran       []string
	}{{"rr", nil}, {"lc", restart}, {"lc", nil}, {"", restart}} {
		r.reset()
		s.Scheduler = step.scheduler
		if err := InstallAgent(t.Context(), r, testW1, s, a, noStep); err != nil {
			t.Fatalf("scheduler %q: %v", step.scheduler, err)
		}
		if diff := cmp.Diff(step.ran, r.ran); diff != "" {
			t.Errorf("scheduler %q: what ran (-want +got):\n%s", step.scheduler, diff)
		}
	}
}

func TestPushChecksWhatArrived(t *testing.T) {
	r, s, a := newTestNode(t), testSettings(secret), testArtifacts(t, "v1.34.3+k3s1")
	mustInstall(t, InstallServer, r, testCP1, s, a)
	r.reset()
	if err := os.WriteFile(a.Binary, []byte("half of"), 0o644); err != nil {
		t.Fatal(err)
	}
	a.SHA256 = strings.Repeat("0", 64)
	err := InstallServer(t.Context(), r, testCP1, s, a, noStep)
	if err == nil || !strings.Contains(err.Error(), "another checksum") {
		t.Errorf("error %v", err)
	}
	if r.read(binaryPath) != "v1.34.3+k3s1" || len(r.ran) > 0 || len(leftovers(t, r)) > 0 {
		t.Errorf("a wrong file was used, or left behind: %q", r.ran)
	}
}

func TestAgentOfAnotherCluster(t *testing.T) {
	r, s, a := newTestNode(t), testSettings(joinToken), testArtifacts(t, "v1.34.3+k3s1")
	mustInstall(t, InstallAgent, r, testW1, s, a)
	r.write(agentCAPath, "the cluster's CA")
	r.write(agentFolder+"/client-kubelet.key", "key")
	r.write(agentFolder+"/images/k3s.tar", "layers")

	r.reset()
	r.state = "failed"
	mustInstall(t, InstallAgent, r, testW1, s, a)
	s.ProxyMode = "ipvs"
	mustInstall(t, InstallAgent, r, testW1, s, a)
	if r.read(agentFolder+"/client-kubelet.key") != "key" {
		t.Error("an agent of this cluster was made to leave it")
	}

	r.reset()
	s.Token = "K10" + strings.Repeat("ab", 32) + "::server:other"
	mustInstall(t, InstallAgent, r, testW1, s, a)
	want := []string{
		"systemctl stop k3s-agent", "ip link delete cni0",
		"mv -f /etc/rancher/k3s/config.yaml.part /etc/rancher/k3s/config.yaml",
		"systemctl stop k3s-agent", "systemctl start --no-block k3s-agent",
	}
	if diff := cmp.Diff(want, r.ran); diff != "" {
		t.Errorf("what ran (-want +got):\n%s", diff)
	}
	for _, path := range []string{agentCAPath, agentFolder + "/client-kubelet.key"} {
		if _, err := os.Stat(r.path(path)); err == nil {
			t.Errorf("%s of the old cluster is still there", path)
		}
	}
	if r.read(agentFolder+"/images/k3s.tar") != "layers" {
		t.Error("the images are gone")
	}
}

func TestDisableAndWipe(t *testing.T) {
	r, s, a := newTestNode(t), testSettings(joinToken), testArtifacts(t, "v1.34.3+k3s1")
	if err := errors.Join(Disable(t.Context(), r), Wipe(t.Context(), r)); err != nil || len(r.ran) > 0 {
		t.Errorf("where there is no k3s: %v, ran %q", err, r.ran)
	}
	mustInstall(t, InstallAgent, r, testW1, s, a)
	r.write(agentCAPath, "the cluster's CA")
	r.write("/etc/rancher/node/password", "x")
	r.write("/var/lib/rancher/k3s/server/token", "x")
	r.write(envPath(agent), mine)
	r.write(imagePath("demo.tar"), "layers")
	r.reset()
	if err := Disable(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"systemctl disable k3s-agent"}, r.ran); diff != "" {
		t.Errorf("what ran (-want +got):\n%s", diff)
	}
	r.state = "inactive" // it was rebooted
	if err := Wipe(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{binaryPath, "/etc/rancher", agentCAPath, "/var/lib/rancher/k3s/server", envPath(agent)} {
		if _, err := os.Stat(r.path(path)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is still there: %v", path, err)
		}
	}
	if r.read(imagePath("demo.tar")) != "layers" {
		t.Error("the archive of images is gone")
	}
	state, err := Installed(t.Context(), r, testW1, s)
	if diff := cmp.Diff(State{Registry: true}, state); diff != "" || err != nil {
		t.Errorf("error %v, state (-want +got):\n%s", err, diff)
	}
	r.reset()
	s.Token = "K10" + strings.Repeat("ab", 32) + "::server:other"
	mustInstall(t, InstallAgent, r, testW1, s, a)
	if slices.Contains(r.ran, "ip link delete cni0") || !slices.Contains(r.ran, "systemctl start --no-block k3s-agent") {
		t.Errorf("joining another cluster: %q", r.ran)
	}

	r.killedAt = "systemctl disable"
	if err := Disable(t.Context(), r); !errors.Is(err, errLost) {
		t.Errorf("Disable: error %v", err)
	}
	r.killedAt = "rm -rf"
	if err := Wipe(t.Context(), r); !errors.Is(err, errLost) {
		t.Errorf("Wipe: error %v", err)
	}
}

func TestSettingsThatCannotWork(t *testing.T) {
	for _, test := range []struct {
		name    string
		install installer
		change  func(n *Node, s *Settings)
		want    string
	}{
		{"name", InstallServer, func(n *Node, _ *Settings) { n.Name = "" }, "it has no name"},
		{"address", InstallServer, func(n *Node, _ *Settings) { n.Address = netip.Addr{} }, "it has no address"},
		{"MAC", InstallAgent, func(n *Node, _ *Settings) { n.MAC = "enp0s8" }, `MAC "enp0s8"`},
		{"mode", InstallServer, func(_ *Node, s *Settings) { s.ProxyMode = "nftables" }, `"nftables" is neither iptables nor ipvs`},
		{"scheduler", InstallServer, func(_ *Node, s *Settings) { s.ProxyMode, s.Scheduler = "ipvs", "random" }, `kube-proxy in ipvs mode has no scheduler "random"`},
		{"scheduler without IPVS", InstallServer, func(_ *Node, s *Settings) { s.Scheduler = "lc" }, `kube-proxy in iptables mode has no scheduler "lc"`},
		{"user", InstallServer, func(n *Node, _ *Settings) { n.User = "" }, "no login user"},
		{"CIDR", InstallServer, func(_ *Node, s *Settings) { s.PodCIDR = netip.Prefix{} }, "CIDR is missing"},
		{"server", InstallAgent, func(_ *Node, s *Settings) { s.Server = netip.Addr{} }, "server's address is missing"},
		{"token", InstallAgent, func(_ *Node, s *Settings) { s.Token = "" }, "join token is missing"},
		{"unknown NIC", InstallAgent, func(n *Node, _ *Settings) { n.MAC = "08:00:27:00:01:99" }, "no NIC has the MAC 08:00:27:00:01:99"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r, n, s := newTestNode(t), testW1, testSettings(joinToken)
			test.change(&n, &s)
			err := test.install(t.Context(), r, n, s, testArtifacts(t, "v1"), noStep)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want one with %q", err, test.want)
			}
			if len(r.ran) > 0 {
				t.Errorf("something was changed: %q", r.ran)
			}
		})
	}
	a := Artifacts{Binary: "missing", SHA256: strings.Repeat("0", 64)}
	if got := InstallAgent(t.Context(), newTestNode(t), testW1, testSettings(joinToken), a, noStep); !errors.Is(got, os.ErrNotExist) {
		t.Errorf("a missing binary: error %v", got)
	}
}

func TestWaitForService(t *testing.T) {
	const trouble = `time="2026-11-22T09:14:04Z" level=error msg="Failed to validate connection to cluster at https://192.168.56.10:6443: no route to host"`
	synctest.Test(t, func(t *testing.T) {
		r := newTestNode(t)
		r.slow, r.journal = 3, "Starting Lightweight Kubernetes (agent)...\n"+trouble+"\n"
		var steps []string
		err := InstallAgent(t.Context(), r, testW1, testSettings(joinToken), testArtifacts(t, "v1"), func(s string) { steps = append(steps, s) })
		if err != nil {
			t.Fatal(err)
		}
		want := []string{
			"looking at what is installed", "pushing k3s v1.34.3+k3s1", "pushing settings", "pushing unit k3s-agent", "starting k3s-agent",
			`waiting for k3s-agent on "w1"`,
			`waiting for k3s-agent on "w1": Failed to validate connection to cluster at https://192.168.56.10:6443: no route to host`,
		}
		if diff := cmp.Diff(want, steps); diff != "" {
			t.Errorf("steps (-want +got):\n%s", diff)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		defer cancel()
		r := newTestNode(t)
		r.slow, r.journal = 1e6, trouble
		err := InstallAgent(ctx, r, testW1, testSettings(joinToken), testArtifacts(t, "v1"), noStep)
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "no route to host") {
			t.Errorf("error %v, want the deadline's with the last cause", err)
		}
	})
}

func TestSecretsStayOutOfCommandsAndErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		points := []string{"", "install", "cat", "mv", "systemctl daemon-reload", "systemctl is-active"}
		for _, token := range []string{secret, joinToken} {
			for _, point := range points {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				r := newTestNode(t)
				r.slow, r.journal, r.killedAt = 1e6, "level=error msg=\"bad token "+joinToken+" or "+secret+"\"", point
				var steps []string
				err := InstallAgent(ctx, r, testW1, testSettings(token), testArtifacts(t, "v1"), func(s string) { steps = append(steps, s) })
				cancel()
				if err == nil {
					t.Fatal("no error")
				}
				said := append(append(steps, r.commands...), err.Error())
				for _, text := range said {
					if strings.Contains(text, token) {
						t.Errorf("killed at %q: the token %q stands in %q", point, token, text)
					}
				}
				if point == "" && !strings.Contains(r.read(settingsPath), token) {
					t.Error("the token did not get to the node at all")
				}
			}
		}
	})
}

func TestHostileNames(t *testing.T) {
	const hostile = "x'; touch /pwned; echo '\n$(touch /pwned) `touch /pwned` \" \\ : # - &"
	n, s := testCP1, testSettings(hostile)
	n.Name = hostile
	r := newTestNode(t)
	a := testArtifacts(t, "v1")
	archive := testArchive(t, "x'; touch pwned; $(touch pwned) .tar", "layers")
	if err := PushImages(t.Context(), r, n, "v1.34.3+k3s1", []Archive{archive}, noStep); err != nil {
		t.Fatal(err)
	}
	mustInstall(t, InstallServer, r, n, s, a)
	var have settingsFile
	if err := unmarshal(r.read(settingsPath), &have); err != nil {
		t.Fatal(err)
	}
	if have.NodeName != hostile || have.Token != hostile || have.TLSSAN[1] != hostile {
		t.Errorf("k3s reads other settings than were given: %+v", have)
	}
	for _, name := range []string{"true", "0600", "1e3", "null", "~", "1:30", "- x", "a: b", "0x1F", "2026-01-01", "y", "%x", "@x", ""} {
		data, err := settingsOf(Node{Name: name, Address: n.Address}, s, server, "enp0s8")
		if err != nil {
			t.Fatal(err)
		}
		var any map[string]any
		if err := unmarshal(string(data), &any); err != nil {
			t.Fatal(err)
		}
		if any["node-name"] != name || any["write-kubeconfig-mode"] != "0600" {
			t.Errorf("name %q is read as %#v, mode as %#v", name, any["node-name"], any["write-kubeconfig-mode"])
		}
	}

	n.User = "x; touch /pwned"
	mustInstall(t, InstallServer, r, n, s, a)
	var args [][]string
	r.kubectl = func(a []string, _ string) (string, error) { args = append(args, a); return "", nil }
	if err := ForgetNode(t.Context(), r, hostile); err != nil {
		t.Fatal(err)
	}
	want := [][]string{
		{"delete", "--ignore-not-found", "node/" + hostile},
		{"delete", "--ignore-not-found", "-n", "kube-system", "secret/" + hostile + ".node-password.k3s"},
	}
	if diff := cmp.Diff(want, args); diff != "" {
		t.Errorf("kubectl's arguments (-want +got):\n%s", diff)
	}
	// touch is no program that the node knows: had it run, the test would have failed already.
}
