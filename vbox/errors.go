package vbox

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
)

// The kinds of failure that callers tell apart, with errors.Is.
var (
	// ErrNotFound: no machine, snapshot, medium, NAT rule or adapter of that name.
	ErrNotFound = errors.New("not found")
	// ErrAlreadyExists: the name or file is taken.
	ErrAlreadyExists = errors.New("already exists")
	// ErrInvalidState: not possible in the state it is in; mostly the machine is locked because it runs.
	ErrInvalidState = errors.New("invalid state")
	// ErrInUse: a machine or a linked disk still needs it.
	ErrInUse = errors.New("in use")
	// ErrAccessDenied: for host-only adapters, the address is outside the ranges of networks.conf.
	ErrAccessDenied = errors.New("access denied")
	// ErrInaccessible: the machine is registered, but its settings file is gone or cannot be read.
	ErrInaccessible = errors.New("settings file cannot be read")
	// ErrBadMedium: the file is no disk image that VirtualBox can read.
	ErrBadMedium = errors.New("not a readable disk image")
	// ErrForeign: a machine of that name exists and carries no mark, or another one's mark.
	ErrForeign = errors.New("belongs to somebody else")
)

var (
	// errNotInstalled: there is no VBoxManage.
	errNotInstalled = errors.New("VirtualBox is not installed: VBoxManage was not found")
	// errTransient: a lock is just being taken or given back, or VirtualBox is just starting; the same call may work soon.
	errTransient = errors.New("transient")
)

// Error is a call of VBoxManage that failed.
type Error struct {
	Command []string // the program and all its arguments
	Exit    int      // its exit status; may be 0
	Message string   // the first line that says what is wrong
	Code    string   // VirtualBox's name for it, for example VBOX_E_OBJECT_NOT_FOUND; may be empty
	Context string   // the function of VirtualBox that failed; may be empty
	Stdout  string
	Stderr  string
	Log     string // the end of the machine's VBox.log, where one that could not be started wrote one

	call  string // the sub-command
	kinds []error
}

// Error gives the sub-command, the exit status and the first line, and what is known from the machine's log.
func (e *Error) Error() string {
	s := fmt.Sprintf("VBoxManage %s: exit status %d: %s", e.call, e.Exit, e.Message)
	if e.Log != "" {
		s += "\n" + e.Log
	}
	return s
}

// Is tells the kind of failure.
func (e *Error) Is(target error) bool {
	for _, k := range e.kinds {
		if k == target {
			return true
		}
	}
	return false
}

var (
	// Details: code VBOX_E_FILE_ERROR (0x80bb0004), … and: Code NS_ERROR_INVALID_ARG (0x80070057) - …
	codePattern = regexp.MustCompile(`(?i)\bcode ([A-Z_]+) \(0x[0-9a-f]+\)`)
	errorPrefix = regexp.MustCompile(`(?i)^VBoxManage(?:\.exe)?: error: `)
)

// errorLine returns what follows the prefix of an error's line.
func errorLine(line string) (string, bool) {
	prefix := errorPrefix.FindString(line)
	return strings.TrimSpace(line[len(prefix):]), prefix != ""
}

func newError(command []string, a args, out output) *Error {
	e := &Error{Command: command, Exit: out.exit, Stdout: out.stdout, Stderr: out.stderr, call: filepath.Base(a[0])}
	for line := range strings.Lines(out.stderr) {
		text, ok := errorLine(line)
		switch {
		case !ok:
		case strings.HasPrefix(text, "Context: "):
			e.Context = strings.TrimPrefix(text, "Context: ")
		case strings.HasPrefix(text, "Details: code "):
		case e.Message == "" || vague(e.Message):
			e.Message = text
		}
	}
	if m := codePattern.FindStringSubmatch(out.stderr); m != nil {
		e.Code = m[1]
	}
	for _, text := range []string{out.stderr, out.stdout} {
		if e.Message == "" {
			e.Message, _, _ = strings.Cut(strings.TrimSpace(text), "\n")
		}
	}
	if e.Message == "" {
		e.Message = "it printed nothing"
	}
	e.kinds = kinds(e)
	return e
}

// vague says whether a line only announces that the next one names the cause.
func vague(message string) bool {
	return strings.HasPrefix(message, "Failed to ") || strings.HasPrefix(message, "Could not open the medium '")
}

// kinds classifies an error, by its code where that is specific and by its text where it is not.
func kinds(e *Error) []error {
	has := func(texts ...string) bool {
		for _, t := range texts {
			if strings.Contains(e.Stderr, t) {
				return true
			}
		}
		return false
	}
	var k []error
	locked := has("is already locked", "while it is locked", "is locked for reading by another task", "is locked for writing by another task")
	notReady := has("The object is not ready", "already has a lock request pending", "was unlocked unexpectedly", "The session is not locked")
	// The server process is just starting, or dropped an answer: seen with calls of several programs at once.
	dropped := has("CO_E_SERVER_EXEC_FAILURE", "Failed to create the VirtualBox object") ||
		e.Code == "NS_ERROR_FAILURE" && has("Operation failed (extended info not available)")
	if locked || notReady || dropped {
		k = append(k, errTransient)
	}
	switch {
	case has("The object functionality is limited"):
		k = append(k, ErrInaccessible)
	case has("already exists", "VERR_ALREADY_EXISTS"):
		k = append(k, ErrAlreadyExists)
	case e.Code == "VBOX_E_OBJECT_NOT_FOUND",
		has("VERR_FILE_NOT_FOUND", "VERR_PATH_NOT_FOUND", "could not be found", "Could not find a snapshot"),
		strings.Contains(e.Context, "RemoveRedirect("):
		k = append(k, ErrNotFound)
	case has("Could not get the storage format", "be used as the requested device type", "does not match the value", "VERR_VD_"):
		k = append(k, ErrBadMedium)
	case locked, e.Code == "VBOX_E_INVALID_OBJECT_STATE", e.Code == "VBOX_E_INVALID_VM_STATE", has("is not currently running"):
		k = append(k, ErrInvalidState)
	case e.Code == "VBOX_E_OBJECT_IN_USE":
		k = append(k, ErrInUse)
	case e.Code == "E_ACCESSDENIED" && !notReady:
		k = append(k, ErrAccessDenied)
	}
	return k
}
