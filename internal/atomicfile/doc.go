// Package atomicfile writes files that people rely on: whoever reads one, also after a kill, a full disk or a power cut, finds the old
// content or the new one, whole.
//
//	err := atomicfile.Write(path, content, 0o600)
//
// The content goes to a new name in the same folder, to the disk, and then by a rename to its own name (on Windows as whole as
// MoveFileEx has it). What can't be written leaves nothing behind; a process that is killed meanwhile leaves .NAME.DIGITS, which nobody
// reads. Notes that are written under a lock, often, and of what can be had again have simpler writers where they are made: internal/fetch
// and provision/engine.
//
// No library does this: github.com/natefinch/atomic (v1.0.1) leaves a file the mode that it had, which for a secret may be too much, and
// does nothing for the name; github.com/google/renameio/v2 (v2.0.2) exports nothing on Windows.
//
// It imports nothing of labctl.
package atomicfile
