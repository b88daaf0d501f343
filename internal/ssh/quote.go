package ssh

import (
	"slices"
	"strings"
)

// Quote joins args to a line that a POSIX shell splits into the same args and takes for one simple command, the first being its name.
// No shell can be told of a NUL byte, which is left out.
func Quote(args ...string) string {
	quoted := make([]string, len(args))
	for i, arg := range args {
		quoted[i] = quote(arg)
		if i == 0 && quoted[i] == arg && (strings.Contains(arg, "=") || slices.Contains(reserved(), arg)) {
			quoted[i] = "'" + arg + "'" // else a=b would set a variable, and if begin a condition
		}
	}
	return strings.Join(quoted, " ")
}

// reserved are the words that are no command's name where a command may begin.
func reserved() []string {
	return strings.Fields("case do done elif else esac fi for function if in select then time until while coproc namespace")
}

func quote(arg string) string {
	const plain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789@%+=:,./_-"
	if arg != "" && strings.Trim(arg, plain) == "" {
		return arg
	}
	arg = strings.ReplaceAll(arg, "\x00", "")
	return "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
}
