package sim

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/labctl/labctl/internal/cloudinit"
)

const testVersion = "v1.34.3+k3s1"

// lab is a world whose machines a test makes.
type lab struct {
	t       testing.TB
	dir     string
	world   *World
	user    ssh.Signer
	userKey string
	hostKey map[string]ssh.PublicKey
}

func newLab(t testing.TB) *lab {
	t.Helper()
	l := &lab{t: t, dir: t.TempDir(), hostKey: map[string]ssh.PublicKey{}}
	l.user, _, l.userKey = newTestKey(t)
	l.world = l.open()
	l.vbox(func(s *vboxState) {
		s.HostOnly = []hostOnlyState{{Name: "vboxnet0", Address: netip.MustParsePrefix("192.168.56.1/24"), Up: true}}
	})
	return l
}

// open is another process's World of the same folder.
func (l *lab) open() *World {
	l.t.Helper()
	w, err := Open(l.dir, Options{Boot: time.Millisecond, K3sStart: 20 * time.Millisecond, PodStart: 20 * time.Millisecond})
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() {
		if err := w.Close(); err != nil {
			l.t.Errorf("closing the world: %v", err)
		}
	})
	return w
}

func newTestKey(t testing.TB) (signer ssh.Signer, private []byte, public string) {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if signer, err = ssh.NewSignerFromKey(key); err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		t.Fatal(err)
	}
	return signer, pem.EncodeToMemory(block), strings.TrimSpace(string(ssh.MarshalAuthorizedKey(signer.PublicKey())))
}

func (l *lab) vbox(change func(*vboxState)) {
	l.t.Helper()
	if err := updateState(l.dir, func(s *vboxState) error { change(s); return nil }); err != nil {
		l.t.Fatal(err)
	}
}

// nodeAddress is the nth node's: cp1 is 192.168.56.10, w1 .11 and so on.
func nodeAddress(n int) string { return fmt.Sprintf("192.168.56.%d", 10+n) }

func nodeName(n int) string {
	if n == 0 {
		return "cp1"
	}
	return fmt.Sprintf("w%d", n)
}

func testMAC(nic, n int) string { return fmt.Sprintf("08:00:27:00:%02x:%02x", nic, n) }

// machine makes, or makes anew with a blank disk, the nth node's machine, and starts it.
func (l *lab) machine(n int, change ...func(*machineState)) {
	l.t.Helper()
	name := nodeName(n)
	hosts := map[string]netip.Addr{}
	for i := range 3 {
		hosts[nodeName(i)] = netip.MustParseAddr(nodeAddress(i))
	}
	signer, private, public := newTestKey(l.t)
	l.hostKey[name] = signer.PublicKey()
	disk := newUUID()
	seed := filepath.Join(l.dir, disk+".iso")
	err := cloudinit.Write(seed, cloudinit.Seed{
		Hostname: name, InstanceID: "lab-" + name + "-" + disk[:6], User: "ubuntu", AuthorizedKey: l.userKey,
		HostKey: private, HostPublicKey: public, MachineID: strings.Repeat(fmt.Sprintf("%02x", n+1), 16),
		NATMAC: testMAC(1, n), HostOnlyMAC: testMAC(2, n), HostOnly: netip.MustParsePrefix(nodeAddress(n) + "/24"), Hosts: hosts,
	})
	if err != nil {
		l.t.Fatal(err)
	}
	m := machineState{Name: "lab-" + name, UUID: newUUID(), State: "running", StartedAt: time.Now()}
	m.CPUs, m.Memory = 2, 2048
	m.NICs[0] = nicState{Kind: "nat", MAC: testMAC(1, n), Cable: true, Rules: []natRule{{Name: "ssh", Proto: "tcp", HostIP: "127.0.0.1", HostPort: 2200 + n, GuestPort: 22}}}
	m.NICs[1] = nicState{Kind: "hostonly", Network: "vboxnet0", MAC: testMAC(2, n), Cable: true}
	m.Controllers = []controllerState{{Name: "SATA", Attached: []attachmentState{
		{Kind: "hdd", Medium: disk, Path: "disk.vdi"}, {Port: 1, Kind: "dvddrive", Medium: newUUID(), Path: seed},
	}}}
	for _, f := range change {
		f(&m)
	}
	l.vbox(func(s *vboxState) {
		for i := range s.Machines {
			if s.Machines[i].Name == m.Name {
				s.Machines[i] = m
				return
			}
		}
		s.Machines = append(s.Machines, m)
	})
}

// eventually tries until it succeeds. Nothing in the model takes longer than some tens of milliseconds.
func (l *lab) eventually(try func() error) {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(l.t.Context(), 20*time.Second)
	defer cancel()
	for {
		err := try()
		if err == nil {
			return
		}
		if wait(ctx, 5*time.Millisecond) != nil {
			l.t.Fatalf("still: %v", err)
		}
	}
}

// dial opens an SSH connection to an address, checking the node's pinned host key.
func (l *lab) dial(n int, addr string) (*ssh.Client, error) {
	ctx, cancel := context.WithTimeout(l.t.Context(), 10*time.Second)
	defer cancel()
	c, err := l.world.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	conn, chans, reqs, err := ssh.NewClientConn(c, addr, &ssh.ClientConfig{
		User: "ubuntu", Auth: []ssh.AuthMethod{ssh.PublicKeys(l.user)}, HostKeyCallback: ssh.FixedHostKey(l.hostKey[nodeName(n)]),
	})
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return ssh.NewClient(conn, chans, reqs), nil
}

type result struct {
	out, err string
	exit     int
}

// exec runs a command on the nth node.
func (l *lab) exec(n int, command, stdin string) (result, error) {
	client, err := l.dial(n, nodeAddress(n)+":22")
	if err != nil {
		return result{}, err
	}
	defer client.Close()
	s, err := client.NewSession()
	if err != nil {
		return result{}, err
	}
	defer s.Close()
	var out, errs bytes.Buffer
	s.Stdin, s.Stdout, s.Stderr = strings.NewReader(stdin), &out, &errs
	err = s.Run(command)
	var exit *ssh.ExitError
	if errors.As(err, &exit) {
		return result{out.String(), errs.String(), exit.ExitStatus()}, nil
	}
	return result{out.String(), errs.String(), 0}, err
}

// run is exec of a command that must succeed.
func (l *lab) run(n int, command string, stdin ...string) string {
	l.t.Helper()
	r, err := l.exec(n, command, strings.Join(stdin, ""))
	if err != nil || r.exit != 0 {
		l.t.Fatalf("%s$ %s\nexit %d, error %v\n%s%s", nodeName(n), command, r.exit, err, r.out, r.err)
	}
	return r.out
}

// fails runs a command that must fail with that status and say that.
func (l *lab) fails(n int, command string, exit int, text string) {
	l.t.Helper()
	r, err := l.exec(n, command, "")
	if err != nil || r.exit != exit || !strings.Contains(r.err+r.out, text) {
		l.t.Errorf("%s$ %s\nexit %d, error %v, want exit %d and %q\n%s%s", nodeName(n), command, r.exit, err, exit, text, r.out, r.err)
	}
}

const testUnit = `[Unit]
Description=Lightweight Kubernetes
[Install]
WantedBy=multi-user.target
[Service]
Type=notify
ExecStartPre=-/sbin/modprobe br_netfilter
ExecStart=/usr/local/bin/k3s ROLE
`

// k3s installs k3s on the nth node with these settings, and starts it without waiting.
func (l *lab) k3s(n int, settings string) {
	l.t.Helper()
	role, service := "server", "k3s"
	if n > 0 {
		role, service = "agent", "k3s-agent"
	}
	l.run(n, "sudo sh -c 'install -m 0755 /dev/null /usr/local/bin/k3s && cat >/usr/local/bin/k3s && ln -sf k3s /usr/local/bin/kubectl'", string(k3sBinary(testVersion, "amd64")))
	l.run(n, "sudo sh -c 'mkdir -p /etc/rancher/k3s && umask 077 && cat >/etc/rancher/k3s/config.yaml'", settings)
	l.run(n, "sudo tee /etc/systemd/system/"+service+".service >/dev/null", strings.ReplaceAll(testUnit, "ROLE", role))
	l.run(n, "sudo systemctl daemon-reload && sudo systemctl enable "+service+" && sudo systemctl restart --no-block "+service)
}

func nodeSettings(n int, token string) string {
	s := fmt.Sprintf("token: %s\nnode-name: %s\nnode-ip: %s\nflannel-iface: enp0s8\n", token, nodeName(n), nodeAddress(n))
	if n > 0 {
		s += "server: https://192.168.56.10:6443\n"
	}
	return s
}

// cluster makes a cluster of that many nodes, all Ready.
func (l *lab) cluster(nodes int, settings func(n int) string) {
	l.t.Helper()
	for n := range nodes {
		l.machine(n)
	}
	for n := range nodes {
		l.up(n)
		l.k3s(n, settings(n))
	}
	for n := range nodes {
		l.ready(n)
	}
}

// up waits for the nth node's SSH.
func (l *lab) up(n int) {
	l.t.Helper()
	l.eventually(func() error { _, err := l.exec(n, "true", ""); return err })
}

// ready waits until the nth node is Ready.
func (l *lab) ready(n int) {
	l.t.Helper()
	l.eventually(func() error {
		r, err := l.exec(0, "sudo kubectl get node "+nodeName(n), "")
		if err == nil && !strings.Contains(r.out, " Ready ") {
			err = fmt.Errorf("%s%s", r.out, r.err)
		}
		return err
	})
}

func correct(n int) string { return nodeSettings(n, "secret") }

// get asks from the host.
func (l *lab) get(ctx context.Context, url string) (string, error) {
	client := &http.Client{Transport: &http.Transport{DialContext: l.world.DialContext, DisableKeepAlives: true}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return string(body), err
}

func TestBootAppliesSeed(t *testing.T) {
	l := newLab(t)
	l.machine(0, func(m *machineState) { m.StartedAt = time.Now().Add(200 * time.Millisecond) })
	if _, err := l.dial(0, "192.168.56.10:22"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("dialling a machine that boots: %v, want refused", err)
	}
	l.up(0)
	for command, want := range map[string]string{
		"hostname":                                "cp1\n",
		"cat /etc/machine-id":                     strings.Repeat("01", 16) + "\n",
		"readlink /var/lib/dbus/machine-id":       "/etc/machine-id\n",
		"whoami; sudo whoami; pwd; echo $HOME":    "ubuntu\nroot\n/home/ubuntu\n/home/ubuntu\n",
		"cloud-init status":                       "status: done\n",
		"grep -c w1 /etc/hosts":                   "1\n",
		"cat /sys/class/net/enp0s8/address":       testMAC(2, 0) + "\n",
		"ip -4 -br a":                             "lo               UNKNOWN        127.0.0.1/8 \nenp0s3           UP             10.0.2.15/24 metric 100 \nenp0s8           UP             192.168.56.10/24 \n",
		"ip route | head -1":                      "default via 10.0.2.2 dev enp0s3 proto dhcp src 10.0.2.15 metric 100 \n",
		"uname -r":                                kernelVersion + "\n",
		"stat -c '%a %U' /etc/hosts /home/ubuntu": "644 root\n755 ubuntu\n",
	} {
		if got := l.run(0, command); got != want {
			t.Errorf("$ %s\n%s\nwant\n%s", command, got, want)
		}
	}
	// The rescue path answers too, with the same host key.
	c, err := l.dial(0, "127.0.0.1:2200")
	if err != nil {
		t.Fatalf("by the NAT rule: %v", err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

func TestSSHRefusesStrangers(t *testing.T) {
	l := newLab(t)
	l.machine(0)
	l.up(0)
	own := l.user
	l.user, _, _ = newTestKey(t)
	if _, err := l.dial(0, "192.168.56.10:22"); err == nil || !strings.Contains(err.Error(), "unable to authenticate") {
		t.Errorf("with a stranger's key: %v", err)
	}
	l.user = own
	l.hostKey["cp1"] = own.PublicKey()
	if _, err := l.dial(0, "192.168.56.10:22"); err == nil || !strings.Contains(err.Error(), "host key mismatch") {
		t.Errorf("with another host key pinned: %v", err)
	}
}

func TestDial(t *testing.T) {
	l := newLab(t)
	l.machine(0)
	l.up(0)
	for _, tt := range []struct {
		addr string
		want error
	}{
		{"192.168.56.10:80", syscall.ECONNREFUSED},
		{"192.168.56.99:22", syscall.EHOSTUNREACH},
		{"192.168.56.1:22", syscall.ECONNREFUSED},
		{"10.43.0.1:443", syscall.ENETUNREACH},
		{"10.0.2.15:22", syscall.ENETUNREACH},
		{"127.0.0.1:2299", syscall.ECONNREFUSED},
		{"8.8.8.8:53", syscall.ENETUNREACH},
	} {
		_, err := l.world.DialContext(t.Context(), "tcp", tt.addr)
		var op *net.OpError
		if !errors.As(err, &op) || !errors.Is(err, tt.want) {
			t.Errorf("dialling %s: %v, want %v", tt.addr, err, tt.want)
		}
	}
	if _, err := l.world.DialContext(t.Context(), "tcp", "example.com:80"); err == nil || !strings.Contains(err.Error(), "SIMULATED") {
		t.Errorf("dialling a name: %v", err)
	}
	if body, err := l.get(t.Context(), K3sSource+"/v1.34.3%2Bk3s1/sha256sum-amd64.txt"); err != nil || !strings.Contains(body, "  k3s\n") {
		t.Errorf("checksums: %q, %v", body, err)
	}
}

func TestWithoutHostOnlyNetwork(t *testing.T) {
	for name, change := range map[string]func(*machineState){
		"no cable":   func(m *machineState) { m.NICs[1].Cable = false },
		"no adapter": func(m *machineState) { m.NICs[1].Network = "vboxnet7" },
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			l.machine(0, change)
			var c *ssh.Client
			l.eventually(func() (err error) { c, err = l.dial(0, "127.0.0.1:2200"); return err })
			defer c.Close()
			s, err := c.NewSession()
			if err != nil {
				t.Fatal(err)
			}
			out, err := s.Output("ip -br a")
			if err != nil || strings.Contains(string(out), "192.168.56.") {
				t.Errorf("ip -br a: %v\n%s", err, out)
			}
			if _, err := l.dial(0, "192.168.56.10:22"); !errors.Is(err, syscall.EHOSTUNREACH) {
				t.Errorf("dialling the host-only address: %v, want unreachable", err)
			}
		})
	}
}

// A shell that could read or write the host would make --simulate dangerous.
func TestShellSeesTheGuestOnly(t *testing.T) {
	l := newLab(t)
	l.machine(0)
	l.up(0)
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("of the host"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SIM_HOST_SECRET", "of the host")
	target := filepath.Join(t.TempDir(), "written")
	for _, command := range []string{
		"cat " + secret, "sudo cat " + secret, "cat <" + secret, "sudo sh -c 'cat <" + secret + "'", "echo " + secret + "*", "cd " + filepath.Dir(secret) + " && cat secret",
		". " + secret, "source " + secret, "[ -e " + secret + " ] && echo of the host", "[[ -f " + secret + " ]] && echo of the host", "test -r " + secret + " && echo of the host",
		"read x <" + secret + "; echo $x", "echo $(<" + secret + ")", "mapfile -t a <" + secret + "; echo ${a[0]}", "ls " + filepath.Dir(secret), "cp " + secret + " /tmp/x && cat /tmp/x",
		"ln -s " + secret + " /tmp/l; cat /tmp/l", "cat /tmp/../../../../../../../.." + secret, "cat <(cat " + secret + ")", "exec <" + secret + "; cat", "sh " + secret,
		"env", "export -p", "set", "declare -p", "echo $SIM_HOST_SECRET", "sudo env", "sudo -E env", "sh -c 'echo $SIM_HOST_SECRET'", "eval 'echo $SIM_HOST_SECRET'", "printenv SIM_HOST_SECRET",
		"command -v " + secret, "type " + secret, "type -p " + secret, "command -v go", "hash go && echo of the host", secret, "ls -l /proc/self/environ && cat /proc/self/environ",
		"echo pwned >" + target, "echo pwned | sudo tee " + target, "sudo sh -c 'echo pwned >>" + target + "'", "sudo mkdir -p " + filepath.Dir(target) + " && sudo touch " + target,
	} {
		r, err := l.exec(0, command, "")
		if err != nil {
			t.Errorf("$ %s\n%v", command, err)
		}
		if strings.Contains(r.out, "of the host") || strings.Contains(r.out, "/go") {
			t.Errorf("$ %s\nreached the host: %q", command, r.out)
		}
		if _, err := os.Stat(target); err == nil {
			t.Fatalf("$ %s\nwrote to the host", command)
		}
	}
	for command, want := range map[string]string{
		"echo ~root ~ubuntu ~/x": "/root /home/ubuntu /home/ubuntu/x\n",
		"pwd -P":                 "/home/ubuntu\n",
		"cd /etc && echo mach*":  "machine-id\n",
		"command -v ip cat":      "/usr/sbin/ip\n/usr/bin/cat\n",
		"cat /etc/hostname | tr c C | sed 's/p/P/'": "CP1\n",
	} {
		if got := l.run(0, command); got != want {
			t.Errorf("$ %s\n%q, want %q", command, got, want)
		}
	}
	for command, exit := range map[string]int{"nosuchprogram": 127, "ls --nosuch": 2, "cat /nosuch": 1, "exit 7": 7, "sh -c 'set -o pipefail'": 2, "[[ -e": 2} {
		if r, err := l.exec(0, command, ""); err != nil || r.exit != exit {
			t.Errorf("$ %s\nexit %d, %v, want %d", command, r.exit, err, exit)
		}
	}
}

func TestRootOwnsTheSystem(t *testing.T) {
	l := newLab(t)
	l.machine(0)
	l.up(0)
	l.run(0, "sudo mkdir -p /etc/rancher/k3s && sudo sh -c 'umask 077; echo token >/etc/rancher/k3s/config.yaml'")
	for _, command := range []string{"mkdir /etc/rancher/x", "echo x >/etc/x", "cat /etc/rancher/k3s/config.yaml", "mv /etc/hosts /etc/h", "rm -f /etc/hosts", "mkdir -p /var/lib/rancher/x",
		"chmod 777 /etc/hosts", "tee /usr/local/bin/x </dev/null", "systemctl restart ssh", "modprobe ip_vs", "ip link set enp0s8 down", "install -m 755 /etc/hosts /usr/local/bin/x", "ls /root"} {
		if r, err := l.exec(0, command, ""); err != nil || r.exit == 0 {
			t.Errorf("$ %s\nsucceeded as ubuntu: %v %s", command, err, r.out)
		}
	}
	l.run(0, "echo x >/tmp/x && mkdir -p ~/.kube && cp /tmp/x ~/.kube/config && chmod 600 ~/.kube/config && cat ~/.kube/config")
	if got := l.run(0, "sudo sh -c 'echo y >/home/ubuntu/y'; sudo chown ubuntu: /home/ubuntu/y; stat -c %U /home/ubuntu/y; echo z >>/home/ubuntu/y; cat /home/ubuntu/y"); got != "ubuntu\ny\nz\n" {
		t.Errorf("after chown: %q", got)
	}
}

func mustPass(r result, err error) error {
	if err == nil && r.exit != 0 {
		err = fmt.Errorf("exit %d: %s%s", r.exit, r.out, r.err)
	}
	return err
}

func mustFail(r result, err error) error {
	if err == nil && r.exit == 0 {
		err = fmt.Errorf("it succeeds: %s%s", r.out, r.err)
	}
	return err
}
