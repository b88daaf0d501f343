package k3s

import (
	"cmp"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/semver"
)

// Artifacts are the files of a release, on this machine.
type Artifacts struct {
	Binary string // path of the k3s binary
	SHA256 string // its checksum, 64 hexadecimal digits
}

// Archive is a file with container images, on this machine.
type Archive struct {
	Name   string // the file's, on a node: k3s tells by it how the archive is packed
	Path   string
	SHA256 string
}

// fileNames returns the names that a release gives to the binary and to the list of checksums for arch (a GOARCH:
// amd64, arm64 or arm). They are the same in every version so far.
// Source: https://github.com/k3s-io/k3s/blob/master/install.sh (setup_verify_arch).
func fileNames(version, arch string) (binary, sums string) {
	switch arch {
	case "amd64":
		return "k3s", "sha256sum-amd64.txt"
	case "arm":
		return "k3s-armhf", "sha256sum-arm.txt"
	default:
		return "k3s-" + arch, "sha256sum-" + arch + ".txt"
	}
}

// imagesFileName returns the name of the archive of all images that k3s itself needs, of those in the release's list of
// checksums the smallest; not ok if the list has none. Releases before v1.24 have no .tar.zst, mirrors may have one kind alone.
func imagesFileName(sums map[string]string, arch string) (name string, ok bool) {
	for _, packed := range []string{".tar.zst", ".tar.gz", ".tar"} {
		name = "k3s-airgap-images-" + arch + packed
		if _, ok := sums[name]; ok {
			return name, true
		}
	}
	return "", false
}

// releaseURL returns where source keeps a file of a version: source is a URL below which VERSION/FILE is found, or a
// folder that holds VERSION/FILE. In a URL the version's "+" is written %2B, as GitHub wants it.
func releaseURL(source, version, file string) string {
	if !isURL(source) {
		return filepath.Join(source, version, file)
	}
	escape := func(s string) string { return strings.ReplaceAll(url.PathEscape(s), "+", "%2B") }
	return strings.TrimRight(source, "/") + "/" + escape(version) + "/" + escape(file)
}

func isURL(source string) bool { return strings.Contains(source, "://") }

// CompareVersions returns -1, 0 or 1 as release a is older than b, the same, or newer. k3s's own number counts last: v1.34.3+k3s2
// is newer than v1.34.3+k3s1, which semantic versions don't tell apart.
func CompareVersions(a, b string) int {
	if c := semver.Compare(a, b); c != 0 {
		return c
	}
	build := func(v string) int {
		n, _ := strconv.Atoi(strings.TrimPrefix(semver.Build(v), "+k3s"))
		return n
	}
	return cmp.Compare(build(a), build(b))
}

// NextMinor returns the minor version after a release's: v1.35 after v1.34.3+k3s1. Of what is no version it is empty.
func NextMinor(version string) string {
	major, minor, ok := strings.Cut(semver.MajorMinor(version), ".")
	n, err := strconv.Atoi(minor)
	if !ok || err != nil {
		return ""
	}
	return major + "." + strconv.Itoa(n+1)
}
