// Package vbox drives VirtualBox 7 through its command line, VBoxManage.
//
// It knows VBoxManage: where it is, how each call is written (args.go: pure), what each answer means (parse.go and the
// parsers beside each noun: pure), what its errors say (errors.go), and in which order calls must be made so that a
// killed program can be started again (ensure.go, remove.go, convert.go). It knows no lab, no guest and no Kubernetes,
// and imports no other package of labctl.
//
// Every call is made in one place, Client.run: with a time limit, in the C locale, in a process group of its own that is
// interrupted, and after a grace killed, when the context ends. A call fails if VBoxManage exits non-zero or if it
// prints an error and exits 0, as it does at times. Calls that may be repeated are, a few times, when the answer is that
// a lock is just being taken or given back. Errors tell which call failed and why, and leave it to the caller to name the
// machine: most know it by another name than the UUID that they pass.
//
//	c := vbox.New(vbox.Options{Command: []string{"VBoxManage"}})
//	m, err := c.EnsureMachine(ctx, vbox.MachineSpec{Name: "lab-cp1", …}, func(step string) {})
//	if err != nil {
//		return err // VBoxManage modifyvm: exit status 1: A NAT rule of this name already exists
//	}
//	err = c.StartMachine(ctx, m.UUID)
//
// Two things about disks are easily got wrong. `unregistervm --delete` deletes the shared base image too when it takes
// the last disk linked to it: RemoveMachine therefore detaches and deletes the linked disk first. And VirtualBox keeps a
// registry of media, by path and UUID: a file moved or deleted behind its back makes later calls fail, so every file is
// closed there before it is renamed or removed.
//
// TestConformance (build tag conformance) makes the same calls to a real VBoxManage and to the simulated one and compares
// what they answer.
package vbox
