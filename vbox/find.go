package vbox

import (
	"fmt"
	"strings"
)

// Find returns the path of VBoxManage: override if it is given, else the one on PATH, else one in the folders where
// VirtualBox is usually installed. An error says where it looked.
//
// getenv, lookPath and exists are os.Getenv, exec.LookPath and whether a file is there, for the system goos.
func Find(
	override string, getenv func(string) string, lookPath func(string) (string, error), exists func(string) bool, goos string,
) (string, error) {
	if override != "" {
		if path, err := lookPath(override); err == nil {
			return path, nil
		}
		if exists(override) {
			return override, nil
		}
		return "", fmt.Errorf("%w: %q", errNotInstalled, override)
	}
	program := "VBoxManage"
	if goos == "windows" {
		program = "VBoxManage.exe"
	}
	if path, err := lookPath(program); err == nil {
		return path, nil
	}
	folders := usualFolders(getenv, goos)
	for _, folder := range folders {
		path := folder + "/" + program
		if goos == "windows" {
			path = strings.TrimRight(folder, `\/`) + `\` + program
		}
		if exists(path) {
			return path, nil
		}
	}
	return "", fmt.Errorf("%w on PATH or in %s", errNotInstalled, strings.Join(folders, ", "))
}

func usualFolders(getenv func(string) string, goos string) []string {
	switch goos {
	case "windows":
		var folders []string
		// The installer sets one or the other; both are lists at times.
		for _, name := range []string{"VBOX_INSTALL_PATH", "VBOX_MSI_INSTALL_PATH"} {
			for folder := range strings.SplitSeq(getenv(name), ";") {
				if folder != "" {
					folders = append(folders, folder)
				}
			}
		}
		for _, name := range []string{"ProgramFiles", "ProgramW6432"} {
			if folder := getenv(name); folder != "" {
				folders = append(folders, folder+`\Oracle\VirtualBox`)
			}
		}
		return append(folders, `C:\Program Files\Oracle\VirtualBox`)
	case "darwin":
		return []string{"/usr/local/bin", "/Applications/VirtualBox.app/Contents/MacOS"}
	}
	return []string{"/usr/bin", "/usr/local/bin", "/usr/lib/virtualbox", "/opt/VirtualBox"}
}
