// Package cloudinit knows the seed that gives a machine its identity at first boot: the three files that
// cloud-init's NoCloud data source reads (https://cloudinit.readthedocs.io/en/latest/reference/datasources/nocloud.html)
// and the ISO image, labelled cidata, that carries them.
//
//	seed := cloudinit.Seed{Hostname: "cp1", InstanceID: "lab-cp1-1", User: "ubuntu", AuthorizedKey: key, …}
//	err := cloudinit.Write("machines/cp1/seed.iso", seed) // done again with the same seed: nothing happens
//	files, err := cloudinit.Read("machines/cp1/seed.iso") // "meta-data", "user-data", "network-config"
//
// What the seed decides, and why:
//
//   - Names, user and keys. The one user may use sudo and logs in by key alone. The machine's SSH host key comes
//     with the seed, so that the first connection is already to a known host.
//   - Addresses, by MAC, because names of NICs differ between images. The NAT NIC asks for its address by DHCP; the
//     host-only NIC has its static address and neither gateway nor DNS, so that the default route stays on NAT.
//   - The machine-id. Guests made from one image may share the /etc/machine-id that the image carries. systemd
//     derives the MAC of virtual devices from it (MACAddressPolicy=persistent in systemd.link(5)), so flannel.1 gets
//     the same MAC on every node: nodes are Ready, routes are right, and no VXLAN packet between nodes arrives. The
//     seed therefore sets an id of the machine's own, whatever the image carries, before anything of k3s runs.
//   - Swap is off, packages are neither updated nor installed.
//
// It is made for Ubuntu 22.04 (cloud-init 23 and 24) and Debian 12 (22.4), both with netplan.
//
// It imports nothing of labctl but internal/yaml. What it writes holds the machine's private host key: images are
// readable by their owner only.
package cloudinit
