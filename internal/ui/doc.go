// Package ui is labctl's only printer: results go to standard output, progress, hints and errors to standard error.
//
//	p := ui.New(ui.Options{Stdout: os.Stdout, Stderr: os.Stderr, Color: "auto", Env: os.Getenv})
//	defer p.Close()
//	p.Start("w1", "machine w1")
//	p.Limit("w1", 5*time.Minute)
//	p.Step("w1", "waiting for sshd: connection refused") // as often as you like
//	p.Done("w1", "192.168.56.11")
//	p.Print("lab is up\n")
//	p.Hint("labctl verify")
//
// On a terminal each thing under way has one live line, with its elapsed time, its limit and its last step:
//
//	machine w1 (41s/5m0s): waiting for sshd: connection refused
//
// Live lines are drawn anew at most ten times a second, are cut to the terminal's width, and give way to everything
// else that is printed. Where standard error is no terminal, or a dumb one, each new step is one line, once:
//
//	start  machine w1
//	       machine w1: waiting for sshd: connection refused
//	done   machine w1 (1m2.3s): 192.168.56.11
//
// A step may have a part that changes all the time, after a tab: "downloading\t12.5 of 600.0 MiB, 2.1 MiB/s, 4m40s left".
//
// Colour is decided for each stream: "always" and "never" are obeyed; "auto" means a terminal that is not dumb, and no
// NO_COLOR. Text often comes from outside, so that control characters are printed as escapes;
// Raw alone prints bytes as they are.
//
// A Printer may be used from several goroutines. It imports nothing of labctl.
package ui
