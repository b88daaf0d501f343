// Package sim is the laboratory of labctl --simulate and of most tests: a simulated VirtualBox, the machines that it
// starts, and the two servers they are made from. It says SIMULATED wherever it speaks on its own account.
//
// # What it knows
//
//   - VBoxManage behaves like Oracle's program on a Linux host: arguments, output, errors, exit status. It is held to
//     recordings of VBoxManage 7.2.22 in testdata. It knows the calls that package vbox makes, the few that a test needs
//     to bring about what a user could do (controlvm savestate, pause, setlinkstate2), and refuses any other.
//     Media are files with true headers; their blocks are not copied, since no simulated guest reads any.
//
//   - World is the network those machines are on. World.DialContext is the only way to them: SSH on a host-only address
//     or by a NAT rule, the cluster's ports, and the servers behind ImageURL and K3sSource.
//
//   - A guest is a folder of files, found by the UUID of its disk. It learns only from VBoxManage's arguments, from the
//     seed image in its DVD drive, and from what arrives over SSH.
//
//   - What it does not know it refuses, in words that say SIMULATED: a field of a manifest (see knownFields), a flag or a word of a command, a
//     setting of k3s, a match of iptables. What it took without doing anything about it would make a lab look well that is not.
//
//   - What k3s writes into a node's kernel follows from the cluster's objects: kube-proxy's chains (or IPVS's virtual servers), flannel's
//     and the CNI plugin's. Packets walk through these rules, whatever commands made of them, so that a rule that is changed changes
//     what answers. Random choices take turns instead: repeatable, and as fair.
//
// # State
//
// All of it is in one folder, which any number of processes may use at once, each of which may be killed at any time:
//
//	virtualbox.json     machines, media, host-only adapters (virtualbox.lock guards changes)
//	guests/DISK/        the guest on the disk with that UUID
//
// There is no daemon. What happens by itself, such as booting or shutting down, follows from a recorded time and the clock.
//
//	circumstances.json  where a Director is asked what goes wrong, if there is one
//
// # What goes wrong
//
// By itself, nothing. A Director, in this process or another, rules at each event of the worlds of a folder: it may let a call or a
// command fail, hang or lose its connection, or do something to the process that asks, which waits for the ruling.
//
// # Where the simulated VirtualBox differs from the real one
//
// Texts and codes that are in no recording are written after VirtualBox's sources. Some rules are simpler: deleting a
// snapshot merges its disk into the next one (the real one merges the smaller into the larger), a stopped machine gives its
// lock back at once, and host-only addresses are limited to 192.168.56.0/21, as they are without a networks.conf. Some are
// stricter: the real modifyvm takes an unknown OS type, a port above 65535 or a host name for an address.
//
// Of a packet's way the first one is followed: replies come back unless an overlay, or masquerading that is missing, loses them.
// conntrack shows only connections whose destination was changed, and all of them are over. Only NodePort and LoadBalancer services
// know externalTrafficPolicy. Network policies, and what a wrong clock does to certificates, are not in the model; neither is what an
// MTU does to large packets, and what registries.yaml and a proxy's variables change about pulling images.
//
// # What it must not import
//
// Anything of cmd/labctl, and neither provision, vbox, k3s nor checks: it is what they are tested against. (Its own tests do.)
//
// # Example
//
//	var out, errs bytes.Buffer
//	exit := sim.VBoxManage(dir, []string{"createvm", "--name", "cp1", "--ostype", "Ubuntu_64", "--register"}, &out, &errs)
//	…
//	w, err := sim.Open(dir, sim.Options{})
//	defer w.Close()
//	c, err := w.DialContext(ctx, "tcp", "192.168.56.10:22")
package sim
