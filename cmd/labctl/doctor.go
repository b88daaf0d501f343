package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"github.com/labctl/labctl/internal/doctor"
	"github.com/labctl/labctl/vbox"
)

func (a *app) newDoctorCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "say whether this machine is ready for a lab, and what mends it if not",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return a.runDoctor(cmd.Context()) },
	}
}

type findingSummary struct {
	Name   string `json:"name"`
	Status string `json:"status"`
	Detail string `json:"detail"`
	Fix    string `json:"fix,omitempty"`
}

// runDoctor examines the real machine, with --simulate as well: the simulation needs nothing of it.
func (a *app) runDoctor(ctx context.Context) error {
	if err := a.wantOutput("text", "json"); err != nil {
		return err
	}
	if a.simulate {
		return usage(errors.New("doctor examines this machine, and a simulated lab needs nothing of it: leave --simulate out"))
	}
	lab, err := a.configured()
	if err != nil {
		return usage(err)
	}
	data, cache, err := a.roots()
	if err != nil {
		return err
	}
	o := doctor.Options{
		Lab: lab, DataDir: data, CacheDir: cache, GOARCH: runtime.GOARCH, Offline: a.offlineFacts(ctx, lab, data, cache),
		Host: doctor.Host{
			GOOS: runtime.GOOS, ReadFile: os.ReadFile, Exists: func(path string) bool { _, err := os.Stat(path); return err == nil },
			Run:      hostCommand,
			FreeDisk: doctor.FreeDisk,
		},
	}
	host := netip.PrefixFrom(lab.Network.Host, lab.Network.CIDR.Bits())
	o.VirtualBox, o.Adapters = a.examineVirtualBox(ctx, host)
	if runtime.GOOS == "linux" {
		conf, err := os.ReadFile(vbox.NetworksConfPath) // nil without the file: then VirtualBox's own default applies
		if err != nil && !missing(err) {
			return err
		}
		o.Allows = vbox.ParseNetworksConf(conf).Allows
	}
	findings := doctor.Examine(ctx, o)
	if err := ctx.Err(); err != nil {
		return err
	}
	return a.printFindings(findings)
}

// examineVirtualBox asks VBoxManage for its version and for the adapters that carry the lab's network.
func (a *app) examineVirtualBox(ctx context.Context, host netip.Prefix) (facts doctor.VirtualBoxFacts, adapters []string) {
	facts.Path, facts.FindErr = a.findVBoxManage()
	if facts.FindErr != nil {
		return facts, nil
	}
	c := vbox.New(vbox.Options{Command: []string{facts.Path}, GOOS: runtime.GOOS})
	version, err := c.Version(ctx)
	if err != nil {
		facts.VersionErr = err
		return facts, nil
	}
	facts.Version, facts.Supported = version.Text, version.Supported()
	networks, err := c.HostOnlyNetworks(ctx)
	if err != nil {
		return facts, nil // no adapter is known: the check of the routes goes by their names
	}
	for _, n := range networks {
		if n.Address.IsValid() && n.Address.Masked() == host.Masked() {
			adapters = append(adapters, n.Name)
		}
	}
	return facts, adapters
}

func (a *app) printFindings(findings []doctor.Finding) error {
	status := exitOK
	var all []findingSummary
	var t strings.Builder
	for _, f := range findings {
		switch f.Status {
		case doctor.Blocker:
			status = exitFailed
		case doctor.Unknown:
			if status == exitOK {
				status = exitUnable
			}
		}
		f.Fix = a.typed(f.Fix)
		all = append(all, findingSummary{f.Name, f.Status.String(), f.Detail, f.Fix})
		fmt.Fprintf(&t, "%-8s %-34s %s\n", f.Status, f.Name, f.Detail)
		if f.Fix != "" {
			fmt.Fprintf(&t, "%-8s %-34s %s\n", "", "  fix:", f.Fix)
		}
	}
	if a.output == "json" {
		doc := struct {
			Schema   string           `json:"schema"`
			Findings []findingSummary `json:"findings"`
		}{schema, all}
		if err := a.printJSON(doc); err != nil {
			return err
		}
	} else {
		if status == exitOK {
			fmt.Fprintf(&t, "next     %s\n", a.next("up"))
		} else {
			fmt.Fprintf(&t, "mend what is not ok and look again, or see labctl without VirtualBox:\nnext     %s\nor       labctl --simulate up\n", a.next("doctor"))
		}
		a.ui.Print(t.String())
	}
	if status != exitOK {
		return errQuiet(status)
	}
	return nil
}
