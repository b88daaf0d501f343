package sim

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// journal is the end of a unit's journal: what was recorded, and for a k3s that does not get on, why not.
func (g *guest) journal(name string, n int) []journalRow {
	rows := slices.Clone(g.state.Journal[name])
	if u := g.unit(name); u.K3s != nil && u.State == "active" {
		if ready, why, err := g.w.joined(g); err == nil && !ready && why != "" {
			rows = append(rows, journalRow{g.now, fmt.Sprintf("time=%q level=error msg=%q", g.now.UTC().Format(time.RFC3339), why)})
		}
	}
	if n >= 0 {
		rows = rows[max(0, len(rows)-n):]
	}
	return rows
}

func (g *guest) journalLine(name string, r journalRow) string {
	who := name + "[1000]"
	for _, word := range []string{"Starting ", "Started ", "Stopping ", "Stopped ", "Failed ", name + ".service:"} {
		if strings.HasPrefix(r.Text, word) {
			who = "systemd[1]"
		}
	}
	return fmt.Sprintf("%s %s %s: %s", r.At.UTC().Format("Jan 02 15:04:05"), g.hostname(), who, r.Text)
}

func runJournalctl(_ context.Context, p *process) int {
	given, args, err := options(p.args, "u= unit= n= lines= o= output= no-pager q e")
	if err != nil {
		return p.usage(err)
	}
	name := strings.TrimSuffix(given["u"]+given["unit"], ".service")
	if name == "" || len(args) > 0 {
		return p.unknown("no -u UNIT")
	}
	n := -1
	if v := given["n"] + given["lines"]; v != "" {
		if n, err = strconv.Atoi(v); err != nil {
			return p.usage(err)
		}
	}
	output := given["o"] + given["output"]
	if output != "" && output != "cat" && output != "short" {
		return p.unknown("-o " + output)
	}
	rows := p.guest.journal(name, n)
	if len(rows) == 0 {
		p.printf("-- No entries --\n")
	}
	for _, r := range rows {
		if output == "cat" {
			p.printf("%s\n", r.Text)
		} else {
			p.printf("%s\n", p.guest.journalLine(name, r))
		}
	}
	return 0
}
