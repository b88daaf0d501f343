package sim

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"
)

// Where a simulated lab downloads from. The names exist only for World.DialContext.
const (
	imagesHost = "images.simulated"
	k3sHost    = "k3s.simulated"
	imagePath  = "/ubuntu-22.04-server-cloudimg-amd64.img"

	// ImageURL is the disk image of a simulated lab, in the format that clouds publish.
	ImageURL = "http://" + imagesHost + imagePath
	// K3sSource has the releases of k3s: below it is VERSION/FILE for every version of the form vX.Y.Z+k3sN.
	K3sSource = "http://" + k3sHost
)

// ImageSHA256 is the checksum of what ImageURL gives, 64 lower-case hexadecimal digits. It never changes.
func ImageSHA256() string { return checksum(image()) }

func checksum(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// image is an empty disk of 64 MiB as qcow2, version 2: header, reference counts and first-level table, a cluster each.
func image() []byte {
	const (
		clusterBits = 16
		cluster     = 1 << clusterBits
	)
	b := make([]byte, 4*cluster)
	be := binary.BigEndian
	copy(b, "QFI\xfb")
	be.PutUint32(b[4:], 2) // version
	be.PutUint32(b[20:], clusterBits)
	be.PutUint64(b[24:], 64*mib)    // the disk's size
	be.PutUint32(b[36:], 1)         // first-level entries: each stands for 512 MiB
	be.PutUint64(b[40:], 3*cluster) // first-level table: nothing is allocated
	be.PutUint64(b[48:], cluster)   // table of reference count blocks
	be.PutUint32(b[56:], 1)         // its clusters
	be.PutUint64(b[cluster:], 2*cluster)
	for i := range 4 {
		be.PutUint16(b[2*cluster+2*i:], 1) // each cluster of this file is used once
	}
	return b
}

// artifactServer answers for a host name of the simulated internet; nil for a name that does not exist.
func artifactServer(host string) http.Handler {
	var find func(path string) []byte
	switch host {
	case imagesHost:
		find = func(path string) []byte {
			if path == imagePath {
				return image()
			}
			return nil
		}
	case k3sHost:
		find = k3sRelease
	default:
		return nil
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		data := find(r.URL.Path)
		switch {
		case data == nil:
			http.Error(w, "SIMULATED "+host+" has no "+r.URL.Path, http.StatusNotFound)
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			http.Error(w, "SIMULATED "+host+" only gives", http.StatusMethodNotAllowed)
		default:
			w.Header().Set("ETag", `"`+checksum(data)+`"`)
			w.Header().Set("Content-Type", "application/octet-stream")
			// With Range, so that an interrupted download goes on where it ended.
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
		}
	})
}

// k3sRelease is the file /VERSION/NAME of a release; nil if there is none.
func k3sRelease(path string) []byte {
	version, name, ok := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	if !ok || !regexp.MustCompile(`^v\d+\.\d+\.\d+\+k3s\d+$`).MatchString(version) {
		return nil
	}
	for arch, binaryName := range map[string]string{"amd64": "k3s", "arm64": "k3s-arm64"} {
		images := "k3s-airgap-images-" + arch + ".tar.zst"
		switch name {
		case binaryName:
			return k3sBinary(version, arch)
		case images:
			return k3sImages(version, arch)
		case "sha256sum-" + arch + ".txt":
			return fmt.Appendf(nil, "%s  %s\n%s  %s\n", checksum(k3sImages(version, arch)), images, checksum(k3sBinary(version, arch)), binaryName)
		}
	}
	return nil
}

const k3sBanner = "#!/bin/sh\n# SIMULATED k3s "

// k3sBinary stands in for the program: some KiB that name their version. Outside the simulation it runs, and says what it is.
func k3sBinary(version, arch string) []byte {
	b := fmt.Appendf(nil, "%s%s linux/%s\necho 'this k3s is SIMULATED and runs on simulated nodes only' >&2\nexit 126\n", k3sBanner, version, arch)
	return padded(b)
}

func k3sImages(version, arch string) []byte {
	return padded(fmt.Appendf(nil, "%s%s linux/%s\n", imagesBanner, version, arch))
}

// padded fills a file up to the size that takes a download more than one read.
func padded(b []byte) []byte {
	const size = 8 * 1024
	return append(b, bytes.Repeat([]byte("#"), size-len(b))...)
}

// binaryVersion reads the version that k3sBinary wrote; not ok if data is not a complete one.
func binaryVersion(data []byte) (version string, ok bool) {
	rest, ok := strings.CutPrefix(string(data), k3sBanner)
	if !ok {
		return "", false
	}
	line, _, _ := strings.Cut(rest, "\n")
	version, platform, _ := strings.Cut(line, " ")
	arch := strings.TrimPrefix(platform, "linux/")
	return version, bytes.Equal(data, k3sBinary(version, arch))
}
