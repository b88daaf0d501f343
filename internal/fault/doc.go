// Package fault breaks a lab on purpose and mends it again: for practice, and to prove that every check can fail.
//
// A fault is data: what is asked first (the values that it takes to undo it), the commands that inject it, and the commands that undo it,
// over SSH, with kubectl on the server, on VirtualBox or on the host. It declares in advance exactly which checks then fail, in a lab
// whose kube-proxy writes iptables rules and in one that uses IPVS. A test holds every fault to that on the simulated lab.
//
// What is injected is written to a journal in the lab's folder before anything is touched, with the undoing commands in full, so that
// Fix works whatever happened in between: a kill at any point of Break or of Fix, a newer labctl, another configuration. Undoing
// commands therefore do no harm where nothing was injected, and when they run twice.
//
// It imports neither vbox nor provision: what it needs of machines, nodes and the host are the interfaces in Lab. It knows no check but
// by id, and nothing of the simulation.
//
//	b := fault.Bench{Lab: lab, Journal: fault.Journal{Path: folder.Faults()}, Connect: connect, Machines: machines, Host: host, Now: time.Now, Step: step}
//	f, err := fault.Get("agent-stopped")
//	err = b.Break(ctx, f)
//	…
//	undone, err := b.Fix(ctx)
package fault
