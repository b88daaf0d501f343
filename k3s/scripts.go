package k3s

// The scripts of the package's manual, each on one line so that a failed command can be pasted. What varies comes as $1, $2…

// sums prints `file SHA256 PATH` for each of "$@" that exists. Of the files that labctl removes when they aren't wanted any more,
// somebody else's is as good as none.
const sums = `for f in "$@"; do if [ -f "$f" ]; then sum=$(sha256sum < "$f"); ` +
	`case "$f" in ` + registriesPath + `|*.service.env) if [ "$(head -n 1 < "$f")" != '` + mine + `' ]; then sum=; fi;; esac; ` +
	`if [ -n "$sum" ]; then printf 'file %s %s\n' "${sum%% *}" "$f"; fi; fi; done; `

// have is sums alone.
const have = sums + `:`

// survey prints, one fact per line: `file SHA256 PATH` for each file that exists, `proxy MODE` as the settings on the disk have
// it, `boot ID`, `reboot ID` where a reboot was asked for during that boot, `version TEXT`, `active STATE`, and `links JSON`. A
// missing file, program or service is a fact too, so nothing here ends it early.
const survey = `service=$1; shift; ` + sums +
	`if [ -f ` + settingsPath + ` ]; then ` +
	`if grep -q proxy-mode=ipvs ` + settingsPath + `; then echo proxy ipvs; else echo proxy iptables; fi; fi; ` +
	`printf 'boot %s\n' "$(cat ` + bootID + `)"; ` +
	`if [ -f ` + rebootPending + ` ]; then printf 'reboot %s\n' "$(cat ` + rebootPending + `)"; fi; ` +
	`if [ -x ` + binaryPath + ` ]; then printf 'version %s\n' "$(` + binaryPath + ` --version | head -n 1)"; fi; ` +
	`printf 'active %s\n' "$(systemctl is-active "$service")"; ` +
	`printf 'links %s\n' "$(ip -j link)"`

// bootID is another one after each boot.
const bootID = "/proc/sys/kernel/random/boot_id"

// mark notes that the node is to be rebooted, and during which boot that was asked for.
const mark = `set -e; mkdir -p /etc/rancher/k3s; ` +
	`cat ` + bootID + ` > ` + rebootPending + `.part; mv -f ` + rebootPending + `.part ` + rebootPending

// rebooted ends that. A reboot is a restart, too.
const rebooted = `rm -f ` + rebootPending + ` ` + restartPending

// push writes standard input to $1 with mode $2 if its checksum is $3, by the temporary name $4. The mode is set before the first
// byte is there, since config.yaml holds the token. The marker $5, if any, comes into being before the file changes.
const push = `set -e; mkdir -p "${1%/*}" "${4%/*}"; install -m "$2" /dev/null "$4"; cat > "$4"; ` +
	`sum=$(sha256sum < "$4"); ` +
	`if [ "${sum%% *}" != "$3" ]; then rm -f "$4"; echo "$1: what arrived has another checksum: ${sum%% *}" >&2; exit 1; fi; ` +
	`if [ -n "$5" ]; then mkdir -p "${5%/*}"; : > "$5"; fi; ` +
	`mv -f "$4" "$1"`

// unstage removes what waits in the place of binaries beside $1, and prints sums of "$@".
const unstage = `for f in ` + stagedPrefix + `*; do if [ "$f" != "$1" ]; then rm -f "$f"; fi; done; ` + sums + `:`

// place renames $1 to $2. The marker $3 is as in push.
const place = `set -e; if [ -n "$3" ]; then mkdir -p "${3%/*}"; : > "$3"; fi; mv -f "$1" "$2"`

// remove removes $1. The marker is as in push.
const remove = `set -e; if [ -n "$2" ]; then mkdir -p "${2%/*}"; : > "$2"; fi; rm -f "$1"`

// start (re)starts the service and returns at once. It stops and starts instead of restarting: right after `restart --no-block`
// the old process is still there, and is-active says so.
const start = `set -e; systemctl daemon-reload; systemctl enable "$1"; systemctl stop "$1"; ` +
	`systemctl start --no-block "$1"; rm -f ` + restartPending

// leave makes an agent whose disk holds another cluster's CA forget that cluster: its certificates, and the devices that have
// its old pod CIDR. The images that containerd has stay. It is for an agent that was not wiped (see Wipe), because a run was
// killed before that or its machine was off.
const leave = `set -e; systemctl stop "$1"; ` +
	`rm -f ` + agentFolder + `/*.crt ` + agentFolder + `/*.key ` + agentFolder + `/*.kubeconfig; ` +
	`for i in cni0 flannel.1; do if ip link show "$i" >/dev/null 2>&1; then ip link delete "$i"; fi; done`

// disable keeps k3s from starting at the next boot. It does not stop the containers: a reboot does that best.
const disable = `set -e; for service in k3s k3s-agent; do ` +
	`if [ -f "/etc/systemd/system/$service.service" ]; then systemctl disable "$service"; fi; done; ` +
	`rm -f ` + settingsPath + ` ` + restartPending

// wipe removes what a cluster left on a node that no longer runs k3s: certificates, node password, containers, pods.
// Archives of images stay: they are of no cluster.
const wipe = `set -e; for f in ` + agentFolder + `/*; do if [ "$f" != ` + imagesFolder + ` ]; then rm -rf "$f"; fi; done; ` +
	`for f in /var/lib/rancher/k3s/*; do if [ "$f" != ` + agentFolder + ` ]; then rm -rf "$f"; fi; done; ` +
	`rm -f /etc/systemd/system/k3s.service.env /etc/systemd/system/k3s-agent.service.env; ` +
	`rm -rf /var/lib/kubelet /etc/rancher /var/lib/cni ` + binaryPath + ` ` + stagedPrefix + `*`

// serviceState prints the service's state, if there is k3s.
const serviceState = `if [ -x ` + binaryPath + ` ]; then printf '%s\n' "$(systemctl is-active "$1")"; fi`

// progress prints the service's state, and if it is not active what its journal ends with.
const progress = `state=$(systemctl is-active "$1"); printf '%s\n' "$state"; ` +
	`if [ "$state" != active ]; then journalctl -u "$1" -n 40 --no-pager -o cat; fi`

// access lets the user $1 use kubectl without sudo. k3s's kubectl prefers its own kubeconfig, which only root may read, to
// ~/.kube/config; hence the line in /etc/environment.
const access = `set -e; ln -sf k3s /usr/local/bin/kubectl; ` +
	`home=/home/$1; if [ "$1" = root ]; then home=/root; fi; mkdir -p "$home/.kube"; ` +
	`have=; if [ -f "$home/.kube/config" ]; then have=$(sha256sum < "$home/.kube/config"); fi; ` +
	`if [ "$have" != "$(sha256sum < ` + kubeconfigPath + `)" ]; then ` +
	`install -m 0600 ` + kubeconfigPath + ` "$home/.kube/config.part"; ` +
	`chown "$1:" "$home/.kube" "$home/.kube/config.part"; mv -f "$home/.kube/config.part" "$home/.kube/config"; fi; ` +
	`line="KUBECONFIG=$home/.kube/config"; ` +
	`if ! grep -qxF "$line" /etc/environment; then printf '%s\n' "$line" >> /etc/environment; fi`
