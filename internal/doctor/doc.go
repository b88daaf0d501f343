// Package doctor knows what a host needs before a lab is built on it, and the command that mends what is missing.
//
//	findings := doctor.Examine(ctx, doctor.Options{Lab: lab, Host: host, VirtualBox: found, …})
//	for _, f := range findings {
//		fmt.Println(f.Status, f.Name, f.Detail, f.Fix)
//	}
//
// Each question is a pure function from what was read to a Finding; Examine reads, through the functions in Host, and
// asks them all. What could not be read is Unknown, which is neither well nor a blocker.
//
// It imports internal/config alone. What only package vbox can tell is passed in.
package doctor
