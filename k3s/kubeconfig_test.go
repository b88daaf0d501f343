package k3s

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// k3sYAML is what k3s writes, with other bytes for the certificates and the key.
const k3sYAML = `apiVersion: v1
clusters:
- cluster:
    certificate-authority-data: Q0E=
    server: https://127.0.0.1:6443
  name: default
contexts:
- context:
    cluster: default
    user: default
  name: default
current-context: default
kind: Config
preferences: {}
users:
- name: default
  user:
    client-certificate-data: Q0VSVA==
    client-key-data: S0VZ
`

func TestKubeconfig(t *testing.T) {
	r := newTestNode(t)
	if _, err := Kubeconfig(t.Context(), r, testCP1.Address, "lab"); err == nil {
		t.Error("no file: no error")
	}
	r.write(kubeconfigPath, k3sYAML)
	got, err := Kubeconfig(t.Context(), r, testCP1.Address, "lab")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "kubeconfig.yaml", string(got))

	six, err := Kubeconfig(t.Context(), r, netip.MustParseAddr("fd00::10"), "true")
	if err != nil || !strings.Contains(string(six), "https://[fd00::10]:6443") || !strings.Contains(string(six), `current-context: "true"`) {
		t.Errorf("IPv6 and a name that is a word of YAML: %v\n%s", err, six)
	}
	for _, bad := range []string{
		"", "S0VZ: [", "clusters: S0VZ", strings.Replace(k3sYAML, "client-key-data: S0VZ", "token: S0VZ", 1),
		strings.Replace(k3sYAML, "certificate-authority-data: Q0E=", "insecure-skip-tls-verify: true", 1),
	} {
		r.write(kubeconfigPath, bad)
		if _, err := Kubeconfig(t.Context(), r, testCP1.Address, "lab"); err == nil || strings.Contains(err.Error(), "S0VZ") {
			t.Errorf("%q: error %v", bad, err)
		}
	}
}

const ourKubeconfig = `apiVersion: v1
kind: Config
clusters:
  - name: lab
    cluster: {certificate-authority-data: TkVX, server: "https://192.168.56.10:6443"}
contexts:
  - name: lab
    context: {cluster: lab, user: lab}
users:
  - name: lab
    user: {client-certificate-data: TkVX, client-key-data: TkVX}
current-context: lab
`

func TestMergeKubeconfig(t *testing.T) {
	const other = `apiVersion: v1
kind: Config
preferences: {colors: true}
extensions: [{name: kept, extension: {a: 1}}]
clusters: [{name: work, cluster: {server: "https://work:6443", proxy-url: "http://proxy"}}]
contexts: [{name: work, context: {cluster: work, user: me, namespace: mine}}]
users: [{name: me, user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: login, args: [a, b]}}}]
`
	for _, test := range []struct {
		name, existing, want string
	}{
		{"nothing", "", ourKubeconfig},
		{"comments only", "# mine\n", ourKubeconfig},
		{"one document between dashes", "---\napiVersion: v1\nkind: Config\n---\n", ourKubeconfig},
		{"an empty one", "apiVersion: v1\nkind: Config\nclusters: null\ncontexts: []\n", ourKubeconfig},
		{"another cluster, current", other + "current-context: work\n", `apiVersion: v1
kind: Config
preferences: {colors: true}
extensions: [{name: kept, extension: {a: 1}}]
clusters:
  - {name: work, cluster: {server: "https://work:6443", proxy-url: "http://proxy"}}
  - {name: lab, cluster: {certificate-authority-data: TkVX, server: "https://192.168.56.10:6443"}}
contexts:
  - {name: work, context: {cluster: work, user: me, namespace: mine}}
  - {name: lab, context: {cluster: lab, user: lab}}
users:
  - {name: me, user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: login, args: [a, b]}}}
  - {name: lab, user: {client-certificate-data: TkVX, client-key-data: TkVX}}
current-context: work
`},
		{"ours of an earlier cluster, a namespace chosen", `apiVersion: v1
kind: Config
clusters: [{name: lab, cluster: {certificate-authority-data: T0xE, server: "https://192.168.56.10:6443"}}]
contexts:
  - {name: lab, context: {cluster: lab, user: lab, namespace: demo}}
  - {name: lab-demo, context: {cluster: lab, user: lab, namespace: demo}}
users: [{name: lab, user: {client-certificate-data: T0xE, client-key-data: T0xE}}]
current-context: ""
`, `apiVersion: v1
kind: Config
clusters: [{name: lab, cluster: {certificate-authority-data: TkVX, server: "https://192.168.56.10:6443"}}]
contexts:
  - {name: lab, context: {cluster: lab, user: lab, namespace: demo}}
  - {name: lab-demo, context: {cluster: lab, user: lab, namespace: demo}}
users: [{name: lab, user: {client-certificate-data: TkVX, client-key-data: TkVX}}]
current-context: lab
`},
	} {
		t.Run(test.name, func(t *testing.T) {
			merged, err := MergeKubeconfig([]byte(test.existing), []byte(ourKubeconfig))
			if err != nil {
				t.Fatal(err)
			}
			var got, want map[string]any
			if err := errors.Join(unmarshal(string(merged), &got), unmarshal(test.want, &want)); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			again, err := MergeKubeconfig(merged, []byte(ourKubeconfig))
			if err != nil || len(test.existing) > 10 && string(again) != string(merged) {
				t.Errorf("merged again, it is another: %v\n%s", err, again)
			}
		})
	}
}

func TestMergeKubeconfigRefuses(t *testing.T) {
	for _, test := range []struct {
		name, existing string
		taken          bool
	}{
		{"another cluster of that name", `{clusters: [{name: lab, cluster: {server: "https://work:6443"}}]}`, true},
		{"a context of that name", `{contexts: [{name: lab, context: {cluster: work, user: me}}]}`, true},
		{"a user of that name", `{contexts: [{name: work, context: {cluster: work, user: lab}}]}`, true},
		{"not YAML", "a: [S0VZ", false},
		{"not a mapping", "[S0VZ]", false},
		{"not a list", "users: {S0VZ: 1}", false},
		{"a list of something else", "clusters: [S0VZ]", false},
		{"two documents", "kind: Config\n---\nusers: [{name: S0VZ}]\n", false},
		{"not YAML after the first", "kind: Config\n---\na: [S0VZ", false},
		{"a field twice", "kind: Config\nkind: S0VZ\n", false},
	} {
		_, err := MergeKubeconfig([]byte(test.existing), []byte(ourKubeconfig))
		if err == nil || errors.Is(err, errContextTaken) != test.taken || strings.Contains(err.Error(), "S0VZ") {
			t.Errorf("%s: error %v", test.name, err)
		}
	}
	for _, ours := range []string{"", "a: [", "clusters: []", "[]"} {
		if _, err := MergeKubeconfig([]byte("kind: Config\n"), []byte(ours)); err == nil {
			t.Errorf("ours is %q: no error", ours)
		}
	}
}

// FuzzMergeKubeconfig: whatever the existing one is, it is refused or all its contexts, clusters and users are still there.
func FuzzMergeKubeconfig(f *testing.F) {
	f.Add(k3sYAML)
	f.Add(ourKubeconfig)
	f.Add("contexts: [{name: a}, {name: a}, 3, null]\nusers: null\n")
	f.Fuzz(func(t *testing.T, existing string) {
		merged, err := MergeKubeconfig([]byte(existing), []byte(ourKubeconfig))
		if err != nil {
			return
		}
		var before, after map[string]any
		if err := unmarshal(existing, &before); err != nil {
			t.Fatal(err)
		}
		if err := unmarshal(string(merged), &after); err != nil {
			t.Fatal(err)
		}
		for key, value := range before {
			list, ok := value.([]any)
			kept, _ := after[key].([]any)
			if ok && len(kept) < len(list) {
				t.Errorf("%s: %d entries became %d", key, len(list), len(kept))
			}
			if _, there := after[key]; !there {
				t.Errorf("%s is gone", key)
			}
		}
	})
}
