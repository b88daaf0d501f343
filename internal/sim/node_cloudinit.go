package sim

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/labctl/labctl/internal/cloudinit"
	"github.com/labctl/labctl/internal/yaml"
)

// userData is the part of cloud-config that this cloud-init does something about.
type userData struct {
	Hostname string            `yaml:"hostname"`
	Users    []any             `yaml:"users"`
	SSHKeys  map[string]string `yaml:"ssh_keys"`
	Files    []struct {
		Path        string `yaml:"path"`
		Permissions string `yaml:"permissions"`
		Owner       string `yaml:"owner"`
		Content     string `yaml:"content"`
		Append      bool   `yaml:"append"`
	} `yaml:"write_files"`
	BootCmd []any `yaml:"bootcmd"`
	RunCmd  []any `yaml:"runcmd"`
}

// harmless are the settings of cloud-config that change nothing that the model shows.
const harmless = "preserve_hostname manage_etc_hosts locale timezone disable_root ssh_pwauth ssh_deletekeys ssh_genkeytypes " +
	"package_update package_upgrade growpart resize_rootfs final_message"

// cloudInit applies the attached seed. What cannot be applied is a problem in result.json, as with the real one; only a
// failure of the simulation itself is an error.
func (g *guest) cloudInit() error {
	var problems []string
	problem := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }

	seed, source := map[string][]byte{}, "None"
	if path, ok := g.machine.seed(); ok {
		var err error
		if seed, err = cloudinit.Read(path); err != nil {
			problem("%v", err)
		} else {
			source = "DataSourceNoCloud [seed=/dev/sr0]"
		}
	}
	var meta struct {
		InstanceID    string `yaml:"instance-id"`
		LocalHostname string `yaml:"local-hostname"`
	}
	if err := yaml.Unmarshal(seed["meta-data"], &meta); err != nil {
		problem("meta-data: %v", err)
	}
	var user userData
	var keys map[string]any
	if data := seed["user-data"]; data != nil && !strings.HasPrefix(string(data), "#cloud-config\n") {
		problem("user-data does not begin with #cloud-config")
	} else if err := yaml.Unmarshal(data, &keys); err != nil {
		problem("user-data: %v", err)
	} else if err := yaml.Unmarshal(data, &user); err != nil {
		problem("user-data: %v", err)
	}
	unknown := func(where string, given any, known string) {
		for _, key := range sortedKeys(mapOf(given)) {
			if !slices.Contains(strings.Fields(known), key) {
				problem("%s: the SIMULATED cloud-init does not know %q", where, key)
			}
		}
	}
	unknown("user-data", keys, harmless+" hostname users ssh_keys write_files bootcmd runcmd")
	unknown("ssh_keys", keys["ssh_keys"], "ed25519_private ed25519_public rsa_private rsa_public ecdsa_private ecdsa_public")
	for where, known := range map[string]string{
		"users":       "name sudo ssh_authorized_keys groups shell lock_passwd gecos",
		"write_files": "path permissions owner content append",
	} {
		list, _ := keys[where].([]any)
		for _, e := range list {
			unknown(where, e, known)
		}
	}
	var plan map[string]any
	if err := yaml.Unmarshal(seed["network-config"], &plan); err == nil { // else it is told below
		unknown("network-config", plan, "version ethernets")
		for _, e := range mapOf(plan["ethernets"]) {
			unknown("network-config", e, "match dhcp4 addresses accept-ra dhcp-identifier") // the last two change nothing that the model shows
			unknown("network-config", dig(e, "match"), "macaddress")
		}
	}
	network, err := parseNetwork(seed["network-config"])
	if err != nil {
		problem("network-config: %v", err)
	}
	first := meta.InstanceID != "" && meta.InstanceID != g.state.Instance
	var accounts []account
	if first {
		accounts = g.makeUsers(user.Users, problem)
	}
	if err := g.update(func(st *guestState) {
		if source != "None" {
			st.Network = network
		}
		if first {
			st.Accounts = accounts
		}
	}); err != nil {
		return err
	}

	// The order is cloud-init's: bootcmd at every boot, the rest once per instance.
	g.runAll("bootcmd", user.BootCmd, problem)
	if first {
		if name := cmpString(user.Hostname, meta.LocalHostname); name != "" {
			if err := g.files.write("/etc/hostname", "root", 0o644, []byte(name+"\n")); err != nil {
				return err
			}
		}
		for _, kind := range []string{"ed25519", "rsa", "ecdsa"} {
			if key := user.SSHKeys[kind+"_private"]; key != "" {
				if err := g.files.write("/etc/ssh/ssh_host_"+kind+"_key", "root", 0o600, []byte(key)); err != nil {
					return err
				}
				if err := g.files.write("/etc/ssh/ssh_host_"+kind+"_key.pub", "root", 0o644, []byte(user.SSHKeys[kind+"_public"]+"\n")); err != nil {
					return err
				}
			}
		}
		for _, f := range user.Files {
			mode := fs.FileMode(0o644)
			if n, err := strconv.ParseUint(strings.TrimPrefix(f.Permissions, "0o"), 8, 12); f.Permissions != "" && err != nil {
				problem("write_files: permissions %q of %q", f.Permissions, f.Path)
			} else if f.Permissions != "" {
				mode = fs.FileMode(n)
			}
			content := []byte(f.Content)
			if old, err := g.files.read("root", f.Path); err == nil && f.Append {
				content = append(old, content...)
			}
			owner, _, _ := strings.Cut(cmpString(f.Owner, "root"), ":")
			if err := g.files.write(f.Path, owner, mode, content); err != nil {
				return err
			}
		}
		g.runAll("runcmd", user.RunCmd, problem)
	}
	// The instance is recorded last: a first boot that was cut short is one again.
	if err := g.update(func(st *guestState) { st.Problems, st.Instance = problems, cmpString(meta.InstanceID, st.Instance) }); err != nil {
		return err
	}
	result, err := json.Marshal(map[string]any{"v1": map[string]any{"datasource": source, "errors": append([]string{}, problems...)}})
	if err != nil {
		return err
	}
	return g.files.write("/run/cloud-init/result.json", "root", 0o644, append(result, '\n'))
}

func cmpString(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// makeUsers creates the users with their home folders and authorized keys.
func (g *guest) makeUsers(users []any, problem func(string, ...any)) []account {
	var accounts []account
	for _, u := range users {
		m, ok := u.(map[string]any)
		if !ok {
			problem("users: the SIMULATED cloud-init does not know %v", u)
			continue
		}
		name, _ := m["name"].(string)
		sudo := strings.Contains(fmt.Sprint(m["sudo"]), "NOPASSWD:ALL")
		accounts = append(accounts, account{Name: name, Sudo: sudo})
		var keys strings.Builder
		list, _ := m["ssh_authorized_keys"].([]any)
		for _, k := range list {
			fmt.Fprintln(&keys, k)
		}
		if err := g.files.write(home(name)+"/.ssh/authorized_keys", name, 0o600, []byte(keys.String())); err != nil {
			problem("users: %v", err)
		}
	}
	return accounts
}

// runAll runs bootcmd or runcmd: each a shell line or an argument list.
func (g *guest) runAll(what string, commands []any, problem func(string, ...any)) {
	for _, c := range commands {
		var argv []string
		switch c := c.(type) {
		case string:
			argv = []string{"sh", "-c", c}
		case []any:
			for _, a := range c {
				argv = append(argv, fmt.Sprint(a))
			}
		}
		if out, status := g.as(g.w.context(), argv); status != 0 {
			problem("%s: %q exited with %d: %s", what, argv, status, strings.TrimSpace(out))
		}
	}
}

// parseNetwork reads network-config, version 2.
func parseNetwork(data []byte) (map[string]netplan, error) {
	var c struct {
		Version   int `yaml:"version"`
		Ethernets map[string]struct {
			Match struct {
				MAC string `yaml:"macaddress"`
			} `yaml:"match"`
			DHCP4     bool     `yaml:"dhcp4"`
			Addresses []string `yaml:"addresses"`
		} `yaml:"ethernets"`
	}
	if err := yaml.Unmarshal(data, &c); err != nil {
		return nil, err
	}
	if data != nil && c.Version != 2 {
		return nil, fmt.Errorf("version is %d, not 2", c.Version)
	}
	plans := map[string]netplan{}
	for name, e := range c.Ethernets {
		if e.Match.MAC == "" {
			return nil, fmt.Errorf("%q matches no MAC", name)
		}
		plan := netplan{DHCP4: e.DHCP4}
		for _, a := range e.Addresses {
			p, err := netip.ParsePrefix(a)
			if err != nil {
				return nil, fmt.Errorf("%q: %w", name, err)
			}
			plan.Addresses = append(plan.Addresses, p)
		}
		plans[strings.ToLower(e.Match.MAC)] = plan
	}
	return plans, nil
}
