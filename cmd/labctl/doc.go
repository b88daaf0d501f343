// Command labctl builds a small Kubernetes lab on VirtualBox and proves what is true of its network.
//
// This package knows flags and exit codes and wires the rest together: one file per subcommand (newUpCmd, runUp), app.go for
// what they share, session.go for a lab that is being worked on. Start at up.go and verify.go, the two main commands.
//
//	labctl up              # build the lab: machines, k3s, demo
//	labctl verify          # prove what is true of it
//	labctl --simulate up   # the same on a simulated VirtualBox
package main
