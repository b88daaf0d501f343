// Package labdir is a lab's folder: where each file is, the secrets that are made once, the lock, and how a node is reached.
//
//	ROOT/LAB/            0700
//	  lock               held by the labctl that is at work; its content says since when
//	  lab.yaml           the resolved configuration of the last up
//	  wanted.yaml        the configuration of an up that is under way and has not stored it yet
//	  id                 the lab's random id; with the name it is the owner mark of its machines
//	  id_ed25519         the key labctl logs in with (0600), and id_ed25519.pub
//	  token              k3s's cluster token (0600)
//	  passphrase         protects the secrets in Pulumi's state (0600)
//	  secrets.sha256     the checksums of id, token, passphrase and id_ed25519: none of them may become another one
//	  known_hosts        the host keys that labctl made for the machines
//	  kubeconfig         0600
//	  faults.json        the faults that break has injected and fix has not undone, with what it takes to undo them
//	  interrupted        the command that has stopped the machines to start them again, until it has done so
//	  hostkeys/NAME      the SSH host key of a node (0600), and NAME.pub
//	  machines/NAME/     seed.iso, serial.log, disk.vdi, ssh-port, booted
//	  pulumi/state/      Pulumi's state
//
// It imports internal/config and internal/ssh, nothing of VirtualBox or k3s.
package labdir
