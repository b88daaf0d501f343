package doctor

import (
	"errors"
	"fmt"
	"strings"
)

// OfflineFacts is what an up of the lab would take from the internet.
type OfflineFacts struct {
	Missing []string // files that are not in the cache: "the disk image"
	Pulled  string   // container images that the nodes pull themselves, in words; empty: none
	Err     error    // why the cache cannot be looked at
}

// Offline tells what an up without the internet would lack. That is no fault of a machine that has it.
func Offline(f *OfflineFacts) Finding {
	const name = "without the internet"
	switch {
	case f == nil:
		return unknown(name, errors.New("the cache was not looked at"))
	case f.Err != nil:
		return unknown(name, f.Err)
	case len(f.Missing) == 0 && f.Pulled == "":
		return Finding{Name: name, Status: OK, Detail: "up needs nothing from it: all is in the cache"}
	case len(f.Missing) == 0:
		return Finding{Name: name, Status: OK, Detail: "all that up downloads is in the cache; it would lack " + f.Pulled}
	}
	lacks := strings.Join(f.Missing, ", ")
	if f.Pulled != "" {
		lacks += "; and " + f.Pulled
	}
	return Finding{Name: name, Status: OK, Detail: fmt.Sprintf("up would lack %s", lacks), Fix: "only if it is to work offline: labctl cache fetch, while there is internet"}
}
