package vbox

import (
	"os"
	"os/exec"
	"syscall"
)

func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP}
}

// interrupt sends CTRL_BREAK, the one console event that reaches a process group of its own (CTRL_C is off there).
// Without a console that fails, and the process is killed instead.
func interrupt(p *os.Process) error {
	const ctrlBreakEvent = 1
	event := syscall.NewLazyDLL("kernel32.dll").NewProc("GenerateConsoleCtrlEvent")
	if ok, _, _ := event.Call(ctrlBreakEvent, uintptr(p.Pid)); ok != 0 {
		return nil
	}
	return p.Kill()
}

// killGroup kills the process; on Windows VBoxManage is the program itself and has no children.
func killGroup(p *os.Process) { _ = p.Kill() }
