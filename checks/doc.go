// Package checks knows what is true of a healthy lab: a catalogue of statements, each judged by a pure function over facts.
//
// It does no I/O: it imports no os, exec, net (but net/netip), net/http, log, and asks no clock. Package checks/collect gathers
// evidence and parses it into Facts; package checks/report renders a Report. A test walks the imports.
//
// A fact is known or missing, and a missing one says why. A check that lacks a fact is Unknown, which is the zero Status and
// never passes. What a check expects comes from the lab's configuration, never from a constant that the configuration could change;
// constants are only VirtualBox's NAT addresses, the demo's names and Kubernetes's own defaults. IPv6, veths, foreign services and pods,
// and the host routes that DHCP brings change no verdict.
//
//	facts := collect.Parse(evidence)
//	selected, err := checks.Select(checks.Catalogue(), "net.internal-ip", "pod-network")
//	if err != nil {
//		return err
//	}
//	r := checks.Evaluate(facts, selected)
//	text, err := report.Text(r) // package checks/report
//	return print(text, r.ExitCode())
package checks
