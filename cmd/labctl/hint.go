package main

import (
	"errors"
	"net"

	"github.com/labctl/labctl/internal/fault"
	"github.com/labctl/labctl/internal/fetch"
	"github.com/labctl/labctl/internal/labdir"
	"github.com/labctl/labctl/internal/ssh"
	"github.com/labctl/labctl/k3s"
	"github.com/labctl/labctl/provision/engine"
	"github.com/labctl/labctl/vbox"
)

// hintFor returns the command to run after an error, empty where nothing better than the error is known.
func hintFor(err error) string {
	var e *exitError
	var name *net.DNSError
	switch {
	case errors.As(err, &e) && e.hint != "":
		return e.hint
	case errors.Is(err, ssh.ErrHostKey):
		return "the machine was replaced behind labctl's back, or another one answers on its address: see labctl status"
	case errors.Is(err, labdir.ErrDamaged), errors.Is(err, ssh.ErrConfig):
		return "put the file back, or remove what is left of the lab: labctl destroy"
	case errors.Is(err, fault.ErrJournal):
		return "remove that file, then: labctl up, which mends most of what faults change; labctl destroy and labctl up mend the rest"
	case errors.Is(err, k3s.ErrImagePull):
		return "if the nodes can't reach the registry, give them a mirror or a proxy (registries, proxy), or the images themselves " +
			"(k3s.airgap, k3s.images) in labctl.yaml, then: labctl up"
	case errors.Is(err, fetch.ErrChecksum):
		return "what came is not what was to come, and was not kept: compare the checksum with its publisher's, or try another source"
	case errors.As(err, &name):
		return "is there no internet? labctl doctor says what up lacks without it; where there is some: labctl cache fetch"
	case errors.Is(err, labdir.ErrCopied):
		return "remove the copy, which has no machines: labctl destroy with this lab's labctl.yaml; labctl up then makes a lab of its own"
	case errors.Is(err, engine.ErrState):
		return "put the file back, or remove the lab, whose machines are found by their marks: labctl destroy"
	case errors.Is(err, vbox.ErrForeignMedium):
		return "to keep what is on it: VBoxManage clonemedium disk FILE COPY; then take it out of its machine, remove it (VBoxManage closemedium disk FILE --delete, " +
			"or closemedium dvd FILE), and run the same command again"
	case errors.Is(err, vbox.ErrAccessDenied):
		return "labctl doctor"
	}
	return ""
}
