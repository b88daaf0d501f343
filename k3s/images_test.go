package k3s

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func testArchive(t *testing.T, name, content string) Archive {
	t.Helper()
	path := filepath.Join(t.TempDir(), "archive")
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return Archive{Name: name, Path: path, SHA256: fmt.Sprintf("%x", sha256.Sum256([]byte(content)))}
}

func TestImportsImages(t *testing.T) {
	for version, want := range map[string]bool{
		"v1.28.15+k3s1": false, "v1.29.12+k3s1": false, "v1.29.13+k3s1": true, "v1.30.8+k3s1": false, "v1.30.9+k3s1": true,
		"v1.31.4+k3s1": false, "v1.31.5+k3s1": true, "v1.31.12+k3s1": true, "v1.32.0+k3s1": true, "v1.34.3+k3s1": true,
	} {
		if got := ImportsImages(version); got != want {
			t.Errorf("ImportsImages(%s) = %v", version, got)
		}
	}
}

// A release that looks for archives only when it starts is restarted after one came, by the installation that follows.
func TestPushImagesToAnOldRelease(t *testing.T) {
	for version, restarted := range map[string]bool{"v1.31.4+k3s1": true, "v1.34.3+k3s1": false} {
		r, s, a := newTestNode(t), testSettings(joinToken), testArtifacts(t, version)
		archives := []Archive{testArchive(t, "a.tar", "one")}
		mustInstall(t, InstallAgent, r, testW1, s, a)
		for range 2 { // the second time, the node has it
			if err := PushImages(t.Context(), r, testW1, version, archives, noStep); err != nil {
				t.Fatal(err)
			}
		}
		r.reset()
		mustInstall(t, InstallAgent, r, testW1, s, a)
		if got := len(r.ran) > 0; got != restarted {
			t.Errorf("%s: after an archive came, %q ran", version, r.ran)
		}
	}
}

func TestPushImages(t *testing.T) {
	r := newTestNode(t)
	archives := []Archive{testArchive(t, "k3s-airgap-images-amd64.tar.zst", "k3s's"), testArchive(t, "it's the demo's.tar", "layers")}
	push := func(want ...string) {
		t.Helper()
		r.reset()
		if err := PushImages(t.Context(), r, testW1, "v1.34.3+k3s1", archives, noStep); err != nil {
			t.Fatal(err)
		}
		var ran []string
		for _, name := range want {
			ran = append(ran, "mv -f "+agentFolder+"/labctl-images.part "+imagePath(name))
		}
		if diff := cmp.Diff(ran, r.ran); diff != "" {
			t.Errorf("what ran (-want +got):\n%s", diff)
		}
	}
	push(archives[0].Name, archives[1].Name)
	if got := r.read(imagePath(archives[1].Name)); got != "layers" {
		t.Errorf("on the node: %q", got)
	}
	push() // the node has them
	r.write(imagePath(archives[0].Name), "half")
	push(archives[0].Name)
	archives[1].SHA256 = strings.Repeat("0", 64)
	if err := PushImages(t.Context(), r, testW1, "v1.34.3+k3s1", archives, noStep); err == nil || !strings.Contains(err.Error(), "another checksum") {
		t.Errorf("a file that changed on the way: error %v", err)
	}
	if got := r.read(imagePath(archives[1].Name)); got != "layers" || len(leftovers(t, r)) > 0 {
		t.Errorf("a wrong archive was used, or left behind: %q", got)
	}
	if err := RemoveImages(t.Context(), r, testW1, []string{archives[1].Name}, noStep); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(r.path(imagePath(archives[1].Name))); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it is still there: %v", err)
	}
}

// A push that is killed leaves nothing in the folder that k3s reads, and the next one goes on.
func TestPushImagesKilled(t *testing.T) {
	points := []string{"sha256sum", "mkdir -p", "install", "cat", "mv -f"}
	for _, point := range points {
		t.Run(point, func(t *testing.T) {
			r := newTestNode(t)
			archives := []Archive{testArchive(t, "a.tar", "one"), testArchive(t, "b.tar", "two")}
			if point == "sha256sum" {
				r.write(imagePath("a.tar"), "an old one")
			}
			r.killedAt = point
			if err := PushImages(t.Context(), r, testW1, "v1.34.3+k3s1", archives, noStep); !errors.Is(err, errLost) {
				t.Fatalf("error %v", err)
			}
			files, err := os.ReadDir(r.path(imagesFolder))
			if err != nil && !errors.Is(err, os.ErrNotExist) {
				t.Fatal(err)
			}
			for _, f := range files {
				if got := r.read(imagePath(f.Name())); got != "an old one" {
					t.Errorf("k3s finds %q: %q", f.Name(), got)
				}
			}
			if err := PushImages(t.Context(), r, testW1, "v1.34.3+k3s1", archives, noStep); err != nil {
				t.Fatal(err)
			}
			if missing, err := MissingImages(t.Context(), r, testW1, archives); err != nil || len(missing) > 0 {
				t.Errorf("missing %v, error %v", missing, err)
			}
			if left := leftovers(t, r); len(left) > 0 {
				t.Errorf("left behind: %q", left)
			}
		})
	}
}

// A large push says how far it is, and its error how far it came.
func TestPushTellsHowFarItIs(t *testing.T) {
	r := newTestNode(t)
	a := testArchive(t, "a.tar", strings.Repeat("x", 3<<20))
	var steps []string
	if err := PushImages(t.Context(), r, testW1, "v1.34.3+k3s1", []Archive{a}, func(s string) { steps = append(steps, s) }); err != nil {
		t.Fatal(err)
	}
	if len(steps) < 5 || steps[len(steps)-1] != "pushing images a.tar: 3 of 3 MiB (100%)" || steps[1] != "pushing images a.tar" {
		t.Errorf("steps %q", steps)
	}
	r.write(imagePath("a.tar"), "")
	r.killedAt = "mv -f"
	if err := PushImages(t.Context(), r, testW1, "v1.34.3+k3s1", []Archive{a}, noStep); err == nil || !strings.Contains(err.Error(), `pushing images a.tar to "w1" (3 of 3 MiB were sent)`) {
		t.Errorf("error %v", err)
	}
}
