package provision

import "testing"

// A node may be called as if it were something on another one.
func TestNodeOf(t *testing.T) {
	for _, tt := range []struct{ kind, name, want string }{
		{"Server", clusterName("cp1"), "cp1"},
		{"Agent", clusterName("db-k3s"), "db-k3s"},
		{"NodeBinary", binaryName("w1"), "w1"},
		{"NodeImages", imagesName("w1"), "w1"},
		{"Machine", "db-images", "db-images"},
		{"Manifest", "demo-web", "demo-web"},
	} {
		if got := NodeOf(tt.kind, tt.name); got != tt.want {
			t.Errorf("NodeOf(%q, %q) = %q, want %q", tt.kind, tt.name, got, tt.want)
		}
	}
}
