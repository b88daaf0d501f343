// Package k3s knows how k3s comes to be on a node and how a node comes into the cluster: the release's files, a node's
// settings, the systemd unit, joining, the kubeconfig, and what runs in the lab's cluster. It reaches a node over a
// [Runner] and knows nothing of machines: it must import neither vbox nor provision.
//
// An example, from two ready machines to a cluster:
//
//	err = k3s.StageBinary(ctx, w1, "w1", "v1.34.3+k3s1", artifacts, step) // or not: what is not there is sent by Install
//	err = k3s.InstallServer(ctx, cp1, server, settings, artifacts, step)
//	settings.Token, err = k3s.JoinToken(ctx, cp1)
//	err = k3s.InstallAgent(ctx, w1, agent, settings, artifacts, step)
//	err = k3s.WaitReady(ctx, cp1, "w1", "v1.34.3+k3s1", step)
//	for _, m := range k3s.Manifests(lab) {
//		err = k3s.Apply(ctx, cp1, m, step)
//	}
//
// # What it relies on
//
//   - Every function may be repeated after it failed or was killed at any point. Files are written beside their place,
//     checked by SHA-256 and renamed; a file whose bytes are already there is not sent again.
//   - A change of kube-proxy's mode needs a reboot, because a kernel keeps what the old mode wrote. Then ErrReboot says so when
//     all files are in place, and the same call after the reboot goes on. /etc/rancher/k3s/reboot-pending holds the boot during
//     which it was asked for: a run that is killed in between reboots neither too rarely nor twice. Another scheduler of IPVS needs a
//     restart only: kube-proxy gives it to the virtual servers that are there.
//   - A service is restarted only if its binary, settings or unit changed, if an archive of images came that its release does not look
//     for while it runs, or if it is neither active nor starting. The file
//     /etc/rancher/k3s/restart-pending stands between the first change and the restart, so that a run that is killed in
//     between does not leave the old settings in force.
//   - Waits have no limit of their own: the context's deadline ends them. The error is then the context's, joined with the
//     last real cause. A command that exits non-zero is tried again; a Runner's other errors (the connection is gone) end
//     the wait at once.
//   - The token and the registries' passwords travel by standard input, as part of a file. No command line and no
//     error holds them.
//   - Command lines are constant scripts; what varies (names, paths, checksums) follows as quoted arguments.
//
// # Files on a node
//
//	/usr/local/bin/k3s                        0755  the release's binary; kubectl is a link to it on the server
//	/usr/local/bin/.k3s-SHA256                0755  a binary that was sent ahead and waits for its turn
//	/etc/rancher/k3s/config.yaml              0600  all settings, token included
//	/etc/rancher/k3s/registries.yaml          0600  where containerd gets images, if labctl.yaml says so
//	/etc/systemd/system/k3s.service           0644  the server's unit
//	/etc/systemd/system/k3s-agent.service     0644  an agent's unit
//	/etc/systemd/system/UNIT.service.env      0600  the proxy, if there is one
//	/var/lib/rancher/k3s/agent/images/NAME    0644  archives of images, if there are any; labctl-images.part beside the folder
//	                                                is one on its way
//	/etc/rancher/k3s/restart-pending          0644  empty; see above
//	/etc/rancher/k3s/reboot-pending           0644  a boot's id; see above
//	/var/lib/rancher/k3s/agent/server-ca.crt        read only: an agent whose file is not the join token's CA is of a
//	                                                cluster that is gone, and is made to leave it
//	~USER/.kube/config                        0600  the server's copy of /etc/rancher/k3s/k3s.yaml, and a line in
//	                                                /etc/environment that makes kubectl read it
//
// # Commands that run on a node
//
// All of them are plain POSIX sh. The scripts stand in scripts.go; KUBECTL is
// `sudo kubectl --kubeconfig /etc/rancher/k3s/k3s.yaml`, and runs on the server alone.
//
//	sudo sh -c SURVEY sh SERVICE FILE...                   what is there: checksums, version, state, NICs
//	sudo sh -c HAVE sh FILE...                             checksums of files
//	sudo sh -c PUSH sh FILE MODE SHA256 TEMPORARY MARKER   (stdin)   writes one file; MARKER is restart-pending's path, or empty
//	sudo sh -c UNSTAGE sh FILE FILE...                     other binaries that wait go; checksums of files
//	sudo sh -c PLACE sh STAGED FILE MARKER                 renames one file
//	sudo sh -c REMOVE sh FILE MARKER                       removes one file
//	sudo sh -c MARK sh                                     notes that a reboot is due
//	sudo sh -c REBOOTED sh                                 notes that it was made
//	sudo sh -c START sh SERVICE                            daemon-reload, enable, stop, start --no-block
//	sudo sh -c LEAVE sh SERVICE                            an agent of another cluster: stop, rm its certificates
//	sudo sh -c STATE sh SERVICE                            is-active, where there is k3s
//	sudo sh -c PROGRESS sh SERVICE                         is-active, and if it is not: the journal's last lines
//	sudo sh -c ACCESS sh USER                              kubectl for the login user of the server
//	sudo sh -c DISABLE sh                                  systemctl disable; the settings go
//	sudo sh -c WIPE sh                                     all that k3s left goes
//	sudo cat /var/lib/rancher/k3s/server/node-token
//	sudo cat /etc/rancher/k3s/k3s.yaml
//	KUBECTL get nodes -o json
//	KUBECTL delete --ignore-not-found node/NAME
//	KUBECTL delete --ignore-not-found -n kube-system secret/NAME.node-password.k3s
//	KUBECTL apply -f -                           (stdin)
//	KUBECTL delete --ignore-not-found -f -       (stdin)
//	KUBECTL apply --dry-run=server -f -          (stdin)
//	KUBECTL get services -A -o json
//	KUBECTL patch service NAME -n NAMESPACE --subresource=status --type=merge -p PATCH
//	KUBECTL get deployments,daemonsets,pods -A -o json
//	KUBECTL get events -n NAMESPACE --field-selector FIELDS -o json
//	KUBECTL get pods -n NAMESPACE -l LABELS -o json
//	KUBECTL delete --wait=false pods -n NAMESPACE -l LABELS
//
// Programs that the scripts use beside the shell's own: cat, chown, grep, head, install, ip, journalctl, k3s, ln, mkdir,
// mv, rm, sha256sum, systemctl.
package k3s
