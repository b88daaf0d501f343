package checks

import "testing"

func TestNeeds(t *testing.T) {
	byID := map[string]Check{}
	for _, c := range Catalogue() {
		byID[c.ID] = c
	}
	for id := range needs() {
		if _, ok := byID[id]; !ok {
			t.Errorf("no check is called %q", id)
		}
	}
	for name, x := range map[string]struct {
		selected []Check
		want     Needs
	}{
		"no selection is everything":       {nil, needAll},
		"an unlisted check has everything": {[]Check{byID["net.nics"], {ID: "new"}}, needAll},
		"nothing beyond the nodes' own":    {[]Check{byID["net.nics"]}, 0},
		"several have theirs together":     {[]Check{byID["pod.reach"], byID["demo.unchanged"], byID["net.nics"]}, NeedPods | NeedApplied},
	} {
		if got := NeedsOf(x.selected); got != x.want {
			t.Errorf("%s: %b, want %b", name, got, x.want)
		}
	}
}
