package sim

import (
	"fmt"
	"slices"
	"strings"
)

// options splits a command line by a specification: names of one letter or more, with "=" if a value follows. An option
// that is not in it is an error. Options may stand after operands, as GNU's programs allow.
func options(args []string, spec string) (given map[string]string, rest []string, err error) {
	given = map[string]string{}
	takes := map[string]bool{}
	for _, s := range strings.Fields(spec) {
		name, value := strings.CutSuffix(s, "=")
		takes[name] = value
	}
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		switch {
		case arg == "--":
			return given, append(rest, args...), nil
		case strings.HasPrefix(arg, "--"):
			name, value, has := strings.Cut(arg[2:], "=")
			needs, known := takes[name]
			if !known || has && !needs {
				return nil, nil, fmt.Errorf("unrecognized option '%s'", arg)
			}
			if needs && !has {
				if len(args) == 0 {
					return nil, nil, fmt.Errorf("option '%s' requires an argument", arg)
				}
				value, args = args[0], args[1:]
			}
			given[name] = value
		case len(arg) > 1 && arg[0] == '-':
			for letters := arg[1:]; letters != ""; {
				name := letters[:1]
				letters = letters[1:]
				needs, known := takes[name]
				if !known {
					return nil, nil, fmt.Errorf("invalid option -- '%s'", name)
				}
				if !needs {
					given[name] = ""
					continue
				}
				if letters == "" {
					if len(args) == 0 {
						return nil, nil, fmt.Errorf("option requires an argument -- '%s'", name)
					}
					letters, args = args[0], args[1:]
				}
				if _, twice := given[name]; twice {
					return nil, nil, fmt.Errorf("the SIMULATED one takes option -%s once", name)
				}
				given[name], letters = letters, ""
			}
		default:
			rest = append(rest, arg)
		}
	}
	return given, rest, nil
}

func is(given map[string]string, names ...string) bool {
	return slices.ContainsFunc(names, func(n string) bool { _, ok := given[n]; return ok })
}

// usage reports wrong arguments.
func (p *process) usage(err error) int {
	fmt.Fprintf(p.stderr, "%s: %v\n", p.name, err)
	return 2
}

// filled puts values in place of %LETTER; not ok if there is a letter without a value.
func filled(format string, values map[byte]string) (text string, ok bool) {
	var b strings.Builder
	for i := 0; i < len(format); i++ {
		if format[i] != '%' {
			b.WriteByte(format[i])
			continue
		}
		if i++; i == len(format) {
			return "", false
		}
		value, known := values[format[i]]
		if !known && format[i] != '%' {
			return "", false
		}
		b.WriteString(cmpString(value, map[bool]string{true: "", false: "%"}[known]))
	}
	return b.String(), true
}

// complain reports a failed operation on a file, as GNU's programs do.
func (p *process) complain(what, name string, err error) int {
	fmt.Fprintf(p.stderr, "%s: %s'%s': %s\n", p.name, what, name, reason(err))
	return 1
}

// orStandardInput is what a program reads whose command names no file.
func orStandardInput(names []string) []string {
	if len(names) == 0 {
		return []string{"-"}
	}
	return names
}
