// Package report renders a checks.Report: as text for people, JSON, JUnit and TAP for machines.
//
// It is pure: it returns bytes and imports nothing of labctl but checks. What nodes answered stands in a report, so every renderer
// escapes what could command a terminal or break the format.
//
//	text, err := report.Text(r, true)  // for people, coloured
package report
