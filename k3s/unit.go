package k3s

import (
	"slices"
	"strings"
)

// unitText is the unit of k3s's own installer with one environment file, for a proxy: all settings are in config.yaml.
// Source: https://github.com/k3s-io/k3s/blob/master/install.sh (create_systemd_service_file). The installer makes agents
// Type=exec; here both are notify, so that "active" means that the agent has joined.
const unitText = `# Written by labctl, and again whenever it differs.
[Unit]
Description=Lightweight Kubernetes (ROLE)
Documentation=https://k3s.io
Wants=network-online.target
After=network-online.target

[Install]
WantedBy=multi-user.target

[Service]
Type=notify
KillMode=process
Delegate=yes
User=root
LimitNOFILE=1048576
LimitNPROC=infinity
LimitCORE=infinity
TasksMax=infinity
TimeoutStartSec=0
Restart=always
RestartSec=5s
EnvironmentFile=-/etc/systemd/system/SERVICE.service.env
ExecStartPre=-/sbin/modprobe br_netfilter
ExecStartPre=-/sbin/modprobe overlay
ExecStart=/usr/local/bin/k3s ROLE
`

// ipvsModules are loaded before every start in IPVS mode, and with them the scheduler's. Without the leading "-" a kernel that lacks
// them fails the start and says so; kube-proxy alone would fall back to iptables in silence, or only say that some file is missing.
const ipvsModules = "ip_vs ip_vs_rr ip_vs_wrr ip_vs_sh"

func unitOf(as role, s Settings) []byte {
	text := unitText
	if s.ipvs() {
		modules := ipvsModules
		if own := "ip_vs_" + s.scheduler(); s.scheduler() != "" && !slices.Contains(strings.Fields(modules), own) {
			modules += " " + own
		}
		text = strings.Replace(text, "ExecStart=", "ExecStartPre=/sbin/modprobe -a "+modules+"\nExecStart=", 1)
	}
	return []byte(strings.NewReplacer("ROLE", string(as), "SERVICE", as.service()).Replace(text))
}
