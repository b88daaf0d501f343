// Package ssh knows how to reach a node: dialling with pinned host keys, running commands under a context,
// waiting until sshd answers, and an interactive shell.
//
//	config := ssh.Config{User: "ubuntu", KeyFile: "id_ed25519", KnownHosts: "known_hosts", Alias: "192.168.56.10"}
//	client, err := ssh.Wait(ctx, "192.168.56.10:22", config, step)
//	defer client.Close()
//	out, err := client.Run(ctx, "sudo sh -s", strings.NewReader(script))
//
// A host key must stand in the known_hosts file before the first connection; nothing is ever added to it and no
// check can be switched off. The key is looked up under Alias whatever address was dialled, so that a node has one entry
// though it can be reached on its own address and on a forwarded port.
//
// Nothing blocks for longer than its context. A connection whose other end no longer answers, as that of a machine
// that was powered off, is closed after a minute, and commands on it fail with ErrLost.
//
// Secrets belong on standard input: command lines are repeated in errors.
//
// It imports nothing of labctl.
package ssh
