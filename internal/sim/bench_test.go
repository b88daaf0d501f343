package sim

import (
	"fmt"
	"testing"

	"github.com/labctl/labctl/internal/config"
)

// BenchmarkVerify collects the evidence of labs of 3 and of 50 nodes, over connections of its own as labctl verify does.
func BenchmarkVerify(b *testing.B) {
	for _, nodes := range []int{3, 50} {
		b.Run(fmt.Sprint(nodes), func(b *testing.B) {
			l := newLab(b)
			c := configured(nodes, config.ProxyIPTables)
			l.settled(c)
			l.evidence(c)
			for b.Loop() {
				l.evidence(c)
			}
		})
	}
}
