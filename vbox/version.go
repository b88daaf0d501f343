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
	Major int
	Text  string // what VBoxManage said, for example 7.2.22_Debianr175245
}

// Version asks for the release.
func (c *Client) Version(ctx context.Context) (Version, error) {
	out, err := c.run(ctx, versionArgs())
	if err != nil {
		return Version{}, err
	}
	return parseVersion(out)
}

// The forms seen: 7.2.22r175245, 7.2.22_Debianr175245, 7.1.12_Ubuntur169389, 4.1.8r1234_OSE.
var versionPattern = regexp.MustCompile(`(?m)^(\d+)\.\d+\.\d+\S*$`)

func parseVersion(s string) (Version, error) {
	m := versionPattern.FindStringSubmatch(s)
	if m == nil {
		return Version{}, fmt.Errorf("VBoxManage --version: no version in %q", strings.TrimSpace(s))
	}
	major, err := strconv.Atoi(m[1])
	if err != nil {
		return Version{}, fmt.Errorf("VBoxManage --version: %q: %w", m[0], err)
	}
	return Version{Major: major, Text: m[0]}, nil
}

// Supported returns nil for VirtualBox 7.0 and newer, and otherwise the reason.
func (v Version) Supported() error {
	if v.Major < 7 {
		return fmt.Errorf("VirtualBox %s is too old: 7.0 or newer is needed, whose option names and host-only networks this program uses", v.Text)
	}
	return nil
}
