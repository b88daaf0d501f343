package doctor

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"github.com/labctl/labctl/internal/config"
)

const (
	mib = 1 << 20
	gib = 1 << 30
)

// What disks and memory take, in bytes, as far as that is known before.
const (
	leastPerMachine    = 2 * gib // a machine's disk after its first boot
	roomyPerMachine    = 6 * gib // with k3s, its images and some time
	leastForCache      = 1 * gib
	roomyForCache      = 5 * gib   // the image, the disk made of it, k3s
	overheadPerMachine = 150 * mib // VirtualBox's own, beside the guest's memory
)

// Disk asks whether there is room: less than least is a blocker, less than roomy a warning. All are bytes.
func Disk(name, path string, free, least, roomy uint64) Finding {
	f := Finding{Name: name, Status: OK, Detail: fmt.Sprintf("%s free at %s", size(free), path)}
	switch {
	case free < least:
		f.Status = Blocker
	case free < roomy:
		f.Status = Warn
	default:
		return f
	}
	f.Detail += fmt.Sprintf(", %s are wanted", size(roomy))
	f.Fix = "make room: labctl cache prune; or move it: set XDG_DATA_HOME and XDG_CACHE_HOME"
	return f
}

// MemoryFacts is a host's memory, in bytes.
type MemoryFacts struct {
	Total     uint64
	Available uint64 // without pushing out what runs; 0 if it is not known
}

// Memory asks whether all machines of the lab fit at once.
func Memory(m MemoryFacts, nodes []config.Node) Finding {
	var need uint64
	for _, n := range nodes {
		need += uint64(n.MemoryMiB)*mib + overheadPerMachine
	}
	f := Finding{
		Name: "memory", Status: OK,
		Detail: fmt.Sprintf("%d machines take %s of %s, %s available", len(nodes), size(need), size(m.Total), size(m.Available)),
	}
	if m.Available == 0 {
		f.Detail = fmt.Sprintf("%d machines take %s of %s", len(nodes), size(need), size(m.Total))
	}
	switch {
	case need > m.Total:
		f.Status, f.Fix = Blocker, "lower memoryMiB of the nodes in labctl.yaml"
	case m.Available > 0 && need > m.Available:
		f.Status, f.Fix = Warn, "close other programs, or lower memoryMiB of the nodes in labctl.yaml"
	}
	return f
}

func size(bytes uint64) string { return fmt.Sprintf("%.1f GiB", float64(bytes)/gib) }

// ParseMeminfo reads Linux's /proc/meminfo.
func ParseMeminfo(data []byte) (MemoryFacts, error) {
	values := map[string]uint64{}
	for line := range bytes.Lines(data) {
		fields := strings.Fields(string(line))
		if len(fields) == 3 && fields[2] == "kB" {
			kib, err := strconv.ParseUint(fields[1], 10, 53)
			if err != nil {
				return MemoryFacts{}, fmt.Errorf("/proc/meminfo: %w", err)
			}
			values[fields[0]] = kib << 10
		}
	}
	m := MemoryFacts{Total: values["MemTotal:"], Available: values["MemAvailable:"]}
	if m.Total == 0 {
		return MemoryFacts{}, fmt.Errorf("/proc/meminfo has no MemTotal")
	}
	return m, nil
}

// parseNumbers reads so many whole numbers, one a line.
func parseNumbers(data []byte, count int) ([]uint64, error) {
	fields := strings.Fields(string(data))
	if len(fields) != count {
		return nil, fmt.Errorf("%d words, want %d numbers", len(fields), count)
	}
	numbers := make([]uint64, count)
	for i, field := range fields {
		n, err := strconv.ParseUint(field, 10, 53)
		if err != nil {
			return nil, err
		}
		numbers[i] = n
	}
	return numbers, nil
}
