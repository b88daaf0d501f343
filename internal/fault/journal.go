package fault

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/labctl/labctl/internal/atomicfile"
)

// Journal is the file that says which faults are in a lab.
type Journal struct{ Path string }

// Entry is a fault that is, or is about to be, in the lab, with all that it takes to undo it.
type Entry struct {
	ID      string            `json:"id"`
	At      time.Time         `json:"at"`
	Answers map[string]string `json:"answers,omitempty"` // by the name of the question
	Undo    []Action          `json:"undo"`
	Undone  bool              `json:"undone,omitempty"` // all of Undo was done; the lab has not been seen to be well again since
}

type journalFile struct {
	Schema string  `json:"schema"`
	Faults []Entry `json:"faults"`
}

const schema = "labctl/v1"

// ErrJournal says that the journal is there and can't be understood: what its faults have changed is not known.
var ErrJournal = errors.New("it is damaged, or of another version")

// Entries returns the faults in the lab, in the order in which they were injected.
func (j Journal) Entries() ([]Entry, error) {
	data, err := os.ReadFile(j.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading which faults are in the lab: %w", err)
	}
	var f journalFile
	if err := json.Unmarshal(data, &f); err != nil {
		return nil, fmt.Errorf("reading which faults are in the lab: %q: %w: %w", j.Path, ErrJournal, err)
	}
	if f.Schema != schema {
		return nil, fmt.Errorf("reading which faults are in the lab: %q: %w: its schema is %q, and this labctl knows %q", j.Path, ErrJournal, f.Schema, schema)
	}
	return f.Faults, nil
}

// Clear notes that no fault is in the lab any more: its machines are those of a time when there was none.
func (j Journal) Clear() error { return j.store(nil) }

func (j Journal) store(entries []Entry) error {
	if len(entries) == 0 {
		err := os.Remove(j.Path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("noting that no fault is in the lab: %w", err)
		}
		return nil
	}
	data, err := json.MarshalIndent(journalFile{schema, entries}, "", "  ")
	if err == nil {
		err = atomicfile.Write(j.Path, append(data, '\n'), 0o600)
	}
	if err != nil {
		return fmt.Errorf("noting which faults are in the lab: %w", err)
	}
	return nil
}
