package k3s

import (
	"context"
	"fmt"
	"path"

	"golang.org/x/mod/semver"
)

// PushImages puts archives of images on a node, where k3s finds them when it starts, and newer releases whenever one comes. It may run
// before there is any k3s. An archive that the node has is not sent again. version is the release's: where it does not look by itself
// (ImportsImages), the next Install restarts it.
func PushImages(ctx context.Context, r Runner, n Node, version string, archives []Archive, step func(string)) error {
	step("looking which images are there")
	missing, err := MissingImages(ctx, r, n, archives)
	if err != nil {
		return err
	}
	for _, a := range missing {
		f := file{
			path: imagePath(a.Name), mode: "0644", sha256: a.SHA256, what: "images " + a.Name, open: fromDisk(a.Path),
			// k3s may read whatever lies in the folder of images, whole or not.
			temporary: agentFolder + "/labctl-images.part",
			restarts:  !ImportsImages(version),
		}
		if err := f.put(ctx, r, n, step); err != nil {
			return err
		}
	}
	return nil
}

// ImportsImages tells whether a release takes notice of an archive of images while it runs: since the releases of January 2025. Others
// look when they start. Source: https://docs.k3s.io/import-images and https://github.com/k3s-io/k3s/pull/10973.
func ImportsImages(version string) bool {
	for _, first := range []string{"v1.29.13+k3s1", "v1.30.9+k3s1", "v1.31.5+k3s1"} {
		if semver.MajorMinor(version) == semver.MajorMinor(first) {
			return CompareVersions(version, first) >= 0
		}
	}
	return CompareVersions(version, "v1.32.0") >= 0
}

// MissingImages returns those of the archives that are not on the node with their bytes.
func MissingImages(ctx context.Context, r Runner, n Node, archives []Archive) ([]Archive, error) {
	var paths []string
	for _, a := range archives {
		paths = append(paths, imagePath(a.Name))
	}
	out, err := r.Run(ctx, asRoot(have, paths...), nil)
	if err != nil {
		return nil, fmt.Errorf("looking which images are on %q: %w", n.Name, err)
	}
	found, err := parseFiles(out)
	if err != nil {
		return nil, fmt.Errorf("looking which images are on %q: %w", n.Name, err)
	}
	var missing []Archive
	for _, a := range archives {
		if found[imagePath(a.Name)] != a.SHA256 {
			missing = append(missing, a)
		}
	}
	return missing, nil
}

// RemoveImages removes archives from a node. What containerd has imported from them stays.
func RemoveImages(ctx context.Context, r Runner, n Node, names []string, step func(string)) error {
	for _, name := range names {
		step("removing images " + name)
		if _, err := r.Run(ctx, asRoot(remove, imagePath(name), ""), nil); err != nil {
			return fmt.Errorf("removing images %s from %q: %w", name, n.Name, err)
		}
	}
	return nil
}

func imagePath(name string) string { return path.Join(imagesFolder, path.Base(name)) }
