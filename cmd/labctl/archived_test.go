//go:build linux

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/labctl/labctl/internal/config"
)

// An archive silences the warning only if it holds the demo's images; one that can't be read is not taken for one that does.
func TestPulledImages(t *testing.T) {
	dir := t.TempDir()
	demo := demoArchive(t, dir)
	other := filepath.Join(dir, "other.tar.zst")
	if err := os.WriteFile(other, []byte("(\xb5/\xfd and so on"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		change func(*config.Lab)
		want   string // empty: nothing is pulled
	}{
		{"the demo's", func(l *config.Lab) {}, ""},
		{"the demo's under their full names", func(l *config.Lab) { l.Demo.WebImage = "docker.io/library/nginx:1.27-alpine" }, ""},
		{"another one", func(l *config.Lab) { l.Demo.HelloImage = "busybox" }, "the demo's container images (busybox), "},
		{"one that can't be read", func(l *config.Lab) { l.K3s.Images = []config.ImageArchive{{URL: other}} }, "unless the archives in k3s.images hold them"},
		{"one that isn't there", func(l *config.Lab) { l.K3s.Images = []config.ImageArchive{{URL: "https://m.example/demo.tar"}} }, "unless the archives in k3s.images hold them"},
		{"none", func(l *config.Lab) { l.K3s.Images = nil }, "name archives of them in k3s.images"},
	} {
		lab := config.Default()
		lab.K3s.Airgap, lab.K3s.Images = true, []config.ImageArchive{{URL: demo}}
		tt.change(lab)
		if got := pulledImages(lab); (got == "") != (tt.want == "") || !strings.Contains(got, tt.want) {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}
