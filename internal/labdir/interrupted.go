package labdir

import (
	"errors"
	"io/fs"
	"os"
	"strings"

	"github.com/labctl/labctl/internal/atomicfile"
)

// Interrupted returns the command that has stopped the lab's machines to start them again and has not come to that yet: it is at work, or
// was killed. It is empty if there is none.
func (f *Folder) Interrupted() (string, error) {
	b, err := os.ReadFile(f.path("interrupted"))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return strings.TrimSpace(string(b)), err
}

// SetInterrupted notes the command before it stops machines that ran; an empty one removes the note: they run again, or are off because
// somebody wants it.
func (f *Folder) SetInterrupted(command string) error {
	if command != "" {
		return atomicfile.Write(f.path("interrupted"), []byte(command+"\n"), 0o600)
	}
	if err := os.Remove(f.path("interrupted")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
