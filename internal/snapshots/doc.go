// Package snapshots keeps the snapshots of a whole lab: one of each of its machines, all taken in one save while the machines
// were off. VirtualBox knows only snapshots of one machine. What belongs together stands in each one's description: the lab's id,
// the save that it comes from and the machines that the save was to take.
//
// That makes every operation one that can be killed at any point and simply be run again. A save whose parts are not all
// there, because it was killed or because a part was deleted, is listed as incomplete and not restored. Saving under its name again
// replaces it.
//
// Snapshots without this lab's id in their description are somebody else's. They are neither counted nor touched, whatever their names.
//
// It decides nothing about machines that run: its caller stops them first.
//
//	set := &snapshots.Set{Hypervisor: client, LabID: id, Machines: machines}
//	all, err := set.List(ctx)
package snapshots
