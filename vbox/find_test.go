package vbox

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFind(t *testing.T) {
	notFound := errors.New("not on PATH")
	for name, test := range map[string]struct {
		goos, override, path string
		env                  map[string]string
		files                []string
		want                 string
	}{
		"PATH":                {goos: "linux", path: "/usr/bin/VBoxManage", files: []string{"/opt/VirtualBox/VBoxManage"}, want: "/usr/bin/VBoxManage"},
		"Linux folder":        {goos: "linux", files: []string{"/opt/VirtualBox/VBoxManage"}, want: "/opt/VirtualBox/VBoxManage"},
		"Linux, nothing":      {goos: "linux"},
		"macOS folder":        {goos: "darwin", files: []string{"/Applications/VirtualBox.app/Contents/MacOS/VBoxManage"}, want: "/Applications/VirtualBox.app/Contents/MacOS/VBoxManage"},
		"override":            {goos: "linux", override: "/x/VBoxManage", path: "/usr/bin/VBoxManage", files: []string{"/x/VBoxManage"}, want: "/x/VBoxManage"},
		"override is missing": {goos: "linux", override: "/x/VBoxManage", files: []string{"/usr/bin/VBoxManage"}},
		"Windows variable": {goos: "windows", env: map[string]string{"VBOX_MSI_INSTALL_PATH": `D:\gone;E:\VBox\`},
			files: []string{`E:\VBox\VBoxManage.exe`}, want: `E:\VBox\VBoxManage.exe`},
		"Windows, first variable wins": {goos: "windows", env: map[string]string{"VBOX_INSTALL_PATH": `A:\`, "VBOX_MSI_INSTALL_PATH": `B:\`},
			files: []string{`A:\VBoxManage.exe`, `B:\VBoxManage.exe`}, want: `A:\VBoxManage.exe`},
		"Windows folder": {goos: "windows", env: map[string]string{"ProgramFiles": `C:\Programme`},
			files: []string{`C:\Programme\Oracle\VirtualBox\VBoxManage.exe`}, want: `C:\Programme\Oracle\VirtualBox\VBoxManage.exe`},
		"Windows without variables": {goos: "windows", files: []string{`C:\Program Files\Oracle\VirtualBox\VBoxManage.exe`},
			want: `C:\Program Files\Oracle\VirtualBox\VBoxManage.exe`},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Find(test.override,
				func(name string) string { return test.env[name] },
				func(name string) (string, error) {
					if test.path == "" || name == test.override {
						return "", notFound
					}
					return test.path, nil
				},
				func(path string) bool {
					for _, f := range test.files {
						if f == path {
							return true
						}
					}
					return false
				}, test.goos)
			if diff := cmp.Diff(test.want, got); diff != "" || (err == nil) != (test.want != "") {
				t.Errorf("error %v, (-want +got):\n%s", err, diff)
			}
			if err != nil && !errors.Is(err, errNotInstalled) {
				t.Errorf("%v is not errNotInstalled", err)
			}
		})
	}
}
