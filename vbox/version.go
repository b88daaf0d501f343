package vbox

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Version is a release of VirtualBox.
type Version struct {
	Major, Minor, Patch int
	// Text is what VBoxManage said, for example 7.2.22_Debianr175245.
	Text string
	// Warning is what the wrapper script of Linux packages has to say, mostly that the kernel module is missing and
	// that no machine can be started. Usually empty.
	Warning string
}

// Version asks for the release. ErrNotInstalled if there is no VBoxManage.
func (c *Client) Version(ctx context.Context) (Version, error) {
	// The warnings are wanted here, so the output must come from the seam as it is.
	var raw string
	d := *c
	d.exec = func(ctx context.Context, command, env []string) (output, error) {
		out, err := c.exec(ctx, command, env)
		raw = out.stdout
		return out, err
	}
	if _, err := d.run(ctx, versionArgs()); err != nil {
		return Version{}, err
	}
	return parseVersion(plainLines(raw))
}

// The forms seen: 7.2.22r175245, 7.2.22_Debianr175245, 7.1.12_Ubuntur169389, 4.1.8r1234_OSE.
var versionPattern = regexp.MustCompile(`(?m)^(\d+)\.(\d+)\.(\d+)\S*$`)

func parseVersion(s string) (Version, error) {
	text, warning := cutWarnings(s)
	m := versionPattern.FindStringSubmatch(text)
	if m == nil {
		return Version{}, fmt.Errorf("VBoxManage --version: no version in %q", strings.TrimSpace(s))
	}
	v := Version{Text: m[0], Warning: warning}
	for i, n := range []*int{&v.Major, &v.Minor, &v.Patch} {
		var err error
		if *n, err = strconv.Atoi(m[i+1]); err != nil {
			return Version{}, fmt.Errorf("VBoxManage --version: %q: %w", m[0], err)
		}
	}
	return v, nil
}

// Supported returns nil for VirtualBox 7.0 and newer, and otherwise the reason.
func (v Version) Supported() error {
	if v.Major < 7 {
		return fmt.Errorf("VirtualBox %s is too old: 7.0 or newer is needed, whose option names and host-only networks this program uses", v.Text)
	}
	return nil
}
