package sim

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// offline reports whether the simulated internet is cut off: a file of that name lies in the world's folder. Registries, and the
// servers of images and releases, are then out of reach of everybody.
func (w *World) offline() bool {
	_, err := os.Stat(filepath.Join(w.dir, "offline"))
	return err == nil
}

// imageProblem is why a pod's images cannot be had on its node; empty if they can. What a node has once, it keeps.
func (c *cluster) imageProblem(p *podRecord) string {
	n := c.state.node(p.Node)
	if n == nil || c.hasImages(n, p) {
		return ""
	}
	if problem := imageProblem(p); problem != "" {
		return problem
	}
	if !c.w.offline() {
		return ""
	}
	for _, ctr := range p.containers() {
		if image := fullImage(ctr); !c.hasImage(n, image) {
			repository, tag := imageOf(ctr)
			if !strings.Contains(repository, "/") {
				repository = "library/" + repository
			}
			return fmt.Sprintf(`failed to pull and unpack image %q: failed to resolve reference %q: failed to do request: Head "https://registry-1.docker.io/v2/%s/manifests/%s": `+
				"dial tcp: lookup registry-1.docker.io on 127.0.0.53:53: no such host", image, image, repository, tag)
		}
	}
	return ""
}

func (c *cluster) hasImages(n *nodeRecord, p *podRecord) bool {
	return !slices.ContainsFunc(p.containers(), func(ctr map[string]any) bool { return !c.hasImage(n, fullImage(ctr)) })
}

func (c *cluster) hasImage(n *nodeRecord, image string) bool {
	if slices.Contains(n.Images, image) {
		return true
	}
	g := c.up[n.Disk]
	return g != nil && slices.ContainsFunc(g.archivedImages(), func(a string) bool {
		prefix, all := strings.CutSuffix(a, "*")
		return a == image || all && strings.HasPrefix(image, prefix)
	})
}

// pull puts into every node's store what its pods need and what can be had now.
func (c *cluster) pull(st *clusterState) {
	if c.w.offline() {
		return
	}
	for _, p := range st.Pods {
		n := st.node(p.Node)
		if n == nil || imageProblem(p) != "" {
			continue
		}
		for _, ctr := range p.containers() {
			if image := fullImage(ctr); !slices.Contains(n.Images, image) {
				n.Images = append(n.Images, image)
			}
		}
	}
}

// archivedImages are the images that the archives on a guest's disk hold, which k3s imports; "*" ends a name that stands for many.
func (g *guest) archivedImages() []string {
	const folder = "/var/lib/rancher/k3s/agent/images"
	files, err := g.files.list("root", folder)
	if err != nil {
		return nil
	}
	var all []string
	for _, f := range files {
		if data, err := g.files.read("root", folder+"/"+f.Name()); err == nil {
			if names, err := imagesIn(data); err == nil {
				all = append(all, names...)
			} // k3s logs that it can't read an archive, and goes on
		}
	}
	return all
}

const imagesBanner = "SIMULATED images of k3s "

// imagesIn reads the names of the images in an archive: the simulated release's, or one of `docker save`, also gzipped.
func imagesIn(data []byte) ([]string, error) {
	if bytes.HasPrefix(data, []byte(imagesBanner)) {
		return []string{"docker.io/rancher/*"}, nil
	}
	var r io.Reader = bytes.NewReader(data)
	if bytes.HasPrefix(data, []byte{0x1f, 0x8b}) {
		zipped, err := gzip.NewReader(r)
		if err != nil {
			return nil, err
		}
		r = zipped
	}
	archive := tar.NewReader(r)
	for {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return nil, errors.New("no manifest.json")
		}
		if err != nil {
			return nil, err
		}
		if h.Name != "manifest.json" {
			continue
		}
		var images []struct{ RepoTags []string }
		if err := json.NewDecoder(archive).Decode(&images); err != nil {
			return nil, err
		}
		var names []string
		for _, i := range images {
			for _, tag := range i.RepoTags {
				names = append(names, fullImage(map[string]any{"image": tag}))
			}
		}
		return names, nil
	}
}
