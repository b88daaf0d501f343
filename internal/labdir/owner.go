package labdir

import (
	"context"
	"strings"
)

// OwnerKey is the key under which VirtualBox keeps a machine's owner mark.
const OwnerKey = "labctl/lab"

// VMName is what VirtualBox calls the machine of a node.
func (f *Folder) VMName(node string) string { return f.Name + "-" + node }

// Owner is the mark of the lab's machines: its name and its id.
func (f *Folder) Owner() (string, error) {
	id, err := f.ID()
	if err != nil {
		return "", err
	}
	return f.Name + " " + id, nil
}

// OfLab says whether a mark is that of a lab of this name, whichever its id: the lab's folder may be gone.
func OfLab(mark, name string) bool { return strings.HasPrefix(mark, name+" ") }

// Marks are where VirtualBox keeps the marks of machines.
type Marks interface {
	ExtraData(ctx context.Context, machine, key string) (value string, ok bool, err error)
}

// Owns says whether a machine bears the lab's mark.
func (f *Folder) Owns(ctx context.Context, marks Marks, machine string) (bool, error) {
	owner, err := f.Owner()
	if err != nil {
		return false, err
	}
	mark, _, err := marks.ExtraData(ctx, machine, OwnerKey)
	return err == nil && mark == owner, err
}
