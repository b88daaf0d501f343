package main

import (
	"fmt"
	"os"

	"github.com/labctl/labctl/internal/sim"
)

// simulatedVBoxManage is the hidden entry to the simulated VirtualBox: labctl __vboxmanage DIR ARGUMENT… is what VBoxManage
// would be, for whoever wants to go behind labctl's back. labctl itself asks it without starting a program each time.
const simulatedVBoxManage = "__vboxmanage"

func runSimulatedVBoxManage(args []string) int {
	if len(args) == 0 {
		fmt.Fprintf(os.Stderr, "usage: labctl %s DIR ARGUMENT…\n", simulatedVBoxManage)
		return exitUsage
	}
	return sim.VBoxManage(args[0], args[1:], os.Stdout, os.Stderr)
}
