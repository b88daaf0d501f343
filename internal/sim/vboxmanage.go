package sim

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// version is what the recordings were made with.
const version = "7.2.22_Debianr175245"

// VBoxManage behaves like Oracle's VBoxManage 7.2 on a Linux host with its kernel modules loaded: args are the command
// line without the program's name, the result is the exit status. What it knows of machines, media and host-only adapters
// is in dir, which any number of processes may share. It refuses every command and option that it does not know.
func VBoxManage(dir string, args []string, stdout, stderr io.Writer) (exit int) {
	c := &call{dir: dir, now: time.Now().UTC()}
	return c.change(args, stdout, stderr)
}

// vboxManage is the program VBoxManage of this world. A call that only reads is answered from the state as it was parsed last, if nobody
// has changed it since.
func (w *World) vboxManage(args []string, stdout, stderr io.Writer) (exit int) {
	c := &call{dir: w.dir, now: time.Now().UTC()}
	if len(args) > 0 && readsOnly(args[0]) {
		if s, err := w.virtualBox(); err == nil && s.settled(c.now) {
			c.state = s
			return c.tell(c.run(args), stdout, stderr)
		}
	}
	return c.change(args, stdout, stderr)
}

// readsOnly tells the commands that change nothing, whatever their arguments. (showmediuminfo is none: it registers what it opens.)
func readsOnly(command string) bool {
	return slices.Contains([]string{"--version", "list", "showvminfo", "getextradata"}, command)
}

// settled reports whether there is nothing to write down or to finish before a call is answered.
func (s *vboxState) settled(now time.Time) bool {
	return len(s.Pending) == 0 && !slices.ContainsFunc(s.Machines, func(m machineState) bool { return m.status(now) != m.State })
}

// change runs a call that may change the state.
func (c *call) change(args []string, stdout, stderr io.Writer) (exit int) {
	// Output waits until the state is written: what was told has happened.
	err := updateState(c.dir, func(s *vboxState) error {
		c.state = s
		s.settle(c.now)
		c.err = c.run(args)
		if c.err != nil && !c.keep {
			return c.err
		}
		return nil
	})
	if c.err != nil {
		err = c.err
	}
	return c.tell(err, stdout, stderr)
}

// tell prints what came of the call.
func (c *call) tell(err error, stdout, stderr io.Writer) (exit int) {
	var f *failure
	switch {
	case err == nil:
	case errors.As(err, &f):
		c.errors.WriteString(f.stderr)
		exit = f.exit
	default:
		c.out.Reset()
		fmt.Fprintf(&c.errors, "VBoxManage: error: SIMULATED VirtualBox: %v\n", err)
		exit = 1
	}
	stdout.Write(c.out.Bytes())
	stderr.Write(c.errors.Bytes())
	return exit
}

// call is one run of VBoxManage.
type call struct {
	dir         string
	now         time.Time
	state       *vboxState
	out, errors bytes.Buffer
	err         error
	keep        bool // what a failing call changed is kept: a medium once opened stays in the registry
}

func (c *call) printf(format string, args ...any) { fmt.Fprintf(&c.out, format, args...) }
func (c *call) warnf(format string, args ...any)  { fmt.Fprintf(&c.errors, format, args...) }

// showProgress prints what the real program prints while something long is under way.
func (c *call) showProgress() {
	c.warnf("0%%...10%%...20%%...30%%...40%%...50%%...60%%...70%%...80%%...90%%...100%%\n")
}

func (c *call) run(args []string) error {
	if len(args) == 0 {
		return usageError(2, "Not enough parameters")
	}
	commands := map[string]func([]string) error{
		"--version":        c.version,
		"list":             c.list,
		"createvm":         c.createVM,
		"modifyvm":         c.modifyVM,
		"showvminfo":       c.showVMInfo,
		"unregistervm":     c.unregisterVM,
		"startvm":          c.startVM,
		"controlvm":        c.controlVM,
		"discardstate":     c.discardState,
		"setextradata":     c.setExtraData,
		"getextradata":     c.getExtraData,
		"storagectl":       c.storageCtl,
		"storageattach":    c.storageAttach,
		"createmedium":     c.createMedium,
		"clonemedium":      c.cloneMedium,
		"convertfromraw":   c.convertFromRaw,
		"modifymedium":     c.modifyMedium,
		"closemedium":      c.closeMedium,
		"showmediuminfo":   c.showMediumInfo,
		"internalcommands": c.internalCommands,
		"snapshot":         c.snapshot,
		"hostonlyif":       c.hostOnlyIf,
		"dhcpserver":       c.dhcpServer,
	}
	run, ok := commands[args[0]]
	if !ok {
		return usageError(2, fmt.Sprintf("Invalid command '%s'", args[0]))
	}
	return run(args[1:])
}

func (c *call) version(args []string) error {
	if len(args) > 0 {
		return usageError(2, fmt.Sprintf("Invalid parameter '%s'", args[0]))
	}
	c.printf("%s\n", version)
	return nil
}

// settle writes down what time alone has changed: a machine whose power button was pressed is off.
func (s *vboxState) settle(now time.Time) {
	for i := range s.Machines {
		if m := &s.Machines[i]; m.status(now) != m.State {
			m.enter("poweroff", m.StopsAt)
		}
	}
}

// enter records a new state.
func (m *machineState) enter(state string, at time.Time) {
	m.State, m.ChangedAt, m.StopsAt = state, at, time.Time{}
}

// The result codes that the recordings and VirtualBox's sources name.
const (
	codeNotFound      = "VBOX_E_OBJECT_NOT_FOUND (0x80bb0001)"
	codeVMState       = "VBOX_E_INVALID_VM_STATE (0x80bb0002)"
	codeFile          = "VBOX_E_FILE_ERROR (0x80bb0004)"
	codeIPRT          = "VBOX_E_IPRT_ERROR (0x80bb0005)"
	codeObjectState   = "VBOX_E_INVALID_OBJECT_STATE (0x80bb0007)"
	codeNotSupported  = "VBOX_E_NOT_SUPPORTED (0x80bb0009)"
	codeInUse         = "VBOX_E_OBJECT_IN_USE (0x80bb000c)"
	codeInvalidArg    = "NS_ERROR_INVALID_ARG (0x80070057)"
	codeFailure       = "NS_ERROR_FAILURE (0x80004005)"
	codeAccessDenied  = "E_ACCESSDENIED (0x80070005)"
	sessionMachine    = "component SessionMachine, interface IMachine"
	machineWrap       = "component MachineWrap, interface IMachine"
	mediumWrap        = "component MediumWrap, interface IMedium"
	virtualBoxWrap    = "component VirtualBoxWrap, interface IVirtualBox"
	hostWrap          = "component HostWrap, interface IHost"
	natEngineWrap     = "component NATEngineWrap, interface INATEngine"
	consoleWrap       = "component ConsoleWrap, interface IConsole"
	calleeOfEveryCall = ", callee nsISupports"
)

// failure is a call that VBoxManage refuses: all it says, and its exit status.
type failure struct {
	stderr string
	exit   int
}

func (f *failure) Error() string { return f.stderr }

// plainError is a message of VBoxManage itself.
func plainError(text string) *failure { return (&failure{exit: 1}).add(text) }

// comError is a call into VirtualBox that failed: its text (a further text line each after a newline), the result code,
// the object that refused, and where VBoxManage made the call.
func comError(code, object, where, text string) *failure {
	f := plainError(text)
	return f.add("Details: code " + code + ", " + object + calleeOfEveryCall).add("Context: " + where)
}

// bareError is a call that failed without a text of VirtualBox's.
func bareError(code, meaning, where string) *failure {
	f := plainError("Code " + code + " - " + meaning + " (extended info not available)")
	return f.add("Context: " + where)
}

// progressError is an operation that failed while its progress was shown; what names the operation, where the handler.
func progressError(code, object, where, what, text string) *failure {
	name, _, _ := strings.Cut(code, " ")
	f := &failure{stderr: "0%..." + name + "\n", exit: 1}
	return f.add(what).add(text).add("Details: code " + code + ", " + object).add("Context: " + where)
}

const banner = "Oracle VirtualBox Command Line Management Interface Version 7.2.22_Debian\n" +
	"Copyright (C) 2005-2026 Oracle and/or its affiliates\n\n"

// usageError is a command line that VBoxManage does not understand. The real one prints the command's usage where this one
// says that it was cut, as the recordings do. Exit status 1 is modifyvm's way, 2 everybody else's.
func usageError(exit int, text string) *failure {
	f := (&failure{exit: exit, stderr: banner}).add(text)
	if exit == 2 {
		f.stderr += "\n"
	}
	f.stderr += "(usage text cut)\n"
	return f.add(text)
}

func unknownSubcommand(name string) *failure {
	f := (&failure{exit: 2, stderr: banner}).add(fmt.Sprintf("Unknown subcommand %q.", name))
	f.stderr += "\n(usage text cut)\n"
	return f
}

// add appends lines with VBoxManage's prefix.
func (f *failure) add(text string) *failure {
	for line := range strings.SplitSeq(text, "\n") {
		f.stderr += "VBoxManage: error: " + line + "\n"
	}
	return f
}

// option is one --name of a command line with its values.
type option struct {
	name   string
	values []string
}

func (o option) value() string { return o.values[0] }

// arity says how many values an option takes, given the words after it.
type arity func(rest []string) int

func takes(n int) arity { return func([]string) int { return n } }

// parseOptions separates the options of a command from the words that are none. Both --name VALUE and --name=VALUE are
// understood; an option that known lacks, or that lacks a value, is refused with the exit status.
func parseOptions(exit int, args []string, known map[string]arity) (words []string, options []option, err error) {
	for i := 0; i < len(args); i++ {
		arg := args[i]
		if len(arg) < 3 || arg[:2] != "--" {
			words = append(words, arg)
			continue
		}
		name, value, assigned := strings.Cut(arg, "=")
		var inline []string
		if assigned {
			inline = []string{value}
		}
		count, ok := known[name]
		if !ok {
			return nil, nil, usageError(exit, "Unknown option: "+name)
		}
		rest := slices.Concat(inline, args[i+1:])
		n := count(rest)
		if n > len(rest) {
			return nil, nil, usageError(exit, name+": RTGetOpt: Command line option needs argument.")
		}
		if n < len(inline) {
			return nil, nil, usageError(exit, "Option takes no value: "+name)
		}
		options = append(options, option{name, rest[:n]})
		i += n - len(inline)
	}
	return words, options, nil
}

// wantWords refuses a command line that has not exactly n words beside its options.
func wantWords(words []string, n int) error {
	switch {
	case len(words) < n:
		return usageError(2, "Not enough parameters")
	case len(words) > n:
		return usageError(2, fmt.Sprintf("Invalid parameter '%s'", words[n]))
	}
	return nil
}
