// Package noquery keeps a library from questioning the terminal before main runs.
//
// Pulumi's command-line helpers import github.com/charmbracelet/bubbletea, whose init asks the terminal for its background colour and
// waits five seconds for an answer. Many terminals give none, and labctl has no use for one: every command, even labctl version,
// would begin with a silence. The library asks nothing where the variable CI is set, which says that nobody sits there
// (github.com/muesli/termenv, isTTY). So CI is set while packages are initialised, and main takes it back with [Done] before it does
// anything else: neither labctl nor a program that it starts ever sees it.
//
// That works because Go initialises packages by their import paths, each as soon as what it imports is initialised
// (https://go.dev/ref/spec#Program_initialization). This package imports os alone, and its path sorts before that of every package
// between os and the one that asks. It must therefore import nothing else, and cannot do without an init function.
package noquery
