package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// refuseUnknown makes a command that only holds others refuse what is none of them: cobra would print its help and succeed, and a script
// would take a mistyped word for done.
func refuseUnknown(cmd *cobra.Command) {
	for _, c := range cmd.Commands() {
		if c.HasSubCommands() && !c.Runnable() {
			c.Args = cobra.NoArgs
			c.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
		}
		refuseUnknown(c)
	}
}

// strictHelp makes `labctl help WORD…` refuse words that are no command: cobra's would say so, and succeed.
func strictHelp(root *cobra.Command) {
	root.InitDefaultHelpCmd()
	for _, help := range root.Commands() {
		if help.Name() != "help" {
			continue
		}
		help.Args = func(_ *cobra.Command, words []string) error {
			cmd, rest, err := root.Find(words)
			if err == nil && len(rest) > 0 {
				err = fmt.Errorf("unknown command %q for %q", rest[0], cmd.CommandPath())
			}
			return err
		}
	}
}

// noEmptyFlag refuses a flag that was given an empty value, as by a variable of a shell that is not set: it would be as if the flag were not
// there, and another lab, or a lab instead of evidence, be judged.
func noEmptyFlag(cmd *cobra.Command) error {
	var problems []error
	cmd.Flags().Visit(func(f *pflag.Flag) {
		empty := f.Value.String() == ""
		if list, ok := f.Value.(pflag.SliceValue); ok {
			empty = len(list.GetSlice()) == 0
		}
		if empty {
			problems = append(problems, fmt.Errorf("--%s: its value is empty", f.Name))
		}
	})
	return errors.Join(problems...)
}
