package main

import "github.com/spf13/cobra"

// completeNodes offers the names of the lab's nodes for the first argument.
func (a *app) completeNodes(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveDefault
	}
	lab, err := a.configured()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var names []string
	for _, n := range lab.Nodes {
		names = append(names, n.Name+"\t"+string(n.Role)+" "+n.Address.String())
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
