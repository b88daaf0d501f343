// Package provision says what a lab consists of: a Pulumi program that names the resources and their order. Read
// program.go: it is the whole lab on one page.
//
// It must not import vbox or k3s: it names resources, package provision/provider makes them, and package
// provision/engine decides which have to be made, changed or deleted.
//
//	stack.Up(ctx, provision.Program(lab, parts), provision.Upto(lab, provision.StageMachines))
package provision
