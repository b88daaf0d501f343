package sim

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestArtifactServer(t *testing.T) {
	t.Parallel()
	get := func(url string, header ...string) (int, string) {
		t.Helper()
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		for _, h := range header {
			name, value, _ := strings.Cut(h, ": ")
			r.Header.Set(name, value)
		}
		w := httptest.NewRecorder()
		h := artifactServer(r.URL.Host)
		if h == nil {
			t.Fatalf("no server for %s", url)
		}
		h.ServeHTTP(w, r)
		body, err := io.ReadAll(w.Result().Body)
		if err != nil {
			t.Fatal(err)
		}
		return w.Code, string(body)
	}

	status, disk := get(ImageURL)
	if status != http.StatusOK || checksum([]byte(disk)) != ImageSHA256() {
		t.Errorf("image: status %d, checksum %s, want %s", status, checksum([]byte(disk)), ImageSHA256())
	}
	// Labs have it in their configuration.
	if want := "a3166174545480e19b85bdf2109f8b30e34f856ca0239b56b11cbd0c351b309e"; ImageSHA256() != want {
		t.Errorf("the image's checksum is now %s, it was %s", ImageSHA256(), want)
	}
	if status, rest := get(ImageURL, "Range: bytes=100-"); status != http.StatusPartialContent || rest != disk[100:] {
		t.Errorf("the image's rest: status %d, %d bytes", status, len(rest))
	}

	const release = K3sSource + "/v1.34.3%2Bk3s1/"
	for arch, name := range map[string]string{"amd64": "k3s", "arm64": "k3s-arm64"} {
		status, binary := get(release + name)
		version, ok := binaryVersion([]byte(binary))
		if status != http.StatusOK || version != "v1.34.3+k3s1" || !ok || !strings.Contains(binary, "linux/"+arch) {
			t.Errorf("%s: status %d, version %q, %v", name, status, version, ok)
		}
		if _, ok := binaryVersion([]byte(binary[:len(binary)-1])); ok {
			t.Errorf("%s: an incomplete one passes", name)
		}
		_, images := get(release + "k3s-airgap-images-" + arch + ".tar.zst")
		status, sums := get(release + "sha256sum-" + arch + ".txt")
		want := checksum([]byte(images)) + "  k3s-airgap-images-" + arch + ".tar.zst\n" + checksum([]byte(binary)) + "  " + name + "\n"
		if status != http.StatusOK || sums != want {
			t.Errorf("checksums of %s: status %d\n%s", arch, status, sums)
		}
	}
	if _, other := get(K3sSource + "/v1.33.0+k3s12/k3s"); !strings.Contains(other, "v1.33.0+k3s12") {
		t.Errorf("another version: %.60q", other)
	}
	for _, url := range []string{
		K3sSource + "/", K3sSource + "/latest/k3s", K3sSource + "/v1.34.3/k3s", K3sSource + "/v1.34.3+k3s1/k3s-s390x",
		K3sSource + "/v1.34.3+k3s1/", ImageURL + ".sig", "http://" + imagesHost + "/",
	} {
		if status, body := get(url); status != http.StatusNotFound || !strings.Contains(body, "SIMULATED") {
			t.Errorf("%s: status %d, %q", url, status, body)
		}
	}
	w := httptest.NewRecorder()
	artifactServer(imagesHost).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPut, ImageURL, nil))
	if w.Code != http.StatusMethodNotAllowed {
		t.Errorf("uploading: status %d", w.Code)
	}
	if artifactServer("github.com") != nil {
		t.Error("there is a server for a real host")
	}
}
