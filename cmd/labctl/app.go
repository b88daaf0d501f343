package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/labctl/labctl/internal/sim"
	"github.com/labctl/labctl/internal/ssh"
	"github.com/labctl/labctl/internal/ui"
	"github.com/labctl/labctl/vbox"
)

// app is one run of labctl: its streams, its environment and the global flags.
type app struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	env            func(string) string
	now            func() time.Time
	choose         func(n int) int     // one of n, at random
	simulation     sim.Options         // of --simulate
	called         func(args []string) // told of each call of the simulated VBoxManage; may be nil
	ui             *ui.Printer
	uiLock         sync.Mutex    // a signal may come while the flags are read
	callLimit      time.Duration // of a call of VBoxManage; 0 is package vbox's own

	labFile    string // --lab
	simulate   bool   // --simulate
	output     string // -o
	color      string // --color
	vboxmanage string // --vboxmanage
	verbose    bool   // -v

	subcommands []string // their names

	over  <-chan struct{} // closed when the run is interrupted
	begun bool            // the command line was in order
	safe  string          // what it is safe to do after an interruption
}

func newApp(stdin io.Reader, stdout, stderr io.Writer, env func(string) string) *app {
	a := &app{stdin: stdin, stdout: stdout, stderr: stderr, env: env, now: time.Now, choose: rand.IntN}
	a.ui = a.printer("auto")
	return a
}

func (a *app) printer(color string) *ui.Printer {
	return ui.New(ui.Options{
		Stdin: a.stdin, Stdout: a.stdout, Stderr: a.stderr, Color: color, Env: a.env, Now: a.now,
	})
}

// run parses the arguments, runs the command and returns the exit status.
func (a *app) run(ctx context.Context, args []string) int {
	a.over = ctx.Done()
	root := a.newRootCmd()
	for _, c := range root.Commands() {
		a.subcommands = append(a.subcommands, c.Name())
	}
	root.SetArgs(args)
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	root.InitDefaultCompletionCmd()
	strictHelp(root)
	refuseUnknown(root)
	cmd, err := root.ExecuteContextC(ctx)
	if cerr := a.ui.Close(); err == nil {
		err = cerr
	}
	if err != nil && !a.begun { // cobra refused the command line
		err = hinted(exitUsage, err, fmt.Sprintf("%s --help; its usage is: %s", cmd.CommandPath(), cmd.UseLine()))
	}
	status := statusOf(ctx, err)
	var e *exitError
	if err == nil || errors.As(err, &e) && e.quiet {
		return status
	}
	if status == exitInterrupted {
		a.ui.Error(fmt.Errorf("interrupted: %w", err))
		a.ui.Hint(a.typed(cmp.Or(a.safe, "run the same command again")))
		return status
	}
	a.ui.Error(err)
	var call *vbox.Error
	if a.verbose && errors.As(err, &call) {
		a.ui.Info("to see all that VirtualBox says of it: " + ssh.Quote(call.Command...))
	}
	if hint := hintFor(err); hint != "" && a.begun {
		a.ui.Hint(a.typed(hint))
	} else if hint != "" { // cobra's, of the command line as it should be
		a.ui.Hint(hint)
	}
	return status
}

// interrupted tells that the first Ctrl-C was heard.
func (a *app) interrupted() {
	a.uiLock.Lock()
	defer a.uiLock.Unlock()
	a.ui.Info("stopping after the step under way; press Ctrl-C again to quit at once")
}

func (a *app) newRootCmd() *cobra.Command {
	root := &cobra.Command{
		Use:   "labctl",
		Short: "builds a Kubernetes lab on VirtualBox and proves what is true of its network",
		Long: `labctl builds a three-node k3s lab on VirtualBox (cp1, w1 and w2, each with a NAT and a host-only
network card) and proves what is true of its network.

  labctl up                build the lab
  labctl verify            prove what is true of it
  labctl --simulate up     the same without VirtualBox`,
		SilenceUsage:  true,
		SilenceErrors: true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			if err := noEmptyFlag(cmd); err != nil {
				return err
			}
			switch a.color {
			case "auto", "always", "never":
			default:
				return fmt.Errorf("--color %q: use auto, always or never", a.color)
			}
			a.begun = true
			a.uiLock.Lock()
			defer a.uiLock.Unlock()
			a.ui = a.printer(a.color)
			return nil
		},
	}
	f := root.PersistentFlags()
	f.StringVar(&a.labFile, "lab", "", "labctl.yaml of the lab (default: ./labctl.yaml, else the built-in lab)")
	f.BoolVar(&a.simulate, "simulate", false, "work on a simulated VirtualBox and simulated machines")
	f.StringVarP(&a.output, "output", "o", "text", "text or json (verify: also junit, tap)")
	f.StringVar(&a.color, "color", "auto", "auto, always or never")
	f.StringVar(&a.vboxmanage, "vboxmanage", "", "path of VBoxManage (default: $LABCTL_VBOXMANAGE, PATH, the usual folders)")
	f.BoolVarP(&a.verbose, "verbose", "v", false, "tell more: every step, not only what changes, and the call of VBoxManage that failed")
	root.AddCommand(
		a.newUpCmd(), a.newVerifyCmd(), a.newCollectCmd(), a.newPlanCmd(), a.newStatusCmd(), a.newDownCmd(), a.newStartCmd(), a.newDestroyCmd(), a.newSnapshotCmd(),
		a.newSSHCmd(), a.newKubeconfigCmd(), a.newLogsCmd(), a.newLabsCmd(), a.newBreakCmd(), a.newFixCmd(), a.newCacheCmd(), a.newDoctorCmd(), a.newInitCmd(), a.newVersionCmd(),
		&cobra.Command{Use: "exit-codes", Short: "what labctl's exit status says", Long: exitCodesHelp},
	)
	return root
}

// wantOutput refuses a format that the command doesn't have.
func (a *app) wantOutput(formats ...string) error {
	if slices.Contains(formats, a.output) {
		return nil
	}
	return usage(fmt.Errorf("-o %q: use %s", a.output, strings.Join(formats, ", ")))
}
