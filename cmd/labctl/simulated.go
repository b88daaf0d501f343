package main

import (
	"fmt"
	"os"

	"github.com/labctl/labctl/internal/sim"
)

// simulatedVBoxManage is the hidden entry through which labctl is its own VBoxManage: labctl __vboxmanage DIR ARGUMENT…
const simulatedVBoxManage = "__vboxmanage"

func runSimulatedVBoxManage(args []string) int {
	if len(args) == 0 {
		fmt.Fprintf(os.Stderr, "usage: labctl %s DIR ARGUMENT…\n", simulatedVBoxManage)
		return exitUsage
	}
	return sim.VBoxManage(args[0], args[1:], os.Stdout, os.Stderr)
}
