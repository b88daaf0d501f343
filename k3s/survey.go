package k3s

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"strings"

	"github.com/labctl/labctl/internal/fetch"
)

// State is what of k3s is on a node now.
type State struct {
	Version  string // of the binary, as it says itself (v1.34.3+k3s1); empty if there is none
	SHA256   string // of the binary; empty if there is none
	Settings bool   // config.yaml and the unit are as wanted, and the service runs with them
	Registry bool   // so are the registries' and the proxy's settings, or there are none, as wanted
	Active   bool   // the service is active
}

// Installed looks at what is on node n. The settings are to be those that it was installed with, token included; n is the
// server if its address is s.Server.
func Installed(ctx context.Context, r Runner, n Node, s Settings) (State, error) {
	as := agent
	if n.Address == s.Server {
		as = server
	}
	found, err := look(ctx, r, n, as)
	if err != nil {
		return State{}, err
	}
	wanted, err := settingsFiles(n, s, as, found.iface)
	if err != nil {
		return State{}, err
	}
	return State{
		Version:  found.version,
		SHA256:   found.files[binaryPath],
		Settings: !found.pending() && !found.differ(wanted[:2]),
		Registry: !found.differ(wanted[2:]),
		Active:   found.active == "active",
	}, nil
}

// HasBinary tells whether k3s is installed on a node.
func HasBinary(ctx context.Context, r Runner) (bool, error) {
	out, err := r.Run(ctx, asRoot(have, binaryPath), nil)
	if err != nil {
		return false, fmt.Errorf("looking whether k3s is installed: %w", err)
	}
	files, err := parseFiles(out)
	return len(files) > 0, err
}

// AgentState is what systemd says of an agent's service: "active", "activating" and so on. It is empty where there is no k3s.
func AgentState(ctx context.Context, r Runner) (string, error) {
	out, err := r.Run(ctx, asRoot(serviceState, agent.service()), nil)
	if err != nil {
		return "", fmt.Errorf("looking whether k3s is active: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}

// found is what the survey of a node found.
type found struct {
	files   map[string]string // checksum by path
	version string
	active  string // as systemctl is-active says
	iface   string // the host-only NIC's name
	proxy   string // kube-proxy's mode in the settings on the disk; empty if there are none
	boot    string // tells one boot from another
	reboot  string // the boot during which a reboot was asked for; empty if none was
}

// pending tells that a run changed something and did not come to restart the service, or to reboot.
func (f found) pending() bool {
	_, there := f.files[restartPending]
	return there || f.reboot != ""
}

// differ tells whether one of the wanted files is not there with its bytes.
func (f found) differ(wanted []file) bool {
	for _, w := range wanted {
		if f.files[w.path] != w.sha256 {
			return true
		}
	}
	return false
}

// ofAnotherCluster tells whether an agent has the CA of another cluster than the token's. k3s agents never let go of it: the
// server then logs "tls: bad certificate" for ever. A token is K10, the SHA-256 of the CA's file, "::" and the secret.
func (f found) ofAnotherCluster(token string) bool {
	ca, there := f.files[agentCAPath]
	return there && strings.HasPrefix(token, "K10") && !strings.HasPrefix(token, "K10"+ca)
}

// look looks for labctl's files on a node, and for more.
func look(ctx context.Context, r Runner, n Node, as role, more ...string) (found, error) {
	args := []string{as.service(), binaryPath, settingsPath, registriesPath, unitPath(as), envPath(as), restartPending, agentCAPath}
	args = append(args, more...)
	out, err := r.Run(ctx, asRoot(survey, args...), nil)
	if err != nil {
		return found{}, fmt.Errorf("looking at what is installed on %q: %w", n.Name, err)
	}
	f, err := parseSurvey(out, n.MAC)
	if err != nil {
		return found{}, fmt.Errorf("looking at what is installed on %q: %w", n.Name, err)
	}
	return f, nil
}

func parseSurvey(out []byte, mac string) (found, error) {
	f := found{files: map[string]string{}}
	var err error
	for line := range strings.Lines(string(out)) {
		key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		switch key {
		case "file":
			if err := f.file(value); err != nil {
				return found{}, err
			}
		case "version": // k3s version v1.34.3+k3s1 (48ffa7b6)
			if words := strings.Fields(value); len(words) > 2 && words[1] == "version" {
				f.version = words[2]
			}
		case "active":
			f.active = value
		case "proxy":
			f.proxy = value
		case "boot":
			f.boot = value
		case "reboot":
			f.reboot = value
		case "links":
			if f.iface, err = interfaceOf([]byte(value), mac); err != nil {
				return found{}, err
			}
		default:
			return found{}, fmt.Errorf("unexpected line %q", clip(line))
		}
	}
	if f.active == "" {
		return found{}, fmt.Errorf("systemctl said nothing of the service")
	}
	if f.iface == "" {
		return found{}, fmt.Errorf("ip said nothing of the NICs")
	}
	return f, nil
}

func (f found) file(value string) error {
	sum, path, ok := strings.Cut(value, " ")
	if !ok || !fetch.IsSHA256(sum) {
		return fmt.Errorf("not a checksum and a path: %q", clip(value))
	}
	f.files[path] = sum
	return nil
}

// parseFiles reads the output of have: checksums by path.
func parseFiles(out []byte) (map[string]string, error) {
	f := found{files: map[string]string{}}
	for line := range strings.Lines(string(out)) {
		value, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "file ")
		if !ok {
			return nil, fmt.Errorf("unexpected line %q", clip(line))
		}
		if err := f.file(value); err != nil {
			return nil, err
		}
	}
	return f.files, nil
}

// interfaceOf finds the name of the NIC with that MAC in the output of `ip -j link`.
func interfaceOf(links []byte, mac string) (string, error) {
	want, err := net.ParseMAC(mac)
	if err != nil {
		return "", err
	}
	var all []struct {
		Name    string `json:"ifname"`
		Address string `json:"address"`
		On      string `json:"link"` // of a VLAN: the NIC it is on, whose MAC it shares
	}
	if err := json.Unmarshal(links, &all); err != nil {
		return "", fmt.Errorf("not the output of ip -j link: %w", err)
	}
	var match, others []string
	for _, l := range all {
		have, err := net.ParseMAC(l.Address)
		switch {
		case err == nil && have.String() == want.String() && l.On == "":
			match = append(match, l.Name)
		case l.Name != "lo":
			others = append(others, l.Name+" "+l.Address)
		}
	}
	switch len(match) {
	case 1:
		return match[0], nil
	case 0:
		return "", fmt.Errorf("no NIC has the MAC %s: there are %s", want, clip(strings.Join(others, ", ")))
	default:
		return "", fmt.Errorf("several NICs have the MAC %s: %s", want, strings.Join(match, ", "))
	}
}
