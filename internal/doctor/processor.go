package doctor

import "fmt"

// WithoutMachines is what labctl can do where its machines cannot run.
const WithoutMachines = "here you can: see it simulated (labctl --simulate up), read the exercises (labctl labs), judge evidence from another computer (labctl verify --evidence FILE)"

// Processor asks whether labctl's machines can run on a processor, which is a GOARCH: they are x86-64 machines.
func Processor(goarch string) Finding {
	const name = "processor"
	switch goarch {
	case "amd64":
		return Finding{Name: name, Status: OK, Detail: "x86-64"}
	case "":
		return Finding{Name: name, Detail: "not known"}
	case "arm64":
		return Finding{
			Name: name, Status: Blocker,
			Detail: "ARM (arm64): VirtualBox runs only ARM machines on it, and labctl makes x86-64 machines",
			Fix:    "build the lab on a computer with an Intel or AMD processor; " + WithoutMachines,
		}
	}
	return Finding{Name: name, Status: Blocker, Detail: fmt.Sprintf("%s: VirtualBox does not run on it", goarch),
		Fix: "build the lab on a computer with an Intel or AMD processor; " + WithoutMachines}
}
