package cloudinit

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/labctl/labctl/internal/yaml"
)

// setMachineID is run early at every boot, as root, with the machine's id as $1.
const setMachineID = `# Guests of one image must not share its machine-id: systemd derives flannel.1's MAC from it.
if [ "$(cat /etc/machine-id)" != "$1" ]; then
  # systemd may have bound a read-only, transient id over the file
  if mountpoint -q /etc/machine-id; then umount /etc/machine-id; fi
  echo "$1" >/etc/machine-id
  # udevd, which sets the MACs, and journald keep the id that they started with
  systemctl restart systemd-udevd systemd-journald
fi
mkdir -p /var/lib/dbus
ln -sf /etc/machine-id /var/lib/dbus/machine-id
`

// swapOff is run once, as root, at the end of the first boot.
const swapOff = `swapoff -a
sed -i '/^[^#].*[[:space:]]swap[[:space:]]/s/^/#/' /etc/fstab
`

type metaData struct {
	InstanceID    string `yaml:"instance-id"`
	LocalHostname string `yaml:"local-hostname"`
}

type userData struct {
	Hostname         string            `yaml:"hostname"`
	PreserveHostname bool              `yaml:"preserve_hostname"`
	ManageEtcHosts   bool              `yaml:"manage_etc_hosts"`
	Locale           string            `yaml:"locale"`
	Users            []user            `yaml:"users"`
	DisableRoot      bool              `yaml:"disable_root"`
	SSHPwauth        bool              `yaml:"ssh_pwauth"`
	SSHDeleteKeys    bool              `yaml:"ssh_deletekeys"`
	SSHKeys          map[string]string `yaml:"ssh_keys"`
	WriteFiles       []writeFile       `yaml:"write_files"`
	PackageUpdate    bool              `yaml:"package_update"`
	PackageUpgrade   bool              `yaml:"package_upgrade"`
	BootCmd          [][]string        `yaml:"bootcmd"`
	RunCmd           [][]string        `yaml:"runcmd"`
}

type user struct {
	Name              string   `yaml:"name"`
	Groups            []string `yaml:"groups"`
	Shell             string   `yaml:"shell"`
	Sudo              string   `yaml:"sudo"`
	LockPasswd        bool     `yaml:"lock_passwd"`
	SSHAuthorizedKeys []string `yaml:"ssh_authorized_keys"`
}

type writeFile struct {
	Path        string `yaml:"path"`
	Permissions string `yaml:"permissions"`
	Content     string `yaml:"content"`
}

type networkConfig struct {
	Version   int                 `yaml:"version"`
	Ethernets map[string]ethernet `yaml:"ethernets"`
}

type ethernet struct {
	Match          match    `yaml:"match"`
	DHCP4          bool     `yaml:"dhcp4"`
	DHCPIdentifier string   `yaml:"dhcp-identifier,omitempty"`
	AcceptRA       bool     `yaml:"accept-ra"` // false: networkd would wait 12 seconds for a router, and neither network has one for IPv6
	Addresses      []string `yaml:"addresses,omitempty"`
}

type match struct {
	MACAddress string `yaml:"macaddress"`
}

// Files returns the seed's files by name: meta-data, user-data and network-config. The same seed gives the same bytes.
func (s Seed) Files() map[string][]byte {
	meta := metaData{InstanceID: s.InstanceID, LocalHostname: s.Hostname}
	data := userData{
		Hostname: s.Hostname,
		Locale:   "C.UTF-8", // Debian's image would spend its first boot generating another one
		Users: []user{{
			Name:              s.User,
			Groups:            []string{"adm", "sudo"},
			Shell:             "/bin/bash",
			Sudo:              "ALL=(ALL) NOPASSWD:ALL",
			LockPasswd:        true,
			SSHAuthorizedKeys: []string{s.AuthorizedKey},
		}},
		DisableRoot:   true,
		SSHDeleteKeys: true, // the image's own host keys, if it carries any
		SSHKeys: map[string]string{
			"ed25519_private": string(s.HostKey),
			"ed25519_public":  s.HostPublicKey,
		},
		WriteFiles: []writeFile{{Path: "/etc/hosts", Permissions: "0644", Content: s.etcHosts()}},
		BootCmd:    [][]string{{"sh", "-c", setMachineID, "set-machine-id", s.MachineID}},
		RunCmd:     [][]string{{"sh", "-c", swapOff}},
	}
	network := networkConfig{Version: 2, Ethernets: map[string]ethernet{
		// VirtualBox gives every machine's NAT NIC the same address, so the lease needs no identity but the MAC;
		// systemd's default, an identity made from the machine-id, would change when the id is set.
		"nat": {Match: match{strings.ToLower(s.NATMAC)}, DHCP4: true, DHCPIdentifier: "mac"},
		// No gateway and no DNS: the way out is the NAT NIC's.
		"hostonly": {Match: match{strings.ToLower(s.HostOnlyMAC)}, Addresses: []string{s.HostOnly.String()}},
	}}
	return map[string][]byte{
		"meta-data":      marshal(meta),
		"user-data":      append([]byte("#cloud-config\n"), marshal(data)...),
		"network-config": marshal(network),
	}
}

// etcHosts returns the whole of /etc/hosts. A node's own name is its host-only address too, not 127.0.1.1, so that a
// name means the same address on every node.
func (s Seed) etcHosts() string {
	var b strings.Builder
	b.WriteString("127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n")
	hosts := maps.Clone(s.Hosts)
	if hosts == nil {
		hosts = map[string]netip.Addr{}
	}
	if _, ok := hosts[s.Hostname]; !ok {
		hosts[s.Hostname] = s.HostOnly.Addr()
	}
	for _, name := range slices.SortedFunc(maps.Keys(hosts), func(a, b string) int {
		return cmp.Or(hosts[a].Compare(hosts[b]), strings.Compare(a, b))
	}) {
		fmt.Fprintf(&b, "%s %s\n", hosts[name], name)
	}
	return b.String()
}

// marshal turns one of the structs above, which hold nothing but strings, numbers and bools, into YAML.
func marshal(v any) []byte {
	data, err := yaml.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("cloudinit: plain struct %T has no YAML: %v", v, err))
	}
	return data
}
